"""A simulated cancer cell line cohort with holes, and the complete truth behind it.

It imitates the cohort of Cai et al. 2024 (MOSA): seven views of cell lines, tissue, growth and
driver mutations, responses driven by planted biomarkers, and absences in blocks. Shared programs
act on all views, partly in curved ways, so a nonlinear model of several views has something to
find, and every claim of a model can be checked against what was planted.

>>> sim = simulate_depmap("tiny", seed=1)
>>> len(sim.cohort.samples), sim.truth["proteomics"].shape
(60, (60, 24))
>>> bool(sim.cohort.table("proteomics").isna().any(axis=None))
True
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.io import write_cohort, write_table
from jaxomics.data.missingness import block_pattern, hide_by_feature, hide_scarce
from jaxomics.data.simulated_lines import (
    UNMUTATED,
    CellLines,
    draw_lines,
    gene_names,
)
from jaxomics.data.simulated_responses import (
    crisprcas9,
    draw_essentiality,
    drug_names,
    drugresponse,
    plant_dependencies,
    plant_drugs,
    planted_effects,
)
from jaxomics.data.simulated_views import (
    Layer,
    copy_number,
    metabolomics,
    methylation,
    proteomics,
    standardise,
    transcriptomics,
)
from jaxomics.errors import InputError, unknown

VIEWS = (
    "proteomics",
    "metabolomics",
    "drugresponse",
    "crisprcas9",
    "methylation",
    "transcriptomics",
    "copynumber",
)
"""The seven views, in the order of Cai et al. 2024."""

MUTATIONS = "mutations"
"""The 0/1 table of driver mutations, measured in every line and meant as conditionals."""

MISSING_CELLS = {"proteomics": 0.32, "drugresponse": 0.25}
"""Share of cells that are missing inside a measured view."""


@dataclass(frozen=True)
class Size:
    """How large a cohort is: samples, features of each view, and mutation columns."""

    samples: int
    features: dict[str, int]
    mutations: int


def _size(samples: int, *features: int, mutations: int) -> Size:
    """Return a size from feature counts in the order of `VIEWS`."""
    return Size(samples, dict(zip(VIEWS, features, strict=True)), mutations)


SIZES: dict[str, Size] = {
    "tiny": _size(60, 24, 8, 16, 40, 30, 40, 16, mutations=12),
    "small": _size(400, 150, 40, 60, 250, 200, 300, 60, mutations=30),
    "medium": _size(1500, 700, 150, 250, 1800, 1200, 1700, 200, mutations=100),
    "paper": _size(1523, 4922, 225, 810, 17931, 14608, 15278, 777, mutations=203),
}
"""Named sizes: for tests, for a demonstration, for a study, and that of Cai et al. 2024."""


@dataclass(frozen=True)
class Simulated:
    """A cohort and everything that is true of it.

    Attributes:
      cohort: what a user would have: views with holes, labels, and the mutations table.
      truth: complete measured values, noise included: equal to the cohort where it has values.
      signal: the same without noise, for the seven views; what the best model could predict.
      biomarkers: planted effects; columns target_view, target, view, feature, effect.
      factors: shared programs (`program_0` is proliferation) and factors of single views
        (`VIEW_0`, ...) [samples, factors].
      measured: bool [samples, views]: was the line screened in this view?
    """

    cohort: MultiOmics
    truth: dict[str, pd.DataFrame]
    signal: dict[str, pd.DataFrame]
    biomarkers: pd.DataFrame
    factors: pd.DataFrame
    measured: pd.DataFrame


def simulate_depmap(size: str | Size = "small", seed: int = 0) -> Simulated:
    """Simulate a cell line cohort with the structure of the one in Cai et al. 2024.

    Same size and seed give the same values on every run. `paper` takes about ten seconds and
    1.7 GB of memory.

    Args:
      size: a name in `SIZES`, or a `Size`.
      seed: not negative.

    Raises:
      InputError: an unknown size, a size that is too small to simulate, a negative seed.
    """
    shape = _checked(size, seed)
    streams = _streams(seed)
    genes = gene_names(max(shape.features.values()))
    panel = [gene for gene in genes if gene not in UNMUTATED][: shape.mutations]
    lines = draw_lines(next(streams), shape.samples, panel)
    columns = {view: genes[:count] for view, count in shape.features.items()}
    columns["metabolomics"] = [f"METAB{i + 1:03d}" for i in range(shape.features["metabolomics"])]
    columns["drugresponse"] = drug_names(shape.features["drugresponse"])
    essentiality = draw_essentiality(next(streams), columns["crisprcas9"])
    layers, biomarkers = _draw_views(streams, lines, columns, essentiality)
    index = lines.labels.index
    signal, truth, factors = {}, {}, [lines.programs]
    for view in VIEWS:
        layer, names = layers[view], columns[view]
        signal[view] = pd.DataFrame(layer.signal, index, pd.Index(names))
        truth[view] = pd.DataFrame(layer.measured, index, pd.Index(names))
        own = [f"{view}_{i}" for i in range(layer.own.shape[1])]
        factors.append(pd.DataFrame(layer.own, index, pd.Index(own)))
    truth[MUTATIONS] = lines.mutations
    measured = block_pattern(next(streams), index, list(VIEWS))
    views = {view: _with_holes(next(streams), view, truth[view], measured) for view in VIEWS}
    classes = pd.DataFrame({"essentiality": essentiality}, pd.Index(columns["crisprcas9"]))
    cohort = MultiOmics.from_tables(
        {**views, MUTATIONS: lines.mutations}, lines.labels, {"crisprcas9": classes}
    )
    return Simulated(cohort, truth, signal, biomarkers, pd.concat(factors, axis=1), measured)


def write_simulation(sim: Simulated, path: str | Path, overwrite: bool = False) -> None:
    """Write a simulated cohort as a data folder with its truth in the subfolder `truth`.

    The folder reads like any other data set. `truth` holds the complete table of each view, and
    `truth_biomarkers.parquet` and `truth_factors.parquet`.

    Raises:
      InputError: a file exists and `overwrite` is not given.
    """
    truth = {**sim.truth, "truth_biomarkers": sim.biomarkers, "truth_factors": sim.factors}
    write_with_truth(sim.cohort, truth, path, overwrite=overwrite)


def write_with_truth(
    cohort: MultiOmics,
    truth: Mapping[str, pd.DataFrame],
    path: str | Path,
    overwrite: bool = False,
) -> None:
    """Write any simulated cohort as a data folder, and tables of truth to its `truth` subfolder.

    Raises:
      InputError: a file exists and `overwrite` is not given.
    """
    folder = Path(path)
    write_cohort(cohort, folder, overwrite=overwrite)
    for name, table in truth.items():
        write_table(table, folder / "truth" / f"{name}.parquet", overwrite=overwrite)


def _checked(size: str | Size, seed: int) -> Size:
    """Return the size meant, or raise."""
    if isinstance(size, str):
        if size not in SIZES:
            raise unknown("size", size, SIZES)
        size = SIZES[size]
    if set(size.features) != set(VIEWS):
        raise InputError(
            f"expected feature counts of the views {', '.join(VIEWS)}, "
            f"found {', '.join(size.features) or 'none'}; name all seven"
        )
    if size.samples < 30 or min(size.features.values()) < 4 or size.mutations < 4:
        raise InputError(
            "expected at least 30 samples, 4 features per view and 4 mutations, "
            f"found {size}; choose a larger size"
        )
    most = max(size.features.values()) // 2
    if size.mutations > most:
        raise InputError(
            f"expected at most {most} mutations (half of the genes), found {size.mutations}; "
            "choose fewer mutations or more genes"
        )
    if seed < 0:
        raise InputError(f"expected a seed of 0 or more, found {seed}; choose another")
    return size


def _streams(seed: int) -> Iterator[np.random.Generator]:
    """Yield independent generators, so that one part's draws do not shift the next part's."""
    sequence = np.random.SeedSequence(seed)
    while True:
        yield np.random.Generator(np.random.Philox(sequence.spawn(1)[0]))


def _draw_views(
    streams: Iterator[np.random.Generator],
    lines: CellLines,
    columns: dict[str, list[str]],
    essentiality: np.ndarray,
) -> tuple[dict[str, Layer], pd.DataFrame]:
    """Draw all views, each from its own stream, and return them with the planted biomarkers."""
    programs = lines.programs.to_numpy()
    count = {view: len(names) for view, names in columns.items()}
    copies = copy_number(next(streams), programs, columns["copynumber"])
    rna = transcriptomics(next(streams), programs, copies.state, count["transcriptomics"])
    drivers = {
        MUTATIONS: lines.mutations,
        "copynumber": pd.DataFrame(copies.measured, columns=pd.Index(columns["copynumber"])),
        "transcriptomics": pd.DataFrame(
            standardise(rna.measured), columns=pd.Index(columns["transcriptomics"])
        ),
        "labels": lines.labels[["msi"]],
    }
    genes, drugs = columns["crisprcas9"], columns["drugresponse"]
    dependencies = plant_dependencies(genes, drivers)
    sensitivities = plant_drugs(next(streams), drugs, drivers)
    protein = proteomics(next(streams), programs, rna, copies.state, count["proteomics"])
    needs = planted_effects(dependencies, genes, drivers)
    responses = planted_effects(sensitivities, drugs, drivers)
    layers = {
        "proteomics": protein,
        "metabolomics": metabolomics(next(streams), programs, count["metabolomics"]),
        "drugresponse": drugresponse(next(streams), programs, responses),
        "crisprcas9": crisprcas9(next(streams), programs, rna, needs, essentiality),
        "methylation": methylation(next(streams), programs, rna, count["methylation"]),
        "transcriptomics": rna,
        "copynumber": copies,
    }
    return layers, pd.concat([sensitivities, dependencies], ignore_index=True)


def _with_holes(
    rng: np.random.Generator, view: str, complete: pd.DataFrame, measured: pd.DataFrame
) -> pd.DataFrame:
    """Return the rows that were measured in a view, with its share of missing cells."""
    table = complete.loc[measured[view].to_numpy()]
    share = MISSING_CELLS.get(view)
    if share is None:
        return table
    values = table.to_numpy(np.float32, copy=True)
    if view == "proteomics":
        values[hide_scarce(rng, values, share)] = np.nan
    else:
        values[hide_by_feature(rng, values.shape, share)] = np.nan
    return pd.DataFrame(values, table.index, table.columns)
