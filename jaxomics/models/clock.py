"""How far a run has come, for losses whose weights change from epoch to epoch.

A loss sees batches, not epochs. The clock counts steps in a collection, and knows from the survey
of the training rows how many make an epoch.
"""

from typing import Any

import jax.numpy as jnp

from jaxomics.losses.masked import devices_sharing
from jaxomics.types import Array

CLOCK = "clock"
"""Name of the collection."""


def start_clock(weight: Array) -> dict[str, Array]:
    """Return a clock at rest.

    Args:
      weight: [n] of the training rows, 0 = padding.
    """
    return {"step": jnp.zeros(()), "rows": jnp.sum(weight)}


def tick(clock: Any) -> dict[str, Array]:
    """Return the clock one step later."""
    return {"step": clock["step"] + 1.0, "rows": clock["rows"]}


def epoch(clock: Any, batch: int) -> Array:
    """Return the number of epochs that are over, a whole number.

    Args:
      clock: as it is.
      batch: rows per step that this device sees; the last incomplete batch of an epoch is dropped.

    >>> clock = start_clock(jnp.ones(25))
    >>> for _ in range(5):
    ...     clock = tick(clock)
    >>> float(epoch(clock, 10))
    2.0
    """
    steps = jnp.maximum(jnp.floor(clock["rows"] / (batch * max(devices_sharing(), 1))), 1.0)
    return jnp.floor(clock["step"] / steps)
