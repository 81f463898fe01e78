"""L1-penalised regression of thousands of targets at once, by coordinate descent.

For each target y it minimises, over weights w and an intercept b (Tibshirani 1996, in the units
of scikit-learn),

    |y - Xw - b|^2 / (2 n) + alpha |w|_1 .

All targets share X. Solutions are sparse, so a target works on the few features that matter to
it (working sets, after Massias et al. 2018): cyclic coordinate descent on its block of X'X / n,
many targets in lockstep, few enough to stay in cache. A matrix product then tells, for all of
them, which features were missed, and the duality gap: how far the objective can at most be from
its minimum. Targets leave when their gap is small enough; the others get larger sets.
"""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.sparse import csr_array, vstack

from jaxomics.comparators.base import column_patterns
from jaxomics.errors import InputError
from jaxomics.types import Array

CHUNK_CELLS = 2**21
"""Targets times features held densely at once."""

GRAM_CELLS = 2**27
"""Largest X'X that is formed as a whole; beyond it, only the block of each working set is."""

BATCH_CELLS = 2**20
"""Targets times squared size of the working set that descend in lockstep; fits the cache."""

FIRST_SET = 64
"""Features of the smallest working set."""

SWEEPS = 5
"""Passes over the working set between two looks at the gap."""

MAX_SWEEPS = 500
"""Passes in one round; a round may end unfinished, the next goes on from there."""

MAX_ROUNDS = 50
"""Working sets tried before a target is given up; its gap tells."""

SINGLE = 1e-6
"""Smallest relative gap that single precision can certify."""


class Problem(NamedTuple):
    """What targets that were measured in the same samples share.

    Attributes:
      x: [samples, features], centred over these samples, and 0 in the others; None where X'X is
        there and has fewer cells, so that nothing depends on the number of samples.
      count: number n of these samples.
      gram: X'X / n [features, features], or None where it does not pay.
    """

    x: Any
    count: Array
    gram: Any


class Targets(NamedTuple):
    """What targets bring, on the host or on the device.

    Attributes:
      correlation: X'y / n [targets, features], on all features or on a working set.
      power: |y|^2 / n [targets], of centred y.
    """

    correlation: Any
    power: Any


class Solution(NamedTuple):
    """Regressions of many targets on the same features.

    Attributes:
      weights: sparse [targets, features].
      intercept: [targets].
      gap: duality gap of each target, in units of the objective: scikit-learn's `dual_gap_`.
      alpha: the penalty.
    """

    weights: csr_array
    intercept: np.ndarray
    gap: np.ndarray
    alpha: float

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return estimates [samples, targets] from predictors [samples, features]."""
        return (self.weights @ x.T).T + self.intercept


def lasso(
    x: np.ndarray,
    y: np.ndarray,
    alpha: float,
    *,
    tolerance: float = 1e-4,
    start: csr_array | None = None,
    double: bool = False,
) -> Solution:
    """Regress every target on all features with one penalty.

    Args:
      x: [samples, features], finite.
      y: [samples, targets], NaN = not measured: the target is fitted to the other samples.
      alpha: weight of the L1 norm, above 0.
      tolerance: a target is done when its duality gap is below this share of |y|^2 / n, as in
        scikit-learn.
      start: weights to begin with [targets, features].
      double: compute in float64 in place of float32.

    Raises:
      InputError: no samples, unequal numbers of them, infinite cells, alpha not above 0, or a
        tolerance that float32 cannot certify.

    >>> x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> fit = lasso(x, x @ [[3.0], [0.2]], alpha=0.25)  # weights shrink by alpha / mean(x^2)
    >>> fit.weights.toarray().round(3).tolist()
    [[2.5, 0.0]]
    """
    return next(lasso_path(x, y, [alpha], tolerance=tolerance, start=start, double=double))


def lasso_path(
    x: np.ndarray,
    y: np.ndarray,
    alphas: Iterable[float],
    *,
    tolerance: float = 1e-4,
    start: csr_array | None = None,
    double: bool = False,
) -> Iterator[Solution]:
    """Yield the regressions for each penalty, each begun where the last one ended.

    Falling penalties are the quick order. Arguments and errors as in `lasso`.
    """
    x, y = _checked(x, y, tolerance, double)
    dtype = np.float64 if double else np.float32
    groups = list(column_patterns(~np.isnan(y)))
    order = np.argsort(np.concatenate([columns for _, columns in groups]))
    weights = csr_array((y.shape[1], x.shape[1]), dtype=dtype) if start is None else start
    for alpha in alphas:
        if not alpha > 0:
            raise InputError(f"expected alpha above 0, found {alpha}; without penalty use 'linear'")
        with jax.enable_x64(True) if double else nullcontext():
            fits = [
                _fit(x, y[:, columns], seen, alpha, tolerance, weights[columns].astype(dtype))
                for seen, columns in groups
            ]
        weights = csr_array(vstack([fit.weights for fit in fits]))[order]
        intercept = np.concatenate([fit.intercept for fit in fits])[order]
        gap = np.concatenate([fit.gap for fit in fits])[order]
        yield Solution(weights, intercept, gap, float(alpha))


def largest_alpha(x: np.ndarray, y: np.ndarray) -> float:
    """Return the smallest penalty at which all weights of all targets are 0."""
    steepest = 0.0
    for seen, columns in column_patterns(~np.isnan(y)):
        centred = x[seen] - x[seen].sum(axis=0) / max(int(seen.sum()), 1)
        for rows in _chunks(len(columns), x.shape[1]):  # centred x makes the mean of y vanish
            products = centred.T @ y[np.ix_(seen, columns[rows])] / max(int(seen.sum()), 1)
            steepest = max(steepest, np.abs(products).max(initial=0.0))
    return float(steepest)


def _checked(
    x: np.ndarray, y: np.ndarray, tolerance: float, double: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return predictors and targets, or raise."""
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
        raise InputError(
            f"expected [samples, features] and [samples, targets], found {x.shape} and {y.shape}"
        )
    if not np.isfinite(x).all() or np.isinf(y).any():
        raise InputError("expected finite predictors and targets, found others; fill or drop them")
    if tolerance < SINGLE and not double:
        raise InputError(
            f"expected a tolerance of {SINGLE} or more in single precision, found {tolerance}; "
            "compute with double=True"
        )
    return x, y


