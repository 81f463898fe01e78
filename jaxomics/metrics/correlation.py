"""Agreement of two arrays with missing cells, per feature, per sample or pooled.

All functions compute in float64 and use the cells that both arrays have. Correlations follow the
rule of Cai et al. 2024: with 15 or fewer pairs, or a constant side, the answer is NaN.
"""

import numpy as np
import pandas as pd

MIN_PAIRS = 16
"""Fewest pairs that give a correlation."""


def pearson(
    truth: np.ndarray, predicted: np.ndarray, axis: int | None = 0, min_pairs: int = MIN_PAIRS
) -> np.ndarray:
    """Return Pearson correlations over the pairs without NaN.

    Args:
      truth: any shape.
      predicted: the same shape.
      axis: the axis that is correlated away; None pools all cells into one number.
      min_pairs: fewer pairs give NaN.

    Raises:
      ValueError: the shapes differ.

    >>> float(pearson(np.array([1.0, 2, 3, np.nan]), np.array([2.0, 4, 6, 0]), min_pairs=3))
    1.0
    """
    x, y, axis = _pairs(truth, predicted, axis)
    seen = ~np.isnan(x)
    count = seen.sum(axis=axis)
    dx, dy = _centred(x, seen, axis), _centred(y, seen, axis)
    covariance = (dx * dy).sum(axis=axis)
    size = np.sqrt((dx**2).sum(axis=axis) * (dy**2).sum(axis=axis))
    valid = (count >= min_pairs) & ~_constant(x, axis) & ~_constant(y, axis) & (size > 0)
    r = np.divide(covariance, size, out=np.full(np.shape(size), np.nan), where=valid)
    return np.clip(r, -1, 1)


def spearman(
    truth: np.ndarray, predicted: np.ndarray, axis: int | None = 0, min_pairs: int = MIN_PAIRS
) -> np.ndarray:
    """Return Spearman rank correlations (ties get mean ranks); arguments as in `pearson`."""
    x, y, axis = _pairs(truth, predicted, axis)
    return pearson(_ranks(x, axis), _ranks(y, axis), axis, min_pairs)


def mean_squared_error(
    truth: np.ndarray, predicted: np.ndarray, axis: int | None = 0
) -> np.ndarray:
    """Return the mean squared difference over the pairs, NaN where there are none."""
    x, y, axis = _pairs(truth, predicted, axis)
    return defined_mean((x - y) ** 2, axis)


def relative_squared_error(
    truth: np.ndarray, predicted: np.ndarray, reference: np.ndarray, axis: int | None = 0
) -> np.ndarray:
    """Return the squared error as a share of that of a reference prediction.

    With the training means as reference, 1 is no better than the mean and 0 is perfect.

    Args:
      truth: [samples, features].
      predicted: the same shape.
      reference: any shape that broadcasts to it, for instance [features].
      axis: the axis summed away; None pools.

    Returns:
      NaN where there are no pairs or the reference is without error.
    """
    x, y, axis = _pairs(truth, predicted, axis)
    baseline = np.broadcast_to(np.asarray(reference, np.float64), np.shape(truth)).reshape(x.shape)
    usable = ~np.isnan(x) & ~np.isnan(baseline)
    error = np.where(usable, (x - y) ** 2, 0).sum(axis=axis)
    total = np.where(usable, (x - baseline) ** 2, 0).sum(axis=axis)
    return np.divide(error, total, out=np.full(np.shape(total), np.nan), where=total > 0)


def skewness(values: np.ndarray, axis: int = 0, bias: bool = True) -> np.ndarray:
    """Return the Fisher-Pearson skewness of the cells that are not NaN.

    Args:
      values: any shape.
      axis: the axis of the samples.
      bias: True gives g1 = m3 / m2^(3/2) with m_k the mean k-th power of the deviations; False
        gives the adjusted G1 = g1 sqrt(n (n - 1)) / (n - 2), for n > 2.

    Returns:
      NaN for constant values.

    >>> sample = np.array([0.1, -0.2, 0.05, -2.5, 0.0, -0.1, -1.8])
    >>> round(float(skewness(sample)), 8), round(float(skewness(sample, bias=False)), 8)
    (-1.03857596, -1.3461483)
    """
    x = np.asarray(values, np.float64)
    seen = ~np.isnan(x)
    count = seen.sum(axis=axis)
    deviation = _centred(x, seen, axis)
    n = np.maximum(count, 1)
    m2, m3 = (deviation**2).sum(axis=axis) / n, (deviation**3).sum(axis=axis) / n
    valid = ~_constant(x, axis) & (m2 > 0) & (count > (0 if bias else 2))
    g1 = np.divide(m3, m2**1.5, out=np.full(np.shape(m2), np.nan), where=valid)
    return g1 if bias else g1 * np.sqrt(n * (n - 1.0)) / np.maximum(n - 2, 1)


def _pairs(
    truth: np.ndarray, predicted: np.ndarray, axis: int | None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return float64 copies in which a cell missing on one side is missing on both."""
    x, y = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if x.shape != y.shape:
        raise ValueError(f"expected arrays of one shape, found {x.shape} and {y.shape}")
    if axis is None:
        x, y, axis = x.ravel(), y.ravel(), 0
    seen = ~np.isnan(x) & ~np.isnan(y)
    return np.where(seen, x, np.nan), np.where(seen, y, np.nan), axis


def defined_mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the mean of the cells that are not NaN, NaN where there are none."""
    count = (~np.isnan(values)).sum(axis=axis)
    total = np.nansum(values, axis=axis)
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)


def _centred(values: np.ndarray, seen: np.ndarray, axis: int) -> np.ndarray:
    """Return deviations from the mean, 0 in missing cells."""
    return np.where(seen, values - np.expand_dims(defined_mean(values, axis), axis), 0.0)


def _constant(values: np.ndarray, axis: int) -> np.ndarray:
    """Return where all values are equal, or there is none."""
    seen = ~np.isnan(values)
    low = np.where(seen, values, np.inf).min(axis=axis, initial=np.inf)
    high = np.where(seen, values, -np.inf).max(axis=axis, initial=-np.inf)
    return ~(high > low)


def _ranks(values: np.ndarray, axis: int) -> np.ndarray:
    """Return mean ranks along an axis of a vector or matrix, NaN for NaN."""
    moved = np.moveaxis(values, axis, 0)
    ranks = pd.DataFrame(moved.reshape(len(moved), -1)).rank().to_numpy().reshape(moved.shape)
    return np.moveaxis(ranks, 0, axis)
