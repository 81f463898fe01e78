"""Dropout with traced rates, so that rates are one more axis of a sweep."""

import jax
import jax.numpy as jnp

from jaxomics.types import Array, Key


def keep_mask(key: Key, shape: tuple[int, ...], rate: Array | float) -> Array:
    """Return bool [shape], False with probability `rate`; all True at rate 0.

    One 32-bit word is compared with a threshold, which costs half of drawing a float.
    """
    limit = (jnp.clip(1.0 - rate, 0.0, 1.0 - 2.0**-24) * 2.0**32).astype(jnp.uint32)
    return (jax.random.bits(key, shape, jnp.uint32) < limit) | (jnp.asarray(rate) <= 0.0)


def dropout(key: Key, x: Array, rate: Array | float) -> Array:
    """Zero each entry with probability `rate` and divide the others by 1 - rate."""
    return jnp.where(keep_mask(key, x.shape, rate), x / (1.0 - rate), 0.0)


def view_keep(
    key: Key, groups: tuple[int, ...], samples: int, rate: Array | float, *, per_sample: bool
) -> Array:
    """Draw which views an encoder may see: bool [samples, views].

    Args:
      key: PRNG key.
      groups: group number of each view; views of one group are dropped together.
      samples: batch size.
      rate: probability that a group is dropped, traced.
      per_sample: draw for each sample; otherwise once per batch (Cai et al. 2024).
    """
    draws = keep_mask(key, (samples if per_sample else 1, max(groups) + 1), rate)
    kept = draws[:, jnp.asarray(groups)]
    return jnp.broadcast_to(kept, (samples, len(groups)))