def _fit(
    x: np.ndarray, y: np.ndarray, seen: np.ndarray, alpha: float, tolerance: float, start: csr_array
) -> Solution:
    """Fit targets that were measured in the same samples, some of them at a time."""
    features, dtype = x.shape[1], start.dtype
    count = max(int(seen.sum()), 1)
    x_mean, y_mean = x[seen].sum(axis=0) / count, y[seen].sum(axis=0) / count
    centred = np.where(seen[:, None], x - x_mean, 0).astype(dtype)
    pays = features**2 <= min(GRAM_CELLS, 4 * FIRST_SET**2 * y.shape[1])
    shared = jnp.asarray(centred)
    problem = Problem(
        None if pays and features < 2 * len(x) else shared,
        jnp.asarray(count, dtype),
        shared.T @ shared / count if pays else None,
    )
    parts = []
    for rows in _chunks(y.shape[1], features):
        own = np.where(seen[:, None], y[:, rows] - y_mean[rows], 0).astype(dtype)
        targets = Targets(own.T @ centred / dtype.type(count), (own**2).sum(0) / dtype.type(count))
        parts.append(_solve(problem, targets, alpha, tolerance, start[rows].toarray()))
    weights = csr_array(vstack([part for part, _ in parts]))
    gap = np.concatenate([gap for _, gap in parts])
    return Solution(weights, y_mean - weights @ x_mean, gap, alpha)


