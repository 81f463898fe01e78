"""Names for the array types that signatures use."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import jax

Array: TypeAlias = jax.Array
Key: TypeAlias = jax.Array
"""A typed PRNG key (`jax.random.key`)."""

Params: TypeAlias = Any
"""Nested dict of trainable arrays; its top level is keyed by player."""

Collections: TypeAlias = Mapping[str, Any]
"""Nested dict of arrays that steps update but gradients do not (batch statistics)."""

Views: TypeAlias = dict[str, Array]
"""One array per view, keyed by view name."""

Metrics: TypeAlias = dict[str, Array]
"""Scalars for the reader, keyed by name."""
