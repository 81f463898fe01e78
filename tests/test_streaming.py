"""Training from disk gives the estimator that training in memory gives."""

from dataclasses import replace
from pathlib import Path

import chex
import numpy as np
import pandas as pd
import pytest

from jaxomics import streaming as module
from jaxomics.data.container import MultiOmics
from jaxomics.data.preprocess import NormaliseConfig, PreprocessConfig, fit_preprocess
from jaxomics.data.selected import excerpt, fit_stored, outline, select_features
from jaxomics.data.simulate import simulate_depmap
from jaxomics.data.store import Store, write_store
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.models import mosa
from jaxomics.presets import Settings, preset
from jaxomics.streaming import StoredEstimator, single

VIEWS = ("transcriptomics", "copynumber", "crisprcas9")
SMALL = mosa.Config(latent=3, hidden=(4,), view_latent=3)


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    return simulate_depmap("tiny", seed=0).cohort.select_views(VIEWS)


@pytest.fixture(scope="module")
def store(cohort: MultiOmics, tmp_path_factory: pytest.TempPathFactory) -> Store:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxomics.data.store.CHUNK_BYTES", 2000)  # several chunks per view
        return write_store(cohort, tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def settings() -> Settings:
    paper = preset("mosa", "paper")
    train = replace(paper.train, epochs=2, batch_size=16, valid_fraction=0.2)
    return replace(paper, config=SMALL, train=train)


@pytest.fixture(scope="module")
def stored(cohort: MultiOmics, store: Store, settings: Settings) -> StoredEstimator:
    return StoredEstimator(store, cohort.labels, settings, seed=3).fit_store()


@pytest.mark.parametrize(
    "config",
    [
        PreprocessConfig(),
        PreprocessConfig(scaling="minmax", encoder_filter="none", missing_filtered="all",
                         max_missing=0.3, min_views=3),
        PreprocessConfig(scaling="none", fit_scope="all", imputed=("crisprcas9",)),
    ],
    ids=["paper", "range and missing cells", "no scaling, gaps filled"],
)  # fmt: skip
def test_preprocessing_of_a_store_is_that_of_its_cohort(
    cohort: MultiOmics, store: Store, config: PreprocessConfig, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("jaxomics.data.store.CHUNK_BYTES", 2000)
    trained = cohort.samples[::2]
    expected = fit_preprocess(cohort, config, trained)
    found, statistics = fit_stored(store, outline(store), config, trained)
    pd.testing.assert_frame_equal(found.report, expected.report)
    for name, view in expected.views.items():
        own = found.views[name]
        assert list(own.features) == list(view.features)
        assert own.kind == view.kind
        np.testing.assert_array_equal(own.encoder, view.encoder)
        np.testing.assert_allclose(own.mean, view.mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(own.scale, view.scale, rtol=1e-5)
        assert statistics[name].rows == len(cohort.view(name))
    features = {name: view.features for name, view in expected.views.items()}
    fill = {name: found.views[name].fill for name in config.imputed}
    count = len(cohort.samples)
    part = select_features(store, features, np.zeros((count, 0)), np.zeros(count), fill=fill)
    for name, values in expected.arrays(cohort).items():
        np.testing.assert_allclose(part.read(name, np.arange(count)), values, rtol=1e-5)


def test_the_outline_and_an_excerpt_of_a_store(cohort: MultiOmics, store: Store):
    known = outline(store, cohort.labels)
    assert list(known.samples) == list(cohort.samples)
    for view in VIEWS:
        np.testing.assert_array_equal(known.present(view), cohort.present(view))
    part, rows = excerpt(store, known, np.array([5, 2, 7])), [2, 5, 7]
    assert list(part.samples) == list(cohort.samples[rows])
    pd.testing.assert_frame_equal(part.labels, cohort.labels.iloc[rows])
    for view in VIEWS:
        np.testing.assert_array_equal(part.array(view), cohort.array(view)[rows])


def test_trained_from_disk_it_is_what_it_is_in_memory(
    cohort: MultiOmics, settings: Settings, stored: StoredEstimator
):
    expected = Estimator(settings, seed=3).fit(cohort)
    chex.assert_trees_all_close(stored.members_, expected.members_, rtol=1e-4, atol=1e-5)
    assert list(stored.held_out_) == list(expected.held_out_)
    for view, (absent, _) in expected.noise_.items():
        np.testing.assert_allclose(stored.noise_[view][0], absent, rtol=1e-3, atol=1e-4)
    latent = expected.transform()
    pd.testing.assert_frame_equal(stored.latent(), latent, rtol=1e-3, atol=1e-4)
    for name, table in expected.impute().items():
        pd.testing.assert_frame_equal(stored.impute(cohort)[name], table, rtol=1e-3, atol=1e-3)
    assert stored.levels_ == expected.levels_
    assert stored.conditionals_ == expected.conditionals_


def test_measured_on_no_more_than_fits(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    found = StoredEstimator(store, None, settings, seed=3)
    found.outline_ = outline(store)
    found.prepare(found.outline_)
    held = list(found.held_out_)
    found.selected_ = found._select()
    width = sum(map(len, found.selected_.features.values()))
    monkeypatch.setattr(module, "EXCERPT_BYTES", 4 * 4 * width)
    sample = found._excerpt()
    assert len(held) > 4
    assert list(sample.samples) == list(found.held_out_) == sorted(found.held_out_)
    assert len(found.held_out_) == len(found.split_.valid) == 4
    assert set(found.held_out_) < set(held)
    assert f"measured on 4 of {len(held)} held-out samples" in found.notes_[-1]


def test_ensembles_give_way_to_one_network():
    settings, notes = single(preset("mosa", "recommended"))
    assert (settings.train.ensemble, settings.train.cross_fit) == (1, False)
    assert not settings.residual_factors
    assert notes == [
        "trained from disk: one network instead of 5, without cross-fitting and residual factors"
    ]
    assert single(settings) == (settings, [])


def test_views_as_conditionals_are_refused(store: Store, settings: Settings):
    columns = replace(settings.conditionals, columns=("copynumber",))
    estimator = StoredEstimator(store, None, replace(settings, conditionals=columns))
    with pytest.raises(InputError, match=r"found view 'copynumber'; leave it out of --cond"):
        estimator.fit_store()


def test_values_to_be_normalised_are_refused(store: Store, settings: Settings):
    counts = replace(settings, normalise=NormaliseConfig(scale="counts"))
    with pytest.raises(InputError, match="write normalised tables, or train in memory"):
        StoredEstimator(store, settings=counts).fit_store()


def test_stores_of_some_views(cohort: MultiOmics, tmp_path: Path):
    part = write_store(cohort, tmp_path / "store", views=["copynumber"])
    assert list(part.features) == ["copynumber"]
    with pytest.raises(InputError, match="did you mean 'copynumber'"):
        write_store(cohort, tmp_path / "other", views=["copynumbr"])
