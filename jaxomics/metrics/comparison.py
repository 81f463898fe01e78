"""Which of several methods is better, on the same samples or the same folds?

Samples that were held out once are independent of each other given the fitted methods, so methods
are compared sample by sample with the signed-rank test (Wilcoxon 1945). Folds share training
samples; the variance of their differences is too small by what they share, and the t test is
corrected for it (Nadeau and Bengio 2003, Machine Learning 52:239). All pairs of methods are tested
and corrected together as by Holm 1979. Demsar 2006 (JMLR 7:1) compares mean ranks.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from jaxomics.errors import InputError

PAIR_COLUMNS = ["a", "b", "n", "difference", "p", "p_holm"]
"""Columns of a table of compared pairs; `difference` is the mean of a minus b."""


class Comparison(NamedTuple):
    """Methods compared over the same blocks.

    Attributes:
      ranks: mean rank of each method, 1 = best, best first; ties share their mean rank.
      p: of the Friedman test that all methods are alike; NaN for fewer than three methods.
      pairs: one row per pair of methods, `PAIR_COLUMNS`.
      n: blocks.
    """

    ranks: pd.Series
    p: float
    pairs: pd.DataFrame
    n: int


def sample_errors(target: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each sample, in units of each feature's spread, [samples].

    A feature's spread is the mean squared error of the reference, so a prediction by the
    reference has mean 1 over samples where nothing is missing.

    Args:
      target: [samples, features], NaN = not scored.
      predicted: the same shape, NaN = no prediction.
      reference: broadcasts to that shape, the training mean.

    Returns:
      NaN for samples without a scored cell.

    >>> target = np.array([[1.0, 2.0], [-1.0, -2.0]])
    >>> sample_errors(target, np.zeros((2, 2)), np.zeros(2))
    array([1., 1.])
    """
    seen = ~np.isnan(target) & ~np.isnan(predicted)
    reference = np.broadcast_to(np.asarray(reference, np.float64), target.shape)
    count = np.maximum(seen.sum(axis=0), 1)
    spread = np.where(seen, (target - reference) ** 2, 0.0).sum(axis=0) / count
    seen &= spread > 0
    error = np.where(seen, (target - predicted) ** 2, 0.0) / np.where(spread > 0, spread, 1.0)
    cells = seen.sum(axis=1)
    return np.divide(error.sum(axis=1), cells, out=np.full(len(cells), np.nan), where=cells > 0)


def compare_samples(table: pd.DataFrame, *, higher: bool = False) -> Comparison:
    """Compare methods sample by sample: mean ranks, and signed-rank tests of all pairs.

    Args:
      table: [samples, methods] scores; samples that some method has no score for are left out.
      higher: whether a higher score is better; errors are not.

    Raises:
      InputError: fewer than two methods, or fewer than six samples that all have.
    """
    whole = _whole(table, fewest=6)
    values = whole.to_numpy(np.float64)

    def signed_rank(difference: np.ndarray) -> float:
        return float(stats.wilcoxon(difference)[1]) if difference.any() else 1.0  # type: ignore[arg-type]

    pairs = _pairs(whole, signed_rank)
    ranks = stats.rankdata(-values if higher else values, axis=1).mean(axis=0)
    ordered = pd.Series(ranks, index=whole.columns, name="rank").sort_values(kind="stable")
    p = np.nan
    if whole.shape[1] > 2:
        same = (values == values[:, :1]).all()
        p = 1.0 if same else float(stats.friedmanchisquare(*values.T).pvalue)
    return Comparison(ordered, p, pairs, len(whole))


def compare_folds(table: pd.DataFrame, test_share: float) -> pd.DataFrame:
    """Compare methods over the folds of a cross-validation by corrected t tests of all pairs.

    With differences d of k folds, t = mean(d) / sqrt((1/k + test / train) var(d)), k - 1 degrees
    of freedom.

    Args:
      table: [folds, methods] scores.
      test_share: test samples of a fold, as a share of all samples; 1/k in k folds.

    Returns:
      One row per pair, `PAIR_COLUMNS`.

    Raises:
      InputError: fewer than two methods or folds, or a share outside (0, 1).
    """
    if not 0 < test_share < 1:
        raise InputError(f"expected a share of test samples between 0 and 1, found {test_share}")
    whole = _whole(table, fewest=2)

    def corrected(difference: np.ndarray) -> float:
        k, spread = len(difference), difference.var(ddof=1)
        if not spread > 0:
            return 1.0 if difference.mean() == 0 else 0.0
        t = difference.mean() / np.sqrt((1.0 / k + test_share / (1.0 - test_share)) * spread)
        return float(2.0 * stats.t.sf(abs(t), k - 1))

    return _pairs(whole, corrected)


def holm(p: np.ndarray) -> np.ndarray:
    """Return p values corrected for their number as by Holm 1979, in the same order.

    >>> holm(np.array([0.01, 0.04, 0.03]))
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def _whole(table: pd.DataFrame, fewest: int) -> pd.DataFrame:
    """Return the rows that every method has a score for."""
    whole = table.dropna()
    if whole.shape[1] < 2 or len(whole) < fewest:
        raise InputError(
            f"expected scores of 2 or more methods on {fewest} or more common rows, found "
            f"{whole.shape[1]} methods and {len(whole)} rows; leave out methods without scores"
        )
    return whole


def _pairs(whole: pd.DataFrame, test: Callable[[np.ndarray], float]) -> pd.DataFrame:
    """Return the tests of all pairs of columns, corrected together."""
    rows = []
    for i, a in enumerate(whole.columns):
        for b in whole.columns[i + 1 :]:
            difference = (whole[a] - whole[b]).to_numpy(np.float64)
            rows.append((a, b, len(whole), float(difference.mean()), test(difference)))
    table = pd.DataFrame(rows, columns=pd.Index(PAIR_COLUMNS[:-1]))
    return table.assign(p_holm=holm(table["p"].to_numpy(np.float64)))
