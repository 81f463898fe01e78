"""Fitting together: equal to fitting one after the other, and nothing crosses between folds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.container import MultiOmics
from jaxomics.data.preprocess import NormaliseConfig, PreprocessConfig
from jaxomics.data.simulate import simulate_depmap
from jaxomics.data.split import make_folds
from jaxomics.engine.state import Train
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.models.mosa import Config, Hyper
from jaxomics.presets import Settings
from jaxomics.together import fit_together, train_together

VIEWS = ("proteomics", "drugresponse")
TINY = Settings(
    config=Config(latent=4, hidden=(8,), view_latent=4, contrastive="none"),
    hyper=Hyper(),
    train=Train(epochs=4, batch_size=16, schedule="cosine"),
    preprocess=PreprocessConfig(encoder_filter="none", min_views=1, missing_filtered=()),
    conditionals=ConditionalsConfig(columns=("age", "tissue")),
)
ENSEMBLE = Train(epochs=4, batch_size=16, ensemble=2, valid_fraction=0.2, restore_best=True)


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    whole = simulate_depmap("tiny", seed=0).cohort.select_views(VIEWS)
    age = np.random.default_rng(0).normal(50, 9, len(whole.samples))
    return replace(whole, labels=whole.labels.assign(age=age))


def tables(estimator: Estimator, samples: pd.Index) -> dict[str, pd.DataFrame]:
    assert estimator.cohort_ is not None
    return estimator.impute(estimator.cohort_.select_samples(samples), full=True)


@pytest.mark.parametrize(
    ("count", "train"), [(5, TINY.train), (2, ENSEMBLE)], ids=["five folds", "ensembles"]
)
def test_folds_together_equal_folds_one_after_the_other(
    cohort: MultiOmics, count: int, train: Train
):
    settings = replace(TINY, train=train)
    folds = list(make_folds(cohort, count))
    fresh = [Estimator(settings, seed=i) for i in range(count)]
    together = fit_together(fresh, cohort, [fold.train for fold in folds])
    for i, (fold, found) in enumerate(zip(folds, together, strict=True)):
        alone = Estimator(settings, seed=i).fit(cohort, samples=fold.train)
        np.testing.assert_array_equal(alone.split_.train, found.split_.train)
        np.testing.assert_array_equal(alone.split_.valid, found.split_.valid)
        expected = tables(alone, fold.test)
        for view, table in tables(found, fold.test).items():
            np.testing.assert_allclose(table, expected[view], rtol=1e-4, atol=1e-4)
            for a, b in zip(found.noise_[view], alone.noise_[view], strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-3)
        assert steps(found) == steps(alone)


def steps(estimator: Estimator) -> list[tuple]:
    assert estimator.result_ is not None
    rows = estimator.result_.history
    return [(row["epoch"], row["replica"], row["split"]) for row in rows]


def test_test_samples_reach_nothing_that_is_fitted_for_their_fold(cohort: MultiOmics):
    folds = list(make_folds(cohort, 3))
    test = folds[0].test
    views = {}
    for name, table in cohort.views.items():
        strange = table.copy()
        strange.loc[strange.index.isin(test)] *= 7
        views[name] = strange
    age = cohort.labels["age"].where(~cohort.labels.index.isin(test), 1e4)
    other = replace(cohort, views=views, labels=cohort.labels.assign(age=age))
    found: list[Any] = []
    for data in (cohort, other):
        fresh = [Estimator(TINY, seed=i) for i in range(3)]
        found.append(next(fit_together(fresh, data, [fold.train for fold in folds])))
    a, b = found
    for name, view in a.preprocess_.views.items():
        for part in ("features", "encoder", "mean", "scale", "kind"):
            same = b.preprocess_.views[name]
            np.testing.assert_array_equal(getattr(view, part), getattr(same, part), err_msg=name)
        np.testing.assert_array_equal(a.noise_[name], b.noise_[name])
    assert a.levels_ == b.levels_
    assert a.conditionals_ == b.conditionals_
    assert a.result_.history == b.result_.history
    z = [e.transform(cohort).loc[folds[0].train] for e in found]
    pd.testing.assert_frame_equal(*z, check_exact=True)


def test_features_are_those_of_every_fold(cohort: MultiOmics):
    folds = list(make_folds(cohort, 3))
    table = cohort.view("proteomics").copy()
    only = table.columns[0]
    table.loc[~table.index.isin(folds[1].test), only] = np.nan
    holed = replace(cohort, views=cohort.views | {"proteomics": table})
    fresh = [Estimator(TINY, seed=0) for _ in folds]
    found = list(fit_together(fresh, holed, [fold.train for fold in folds]))
    for i, one in enumerate(found):
        assert only not in one.preprocess_.views["proteomics"].features
        report = one.preprocess_.report
        reasons = report.loc[report["name"] == only, "reason"].tolist()
        expected = "no measured value in any training sample"
        assert reasons == [expected if i == 1 else "left out in another one of 3 folds"]
    assert len({one.spec_ for one in found}) == 1


def test_a_view_without_a_common_feature_is_named(cohort: MultiOmics):
    folds = list(make_folds(cohort, 2))
    table = cohort.view("proteomics").copy()
    half = table.shape[1] // 2
    rows = table.index.isin(folds[0].test)
    table.loc[rows, table.columns[:half]] = np.nan
    table.loc[~rows, table.columns[half:]] = np.nan
    holed = replace(cohort, views=cohort.views | {"proteomics": table})
    fresh = [Estimator(TINY, seed=0) for _ in folds]
    with pytest.raises(InputError, match="'proteomics': expected a feature that every fold's"):
        list(fit_together(fresh, holed, [fold.train for fold in folds]))


def test_candidates_on_the_same_samples_differ_by_hyper_alone(cohort: MultiOmics):
    low, high = (replace(TINY, hyper=TINY.hyper.replace(learning_rate=x)) for x in (1e-9, 1e-2))
    train, valid = cohort.samples[::2], cohort.samples[1::2]
    fresh = [Estimator(settings, seed=3) for settings in (low, high)]
    a, b = fit_together(fresh, cohort, [train, train], [valid, valid])
    assert a.preprocess_.views is not None
    assert list(a.held_out_) == list(valid)
    assert not np.allclose(a.transform(), b.transform())
    other = Estimator(replace(TINY, train=replace(TINY.train, epochs=1)))
    with pytest.raises(InputError, match="found another train"):
        list(fit_together([a, other], cohort, [None, None]))


def test_folds_that_normalise_differently_are_fitted_one_by_one(
    cohort: MultiOmics, monkeypatch: pytest.MonkeyPatch
):
    """One program reads one set of values; those of another fold would tell of held-out samples."""
    settings = replace(TINY, normalise=NormaliseConfig(quantile=True))
    asked = []

    def remember(one: Estimator, data: MultiOmics, **how: Any) -> Estimator:
        asked.append((one.seed, list(how["samples"])))
        return one

    monkeypatch.setattr(Estimator, "fit", remember)
    fresh = [Estimator(settings, seed=i) for i in range(2)]
    halves = [cohort.samples[:20], cohort.samples[20:]]
    assert list(fit_together(fresh, cohort, halves)) == fresh
    assert asked == [(0, list(halves[0])), (1, list(halves[1]))]
    with pytest.raises(InputError, match="one set of training samples"):
        train_together(fresh, cohort, halves)
