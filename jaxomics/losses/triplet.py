"""Triplets of a batch: an anchor, a sample of its cohort, and one of another (Nagaraj et al. 2023).

L = mean over anchors of max(|x - p| - |x - n| + margin, 0)        norms are not squared
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxomics.losses.masked import masked_mean
from jaxomics.types import Array, Key

FLOOR = 1e-12
"""Added under the root, where its gradient would be infinite at 0."""


class Triplets(NamedTuple):
    """Rows of a batch.

    Attributes:
      positive, negative: int [b], for each row as anchor.
      valid: float [b], 0 where a row is no anchor: its cohort has no other sample in the batch, or
        the batch no other cohort.
    """

    positive: Array
    negative: Array
    valid: Array


def draw_triplets(key: Key, labels: Array, sample: Array, weight: Array, cohorts: int) -> Triplets:
    """Draw a positive and a negative for each row.

    The positive is any other sample of the cohort; for the negative one of the other cohorts is
    drawn first, and then a sample of it.

    Args:
      key: PRNG key.
      labels: int [b], cohorts; -1 = unknown, such rows take no part.
      sample: int [b], equal ids are the same sample.
      weight: [b], 0 leaves a row out.
      cohorts: how many there are; static.

    >>> labels = jnp.array([0, 0, 1])
    >>> found = draw_triplets(jax.random.key(0), labels, jnp.arange(3), jnp.ones(3), 2)
    >>> found.positive[:2].tolist(), found.negative[:2].tolist(), found.valid.tolist()
    ([1, 0], [2, 2], [1.0, 1.0, 0.0])
    """
    keys = jax.random.split(key, 3)
    known = (labels >= 0) & (weight > 0)
    same = (labels[:, None] == labels[None]) & known[:, None] & known[None]
    positive, some = _choose(keys[0], same & (sample[:, None] != sample[None]))
    there = jnp.any((labels[:, None] == jnp.arange(cohorts)[None]) & known[:, None], axis=0)
    others = there[None] & (labels[:, None] != jnp.arange(cohorts)[None])
    cohort, other = _choose(keys[1], others)
    negative, _ = _choose(keys[2], (cohort[:, None] == labels[None]) & known[None])
    valid = some & other & known
    return Triplets(positive, negative, valid.astype(jnp.float32))


def _choose(key: Key, allowed: Array) -> tuple[Array, Array]:
    """Return a random allowed column of each row of [b, n], and whether there is any."""
    draws = jnp.where(allowed, jax.random.uniform(key, allowed.shape), -1.0)
    return jnp.argmax(draws, axis=1), jnp.any(allowed, axis=1)


def triplet_loss(z: Array, triplets: Triplets, margin: Array | float = 1.0) -> Array:
    """Return the loss of latents [b, latent]; 0 without anchors.

    >>> z = jnp.array([[0.0], [3.0], [1.0]])
    >>> rows = Triplets(jnp.array([1, 0, 0]), jnp.array([2, 2, 0]), jnp.array([1.0, 0.0, 0.0]))
    >>> float(triplet_loss(z, rows))  # |0 - 3| - |0 - 1| + 1
    3.0
    """
    near, far = (_norm(z - z[rows]) for rows in (triplets.positive, triplets.negative))
    return masked_mean(jnp.maximum(near - far + margin, 0.0), triplets.valid)


def _norm(difference: Array) -> Array:
    """Return the Euclidean norm of the rows of [b, latent], differentiable at 0."""
    return jnp.sqrt(jnp.sum(difference**2, axis=1) + FLOOR)
