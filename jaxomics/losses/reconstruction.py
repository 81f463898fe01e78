"""Reconstruction errors over the observed cells of a batch."""

import jax.numpy as jnp

from jaxomics.losses.masked import count, masked_mean
from jaxomics.types import Array


def masked_mse(predicted: Array, target: Array, observed: Array) -> Array:
    """Return the mean squared error over observed cells; 0 when there are none.

    One global average, so a view's weight does not depend on its width, and samples with more
    observed cells weigh more (Cai et al. 2024).

    Args:
      predicted, target: [b, features], standardised.
      observed: [b, features]; bool, or weights of the cells.
    """
    return masked_mean((predicted - target) ** 2, observed.astype(predicted.dtype))


def macro_mse(
    predicted: Array,
    target: Array,
    observed: Array,
    levels: tuple[float, ...],
    *,
    missing_as_zero: bool = False,
) -> Array:
    """Return the mean over the levels of the target of their mean squared errors.

    Balances ordinal targets such as copy number, where most cells are neutral. Levels without a
    cell in the batch do not count.

    Args:
      predicted, target, observed: [b, features].
      levels: every value that the target may take; static, so the loss compiles.
      missing_as_zero: count unobserved cells as correct cells of level 0, as the published code
        does (it dilutes that level).
    """
    weight = observed.astype(predicted.dtype)
    squared = weight * (predicted - target) ** 2
    if missing_as_zero:
        target, weight = jnp.where(observed, target, 0.0), jnp.ones_like(weight)
    cells = [weight * (target == level) for level in levels]
    errors = [masked_mean(squared, c) for c in cells]
    present = jnp.stack([count(c) for c in cells]) > 0
    total = jnp.sum(jnp.where(present, jnp.stack(errors), 0.0))
    return total / jnp.maximum(jnp.sum(present), 1)
