import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from jaxomics.comparators import linear, registry, ridge
from jaxomics.comparators.regression import Directed
from jaxomics.comparators.spectrum import spectrum
from jaxomics.errors import InputError


def three_views(samples=50, seed=0):
    random = np.random.default_rng(seed)
    sizes = {"a": 6, "b": 4, "c": 3}
    return {view: 3 + random.normal(size=(samples, size)) for view, size in sizes.items()}


def test_targets_are_predicted_from_all_other_views_and_not_from_each_other():
    views = three_views()
    fitted = registry.get("linear").fit(views, config=Directed(targets=("b", "c")))
    plain = fitted.reconstruct(views)
    hidden = fitted.reconstruct({"a": views["a"]})
    for view in ("b", "c"):
        np.testing.assert_array_equal(plain[view], hidden[view])
        expected = LinearRegression().fit(views["a"], views[view]).predict(views["a"])
        np.testing.assert_allclose(plain[view], expected, atol=1e-9)
    np.testing.assert_allclose(plain["a"], np.tile(views["a"].mean(axis=0), (50, 1)))


def test_more_predictors_than_samples_give_the_solution_of_smallest_norm():
    random = np.random.default_rng(1)
    x, y = random.normal(size=(20, 50)), random.normal(size=(20, 3))
    state = linear.learn(x, y, Directed(), 0)
    expected = LinearRegression().fit(x, y)
    np.testing.assert_allclose(state["weights"].T, expected.coef_, atol=1e-9)
    np.testing.assert_allclose(linear.linear_prediction(state, x), y, atol=1e-9)


def test_both_ways_to_the_spectrum_agree():
    x = np.random.default_rng(2).normal(size=(30, 12))
    tall, wide = spectrum(x), spectrum(x.T)
    np.testing.assert_allclose(tall.s, wide.s)
    np.testing.assert_allclose(np.linalg.svd(x, compute_uv=False)[::-1], tall.s)
    np.testing.assert_allclose(tall.u * tall.s @ tall.vt, x, atol=1e-12)


def test_directions_without_variance_are_left_out():
    x = np.random.default_rng(3).normal(size=(30, 4))
    twice = np.hstack([x, x])
    assert len(spectrum(twice).s) == 4
    y = x[:, :1]
    np.testing.assert_allclose(spectrum(twice).weights(y)[[0, 4]].ravel(), 0.5, atol=1e-9)


def test_ridge_without_components_reads_all_predictors():
    random = np.random.default_rng(4)
    views = {"a": random.normal(size=(60, 150))}
    views["b"] = views["a"][:, 100:103] + 0.1 * random.normal(size=(60, 3))
    config = ridge.Config(targets=("b",), components=None, shared=True)
    fitted = registry.get("ridge").fit(views, config=config)
    assert fitted.state["own/weights/b"].shape == (150, 3)
    r = np.corrcoef(fitted.reconstruct({"a": views["a"]})["b"].ravel(), views["b"].ravel())[0, 1]
    assert r > 0.9


def test_unpaired_views_are_refused_where_a_target_is_named():
    views = three_views()
    views["a"][:25] = np.nan
    views["b"][25:] = np.nan
    two = {"a": views["a"], "b": views["b"]}
    with pytest.raises(InputError, match="modis"):
        registry.get("linear").fit(two, config=Directed(targets=("b",)))
    means = registry.get("linear").fit(two).reconstruct(two)["b"]
    np.testing.assert_allclose(means[0], np.nanmean(views["b"], axis=0))


@pytest.mark.parametrize(
    ("targets", "message"), [(("d",), "unknown target view"), (("a", "b", "c"), "only targets")]
)
def test_wrong_targets_are_named(targets, message):
    with pytest.raises(InputError, match=message):
        registry.get("ridge").fit(three_views(), config=ridge.Config(targets=targets))
