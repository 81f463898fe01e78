"""Bulk RNA and ATAC counts of donors that share factors: a twin of unpaired tumour cohorts.

A donor has factors u = mean of the cohort + N(0, 0.5²), with means from N(0, 1). Log means of genes
and peaks are linear in u; loadings of peaks are smoothed along the genome, so that neighbours
agree, and genes follow the peaks at their start in part. Library preparation and sequencer add
effects on the log scale and are partly confounded with the cohort; counts are Poisson. Every ATAC
donor has replicates, few of them have RNA too, and survival follows the first two factors. The
setting is that of Nagaraj et al. 2023.

>>> sim = simulate_bulk(donors=40, atac_donors=10, genes=30, peaks=200, cohorts=3, seed=1)
>>> {view: table.shape for view, table in sim.cohort.views.items()}
{'rna': (32, 30), 'atac': (20, 200)}
>>> sim.cohort.features["atac"].columns.tolist()
['chrom', 'start', 'end']
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from jaxomics.data.container import MultiOmics
from jaxomics.data.locations import CHROMOSOMES
from jaxomics.data.simulate import write_with_truth
from jaxomics.data.simulated_translation import LENGTHS
from jaxomics.errors import InputError

SPREAD = 0.5
"""Standard deviation of a donor's factors around the mean of the cohort."""

NEIGHBOURS = 20
"""Standard deviation, in peaks, of the kernel that smooths loadings along the genome."""

HAZARD = (0.7, -0.5)
"""Weight of the first two factors in the logarithm of the hazard."""

PEAK_WIDTH, GAP = 501, 5000
"""Base pairs of a peak, and on average between two: as in the atlas of tumours."""

BATCHES = {"library_prep": 3, "sequencer": 2}
"""Levels of each technical factor."""

SILENT = 0.03
"""Share of features without a count."""

ROWS = 64
"""Samples drawn at once, so that wide tables need little more memory than their counts."""


class Effects(NamedTuple):
    """How strong what is planted is.

    Attributes:
      signal: standard deviation over cohorts of the log mean of a feature.
      batch: standard deviation over features of the effect of a level, on the log scale.
      depth: standard deviation of the logarithm of the library size.
      confounded: share of samples that have the level which their cohort prefers.
      linked: correlation of a gene's loadings with those of the peaks at its start; 0 leaves the
        views nothing in common but the factors.
    """

    signal: float = 0.6
    batch: float = 0.3
    depth: float = 0.3
    confounded: float = 0.6
    linked: float = 0.7


EFFECTS = Effects()
"""The effects that hold where none are given."""


class Truth(NamedTuple):
    """What is true of a simulated cohort.

    Attributes:
      factors: [donors, factors].
      loadings: by view, [features, factors].
      batches: by view, [features, levels] effects on the log scale; columns like
        `sequencer=level0`.
      survival: by donor, log_hazard, and os_time as it would be without censoring.
    """

    factors: pd.DataFrame
    loadings: dict[str, pd.DataFrame]
    batches: dict[str, pd.DataFrame]
    survival: pd.DataFrame


class Bulk(NamedTuple):
    """A simulated cohort and what is true of it.

    Attributes:
      cohort: views `rna` and `atac`, counts; a sample has one of them. Labels donor, cohort,
        subtype, age, sex, ethnicity, library_prep, sequencer, os_time, os_event; feature tables
        with chrom, tss, strand (rna) and chrom, start, end (atac, in the order of the genome).
      truth: see `Truth`.
    """

    cohort: MultiOmics
    truth: Truth


