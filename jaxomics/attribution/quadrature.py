"""Where on the path from a baseline to a sample to look: nodes with weights, and random draws.

An attribution is an integral over the position t in [0, 1] and, with a background, a mean over
its rows b. Rules take the integral at fixed nodes. Draws take both at random, as (row, t) pairs,
with two variance reductions that keep the estimate unbiased: strata spread t evenly over [0, 1]
and use every row equally often, and antithetic pairs share a row and look at t and 1 - t, so that
whatever is linear in t cancels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.inputs import Tree, check_count
from jaxomics.errors import InputError, unknown
from jaxomics.types import Array, Key

RULES = ("left", "midpoint", "trapezoid", "gauss")
MOST_LOG_NODES = 128
"""Most nodes of the rule with a logarithmic weight: beyond, its moments leave float64."""
MOST_GROUPS = 8
"""Most groups of draws; their scatter is the standard error."""


class Draws(NamedTuple):
    """Random positions on random paths.

    Attributes:
      rows: int [n], of the background.
      t: [n] in [0, 1], from the baseline, 0, to the sample, 1.
      group: int [n], rising from 0; what each draw belongs to for the standard error. Sizes of
        groups differ by one draw, or one pair, at most. An array of NumPy: it is not random.
    """

    rows: Array
    t: Array
    group: np.ndarray

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(self.group[-1]) + 1


def nodes(rule: str, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nodes [n] and weights [n], float64, of a rule for integrals over [0, 1].

    Args:
      rule: `left`, `midpoint` and `trapezoid` are Riemann sums with equal steps; `gauss` is
        Gauss-Legendre, exact for polynomials of degree 2 n - 1.
      n: number of nodes; at least 2 for `trapezoid`, whose nodes include both ends.

    Raises:
      InputError: an unknown rule, or too few nodes.

    >>> t, weight = nodes("gauss", 2)
    >>> round(float(weight @ t**3), 12)
    0.25
    """
    if rule not in RULES:
        raise unknown("rule", rule, RULES)
    check_count("nodes", n, 2 if rule == "trapezoid" else 1)
    if rule == "gauss":
        t, weight = np.polynomial.legendre.leggauss(n)
        return (t + 1.0) / 2.0, weight / 2.0
    if rule == "trapezoid":
        weight = np.full(n, 1.0 / (n - 1))
        weight[[0, -1]] /= 2.0
        return np.linspace(0.0, 1.0, n), weight
    shift = 0.5 if rule == "midpoint" else 0.0
    return (np.arange(n) + shift) / n, np.full(n, 1.0 / n)


