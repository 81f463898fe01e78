import numpy as np
from sklearn.linear_model import RidgeCV

from jaxomics.comparators import registry, ridge


def test_weights_and_penalty_equal_scikit_learn():
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 6))
    y = x @ random.normal(size=(6, 3)) + random.normal(size=(40, 3))
    config = ridge.Config()
    singular = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    path = np.mean(singular**2) * np.geomspace(1e-3, 1e3, config.penalties)
    expected = RidgeCV(path, alpha_per_target=True).fit(x, y)
    weights, intercept = ridge.ridge_by_feature(x, y, config)
    np.testing.assert_allclose(weights.T, np.asarray(expected.coef_), atol=1e-8)
    np.testing.assert_allclose(intercept, np.asarray(expected.intercept_), atol=1e-8)


def test_a_feature_is_fitted_on_the_samples_that_have_it():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(40, 4)), random.normal(size=(40, 2))
    y[:10, 1] = np.nan
    weights, intercept = ridge.ridge_by_feature(x, y, ridge.Config())
    alone, level = ridge.ridge_by_feature(x[10:], y[10:, 1:], ridge.Config())
    np.testing.assert_allclose(weights[:, 1:], alone, atol=1e-12)
    np.testing.assert_allclose(intercept[1:], level, atol=1e-12)


def test_features_with_few_values_get_their_mean():
    x = np.random.default_rng(2).normal(size=(10, 3))
    y = np.full((10, 2), np.nan)
    y[:2, 0] = [1.0, 3.0]
    weights, intercept = ridge.ridge_by_feature(x, y, ridge.Config())
    np.testing.assert_array_equal(weights, 0)
    np.testing.assert_allclose(intercept, [2.0, 0.0])


def test_a_view_does_not_see_itself():
    random = np.random.default_rng(3)
    views = {"a": random.normal(size=(30, 5)), "b": random.normal(size=(30, 4))}
    fitted = registry.get("ridge").fit(views)
    plain = fitted.reconstruct(views)
    changed = fitted.reconstruct({**views, "a": views["a"] + 10})
    np.testing.assert_array_equal(plain["a"], changed["a"])
    assert np.abs(plain["b"] - changed["b"]).max() > 1e-6


def test_a_linear_link_between_views_is_found():
    random = np.random.default_rng(4)
    a = random.normal(size=(80, 6))
    views = {"a": a, "b": a @ random.normal(size=(6, 3))}
    completed = registry.get("ridge").fit(views).reconstruct({"a": a})
    assert np.corrcoef(completed["b"].ravel(), views["b"].ravel())[0, 1] > 0.999