def simulate_bulk(
    donors: int = 500,
    atac_donors: int = 100,
    genes: int = 1000,
    peaks: int = 12_000,
    cohorts: int = 8,
    factors: int = 10,
    replicates: int = 2,
    matched: float = 0.2,
    censored: float = 0.6,
    effects: Effects = EFFECTS,
    seed: int = 0,
) -> Bulk:
    """Simulate unpaired bulk RNA and ATAC counts.

    Same arguments give the same values on every run.

    Args:
      donors: how many there are; each has RNA or ATAC.
      atac_donors: those with ATAC.
      genes, peaks: numbers of features.
      cohorts: tumour types; sizes differ, each has a donor with RNA and one with ATAC at least.
      factors: of a donor; 3 or more.
      replicates: ATAC samples of a donor.
      matched: share of the ATAC donors that have an RNA sample as well.
      censored: share of donors whose time of death is not known; censoring is uniform.
      effects: what is planted.
      seed: not negative.

    Raises:
      InputError: sizes too small, or a share that is none.
    """
    _check(donors, atac_donors, genes, peaks, cohorts, factors, replicates, seed)
    _check_shares(matched=matched, censored=censored, **_shares(effects))
    streams = [
        np.random.Generator(np.random.Philox(s)) for s in np.random.SeedSequence(seed).spawn(6)
    ]
    people, u = _draw_donors(streams[0], donors, atac_donors, cohorts, factors)
    survival = _draw_survival(streams[1], u, censored)
    people = people.join(survival[["os_time", "os_event"]])
    chosen = _matched(people["cohort"].to_numpy()[:atac_donors], matched)
    sheet = _draw_samples(streams[2], people, atac_donors, replicates, chosen, effects.confounded)
    places = {"atac": _draw_peaks(streams[3], peaks)}
    places["rna"] = _draw_genes(streams[3], places["atac"], genes)
    loadings = _draw_loadings(streams[4], places, factors, effects)
    views, batches = {}, {}
    for view, level in (("rna", 3.0), ("atac", 1.0)):
        rows = sheet[sheet["view"] == view]
        batches[view] = _draw_batches(streams[5], loadings[view].index, effects.batch)
        views[view] = _draw_counts(
            streams[5], rows, u, loadings[view], batches[view], level, effects.depth
        )
    cohort = MultiOmics.from_tables(
        views, sheet.drop(columns="view"), {view: places[view] for view in views}
    )
    hazard = survival[["log_hazard", "true_time"]].rename(columns={"true_time": "os_time"})
    return Bulk(cohort, Truth(u, loadings, batches, hazard))


def write_bulk(sim: Bulk, path: str | Path, overwrite: bool = False) -> None:
    """Write a simulated cohort as a data folder with its truth in the subfolder `truth`.

    `truth` holds `truth_factors`, `truth_survival`, and for each view `truth_loadings_VIEW` and
    `truth_batches_VIEW`.

    Raises:
      InputError: a file exists and `overwrite` is not given.
    """
    truth = {"truth_factors": sim.truth.factors, "truth_survival": sim.truth.survival}
    truth |= {f"truth_loadings_{view}": table for view, table in sim.truth.loadings.items()}
    truth |= {f"truth_batches_{view}": table for view, table in sim.truth.batches.items()}
    write_with_truth(sim.cohort, truth, path, overwrite=overwrite)


def _check(
    donors: int,
    atac_donors: int,
    genes: int,
    peaks: int,
    cohorts: int,
    factors: int,
    replicates: int,
    seed: int,
) -> None:
    """Raise if a cohort cannot be simulated."""
    least = {"cohorts": (cohorts, 1), "atac_donors": (atac_donors, max(cohorts, 2))}
    least |= {"donors": (donors, atac_donors + cohorts), "genes": (genes, 2), "peaks": (peaks, 24)}
    least |= {"factors": (factors, 3), "replicates": (replicates, 1), "seed": (seed, 0)}
    for name, (found, wanted) in least.items():
        if found < wanted:
            raise InputError(f"expected {name} of {wanted} or more, found {found}; raise it")


def _shares(effects: Effects) -> dict[str, float]:
    """Return those of the effects that are shares."""
    return {"confounded": effects.confounded, "linked": effects.linked}


def _check_shares(**shares: float) -> None:
    """Raise if a share is not from 0 to 1; someone always dies."""
    for name, found in shares.items():
        if not 0 <= found <= 1 or (name == "censored" and found == 1):
            raise InputError(f"expected {name} as a share from 0 to 1, found {found}; change it")


