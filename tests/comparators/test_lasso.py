import numpy as np
import pytest
from sklearn.linear_model import Lasso

from jaxomics.comparators import lasso, registry


def sparse_views(seed=0, samples=120):
    """View b: each feature is one or two features of view a, and noise."""
    random = np.random.default_rng(seed)
    a = random.normal(size=(samples, 40))
    truth = np.zeros((40, 10))
    truth[np.arange(10), np.arange(10)] = 2.0
    truth[np.arange(10) + 10, np.arange(10)] = -1.0
    return {"a": a, "b": a @ truth + random.normal(size=(samples, 10))}, truth


def test_the_planted_features_are_chosen():
    views, truth = sparse_views()
    config = lasso.Config(targets=("b",))
    fitted = registry.get("lasso").fit(views, config=config)
    alpha = float(fitted.state["own/alpha/b"])
    assert 0.01 < alpha < 0.3
    moved = fitted.reconstruct({"a": np.vstack([np.zeros(40), np.eye(40)])})["b"]
    strength = np.abs(moved[1:] - moved[0])
    for target in range(10):
        assert set(np.argsort(strength[:, target])[-2:]) == set(np.flatnonzero(truth[:, target]))


def test_a_given_penalty_is_that_of_scikit_learn_on_standardised_views():
    views, _ = sparse_views()
    config = lasso.Config(targets=("b",), alpha=0.1, tolerance=1e-6)
    fitted = registry.get("lasso").fit(views, config=config)
    predicted = fitted.reconstruct({"a": views["a"]})["b"]
    a, b = (views[v] / views[v].std(axis=0) for v in "ab")
    for target in (0, 7):
        other = Lasso(0.1, tol=1e-9).fit(a, b[:, target]).predict(a) * views["b"][:, target].std()
        np.testing.assert_allclose(predicted[:, target], other, atol=2e-2)


def test_the_path_stops_soon_after_the_best_penalty():
    views, _ = sparse_views(samples=60)
    state = registry.get("lasso").fit(views, config=lasso.Config(targets=("b",))).state
    errors, path = state["own/errors/b"], state["own/path/b"]
    assert len(errors) == len(path) < 12
    assert float(state["own/alpha/b"]) == pytest.approx(path[errors.argmin()])
