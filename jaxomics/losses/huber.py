"""The Huber loss of reconstructions, summed over features or averaged (Huber 1964)."""

from typing import Literal

import jax.numpy as jnp

from jaxomics.losses.masked import masked_mean
from jaxomics.types import Array

Reduction = Literal["sum", "mean"]
"""`sum` over the observed features of a sample, and mean over samples; or `mean` over cells."""


def huber(residual: Array, delta: Array | float) -> Array:
    """Return r^2 / 2 where |r| <= delta, and delta (|r| - delta / 2) elsewhere; any shape.

    >>> huber(jnp.array([0.5, -3.0]), 1.0).tolist()
    [0.125, 2.5]
    """
    size = jnp.abs(residual)
    return jnp.where(size <= delta, 0.5 * residual**2, delta * (size - 0.5 * delta))


def huber_loss(
    output: Array,
    target: Array,
    observed: Array,
    weight: Array,
    delta: Array | float,
    reduction: Reduction = "sum",
) -> Array:
    """Return the Huber loss of a batch over observed cells; 0 where there are none.

    Args:
      output, target, observed: [b, features].
      weight: [b], 0 = padding.
      delta: where the loss turns from a square into a line.
      reduction: over the features of a sample.

    >>> output, target = jnp.array([[1.0, 5.0], [0.0, 0.0]]), jnp.zeros((2, 2))
    >>> float(huber_loss(output, target, target == 0, jnp.ones(2), 1.0))
    2.5
    """
    cells = observed.astype(output.dtype) * weight[:, None]
    errors = huber(output - target, delta)
    if reduction == "mean":
        return masked_mean(errors, cells)
    return masked_mean(jnp.sum(cells * errors, axis=1), weight)
