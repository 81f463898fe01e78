"""Initial weights of a whole network from one draw.

A kernel of random numbers per array is what compiling a large network's initialisation used to
spend its time on. Layers therefore start at the bounds of their uniform distributions, and
`start` turns the bounds into weights, all of them from one stream of random numbers.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxomics.types import Array, Key, Params

DRAWN = ("kernel", "bias")
"""Names of the parameters that start uniform on +- the value that the layer gave them."""

CHUNK = 2**20
"""Numbers drawn at a time, so that drawing needs little memory besides what is drawn."""


def start(module: nn.Module, key: Key, *args: Any, **settings: Any) -> dict[str, Any]:
    """Return a module's variables with random weights; used in place of `module.init`.

    Args:
      module: its layers are `Dense` and others whose weights start at their bounds.
      key: PRNG key.
      *args, **settings: what the module is called with.
    """
    variables = dict(module.init(key, *args, **settings))
    return variables | {"params": spread(key, variables.get("params", {}))}


def spread(key: Key, bounds: Params) -> Params:
    """Return weights uniform on +-bounds where `DRAWN` names them, other parameters unchanged.

    >>> spread(jax.random.key(0), {"norm": {"scale": jnp.ones(2)}})
    {'norm': {'scale': Array([1., 1.], dtype=float32)}}
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(bounds)
    sizes = [leaf.size if path[-1].key in DRAWN else 0 for path, leaf in leaves]
    pool, used, weights = stream(key, sum(sizes)), 0, []
    for (_, leaf), size in zip(leaves, sizes, strict=True):
        drawn = pool[used : used + size].reshape(leaf.shape) if size else 1.0
        weights.append(leaf * drawn)
        used += size
    return tree.unflatten(weights)


def _uniform(key: Key, shape: tuple[int, ...]) -> Array:
    """Return float32 numbers, uniform on [-1, 1)."""
    return jax.random.uniform(key, shape, minval=-1.0)


def stream(key: Key, size: int, draw: Callable[[Key, tuple[int, ...]], Array] = _uniform) -> Array:
    """Return float32 [size] of independent draws, made in chunks; uniform on [-1, 1) by default."""
    chunks = -(-size // CHUNK) or 1
    length = -(-size // chunks)

    def part(chunk: Array) -> Array:
        return draw(jax.random.fold_in(key, chunk), (length,))

    return jax.lax.map(part, jnp.arange(chunks)).ravel()
