"""Methylation and expression of tumours that share latent factors: a twin for translation.

A sample has a class and factors t = class mean + N(0, I). CpGs follow the factors on the logit
scale, genes on the scale before a softplus, and some genes are silenced by methylation next to
them. So both the class and the sample tell about expression, and near CpGs tell more than the
factors do. As on arrays and in sequencing of tumours, some genes are never expressed, others hardly
ever. Features have places on ordered chromosomes.

The InterSIM simulator is no substitute: its views are independent given the class, so R2 per gene
cannot exceed the share of variance between classes.

>>> sim = simulate_translation(samples=50, cpgs=40, genes=30, classes=4, seed=1)
>>> {view: table.shape for view, table in sim.cohort.views.items()}
{'methylation': (50, 40), 'rna': (50, 30)}
>>> sim.cohort.features["rna"].columns.tolist()
['chromosome', 'position', 'kind']
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.locations import CHROMOSOMES
from jaxomics.data.simulate import write_with_truth
from jaxomics.errors import InputError

LABEL = "class"
"""Label column that holds the class of a sample."""

LENGTHS = np.array(
    [249, 242, 198, 190, 182, 171, 159, 145, 138, 134, 135, 133, 114, 107, 102, 90, 83, 80, 59, 64,
     47, 51, 156, 57]
)  # fmt: skip
"""Lengths of the human chromosomes in million base pairs, about, in the order of the genome."""

LOADED = 3
"""Factors that a feature follows, on average."""

NEAR = 2
"""CpGs that silence a gene under control of methylation: the nearest on its chromosome."""


class Shares(NamedTuple):
    """Shares of features.

    Attributes:
      constant: genes that are never expressed: 0 in every sample.
      silent: genes that hardly ever are: values near 0 whose variance is below 1e-4.
      silenced: active genes that methylation of near CpGs silences.
      unrelated: CpGs and active genes that do not follow the factors.
    """

    constant: float = 0.1
    silent: float = 0.1
    silenced: float = 0.4
    unrelated: float = 0.15


SHARES = Shares()
"""The shares that hold where none are given."""


@dataclass(frozen=True)
class Translation:
    """A simulated cohort, complete and paired, and what is true of it.

    Attributes:
      cohort: `methylation` as beta values in (0, 1) and `rna` as log expression of 0 or more;
        classes in the label column `LABEL`; feature tables with `chromosome` and `position`, in
        that order, and for genes the `kind`: `active`, `silent` or `constant`.
      signal: expression without noise [samples, genes], given factors and methylation: what no
        translator can surpass.
      factors: [samples, factors].
      cis: planted silencing; columns gene, cpg, effect.
    """

    cohort: MultiOmics
    signal: pd.DataFrame
    factors: pd.DataFrame
    cis: pd.DataFrame


def simulate_translation(
    samples: int = 600,
    cpgs: int = 2000,
    genes: int = 1000,
    classes: int = 34,
    factors: int = 16,
    noise: float = 0.6,
    shares: Shares = SHARES,
    seed: int = 0,
) -> Translation:
    """Simulate paired methylation and expression.

    Same arguments give the same values on every run.

    Args:
      samples, cpgs, genes: sizes.
      classes: tumour types; sizes differ, each has a sample at least.
      factors: shared by both views.
      noise: standard deviation of what factors and CpGs do not explain, next to their 1.
      shares: of special features.
      seed: not negative.

    Raises:
      InputError: sizes too small, more classes than samples, shares that leave no active gene, a
        negative noise or seed.
    """
    _check(samples, cpgs, genes, classes, factors, noise, shares, seed)
    streams = [
        np.random.Generator(np.random.Philox(s)) for s in np.random.SeedSequence(seed).spawn(5)
    ]
    group, t = _draw_factors(streams[0], samples, classes, factors)
    probes, places = _locations(streams[1], cpgs, "cg"), _locations(streams[1], genes, "GENE")
    logit = _draw_logit(streams[2], t, cpgs, noise, shares)
    kind = _draw_kinds(streams[3], genes, shares)
    cis = _draw_cis(streams[3], probes, places.assign(kind=kind), shares)
    signal, measured = _draw_expression(streams[4], t, logit, kind, cis, noise, shares)
    index = pd.Index([f"S{i:0{len(str(samples - 1))}d}" for i in range(samples)], name="sample")
    tables = {
        "methylation": pd.DataFrame(1 / (1 + np.exp(-logit)), index, probes.index),
        "rna": pd.DataFrame(measured, index, places.index),
    }
    width = len(str(classes - 1))
    labels = pd.DataFrame({LABEL: [f"type{i:0{width}d}" for i in group]}, index)
    annotations = {"methylation": probes, "rna": places.assign(kind=kind)}
    named = cis.assign(gene=places.index[cis["gene"]], cpg=probes.index[cis["cpg"]])
    return Translation(
        MultiOmics.from_tables(tables, labels, annotations),
        pd.DataFrame(signal, index, places.index),
        pd.DataFrame(t, index).add_prefix("factor"),
        named,
    )


def write_translation(sim: Translation, path: str | Path, overwrite: bool = False) -> None:
    """Write a simulated cohort as a data folder with its truth in the subfolder `truth`.

    `truth` holds the complete tables, and `truth_signal`, `truth_factors` and `truth_cis`.

    Raises:
      InputError: a file exists and `overwrite` is not given.
    """
    truth = {"truth_signal": sim.signal, "truth_factors": sim.factors, "truth_cis": sim.cis}
    write_with_truth(sim.cohort, {**sim.cohort.views, **truth}, path, overwrite=overwrite)


def _check(
    samples: int,
    cpgs: int,
    genes: int,
    classes: int,
    factors: int,
    noise: float,
    shares: Shares,
    seed: int,
) -> None:
    """Raise if a cohort cannot be simulated."""
    least = {"samples": (samples, 4), "cpgs": (cpgs, 10), "genes": (genes, 10)}
    least |= {"classes": (classes, 1), "factors": (factors, 1), "seed": (seed, 0)}
    for name, (found, wanted) in least.items():
        if found < wanted:
            raise InputError(f"expected {name} of {wanted} or more, found {found}; raise it")
    if classes > samples:
        raise InputError(
            f"expected no more classes than samples, found {classes} and {samples}; lower classes"
        )
    if noise < 0 or min(shares) < 0 or max(shares) > 1 or shares.constant + shares.silent >= 1:
        raise InputError(
            f"expected noise of 0 or more and shares from 0 to 1 that leave active genes, found "
            f"{noise} and {shares}; change them"
        )


def _draw_factors(
    random: np.random.Generator, samples: int, classes: int, factors: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each sample's class, of unequal sizes, and its factors [samples, factors]."""
    weight = random.gamma(2.0, size=classes)
    group = np.concatenate(
        [np.arange(classes), random.choice(classes, samples - classes, p=weight / weight.sum())]
    )
    group = random.permutation(group)
    means = random.normal(size=(classes, factors))
    return group, means[group] + random.normal(size=(samples, factors))


