"""Partial least squares against scikit-learn."""

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression

from jaxomics.comparators import pls
from jaxomics.errors import InputError


def linked(noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    z = random.normal(size=(50, 3))
    x = z @ random.normal(size=(3, 15)) + noise * random.normal(size=(50, 15))
    return x, z @ random.normal(size=(3, 4)) + noise * random.normal(size=(50, 4))


@pytest.mark.parametrize("factors", [1, 3, 6])
def test_weights_are_scikit_learns(factors: int):
    x, y = linked()
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    found = list(pls.factor_weights(x, y, 6))[factors]
    for target in range(4):
        expected = PLSRegression(factors, scale=False).fit(x, y[:, target]).coef_
        np.testing.assert_allclose(found[:, target], np.ravel(expected), atol=1e-8)


def test_all_factors_are_least_squares_and_no_step_follows():
    x, y = linked()
    x, y = x[:, :3] - x[:, :3].mean(axis=0), y - y.mean(axis=0)
    expected = np.linalg.lstsq(x, y, rcond=None)[0]
    for weights in list(pls.factor_weights(x, y, 8))[3:]:
        np.testing.assert_allclose(weights, expected, atol=1e-8)


def test_targets_of_noise_take_no_factor():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(40, 30)), random.normal(size=(40, 20))
    state = pls.learn(x, y, pls.Config(), 0)
    alone = np.abs(state["weights"]).max(axis=0) == 0
    assert alone.mean() > 0.5
    np.testing.assert_allclose(state["intercept"][alone], y.mean(axis=0)[alone])


def test_a_linear_link_between_views_is_found():
    x, y = linked(noise=0.05)
    completed = pls.METHOD.fit({"x": x, "y": y}).reconstruct({"x": x})
    assert np.corrcoef(completed["y"].ravel(), y.ravel())[0, 1] > 0.99


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="found 0 and 5"):
        pls.learn(*linked(), pls.Config(factors=0), 0)
