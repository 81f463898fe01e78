"""What every comparator must do, whatever its method."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.comparators import registry, tdimpute
from jaxomics.comparators.base import Method, column_patterns
from jaxomics.errors import InputError

SMALL = {"tdimpute": tdimpute.Config(hidden=16, epochs=50, learning_rate=1e-2)}

every_method = pytest.mark.parametrize("name", sorted(registry.COMPARATORS))


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


def equal(left, right, **tolerance):
    assert left.keys() == right.keys()
    for view in left:
        np.testing.assert_allclose(left[view], right[view], **tolerance)


@every_method
def test_same_seed_gives_the_same_result(name):
    views = toy_views()
    first, second = (get(name).fit(views, seed=3).reconstruct(views) for _ in range(2))
    equal(first, second, rtol=0)


@every_method
def test_every_output_is_finite_and_in_original_units(name):
    views = toy_views()
    completed = get(name).fit(views).reconstruct(views)
    for view, table in completed.items():
        assert table.shape == views[view].shape
        assert np.isfinite(table).all()
        assert abs(np.nanmean(views[view]) - table.mean()) < 0.5 * np.nanstd(views[view])


@every_method
def test_the_order_of_the_samples_does_not_matter(name):
    views = toy_views()
    order = np.random.default_rng(1).permutation(60)
    shuffled = {view: table[order] for view, table in views.items()}
    plain = get(name).fit(views).reconstruct(views)
    other = get(name).fit(shuffled).reconstruct(shuffled)
    equal({v: t[order] for v, t in plain.items()}, other, rtol=1e-9, atol=1e-9)


@every_method
def test_a_sample_is_completed_alone_as_in_company(name):
    fitted = get(name).fit(toy_views())
    new = toy_views(seed=9)
    together = fitted.reconstruct(new)
    alone = fitted.reconstruct({view: table[5:6] for view, table in new.items()})
    equal({v: t[5:6] for v, t in together.items()}, alone, rtol=1e-9, atol=1e-9)


@every_method
def test_a_view_left_out_counts_as_not_measured(name):
    views = toy_views()
    fitted = get(name).fit(views)
    empty = {"a": views["a"], "b": np.full_like(views["b"], np.nan)}
    equal(fitted.reconstruct({"a": views["a"]}), fitted.reconstruct(empty), rtol=0)


@every_method
def test_a_sample_without_any_value_gets_finite_values(name):
    fitted = get(name).fit(toy_views())
    for table in fitted.reconstruct({"a": np.full((2, 20), np.nan)}).values():
        assert np.isfinite(table).all()


@every_method
def test_constant_and_empty_features_and_single_views_are_accepted(name):
    views = {"a": toy_views()["a"]}
    views["a"][:, 0] = 7.0
    views["a"][:, 1] = np.nan
    completed = get(name).fit(views).reconstruct(views)
    assert np.isfinite(completed["a"]).all()
    np.testing.assert_allclose(completed["a"][:, 0], 7.0, atol=1e-5)


@every_method
def test_a_saved_comparator_gives_the_same_result(name, tmp_path):
    views = toy_views()
    fitted = get(name).fit(views)
    registry.save(fitted, tmp_path / "model.npz")
    loaded = registry.load(tmp_path / "model.npz")
    equal(fitted.reconstruct(views), loaded.reconstruct(views), rtol=0)
    assert [p.name for p in tmp_path.iterdir()] == ["model.npz"]


@pytest.mark.parametrize("name", ["knn", "softimpute", "ridge"])
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


def test_latent_of_training_samples_equals_their_transform():
    views = toy_views()
    fitted = registry.get("softimpute").fit(views)
    assert fitted.capabilities.latent
    np.testing.assert_array_equal(fitted.latent, fitted.transform(views))


def test_methods_without_latent_space_say_so():
    views = toy_views()
    fitted = registry.get("knn").fit(views)
    assert fitted.latent is None
    with pytest.raises(InputError, match="no latent space"):
        fitted.transform(views)


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
