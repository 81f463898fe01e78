"""Errors fall with nodes and draws at the rates that quadrature and sampling promise."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from jaxomics.attribution.convergence import ESTIMATORS, error_by_draws, gap_by_steps
from jaxomics.errors import InputError

W = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
X = np.array([1.0, -0.5, 2.0, 0.3], np.float32)
BACKGROUND = np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32)


def network(w: Any, x: Any) -> Any:
    return jnp.sum(jnp.tanh(0.5 * x @ w + 0.2))


def test_gap_falls_with_the_order_of_the_rule():
    table = pd.DataFrame(gap_by_steps(network, W, X, np.zeros(4, np.float32), steps=(4, 8, 16)))
    assert list(table) == ["rule", "n_steps", "gap", "share"]
    gaps = table.assign(gap=table["gap"].abs()).pivot(index="n_steps", columns="rule", values="gap")
    assert 1.7 < gaps["left"][8] / gaps["left"][16] < 2.3
    assert 3.0 < gaps["midpoint"][8] / gaps["midpoint"][16] < 5.0
    assert gaps["gauss"][8] < 1e-5
    change = float(network(W, X) - network(W, np.zeros(4, np.float32)))
    np.testing.assert_allclose(table["share"], table["gap"].abs() / abs(change), rtol=1e-5)


def test_a_function_that_does_not_change_has_no_share():
    table = gap_by_steps(lambda w, x: 0.0 * x[0], None, X, X, steps=(2,), rules=("gauss",))
    assert np.isnan(table["share"]).all()


def test_error_falls_with_draws_and_with_each_reduction(key: jax.Array):
    table = pd.DataFrame(
        error_by_draws(network, W, X, BACKGROUND, key=key, draws=(12, 48), repeats=60)
    )
    assert list(table) == ["estimator", "n_draws", "error", "stderr", "gap"]
    assert set(table["estimator"]) == set(ESTIMATORS)
    error = table.pivot(index="n_draws", columns="estimator", values="error")
    assert 1.5 < error["plain"][12] / error["plain"][48] < 2.7
    assert error["stratified, antithetic"][48] < error["plain"][48] / 2
    assert error["stratified"][48] < error["plain"][48] / 2
    plain = table[table["estimator"] == "plain"]
    np.testing.assert_allclose(plain["stderr"], plain["error"], rtol=0.25)


def test_one_program_serves_all_samples_rules_and_estimators(key: jax.Array):
    traces = []

    def counted(w: Any, x: Any) -> Any:
        traces.append(x)
        return jnp.sum(jnp.tanh(x @ w))

    def study(seed: int) -> int:
        x, *background = np.random.default_rng(seed).normal(size=(7, 4)).astype(np.float32)
        before = len(traces)
        gap_by_steps(counted, W, x, 0.0 * x, steps=(4,))
        error_by_draws(counted, W, x, np.stack(background), key=key, draws=(16,), repeats=2)
        return len(traces) - before

    assert study(0) > 0
    assert study(1) == 0


def test_estimators_that_do_not_exist(key: jax.Array):
    with pytest.raises(InputError, match="unknown estimator 'sobol'"):
        error_by_draws(network, W, X, BACKGROUND, key=key, estimators=("sobol",))
    with pytest.raises(InputError, match="repeats of 2 or more"):
        error_by_draws(network, W, X, BACKGROUND, key=key, repeats=1)
