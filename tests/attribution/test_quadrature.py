"""Rules integrate what they promise, draws are uniform and spread, sums do not depend on chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxomics.attribution.quadrature import (
    RULES,
    balanced_rows,
    draws,
    group_weights,
    grouped,
    log_nodes,
    mean_and_error,
    nodes,
    weighted_sums,
)
from jaxomics.errors import InputError

few = settings(max_examples=12, deadline=None)


@few
@given(rule=st.sampled_from(RULES), n=st.integers(2, 60))
def test_rules_integrate_constants_within_the_interval(rule: str, n: int):
    t, weight = nodes(rule, n)
    assert t.shape == weight.shape == (n,)
    assert t.min() >= 0.0
    assert t.max() <= 1.0
    np.testing.assert_allclose(weight.sum(), 1.0, rtol=1e-12)


def test_nodes_of_small_rules():
    np.testing.assert_allclose(nodes("left", 4)[0], [0.0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(nodes("midpoint", 2)[0], [0.25, 0.75])
    np.testing.assert_allclose(nodes("trapezoid", 3)[1], [0.25, 0.5, 0.25])
    np.testing.assert_allclose(nodes("gauss", 2)[0], 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3.0))


@pytest.mark.parametrize("n", [1, 3, 8])
def test_gauss_is_exact_to_degree_2n_minus_1(n: int):
    t, weight = nodes("gauss", n)
    for power in range(2 * n):
        np.testing.assert_allclose(weight @ t**power, 1.0 / (power + 1), rtol=1e-12)
    assert abs(weight @ t ** (2 * n) - 1.0 / (2 * n + 1)) > 1e-12


def test_logarithmic_rule_is_that_of_abramowitz_and_stegun():
    # Table 25.7 of the Handbook of Mathematical Functions.
    u, weight = log_nodes(3)
    np.testing.assert_allclose(u, [0.0638907930873, 0.3689970637156, 0.7668803039389], rtol=1e-11)
    np.testing.assert_allclose(
        weight, [0.5134045522324, 0.3919800412015, 0.0946154065661], rtol=1e-11
    )


@pytest.mark.parametrize("n", [1, 2, 7, 40, 128])
def test_logarithmic_rule_has_the_moments_of_its_weight(n: int):
    u, weight = log_nodes(n)
    assert (weight > 0).all()
    for power in range(0, 2 * n, max(n // 5, 1)):
        np.testing.assert_allclose(weight @ u**power, 1.0 / (power + 1) ** 2, rtol=1e-11)


def test_unknown_rules_and_too_few_nodes_are_refused():
    with pytest.raises(InputError, match="unknown rule 'guass'; did you mean 'gauss'"):
        nodes("guass", 4)
    with pytest.raises(InputError, match="nodes of 2 or more, found 1"):
        nodes("trapezoid", 1)
    with pytest.raises(InputError, match="at most 128 nodes, found 129"):
        log_nodes(129)


@few
@given(
    pairs=st.sampled_from([1, 7, 16, 21]),
    size=st.sampled_from([2, 9]),
    seed=st.integers(0, 2**31 - 1),
    antithetic=st.booleans(),
)
def test_stratified_draws_fill_strata_and_use_rows_equally(
    pairs: int, size: int, seed: int, antithetic: bool
):
    n = 2 * pairs
    found = draws(jax.random.key(seed), n, size, antithetic=antithetic)
    step = 2 if antithetic else 1
    count, highest = n // step, 0.5 if antithetic else 1.0
    spacing = np.sort(np.asarray(found.t[::step])) - np.arange(count) * highest / count
    assert ((spacing >= -1e-6) & (spacing <= highest / count + 1e-6)).all()
    used = np.bincount(found.rows[::step], minlength=size)
    assert used.max() - used.min() <= 1
    sizes = np.bincount(found.group)
    assert len(sizes) == found.groups == min(8, count)
    assert sizes.max() - sizes.min() <= step
    if antithetic:
        np.testing.assert_array_equal(found.rows[::2], found.rows[1::2])
        np.testing.assert_array_equal(found.group[::2], found.group[1::2])
        np.testing.assert_allclose(found.t[::2] + found.t[1::2], 1.0, rtol=1e-6)


def test_each_group_is_stratified_on_the_coarser_grid(key: jax.Array):
    found = draws(key, 64, 5, antithetic=False)
    for group in range(8):
        t = np.sort(found.t[found.group == group])
        np.testing.assert_array_equal(np.floor(t * 8), np.arange(8))


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("antithetic", [False, True])
def test_draws_are_uniform_over_rows_and_positions(
    key: jax.Array, stratified: bool, antithetic: bool
):
    repeat = jax.vmap(
        lambda one: draws(one, 6, 3, stratified=stratified, antithetic=antithetic)[:2]
    )
    rows, t = repeat(jax.random.split(key, 2000))
    if antithetic:  # the pair looks at both halves, and where in them is uniform
        np.testing.assert_allclose(t[:, 1::2], 1.0 - t[:, ::2], rtol=1e-6)
        rows, t = rows[:, ::2], 2.0 * t[:, ::2]
    for place in range(rows.shape[1]):
        assert stats.kstest(np.asarray(t[:, place]), "uniform").pvalue > 1e-4
        assert stats.chisquare(np.bincount(rows[:, place], minlength=3)).pvalue > 1e-4
        early = np.asarray(t[:, place]) < 0.5
        table = [np.bincount(rows[early == half, place], minlength=3) for half in (False, True)]
        assert stats.chi2_contingency(table).pvalue > 1e-4, "row and position are independent"


def test_draws_that_cannot_be_made(key: jax.Array):
    with pytest.raises(InputError, match="n_draws of 2 or more, found 1"):
        draws(key, 1, 4)
    with pytest.raises(InputError, match="come in pairs: expected an even number, found 5"):
        draws(key, 5, 4, antithetic=True)


def test_rows_pass_through_the_background(key: jax.Array):
    rows = np.asarray(balanced_rows(key, 11, 4))
    for start in (0, 4):
        assert sorted(rows[start : start + 4].tolist()) == [0, 1, 2, 3]
    assert len(set(rows[8:].tolist())) == 3


@few
@given(n=st.sampled_from([1, 5, 12]), chunk=st.integers(1, 13), seed=st.integers(0, 1000))
def test_weighted_sums_do_not_depend_on_the_chunk(n: int, chunk: int, seed: int):
    generator = np.random.default_rng(seed)
    weights = generator.normal(size=(n, 2)).astype(np.float32)
    inputs = {"a": generator.normal(size=(n, 3)).astype(np.float32), "b": np.arange(n)}

    def term(one: dict) -> tuple:
        return jnp.sin(one["a"]) * one["b"], one["a"][0]

    found = weighted_sums(term, inputs, weights, chunk=chunk)
    terms = np.sin(inputs["a"]) * inputs["b"][:, None]
    np.testing.assert_allclose(found[0], weights.T @ terms, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(found[1], weights.T @ inputs["a"][:, 0], rtol=1e-4, atol=1e-4)


def test_weighted_sums_of_keys(key: jax.Array):
    keys = jax.random.split(key, 5)
    found = weighted_sums(jax.random.normal, keys, np.ones((5, 1)), chunk=2)
    np.testing.assert_allclose(found[0], jax.vmap(jax.random.normal)(keys).sum(), rtol=1e-6)
    with pytest.raises(InputError, match="chunk of 1 or more, found 0"):
        weighted_sums(jax.random.normal, keys, np.ones((5, 1)), chunk=0)


def test_standard_error_is_that_of_the_group_means():
    values = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    group = grouped(24)
    mean, error = mean_and_error(jnp.asarray(group_weights(group).T @ values), group)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-5, atol=1e-6)
    means = values.reshape(8, 3, 3).mean(axis=1)
    np.testing.assert_allclose(error, stats.sem(means, axis=0), rtol=1e-5)


def test_one_group_has_no_standard_error():
    _, error = mean_and_error(jnp.ones((1, 2)), np.zeros(4, int))
    assert np.isnan(error).all()


def test_standard_error_is_honest_for_independent_draws_in_unequal_groups(key: jax.Array):
    group = grouped(21)
    values = jax.random.normal(key, (3000, 21))
    mean, error = jax.vmap(lambda one: mean_and_error(group_weights(group).T @ one, group))(values)
    np.testing.assert_allclose(np.mean(np.square(error)), 1.0 / 21, rtol=0.05)
    np.testing.assert_allclose(np.var(mean), 1.0 / 21, rtol=0.1)
