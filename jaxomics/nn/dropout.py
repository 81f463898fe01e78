"""Dropout with traced rates, so that rates are one more axis of a sweep."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.types import Array, Key


def draw_words(key: Key, samples: int, widths: Sequence[int]) -> list[Array]:
    """Return random uint32 words [samples, width] for several masks, from one draw.

    One kernel then serves a whole network, where one per layer would have to be compiled.
    """
    words = jax.random.bits(key, (samples * sum(widths),), jnp.uint32)
    ends = np.cumsum([samples * width for width in widths])
    parts = jnp.split(words, ends[:-1])
    return [part.reshape(samples, width) for part, width in zip(parts, widths, strict=True)]


def keep(words: Array, rate: Array | float) -> Array:
    """Return bool [shape], False with probability `rate`; all True at rate 0.

    Comparing 32-bit words with a threshold costs half of drawing floats.
    """
    limit = (jnp.clip(1.0 - rate, 0.0, 1.0 - 2.0**-24) * 2.0**32).astype(jnp.uint32)
    return (words < limit) | (jnp.asarray(rate) <= 0.0)


def keep_mask(key: Key, shape: tuple[int, ...], rate: Array | float) -> Array:
    """Return bool [shape], False with probability `rate`; all True at rate 0."""
    return keep(jax.random.bits(key, shape, jnp.uint32), rate)


def dropout(words: Array, x: Array, rate: Array | float) -> Array:
    """Zero each entry with probability `rate` and divide the others by 1 - rate.

    Args:
      words: random words, shaped like x.
      x: values.
      rate: in [0, 1), traced.
    """
    return jnp.where(keep(words, rate), x / (1.0 - rate), 0.0)


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
