"""float64 is on inside the context only, and casts reach floating arrays only."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.attribution.precision import as_double, double
from jaxomics.errors import InputError


def test_double_is_on_inside_only():
    assert jnp.ones(1).dtype == jnp.float32
    with double():
        assert jnp.ones(1).dtype == jnp.float64
        assert jax.jit(lambda x: x + 1.0)(np.ones(1)).dtype == jnp.float64
    assert jnp.ones(1).dtype == jnp.float32


def test_double_ends_with_an_error_too():
    with pytest.raises(KeyError), double():
        raise KeyError
    assert jnp.ones(1).dtype == jnp.float32


def test_only_floating_arrays_are_cast(key: jax.Array):
    tree = {"w": jnp.ones(2), "n": jnp.arange(2), "on": np.array([True]), "key": key}
    with double():
        found = as_double(tree)
    assert found["w"].dtype == jnp.float64
    assert found["n"].dtype == jnp.int32
    assert found["on"].dtype == bool
    assert found["key"] is key


def test_casting_outside_is_refused():
    with pytest.raises(InputError, match="float64 is off here"):
        as_double(jnp.ones(1))
