"""Attributions in float64, for tests of axioms and for functions that nearly cancel."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp

from jaxomics.errors import InputError


@contextmanager
def double() -> Iterator[None]:
    """Compute in float64 inside this context, whatever the process does outside.

    Arrays keep the type they have: cast parameters, samples and backgrounds by `as_double`.

    >>> with double():
    ...     as_double({"w": jnp.ones(2, jnp.float32)})["w"].dtype
    dtype('float64')
    """
    with jax.enable_x64(True):
        yield


def as_double(tree: Any) -> Any:
    """Return a pytree with its floating arrays in float64; others, such as keys, stay.

    Raises:
      InputError: outside of `double()`, where JAX has no float64.
    """
    if not jax.config.read("jax_enable_x64"):
        raise InputError("float64 is off here: call this inside `with double():`")
    return jax.tree.map(
        lambda leaf: (
            jnp.asarray(leaf, jnp.float64)
            if jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
            else leaf
        ),
        tree,
    )
