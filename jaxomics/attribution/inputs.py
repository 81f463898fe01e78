"""What can be explained, checked at the border: samples, baselines, backgrounds and functions.

A sample is an unbatched pytree of floating arrays, a baseline is another one, a background is a
set of them along a leading axis. Leaves are named by their path, such as `rna`. Values are looked
at only where they are concrete: inside `jit` and `vmap` only types and shapes can be checked.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from jaxomics.errors import InputError
from jaxomics.types import Array, Params

Tree: TypeAlias = Any
"""A pytree of arrays, such as one array per view."""
Function: TypeAlias = Callable[[Params, Tree], Array]
"""f(params, x): one output, 0-d, of one sample x."""


def named_leaves(tree: Tree) -> dict[str, Any]:
    """Return the leaves of a tree by path, in its order; a bare array is named `x`.

    >>> list(named_leaves({"rna": 1.0, "deep": [2.0, 3.0]}))
    ['deep/0', 'deep/1', 'rna']
    """
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/") or "x": x for path, x in leaves}


def element_numbers(tree: Tree) -> tuple[Tree, int]:
    """Return a tree of NumPy int arrays that number all elements through, and how many there are.

    >>> element_numbers({"a": np.zeros(2), "b": np.zeros(3)})
    ({'a': array([0, 1]), 'b': array([2, 3, 4])}, 5)
    """
    leaves, structure = jax.tree.flatten(tree)
    ends = np.cumsum([0, *[np.size(leaf) for leaf in leaves]])
    numbers = [
        np.arange(start, end).reshape(np.shape(leaf))
        for leaf, start, end in zip(leaves, ends[:-1], ends[1:], strict=True)
    ]
    return jax.tree.unflatten(structure, numbers), int(ends[-1])


def check_sample(f: Function, params: Params, x: Tree) -> Tree:
    """Return a sample as JAX arrays.

    Raises:
      InputError: x has no leaves, a leaf is not floating or holds NaN, or f(params, x) is not one
        number.
    """
    _check_values(x, "x")
    x = jax.tree.map(jnp.asarray, x)
    shape = jax.eval_shape(f, params, x).shape
    if shape:
        raise InputError(
            f"expected one output, found outputs of shape {shape}: explain one of them, for "
            "example lambda params, x: f(params, x)[0]"
        )
    return x


def check_baseline(x: Tree, baseline: Tree, what: str = "baseline") -> Tree:
    """Return a baseline, or what else is like x, as JAX arrays of x's types.

    Raises:
      InputError: its leaves are not those of x, or hold NaN.
    """
    _check_values(baseline, what)
    _check_leaves(x, baseline, what, leading=0)
    return jax.tree.map(lambda like, leaf: jnp.asarray(leaf, jnp.result_type(like)), x, baseline)


def check_background(x: Tree, background: Tree) -> tuple[Tree, int]:
    """Return a background as JAX arrays [size, ...] of x's types, and its size.

    Raises:
      InputError: its leaves are not those of x behind a leading axis, which is the same for all,
        or hold NaN; or it holds fewer than two samples.
    """
    _check_values(background, "background")
    _check_leaves(x, background, "background", leading=1)
    sizes = {name: leaf.shape[0] for name, leaf in named_leaves(background).items()}
    if len(set(sizes.values())) > 1:
        raise InputError(f"expected a background with one number of samples, found {sizes}")
    size = next(iter(sizes.values()))
    if size < 2:
        held = "one sample is a baseline: use integrated_gradients" if size else "no samples"
        raise InputError(f"a background of {held}; expected two samples or more")
    return jax.tree.map(
        lambda like, leaf: jnp.asarray(leaf, jnp.result_type(like)), x, background
    ), size


def check_count(what: str, found: int, least: int) -> None:
    """Raise InputError if a number of draws, steps or rows is below what is needed."""
    if found < least:
        raise InputError(f"expected {what} of {least} or more, found {found}")


def _check_values(tree: Tree, what: str) -> None:
    """Raise InputError unless all leaves are floating and, where known, without NaN."""
    leaves = named_leaves(tree)
    if not leaves:
        raise InputError(f"{what}: expected at least one array, found none")
    for name, leaf in leaves.items():
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise InputError(
                f"{what}: expected floating numbers in {name!r}, found {jnp.result_type(leaf)}; "
                "there is no gradient in anything else"
            )
        if not isinstance(leaf, Tracer) and np.isnan(np.asarray(leaf)).any():
            raise InputError(
                f"{what}: {int(np.isnan(np.asarray(leaf)).sum())} NaN in {name!r}; fill missing "
                "values as the model does (mostly by 0 in standardised units)"
            )


def _check_leaves(x: Tree, other: Tree, what: str, leading: int) -> None:
    """Raise InputError unless `other` has the leaves of x behind `leading` axes."""
    expected, found = named_leaves(x), named_leaves(other)
    if jax.tree.structure(x) != jax.tree.structure(other):
        raise InputError(
            f"expected a {what} with the arrays of x, {', '.join(expected)}; "
            f"found {', '.join(found)}"
        )
    for name, like in expected.items():
        shape = np.shape(found[name])
        if len(shape) < leading or shape[leading:] != np.shape(like):
            axes = f"a leading axis and then {np.shape(like)}" if leading else str(np.shape(like))
            raise InputError(f"{what}: expected {name!r} of shape {axes}, found {shape}")
