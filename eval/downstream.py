"""What can be found in completed tables that measured ones do not show? On any two folders.

    python eval/downstream.py --measured $JAXOMICS_DATA/cell_lines --completed runs/completed \\
        --view crispr --events mut --covariates growth_properties --out runs/downstream
    python eval/downstream.py --measured DATA --completed runs/completed --view proteomics \\
        --pairs corum.tsv string.tsv:700 --independent ccle_proteomics.csv --out runs/proteins
    python eval/downstream.py --measured DATA --completed runs/completed --view drug \
        --latent latent.parquet --beside ploidy rna/CDH1 rna/VIM drug --out runs/latent

`--completed` may come from `jaxomics impute` or any other tool: a table per view, named alike. What
is run is what is asked for: skewness always, associations with `--events`, recall of protein pairs
with `--pairs`, agreement with a second laboratory with `--independent`, mismatches with `--full`,
correlations of latent dimensions with `--latent` and `--beside`. Tables go to `--out`, a summary is
printed; docs/statistics.md says what the numbers mean. Resources such as CORUM, BioGRID and STRING
are files of the user's own: two names and maybe a score a line.
"""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tyro

from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, read_indexed, write_table
from jaxomics.errors import InputError, unknown
from jaxomics.metrics.associations import compare_associations
from jaxomics.metrics.correlation import MIN_PAIRS
from jaxomics.metrics.independent import agree_with_independent, rank_mismatches
from jaxomics.metrics.latent_covariates import correlate_latent
from jaxomics.metrics.protein_pairs import (
    complete_proteins,
    pearson_pairs,
    read_pairs,
    recalls,
    whitened_pairs,
)
from jaxomics.metrics.skewness import compare_skewness, selective


@dataclass(frozen=True)
class Options:
    """What to look for.

    Attributes:
      measured: folder of tables as measured, with the sample table.
      completed: folder of completed tables.
      view: the view that is looked at.
      out: where tables go.
      events: view of `measured` with events (0 and 1), tested against the view's features.
      min_events: samples with an event, and without, that a test needs.
      covariates: columns of the sample table; text becomes one column per value.
      every: test all features; otherwise those that are skewed below -2 in either table, or all if
        none is.
      pairs: files of known pairs; FILE:SCORE keeps pairs of at least that score.
      independent: table of the same view from elsewhere.
      standardise: there, features in their own standard deviations; otherwise as they are, where
        differences between features make most of a sample's r.
      min_pairs: there and for latents, fewer common values have no correlation; Cai et al. 2024
        take 5 for drugs.
      latent: table of the latent space, correlated with what `beside` names.
      beside: a column of the sample table, VIEW/FEATURE of `measured`, or VIEW, the mean of its
        values.
      full: folder of reconstructions of measured cells too (`impute --full`), for mismatches.
      top: mismatches to write.
    """

    measured: Path
    completed: Path
    view: str
    out: Path
    events: str | None = None
    min_events: int = 10
    covariates: tuple[str, ...] = ()
    every: bool = False
    pairs: tuple[str, ...] = ()
    independent: Path | None = None
    standardise: bool = True
    min_pairs: int = MIN_PAIRS
    latent: Path | None = None
    beside: tuple[str, ...] = ()
    full: Path | None = None
    top: int = 1000


def main(options: Options) -> None:
    """Run what is asked for; write tables, print a summary."""
    cohort = read_cohort(options.measured)
    completed = read_cohort(options.completed, views=[options.view], min_samples=1)
    before, after = cohort.view(options.view), completed.view(options.view)
    options.out.mkdir(parents=True, exist_ok=True)
    print(skewness_of(before, after, options))
    if options.events is not None:
        print(associations_of(cohort, before, after, options))
    if options.pairs:
        print(pairs_of(before, after, options))
    if options.independent is not None:
        print(agreement_of(before, after, options))
    if options.latent is not None:
        print(latent_of(cohort, options))
    if options.full is not None:
        said = read_cohort(options.full, views=[options.view], min_samples=1).view(options.view)
        save(rank_mismatches(before, said, options.top), "mismatches", options)


def skewness_of(before: pd.DataFrame, after: pd.DataFrame, options: Options) -> str:
    """Compare skewness over measured and over filled samples, if there are filled ones."""
    try:
        found = compare_skewness(before, after)
    except InputError as error:
        return f"skewness: {error}"
    save(found.table.rename_axis("feature").reset_index(), "skewness", options)
    return (
        f"skewness, measured against filled samples, {len(found.table)} features: "
        f"r {found.r:.3f}, Spearman {found.spearman:.3f}"
    )


