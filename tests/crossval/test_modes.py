"""Cross-validation: what the modes hide, and honest scores of all folds and of each."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from jaxomics.crossval.modes import Plan, comparator, hold_out, model, predict
from jaxomics.crossval.scores import cross_validate, score, summarise
from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.container import MultiOmics
from jaxomics.data.simulate import simulate_depmap
from jaxomics.data.split import Fold
from jaxomics.engine.state import Train
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.metrics.tables import FEATURE_COLUMNS, SCORE_COLUMNS
from jaxomics.models.mosa import Config, Hyper
from jaxomics.presets import Settings


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    return simulate_depmap("tiny", seed=0).cohort


PLAN = Plan("tiny", folds=3, views=("transcriptomics", "copynumber"), linked=(
    ("transcriptomics", "proteomics"),
))  # fmt: skip


def zeros(cohort: MultiOmics, folds: Sequence[Fold], seed: int) -> Iterator:
    for _ in folds:
        yield lambda samples: {n: np.zeros(samples.array(n).shape) for n in samples.views}


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan("tiny", folds=1000), "expected 2 to"),
        (Plan("tiny", folds=2, stratify="tissu"), "did you mean 'tissue'"),
        (Plan("tiny", folds=2, views=("protein",)), "did you mean 'proteomics'"),
        (Plan("tiny", folds=2, modes=("view",)), "did you mean 'view_out'"),
        (Plan("tiny", folds=2, modes=()), "expected a mode"),
    ],
)
def test_unfit_plans_are_named(cohort: MultiOmics, plan: Plan, message: str):
    with pytest.raises(InputError, match=message):
        hold_out(cohort, plan)


def test_modes_hide_what_they_say(cohort: MultiOmics):
    seen: list[tuple[set[str], MultiOmics]] = []

    def spy(data: MultiOmics, folds: Sequence[Fold], seed: int) -> Iterator:
        for fold in folds:

            def complete(samples: MultiOmics, fold: Fold = fold):
                assert list(samples.samples) == list(fold.test)
                empty = {name for name in samples.views if samples.array(name).size == 0}
                absent = {n for n in samples.views if np.isnan(samples.array(n)).all()} | empty
                seen.append((absent, samples))
                return {n: np.zeros(samples.array(n).shape) for n in samples.views}

            yield complete

    predict(hold_out(cohort, PLAN), spy)
    assert len(seen) == 3 * 4  # reconstruct, cell_out, and view_out of two groups, in each fold
    assert {"transcriptomics", "proteomics"} <= seen[2][0]
    assert "copynumber" in seen[3][0]
    hidden = seen[1][1].array("transcriptomics")
    shown = seen[0][1].array("transcriptomics")
    share = (np.isnan(hidden) & ~np.isnan(shown)).sum() / (~np.isnan(shown)).sum()
    assert 0.08 < share < 0.22


def test_scores_of_folds_repeats_and_features(cohort: MultiOmics):
    plan = replace(PLAN, folds=2, repeats=2, modes=("reconstruct",), bootstrap=20)
    held = hold_out(cohort, plan)
    noise = np.random.default_rng(0).normal(size=(2, *held.truth["transcriptomics"].shape))
    said = (np.nan_to_num(held.truth["transcriptomics"]) + noise).astype(np.float32)
    scores, features = score(held, "noisy", {("reconstruct", "transcriptomics"): said})
    r = scores[scores["metric"] == "pearson"].set_index(["seed", "fold"])["value"]
    assert sorted(r.index) == [(s, f) for s in (42, 43) for f in (-1, 0, 1)]
    rows = held.folds.number[1] == 0
    table = cohort.table("transcriptomics").to_numpy()
    expected = []
    for f in range(table.shape[1]):
        known = ~np.isnan(table[:, f]) & rows
        expected.append(pearsonr(table[known, f], said[1][known, f])[0])
    assert r[43, 0] == pytest.approx(np.mean(expected), rel=1e-6)
    relative = scores[scores["metric"] == "relative_error"].set_index(["seed", "fold"])["value"]
    target, means = table[rows], held.means["transcriptomics"][2]
    other = table[~rows] - held.means["transcriptomics"][3]
    baseline = np.nanmean(np.concatenate([target - means, other]) ** 2, axis=0)
    expected = np.nanmean((target - said[1][rows]) ** 2, axis=0) / baseline
    assert relative[43, 0] == pytest.approx(expected.mean(), rel=1e-6)
    pooled = scores[scores["fold"] == -1].reset_index(drop=True)
    pd.testing.assert_frame_equal(summarise(features), pooled)
    assert list(features) == [*FEATURE_COLUMNS[:-1], "low", "high", "n"]
    inside = features.dropna()
    assert (inside["low"] <= inside["high"]).all()
    assert ((inside["low"] <= inside["value"]) & (inside["value"] <= inside["high"])).mean() > 0.9


def test_groups_are_redrawn_as_a_whole(cohort: MultiOmics):
    donor = [f"d{i // 6}" for i in range(len(cohort.samples))]
    grouped = replace(cohort, labels=cohort.labels.assign(donor=donor))
    plan = replace(PLAN, group="donor", bootstrap=30, modes=("reconstruct",))
    _, plain = cross_validate(grouped, {"mean": zeros}, replace(plan, group=None))
    _, found = cross_validate(grouped, {"mean": zeros}, plan)
    assert not np.allclose(plain["low"], found["low"], equal_nan=True)


def test_a_models_fold_is_predicted_by_that_folds_estimator(cohort: MultiOmics):
    views = ("proteomics", "drugresponse")
    small = cohort.select_views(views)
    settings = Settings(
        config=Config(latent=4, hidden=(8,), view_latent=4, contrastive="none"),
        hyper=Hyper(),
        train=Train(epochs=2, batch_size=32),
        conditionals=ConditionalsConfig(columns=()),
    )
    held = hold_out(small, Plan("tiny", folds=2, modes=("reconstruct",)))
    shown: list[Estimator] = []
    said = predict(held, model(settings, fitted=shown.append))
    assert set(said) == {("reconstruct", view) for view in views}
    for i, fold in enumerate(held.folds):
        assert shown[i].seed == 42 + i
        trained = small.samples[np.asarray(shown[i].split_.train, int)]
        assert set(trained) <= set(fold.train)
        for view, table in shown[i].impute(small.select_samples(fold.test), full=True).items():
            columns = small.view(view).columns.get_indexer(table.columns)
            rows = small.samples.get_indexer(fold.test)
            found = said["reconstruct", view][0][np.ix_(rows, columns)]
            np.testing.assert_array_equal(found, table)


def test_mean_has_relative_error_of_one_and_ridge_beats_it(cohort: MultiOmics):
    methods = {
        "mean": comparator("mean"),
        "ridge": comparator("ridge", ConditionalsConfig(columns=("tissue",)), clip=3.0),
    }
    scores, features = cross_validate(cohort, methods, PLAN)
    assert list(scores.columns) == SCORE_COLUMNS
    pooled = scores[scores["fold"] == -1]
    error = pooled[pooled["metric"] == "relative_error"].set_index(["model", "mode", "view"])[
        "value"
    ]
    np.testing.assert_allclose(error.loc["mean"], 1.0, rtol=1e-5)
    assert error.loc["ridge", "view_out", "transcriptomics"] < 1.0
    pd.testing.assert_frame_equal(summarise(features), pooled.reset_index(drop=True))
