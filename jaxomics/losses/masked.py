"""Means over what a batch really holds, also where several devices hold a part of it each.

Under `jit` a batch is whole wherever its rows lie, and the compiler adds what devices have to
tell each other. Under `pmap` and `shard_map` a function sees the rows of one device only, and the
axis over which the batch is split has a name, `AXIS`. A step there averages losses and gradients
over devices with equal weights, which is wrong for a mean over observed cells as soon as devices
hold unequal numbers of them. So the one mean that losses use divides by the count of all devices.
"""

import jax
import jax.numpy as jnp

from jaxomics.types import Array

AXIS = "data"
"""Name of the axis over which devices split a batch."""


def split_axis() -> str | None:
    """Return `AXIS` where the function being traced sees one device's part of a batch, or None.

    It is what a batch norm takes as the name of the axis to average its statistics over.

    >>> split_axis() is None
    True
    """
    return AXIS if devices_sharing() else None


def devices_sharing() -> int:
    """Return how many devices split the batch of the function being traced; 0 if it is whole."""
    try:
        return jax.lax.axis_size(AXIS)
    except NameError:
        return 0


def count(weight: Array) -> Array:
    """Return the sum of the weights over the batch, those on other devices included."""
    total = jnp.sum(weight)
    return jax.lax.psum(total, AXIS) if devices_sharing() else total


def masked_mean(values: Array, weight: Array) -> Array:
    """Return the mean of values under weights; 0 where there is no weight.

    On a part of a batch it is the part's share of that mean times the number of devices, so that
    the average over devices is the mean of the whole batch, and so are gradients.

    Args:
      values: of any shape.
      weight: 0 leaves a value out; same shape.

    >>> float(masked_mean(jnp.array([1.0, 2.0, 6.0]), jnp.array([1.0, 0.0, 1.0])))
    3.5
    """
    part = jnp.sum(weight * values)
    return part / jnp.maximum(count(weight), 1.0) * max(devices_sharing(), 1)
