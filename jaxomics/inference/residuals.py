"""Correlated residuals: what a model leaves in the measured cells tells about the hidden ones.

A decoder with independent noise says nothing about a hidden cell that the measured cells of the
same view have not said through z. Features of a view are correlated beyond that. Here the
residual r = x - f(z) of each view is a factor model,

    r_n = W u_n + e_n,   u_n ~ N(0, I_K),   e_nf ~ N(0, psi_f),

fitted to the measured cells of the training samples by expectation maximisation (Rubin and
Thayer 1982, with missing cells, and a Gaussian prior on W), and the reconstruction gains
W E[u_n | measured cells]. A view that was not measured in a sample gains nothing. The number of
factors and the prior are chosen per view on hidden training cells, no factors included, so that
the correction is used only where it helps. Residuals should be those of samples that the model
has not seen (`jaxomics.inference.crossfit`): what it leaves of others is smaller and less
correlated.

The arithmetic is a few products and small solves per view, in NumPy: compiling a program for
each width and rank would take longer than running it.
"""

from typing import NamedTuple

import numpy as np

RANKS = (8, 16, 32, 64)
"""Numbers of factors to try."""
PRIORS = (100.0, 300.0)
"""Weights of the prior on W to try: so many samples' worth of evidence that W is 0."""
LIMIT = 4.0
"""Residuals are cut here, in standard units, so that single outliers do not steer factors."""
STEPS = 15
TRIAL_STEPS = 8
HIDDEN_SHARE = 0.1
BUDGET = 5e10
"""Largest samples x features x factors^2 per step; wider views get fewer factors."""


class Factors(NamedTuple):
    """Factor model of one view's residuals, in standard units.

    Attributes:
      loading: W [features, factors]; no columns where no correction helps.
      noise: psi [features].
    """

    loading: np.ndarray
    noise: np.ndarray


def fit_views(
    output: dict[str, np.ndarray],
    target: dict[str, np.ndarray],
    observed: dict[str, np.ndarray],
    seed: int,
) -> dict[str, Factors]:
    """Return the factor model of what reconstructions leave of each view; shapes as `correct`."""
    return {
        view: fit_factors(np.where(observed[view], target[view] - values, np.nan), seed)
        for view, values in output.items()
    }


def fit_factors(residual: np.ndarray, seed: int) -> Factors:
    """Fit the factor model of one view, its rank chosen on hidden cells.

    Args:
      residual: [samples, features], standardised target minus reconstruction; NaN = not measured.
      seed: of the choice of hidden cells.
    """
    measured = ~np.isnan(residual)
    present = measured.any(axis=1)
    residual, measured = residual[present], measured[present]
    values = np.clip(np.nan_to_num(residual), -LIMIT, LIMIT).astype(np.float32)
    hidden = measured & (np.random.default_rng(seed).random(measured.shape) < HIDDEN_SHARE)
    rank, prior = _choose(values, measured, hidden)
    if rank == 0:
        features = values.shape[1]
        return Factors(np.zeros((features, 0), np.float32), np.ones(features, np.float32))
    return _learn(values, measured, rank, prior, STEPS)


def _choose(values: np.ndarray, measured: np.ndarray, hidden: np.ndarray) -> tuple[int, float]:
    """Return the number of factors, 0 for none, and the prior that predict hidden cells best.

    For each prior, numbers of factors rise until one is no better than the last.
    """
    shown = measured & ~hidden
    nothing = float(np.sum(values[hidden] ** 2))
    best, chosen = nothing, (0, PRIORS[0])
    for prior in PRIORS:
        last = nothing
        for rank in _ranks(values.shape):
            factors = _learn(values, shown, rank, prior, TRIAL_STEPS)
            error = values - predict(factors, values, shown)
            loss = float(np.sum(error[hidden] ** 2))
            if loss < best:
                best, chosen = loss, (rank, prior)
            if loss >= last:
                break
            last = loss
    return chosen


def predict(factors: Factors, residual: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """Return W E[u | measured cells], [samples, features].

    Args:
      factors: of this view.
      residual: [samples, features]; read where measured.
      measured: bool [samples, features].
    """
    cells = measured.astype(np.float32)
    mean, _ = _posterior(factors, np.where(measured, residual, 0.0).astype(np.float32), cells)
    return mean @ factors.loading.T


def correct(
    factors: dict[str, Factors],
    output: dict[str, np.ndarray],
    target: dict[str, np.ndarray],
    observed: dict[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Return reconstructions [samples, features] with the residual factors added.

    Args:
      factors: by view; views without stay as they are.
      output: reconstructions, standardised.
      target: standardised values; read where observed.
      observed: bool [samples, features].
    """
    corrected = dict(output)
    for view, fitted in factors.items():
        if fitted.loading.shape[1]:
            residual = np.clip(target[view] - output[view], -LIMIT, LIMIT)
            corrected[view] = output[view] + predict(fitted, residual, observed[view])
    return corrected


def _ranks(shape: tuple[int, int]) -> list[int]:
    """Return the ranks to try for a view of [samples, features]."""
    samples, features = shape
    most = min(samples // 4, features // 4, int((BUDGET / (samples * features)) ** 0.5))
    return [rank for rank in RANKS if rank <= most]


def _learn(
    values: np.ndarray, measured: np.ndarray, rank: int, prior: float, steps: int
) -> Factors:
    """Run expectation maximisation from the leading singular vectors."""
    cells = measured.astype(np.float32)
    filled = (values * cells).astype(np.float32)
    _, size, vectors = np.linalg.svd(filled, full_matrices=False)
    loading = vectors[:rank].T * size[:rank] / np.sqrt(len(values))
    noise = np.full(values.shape[1], 0.7 * np.sum(filled**2) / max(cells.sum(), 1.0))
    factors = Factors(loading.astype(np.float32), noise.astype(np.float32))
    for _ in range(steps):
        factors = _maximise(factors, filled, cells, prior)
    return factors


def _maximise(factors: Factors, values: np.ndarray, cells: np.ndarray, prior: float) -> Factors:
    """Take one step of expectation maximisation; `values` are 0 where `cells` is 0."""
    rank = factors.loading.shape[1]
    mean, covariance = _posterior(factors, values, cells)
    second = covariance + mean[:, :, None] * mean[:, None, :]
    features = values.shape[1]
    gram = (cells.T @ second.reshape(-1, rank * rank)).reshape(features, rank, rank)
    gram += prior * np.eye(rank, dtype=np.float32)
    loading = np.linalg.solve(gram, (values.T @ mean)[..., None])[..., 0]
    error = np.sum(cells * (values - mean @ loading.T) ** 2, axis=0)
    within = (cells.T @ covariance.reshape(-1, rank * rank)).reshape(features, rank, rank)
    error += np.sum((within @ loading[..., None])[..., 0] * loading, axis=1)
    return Factors(loading, (error + 1.0) / (np.sum(cells, axis=0) + 1.0))


def _posterior(
    factors: Factors, values: np.ndarray, cells: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean [n, factors] and covariance [n, factors, factors] of u given measured cells."""
    loading, noise = factors
    features, rank = loading.shape
    precision = cells / noise[None]
    outer = (loading[:, :, None] * loading[:, None, :]).reshape(features, rank * rank)
    inverse = np.eye(rank, dtype=np.float32) + (precision @ outer).reshape(-1, rank, rank)
    covariance = np.linalg.inv(inverse)
    mean = covariance @ ((precision * values) @ loading)[..., None]
    return mean[..., 0], covariance
