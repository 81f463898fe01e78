"""Simulated molecular views: copy number, RNA, protein, methylation and metabolites.

A view is built from a *state*: standardised noiseless scores [samples, features] that mix linear
and curved effects of the shared programs, factors of the view alone, and states of earlier views
for the same gene (dosage drives RNA, RNA drives protein and opposes methylation). Measuring adds
noise of a feature-specific share, so some features are predictable and some are pure noise.
"""

from typing import NamedTuple

import numpy as np

OWN_FACTORS = 3
"""Number of factors that belong to one view alone."""

CURVED = 8
"""Number of curved effects of the shared programs per view: half tanh, half products."""

FOCAL_EVENTS: dict[str, tuple[float, float]] = {
    "MYC": (0.10, 3.0), "ERBB2": (0.08, 3.0), "EGFR": (0.05, 3.0), "CDK4": (0.05, 3.0),
    "MDM2": (0.05, 3.0), "CDKN2A": (0.25, -3.0), "PTEN": (0.06, -3.0), "RB1": (0.05, -3.0),
    "SMAD4": (0.05, -3.0),
}  # fmt: skip
"""Genes that are often gained or lost by themselves: share of lines, dosage change."""

COPY_LEVELS = (-2.2, -0.9, 0.9, 2.2)
"""Dosages at which the copy-number category changes, from Deletion (-2) to Amplification (2)."""


class Layer(NamedTuple):
    """One simulated view, float32.

    Attributes:
      state: noiseless standard scores [samples, features], for the views that build on this one.
      signal: noiseless values in the units of the view [samples, features].
      measured: signal with noise [samples, features].
      own: factors that only this view has [samples, OWN_FACTORS].
    """

    state: np.ndarray
    signal: np.ndarray
    measured: np.ndarray
    own: np.ndarray


