"""Scores of explanations whose quality is known: linear functions and their closed forms."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.attribution.path import gradient, integrated_gradients
from jaxomics.attribution.quality import (
    deletion_curve,
    infidelity,
    insertion_curve,
    noise,
    removal,
    sensitivity_max,
)
from jaxomics.errors import InputError

SLOPE = {"a": np.array([4.0, -1.0, 0.0], np.float32), "c": np.array([2.0, 3.0], np.float32)}
X = {"a": np.ones(3, np.float32), "c": np.ones(2, np.float32)}
BASELINE = {"a": np.zeros(3, np.float32), "c": np.zeros(2, np.float32)}


def linear(w: Any, x: Any) -> Any:
    return jnp.vdot(w["a"], x["a"]) + jnp.vdot(w["c"], x["c"]) + 7.0


def square(w: Any, x: Any) -> Any:
    return jnp.sum(x**2)


def test_attributions_of_a_linear_function_foretell_every_removal(key: jax.Array):
    values = integrated_gradients(linear, SLOPE, X, BASELINE).values
    found = infidelity(linear, SLOPE, X, values, removal(BASELINE), key=key)
    np.testing.assert_allclose([found.value, found.relative], 0.0, atol=1e-9)


def test_gradients_of_a_linear_function_foretell_noise(key: jax.Array):
    found = infidelity(linear, SLOPE, X, SLOPE, noise(0.3), key=key, n_draws=64, chunk=10)
    np.testing.assert_allclose(found.value, 0.0, atol=1e-9)


def test_an_explanation_of_zeros_has_relative_infidelity_1(key: jax.Array):
    found = infidelity(linear, SLOPE, X, BASELINE, removal(BASELINE, 0.3), key=key, n_draws=2000)
    np.testing.assert_allclose(found.relative, 1.0, rtol=1e-5)
    # Each of (4, -1, 0, 2, 3) goes with probability 0.3: mean^2 + variance of their sum.
    expected = (0.3 * 8.0) ** 2 + 0.3 * 0.7 * 30.0
    assert abs(found.value - expected) < 4.0 * found.stderr


def test_infidelity_of_the_gradient_of_a_square_has_a_closed_form(key: jax.Array):
    # 2 x.e - (|x|^2 - |x - e|^2) = |e|^2, whose mean square is s^4 d (d + 2).
    x = jnp.array([1.0, 2.0, -1.0])
    found = infidelity(square, None, x, 2.0 * x, noise(0.5), key=key, n_draws=4000)
    assert abs(found.value - 0.5**4 * 15.0) < 4.0 * found.stderr


def test_sensitivity_of_constant_and_of_linear_explanations(key: jax.Array):
    assert float(sensitivity_max(lambda x: gradient(linear, SLOPE, x).values, X, key=key)) == 0.0
    x = jnp.array([3.0, 4.0])
    found = sensitivity_max(
        lambda x: gradient(square, None, x).values, x, key=key, radius=0.1, n_draws=200, chunk=50
    )
    highest = 0.1 * np.sqrt(2.0) / 5.0
    assert 0.8 * highest < float(found) <= highest * (1 + 1e-5)


def test_curves_of_a_linear_function():
    values = integrated_gradients(linear, SLOPE, X, BASELINE).values
    deletion = deletion_curve(linear, SLOPE, X, BASELINE, values, n_points=6)
    insertion = insertion_curve(linear, SLOPE, X, BASELINE, values, n_points=6)
    np.testing.assert_allclose(deletion.share, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    np.testing.assert_allclose(deletion.output, [15.0, 11.0, 8.0, 6.0, 7.0, 7.0], rtol=1e-6)
    np.testing.assert_allclose(insertion.output, [7.0, 11.0, 14.0, 16.0, 15.0, 15.0], rtol=1e-6)
    np.testing.assert_allclose(deletion.area, (4.0 + 4.0 + 1.0 - 1.0) / 8.0 / 5.0, rtol=1e-5)
    np.testing.assert_allclose(insertion.area, (4.0 + 7.0 + 9.0 + 8.0 + 4.0) / 8 / 5, rtol=1e-5)


def test_signed_order_takes_what_raises_the_output_first():
    values = integrated_gradients(linear, SLOPE, X, BASELINE).values
    found = deletion_curve(linear, SLOPE, X, BASELINE, values, n_points=6, order="signed", chunk=2)
    np.testing.assert_allclose(found.output, [15.0, 11.0, 8.0, 6.0, 6.0, 7.0], rtol=1e-6)


def test_true_order_beats_other_orders(key: jax.Array):
    w = np.random.default_rng(0).normal(size=12).astype(np.float32) ** 2
    x, zeros = jnp.ones(12), jnp.zeros(12)

    def area(values: Any) -> Any:
        return deletion_curve(lambda w, x: w @ x, w, x, zeros, values, n_points=13).area

    others = jax.vmap(area)(jax.random.normal(key, (20, 12)))
    assert float(area(w)) < float(others.min())


def test_scores_that_cannot_be_computed(key: jax.Array):
    with pytest.raises(InputError, match="explanation: expected 'a' of shape"):
        infidelity(linear, SLOPE, X, {**SLOPE, "a": np.ones(2)}, noise(0.1), key=key)
    with pytest.raises(InputError, match="unknown order 'size'"):
        deletion_curve(linear, SLOPE, X, BASELINE, SLOPE, order="size")
    with pytest.raises(InputError, match="n_points of 2 or more"):
        insertion_curve(linear, SLOPE, X, BASELINE, SLOPE, n_points=1)
    with pytest.raises(InputError, match="n_draws of 1 or more"):
        sensitivity_max(lambda x: x, X, key=key, n_draws=0)
