"""Principal components fitted to some samples and read for others."""

from typing import NamedTuple

import numpy as np
from sklearn.utils.extmath import randomized_svd

SMALL = 600
"""Up to this shorter side the decomposition is exact; beyond it is randomised."""


class Components(NamedTuple):
    """Fitted components.

    Attributes:
      scores: [samples, k] of the samples fitted to, by falling variance.
      mean, scale: [features], what is subtracted and divided by.
      loadings: [features, k], orthonormal columns.
    """

    scores: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    loadings: np.ndarray

    def place(self, table: np.ndarray) -> np.ndarray:
        """Return the scores [n, k] of rows [n, features]; missing cells count as the mean."""
        return np.nan_to_num((table - self.mean) / self.scale) @ self.loadings

    def restore(self, scores: np.ndarray) -> np.ndarray:
        """Return the rows [n, features] that scores [n, k] stand for."""
        return scores @ self.loadings.T * self.scale + self.mean


def fit_components(table: np.ndarray, count: int, *, scale: bool, seed: int = 0) -> Components:
    """Return the leading principal components of a table.

    Args:
      table: [samples, features]; missing cells count as the mean of their feature.
      count: most components; fewer where the samples or features are fewer.
      scale: divide by the standard deviation of each feature.
      seed: of the randomised decomposition of large tables.

    >>> found = fit_components(np.array([[0.0, 1], [2, 1], [4, 1]]), 5, scale=False)
    >>> abs(found.scores.round(9)).tolist()
    [[2.0], [0.0], [2.0]]
    """
    table = np.asarray(table, np.float64)
    seen = ~np.isnan(table)
    number = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, table, 0.0).sum(axis=0) / number
    centred = np.where(seen, table - mean, 0.0)
    spread = np.sqrt((centred**2).sum(axis=0) / number)
    unit = np.where((spread > 1e-12) & scale, spread, 1.0)
    centred /= unit
    most = min(count, len(table) - 1, table.shape[1])
    if min(table.shape) <= max(SMALL, 2 * most):
        left, singular, right = np.linalg.svd(centred, full_matrices=False)
    else:
        left, singular, right = randomized_svd(centred, most, random_state=seed)
    keep = np.flatnonzero(singular[:most] > 1e-10 * max(singular[0], 1e-300))
    keep = keep if len(keep) else np.array([0])
    return Components(left[:, keep] * singular[keep], mean, unit, right[keep].T)
