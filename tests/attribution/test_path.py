"""Axioms and closed forms: linear, polynomial, equal functions, equal features, expectations."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.attribution.path import (
    adaptive_integrated_gradients,
    expected_gradients,
    expected_gradients_at,
    gradient,
    input_x_gradient,
    integrated_gradients,
    smooth_grad,
)
from jaxomics.attribution.precision import as_double, double
from jaxomics.attribution.quadrature import RULES, draws
from jaxomics.errors import InputError

few = settings(max_examples=8, deadline=None)
SIZES = {"rna": 5, "conditionals": 3}


def trees(seed: int, *lead: int) -> Any:
    """A sample, or a set of them, of two views."""
    generator = np.random.default_rng(seed)
    return {
        name: generator.normal(size=(*lead, size)).astype(np.float32)
        for name, size in SIZES.items()
    }


def weights(seed: int, hidden: int = 7) -> Any:
    generator = np.random.default_rng(seed)
    shapes = {
        "rna": (5, hidden),
        "conditionals": (3, hidden),
        "hidden": (hidden,),
        "out": (hidden,),
    }
    return {n: (0.5 * generator.normal(size=s)).astype(np.float32) for n, s in shapes.items()}


def network(w: Any, x: Any) -> Any:
    hidden = x["rna"] @ w["rna"] + x["conditionals"] @ w["conditionals"] + w["hidden"]
    return jnp.tanh(hidden) @ w["out"]


def linear(w: Any, x: Any) -> Any:
    return 0.7 + sum(jnp.vdot(w[name], x[name]) for name in SIZES)


def zeros() -> Any:
    return {name: np.zeros(size, np.float32) for name, size in SIZES.items()}


def assert_close(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    for name in SIZES:
        np.testing.assert_allclose(found[name], expected[name], rtol=tolerance, atol=tolerance)


def total(tree: Any) -> float:
    return float(sum(np.sum(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(tree)))


def at(tree: Any, i: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[i], tree)


METHODS = {
    "gradient": lambda f, w, x, b, set_, key: gradient(f, w, x),
    "input_x_gradient": lambda f, w, x, b, set_, key: input_x_gradient(f, w, x),
    "smooth_grad": lambda f, w, x, b, set_, key: smooth_grad(f, w, x, key=key, noise=0.3),
    "integrated": lambda f, w, x, b, set_, key: integrated_gradients(f, w, x, b),
    "adaptive": lambda f, w, x, b, set_, key: adaptive_integrated_gradients(f, w, x, b)[0],
    "expected": lambda f, w, x, b, set_, key: expected_gradients(f, w, x, set_, key=key),
}


def explain(method: str, f: Any, *arguments: Any) -> Any:
    return jax.jit(partial(METHODS[method], f))(*arguments)


@pytest.mark.parametrize("method", list(METHODS))
def test_linear_functions_have_a_closed_form(method: str, key: jax.Array):
    w, x, baseline, background = trees(0), trees(1), trees(2), trees(3, 4)
    found = explain(method, linear, w, x, baseline, background, key)
    start = {
        "input_x_gradient": zeros(),
        "integrated": baseline,
        "adaptive": baseline,
        "expected": {name: rows.mean(axis=0) for name, rows in background.items()},
    }
    if method in start:
        expected = {name: w[name] * (x[name] - start[method][name]) for name in SIZES}
        np.testing.assert_allclose(found.gap, 0.0, atol=1e-5)
        np.testing.assert_allclose(found.baseline_output, linear(w, start[method]), rtol=1e-5)
    else:
        expected = w
        assert np.isnan(found.gap)
    assert_close(found.values, expected)
    np.testing.assert_allclose(found.output, linear(w, x), rtol=1e-6)


@pytest.mark.parametrize("method", list(METHODS))
def test_two_networks_of_the_same_function_get_the_same_values(method: str, key: jax.Array):
    w = weights(0)
    split = {name: np.concatenate([leaf, leaf], axis=-1) for name, leaf in w.items()}
    split["out"] = np.concatenate([0.25 * w["out"], 0.75 * w["out"]])

    def by_logistic(w: Any, x: Any) -> Any:
        hidden = x["rna"] @ w["rna"] + x["conditionals"] @ w["conditionals"] + w["hidden"]
        return (2.0 * jax.nn.sigmoid(2.0 * hidden) - 1.0) @ w["out"]

    places = (trees(1), trees(2), trees(3, 4), key)
    plain = explain(method, network, w, *places)
    assert_close(explain(method, network, split, *places).values, plain.values)
    assert_close(explain(method, by_logistic, w, *places).values, plain.values)


@pytest.mark.parametrize("method", list(METHODS))
def test_symmetric_features_get_equal_values_and_unused_ones_none(method: str, key: jax.Array):
    w = weights(0)
    w["rna"][1] = w["rna"][0]
    w["conditionals"][2] = 0.0
    x, baseline, background = trees(1), trees(2), trees(3, 4)
    for tree in (x, baseline, background):
        tree["rna"][..., 1] = tree["rna"][..., 0]
    found = explain(method, network, w, x, baseline, background, key).values
    tolerance = {"rtol": 1e-4, "atol": 1e-6}
    np.testing.assert_allclose(found["rna"][0], found["rna"][1], **tolerance)
    np.testing.assert_array_equal(found["conditionals"][2], 0.0)


@few
@given(seed=st.integers(0, 10**6), hidden=st.sampled_from([1, 6]))
def test_integrated_gradients_are_complete_on_random_networks(seed: int, hidden: int):
    w, x, baseline = weights(seed, hidden), trees(seed + 1), trees(seed + 2)
    found = integrated_gradients(network, w, x, baseline)
    np.testing.assert_allclose(found.gap, 0.0, atol=1e-4)
    change = network(w, x) - network(w, baseline)
    np.testing.assert_allclose(total(found.values), change, atol=2e-4)


@few
@given(seed=st.integers(0, 10**6))
def test_integrated_gradients_are_linear_in_the_function(seed: int):
    first, second = weights(seed), weights(seed + 1)
    x, baseline = trees(seed + 2), trees(seed + 3)
    both = integrated_gradients(
        lambda w, x: 2.0 * network(w[0], x) - network(w[1], x), (first, second), x, baseline
    )
    parts = [integrated_gradients(network, w, x, baseline).values for w in (first, second)]
    expected = {name: 2.0 * parts[0][name] - parts[1][name] for name in SIZES}
    assert_close(both.values, expected, 1e-4)


@pytest.mark.parametrize("rule", RULES)
def test_polynomial_by_hand(rule: str):
    # The path integral of x0^2 x1 from 0: 2/3 of it to x0, 1/3 to x1.
    found = integrated_gradients(
        lambda w, x: x[0] ** 2 * x[1], None, jnp.array([2.0, 3.0]), jnp.zeros(2), rule=rule
    )
    loose = {"left": 0.3, "midpoint": 1e-3, "trapezoid": 2e-3, "gauss": 1e-5}[rule]
    np.testing.assert_allclose(found.values, [8.0, 4.0], atol=loose)
    np.testing.assert_allclose(found.gap, 12.0 - np.sum(found.values), atol=1e-5)


def test_float64_mode_reaches_the_axioms_to_its_precision():
    with double():
        w, x, baseline = (as_double(tree) for tree in (weights(0), trees(1), trees(2)))
        found = integrated_gradients(network, w, x, baseline, n_steps=100)
        assert found.values["rna"].dtype == jnp.float64
        assert abs(float(found.gap)) < 1e-13


def test_adaptive_nodes_stop_where_the_gap_is_small():
    def steep(w: Any, x: Any) -> Any:
        return jnp.tanh(40.0 * (x[0] - 0.613)) + x[1]

    x, baseline = jnp.array([1.0, 1.0]), jnp.zeros(2)
    easy = adaptive_integrated_gradients(network, weights(0), trees(1), trees(2))
    hard = adaptive_integrated_gradients(steep, None, x, baseline)
    short = adaptive_integrated_gradients(steep, None, x, baseline, max_steps=16)
    assert (int(easy.n_steps), bool(easy.converged)) == (8, True)
    assert int(hard.n_steps) > 16
    assert bool(hard.converged)
    assert abs(float(hard.attribution.gap)) <= 1e-3 * 3.0
    assert (int(short.n_steps), bool(short.converged)) == (16, False)
    expected = [np.tanh(40.0 * 0.387) - np.tanh(-40.0 * 0.613), 1.0]
    np.testing.assert_allclose(hard.attribution.values, expected, atol=3e-3)


def test_adaptive_nodes_for_kinks_and_for_many_samples():
    def kinked(w: Any, x: Any) -> Any:
        return jax.nn.relu(x[0] - 0.3) + jnp.abs(x[1] - 0.21)

    xs = jnp.array([[1.0, 1.0], [0.2, 0.1], [0.5, 2.0]])
    adapt = partial(adaptive_integrated_gradients, kinked, None, baseline=jnp.zeros(2))
    found = jax.jit(jax.vmap(lambda x: adapt(x)))(xs)
    assert found.converged.all()
    expected = jnp.stack([jax.nn.relu(xs[:, 0] - 0.3), jnp.abs(xs[:, 1] - 0.21) - 0.21], axis=1)
    np.testing.assert_allclose(found.attribution.values, expected, atol=3e-3)
    np.testing.assert_array_equal(found.n_steps, jax.lax.map(adapt, xs).n_steps)


def test_expected_gradients_of_a_quadratic_are_exact_with_balanced_antithetic_draws(
    key: jax.Array,
):
    # The integrand is linear in t, so a pair is exact; every row is used as often as every other.
    def quadratic(w: Any, x: Any) -> Any:
        joined = jnp.concatenate([x["rna"], x["conditionals"]])
        return joined @ w @ joined

    form = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    x, background = trees(1), trees(2, 5)
    draw = partial(expected_gradients, quadratic, n_draws=20, antithetic=True)
    found = jax.jit(draw)(form, x, background, key=key)
    exact = jax.vmap(lambda b: integrated_gradients(quadratic, form, x, b, n_steps=2).values)(
        background
    )
    assert_close(found.values, {name: rows.mean(axis=0) for name, rows in exact.items()}, 1e-4)
    np.testing.assert_allclose(found.gap, 0.0, atol=1e-4)


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("antithetic", [False, True])
def test_expected_gradients_are_unbiased_with_honest_errors(
    key: jax.Array, stratified: bool, antithetic: bool
):
    w, x, background = weights(0), trees(1), trees(2, 6)
    exact = jax.vmap(lambda b: integrated_gradients(network, w, x, b).values)(background)

    def estimate(one: jax.Array) -> Any:
        options = {"stratified": stratified, "antithetic": antithetic}
        return expected_gradients(network, w, x, background, key=one, n_draws=16, **options)

    found = jax.jit(jax.vmap(estimate))(jax.random.split(key, 400))
    for name in SIZES:
        values, claimed = np.asarray(found.values[name]), np.asarray(found.stderr[name])
        error = values.std(axis=0) / 20.0
        distance = np.abs(values.mean(axis=0) - exact[name].mean(axis=0))
        assert (distance < 4.5 * error + 1e-6).all()
        honest = np.sqrt(np.mean(claimed**2, axis=0)) / values.std(axis=0)
        assert (honest > 0.85).all(), "errors are never claimed too small"
        if not stratified:
            assert (honest < 1.15).all()


def test_variance_reductions_reduce_the_variance(key: jax.Array):
    w, x, background = weights(0), trees(1), trees(2, 6)

    def spread(**options: bool) -> tuple[float, float]:
        def estimate(one: jax.Array) -> Any:
            return expected_gradients(network, w, x, background, key=one, n_draws=24, **options)

        found = jax.jit(jax.vmap(estimate))(jax.random.split(key, 200))
        variance = sum(float(leaf.var(axis=0).sum()) for leaf in found.values.values())
        return variance, float(jnp.mean(found.gap**2))

    plain = spread(stratified=False)
    single, pairs = spread(antithetic=False), spread(antithetic=True)
    assert max(single[0], pairs[0]) < plain[0] / 3  # few rows: each is used often either way
    assert pairs[1] < single[1] / 2 < plain[1] / 2


def test_pairs_make_the_gap_smaller_and_values_less_exact(key: jax.Array):
    # The slope of x^2 / 2 + 2 x is linear along a path, so that pairs leave no gap; the mean over
    # rows has the variance of 8 rows in place of that of 16.
    background = np.random.default_rng(0).normal(size=(500, 1)).astype(np.float32)
    x = np.ones(1, np.float32)

    @partial(jax.jit, static_argnames="antithetic")
    def estimates(keys: Any, antithetic: bool) -> Any:
        return jax.vmap(
            lambda one: expected_gradients(
                lambda _, x: x[0] ** 2 / 2 + 2 * x[0], None, x, background,
                key=one, n_draws=16, antithetic=antithetic,
            )
        )(keys)  # fmt: skip

    keys = jax.random.split(key, 600)
    single, pairs = estimates(keys, False), estimates(keys, True)
    np.testing.assert_allclose(pairs.gap, 0.0, atol=1e-5)
    assert jnp.std(single.gap) > 0.05
    rows = np.var(background**2 / 2 + 2 * background)
    np.testing.assert_allclose(np.var(pairs.values), rows / 8, rtol=0.2)
    assert np.var(single.values) < 0.8 * np.var(pairs.values)


@pytest.mark.parametrize("chunk", [1, 5, 100])
def test_values_do_not_depend_on_the_chunk(key: jax.Array, chunk: int):
    w, x, baseline, background = weights(0), trees(1), trees(2), trees(3, 4)
    for method in (
        partial(integrated_gradients, network, w, x, baseline, n_steps=24),
        partial(expected_gradients, network, w, x, background, key=key, n_draws=24),
        partial(smooth_grad, network, w, x, key=key, noise=0.1, n_draws=24),
    ):
        whole, part = jax.jit(method)(), jax.jit(partial(method, chunk=chunk))()
        assert_close(part.values, whole.values)
        np.testing.assert_allclose(part.gap, whole.gap, atol=1e-5)


def test_jit_and_vmap_over_samples_and_parameters(key: jax.Array):
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), weights(0), weights(1))
    xs, background = trees(1, 2), trees(3, 4)
    expect = partial(expected_gradients, network, background=background, key=key, n_draws=8)
    found = jax.jit(jax.vmap(lambda w, x: expect(w, x)))(stacked, xs)
    for i in range(2):
        w, x = at(stacked, i), at(xs, i)
        assert_close(at(found.values, i), expect(w, x).values)


def test_draws_that_are_given_are_the_ones_used(key: jax.Array):
    w, x, background = weights(0), trees(1), trees(3, 4)
    drawn = draws(key, 16, 4)
    found = expected_gradients_at(network, w, x, background, drawn)
    assert_close(
        found.values, expected_gradients(network, w, x, background, key=key, n_draws=16).values
    )


def test_smooth_grad_of_a_cubic_has_a_closed_form(key: jax.Array):
    # The mean of 3 (x + e)^2 is 3 (x^2 + s^2).
    x, scale = jnp.array([1.0, -2.0]), jnp.array([0.5, 0.1])
    found = smooth_grad(
        lambda w, x: jnp.sum(x**3), None, x, key=key, noise=scale, n_draws=4000, chunk=500
    )
    distance = np.abs(found.values - 3.0 * (x**2 + scale**2))
    assert (distance < 4.0 * found.stderr).all()


def test_bad_input_is_named(key: jax.Array):
    w, x, background = weights(0), trees(1), trees(2, 3)
    one = jax.tree.map(lambda leaf: leaf[:1], background)
    with pytest.raises(InputError, match="one sample is a baseline: use integrated_gradients"):
        expected_gradients(network, w, x, one, key=key)
    with pytest.raises(InputError, match="unknown rule 'simpson'"):
        integrated_gradients(network, w, x, x, rule="simpson")
    with pytest.raises(InputError, match="expected one output, found outputs of shape"):
        gradient(lambda w, x: x["rna"], w, x)
    with pytest.raises(InputError, match="n_draws of 2 or more"):
        smooth_grad(network, w, x, key=key, noise=0.1, n_draws=1)
    with pytest.raises(InputError, match="max_steps of 8 or more, found 4"):
        adaptive_integrated_gradients(network, w, x, x, max_steps=4)
