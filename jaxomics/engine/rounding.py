"""Updates of parameters that are stored in half precision.

bfloat16 has 8 significant bits, so a weight of 0.02 next knows 0.02012, and the usual updates of
Adam (0.0001 and less) would be rounded away. Rounded at random, up or down with probabilities that
keep the mean, they count on average (Zamirai et al. 2020, arXiv 2010.06192); no float32 copy of
the parameters is needed. Moments are not affected: they are float32 (`optimizers.in_float32`).
"""

import jax
import jax.numpy as jnp

from jaxomics.types import Array, Key, Params


def apply_updates(params: Params, updates: Params, key: Key) -> Params:
    """Return params + updates in the types of the parameters, bfloat16 rounded at random.

    Args:
      params: arrays.
      updates: likewise, float32.
      key: of the rounding; read only where a parameter is bfloat16.
    """
    leaves, tree = jax.tree.flatten(params)
    steps = tree.flatten_up_to(updates)
    moved = [
        round_at_random(leaf.astype(jnp.float32) + step, jax.random.fold_in(key, i))
        if leaf.dtype == jnp.bfloat16
        else (leaf + step).astype(leaf.dtype)
        for i, (leaf, step) in enumerate(zip(leaves, steps, strict=True))
    ]
    return tree.unflatten(moved)


def round_at_random(x: Array, key: Key) -> Array:
    """Return float32 numbers as bfloat16, each one of its two neighbours and right on average.

    >>> round_at_random(jnp.array([1.0, -2.5]), jax.random.key(0)).tolist()
    [1.0, -2.5]
    """
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    bits = bits + (_hash(x.shape, jax.random.bits(key, (), jnp.uint32)) >> 16)
    return jax.lax.bitcast_convert_type((bits >> 16).astype(jnp.uint16), jnp.bfloat16)


def _hash(shape: tuple[int, ...], seed: Array) -> Array:
    """Return uint32 numbers that depend on position and seed (finaliser of MurmurHash3).

    A hash fuses with the update that it rounds, where random words from a stream would take as
    much memory as the parameters.
    """
    size = 1
    for length in shape:
        size *= length
    word = jax.lax.iota(jnp.uint32, size).reshape(shape) * jnp.uint32(0x9E3779B9) + seed
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        word = (word ^ (word >> shift)) * jnp.uint32(factor)
    return word ^ (word >> 16)
