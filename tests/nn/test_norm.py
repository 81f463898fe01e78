"""Batch norm against NumPy, with padding, empty batches, replicas and devices."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.nn.norm import BatchNorm, NormedDense
from jaxomics.nn.start import start

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32) * 2 + 5
NORM = BatchNorm(epsilon=0.8, momentum=0.9)
VARIABLES: Any = {
    "params": {"scale": jnp.array([1.0, 2.0, 3.0]), "shift": jnp.array([0.0, 1.0, -1.0])},
    "batch_stats": {"mean": jnp.array([1.0, 2.0, 3.0]), "variance": jnp.array([1.0, 4.0, 9.0])},
}


def apply(x: np.ndarray, weight: np.ndarray, *, train: bool) -> tuple[np.ndarray, Any]:
    out, new = NORM.apply(
        VARIABLES, jnp.asarray(x), jnp.asarray(weight), train=train, mutable=["batch_stats"]
    )  # pyright: ignore
    return np.asarray(out), new["batch_stats"]


@pytest.mark.parametrize("weight", [np.ones(6), np.array([1.0, 1, 1, 1, 0, 0])])
def test_training_uses_and_keeps_the_moments_of_real_rows(weight: np.ndarray):
    out, new = apply(X, weight, train=True)
    real = X[weight > 0].astype(np.float64)
    mean, variance = real.mean(axis=0), real.var(axis=0)
    expected = (real - mean) / np.sqrt(variance + 0.8) * [1.0, 2.0, 3.0] + [0.0, 1.0, -1.0]
    np.testing.assert_allclose(out[weight > 0], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(new["mean"], 0.9 * np.array([1.0, 2, 3]) + 0.1 * mean, rtol=1e-6)
    kept = 0.9 * np.array([1.0, 4, 9]) + 0.1 * variance
    np.testing.assert_allclose(new["variance"], kept, rtol=1e-5)


def test_at_rest_it_uses_running_moments_and_keeps_them():
    out, new = apply(X, np.ones(6), train=False)
    expected = (X - [1, 2, 3]) / np.sqrt(np.array([1, 4, 9]) + 0.8) * [1, 2, 3] + [0, 1, -1]
    np.testing.assert_allclose(out, expected, rtol=1e-5)
    np.testing.assert_array_equal(new["variance"], VARIABLES["batch_stats"]["variance"])


def test_a_batch_without_rows_changes_nothing_and_stays_finite():
    out, new = apply(X, np.zeros(6), train=True)
    assert np.isfinite(out).all()
    jax.tree.map(np.testing.assert_array_equal, new, VARIABLES["batch_stats"])


def test_parts_on_devices_make_one_batch():
    whole, new = apply(X, np.ones(6), train=True)

    def part(x: jax.Array, weight: jax.Array) -> Any:
        return NORM.apply(
            VARIABLES, x, weight, train=True, axis_name="data", mutable=["batch_stats"]
        )

    weight = jnp.ones((2, 3))
    out, found = jax.vmap(part, axis_name="data")(jnp.asarray(X).reshape(2, 3, 3), weight)
    np.testing.assert_allclose(out.reshape(6, 3), whole, rtol=1e-5)
    for name in ("mean", "variance"):
        np.testing.assert_allclose(found["batch_stats"][name][1], new[name], rtol=1e-6)


def test_bias_ahead_of_a_norm_counts_at_rest_and_never_moves():
    layer = NormedDense(4, 0.8)
    variables = start(layer, jax.random.key(0), jnp.zeros((2, 3)), jnp.ones(2), train=False)

    @partial(jax.jit, static_argnums=1)
    @jax.value_and_grad
    def total(params: Any, train: bool) -> jax.Array:
        out, _ = layer.apply(
            {**variables, "params": params}, jnp.asarray(X), jnp.ones(6), train=train,
            mutable=["batch_stats"],
        )  # fmt: skip
        return jnp.sum(out**2)

    params = variables["params"]
    bounds = np.abs(np.asarray(params["bias"]))
    assert 0 < bounds.max() <= 3**-0.5
    value, gradient = total(params, True)
    assert not np.asarray(gradient["bias"]).any()
    assert np.asarray(gradient["kernel"]).all()
    other = {**params, "bias": params["bias"] + 1.0}
    assert float(total(other, True)[0]) == pytest.approx(float(value), rel=1e-4)
    at_rest = [float(total(p, False)[0]) for p in (params, other)]
    assert at_rest[0] != pytest.approx(at_rest[1], rel=1e-2)
