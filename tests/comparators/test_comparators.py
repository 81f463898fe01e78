"""What every comparator must do, whatever its method."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.comparators import registry, tdimpute
from jaxomics.comparators.base import Fitted, Method, column_patterns
from jaxomics.errors import InputError

SMALL = {"tdimpute": tdimpute.Config(hidden=16, epochs=50, learning_rate=1e-2)}

every_method = pytest.mark.parametrize("name", sorted(registry.COMPARATORS))
completing = pytest.mark.parametrize(
    "name", sorted(n for n, m in registry.COMPARATORS.items() if m.capabilities.reconstruct)
)
LABELS = np.where(np.arange(60) % 3 == 0, "one", "other")


def toy_views(seed=0, samples=60):
    """Two views of three shared factors, in unlike units, with holes, and view b half absent."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(samples, 3))
    a = 5 + 2 * z @ random.normal(size=(3, 20)) + 0.1 * random.normal(size=(samples, 20))
    b = -3 + 0.1 * z @ random.normal(size=(3, 12)) + 0.01 * random.normal(size=(samples, 12))
    a[random.random(a.shape) < 0.1] = np.nan
    b[: samples // 3] = np.nan
    return {"a": a, "b": b}


def get(name: str) -> Method:
    """The comparator, small where its own settings take long."""
    method = registry.get(name)
    return method._replace(config=SMALL.get(name, method.config))


def answers(fitted, views):
    """Everything that a fitted method says of samples."""
    said = dict(fitted.reconstruct(views)) if fitted.capabilities.reconstruct else {}
    said |= {"latent": fitted.transform(views)} if fitted.capabilities.transform else {}
    return said | ({"all": fitted.predict(views)["all"]} if fitted.capabilities.predict else {})


def equal(left, right, **tolerance):
    assert left.keys() == right.keys()
    for view in left:
        np.testing.assert_allclose(left[view], right[view], **tolerance)


@cache
def fitted(name: str) -> Fitted:
    """The comparator, fitted to the toy."""
    return get(name).fit(toy_views(), labels=LABELS)


@every_method
def test_same_seed_gives_the_same_result(name):
    again = get(name).fit(toy_views(), labels=LABELS)
    equal(answers(fitted(name), toy_views()), answers(again, toy_views()), rtol=0)


@completing
def test_every_estimate_is_in_original_units(name):
    views = toy_views()
    for view, table in fitted(name).reconstruct(views).items():
        assert table.shape == views[view].shape
        assert abs(np.nanmean(views[view]) - table.mean()) < 0.5 * np.nanstd(views[view])


@every_method
def test_missing_values_go_in_and_none_come_out(name):
    for said in answers(fitted(name), toy_views(seed=9)).values():
        assert np.isfinite(said).all()
        assert len(said) == 60


@every_method
def test_the_order_of_the_samples_does_not_matter(name):
    views = toy_views()
    order = np.random.default_rng(1).permutation(60)
    shuffled = {view: table[order] for view, table in views.items()}
    other = answers(get(name).fit(shuffled, labels=LABELS[order]), shuffled)
    plain = answers(fitted(name), views)
    equal({v: t[order] for v, t in plain.items()}, other, rtol=1e-9, atol=1e-9)


@every_method
def test_a_sample_is_answered_alone_as_in_company(name):
    new = toy_views(seed=9)
    together = answers(fitted(name), new)
    alone = answers(fitted(name), {view: table[5:6] for view, table in new.items()})
    equal({v: t[5:6] for v, t in together.items()}, alone, rtol=1e-9, atol=1e-9)


@every_method
def test_a_view_left_out_counts_as_not_measured(name):
    views = toy_views()
    empty = {"a": views["a"], "b": np.full_like(views["b"], np.nan)}
    equal(answers(fitted(name), {"a": views["a"]}), answers(fitted(name), empty), rtol=0)


@every_method
def test_a_sample_without_any_value_gets_finite_values(name):
    for said in answers(fitted(name), {"a": np.full((2, 20), np.nan)}).values():
        assert np.isfinite(said).all()


@every_method
def test_constant_and_empty_features_and_single_views_are_accepted(name):
    views = {"a": toy_views()["a"]}
    views["a"][:, 0] = 7.0
    views["a"][:, 1] = np.nan
    said = answers(get(name).fit(views, labels=LABELS), views)
    assert all(np.isfinite(table).all() for table in said.values())
    if "a" in said:
        np.testing.assert_allclose(said["a"][:, 0], 7.0, atol=1e-5)


@every_method
def test_a_saved_comparator_gives_the_same_result(name, tmp_path):
    views = toy_views()
    registry.save(fitted(name), tmp_path / "model.npz")
    loaded = registry.load(tmp_path / "model.npz")
    equal(answers(fitted(name), views), answers(loaded, views), rtol=0)
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


@pytest.mark.parametrize("name", ["knn", "softimpute", "ridge", "pls"])
def test_a_hidden_view_is_predicted_better_than_by_its_mean(name):
    views = toy_views()
    truth = views["b"][40:].copy()
    views["b"][40:] = np.nan
    error = {
        method: np.mean((registry.get(method).fit(views).reconstruct(views)["b"][40:] - truth) ** 2)
        for method in (name, "mean")
    }
    assert error[name] < 0.5 * error["mean"]


def test_the_mean_is_the_mean():
    views = toy_views()
    completed = registry.get("mean").fit(views).reconstruct({"a": views["a"][:1]})
    np.testing.assert_allclose(completed["b"][0], np.nanmean(views["b"], axis=0))


@every_method
def test_latent_of_training_samples_equals_their_transform(name):
    found = fitted(name)
    assert (found.latent is not None) == found.capabilities.latent == found.capabilities.transform
    if found.latent is not None:
        np.testing.assert_array_equal(found.latent, found.transform(toy_views()))


@pytest.mark.parametrize(
    ("name", "ask", "message"),
    [
        ("knn", "transform", "no latent space"),
        ("diablo", "reconstruct", "does not reconstruct"),
        ("mofa", "predict", "predicts no classes"),
    ],
)
def test_methods_say_what_they_cannot(name, ask, message):
    with pytest.raises(InputError, match=message):
        getattr(fitted(name), ask)(toy_views())


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ({"c": np.zeros((2, 3))}, "unknown view 'c'"),
        ({"a": np.zeros((2, 3))}, "20 features"),
        ({"a": np.zeros((2, 20)), "b": np.zeros((3, 12))}, "same number of rows"),
        ({}, "found none"),
        ({"a": np.full((2, 20), np.inf)}, "infinite"),
    ],
)
def test_wrong_input_is_named(views, message):
    fitted = registry.get("mean").fit(toy_views())
    with pytest.raises(InputError, match=message):
        fitted.reconstruct(views)


def test_fitting_needs_a_value_and_matrices():
    with pytest.raises(InputError, match="found none"):
        registry.get("mean").fit({"a": np.full((3, 2), np.nan)})
    with pytest.raises(InputError, match="found 1 axes"):
        registry.get("mean").fit({"a": np.zeros(3)})


def test_unknown_names_and_broken_files_are_named(tmp_path):
    with pytest.raises(InputError, match="did you mean 'ridge'"):
        registry.get("rigde")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 not a zip file")
    for path in (broken, tmp_path / "absent.npz"):
        with pytest.raises(InputError, match="fit it again"):
            registry.load(path)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 20), st.integers(1, 12))
def test_column_patterns_partition_the_columns(seed, rows, columns):
    observed = np.random.default_rng(seed).random((rows, columns)) < 0.7
    seen = []
    for pattern, members in column_patterns(observed):
        assert (observed[:, members] == pattern[:, None]).all()
        seen.extend(members)
    assert sorted(seen) == list(range(columns))
