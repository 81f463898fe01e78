"""Integrated Hessians of a polynomial by hand, of networks against a double sum, and their sums."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.attribution.interactions import integrated_hessians
from jaxomics.attribution.path import integrated_gradients
from jaxomics.attribution.precision import as_double, double
from jaxomics.attribution.quadrature import nodes
from jaxomics.errors import InputError

ALL = [("a", 0), ("a", 1), ("c", (0, 0)), ("c", (1, 0))]


def network(w: Any, x: Any) -> Any:
    hidden = jnp.concatenate([x["a"], x["c"].ravel()]) @ w["in"]
    return jnp.tanh(hidden) @ w["out"]


def random(seed: int) -> tuple[Any, Any, Any]:
    """Weights, a sample and a baseline."""
    generator = np.random.default_rng(seed)
    w = {"in": 0.7 * generator.normal(size=(4, 5)), "out": generator.normal(size=5)}
    x, b = ({"a": generator.normal(size=2), "c": generator.normal(size=(2, 1))} for _ in range(2))
    return w, x, b


def polynomial(w: Any, x: Any) -> Any:
    return x[0] ** 2 * x[1] + 3.0 * x[2]


def test_polynomial_by_hand():
    # Of x0^2 x1 = 12 at (2, 3), 2/3 belong to x0 and 1/3 to x1; of these, 2/9 are shared.
    x = jnp.array([2.0, 3.0, 5.0])
    features = [("x", 0), ("x", 1), ("x", 2)]
    found = integrated_hessians(polynomial, None, x, jnp.zeros(3), features, n_steps=4)
    expected = np.array([[4 / 9 * 12, 2 / 9 * 12, 0], [2 / 9 * 12, 1 / 9 * 12, 0], [0, 0, 15]])
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found.attribution, [8.0, 4.0, 15.0], rtol=1e-5)
    np.testing.assert_allclose(found.rest, 0.0, atol=1e-5)


def test_what_was_not_chosen_is_the_rest():
    x = jnp.array([2.0, 3.0, 5.0])
    found = integrated_hessians(polynomial, None, x, jnp.zeros(3), [("x", 1)], n_steps=4)
    np.testing.assert_allclose(found.values, [[12 / 9]], rtol=1e-5)
    np.testing.assert_allclose(found.rest, [24 / 9], rtol=1e-5)
    np.testing.assert_allclose(found.gap, [0.0], atol=1e-5)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_rows_sum_to_integrated_gradients_on_random_networks(seed: int):
    with double():
        w, x, baseline = (as_double(tree) for tree in random(seed))
        found = integrated_hessians(network, w, x, baseline, ALL, n_steps=64)
        values = integrated_gradients(network, w, x, baseline).values
        expected = np.concatenate([values["a"], values["c"].ravel()])
        np.testing.assert_allclose(found.values.sum(axis=1), expected, atol=1e-7)
        np.testing.assert_allclose(found.values, found.values.T, atol=1e-12)
        np.testing.assert_allclose(found.rest, 0.0, atol=1e-12)


def test_single_integral_is_the_double_integral_of_the_definition():
    with double():
        w, x, baseline = (as_double(tree) for tree in random(1))
        found = integrated_hessians(network, w, x, baseline, ALL, n_steps=48, chunk=7)
        t, weight = nodes("gauss", 24)
        u = jnp.outer(t, t).ravel()
        both = jnp.outer(weight, weight).ravel()
        start = jnp.concatenate([baseline["a"], baseline["c"].ravel()])
        change = jnp.concatenate([x["a"], x["c"].ravel()]) - start

        def flat(point: Any) -> Any:
            return network(w, {"a": point[:2], "c": point[2:, None]})

        points = start[None] + u[:, None] * change[None]
        slopes, curves = jax.vmap(jax.grad(flat))(points), jax.vmap(jax.hessian(flat))(points)
        expected = jnp.einsum("k,kij,i,j->ij", both * u, curves, change, change)
        expected += jnp.diag(both @ slopes * change)
        np.testing.assert_allclose(found.values, expected, atol=1e-8)


def test_order_of_features_is_the_order_of_values():
    w, x, baseline = random(2)

    def explain(features: Any) -> Any:
        return jax.jit(partial(integrated_hessians, network, features=features))(w, x, baseline)

    whole, some = explain(ALL), explain([ALL[3], ALL[0]])
    np.testing.assert_allclose(some.values, whole.values[np.ix_([3, 0], [3, 0])], atol=1e-6)
    np.testing.assert_allclose(some.attribution, whole.attribution[np.array([3, 0])], atol=1e-6)


def test_kinks_are_missed_and_the_gap_tells():
    found = integrated_hessians(
        lambda w, x: jax.nn.relu(x[0] + x[1] - 1.0),
        None,
        jnp.ones(2),
        jnp.zeros(2),
        [("x", 0), ("x", 1)],
    )
    assert float(jnp.abs(found.gap).max()) > 0.1
    assert float(found.values[0, 1]) == 0.0


def test_features_that_do_not_exist():
    w, x, baseline = random(3)
    with pytest.raises(InputError, match="unknown leaf 'b'"):
        integrated_hessians(network, w, x, baseline, [("b", 0)])
    with pytest.raises(InputError, match=r"index into 'c' of shape \(2, 1\), found \(0, 1\)"):
        integrated_hessians(network, w, x, baseline, [("c", (0, 1))])
    with pytest.raises(InputError, match=r"feature \('a', 1\) is named twice"):
        integrated_hessians(network, w, x, baseline, [("a", 1), ("a", 1)])
    with pytest.raises(InputError, match="found none"):
        integrated_hessians(network, w, x, baseline, [])
