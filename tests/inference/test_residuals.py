"""Residual factors against the closed form of a Gaussian, and on planted factors."""

import numpy as np
import pytest

from jaxomics.inference.residuals import Factors, correct, fit_factors, predict


def test_prediction_is_the_conditional_mean_of_a_gaussian():
    rng = np.random.default_rng(0)
    loading, noise = rng.normal(size=(6, 2)), rng.uniform(0.5, 1.5, 6)
    residual = rng.normal(size=(1, 6))
    seen = np.array([True, True, False, True, False, True])
    covariance = loading @ loading.T + np.diag(noise)
    gain = covariance[np.ix_(~seen, seen)] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    expected = gain @ residual[0, seen]
    found = predict(Factors(loading, noise), residual, seen[None])
    np.testing.assert_allclose(found[0, ~seen], expected, rtol=1e-4)


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray]:
    """Residuals with four factors, and which cells are measured."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(200, 4)) @ rng.normal(size=(4, 60)) / 2
    values += 0.3 * rng.normal(size=values.shape)
    return values, rng.random(values.shape) < 0.8


def test_hidden_cells_of_planted_factors_are_found(planted: tuple[np.ndarray, np.ndarray]):
    values, measured = planted
    factors = fit_factors(np.where(measured, values, np.nan), seed=0)
    assert factors.loading.shape[1] >= 4
    output = {"rna": np.zeros_like(values)}
    target = {"rna": np.where(measured, values, 0.0)}
    corrected = correct({"rna": factors}, output, target, {"rna": measured})["rna"]
    error = ((corrected - values)[~measured] ** 2).mean()
    assert error < 0.25 * (values[~measured] ** 2).mean()


def test_noise_gets_no_factor_and_absent_views_no_correction():
    rng = np.random.default_rng(2)
    factors = fit_factors(rng.normal(size=(150, 40)), seed=0)
    assert factors.loading.shape == (40, 0)
    absent = predict(Factors(np.ones((3, 1)), np.ones(3)), np.ones((2, 3)), np.zeros((2, 3), bool))
    np.testing.assert_array_equal(absent, 0.0)


def test_view_with_few_samples_gets_no_factor():
    factors = fit_factors(np.array([[1.0, 2.0], [np.nan, np.nan]]), seed=0)
    assert factors.loading.shape == (2, 0)