def _chunks(targets: int, features: int) -> Iterator[slice]:
    """Yield slices of the targets that are held densely at once."""
    step = max(CHUNK_CELLS // max(features, 1), 1)
    return (slice(first, first + step) for first in range(0, targets, step))


def _solve(
    problem: Problem, targets: Targets, alpha: float, tolerance: float, weights: np.ndarray
) -> tuple[csr_array, np.ndarray]:
    """Return weights and gaps of a chunk of targets that starts from dense weights."""
    open_, gap = np.arange(len(weights)), targets.power.astype(np.float64)
    slope = targets.correlation
    for rounds in range(MAX_ROUNDS):
        if rounds or weights.any():  # else the slope is known, and the power bounds the gap
            rows = _cycled(open_)
            part = Targets(targets.correlation[rows], targets.power[rows])
            slope, found = (
                np.asarray(each)[: len(open_)]
                for each in certify(problem, part, weights[rows], alpha)
            )
            gap[open_] = found
            unfinished = found > tolerance * targets.power[open_]
            open_, slope = open_[unfinished], slope[unfinished]
        if not len(open_):
            break
        wanted = np.maximum(0.3 * tolerance * targets.power, 0.03 * gap)
        _improve(problem, targets, alpha, weights, open_, slope, wanted.astype(weights.dtype))
    return csr_array(weights), gap


def _improve(
    problem: Problem,
    targets: Targets,
    alpha: float,
    weights: np.ndarray,
    rows: np.ndarray,
    slope: np.ndarray,
    wanted: np.ndarray,
) -> None:
    """Descend on the working set of each target in `rows`; `weights` change in place."""
    results = []
    for width, own in _sets_by_width(weights[rows], slope, alpha):
        batch = min(max(BATCH_CELLS // width**2, 1), _power(len(own)))
        for first in range(0, len(own), batch):
            chosen = own[first : first + batch]
            padded = np.resize(chosen, batch)
            sets = _working_sets(weights[rows[padded]], slope[padded], width)
            cells = rows[padded][:, None], sets
            part = Targets(targets.correlation[cells], targets.power[rows[padded]])
            done = descend(problem, part, sets, weights[cells], alpha, wanted[rows[padded]])
            results.append((cells, done))
    for cells, done in results:  # batches run side by side until here
        weights[cells] = np.asarray(done)


def _sets_by_width(
    weights: np.ndarray, slope: np.ndarray, alpha: float
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield sizes of working sets with the targets that get them.

    A set has room for the features in use and those that want in, but at most doubles. Sizes are
    2^k or 1.5 * 2^k, so that few programs are compiled.
    """
    used = (weights != 0).sum(axis=1)
    wanting = ((np.abs(slope) > alpha) & (weights == 0)).sum(axis=1)
    need = 1.1 * used + np.minimum(wanting, np.maximum(used, FIRST_SET))
    power = 2.0 ** np.ceil(np.log2(np.maximum(need, FIRST_SET)))
    width = np.where(need > 0.75 * power, power, np.maximum(0.75 * power, FIRST_SET))
    width = np.minimum(width, weights.shape[1]).astype(int)
    for each in np.unique(width):
        yield int(each), np.flatnonzero(width == each)


def _working_sets(weights: np.ndarray, slope: np.ndarray, width: int) -> np.ndarray:
    """Return the features in use and those of steepest slope, int [targets, width]."""
    urgency = np.where(weights != 0, np.inf, np.abs(slope))
    if width == weights.shape[1]:
        return np.tile(np.arange(width), (len(weights), 1))
    return np.sort(np.argpartition(urgency, -width, axis=1)[:, -width:], axis=1)


def _cycled(rows: np.ndarray) -> np.ndarray:
    """Return the rows, repeated up to a power of 2, so that few shapes are compiled."""
    return np.resize(rows, _power(len(rows)))


def _power(count: int) -> int:
    """Return the smallest power of 2 that is not below a count of 1 or more."""
    return 1 << (count - 1).bit_length()


@jax.jit
def certify(
    problem: Problem, targets: Targets, weights: Array, alpha: float
) -> tuple[Array, Array]:
    """Return X'(y - Xw) / n [targets, features] and the duality gap [targets]."""
    x, count, gram = problem
    product = weights @ gram if x is None else (weights @ x.T) @ x / count
    slope = targets.correlation - product
    return slope, _gap(targets, weights, slope, alpha)


@jax.jit
def descend(
    problem: Problem, targets: Targets, sets: Array, weights: Array, alpha: float, wanted: Array
) -> Array:
    """Minimise over the features of each target's working set.

    Args:
      problem: what the targets share.
      targets: correlations on the working sets [targets, width].
      sets: int [targets, width], the features of each set.
      weights: [targets, width].
      alpha: the penalty.
      wanted: gap [targets], within the set, at which a target is done; all go on until then.

    Returns:
      New weights [targets, width].
    """
    gram = _blocks(problem, sets)
    curvature = jnp.diagonal(gram, axis1=1, axis2=2)
    slope = targets.correlation - jnp.einsum("tij,tj->ti", gram, weights)

    def coordinate(j: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        weights, slope = carry
        column, old, curve, steep = (
            jax.lax.dynamic_index_in_dim(part, j, 1, keepdims=False)
            for part in (gram, weights, curvature, slope)
        )
        target = steep + curve * old
        shrunk = jnp.sign(target) * jnp.maximum(jnp.abs(target) - alpha, 0)
        new = jnp.where(curve > 0, shrunk / jnp.where(curve > 0, curve, 1), 0)
        slope = slope - column * (new - old)[:, None]
        return jax.lax.dynamic_update_index_in_dim(weights, new, j, 1), slope

    def unfinished(carry: tuple[Array, Array, Array]) -> Array:
        weights, slope, sweeps = carry
        gap = _gap(targets, weights, slope, alpha)
        return (sweeps < MAX_SWEEPS) & (gap > wanted).any()

    def advance(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        weights, slope, sweeps = carry
        width = weights.shape[1]
        weights, slope = jax.lax.fori_loop(
            0, SWEEPS * width, lambda i, c: coordinate(i % width, c), (weights, slope)
        )
        return weights, slope, sweeps + SWEEPS

    return jax.lax.while_loop(unfinished, advance, (weights, slope, jnp.asarray(0)))[0]


def _blocks(problem: Problem, sets: Array) -> Array:
    """Return the blocks [targets, width, width] of X'X / n on the working sets."""
    if problem.gram is not None:
        return problem.gram[sets[:, :, None], sets[:, None, :]]
    columns = problem.x.T[sets]
    return jnp.einsum("tin,tjn->tij", columns, columns) / problem.count


def _gap(targets: Targets, weights: Array, slope: Array, alpha: float) -> Array:
    """Return the duality gap [targets].

    The dual point is the residual r, scaled by s so that |X'r| s / n stays below alpha; with
    |r|^2 / n = |y|^2 / n - w'X'y / n - w'X'r / n no residual has to be formed.
    """
    explained = (weights * targets.correlation).sum(axis=1)
    residual = targets.power - explained - (weights * slope).sum(axis=1)
    steepest = jnp.abs(slope).max(axis=1)
    scale = jnp.minimum(1, alpha / jnp.maximum(steepest, alpha))
    norm = jnp.abs(weights).sum(axis=1)
    return (1 + scale**2) / 2 * residual + alpha * norm - scale * (targets.power - explained)
