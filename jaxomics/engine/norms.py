"""Norms of gradients and parameters, at a price that no step notices.

Reading every gradient and every update once more costs a step of 50 million parameters about a
sixth of its time, since nothing but memory traffic is in it. So large arrays are sampled.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.types import Array, Params

ENTRIES = 16384
"""Arrays of at most so many entries count whole; of larger ones about so many are read."""


def sample(tree: Params) -> Array:
    """Return a vector [entries] whose Euclidean norm is, or estimates, that of the tree.

    Of an array with more than `ENTRIES` entries every k-th row is taken, scaled so that the sum
    of squares is right on average over the rows.

    >>> float(jnp.linalg.norm(sample({"a": jnp.array([3.0]), "b": jnp.array([[4.0]])})))
    5.0
    """
    parts = [_rows(leaf) for leaf in jax.tree.leaves(tree)]
    return jnp.concatenate(parts) if parts else jnp.zeros(1)


def _rows(leaf: Array) -> Array:
    """Return evenly spaced rows of one array, flat and scaled."""
    rows = leaf.reshape(-1, leaf.shape[-1]) if leaf.ndim else leaf.reshape(1, 1)
    chosen = rows[:: max(1, leaf.size // ENTRIES)]
    return (chosen * np.sqrt(len(rows) / len(chosen), dtype=np.float32)).ravel()