def _locations(random: np.random.Generator, count: int, prefix: str) -> pd.DataFrame:
    """Return named features with chromosome and position, in the order of the genome."""
    chromosome = np.sort(random.choice(len(LENGTHS), count, p=LENGTHS / LENGTHS.sum()))
    position = (random.random(count) * LENGTHS[chromosome] * 1e6).astype(np.int64)
    order = np.lexsort((position, chromosome))
    names = [f"{prefix}{i + 1:0{len(str(count))}d}" for i in range(count)]
    columns = {
        "chromosome": np.array(CHROMOSOMES)[chromosome[order]],
        "position": position[order],
    }
    return pd.DataFrame(columns, pd.Index(names, name="feature"))


def _loadings(
    random: np.random.Generator, factors: int, features: int, unrelated: float
) -> np.ndarray:
    """Return sparse loadings [factors, features] that give features a variance of about 1."""
    chosen = random.random((factors, features)) < min(LOADED / factors, 1.0)
    chosen[random.integers(factors, size=features), np.arange(features)] = True
    weights = np.where(chosen, random.normal(size=chosen.shape), 0.0)
    weights /= np.sqrt(2 * (weights**2).sum(axis=0))  # factors have variance 2: class and sample
    return np.where(random.random(features) < unrelated, 0.0, weights)


def _draw_logit(
    random: np.random.Generator, t: np.ndarray, cpgs: int, noise: float, shares: Shares
) -> np.ndarray:
    """Return methylation on the logit scale [samples, cpgs]: low, high and intermediate CpGs."""
    level = random.choice([-2.5, 0.0, 2.0], size=cpgs) + random.normal(0.0, 0.5, size=cpgs)
    spread = random.lognormal(0.0, 0.3, size=cpgs)
    state = t @ _loadings(random, t.shape[1], cpgs, shares.unrelated)
    return level + spread * (state + noise * random.normal(size=state.shape))


def _draw_kinds(random: np.random.Generator, genes: int, shares: Shares) -> np.ndarray:
    """Return `active`, `silent` or `constant` per gene, in the shares asked for."""
    silent, constant = (round(share * genes) for share in (shares.silent, shares.constant))
    kinds = ["constant"] * constant + ["silent"] * silent
    return random.permutation(kinds + ["active"] * (genes - len(kinds)))


def _draw_cis(
    random: np.random.Generator, probes: pd.DataFrame, genes: pd.DataFrame, shares: Shares
) -> pd.DataFrame:
    """Return which CpGs silence which active genes: numbers of both, and the effect, below 0."""
    rows = []
    for number, gene in enumerate(genes.itertuples()):
        same = np.flatnonzero(probes["chromosome"] == gene.chromosome)
        drawn = random.random() < shares.silenced
        effects = -random.uniform(0.4, 1.0, size=NEAR)
        if gene.kind != "active" or not drawn or not len(same):
            continue
        distance = np.abs(probes["position"].to_numpy()[same] - gene.position)
        nearest = same[np.argsort(distance)[:NEAR]]
        rows += [(number, int(cpg), effect) for cpg, effect in zip(nearest, effects, strict=False)]
    kinds = {"gene": int, "cpg": int, "effect": float}
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _draw_expression(
    random: np.random.Generator,
    t: np.ndarray,
    logit: np.ndarray,
    kind: np.ndarray,
    cis: pd.DataFrame,
    noise: float,
    shares: Shares,
) -> tuple[np.ndarray, np.ndarray]:
    """Return expression without and with noise, both [samples, genes], 0 or more."""
    state = t @ _loadings(random, t.shape[1], len(kind), shares.unrelated)
    level = random.normal(2.5, 1.5, size=len(kind))
    scale = random.lognormal(0.0, 0.3, size=len(kind))
    opposed = (logit - logit.mean(axis=0)) / np.maximum(logit.std(axis=0), 1e-12)
    for gene, cpg, effect in cis.itertuples(index=False):
        state[:, gene] += effect * opposed[:, cpg]
    level = np.where(kind == "active", level, random.uniform(-10, -5, size=len(kind)))
    scale = np.where(kind == "active", scale, 0.3)
    expressed = kind != "constant"
    noisy = state + noise * random.normal(size=state.shape)
    signal, measured = (_softplus(level + scale * part) * expressed for part in (state, noisy))
    return signal, measured


def _softplus(values: np.ndarray) -> np.ndarray:
    """Return log(1 + exp(values)), without overflow."""
    return np.logaddexp(0.0, values)
