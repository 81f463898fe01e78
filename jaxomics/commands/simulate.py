"""`simulate KIND`: cohorts with known truth; one function per kind, named in `cli.COMMANDS`."""

from collections.abc import Sequence
from pathlib import Path

from jaxomics.commands.options import Flag
from jaxomics.commands.outputs import refuse_folder
from jaxomics.data.container import MultiOmics
from jaxomics.data.intersim import LABEL, simulate_intersim, write_intersim
from jaxomics.data.intersim_parameters import read_parameters, stand_in
from jaxomics.data.simulate import SIZES, simulate_depmap, write_simulation
from jaxomics.data.simulated_bulk import simulate_bulk, write_bulk
from jaxomics.data.simulated_translation import simulate_translation, write_translation
from jaxomics.data.unpair import drop_pair, make_unpaired, mask_labels, shrink_class
from jaxomics.errors import InputError, unknown


def depmap(*, out: Path, size: str = "small", seed: int = 0, overwrite: Flag = False) -> Path:
    """Write a simulated cell line cohort with holes, and its truth in the subfolder `truth`.

    Seven views of cell lines, a table of mutations, labels, and planted biomarkers. The folder
    reads like any other data.

    Args:
      out: folder to write.
      size: tiny, small, medium or paper.
      seed: the same seed gives the same cohort.
      overwrite: replace existing files.

    Returns:
      The folder.
    """
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    refuse_folder(out, overwrite)
    write_simulation(simulate_depmap(size, seed), out, overwrite=overwrite)
    return out


def intersim(
    *,
    out: Path,
    n: int = 500,
    classes: int = 5,
    delta: tuple[float, float, float] = (2.0, 2.0, 2.0),
    p_dmp: float = 0.2,
    proportions: tuple[float, ...] = (),
    unpaired: Flag = False,
    shrink: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
    label_share: float = 1.0,
    parameters: Path | None = None,
    seed: int = 0,
    overwrite: Flag = False,
) -> Path:
    """Write classes of samples in three linked omics (InterSIM), and their truth in `truth`.

    Methylation, expression and protein of classes class0, class1, ... `truth` holds the complete
    tables, all labels, and which features each class shifts. The folder reads like any other
    data.

    Args:
      out: folder to write.
      n: number of samples.
      classes: number of classes.
      delta: shift of differential features in methylation, expression and protein.
      p_dmp: chance that a CpG is differential in a class.
      proportions: of the classes, in place of their number; equal by default. They sum to 1.
      unpaired: let every sample keep one view.
      shrink: classes of which each view keeps so many samples, as `class4=20`.
      remove: classes that a view loses, as `methylation=class0`, or all but so many samples, as
        `methylation=class0=2`.
      label_share: share of the labels that is kept, in each view and class.
      parameters: the original parameters, from InterSIM's source archive (`.tar.gz`) or an
        `.npz` file; without them a stand-in of the same statistics is taken.
      seed: the same seed gives the same cohort.
      overwrite: replace existing files.

    Returns:
      The folder.
    """
    if classes < 1:
        raise InputError(f"expected at least 1 class, found {classes}; raise --classes")
    refuse_folder(out, overwrite)
    source = read_parameters(parameters) if parameters else stand_in()
    shares = proportions or (1 / classes,) * classes
    sim = simulate_intersim(source, n, shares, delta, p_dmp, seed=seed)
    cohort = make_unpaired(sim.cohort, LABEL, seed) if unpaired else sim.cohort
    cohort = _reduced(cohort, shrink, remove, seed)
    if label_share != 1:
        cohort = mask_labels(cohort, LABEL, share=label_share, seed=seed)
    write_intersim(sim, out, cohort, overwrite=overwrite)
    return out


def _reduced(
    cohort: MultiOmics, shrink: Sequence[str], remove: Sequence[str], seed: int
) -> MultiOmics:
    """Return the cohort without what `shrink` and `remove` of `intersim` name."""
    for entry in shrink:
        (name,), rows = _counted(entry, "shrink", "class4=20", 2)
        cohort = shrink_class(cohort, LABEL, name, rows, seed)
    for entry in remove:
        full = entry if entry.count("=") > 1 else f"{entry}=0"
        (view, name), keep = _counted(full, "remove", "methylation=class0=2", 3)
        if view not in cohort.views:
            raise unknown("view", view, cohort.views)
        cohort = drop_pair(cohort, view, LABEL, name, keep, seed)
    return cohort


def _counted(entry: str, option: str, like: str, parts: int) -> tuple[list[str], int]:
    """Return the names and the number behind them, which an entry joins by `=`."""
    *names, rows = entry.split("=")
    if len(names) != parts - 1 or not rows.isdigit():
        raise InputError(f"expected --{option} entries like {like}, found {entry!r}; correct it")
    return names, int(rows)


def translation(
    *,
    out: Path,
    n: int = 600,
    cpgs: int = 2000,
    genes: int = 1000,
    classes: int = 34,
    factors: int = 16,
    noise: float = 0.6,
    seed: int = 0,
    overwrite: Flag = False,
) -> Path:
    """Write paired methylation and expression that share factors, and their truth in `truth`.

    A twin of tumour data for translation: classes, CpGs that silence near genes, genes that are
    never or hardly ever expressed, and feature tables with chromosomes and positions. `truth`
    holds expression without noise, the factors and the planted silencing. The folder reads like
    any other data.

    Args:
      out: folder to write.
      n: number of samples.
      cpgs: number of methylation features.
      genes: number of expression features.
      classes: number of classes.
      factors: number of shared factors.
      noise: standard deviation of what factors and CpGs do not explain, next to their 1.
      seed: the same seed gives the same cohort.
      overwrite: replace existing files.

    Returns:
      The folder.
    """
    refuse_folder(out, overwrite)
    sim = simulate_translation(n, cpgs, genes, classes, factors, noise, seed=seed)
    write_translation(sim, out, overwrite=overwrite)
    return out


def bulk(
    *,
    out: Path,
    donors: int = 500,
    atac_donors: int = 100,
    genes: int = 1000,
    peaks: int = 12_000,
    cohorts: int = 8,
    factors: int = 10,
    replicates: int = 2,
    matched: float = 0.2,
    censored: float = 0.6,
    seed: int = 0,
    overwrite: Flag = False,
) -> Path:
    """Write unpaired bulk RNA and ATAC counts of tumours, and their truth in `truth`.

    Donors share factors that both views and survival follow; library preparation and sequencer
    are partly confounded with the cohort, ATAC samples have replicates, peaks lie on a genome.
    `truth` holds factors, loadings, batch effects and hazards. The folder reads like any other
    data.

    Args:
      out: folder to write.
      donors: number of donors; each has RNA or ATAC.
      atac_donors: number of those with ATAC.
      genes: number of RNA features.
      peaks: number of ATAC features.
      cohorts: number of tumour types.
      factors: number of shared factors.
      replicates: ATAC samples of a donor.
      matched: share of ATAC donors that have RNA too.
      censored: share of donors whose time of death is not known.
      seed: the same seed gives the same cohort.
      overwrite: replace existing files.

    Returns:
      The folder.
    """
    refuse_folder(out, overwrite)
    sim = simulate_bulk(
        donors, atac_donors, genes, peaks, cohorts, factors, replicates, matched, censored,
        seed=seed,
    )  # fmt: skip
    write_bulk(sim, out, overwrite=overwrite)
    return out
