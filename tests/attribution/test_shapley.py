"""Shapley values against brute force over all orders, closed forms, and each other."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.attribution.path import expected_gradients
from jaxomics.attribution.precision import as_double, double
from jaxomics.attribution.shapley import exact_shapley, players_of, sampled_shapley
from jaxomics.errors import InputError


def network(w: Any, x: Any) -> Any:
    return jnp.tanh(x["a"] @ w["a"] + x["c"] @ w["c"]) @ w["out"]


def random(seed: int) -> tuple[Any, Any, Any]:
    """Weights, a sample and a background of three."""
    generator = np.random.default_rng(seed)
    shapes = {"a": (3, 4), "c": (2, 4), "out": (4,)}
    w = {name: generator.normal(size=shape) for name, shape in shapes.items()}
    x = {"a": generator.normal(size=3), "c": generator.normal(size=2)}
    background = {"a": generator.normal(size=(3, 3)), "c": generator.normal(size=(3, 2))}
    return w, x, background


def flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.asarray(tree["a"]), np.asarray(tree["c"])], axis=-1)


def brute_force(w: Any, x: Any, background: Any, groups: list[list[int]]) -> np.ndarray:
    """Mean over all orders, in NumPy, by the definition."""
    end, starts, first = flat(x), flat(background), np.concatenate([w["a"], w["c"]])
    values = np.zeros(len(groups))
    orders = list(itertools.permutations(range(len(groups))))
    for order in orders:
        point = starts.copy()
        before = np.mean(np.tanh(point @ first) @ w["out"])
        for player in order:
            point[:, groups[player]] = end[groups[player]]
            after = np.mean(np.tanh(point @ first) @ w["out"])
            values[player] += after - before
            before = after
    return values / len(orders)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 10**6), chunk=st.sampled_from([5, None]))
def test_exact_values_are_those_of_brute_force(seed: int, chunk: int | None):
    w, x, background = random(seed)
    expected = brute_force(w, x, background, [[0], [1], [2], [3], [4]])
    with double():
        parts = (as_double(tree) for tree in (w, x, background))
        found = exact_shapley(network, *parts, chunk=chunk)
        np.testing.assert_allclose(flat(found.values), expected, rtol=1e-10, atol=1e-12)
        assert abs(float(found.gap)) < 1e-12
        assert found.stderr is None


def test_groups_by_label_and_by_name():
    w, x, background = random(0)
    expected = brute_force(w, x, background, [[0, 3], [1, 2], [4]])
    labels = {"a": np.array([0, 1, 1]), "c": np.array([0, 2])}
    masks = {
        name: {leaf: labels[leaf] == number for leaf in labels}
        for number, name in enumerate(("both", "genes", "tissue"))
    }
    with double():
        parts = [as_double(tree) for tree in (w, x, background)]
        by_label = exact_shapley(network, *parts, labels)
        by_name = exact_shapley(network, *parts, masks)
        np.testing.assert_allclose(by_label.values, expected, rtol=1e-10)
        assert list(by_name.values) == ["both", "genes", "tissue"]
        np.testing.assert_allclose(list(by_name.values.values()), expected, rtol=1e-10)


def test_linear_function_has_a_closed_form(key: jax.Array):
    _, x, background = random(1)
    slope = {"a": np.array([1.0, -2.0, 0.5]), "c": np.array([3.0, 0.0])}

    def linear(w: Any, x: Any) -> Any:
        return jnp.vdot(w["a"], x["a"]) + jnp.vdot(w["c"], x["c"]) + 1.0

    expected = {leaf: slope[leaf] * (x[leaf] - background[leaf].mean(axis=0)) for leaf in slope}
    exact = exact_shapley(linear, slope, x, background)
    sampled = sampled_shapley(linear, slope, x, background, key=key, n_permutations=6)
    np.testing.assert_allclose(flat(exact.values), flat(expected), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(flat(sampled.values), flat(expected), rtol=1e-5, atol=1e-5)


def test_antithetic_orders_are_exact_for_interactions_of_two(key: jax.Array):
    # In an order and its reverse each of two features enters first once.
    _, x, background = random(2)
    form = np.random.default_rng(0).normal(size=(5, 5))

    def quadratic(w: Any, x: Any) -> Any:
        joined = jnp.concatenate([x["a"], x["c"]])
        return joined @ w @ joined

    exact = exact_shapley(quadratic, form, x, background)
    sampled = sampled_shapley(quadratic, form, x, background, key=key, n_permutations=6)
    np.testing.assert_allclose(flat(sampled.values), flat(exact.values), rtol=1e-4, atol=1e-4)
    # So do pairs of draws: on quadratics expected gradients are Shapley values.
    # So do pairs of draws: on quadratics, expected gradients are Shapley values.
    gradients = expected_gradients(
        quadratic, form, x, background, key=key, n_draws=6, antithetic=True
    )
    np.testing.assert_allclose(flat(gradients.values), flat(exact.values), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("antithetic", [False, True])
def test_sampled_values_are_unbiased_with_honest_errors(key: jax.Array, antithetic: bool):
    w, x, background = jax.tree.map(jnp.asarray, random(3))
    exact = flat(exact_shapley(network, w, x, background).values)

    def estimate(one: jax.Array) -> Any:
        return sampled_shapley(
            network, w, x, background, key=one, n_permutations=16, antithetic=antithetic
        )

    found = jax.jit(jax.vmap(estimate))(jax.random.split(key, 300))
    values, claimed = flat(found.values), flat(found.stderr)
    spread = values.std(axis=0)
    assert (np.abs(values.mean(axis=0) - exact) < 4.5 * spread / np.sqrt(300.0)).all()
    assert (np.sqrt(np.mean(claimed**2, axis=0)) > 0.85 * spread).all()
    np.testing.assert_allclose(found.gap, 0.0, atol=1e-5)


def test_chunks_change_nothing(key: jax.Array):
    w, x, background = random(4)
    whole = sampled_shapley(network, w, x, background, key=key, n_permutations=14, chunk=None)
    part = sampled_shapley(network, w, x, background, key=key, n_permutations=14, chunk=4)
    np.testing.assert_allclose(flat(part.values), flat(whole.values), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(flat(part.stderr), flat(whole.stderr), rtol=1e-4, atol=1e-6)


def test_a_bare_array_is_a_sample_too():
    found = exact_shapley(
        lambda w, x: jnp.prod(x), None, jnp.array([1.0, 2.0, 3.0]), jnp.zeros((2, 3))
    )
    np.testing.assert_allclose(found.values, [2.0, 2.0, 2.0], rtol=1e-6)


def test_players_that_cannot_play(key: jax.Array):
    w, x, background = random(5)
    with pytest.raises(InputError, match=r"5 players have 2\^5 coalitions; .* take sampled_shap"):
        exact_shapley(network, w, x, background, max_groups=4)
    with pytest.raises(InputError, match="one sample is a baseline"):
        exact_shapley(network, w, x, jax.tree.map(lambda leaf: leaf[:1], background))
    with pytest.raises(InputError, match="even number, found 7"):
        sampled_shapley(network, w, x, background, key=key, n_permutations=7)
    gene = {"a": np.array([True, True, False]), "c": np.zeros(2, bool)}
    rest = {"a": np.array([False, True, False]), "c": np.ones(2, bool)}
    with pytest.raises(InputError, match="of 'a', 1 are in none and 1 in several"):
        players_of(x, {"gene": gene, "rest": rest})
    with pytest.raises(
        InputError, match=r"labels 0, 1, 2, \.\.\. of every feature, found \[0, 2\]"
    ):
        players_of(x, {"a": np.array([0, 0, 0]), "c": np.array([2, 2])})
    with pytest.raises(InputError, match="groups: expected arrays like x"):
        players_of(x, {"a": np.array([0, 0, 0])})
    with pytest.raises(InputError, match="group 'gene': expected arrays like x"):
        players_of(x, {"gene": {"a": gene["a"], "c": np.zeros(3, bool)}})
