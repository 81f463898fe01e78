"""Novelty: samples of a class that a view has not seen are found, and others are left alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf

from jaxomics.data.container import MultiOmics
from jaxomics.data.unpair import drop_pair, make_unpaired
from jaxomics.estimator import Estimator
from jaxomics.inference.novelty import STEEPNESS, THRESHOLD, Novelty, _score, calibrate
from jaxomics.metrics.classification import PROBABILITY
from jaxomics.models.modis import Config
from jaxomics.presets import preset

FEATURES, CLASSES = 20, ("a", "b", "c")


def noise(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Residuals with a common factor four times as wide as the rest."""
    return rng.normal(size=(rows, FEATURES)) + 4.0 * rng.normal(size=(rows, 1))


def test_shifted_samples_are_new_and_others_are_not():
    rng = np.random.default_rng(0)
    residual, whole = noise(rng, 600), np.ones((600, FEATURES), bool)
    found = calibrate(residual, whole, np.array([True, True, False]), seed=0)
    usual = found.degree(noise(rng, 2000), np.ones((2000, FEATURES), bool))
    assert np.mean(usual > 0.5) < 0.01
    shifted = noise(rng, 200)
    shifted[:, ::2] += 6.0
    assert np.mean(found.degree(shifted, np.ones((200, FEATURES), bool)) > 0.5) > 0.99
    hidden = np.ones((200, FEATURES), bool)
    hidden[:, ::2] = False  # the shifted features were not measured
    blind = np.where(hidden, shifted, np.nan)
    assert np.mean(found.degree(blind, hidden) > 0.5) < 0.2


def test_the_score_is_the_distance_by_the_shrunk_covariance_of_the_measured_cells():
    rng = np.random.default_rng(2)
    residual, whole = noise(rng, 100), np.ones((100, FEATURES), bool)
    found = calibrate(residual, whole, np.array([True, False]), seed=3)
    half = np.random.default_rng(3).permutation(100)[::2]
    centred = residual[half] - residual[half].mean(axis=0)
    scaled = centred / centred.std(axis=0)
    covariance, shrinkage = ledoit_wolf(scaled, assume_centered=True)
    one = residual[0] / centred.std(axis=0)
    own = rng.random(FEATURES) < 0.6
    for cells in (np.ones(FEATURES, bool), own):
        distance = one[cells] @ np.linalg.solve(covariance[np.ix_(cells, cells)], one[cells])
        expected = np.log(distance / cells.sum()) + np.log(shrinkage)  # a constant is left out
        ours = _score(residual[:1], cells[None], found.scale, found.directions, found.ridge)[0]
        assert ours == pytest.approx(expected, abs=1e-6)


def test_the_threshold_is_half():
    seen, none, one = np.array([True, False]), np.zeros((1, 0)), np.ones(1)
    found = Novelty(seen, one, none, np.zeros(0), np.asarray(0.0), np.asarray(1.0))
    at = np.exp(THRESHOLD / 2) * np.ones((1, 1))
    assert found.degree(at, np.ones((1, 1), bool))[0] == pytest.approx(0.5)
    beyond = np.exp((THRESHOLD + 1) / 2) * np.ones((1, 1))
    expected = 1 / (1 + np.exp(-STEEPNESS))
    assert found.degree(beyond, np.ones((1, 1), bool))[0] == pytest.approx(expected)


def test_a_new_sample_is_of_an_unseen_class_even_if_the_classifier_is_certain_that_it_is_not():
    view = Novelty(np.array([True, False, False]), *[np.zeros(0)] * 5)
    certain = np.array([[1.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(view.share(certain, np.ones(1)), [[0.0, 0.5, 0.5]])


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 1))
def test_probabilities_stay_probabilities(values: list[float], new: float):
    chances = np.array([values]) + 1e-3
    chances /= chances.sum()
    view = Novelty(np.array([True, False, True]), *[np.zeros(0)] * 5)
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


def test_a_class_that_a_view_lacks_is_found(cohorts: tuple[MultiOmics, MultiOmics]):
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
    said = fitted.predict(test).set_index("sample")
    truth = test.labels["class"]
    for view in ("x", "y"):
        own = said[said["view"] == view]
        assert (own["class"] == truth.loc[own.index]).mean() > 0.9
        chances = own.filter(like=PROBABILITY).to_numpy()
        np.testing.assert_allclose(chances.sum(axis=1), 1.0, atol=1e-5)
