"""Confidence intervals of per-feature scores: samples are redrawn, all features at once.

A redrawn cohort is a row of counts, how often each sample was drawn (Efron and Tibshirani 1993).
Correlations and squared errors are then functions of weighted sums, so all draws of all features
are a few matrix products: [draws, samples] by [samples, features].
"""

from typing import NamedTuple

import numpy as np

from jaxomics.errors import InputError
from jaxomics.metrics.correlation import MIN_PAIRS, defined_mean

CELLS = 2**22
"""Cells of a matrix [samples + draws, features of a chunk]; bounds the memory."""


class Interval(NamedTuple):
    """Lower and upper end, both [features]; NaN where there is no score."""

    low: np.ndarray
    high: np.ndarray


def bootstrap_intervals(
    truth: np.ndarray,
    predicted: np.ndarray,
    reference: np.ndarray,
    *,
    draws: int = 200,
    level: float = 0.95,
    seed: int = 0,
    groups: np.ndarray | None = None,
) -> dict[str, Interval]:
    """Return percentile intervals of r and of the relative squared error of each feature.

    Args:
      truth: [samples, features], NaN = not scored.
      predicted: the same shape, NaN = no prediction.
      reference: broadcasts to that shape; see `relative_squared_error`.
      draws: how often the samples are redrawn.
      level: share of the draws inside the interval.
      seed: of the draws; they are the same for every feature.
      groups: int [samples]; samples of one number are drawn together, since they are not
        independent. Every sample by itself by default.

    Returns:
      `pearson` and `relative_error`. A feature with fewer than `MIN_PAIRS` pairs has no interval
      of r. Draws in which a score is undefined are left out.

    Raises:
      InputError: fewer than 2 draws, or a level outside (0, 1).
    """
    if draws < 2 or not 0 < level < 1:
        raise InputError(
            f"expected 2 or more draws and a level between 0 and 1, found {draws} and {level}"
        )
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    reference = np.broadcast_to(np.asarray(reference, np.float64), truth.shape)
    used = (~np.isnan(truth) & ~np.isnan(predicted)).any(axis=1)
    truth, predicted, reference = truth[used], predicted[used], reference[used]
    own = np.arange(len(truth)) if groups is None else np.asarray(groups)[used]
    counts = draw_counts(own, draws, seed)
    features = truth.shape[1]
    width = max(CELLS // (len(truth) + draws), 1)
    parts = [
        _chunk(truth[:, c], predicted[:, c], reference[:, c], counts, level)
        for c in (slice(start, start + width) for start in range(0, max(features, 1), width))
    ]
    return {
        name: Interval(*(np.concatenate([part[i][end] for part in parts]) for end in (0, 1)))
        for i, name in enumerate(("pearson", "relative_error"))
    }


def draw_counts(groups: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return float64 [draws, samples]: how often each sample is drawn, groups as a whole.

    >>> draw_counts(np.array([4, 4, 9]), 2, seed=0)
    array([[1., 1., 1.],
           [1., 1., 1.]])
    """
    _, member = np.unique(groups, return_inverse=True)
    size = int(member.max(initial=-1)) + 1
    if not size:
        return np.zeros((draws, 0))
    drawn = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=draws)
    return drawn[:, member].astype(np.float64)


def _chunk(
    truth: np.ndarray,
    predicted: np.ndarray,
    reference: np.ndarray,
    counts: np.ndarray,
    level: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of both intervals for some features, each [2, features]."""
    seen = ~np.isnan(truth) & ~np.isnan(predicted)
    r = _correlations(truth, predicted, seen, counts)
    r[:, seen.sum(axis=0) < MIN_PAIRS] = np.nan
    error = counts @ np.where(seen, truth - predicted, 0.0) ** 2
    usable = seen & ~np.isnan(reference)
    total = counts @ np.where(usable, truth - reference, 0.0) ** 2
    relative = np.divide(error, total, out=np.full(error.shape, np.nan), where=total > 0)
    ends = np.array([(1 - level) / 2, (1 + level) / 2])
    return _quantiles(r, ends), _quantiles(relative, ends)


def _correlations(
    truth: np.ndarray, predicted: np.ndarray, seen: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """Return r of each draw [draws, features], from weighted sums of centred values."""
    x, y = (
        np.where(seen, values - defined_mean(np.where(seen, values, np.nan), 0), 0.0)
        for values in (truth, predicted)
    )
    n = np.maximum(counts @ seen.astype(np.float64), 1.0)
    sum_x, sum_y = counts @ x, counts @ y
    var_x = counts @ x**2 - sum_x**2 / n
    var_y = counts @ y**2 - sum_y**2 / n
    varies = (var_x > 1e-12 * (x**2).sum(axis=0)) & (var_y > 1e-12 * (y**2).sum(axis=0))
    covariance = counts @ (x * y) - sum_x * sum_y / n
    size = np.sqrt(np.where(varies, var_x * var_y, 1.0))
    return np.where(varies, np.clip(covariance / size, -1.0, 1.0), np.nan)


def _quantiles(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return quantiles [shares, features] of the draws that are not NaN, NaN of none.

    The linear rule of `numpy.quantile`, for all columns at once.
    """
    ordered = np.sort(values, axis=0)  # NaN last
    count = (~np.isnan(values)).sum(axis=0)
    place = shares[:, None] * np.maximum(count - 1, 0)
    below = np.floor(place).astype(int)
    low = np.take_along_axis(ordered, below, axis=0)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    high = np.take_along_axis(ordered, above, axis=0)
    return low + (place - below) * (high - low)
