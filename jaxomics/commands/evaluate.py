"""`evaluate`: score the tables of any tool, ours or another, in the same way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import pandas as pd
from tyro.conf import Positional, arg

from jaxomics.commands.embedding import (
    Asked,
    Sources,
    differences,
    read_known,
    read_numbers,
    refuse_figure,
    write_benchmarks,
)
from jaxomics.commands.notes import tell
from jaxomics.commands.options import Flag
from jaxomics.commands.outputs import refuse_file
from jaxomics.data.io import TABLE_SUFFIXES, read_cohort, read_indexed, write_table
from jaxomics.errors import InputError
from jaxomics.metrics.classification import ALL
from jaxomics.metrics.correlation import MIN_PAIRS
from jaxomics.metrics.embedding import evaluate_embedding as score_embedding
from jaxomics.metrics.imputation import evaluate_imputation as score_imputation
from jaxomics.metrics.outcomes import OutcomeColumns
from jaxomics.metrics.outcomes import evaluate_outcomes as score_outcomes
from jaxomics.metrics.summary import summarise
from jaxomics.metrics.tables import SCORE_COLUMNS, join
from jaxomics.metrics.translation import NINE
from jaxomics.metrics.translation import evaluate_translation as score_translation

HEADLINES = ("mean_r", "mean_relative_error", "pooled_r", "baseline_pooled_r", "coverage")
"""Metrics of completed tables that are printed; the file holds them all."""

TRANSLATED = (*NINE, "mean_r2_varying", "n_constant", "median_r", "coverage")
"""Metrics of translated tables that are printed."""

Folder: TypeAlias = Positional[Annotated[Path, arg(metavar="DIR")]]
Table: TypeAlias = Positional[Annotated[Path, arg(metavar="TABLE")]]


@dataclass(frozen=True)
class Scored:
    """Scores of an evaluation; `str()` is the table that the command line prints.

    Attributes:
      scores: tidy scores, as written.
      shown: metrics to print; empty prints all.
    """

    scores: pd.DataFrame
    shown: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = self.scores
        rows = rows[rows["metric"].isin(self.shown)] if self.shown else rows
        by = [name for name in ("model", "mode", "view") if any(rows[name])]
        order = list(dict.fromkeys(rows["metric"]))
        wide = rows.pivot_table(
            index=by, columns="metric", values="value", sort=False, dropna=False, observed=True
        )
        wide = wide.reindex(columns=order).dropna(how="all").reset_index()
        return wide.to_string(index=False, na_rep="-", float_format="{:.3f}".format)


def evaluate_imputation(
    completed: Folder,
    *,
    truth: Path,
    out: Path,
    measured: Path | None = None,
    features: Path | None = None,
    min_pairs: int = MIN_PAIRS,
    dataset: str = "",
    model: str = "",
    csv: Flag = False,
    overwrite: Flag = False,
) -> Scored:
    """Score completed tables, of jaxomics or any other tool, against the truth.

    Args:
      completed: folder with one completed table per view.
      truth: folder with the true values, same names of views, samples and features.
      out: score table to write, .parquet or .csv.
      measured: folder with measured_VIEW tables, or with the tables that the tool was given;
        these cells are scored apart. By default measured_VIEW beside the completed tables.
      features: also write scores per feature to this table.
      min_pairs: features and samples with fewer known values have no correlation.
      dataset: name of the data in the table.
      model: name of the method in the table.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.

    Returns:
      The scores: mode `imputed` for cells that were filled, `measured` for the others, `all`
      where it is not known which is which.
    """
    for path in (out, features):
        refuse_file(path, overwrite)
    tables = read_cohort(completed, min_samples=1).views
    true = read_cohort(truth, views=_common(tables, truth), min_samples=1).views
    given = _given(completed if measured is None else measured, list(true))
    if measured is not None and not given:
        known = read_cohort(measured, min_samples=1).views
        given = {name: table.notna() for name, table in known.items()}
    scores, per_feature = score_imputation(
        tables, true, given or None, dataset, model, min_pairs=min_pairs
    )
    write_table(scores, out, csv=csv, overwrite=overwrite)
    if features is not None:
        write_table(per_feature, features, csv=csv, overwrite=overwrite)
    return Scored(scores, HEADLINES)


def evaluate_embedding(
    table: Table,
    *,
    labels: Path,
    label: str,
    out: Path,
    group: str | None = None,
    time: str | None = None,
    event: str | None = None,
    clinical: tuple[str, ...] = (),
    features: Path | None = None,
    reconstruction: Path | None = None,
    counts: Path | None = None,
    gene_sets: Path | None = None,
    cohort: str | None = None,
    paired: Flag = False,
    components: int | None = None,
    quick: Flag = False,
    summary: Path | None = None,
    figure: Path | None = None,
    dataset: str = "",
    model: str = "embedding",
    seed: int = 0,
    csv: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Scored:
    """Score an embedding, of jaxomics or any other tool, against classes and survival.

    Args:
      table: samples x dimensions; first column or index = sample id.
      labels: sample table; first column or index = sample id.
      label: its column with the classes.
      out: score table to write, .parquet or .csv; one row per fold.
      group: its column of groups (donors) that must not be split; by default each sample is its
        own.
      time: its column of survival times; needs `event`.
      event: its column of events, 1 = event, 0 = censored.
      clinical: its columns that a clinical Cox regression reads, such as age sex cohort.
      features: measured table of the same samples; its principal components are scored beside.
      reconstruction: the model's reconstruction of `features`, on a log2 scale; features that
        differ from the measured ones are counted.
      counts: table of counts of the same samples; its pseudoreplicates give the noise floor.
      gene_sets: GMT file; differing features are tested for enrichment.
      cohort: class whose samples are tested for differing features; by default the largest.
      paired: test differences within samples instead of two groups.
      components: dimensions that the Grassmann distance compares; by default as many as fit.
      quick: small trees, few starts of k-means.
      summary: also write mean, SD and SE over folds to this table.
      figure: also draw the four benchmarks as PNG.
      dataset: name of the data in the table.
      model: name of the method in the table.
      seed: of folds, trees, permutations and k-means.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.
      quiet: print no notes.

    Returns:
      The scores, printed as means over folds.
    """
    for path in (out, summary):
        refuse_file(path, overwrite)
    refuse_figure(figure, overwrite)
    asked = Asked(label, group, time, event, clinical)
    known = read_known(labels, asked)
    latent = read_numbers(table)
    measured = None if features is None else read_numbers(features)
    scores = score_embedding(
        latent, known.classes, dataset, model, known.groups, seed, measured,
        survival=known.survival, clinical=known.clinical, components=components, quick=quick,
    )  # fmt: skip
    notes = scores.attrs.pop("notes", [])
    if measured is None:
        notes.append("no principal components beside: name the measured table with --features")
    if reconstruction is not None:
        sources = Sources(measured, read_numbers(reconstruction), counts, gene_sets)
        about = {"dataset": dataset, "model": model, "seed": seed}
        rows, told = differences(latent, known.classes, sources, cohort, paired, about)
        scores, notes = join([scores, rows], SCORE_COLUMNS), notes + told
    tell(notes, quiet=quiet)
    write_table(scores, out, csv=csv, overwrite=overwrite)
    if summary is not None:
        write_table(summarise(scores), summary, csv=csv, overwrite=overwrite)
    if figure is not None:
        write_benchmarks(scores, figure)
    return Scored(scores)


def evaluate_translation(
    table: Table,
    *,
    truth: Path,
    out: Path,
    features: Path | None = None,
    dataset: str = "",
    model: str = "",
    view: str = "target",
    csv: Flag = False,
    overwrite: Flag = False,
) -> Scored:
    """Score a predicted table, of jaxomics or any other tool, against the measured one.

    Args:
      table: predicted samples x features.
      truth: measured samples x features, same names.
      out: score table to write, .parquet or .csv.
      features: also write scores per feature to this table.
      dataset: name of the data in the table.
      model: name of the method in the table.
      view: name of the predicted view in the table.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.

    Returns:
      The scores; the nine metrics of Zhang and Guo 2021 are among them.
    """
    for path in (out, features):
        refuse_file(path, overwrite)
    predicted, true = read_numbers(table), read_numbers(truth)
    scores, per_feature = score_translation(predicted, true, dataset, model, view)
    write_table(scores, out, csv=csv, overwrite=overwrite)
    if features is not None:
        write_table(per_feature, features, csv=csv, overwrite=overwrite)
    return Scored(scores, TRANSLATED)


def evaluate_outcomes(
    table: Table,
    *,
    labels: Path,
    out: Path,
    label: str | None = None,
    time: str | None = None,
    event: str | None = None,
    regress: tuple[str, ...] = (),
    classify: tuple[str, ...] = (),
    strata: str | None = None,
    seen: Path | None = None,
    dataset: str = "",
    model: str = "",
    csv: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Scored:
    """Score predicted classes, survival and values, of jaxomics or any other tool.

    Args:
      table: predictions with the columns of `jaxomics predict`: sample, view (`all` if there is
        none), class and p_CLASS, risk and survival_TIME, values under their names, further classes
        as NAME and NAME_p_CLASS.
      labels: sample table; first column or index = sample id.
      out: score table to write, .parquet or .csv.
      label: its column with the classes.
      time: its column of survival times; needs `event`.
      event: its column of events, 1 = event, 0 = censored.
      regress: its columns of predicted numbers.
      classify: its columns of further classes.
      strata: its column of groups inside which the order of events is compared as well.
      seen: sample table of the samples that the tool learned from, whose censoring weights the
        scores of survival; by default the samples of `labels` that are not predicted, or all
        where none is left.
      dataset: name of the data in the table.
      model: name of the method in the table.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.
      quiet: print no notes.

    Returns:
      The scores: mode `classes` for the label, `outcomes` for the others, whose name is the view.
    """
    refuse_file(out, overwrite)
    said, truth = read_indexed(table).rename_axis("sample").reset_index(), read_indexed(labels)
    said = said if "view" in said else said.assign(view=ALL)
    repeated = truth.index[truth.index.duplicated()]
    if len(repeated):
        raise InputError(f"{labels}: expected unique sample ids, found {repeated[0]!r} twice")
    others = truth[~truth.index.isin(said["sample"])] if seen is None else read_indexed(seen)
    columns = OutcomeColumns(label, time, event, regress, classify, strata)
    scores = score_outcomes(
        said, truth, columns, others if len(others) else None, dataset=dataset, model=model
    )
    tell(scores.attrs["notes"], quiet=quiet)
    write_table(scores, out, csv=csv, overwrite=overwrite)
    return Scored(scores)


def _common(tables: dict[str, pd.DataFrame], truth: Path) -> list[str] | None:
    """Return the completed views that the truth has; None lets the reader and metric judge."""
    if not truth.is_dir():
        return None
    names = {_stem(path) for path in truth.iterdir()}
    return [name for name in tables if name in names] or None


def _given(folder: Path, views: list[str]) -> dict[str, pd.DataFrame]:
    """Return the tables measured_VIEW of a folder, as far as there are any."""
    found = {}
    for name in views:
        paths = (folder / f"measured_{name}{suffix}" for suffix in TABLE_SUFFIXES)
        path = next((path for path in paths if path.exists()), None)
        if path is not None:
            found[name] = read_indexed(path).astype(bool)
    return found


def _stem(path: Path) -> str:
    """Return a table's name without its ending."""
    return next((path.name.removesuffix(s) for s in TABLE_SUFFIXES if path.name.endswith(s)), "")
