"""`evaluate`: score the tables of any tool, ours or another, in the same way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import pandas as pd
from tyro.conf import Positional, arg

from jaxomics.commands.notes import tell
from jaxomics.commands.options import Flag
from jaxomics.commands.outputs import refuse_file
from jaxomics.data.io import TABLE_SUFFIXES, read_cohort, read_indexed, write_table
from jaxomics.errors import InputError, unknown
from jaxomics.metrics.embedding import evaluate_embedding as score_embedding
from jaxomics.metrics.imputation import evaluate_imputation as score_imputation
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
    scores, per_feature = score_imputation(tables, true, given or None, dataset, model)
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
    dataset: str = "",
    model: str = "embedding",
    seed: int = 0,
    csv: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Scored:
    """Score an embedding, of jaxomics or any other tool, against a class label.

    Args:
      table: samples x dimensions; first column or index = sample id.
      labels: sample table; first column or index = sample id.
      label: its column with the classes.
      out: score table to write, .parquet or .csv.
      group: its column of groups (patients) that must not be split; by default each sample is
        its own.
      dataset: name of the data in the table.
      model: name of the method in the table.
      seed: of folds and k-means.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.
      quiet: print no notes.

    Returns:
      The scores.
    """
    refuse_file(out, overwrite)
    latent = _numbers(table)
    columns = read_indexed(labels)
    for name in (label, *([group] if group else [])):
        if name not in columns:
            raise unknown("label column", name, columns.columns)
    classes = pd.Series(columns[label])
    groups = pd.Series(columns[group]) if group else None
    scores = score_embedding(latent, classes, dataset, model, groups, seed)
    tell(scores.attrs.pop("notes", []), quiet=quiet)
    write_table(scores, out, csv=csv, overwrite=overwrite)
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
    predicted, true = _numbers(table), _numbers(truth)
    scores, per_feature = score_translation(predicted, true, dataset, model, view)
    write_table(scores, out, csv=csv, overwrite=overwrite)
    if features is not None:
        write_table(per_feature, features, csv=csv, overwrite=overwrite)
    return Scored(scores, TRANSLATED)


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


def _numbers(path: Path) -> pd.DataFrame:
    """Read a table of numbers with ids in front.

    Raises:
      InputError: a column that holds no numbers, or repeated ids.
    """
    table = read_indexed(path)
    text = [str(n) for n, kind in table.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if text:
        raise InputError(
            f"{path}: expected numbers behind the sample ids, found text in {text[0]!r}; remove "
            "such columns"
        )
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise InputError(f"{path}: expected unique sample ids, found {repeated[0]!r} twice")
    return table
