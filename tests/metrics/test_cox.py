"""Cox regression against numbers of R's survival package."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.metrics.cox import RIDGE, fit_cox, fit_cox_safely
from jaxomics.metrics.survival import outcome

TIME = np.array([5.0, 8, 8, 12, 3, 20, 15, 8, 9, 12, 2, 18])
EVENT = np.array([1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1])
FIRST = [0.2, -0.5, 1.1, -1.3, 0.9, -2, -0.1, 0.7, 0.3, -0.8, 1.5, -0.6]
SECOND = [1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1]
X = np.stack([FIRST, SECOND], axis=1)
SEEN = outcome(TIME, EVENT)


def test_efron_equals_r():
    fit = fit_cox(X, SEEN)
    assert fit.converged
    np.testing.assert_allclose(fit.coefficients, [0.82274096, -1.24276206], atol=5e-9)
    assert fit.log_likelihood == pytest.approx(-12.79755898, abs=5e-9)


def test_breslow_equals_r():
    fit = fit_cox(X, SEEN, ties="breslow")
    np.testing.assert_allclose(fit.coefficients, [0.86991183, -1.06838546], atol=5e-9)
    assert fit.log_likelihood == pytest.approx(-13.31555596, abs=5e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_the_likelihood_is_the_sum_over_events(seed: int):
    random = np.random.default_rng(seed)
    x, time = random.normal(size=(14, 2)), random.integers(1, 6, 14).astype(float)
    event = random.random(14) < 0.7
    fit = fit_cox(x, outcome(time, event), ridge=0.1)
    score, expected = x @ fit.coefficients, 0.0
    for t in np.unique(time[event]):
        tied = np.flatnonzero((time == t) & event)
        for rank, i in enumerate(tied):
            at_risk = np.exp(score[time >= t]).sum()
            shared = rank / len(tied) * np.exp(score[tied]).sum()
            expected += score[i] - np.log(at_risk - shared)
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(expected)


def test_scale_and_shift_of_covariates_do_not_matter():
    plain, moved = fit_cox(X, SEEN), fit_cox(X * [100, 0.01] + [7, -3], SEEN)
    np.testing.assert_allclose(moved.coefficients * [100, 0.01], plain.coefficients, rtol=1e-8)


def test_a_covariate_that_orders_all_events_takes_the_ridge():
    assert not fit_cox(-TIME[:, None], outcome(TIME, np.ones(12))).converged
    fit = fit_cox_safely(-TIME[:, None], outcome(TIME, np.ones(12)))
    assert (fit.ridge, fit.converged) == (RIDGE, True)
    assert fit.coefficients[0] > 0


def test_repeated_covariates_take_the_ridge_and_share_the_effect():
    fit = fit_cox_safely(np.concatenate([X, X], axis=1), SEEN)
    assert fit.ridge == RIDGE
    np.testing.assert_allclose(fit.coefficients[:2], fit.coefficients[2:], rtol=1e-6)


def test_constant_covariates_and_no_events_have_no_effect():
    constant = np.concatenate([X, np.full((12, 1), 3.0)], axis=1)
    np.testing.assert_allclose(fit_cox(constant, SEEN).coefficients[2], 0.0)
    assert not fit_cox(X, outcome(TIME, np.zeros(12))).coefficients.any()


def test_more_covariates_than_events_take_the_ridge():
    random = np.random.default_rng(0)
    x, time = random.normal(size=(40, 30)), random.exponential(size=40)
    fit = fit_cox_safely(x * 50, outcome(time, np.arange(40) < 12))
    assert fit.ridge == RIDGE
    assert np.isfinite(fit.coefficients).all()
    assert fit.converged
