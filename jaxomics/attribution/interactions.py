"""Second order: which features act together, by integrated Hessians."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.inputs import (
    Function,
    Tree,
    check_baseline,
    check_sample,
    named_leaves,
)
from jaxomics.attribution.path import between
from jaxomics.attribution.quadrature import log_nodes, nodes, weighted_sums
from jaxomics.errors import InputError, unknown
from jaxomics.types import Array, Params

Feature: TypeAlias = tuple[str, int | tuple[int, ...]]
"""A leaf of x by its path, such as `rna` (`x` if x is an array), and an index into it."""


class Interactions(NamedTuple):
    """How integrated gradients of k chosen features divide over pairs of features.

    Attributes:
      values: [k, k], symmetric. Off the diagonal, what two features contribute together (half of
        it to either); on it, what a feature contributes by itself.
      rest: [k], what each contributes together with all features that were not chosen.
      attribution: [k], integrated gradients.
      gap: [k], attribution - row sum of values - rest: error of quadrature, and kinks.
    """

    values: Array
    rest: Array
    attribution: Array
    gap: Array


def integrated_hessians(
    f: Function,
    params: Params,
    x: Tree,
    baseline: Tree,
    features: Sequence[Feature],
    *,
    n_steps: int = 32,
    chunk: int | None = None,
) -> Interactions:
    """Return integrated Hessians (Janizek et al. 2021): integrated gradients of themselves.

    With d = x - b and the path p(u) = b + u d, the double path integral is a single one,

        values_ij = integral of (u d_i d_j f_ij(p(u)) + [i = j] d_i f_i(p(u))) (-ln u) du,

    taken at Gauss nodes of the weight -ln u. Second derivatives are products of the Hessian with
    k + 1 directions, forward over reverse: the Hessian of all features is never built. The last
    direction is d; it gives `rest`. A function that is piecewise linear, such as a ReLU network,
    has no second derivative but in its kinks, which nodes miss; `gap` tells.

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      baseline: like x.
      features: the k features of interest, each once.
      n_steps: nodes on the path, at most 128.
      chunk: nodes at once; None = all.

    Raises:
      InputError: x or baseline that cannot be explained; unknown leaves or indices; a feature
        named twice; too many or too few nodes.

    >>> found = integrated_hessians(
    ...     lambda params, x: x[0] * x[1], None, jnp.array([2.0, 3.0]), jnp.zeros(2),
    ...     [("x", 0), ("x", 1)],
    ... )
    >>> found.values.round(4).tolist()
    [[1.5, 1.5], [1.5, 1.5]]
    """
    x = check_sample(f, params, x)
    baseline = check_baseline(x, baseline)
    places = _places(x, features)
    k = len(features)

    def along(shift: Array, u: Array) -> Array:
        """Output where feature i is moved by shift[i] d_i and everything by shift[k] d."""
        point = between(baseline, x, u + shift[k])
        return f(params, _shifted(point, baseline, x, places, shift))

    still = jnp.zeros(k + 1, jnp.result_type(*jax.tree.leaves(x)))

    def second(u: Array) -> tuple[Array, Array]:
        slope, push = jax.linearize(lambda shift: jax.grad(along)(shift, u), still)
        curve = jax.vmap(push)(jnp.eye(k + 1, dtype=still.dtype))
        first = slope[:k]
        return jnp.diag(first) + u * curve[:k, :k], first + u * curve[:k, k]

    def first(u: Array) -> Array:
        return jax.grad(along)(still, u)[:k]

    u, weight = log_nodes(n_steps)
    values, total = weighted_sums(second, _typed(u, still), weight[:, None], chunk=chunk)
    t, weight = nodes("gauss", n_steps)
    attribution = weighted_sums(first, _typed(t, still), weight[:, None], chunk=chunk)[0]
    rest = total[0] - jnp.sum(values[0], axis=1)
    return Interactions(values[0], rest, attribution, attribution - total[0])


def _typed(u: np.ndarray, like: Array) -> Array:
    """Return nodes in the type of the sample."""
    return jnp.asarray(u, like.dtype)


def _shifted(
    point: Tree,
    baseline: Tree,
    x: Tree,
    places: dict[str, tuple[np.ndarray, np.ndarray]],
    shift: Array,
) -> Tree:
    """Return a point with feature i moved by shift[i] (x_i - baseline_i)."""
    names = list(named_leaves(x))
    leaves = []
    for name, at, end, start in zip(
        names, *map(jax.tree.leaves, (point, x, baseline)), strict=True
    ):
        if name in places:
            numbers, indices = places[name]
            change = (end - start).ravel()[indices] * shift[numbers].astype(at.dtype)
            at = at.ravel().at[indices].add(change).reshape(at.shape)
        leaves.append(at)
    return jax.tree.unflatten(jax.tree.structure(x), leaves)


def _places(x: Tree, features: Sequence[Feature]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return by leaf which of the chosen features it holds, and where in the flattened leaf."""
    if not features:
        raise InputError("expected features whose interactions are of interest, found none")
    leaves, found = named_leaves(x), {}
    for number, (name, index) in enumerate(features):
        if name not in leaves:
            raise unknown("leaf", name, leaves)
        try:
            flat = int(np.ravel_multi_index(np.atleast_1d(index), leaves[name].shape))
        except ValueError:
            raise InputError(
                f"expected an index into {name!r} of shape {leaves[name].shape}, found {index}"
            ) from None
        found.setdefault(name, {})
        if flat in found[name]:
            raise InputError(f"feature {(name, index)} is named twice")
        found[name][flat] = number
    return {
        name: (np.array(list(numbers.values())), np.array(list(numbers)))
        for name, numbers in found.items()
    }