def _draw_donors(
    random: np.random.Generator, donors: int, atac_donors: int, cohorts: int, factors: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what is known of donors, those with ATAC first, and their factors."""
    weight = random.gamma(4.0, size=cohorts)
    means = random.normal(size=(cohorts, factors))
    kinds = [
        np.r_[np.arange(cohorts), random.choice(cohorts, n - cohorts, p=weight / weight.sum())]
        for n in (atac_donors, donors - atac_donors)
    ]
    kind = np.concatenate([random.permutation(part) for part in kinds])
    own = SPREAD * random.normal(size=(donors, factors))
    names = [f"D{i:0{len(str(donors - 1))}d}" for i in range(donors)]
    index = pd.Index(names, name="donor")
    cohort = np.array([f"type{i:0{len(str(cohorts - 1))}d}" for i in range(cohorts)])[kind]
    people = {
        "cohort": cohort,
        "subtype": np.char.add(cohort, np.where(own[:, 2] > 0, "a", "b")),
        "age": np.clip(random.normal(60, 12, donors).round(), 20, 90),
        "sex": random.choice(["female", "male"], donors),
        "ethnicity": random.choice(["A", "B", "C"], donors, p=[0.6, 0.25, 0.15]),
    }
    u = pd.DataFrame(means[kind] + own, index).add_prefix("factor")
    return pd.DataFrame(people, index), u


def _draw_survival(random: np.random.Generator, u: pd.DataFrame, censored: float) -> pd.DataFrame:
    """Return log_hazard, true_time, os_time (days) and os_event of each donor.

    Censoring is uniform from 0 to an end that lets the share asked for be censored.
    """
    hazard = u.iloc[:, :2].to_numpy() @ np.array(HAZARD)
    time = random.exponential(size=len(u)) * np.exp(-hazard) * 1000.0
    share = random.uniform(size=len(u))
    end = np.quantile(time / share, 1 - censored)
    seen = time / share <= end
    columns = {
        "log_hazard": hazard,
        "true_time": time,
        "os_time": np.where(seen, time, share * end),
        "os_event": seen.astype(np.float64),
    }
    return pd.DataFrame(columns, u.index)


def _matched(cohort: np.ndarray, share: float) -> np.ndarray:
    """Return the positions of a share of the donors, spread over all cohorts."""
    count = round(share * len(cohort))
    places = np.floor((np.arange(count) + 0.5) * len(cohort) / max(count, 1)).astype(int)
    return np.sort(np.argsort(cohort, kind="stable")[places])


def _draw_samples(
    random: np.random.Generator,
    people: pd.DataFrame,
    atac_donors: int,
    replicates: int,
    matched: np.ndarray,
    confounded: float,
) -> pd.DataFrame:
    """Return the sample sheet: `view`, `donor`, what is known of the donor, technical factors."""
    with_atac = np.repeat(np.arange(atac_donors), replicates)
    with_rna = np.r_[matched, np.arange(atac_donors, len(people))]
    donor = people.index[np.r_[with_atac, with_rna]]
    ends = np.r_[np.tile([f"A{i + 1}" for i in range(replicates)], atac_donors),
                 np.repeat("R", len(with_rna))]  # fmt: skip
    index = pd.Index([f"{name}-{end}" for name, end in zip(donor, ends, strict=True)])
    sheet = people.loc[donor].set_axis(index, axis=0)
    view = np.where(np.arange(len(index)) < len(with_atac), "atac", "rna")
    preferred = pd.factorize(sheet["cohort"], sort=True)[0]
    technical = {}
    for name, levels in BATCHES.items():
        any_level = random.integers(levels, size=len(index))
        own = random.uniform(size=len(index)) < confounded
        chosen = np.where(own, preferred % levels, any_level)
        technical[name] = [f"level{i}" for i in chosen]
        preferred = preferred // levels
    sheet.insert(0, "donor", donor.to_numpy())
    return sheet.assign(view=view, **technical)


def _draw_peaks(random: np.random.Generator, count: int) -> pd.DataFrame:
    """Return peaks with chrom, start and end, in order and without overlap.

    The genome shrinks with the number of peaks: they lie as dense as in data.
    """
    chromosome = np.sort(random.choice(len(LENGTHS), count, p=LENGTHS / LENGTHS.sum()))
    gap = PEAK_WIDTH + 1 + random.exponential(GAP, size=count).astype(np.int64)
    end = pd.Series(gap).groupby(chromosome).cumsum().to_numpy()
    names = pd.Index([f"PEAK{i + 1:0{len(str(count))}d}" for i in range(count)], name="feature")
    chrom = [f"chr{CHROMOSOMES[i]}" for i in chromosome]
    return pd.DataFrame({"chrom": chrom, "start": end - PEAK_WIDTH, "end": end}, names)


def _draw_genes(random: np.random.Generator, peaks: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return genes with chrom, tss and strand, in order; each starts near some peak."""
    near = np.sort(random.integers(len(peaks), size=count))
    distance = random.normal(0, GAP, size=count).astype(np.int64)
    columns = {
        "chrom": peaks["chrom"].to_numpy()[near],
        "tss": np.maximum(peaks["start"].to_numpy()[near] + distance, 1),
        "strand": random.choice(["+", "-"], count),
    }
    names = [f"GENE{i + 1:0{len(str(count))}d}" for i in range(count)]
    genes = pd.DataFrame(columns).assign(chromosome=pd.factorize(columns["chrom"])[0])
    genes = genes.sort_values(["chromosome", "tss"], kind="stable").drop(columns="chromosome")
    return genes.set_axis(pd.Index(names, name="feature"), axis=0)


def _draw_loadings(
    random: np.random.Generator, places: dict[str, pd.DataFrame], factors: int, effects: Effects
) -> dict[str, pd.DataFrame]:
    """Return loadings [features, factors] by view; those of peaks are smooth on a chromosome."""
    peaks, genes = places["atac"], places["rna"]
    raw = random.normal(size=(len(peaks), factors))
    smooth = np.zeros_like(raw)
    for chrom in peaks["chrom"].unique():
        rows = (peaks["chrom"] == chrom).to_numpy()
        smooth[rows] = gaussian_filter1d(raw[rows], NEIGHBOURS, axis=0)
    smooth /= np.maximum(np.sqrt((smooth**2).mean(axis=1, keepdims=True)), 1e-12)
    local = smooth[_nearest_peak(peaks, genes)]
    own = random.normal(size=local.shape)
    mixed = effects.linked * local + np.sqrt(1 - effects.linked**2) * own
    scale = effects.signal / np.sqrt(factors)
    columns = [f"factor{i}" for i in range(factors)]
    return {
        "rna": pd.DataFrame(scale * mixed, genes.index, columns),
        "atac": pd.DataFrame(scale * smooth, peaks.index, columns),
    }


def _nearest_peak(peaks: pd.DataFrame, genes: pd.DataFrame) -> np.ndarray:
    """Return the number of the peak that lies nearest to each gene's start."""
    nearest = np.zeros(len(genes), int)
    middle = ((peaks["start"] + peaks["end"]) // 2).to_numpy()
    for chrom in genes["chrom"].unique():
        rows = np.flatnonzero(genes["chrom"] == chrom)
        there = np.flatnonzero(peaks["chrom"] == chrom)
        distance = np.abs(middle[there] - genes["tss"].to_numpy()[rows, None])
        nearest[rows] = there[distance.argmin(axis=1)]
    return nearest


def _draw_batches(random: np.random.Generator, features: pd.Index, batch: float) -> pd.DataFrame:
    """Return the effect of each technical level on each feature, [features, levels]."""
    names = [f"{name}=level{i}" for name, levels in BATCHES.items() for i in range(levels)]
    return pd.DataFrame(batch * random.normal(size=(len(features), len(names))), features, names)


def _draw_counts(
    random: np.random.Generator,
    sheet: pd.DataFrame,
    u: pd.DataFrame,
    loadings: pd.DataFrame,
    batches: pd.DataFrame,
    level: float,
    depth: float,
) -> pd.DataFrame:
    """Return Poisson counts, float32 [samples, features]; `level` is the mean log mean."""
    base = random.normal(level, 1.0, size=len(loadings))
    base[random.random(len(loadings)) < SILENT] = -np.inf
    pairs = [column.split("=") for column in batches.columns]
    design = np.stack([(sheet[name] == own).to_numpy(np.float64) for name, own in pairs], axis=1)
    known = np.hstack([u.loc[sheet["donor"]].to_numpy(), design])
    weights = np.hstack([loadings.to_numpy(), batches.to_numpy()]).T
    size = random.normal(0.0, depth, size=len(sheet))
    counts = np.empty((len(sheet), len(loadings)), np.float32)
    for first in range(0, len(sheet), ROWS):
        rows = slice(first, first + ROWS)
        counts[rows] = random.poisson(np.exp(base + known[rows] @ weights + size[rows, None]))
    return pd.DataFrame(counts, sheet.index, loadings.index)
