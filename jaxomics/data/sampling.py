"""Epoch plans: which rows go into which step."""

import jax
import jax.numpy as jnp

from jaxomics.types import Array, Key


def paired_plan(key: Key, rows: Array, size: Array | int, batch: int, steps: int) -> Array:
    """Return int [steps, batch]: a shuffle of the valid rows, the incomplete batch left out.

    Args:
      key: PRNG key of this epoch.
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows; traced, so folds of unequal size share one program.
      batch: rows per step.
      steps: steps per epoch; batch * steps must not exceed the size of the smallest fold.
    """
    draws = jax.random.uniform(key, rows.shape)
    order = jnp.argsort(jnp.where(jnp.arange(len(rows)) < size, draws, 2.0))
    return rows[order[: batch * steps]].reshape(steps, batch)


def evaluation_plan(rows: Array, size: Array | int, batch: int) -> tuple[Array, Array]:
    """Return rows [steps, batch] in order, and their weights: 0 on padding.

    Args:
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step.
    """
    steps = -(-len(rows) // batch)
    padding = steps * batch - len(rows)
    padded = jnp.pad(rows, (0, padding))
    weight = (jnp.arange(steps * batch) < size).astype(jnp.float32)
    return padded.reshape(steps, batch), weight.reshape(steps, batch)
