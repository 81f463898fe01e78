"""How good is an explanation: does it foretell changes of the output, and is it stable?

These scores judge values from any method against the function itself; none needs to know how the
values were made. None says that a feature is a cause of anything but the model's output.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.inputs import (
    Function,
    Tree,
    check_baseline,
    check_count,
    check_sample,
    element_numbers,
)
from jaxomics.attribution.quadrature import (
    group_weights,
    grouped,
    mean_and_error,
    weighted_sums,
)
from jaxomics.errors import unknown
from jaxomics.types import Array, Key, Params

Perturbation: TypeAlias = Callable[[Key, Tree], tuple[Tree, Tree]]
"""(key, x) -> (amount, changed): what was taken from x, in the units in which values count it."""

ORDERS = ("magnitude", "signed")


class Infidelity(NamedTuple):
    """Error of the output changes that an explanation foretells.

    Attributes:
      value: mean squared error, in squared units of the output.
      stderr: standard error of value.
      relative: value over the mean squared change; 1 is what an explanation of zeros gets.
    """

    value: Array
    stderr: Array
    relative: Array


class Curve(NamedTuple):
    """Output while features are replaced in order of importance.

    Attributes:
      share: [points], share of the features that are replaced, 0 to 1.
      output: [points].
      area: under the output, scaled so that f(baseline) is 0 and f(x) is 1. Of a deletion curve
        it should be small, of an insertion curve large. Not finite where f(x) = f(baseline).
    """

    share: np.ndarray
    output: Array
    area: Array


def removal(baseline: Tree, share: float = 0.5) -> Perturbation:
    """Return the perturbation that sets each feature to its baseline with some probability.

    It fits attributions, which say what is lost when a feature goes to its baseline.
    """

    def perturb(key: Key, x: Tree) -> tuple[Tree, Tree]:
        gone = jax.tree.map(
            lambda part, leaf: jax.random.bernoulli(part, share, leaf.shape), _keys(key, x), x
        )
        changed = jax.tree.map(jnp.where, gone, baseline, x)
        return jax.tree.map(lambda mask, leaf: mask.astype(leaf.dtype), gone, x), changed

    return perturb


def noise(scale: float) -> Perturbation:
    """Return the perturbation that subtracts Gaussian noise of this standard deviation.

    It fits gradients, which count changes per unit of the input.
    """

    def perturb(key: Key, x: Tree) -> tuple[Tree, Tree]:
        amount = jax.tree.map(
            lambda part, leaf: scale * jax.random.normal(part, leaf.shape, leaf.dtype),
            _keys(key, x),
            x,
        )
        return amount, jax.tree.map(jnp.subtract, x, amount)

    return perturb


def infidelity(
    f: Function,
    params: Params,
    x: Tree,
    values: Tree,
    perturb: Perturbation,
    *,
    key: Key,
    n_draws: int = 256,
    chunk: int | None = None,
) -> Infidelity:
    """Return the infidelity of an explanation (Yeh et al. 2019, definition 2.1).

    It is the mean of (sum of amount x values - (f(x) - f(changed)))^2 over perturbations.

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      values: of the explanation, like x.
      perturb: `removal` for attributions, `noise` for gradients.
      key: of the perturbations.
      n_draws: number of perturbations.
      chunk: perturbations at once; None = all.

    Raises:
      InputError: x or values that cannot be used; fewer than 2 draws.
    """
    x = check_sample(f, params, x)
    values = check_baseline(x, values, what="explanation")
    check_count("n_draws", n_draws, 2)
    output = f(params, x)

    def term(one: Key) -> tuple[Array, Array]:
        amount, changed = perturb(one, x)
        foretold = sum(jax.tree.leaves(jax.tree.map(_dot, amount, values)))
        change = output - f(params, changed)
        return (foretold - change) ** 2, change**2

    group = grouped(n_draws)
    sums = weighted_sums(term, jax.random.split(key, n_draws), group_weights(group), chunk=chunk)
    (value, size), (stderr, _) = mean_and_error(sums, group)
    return Infidelity(value, stderr, value / size)


def sensitivity_max(
    explain: Callable[[Tree], Tree],
    x: Tree,
    *,
    key: Key,
    radius: float = 0.02,
    n_draws: int = 32,
    chunk: int | None = None,
) -> Array:
    """Return how much an explanation changes, at most, near x (Yeh et al. 2019, definition 3).

    Args:
      explain: sample -> values; with draws, let it keep its key.
      x: sample.
      key: of the neighbours.
      radius: of the cube around x from which neighbours are drawn.
      n_draws: number of neighbours.
      chunk: neighbours at once; None = one.

    Returns:
      Largest norm of the difference, as a share of the norm of the values at x.

    Raises:
      InputError: no neighbours.
    """
    check_count("n_draws", n_draws, 1)
    x = jax.tree.map(jnp.asarray, x)
    here = explain(x)

    def distance(one: Key) -> Array:
        near = jax.tree.map(
            lambda part, leaf: (
                leaf + jax.random.uniform(part, leaf.shape, leaf.dtype, -radius, radius)
            ),
            _keys(one, x),
            x,
        )
        return _norm(jax.tree.map(jnp.subtract, explain(near), here))

    return jnp.max(jax.lax.map(distance, jax.random.split(key, n_draws), batch_size=chunk)) / _norm(
        here
    )


def deletion_curve(
    f: Function,
    params: Params,
    x: Tree,
    baseline: Tree,
    values: Tree,
    *,
    n_points: int = 21,
    order: str = "magnitude",
    chunk: int | None = None,
) -> Curve:
    """Return the output while features of x go to their baseline, most important first.

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      baseline: like x.
      values: of the explanation, like x.
      n_points: on the curve, both ends included.
      order: `magnitude`, by |value|; or `signed`, by value: what raises the output goes first.
      chunk: points at once; None = all.

    Raises:
      InputError: x, baseline or values that cannot be used; an unknown order; fewer than 2 points.
    """
    return _curve(f, params, (x, baseline, values), n_points, order, chunk, deletes=True)


def insertion_curve(
    f: Function,
    params: Params,
    x: Tree,
    baseline: Tree,
    values: Tree,
    *,
    n_points: int = 21,
    order: str = "magnitude",
    chunk: int | None = None,
) -> Curve:
    """Return the output while features of the baseline become those of x, most important first.

    Arguments and errors are those of `deletion_curve`.
    """
    return _curve(f, params, (x, baseline, values), n_points, order, chunk, deletes=False)


def _curve(
    f: Function,
    params: Params,
    trees: tuple[Tree, Tree, Tree],
    n_points: int,
    order: str,
    chunk: int | None,
    *,
    deletes: bool,
) -> Curve:
    """Return either curve."""
    x = check_sample(f, params, trees[0])
    baseline = check_baseline(x, trees[1])
    values = check_baseline(x, trees[2], what="explanation")
    if order not in ORDERS:
        raise unknown("order", order, ORDERS)
    check_count("n_points", n_points, 2)
    numbers, size = element_numbers(x)
    flat = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(values)])
    score = jnp.abs(flat) if order == "magnitude" else flat
    rank = jnp.zeros(size, int).at[jnp.argsort(-score, stable=True)].set(jnp.arange(size))
    counts = np.round(np.linspace(0, size, n_points)).astype(int)
    old, new = (x, baseline) if deletes else (baseline, x)

    def at(count: Array) -> Array:
        point = jax.tree.map(
            lambda number, first, then: jnp.where(rank[number] < count, then, first),
            numbers,
            old,
            new,
        )
        return f(params, point)

    batch = n_points if chunk is None else chunk
    output = jax.lax.map(at, jnp.asarray(counts), batch_size=batch)
    low, high = (output[-1], output[0]) if deletes else (output[0], output[-1])
    share = counts / size
    area = jnp.trapezoid((output - low) / (high - low), jnp.asarray(share, output.dtype))
    return Curve(share, output, area)


def _keys(key: Key, x: Tree) -> Tree:
    """Return one key per leaf of x."""
    structure = jax.tree.structure(x)
    return jax.tree.unflatten(structure, list(jax.random.split(key, structure.num_leaves)))


def _dot(left: Array, right: Array) -> Array:
    """Return the sum of products."""
    return jnp.sum(left * right)


def _norm(tree: Tree) -> Array:
    """Return the Euclidean norm of all leaves together."""
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))
