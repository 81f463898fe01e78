"""Rounding at random: neighbours only, right on average, float32 untouched."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.engine.rounding import apply_updates, round_at_random


@pytest.mark.parametrize("value", [0.02003, -0.02003, 1.001, -3.3e-20])
def test_right_on_average(value: float, key: jax.Array):
    x = jnp.full((200, 100), value)
    found = np.asarray(round_at_random(x, key), np.float64)
    step = np.ptp(found)
    assert len(np.unique(found)) == 2
    assert found.mean() == pytest.approx(value, abs=4 * step / 2 / np.sqrt(found.size))


@settings(deadline=None, max_examples=50)
@given(st.floats(-(2.0**99), 2.0**99, width=32))
def test_a_neighbour(value: float):
    found = float(round_at_random(jnp.full((1,), value), jax.random.key(1))[0])
    assert abs(found - value) <= abs(value) * 2.0**-7 + 1e-38


def test_infinities_stay(key: jax.Array):
    x = jnp.full((1000,), jnp.inf)
    assert bool((round_at_random(x, key) == jnp.inf).all())
    assert bool((round_at_random(-x, key) == -jnp.inf).all())


def test_updates_below_the_resolution_add_up(key: jax.Array):
    """A hundred updates of a tenth of the resolution at 1, which is 2^-7."""
    params = {"half": jnp.ones((50, 40), jnp.bfloat16), "whole": jnp.ones(3)}
    updates = {"half": jnp.full((50, 40), 2.0**-7 / 10), "whole": jnp.full(3, 0.25)}

    def step(i: int, moved: dict) -> dict:
        return apply_updates(moved, updates, jax.random.fold_in(key, i))

    moved = jax.lax.fori_loop(0, 100, step, params)
    assert moved["half"].dtype == jnp.bfloat16
    mean = float(moved["half"].astype(jnp.float32).mean())
    assert mean == pytest.approx(1 + 10 * 2.0**-7, rel=2e-3)
    np.testing.assert_array_equal(moved["whole"], 26.0)
