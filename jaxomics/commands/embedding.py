"""What `evaluate embedding` reads beside the embedding, and the fourth benchmark's rows."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.data.atomic import whole_file
from jaxomics.data.io import read_indexed
from jaxomics.errors import InputError, unknown
from jaxomics.figures.embedding import benchmark_panels
from jaxomics.figures.style import png
from jaxomics.metrics.components import fit_components
from jaxomics.metrics.differential import (
    differential_features,
    differential_scores,
    noise_floor,
)
from jaxomics.metrics.enrichment import enrichment, parse_gene_sets
from jaxomics.metrics.tables import SCORE_COLUMNS, join, score_rows

PARTS = 5
"""Parts of the samples; components that reconstruct one are fitted to the others."""

SHOWN = 3
"""Most gene sets that a note names."""


class Asked(NamedTuple):
    """Columns of the sample table that an evaluation names."""

    label: str
    group: str | None = None
    time: str | None = None
    event: str | None = None
    clinical: tuple[str, ...] = ()


class Known(NamedTuple):
    """What the sample table says; None where nothing was asked."""

    classes: pd.Series
    groups: pd.Series | None
    survival: pd.DataFrame | None
    clinical: pd.DataFrame | None


class Sources(NamedTuple):
    """Tables for differential features: measured, reconstructed, and paths of what is optional."""

    measured: pd.DataFrame | None
    reconstructed: pd.DataFrame
    counts: Path | None = None
    gene_sets: Path | None = None


def read_known(path: Path, asked: Asked) -> Known:
    """Read the sample table.

    Raises:
      InputError: an unknown column, a time without events, or clinical columns without a time.
    """
    table = read_indexed(path)
    if (asked.time is None) != (asked.event is None):
        raise InputError("expected --time and --event together, found one; name both columns")
    if asked.clinical and asked.time is None:
        raise InputError("expected --time and --event with --clinical, found none; name them")
    survived = [name for name in (asked.time, asked.event) if name]
    for name in (asked.label, asked.group, *survived, *asked.clinical):
        if name is not None and name not in table:
            raise unknown("label column", name, table.columns)
    repeated = table.index[table.index.duplicated()]
    if len(repeated):
        raise InputError(f"{path}: expected unique sample ids, found {repeated[0]!r} twice")
    return Known(
        pd.Series(table[asked.label]),
        pd.Series(table[asked.group]) if asked.group else None,
        pd.DataFrame(table[survived]) if survived else None,
        pd.DataFrame(table[list(asked.clinical)]) if asked.clinical else None,
    )


def read_numbers(path: Path) -> pd.DataFrame:
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


def differences(
    latent: pd.DataFrame,
    classes: pd.Series,
    sources: Sources,
    cohort: str | None,
    paired: bool,
    about: dict,
) -> tuple[pd.DataFrame, list[str]]:
    """Count the features that differ between measured and reconstructed samples of one class.

    Principal components stand beside, as many as the embedding has dimensions; those that
    reconstruct a sample are fitted to four fifths of the samples without it.

    Args:
      latent: the embedding.
      classes: class by sample.
      sources: the tables.
      cohort: the class; None takes the largest.
      paired: test within samples.
      about: dataset, model and seed of the rows.

    Returns:
      Score rows under mode `reconstruct`, and notes.

    Raises:
      InputError: no measured table, or an unknown class.
    """
    measured = sources.measured
    if measured is None:
        raise InputError(
            "expected --features, the measured table, with --reconstruction, found none; name it"
        )
    own = classes.reindex(latent.index).dropna()
    own = own[own.index.isin(measured.index)]
    chosen = _cohort(own, cohort)
    samples = own.index[own == chosen]
    sizes = (latent.shape[1], about["seed"])
    tables = {
        about["model"]: sources.reconstructed,
        "pca": _by_components(measured.reindex(own.index), samples, *sizes),
    }
    floor, told = None, []
    if sources.counts is not None:
        counts = read_numbers(sources.counts)
        here = counts.loc[counts.index.isin(samples)]
        floor = noise_floor(here, paired=paired, seed=about["seed"])
    rows = []
    for name, table in tables.items():
        truth = measured.loc[samples]
        scores = differential_scores(truth, table, paired=paired, floor=floor)
        if sources.gene_sets is not None:
            tested = differential_features(truth, table, paired=paired)
            scores["enriched_sets"], note = _enriched(tested, sources.gene_sets)
            told.append(f"{name}: {note}")
        named = {**about, "model": name, "mode": "reconstruct", "view": "features"}
        rows.append(score_rows(scores, **named))
    told.insert(0, f"differential features of {len(samples)} samples of {chosen!r}")
    return join(rows, SCORE_COLUMNS), told


def write_benchmarks(scores: pd.DataFrame, path: Path) -> None:
    """Draw the four benchmarks to a PNG file."""
    with whole_file(path) as temporary:
        temporary.write_bytes(png(benchmark_panels(scores)))


def refuse_figure(path: Path | None, overwrite: bool) -> None:
    """Raise if a figure cannot be written under a name; None is no figure.

    Raises:
      InputError: another ending than .png, or a file without `overwrite`.
    """
    if path is None:
        return
    if path.suffix != ".png":
        raise InputError(f"{path}: expected a name ending in .png; rename it")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; choose another name, or overwrite it with --overwrite")


def _cohort(classes: pd.Series, wanted: str | None) -> str:
    """Return the class to test: the wanted one, or the most frequent."""
    counts = classes.astype(str).value_counts()
    if wanted is not None and wanted not in counts.index:
        raise unknown("class", wanted, counts.index)
    return wanted or str(counts.index[0])


def _by_components(
    measured: pd.DataFrame, samples: pd.Index, count: int, seed: int
) -> pd.DataFrame:
    """Return some samples as principal components fitted to other samples restore them."""
    part = np.random.default_rng(seed).permutation(len(measured)) % PARTS
    table = measured.to_numpy(np.float64)
    wanted = measured.index.isin(samples)
    restored = np.full(table.shape, np.nan)
    for number in range(PARTS):
        rows = (part == number) & wanted
        if rows.any():
            found = fit_components(table[part != number], count, scale=True, seed=seed)
            restored[rows] = found.restore(found.place(table[rows]))
    return pd.DataFrame(restored[wanted], measured.index[wanted], measured.columns)


def _enriched(tested: pd.DataFrame, path: Path) -> tuple[float, str]:
    """Return how many gene sets are enriched among called features, and a sentence."""
    with path.open(encoding="utf-8") as lines:
        sets = parse_gene_sets(lines)
    called = tested["feature"][tested["called"]]
    table = enrichment(list(called), list(tested["feature"]), sets)
    own = table[table["fdr"] < 0.05]
    names = ", ".join(own["set"].iloc[:SHOWN]) + (", ..." if len(own) > SHOWN else "")
    found = f" ({names})" if len(own) else ""
    return float(len(own)), f"{len(own)} of {len(table)} gene sets enriched{found}"