def log_nodes(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes [n] and weights [n], float64, of the Gauss rule with weight -ln u on [0, 1].

    It takes integrals of products: the integral of h(s t) over both s and t in [0, 1] is that of
    h(u) (-ln u), so that n nodes do what would take n^2. The recurrence of the orthogonal
    polynomials comes from the moments against Legendre polynomials, which are known in closed
    form, by the modified Chebyshev algorithm (Gautschi 1982).

    Raises:
      InputError: fewer than 1 or more than 128 nodes.

    >>> u, weight = log_nodes(2)
    >>> u.round(6).tolist(), weight.round(6).tolist()
    ([0.112009, 0.602277], [0.718539, 0.281461])
    """
    check_count("nodes", n, 1)
    if n > MOST_LOG_NODES:
        raise InputError(f"expected at most {MOST_LOG_NODES} nodes, found {n}")
    k = np.arange(1, 2 * n)
    b = np.concatenate([[1.0], 1.0 / (4.0 * (4.0 - 1.0 / k**2))])
    scale = np.cumprod(np.concatenate([[1.0], k / (4.0 * k - 2.0)]))
    moments = scale * np.concatenate([[1.0], (-1.0) ** k / (k * (k + 1.0))])
    alpha, beta = np.empty(n), np.empty(n)
    alpha[0], beta[0] = 0.5 + moments[1] / moments[0], moments[0]
    before, last = np.zeros(2 * n), moments
    for i in range(1, n):
        at = np.arange(i, 2 * n - i)
        new = np.zeros(2 * n)
        new[at] = last[at + 1] - (alpha[i - 1] - 0.5) * last[at] - beta[i - 1] * before[at]
        new[at] += b[at] * last[at - 1]
        alpha[i] = 0.5 + new[i + 1] / new[i] - last[i] / last[i - 1]
        beta[i] = new[i] / last[i - 1]
        before, last = last, new
    side = np.sqrt(beta[1:])
    u, vectors = np.linalg.eigh(np.diag(alpha) + np.diag(side, 1) + np.diag(side, -1))
    return u, beta[0] * vectors[0] ** 2


def draws(
    key: Key, n: int, background_size: int, *, stratified: bool = True, antithetic: bool = False
) -> Draws:
    """Draw n positions on paths that start at rows of a background.

    Every draw, or every antithetic pair, is by itself uniform over rows and over [0, 1], so that
    means over draws are unbiased.

    Args:
      key: of the draw; traced.
      n: number of draws; even if antithetic.
      background_size: number of rows.
      stratified: spread t over as many strata as there are independent draws, and take rows from
        shuffled passes through the background, so that all are used nearly equally often. Each
        group is stratified, too, if more coarsely. Otherwise t and rows are independent and
        uniform, rows with replacement: Lundberg's GradientExplainer.
      antithetic: draw pairs (row, t), (row, 1 - t), t below 1/2, one after the other. They see
        half as many rows.

    Raises:
      InputError: fewer than 2 draws, or an odd number of antithetic draws.

    >>> drawn = draws(jax.random.key(0), 8, background_size=2, antithetic=True)
    >>> jnp.bincount(drawn.rows).tolist(), (drawn.t[::2] + drawn.t[1::2]).tolist()
    ([4, 4], [1.0, 1.0, 1.0, 1.0])
    """
    check_count("n_draws", n, 2)
    if antithetic and n % 2:
        raise InputError(f"antithetic draws come in pairs: expected an even number, found {n}")
    copies = 2 if antithetic else 1
    count, group = n // copies, groups_of_draws(n, antithetic=antithetic)
    row_key, order_key, t_key = jax.random.split(key, 3)
    t = jax.random.uniform(t_key, (count,), jnp.float32)  # the same draws in float64
    if stratified:
        rows = balanced_rows(row_key, count, background_size)
        t = (_strata(order_key, group[::copies]) + t) / count
    else:
        rows = jax.random.randint(row_key, (count,), 0, background_size, jnp.int32)
    if antithetic:
        t = jnp.stack([t / 2.0, 1.0 - t / 2.0], axis=1).ravel()
    return Draws(jnp.repeat(rows, copies), t, group)


def groups_of_draws(n: int, *, antithetic: bool = False) -> np.ndarray:
    """Return the group of each of n draws, int [n]; the two of an antithetic pair share one.

    >>> groups_of_draws(6, antithetic=True).tolist()
    [0, 0, 1, 1, 2, 2]
    """
    return np.repeat(grouped(n // 2), 2) if antithetic else grouped(n)


def grouped(n: int) -> np.ndarray:
    """Return the group, int [n] and rising, of n independent draws: up to 8 of nearly equal size.

    >>> grouped(10).tolist()
    [0, 0, 1, 1, 2, 3, 4, 5, 6, 7]
    """
    return np.sort(np.arange(n) % min(MOST_GROUPS, n))


def balanced_rows(key: Key, n: int, background_size: int) -> Array:
    """Return n rows, int [n], from shuffled passes through a background."""
    passes = -(-n // background_size)
    keys = jax.random.split(key, passes)
    rows = jax.vmap(lambda one: jax.random.permutation(one, background_size))(keys)
    return rows.ravel()[:n]


def _strata(key: Key, group: np.ndarray) -> Array:
    """Return a stratum for each draw, a permutation of 0 ... n - 1.

    Strata are dealt out in rounds, in each of which every group gets one of as many neighbouring
    strata as there are groups, at random: all together fill all strata, and so does each group
    on the coarser grid of the rounds.
    """
    n, groups = len(group), int(group[-1]) + 1
    turns = np.arange(n)
    dealt = jnp.argsort(turns // groups + jax.random.uniform(key, (n,), jnp.float32))
    return dealt[np.argsort(turns % groups, kind="stable")]


def weighted_sums(
    term: Callable[[Any], Tree], inputs: Tree, weights: Any, *, chunk: int | None = None
) -> Tree:
    """Return the sums over k of weights[k, g] * term(inputs[k]), a pytree of [g, ...].

    Args:
      term: function of one input; vmapped.
      inputs: pytree of [n, ...], what terms differ in.
      weights: [n, g].
      chunk: terms computed at once, so that memory is that of so many; None = all.

    Raises:
      InputError: a chunk below 1.

    >>> weighted_sums(lambda t: t**2, jnp.arange(4.0), jnp.ones((4, 1)), chunk=3).tolist()
    [14.0]
    """
    weights = jnp.asarray(weights)
    n = len(weights)
    chunk = n if chunk is None else min(chunk, n)
    check_count("chunk", chunk, 1)

    def partial_sums(part: tuple[Tree, Array]) -> Tree:
        terms = jax.vmap(term)(part[0])
        return jax.tree.map(
            lambda leaf: jnp.tensordot(
                part[1].astype(leaf.dtype), leaf, axes=(0, 0), precision="highest"
            ),
            terms,
        )

    if chunk == n:
        return partial_sums((inputs, weights))
    blocks = -(-n // chunk)
    padded = np.minimum(np.arange(blocks * chunk), n - 1).reshape(blocks, chunk)
    real = (np.arange(blocks * chunk) < n).reshape(blocks, chunk, 1)
    parts = (jax.tree.map(lambda leaf: jnp.asarray(leaf)[padded], inputs), weights[padded] * real)
    shapes = jax.eval_shape(partial_sums, jax.tree.map(lambda leaf: leaf[0], parts))
    start = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

    def add(total: Tree, part: tuple[Tree, Array]) -> tuple[Tree, None]:
        return jax.tree.map(jnp.add, total, partial_sums(part)), None

    return jax.lax.scan(add, start, parts)[0]


def group_weights(group: np.ndarray) -> np.ndarray:
    """Return the indicator [n, groups] of draws in groups: weights whose sums are group sums."""
    return (group[:, None] == np.arange(group[-1] + 1)).astype(np.float32)


def mean_and_error(sums: Tree, group: np.ndarray) -> tuple[Tree, Tree]:
    """Return the mean over draws and its standard error from sums over groups of draws.

    The variance of the mean is estimated by the scatter of the group means, weighted by size. It
    is unbiased for independent draws, and errs on the large side for stratified ones, of which
    groups avoid each other. One group tells nothing: NaN.

    Args:
      sums: pytree of [groups, ...].
      group: int [n], as in `Draws`.

    >>> mean, error = mean_and_error(jnp.array([2.0, 6.0]), np.array([0, 0, 1, 1]))
    >>> float(mean), float(error)
    (2.0, 1.0)
    """
    n, sizes = len(group), np.bincount(group)

    def error(leaf: Array, mean: Array) -> Array:
        if len(sizes) == 1:
            return jnp.full_like(mean, jnp.nan)
        size = jnp.asarray(sizes, leaf.dtype).reshape(-1, *[1] * mean.ndim)
        scatter = jnp.sum(size * (leaf / size - mean[None]) ** 2, axis=0)
        return jnp.sqrt(scatter / (n * (len(sizes) - 1)))

    mean = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=0) / n, sums)
    return mean, jax.tree.map(error, sums, mean)
