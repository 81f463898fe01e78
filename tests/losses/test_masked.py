"""Means over parts of a batch on several devices are the means of the whole batch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.losses.divergence import gaussian_kl
from jaxomics.losses.masked import AXIS, count, devices_sharing, masked_mean, split_axis
from jaxomics.losses.reconstruction import macro_mse, masked_mse

X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
LEVELS = (-1.0, 0.0, 1.0)
OBSERVED = np.array([[1] * 3] * 3 + [[0] * 3] * 3 + [[1, 0, 0], [0, 0, 1]], bool)
"""Four devices with two rows each see 6, 3, 0 and 2 cells."""


def mse(w: Any, x: Any, observed: Any) -> Any:
    return masked_mse(jnp.broadcast_to(w, x.shape), x, observed)


def macro(w: Any, x: Any, observed: Any) -> Any:
    return macro_mse(jnp.broadcast_to(w, x.shape), jnp.sign(jnp.round(x)), observed, LEVELS)


def neutral(w: Any, x: Any, observed: Any) -> Any:
    level = jnp.sign(jnp.round(x))
    guess = jnp.broadcast_to(w, x.shape)
    return macro_mse(guess, level, observed, LEVELS, missing_as_zero=True)


def kl(w: Any, x: Any, observed: Any) -> Any:
    weight = observed.any(axis=1).astype(jnp.float32)
    return gaussian_kl(x + w, jnp.exp(x), weight)


@pytest.mark.parametrize("loss", [mse, macro, neutral, kl])
def test_average_over_devices_is_the_loss_of_the_batch(loss: Any):
    w = jnp.array([[0.5, -1.0, 2.0]])

    def part(x: Any, observed: Any) -> Any:
        return jax.lax.pmean(jax.value_and_grad(loss)(w, x, observed), AXIS)

    parts = (X.reshape(4, 2, 3), OBSERVED.reshape(4, 2, 3))
    found = jax.pmap(part, AXIS, devices=jax.devices())(*parts)
    expected = jax.value_and_grad(loss)(w, jnp.asarray(X), jnp.asarray(OBSERVED))
    for mine, whole in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, np.broadcast_to(whole, mine.shape), rtol=1e-5, atol=1e-7)


def test_nothing_measured_anywhere_is_zero():
    parts = (jnp.ones((4, 2)), jnp.zeros((4, 2)))
    assert jax.pmap(masked_mean, AXIS, devices=jax.devices())(*parts).tolist() == [0.0] * 4
    assert float(masked_mean(jnp.ones(3), jnp.zeros(3))) == 0.0


def test_the_axis_is_known_where_there_is_one():
    seen = []

    def look(x: Any) -> Any:
        seen.append((split_axis(), devices_sharing()))
        return count(x)

    assert float(jax.jit(look)(jnp.ones(3))) == 3.0
    assert (
        jax.pmap(jax.jit(look), AXIS, devices=jax.devices())(jnp.ones((4, 2))).tolist() == [8.0] * 4
    )
    assert seen == [(None, 0), (AXIS, 4)]
