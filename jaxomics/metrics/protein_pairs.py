"""Are pairs of proteins that are known to meet found among the pairs that vary together?

Pairs are ranked by the p value of (a) Pearson's correlation, or (b) generalised least squares
after Wainberg et al. 2021 (Nature Genetics 53:638): samples that resemble each other are no
independent evidence, so both proteins are whitened by the covariance of the samples. With Sigma
[samples, samples] over proteins, L L' = Sigma^-1, P L the whitened proteins and 1' L the whitened
constant, protein j is regressed on protein i with the whitened constant as intercept.

With the whitened constant projected out of every row, that regression is the correlation of the
rows: t = r sqrt((n - 2) / (1 - r^2)), the same for both directions. So one product of proteins
replaces one regression per protein.

Sigma has no inverse if samples outnumber proteins, or if values were filled by a smooth model; then
a ridge is added to its diagonal, and the condition number tells how near it was.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special
from scipy.linalg import cholesky, solve_triangular

from jaxomics.errors import InputError

RIDGE = 1e-3
"""Added to the diagonal of Sigma where it has no inverse, as a share of its mean."""

SINGULAR = 1e10
"""Condition number from which Sigma counts as having no inverse."""

CURVE_POINTS = 1000
"""Points of a recall curve that are kept; its area is taken from all pairs."""


class Pairs(NamedTuple):
    """Every pair of proteins, in the order of the upper triangle.

    Attributes:
      proteins: names.
      r: [pairs] correlation, of whitened rows or not.
      n: samples.
      condition: condition number of Sigma before a ridge; NaN for Pearson.
      ridge: what was added to the diagonal of Sigma.
    """

    proteins: pd.Index
    r: np.ndarray
    n: int
    condition: float
    ridge: float

    @property
    def p(self) -> np.ndarray:
        """Two-sided p values [pairs] of t with n - 2 degrees of freedom."""
        with np.errstate(divide="ignore"):
            t = np.abs(self.r) * np.sqrt((self.n - 2) / np.maximum(1.0 - self.r**2, 0.0))
        return 2.0 * special.stdtr(self.n - 2, -t)


class Recall(NamedTuple):
    """How early known pairs come in a ranking.

    Attributes:
      curve: columns `share_of_pairs` and `recall`, from 0 to 1.
      area: area under the curve; 0.5 by chance.
      known: known pairs that are ranked.
      pairs: ranked pairs.
    """

    curve: pd.DataFrame
    area: float
    known: int
    pairs: int


def pearson_pairs(table: pd.DataFrame) -> Pairs:
    """Correlate all pairs of proteins.

    Args:
      table: [samples, proteins], complete; see `complete_proteins`.

    Raises:
      InputError: empty cells, fewer than 3 samples or 2 proteins, or a constant protein.
    """
    values = _checked(table)
    return Pairs(table.columns, _correlations(values - values.mean(axis=1, keepdims=True)),
                 values.shape[1], float("nan"), 0.0)  # fmt: skip


def whitened_pairs(table: pd.DataFrame, ridge: float | None = None) -> Pairs:
    """Regress all pairs of proteins on each other after whitening the samples.

    Args:
      table: [samples, proteins], complete.
      ridge: added to the diagonal of Sigma, as a share of its mean; None adds `RIDGE` if Sigma
        has no inverse, else nothing.

    Raises:
      InputError: as `pearson_pairs`, or a Sigma that has no inverse with the ridge given.
    """
    values = _checked(table)
    white, constant, condition, added = _whitened(values, ridge)
    unit = constant / np.linalg.norm(constant)
    rest = white - np.outer(white @ unit, unit)
    return Pairs(table.columns, _correlations(rest), values.shape[1], condition, added)


def regress_pair(table: pd.DataFrame, i: str, j: str, ridge: float | None = None) -> float:
    """Return the p value of one regression as it is defined, protein j on protein i.

    This is what `whitened_pairs` gives for all pairs at once; it is here to be read and checked.

    Args:
      table: [samples, proteins], complete.
      i, j: names of proteins.
      ridge: as for `whitened_pairs`.
    """
    white, constant, *_ = _whitened(_checked(table), ridge)
    x = np.stack([constant, white[table.columns.get_loc(i)]], axis=1)
    y = white[table.columns.get_loc(j)]
    coefficient, *_ = np.linalg.lstsq(x, y, rcond=None)
    rest, freedom = y - x @ coefficient, len(y) - 2
    variance = rest @ rest / freedom * np.linalg.inv(x.T @ x)[1, 1]
    return float(2.0 * special.stdtr(freedom, -abs(coefficient[1]) / np.sqrt(variance)))


def recall(pairs: Pairs, known: set[frozenset[str]]) -> Recall:
    """Return the recall of known pairs along the ranking by p value, ties by |r|.

    Only proteins that occur in some known pair are ranked, so that pairs nobody looked at do not
    count as unknown.

    Args:
      pairs: of all proteins.
      known: names of proteins that meet.

    Raises:
      InputError: none of the known pairs is among the proteins.
    """
    place = {str(name): i for i, name in enumerate(pairs.proteins)}
    meet = [sorted(place[name] for name in pair) for pair in known if _ranked(pair, place)]
    if not meet:
        raise InputError(
            f"expected known pairs among the {len(place)} proteins, found none; use the same names"
        )
    first, second = np.array(meet).T
    count = len(place)
    inside = np.zeros(count, bool)
    inside[first] = inside[second] = True
    rows, columns = np.triu_indices(count, 1)
    is_known = np.zeros(len(rows), bool)
    is_known[first * count - first * (first + 1) // 2 + second - first - 1] = True
    asked = inside[rows] & inside[columns]
    strength = np.abs(pairs.r[asked])
    hits = is_known[asked][np.argsort(-strength, kind="stable")]
    cumulative = np.cumsum(hits) / hits.sum()
    area = float(np.trapezoid(np.concatenate([[0.0], cumulative]), dx=1.0 / len(hits)))
    kept = np.unique(np.linspace(0, len(hits) - 1, min(CURVE_POINTS, len(hits))).astype(int))
    curve = {"share_of_pairs": (kept + 1) / len(hits), "recall": cumulative[kept]}
    return Recall(pd.DataFrame(curve), area, int(hits.sum()), len(hits))


def recalls(
    found: Mapping[str, Pairs], resources: Mapping[str, set[frozenset[str]]]
) -> pd.DataFrame:
    """Return the area of every ranking on every resource: ranking, resource, area, known, pairs."""
    rows = []
    for name, pairs in found.items():
        for resource, known in resources.items():
            one = recall(pairs, known)
            rows.append((name, resource, one.area, one.known, one.pairs))
    columns = pd.Index(["ranking", "resource", "area", "known", "pairs"])
    return pd.DataFrame(rows, columns=columns)


def read_pairs(path: str | os.PathLike, at_least: float | None = None) -> set[frozenset[str]]:
    """Read pairs of genes from a table with tabs between its columns, as CORUM or STRING give.

    Args:
      path: the first two columns are names; a third one may be a score. A first line without
        pairs is a header if its third field is no number and `at_least` is given; comments start
        with `#`.
      at_least: keep pairs with this score or more.

    Raises:
      InputError: no such file, fewer than two columns, no score where one is asked for, or no
        pair left.
    """
    try:
        table = pd.read_csv(path, sep="\t", header=None, comment="#", dtype=str)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a table of pairs, found none ({error})") from error
    if table.shape[1] < (2 if at_least is None else 3):
        raise InputError(
            f"{path}: expected two names{' and a score' if at_least is not None else ''} a line, "
            f"found {table.shape[1]} columns; put tabs between them"
        )
    if at_least is not None:
        scores = pd.to_numeric(table[2], errors="coerce")
        table = table[scores >= at_least]
    sides = zip(table[0].astype(str), table[1].astype(str), strict=True)
    pairs = {frozenset(pair) for pair in sides if pair[0] != pair[1]}
    if not pairs:
        raise InputError(f"{path}: expected pairs of two different names, found none")
    return pairs


def complete_proteins(table: pd.DataFrame, least: float = 1.0) -> pd.DataFrame:
    """Return the proteins measured in a share of the samples, without constant ones.

    Args:
      table: [samples, proteins], NaN = not measured.
      least: share of samples; below 1 the mean of the protein fills its empty cells, which makes
        correlations weaker.
    """
    seen = table.notna().mean(axis=0)
    kept = table.loc[:, seen >= least]
    kept = kept.fillna(kept.mean(axis=0))
    return kept.loc[:, kept.std(axis=0) > 0]


def _whitened(
    values: np.ndarray, ridge: float | None
) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return P L, 1' L, the condition number of Sigma and what was added to its diagonal."""
    sigma = np.cov(values, rowvar=False)
    spectrum = np.abs(np.linalg.eigvalsh(sigma))
    condition = float(spectrum.max() / max(spectrum.min(), 1e-30 * spectrum.max()))
    share = ridge if ridge is not None else RIDGE * (condition > SINGULAR)
    added = share * float(np.trace(sigma)) / len(sigma)
    # Sigma = U' U, so L = U^-1; p values are the same for every root of Sigma^-1.
    try:
        upper = cholesky(sigma + added * np.eye(len(sigma)))
    except np.linalg.LinAlgError as error:
        raise InputError(
            f"expected samples whose covariance has an inverse, found condition {condition:.1e}; "
            "give a ridge, such as 1e-3"
        ) from error
    white = solve_triangular(upper, np.c_[values.T, np.ones(len(sigma))], trans=1).T
    return white[:-1], white[-1], condition, added


def _correlations(rest: np.ndarray) -> np.ndarray:
    """Return correlations of all pairs of rows, upper triangle."""
    norms = np.linalg.norm(rest, axis=1, keepdims=True)
    unit = rest / np.where(norms > 0, norms, 1.0)
    r = unit @ unit.T
    return np.clip(r[np.triu_indices(len(r), 1)], -1.0, 1.0)


def _checked(table: pd.DataFrame) -> np.ndarray:
    """Return proteins x samples, float64."""
    values = table.to_numpy(np.float64, na_value=np.nan).T
    proteins, samples = values.shape
    if proteins < 2 or samples < 3:
        raise InputError(
            f"expected 2 proteins and 3 samples or more, found {proteins} and {samples}"
        )
    if not np.isfinite(values).all():
        raise InputError("expected complete proteins, found empty cells; see complete_proteins")
    if not (np.ptp(values, axis=1) > 0).all():
        raise InputError("expected proteins that vary, found a constant; see complete_proteins")
    return values


def _ranked(pair: frozenset[str], place: Mapping[str, int]) -> bool:
    """Tell whether a pair has two proteins and both are there."""
    return len(pair) == 2 and all(name in place for name in pair)
