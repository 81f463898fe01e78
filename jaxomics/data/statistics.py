"""What preprocessing has to know of a view, gathered chunk by chunk in bounded memory.

Counts, means and squared deviations of chunks are merged pairwise (Chan, Golub and LeVeque 1979),
so one pass over the rows is enough, and nothing cancels. A view in memory is a single chunk.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.data.scaling import Standard, fit_range, fit_standard

MOST_LEVELS = 10
"""A view of more different values than this is continuous."""

HEAD = 10_000
"""So many values of a chunk are looked at first, to tell continuous views without sorting them."""


class Piece(NamedTuple):
    """Some rows of a view.

    Attributes:
      values: [rows, features], NaN = not measured.
      scope: bool [rows], those that features are chosen by.
      fitted: bool [rows], those among them that scaling is fitted to.
    """

    values: np.ndarray
    scope: np.ndarray
    fitted: np.ndarray


@dataclass
class ViewStatistics:
    """Statistics of one view; float64 [features] unless told otherwise.

    Attributes:
      features: names.
      rows, scope, fitted: how many rows there are, are in scope, and are fitted to.
      measured: measured cells of the rows in scope.
      count, mean, squares: cells, mean and sum of squared deviations of the rows fitted to.
      low, high: least and largest value of these; infinite where there is none.
      levels: different values of the view, None if it is continuous.
      range: least and largest value of the rows in scope.
    """

    features: pd.Index
    rows: int = 0
    scope: int = 0
    fitted: int = 0
    measured: np.ndarray = field(init=False)
    count: np.ndarray = field(init=False)
    mean: np.ndarray = field(init=False)
    squares: np.ndarray = field(init=False)
    low: np.ndarray = field(init=False)
    high: np.ndarray = field(init=False)
    levels: np.ndarray | None = field(default_factory=lambda: np.zeros(0, np.float32))
    range: tuple[float, float] = (np.inf, -np.inf)

    def __post_init__(self) -> None:
        """Start from nothing."""
        for name in ("measured", "count", "mean", "squares"):
            setattr(self, name, np.zeros(len(self.features)))
        self.low = np.full(len(self.features), np.inf)
        self.high = np.full(len(self.features), -np.inf)

    @property
    def kind(self) -> str:
        """`binary`, `ordinal` or `continuous`, as `container.view_kind` tells of a table."""
        if self.levels is None or not len(self.levels):
            return "continuous"
        return "binary" if set(self.levels.tolist()) <= {0.0, 1.0} else "ordinal"

    def zscore(self) -> Standard:
        """Return mean and deviation of the rows fitted to."""
        return fit_standard(self.count, self.mean, self.squares)

    def minmax(self) -> Standard:
        """Return least value and range of the rows fitted to."""
        return fit_range(self.count, self.low, self.high)

    def deviation(self) -> np.ndarray:
        """Return the sample standard deviation (ddof 1); NaN with fewer than two cells."""
        several = self.count > 1
        variance = self.squares / np.where(several, self.count - 1, 1)
        return np.where(several, np.sqrt(variance), np.nan)

    def add(self, piece: Piece) -> None:
        """Take in some more rows."""
        values, scope, fitted = piece
        self.rows, self.scope = self.rows + len(values), self.scope + int(scope.sum())
        self.levels = _more_levels(self.levels, values)
        own = values[scope]
        self.measured += np.isfinite(own).sum(axis=0)
        if np.isfinite(own).any():
            low, high = float(np.nanmin(own)), float(np.nanmax(own))
            self.range = min(self.range[0], low), max(self.range[1], high)
        used = scope & fitted
        self.fitted += int(used.sum())
        self._add_moments(values[used].astype(np.float64))

    def _add_moments(self, values: np.ndarray) -> None:
        """Merge the moments and limits of some rows [rows, features]."""
        if not len(values):
            return
        observed = np.isfinite(values)
        fresh = observed.sum(axis=0)
        own = np.where(observed, values, 0.0).sum(axis=0) / np.maximum(fresh, 1)
        share = fresh / np.maximum(self.count + fresh, 1)
        self.squares += (np.where(observed, values - own, 0.0) ** 2).sum(axis=0)
        self.squares += (own - self.mean) ** 2 * self.count * share
        self.mean += (own - self.mean) * share
        self.count += fresh
        self.low = np.minimum(self.low, np.where(observed, values, np.inf).min(axis=0))
        self.high = np.maximum(self.high, np.where(observed, values, -np.inf).max(axis=0))


def view_statistics(features: pd.Index, pieces: Iterable[Piece]) -> ViewStatistics:
    """Return the statistics of a view from all of its rows.

    >>> values, rows = np.array([[1.0, np.nan], [3.0, 2.0]]), np.ones(2, bool)
    >>> found = view_statistics(pd.Index(["a", "b"]), [Piece(values, rows, rows)])
    >>> found.zscore(), found.kind, found.range
    (Standard(mean=array([2., 2.]), scale=array([1., 1.])), 'ordinal', (1.0, 3.0))
    """
    found = ViewStatistics(features)
    for piece in pieces:
        found.add(piece)
    return found


def _more_levels(levels: np.ndarray | None, values: np.ndarray) -> np.ndarray | None:
    """Return the different values met so far, None once they are too many or no whole numbers."""
    if levels is None:
        return None
    cells = np.asarray(values, np.float32)
    cells = cells[np.isfinite(cells)]
    if (cells[:HEAD] != np.round(cells[:HEAD])).any():
        return None
    levels = np.unique(np.concatenate([levels, np.unique(cells)]))
    whole = len(levels) <= MOST_LEVELS and (levels == np.round(levels)).all()
    return levels if whole else None
