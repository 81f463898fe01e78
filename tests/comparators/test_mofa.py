"""MOFA against the published software, its bound, and closed forms."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.comparators import mofa
from jaxomics.comparators.base import Fitted
from jaxomics.errors import InputError

PARITY = json.loads((Path(__file__).parents[1] / "parity" / "mofa.json").read_text())
SLOW = mofa.Config(factors=8, convergence="slow", drop=1e-3)
FAST = mofa.Config(factors=6, convergence="fast", max_iterations=60)


def cohort() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The cohort of tests/parity/make_mofa_fixtures.py: without holes, and with them."""
    random = np.random.default_rng(0)
    z = random.normal(size=(100, 4))
    whole, seen = {}, {}
    for view, width, loaded in (("a", 60, (0, 1, 2)), ("b", 40, (0, 1, 3))):
        w = np.zeros((4, width))
        for factor in loaded:
            w[factor] = random.normal(size=width) * (random.random(width) < 0.5)
        whole[view] = z @ w + 0.7 * random.normal(size=(100, width))
        seen[view] = np.where(random.random((100, width)) < 0.1, np.nan, whole[view])
    seen["b"][random.random(100) < 0.25] = np.nan
    return whole, seen


def binary_cohort() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The second cohort there: numbers, and calls of which half are ones."""
    random = np.random.default_rng(0)
    z = random.normal(size=(100, 2))
    values = z @ random.normal(size=(2, 60)) + 0.7 * random.normal(size=(100, 60))
    odds = 2 * z @ random.normal(size=(2, 80))
    calls = (random.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(float)
    whole = {"a": values, "calls": calls}
    seen = {v: np.where(random.random(t.shape) < 0.1, np.nan, t) for v, t in whole.items()}
    return whole, seen


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return mofa.METHOD.fit(cohort()[1], config=SLOW)


def test_factors_are_those_of_the_published_software(fitted: Fitted):
    theirs = np.array(PARITY["z"])
    assert fitted.latent is not None
    assert fitted.latent.shape[1] == PARITY["factors"] == 4
    r = np.abs(np.corrcoef(fitted.latent.T, theirs.T)[:4, 4:])
    assert (r.max(axis=0) > 0.99).all()


def test_hidden_values_are_predicted_as_well_as_by_the_published_software(fitted: Fitted):
    whole, seen = cohort()
    completed = fitted.reconstruct(seen)
    for name, expected in PARITY["hidden_r"].items():
        view, kind = name.split()
        absent = np.asarray(np.isnan(seen[view]).all(axis=1))
        rows = absent if kind == "absent" else ~absent
        cells = np.isnan(seen[view]) & rows[:, None]
        r = np.corrcoef(completed[view][cells], whole[view][cells])[0, 1]
        assert r == pytest.approx(expected, abs=0.01), name


def test_the_bound_never_falls_but_where_a_factor_is_dropped():
    config = mofa.Config(factors=8, convergence="slow", drop=0.0, max_iterations=80)
    state = mofa.METHOD.fit(cohort()[1], config=config).state
    assert state["w"].shape[1] == 8
    assert np.diff(state["bounds"]).min() > -1e-9 * abs(state["bounds"][0])


def test_factors_explain_the_views_that_they_were_loaded_on(fitted: Fitted):
    shares = fitted.state["explained"]
    in_both = (shares > 0.03).sum(axis=0)
    assert sorted(in_both) == [1, 1, 2, 2]
    assert (shares.sum(axis=1) < 1).all()


def test_the_fit_is_told_as_tables(fitted: Fitted):
    told = fitted.tables()
    assert told["explained"]["view"].tolist() == ["a"] * 4 + ["b"] * 4
    np.testing.assert_array_equal(told["explained"]["share"][4:], fitted.state["explained"][1])
    np.testing.assert_array_equal(told["bound"]["bound"], fitted.state["bounds"])
    assert {view: w.shape for view, w in fitted.weights().items()} == {"a": (60, 4), "b": (40, 4)}


def test_training_factors_are_the_posterior_means_given_the_weights(fitted: Fitted):
    """Without holes, z = (I + W' T W + spread)^-1 W' T y, by hand."""
    state, (_, seen) = fitted.state, cohort()
    rows = fitted.layout.standardise(fitted.layout.stack(seen))
    row = next(r for r in rows if not np.isnan(r).any() or np.isfinite(r).sum() > 80)
    known = np.isfinite(row)
    w, tau = state["w"][known], state["tau"][known]
    normal = np.eye(4) + (w.T * tau) @ w + np.diag(tau @ state["w_variance"][known])
    z = np.linalg.solve(normal, (w.T * tau) @ (row * state["unit"])[known])
    np.testing.assert_allclose(mofa.embed(state, row[None])[0], z, rtol=1e-8)


def test_views_of_zeros_and_ones_are_logistic():
    random = np.random.default_rng(2)
    z = random.normal(size=(150, 1))
    odds = 3 * z @ np.sign(random.normal(size=(1, 20)))
    calls = (random.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(float)
    views = {"a": z + 0.5 * random.normal(size=(150, 15)), "calls": calls}
    views["calls"][:30] = np.nan
    found = mofa.METHOD.fit(views, config=FAST)
    completed = found.reconstruct(views)["calls"]
    assert found.state["binary"].tolist() == [False] * 15 + [True] * 20
    assert (completed > 0).all()
    assert (completed < 1).all()
    assert np.corrcoef(completed[:30].ravel(), odds[:30].ravel())[0, 1] > 0.9
    fall = np.diff(found.state["bounds"]).min()
    assert fall > -1e-9 * abs(found.state["bounds"][0]) or found.state["w"].shape[1] < 6


def test_a_balanced_view_of_zeros_and_ones_is_as_in_the_published_software():
    whole, seen = binary_cohort()
    expected = PARITY["binary"]
    found = mofa.METHOD.fit(seen, config=SLOW)
    assert found.latent is not None
    count = expected["factors"]
    assert found.latent.shape[1] == count == 2
    r = np.abs(np.corrcoef(found.latent.T, np.array(expected["z"]).T)[:count, count:])
    assert (r.max(axis=0) > 0.99).all()
    completed = found.reconstruct(seen)
    for view in whole:
        cells = np.isnan(seen[view])
        r = np.corrcoef(completed[view][cells], whole[view][cells])[0, 1]
        assert r == pytest.approx(expected["hidden_r"][f"{view} cells"], abs=0.01), view


@settings(max_examples=10, deadline=None)
@given(st.floats(-30, 30))
def test_the_logistic_bound_holds_and_touches(x: float):
    """ln sigma(x) >= ln sigma(xi) + (x - xi) / 2 - lambda(xi) (x^2 - xi^2), equal at |x| = xi."""
    for xi in (0.0, 0.5, abs(x)):
        slope = float(mofa.local_precision(jnp.float32(xi)))
        lower = -np.logaddexp(0, -xi) + (x - xi) / 2 - slope * (x**2 - xi**2)
        assert -np.logaddexp(0, -x) >= lower - 1e-4 * max(1, x**2)
        if xi == abs(x):
            assert -np.logaddexp(0, -x) == pytest.approx(lower, abs=1e-4)


def test_unknown_convergence_is_refused():
    with pytest.raises(InputError, match="did you mean 'slow'"):
        mofa.METHOD.fit(cohort()[1], config=mofa.Config(convergence="slwo"))  # pyright: ignore
