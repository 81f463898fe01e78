"""Distances between generated and measured values, averaged over the observed cells of a batch."""

from typing import Literal

import jax
import jax.numpy as jnp

from jaxomics.losses.masked import masked_mean
from jaxomics.types import Array

Distance = Literal["l1", "mse", "ce"]
"""`l1` absolute error, `mse` squared error, `ce` binary cross entropy of values in [0, 1]."""


def distance(kind: Distance, output: Array, target: Array, observed: Array) -> Array:
    """Return the mean distance of output and target over observed cells; 0 when there are none.

    Args:
      kind: which distance.
      output: [b, features]; for `ce` logits, whose sigmoid is the generated value.
      target: [b, features]; for `ce` scaled to [0, 1], and cut off there.
      observed: [b, features]; bool, or weights of the cells.

    >>> output, target = jnp.array([[1.0, 5.0]]), jnp.array([[3.0, 9.0]])
    >>> float(distance("l1", output, target, jnp.array([[True, False]])))
    2.0
    """
    if kind == "l1":
        errors = jnp.abs(output - target)
    elif kind == "mse":
        errors = (output - target) ** 2
    else:
        errors = jax.nn.softplus(output) - output * jnp.clip(target, 0.0, 1.0)
    return masked_mean(errors, observed.astype(output.dtype))
