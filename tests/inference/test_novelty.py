"""Novelty: samples of a class that a view has not seen are found, and others are left alone."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression

from jaxomics.data.batch import Standard, make_data
from jaxomics.data.container import MultiOmics
from jaxomics.data.unpair import drop_pair, make_unpaired
from jaxomics.estimator import Estimator
from jaxomics.inference.novelty import (
    FOUR_DEVIATIONS,
    LEAST,
    Novelty,
    _regress,
    _shapes,
    calibrate,
    fit_novelty,
    novelty_notes,
)
from jaxomics.metrics.classification import PROBABILITY
from jaxomics.models.modis import Config
from jaxomics.presets import preset
from jaxomics.runfolder import describe_run, finish_run, load_run, start_run

FEATURES, CLASSES = 20, ("a", "b", "c")
MEANS = np.random.default_rng(5).normal(scale=2.0, size=(5, FEATURES))


def drawn(rng: np.random.Generator, codes: np.ndarray, means: np.ndarray = MEANS) -> np.ndarray:
    """Samples of classes, with a common factor three times as wide as the rest."""
    noise = rng.normal(size=(len(codes), FEATURES)) + 3.0 * rng.normal(size=(len(codes), 1))
    return means[codes] + noise


def whole(x: np.ndarray) -> np.ndarray:
    """All cells."""
    return np.ones(x.shape, bool)


def learned(rng: np.random.Generator, rows: int, means: np.ndarray = MEANS) -> Novelty:
    """Novelty of a view that has seen classes 0 to 3 of five."""
    codes = rng.integers(0, 4, rows)
    x = drawn(rng, codes, means)
    return calibrate(x, whole(x), codes, np.arange(5) < 4, prior=0.2, seed=0)


def test_samples_of_an_unseen_class_are_new_and_others_are_not():
    rng = np.random.default_rng(0)
    found = learned(rng, 600)
    usual, new = drawn(rng, rng.integers(0, 4, 1000)), drawn(rng, np.full(500, 4))
    assert np.mean(found.degree(usual, whole(usual)) > 0.5) < 0.01
    assert np.mean(found.degree(new, whole(new)) > 0.5) > 0.9
    assert found.noticed > 0.9
    assert found.mistaken < 0.01


def test_what_is_promised_is_what_comes():
    # Classes that lie close: how many samples are noticed is told from classes left out.
    noticed, mistaken, promised = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        means = rng.normal(size=MEANS.shape)
        found = learned(rng, 400, means)
        usual = drawn(rng, rng.integers(0, 4, 500), means)
        new = drawn(rng, np.full(500, 4), means)
        mistaken.append(np.mean(found.degree(usual, whole(usual)) > 0.5))
        noticed.append(np.mean(found.degree(new, whole(new)) > 0.5))
        promised.append([found.noticed, found.mistaken])
    told = np.mean(promised, axis=0)
    assert 0.1 < told[0] < 0.95  # neither trivial nor hopeless
    assert np.mean(mistaken) == pytest.approx(told[1], abs=0.03)
    assert np.mean(noticed) == pytest.approx(told[0], abs=0.1)


def test_classes_that_cannot_be_told_apart_promise_nothing_and_leave_samples_alone():
    rng = np.random.default_rng(3)
    found = learned(rng, 600, 0.0 * MEANS)
    assert found.noticed < 0.02
    x = drawn(rng, np.zeros(300, int), 0.0 * MEANS)
    np.testing.assert_allclose(found.degree(x, whole(x)).mean(), 0.2, atol=0.05)  # the prior


def test_the_distance_is_that_of_the_shrunk_covariance_of_the_measured_cells():
    rng = np.random.default_rng(2)
    codes = np.repeat([0, 1, 2], 40)
    x = drawn(rng, codes)
    shapes = _shapes(x, whole(x), codes)
    means = np.stack([x[codes == k].mean(axis=0) for k in range(3)])
    residual = x - means[codes]
    scale = residual.std(axis=0)
    covariance, shrinkage = ledoit_wolf(residual / scale, assume_centered=True)
    factor = shrinkage * np.mean((residual / scale) ** 2)  # left out
    for cells in (np.ones(FEATURES, bool), rng.random(FEATURES) < 0.6):
        inverse = np.linalg.inv(covariance[np.ix_(cells, cells)])
        apart = ((x[0] - means) / scale)[:, cells]
        distance = np.sort(factor * np.einsum("ki,ij,kj->k", apart, inverse, apart) / cells.sum())
        expected = [np.log(distance[0]), np.log(distance[1]) - np.log(distance[0])]
        shown = np.where(cells, x[:1], np.nan)
        np.testing.assert_allclose(shapes.scores(shown, cells[None])[0], expected, atol=1e-6)


def test_more_features_than_samples_give_the_same_distances_as_the_dense_covariance():
    rng = np.random.default_rng(6)
    codes = np.repeat([0, 1], 20)
    x = rng.normal(size=(40, 100)) + codes[:, None]
    shapes = _shapes(x, whole(x), codes)
    means = np.stack([x[codes == k].mean(axis=0) for k in range(2)])
    residual = (x - means[codes]) / (x - means[codes]).std(axis=0)
    covariance, shrinkage = ledoit_wolf(residual, assume_centered=True)
    apart = (x[3] - means) / shapes.scale
    distance = np.einsum("ki,ij,kj->k", apart, np.linalg.inv(covariance), apart) / 100
    found = np.exp(shapes.scores(x[3:4], whole(x[3:4]))[0, 0])
    expected = shrinkage * np.mean(residual**2) * distance.min()
    assert found == pytest.approx(expected, rel=1e-6)


def test_features_that_never_vary_or_repeat_do_no_harm():
    rng = np.random.default_rng(7)
    codes = rng.integers(0, 4, 300)
    x = drawn(rng, codes)
    x = np.concatenate([x, x, np.zeros((300, 30))], axis=1)
    found = calibrate(x, whole(x), codes, np.arange(5) < 4, prior=0.2, seed=0)
    odd = x[:5].copy()
    odd[:, -1] = 1.0
    assert np.isfinite(found.degree(odd, whole(odd))).all()
    assert np.mean(found.degree(x, whole(x)) > 0.5) < 0.05


def test_weights_are_those_of_logistic_regression_where_signs_are_right_and_zero_where_not():
    rng = np.random.default_rng(8)
    usual, new = rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + np.array([1.0, -0.7])
    x, y = np.concatenate([usual, new]), np.repeat([0, 1], 200)
    peer = LogisticRegression(C=1.0, tol=1e-8).fit(x, y)
    expected = [*peer.intercept_, *peer.coef_[0]]
    np.testing.assert_allclose(_regress([usual], [new]), expected, atol=1e-3)
    turned = _regress([usual * [1, -1]], [new * [1, -1]])
    assert turned[2] == 0.0
    assert turned[1] > 0.5


def test_with_one_class_only_what_is_far_is_new_and_nothing_is_promised():
    rng = np.random.default_rng(9)
    x = drawn(rng, np.zeros(200, int))
    found = calibrate(x, whole(x), np.zeros(200, int), np.array([True, False]), 0.5, seed=0)
    np.testing.assert_array_equal(found.weights, FOUR_DEVIATIONS)
    assert np.mean(found.degree(x, whole(x)) > 0.5) < 0.02
    assert np.mean(found.degree(x + 20 * rng.normal(size=x.shape), whole(x)) > 0.5) > 0.99
    assert "cannot be told" in novelty_notes({"rna": found}, ("a", "b"))[0]


def test_views_that_look_for_classes_are_those_that_lack_named_ones():
    rng = np.random.default_rng(10)
    codes = np.tile([0, 1, 2], 60)
    x = {"x": drawn(rng, codes), "y": drawn(rng, codes)}
    x["x"][:90], x["y"][90:] = np.nan, np.nan
    x["x"][codes == 2] = np.nan
    data = make_data({view: values.astype(np.float32) for view, values in x.items()})
    standard = Standard(
        {view: jnp.zeros(FEATURES) for view in x}, {view: jnp.ones(FEATURES) for view in x}, None
    )
    rows = np.arange(180)
    three, four = np.ones(3, bool), np.array([True, True, True, False])
    for named in (three, four):
        found = fit_novelty(data, standard, rows, codes, named, seed=0)
        assert list(found) == ["x"]
        np.testing.assert_array_equal(found["x"].seen[:3], [True, True, False])
        assert found["x"].seen[3:].all()  # nobody said what the fourth is
    old = {"x": np.array([True, True, True]), "y": np.array([True, True, True])}
    assert not fit_novelty(data, standard, rows, codes, three, seed=0, seen=old)
    partly = np.where(np.arange(180) == 100, -1, codes)
    assert not fit_novelty(data, standard, rows, partly, three, seed=0)
    few = np.concatenate([rows[:90], rows[90 : 90 + LEAST]])
    assert not fit_novelty(data, standard, few, codes, three, seed=0)


def test_a_new_sample_is_of_an_unseen_class_even_if_the_classifier_is_certain_that_it_is_not():
    view = Novelty(np.array([True, False, False]), *[np.zeros(0)] * 9)
    certain = np.array([[1.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(view.share(certain, np.ones(1)), [[0.0, 0.5, 0.5]])


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 1))
def test_probabilities_stay_probabilities(values: list[float], new: float):
    chances = np.array([values]) + 1e-3
    chances /= chances.sum()
    view = Novelty(np.array([True, False, True]), *[np.zeros(0)] * 9)
    shared = view.share(chances, np.array([new]))
    assert shared.sum() == pytest.approx(1.0)
    assert shared[0, 1] == pytest.approx(new)
    assert shared[0, 0] * chances[0, 2] == pytest.approx(shared[0, 2] * chances[0, 0])


@pytest.fixture(scope="module")
def cohorts() -> tuple[MultiOmics, MultiOmics]:
    """Unpaired training samples without class c in view x, and test samples with all views."""
    rng = np.random.default_rng(1)
    names = pd.Index([f"s{i}" for i in range(600)])
    codes = rng.integers(0, 3, 600)
    views = {}
    for view in ("x", "y"):
        means = rng.normal(scale=2.0, size=(3, FEATURES))
        values = means[codes] + rng.normal(size=(600, FEATURES))
        views[view] = pd.DataFrame(values, names, [f"{view}{i}" for i in range(FEATURES)])
    labels = pd.DataFrame({"class": np.array(CLASSES)[codes]}, index=names)
    whole = MultiOmics.from_tables(views, labels)
    train, test = whole.select_samples(names[:450]), whole.select_samples(names[450:])
    return drop_pair(make_unpaired(train, "class", seed=0), "x", "class", "c"), test


def test_a_class_that_a_view_lacks_is_found(cohorts: tuple[MultiOmics, MultiOmics], tmp_path: Path):
    train, test = cohorts
    settings = preset("modis", "recommended")
    settings = replace(
        settings,
        config=replace(Config(), latent=8, hidden=(16,), discriminator=(16,), balanced=True),
        hyper=settings.hyper.replace(learning_rate=3e-3),
        train=replace(settings.train, epochs=30, batch_size=16),
        label="class",
    )
    fitted = Estimator(settings, model="modis", seed=0).fit(train)
    assert list(fitted.novelty_) == ["x"]
    assert any("taken for c" in note for note in fitted.notes_)
    start_run(tmp_path / "run", describe_run(fitted, train, None))
    finish_run(tmp_path / "run", fitted)
    loaded = load_run(tmp_path / "run")
    assert isinstance(loaded, Estimator)
    pd.testing.assert_frame_equal(loaded.predict(test), fitted.predict(test))
    said = fitted.predict(test).set_index("sample")
    truth = test.labels["class"]
    for view in ("x", "y"):
        own = said[said["view"] == view]
        assert (own["class"] == truth.loc[own.index]).mean() > 0.9
        chances = own.filter(like=PROBABILITY).to_numpy()
        np.testing.assert_allclose(chances.sum(axis=1), 1.0, atol=1e-5)