def standardise(values: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and variance 1; constant columns become 0."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0)
    return (centred / np.where(spread < 1e-6, 1, spread)).astype(np.float32)


def first_columns(state: np.ndarray, features: int) -> np.ndarray:
    """Return the first columns of a state, and zeros where it has no such column.

    All gene views start from one gene list, so column k is the same gene in each.
    """
    kept = state[:, :features]
    return np.pad(kept, ((0, 0), (0, features - kept.shape[1])))


def own_factors(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Return the factors of one view alone, standard scores [samples, OWN_FACTORS]."""
    return rng.standard_normal((samples, OWN_FACTORS)).astype(np.float32)


def program_state(
    rng: np.random.Generator, programs: np.ndarray, own: np.ndarray, features: int
) -> np.ndarray:
    """Return the part of a state that programs and own factors explain [samples, features].

    Shares of the variance: linear in the shared programs 0.6, curved in them 0.25 (tanh of a
    random direction, and products of two programs), linear in the view's own factors 0.15.
    """
    count = programs.shape[1]
    directions = rng.standard_normal((count, CURVED // 2)) * (3.0 / np.sqrt(count))
    left = rng.integers(count, size=CURVED // 2)
    right = (left + rng.integers(1, count, size=CURVED // 2)) % count
    curved = np.hstack([np.tanh(programs @ directions), programs[:, left] * programs[:, right]])
    total = np.zeros((len(programs), features), np.float32)
    for basis, share in ((programs, 0.60), (curved, 0.25), (own, 0.15)):
        total += np.sqrt(share) * standardise(standardise(basis) @ _loadings(rng, basis, features))
    return standardise(total)


def _loadings(rng: np.random.Generator, basis: np.ndarray, features: int) -> np.ndarray:
    """Return sparse loadings [basis, features]: one column of the basis for sure, others rarely."""
    count = basis.shape[1]
    weights = rng.standard_normal((count, features)).astype(np.float32)
    chosen = rng.random((count, features)) < 0.2
    chosen[rng.integers(count, size=features), np.arange(features)] = True
    return weights * chosen


def signal_shares(rng: np.random.Generator, features: int, mean: float) -> np.ndarray:
    """Return the share of each feature's variance that is signal; 1 in 8 features has none."""
    shares = rng.beta(6.0 * mean, 6.0 * (1.0 - mean), size=features)
    return np.where(rng.random(features) < 0.125, 0.0, shares).astype(np.float32)


def measure(
    rng: np.random.Generator, state: np.ndarray, shares: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return signal and signal plus noise [samples, features], in units of a total variance 1."""
    signal = state * np.sqrt(shares)
    noise = rng.standard_normal(state.shape, dtype=np.float32)
    noise *= np.sqrt(1.0 - shares)
    return signal, signal + noise


def copy_number(rng: np.random.Generator, programs: np.ndarray, genes: list[str]) -> Layer:
    """Return copy-number categories -2..2, mostly 0.

    Runs of 12 genes share one segment. Unstable lines have larger segment changes; the direction
    depends on the programs in part. Focal events hit the genes that are known for them.
    """
    samples, segments = len(programs), -(-len(genes) // 12)
    own = own_factors(rng, samples)
    changes = program_state(rng, programs, own, segments) + rng.standard_normal((samples, segments))
    instability = rng.gamma(2.0, 0.25, size=(samples, 1))
    dosage = (instability * changes).repeat(12, axis=1)[:, : len(genes)]
    for column, gene in enumerate(genes):
        rate, change = FOCAL_EVENTS.get(gene, (0.01, rng.choice([-3.0, 3.0])))
        dosage[:, column] += change * (rng.random(samples) < rate)
    noisy = dosage + 0.2 * rng.standard_normal(dosage.shape)
    levels, measured = ((np.digitize(d, COPY_LEVELS) - 2.0) for d in (dosage, noisy))
    return Layer(standardise(dosage), levels.astype(np.float32), measured.astype(np.float32), own)


def transcriptomics(
    rng: np.random.Generator, programs: np.ndarray, copies: np.ndarray, features: int
) -> Layer:
    """Return log2 expression; half of the genes vary little between lines."""
    own = own_factors(rng, len(programs))
    state = program_state(rng, programs, own, features)
    state = standardise(state + 0.5 * first_columns(copies, features))
    active = rng.random(features) < 0.5
    spread = np.where(active, 1.7, 0.5) * rng.lognormal(0.0, 0.2, size=features)
    mean = rng.normal(4.0, 2.0, size=features)
    return _linear(rng, state, own, mean, spread, share=0.75)


def proteomics(
    rng: np.random.Generator, programs: np.ndarray, rna: Layer, copies: np.ndarray, features: int
) -> Layer:
    """Return log protein abundance: RNA and dosage of the same gene, and programs of its own."""
    own = own_factors(rng, len(programs))
    state = program_state(rng, programs, own, features)
    state = state + first_columns(rna.state, features) + 0.2 * first_columns(copies, features)
    mean, spread = rng.normal(3.0, 1.5, size=features), rng.lognormal(-0.3, 0.25, size=features)
    return _linear(rng, standardise(state), own, mean, spread, share=0.55)


def metabolomics(rng: np.random.Generator, programs: np.ndarray, features: int) -> Layer:
    """Return log10 metabolite levels."""
    own = own_factors(rng, len(programs))
    state = program_state(rng, programs, own, features)
    mean, spread = rng.normal(5.9, 0.1, size=features), rng.lognormal(-1.2, 0.4, size=features)
    return _linear(rng, state, own, mean, spread, share=0.45)


def methylation(rng: np.random.Generator, programs: np.ndarray, rna: Layer, features: int) -> Layer:
    """Return promoter beta values in (0, 1), opposed to the expression of the same gene."""
    own = own_factors(rng, len(programs))
    state = program_state(rng, programs, own, features)
    state = standardise(state - first_columns(rna.state, features))
    centre = rng.choice([-2.5, -1.0, 1.5], size=features) + rng.normal(0.0, 0.4, size=features)
    spread = rng.choice([0.3, 1.2], size=features) * rng.lognormal(0.0, 0.2, size=features)
    layer = _linear(rng, state, own, centre, spread, share=0.6)
    return layer._replace(signal=_logistic(layer.signal), measured=_logistic(layer.measured))


def _linear(
    rng: np.random.Generator,
    state: np.ndarray,
    own: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    share: float,
) -> Layer:
    """Return the layer whose features have this mean, spread and average signal share."""
    centre, scale = mean.astype(np.float32), spread.astype(np.float32)
    parts = measure(rng, state, signal_shares(rng, state.shape[1], share))
    signal, measured = (centre + scale * part for part in parts)
    return Layer(state, signal, measured, own)


def _logistic(values: np.ndarray) -> np.ndarray:
    """Return the logistic function of float32 values."""
    return 1.0 / (1.0 + np.exp(-values))