def associations_of(
    cohort: MultiOmics, before: pd.DataFrame, after: pd.DataFrame, options: Options
) -> str:
    """Test events against the same targets in both tables."""
    events = cohort.view(options.events or "")
    known = events.dropna(axis=1)
    chosen = [] if options.every else selective({"measured": before, "completed": after})
    targets = chosen or list(before.columns.intersection(after.columns))
    found = compare_associations(
        before[targets], after[targets], known, covariates_of(cohort, options), options.min_events
    )
    save(found, "associations", options)
    counts = found["found"].value_counts()
    words = ", ".join(
        f"{name} {counts.get(name, 0):,}" for name in ("measured", "completed", "both")
    )
    return (
        f"associations, {known.shape[1]} events x {len(targets)} targets, "
        f"median n {found['n_measured'].median():.0f} measured and "
        f"{found['n_completed'].median():.0f} completed; FDR < 5 % in: {words}"
    )


def covariates_of(cohort: MultiOmics, options: Options) -> pd.DataFrame | None:
    """Return numbers from columns of the sample table, missing ones at the mean or in no class."""
    parts = []
    for name in options.covariates:
        if name not in cohort.labels:
            raise unknown("label column", name, cohort.labels.columns)
        column = cohort.labels[name]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            numbers = column.astype(float)
            parts.append(numbers.fillna(numbers.mean()).to_frame())
        else:
            parts.append(pd.get_dummies(column, prefix=name, dtype=float))
    return pd.concat(parts, axis=1) if parts else None


def pairs_of(before: pd.DataFrame, after: pd.DataFrame, options: Options) -> str:
    """Rank pairs by three p values, and return the area under the recall of each resource."""
    resources = {}
    for word in options.pairs:
        path, _, score = word.rpartition(":")
        cut = float(score) if path and score.replace(".", "", 1).isdigit() else None
        resources[Path(path if cut is not None else word).stem + (f" {score}" if cut else "")] = (
            read_pairs(path if cut is not None else word, cut)
        )
    measured, whole = complete_proteins(before, least=0.6), complete_proteins(after)
    same = measured.columns.intersection(whole.columns)  # or areas were of different pairs
    measured, whole = measured[same], whole[same]
    found = {
        "measured, Pearson": pearson_pairs(measured),
        "completed, Pearson": pearson_pairs(whole),
        "completed, whitened": whitened_pairs(whole),
    }
    table = recalls(found, resources)
    save(table, "protein_pairs", options)
    sigma = found["completed, whitened"]
    wide = table.pivot_table(index="ranking", columns="resource", values="area", sort=False)
    return (
        f"pairs of {len(same)} proteins, area under the recall curve (0.5 by chance); Sigma of "
        f"{sigma.n} samples: condition {sigma.condition:.1e}, ridge {sigma.ridge:.1e}\n"
        f"{wide.round(3).to_string()}"
    )


def agreement_of(before: pd.DataFrame, after: pd.DataFrame, options: Options) -> str:
    """Compare with another laboratory's table, in and out of sample."""
    assert options.independent is not None
    found = agree_with_independent(
        after, read_indexed(options.independent, numeric=True), before,
        standardise=options.standardise, min_pairs=options.min_pairs,
    )  # fmt: skip
    save(found.samples.rename_axis("sample").reset_index(), "agreement_samples", options)
    save(found.features.rename_axis("feature").reset_index(), "agreement_features", options)
    words = found.summary.round(3).to_string(index=False)
    return f"independent values, Welch p {found.p:.1e}\n{words}"


def latent_of(cohort: MultiOmics, options: Options) -> str:
    """Correlate latent dimensions with what is known of the samples, and name the strongest."""
    assert options.latent is not None
    if not options.beside:
        raise InputError("--latent: expected what to hold it against, found nothing; give --beside")
    known = pd.DataFrame({name: known_of(cohort, name) for name in options.beside})
    latent = read_indexed(options.latent, numeric=True)
    found = correlate_latent(latent, known, options.min_pairs)
    save(found, "latent_covariates", options)
    best = found.groupby("covariate", sort=False).head(1).round(3)
    return f"strongest of {latent.shape[1]} latent dimensions\n{best.to_string(index=False)}"


def known_of(cohort: MultiOmics, name: str) -> pd.Series:
    """Return numbers by sample: a sample column, VIEW/FEATURE, or the mean over a VIEW.

    Raises:
      InputError: there is none of this name, or it is text.
    """
    view, _, feature = name.partition("/")
    if view in cohort.views:
        table = cohort.view(view)
        if feature and feature not in table:
            raise unknown(f"feature of {view}", feature, table.columns)
        return table[feature] if feature else table.mean(axis=1)
    if name not in cohort.labels:
        raise unknown("label column, VIEW or VIEW/FEATURE", name, cohort.labels.columns)
    column = cohort.labels[name]
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        raise InputError(f"label column {name!r}: expected numbers, found text; name another")
    return column.astype(float)


def save(table: pd.DataFrame, name: str, options: Options) -> None:
    """Write a table."""
    write_table(table, options.out / f"{name}.parquet", csv=True, overwrite=True)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
