"""The estimator's promises: measured values stay, any subset of views serves, nothing leaks."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.preprocess import PreprocessConfig
from jaxomics.data.simulate import simulate_depmap
from jaxomics.engine.state import Train
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.presets import Settings
from jaxomics.presets.mosa import RECOMMENDED

VIEWS = ("proteomics", "drugresponse", "copynumber")
TINY = replace(
    RECOMMENDED,
    config=replace(RECOMMENDED.config, latent=4, hidden=(8,), view_latent=4),
    train=Train(epochs=30, batch_size=32),
)


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    return simulate_depmap("tiny", seed=0).cohort.select_views(VIEWS)


@pytest.fixture(scope="module")
def fitted(cohort: MultiOmics) -> Estimator:
    return Estimator(TINY, seed=0).fit(cohort)


@pytest.fixture(scope="module")
def imputed(fitted: Estimator) -> dict[str, pd.DataFrame]:
    return fitted.impute()


def settings(**train: Any) -> Settings:
    return replace(TINY, train=replace(TINY.train, epochs=3, **train))


def test_imputing_keeps_measured_values_and_fills_the_rest(
    cohort: MultiOmics, imputed: dict[str, pd.DataFrame]
):
    assert tuple(imputed) == VIEWS
    for view, table in imputed.items():
        measured = cohort.table(view)[table.columns]
        assert list(table.index) == list(cohort.samples)
        assert bool(measured.isna().to_numpy().any()), "nothing to fill: the test is empty"
        assert bool(table.notna().to_numpy().all())
        seen = measured.notna().to_numpy()
        np.testing.assert_array_equal(table.to_numpy()[seen], measured.to_numpy()[seen])


def test_a_training_of_few_steps_says_so(cohort: MultiOmics, fitted: Estimator):
    steps = 30 * (len(fitted.split_.train) // 32)
    assert fitted.notes_[-1].startswith(f"trained for {steps} steps in all, 30 epochs: few")


def test_measured_values_stay_under_names_of_another_scheme(cohort: MultiOmics, fitted: Estimator):
    table = cohort.view("proteomics").iloc[:4].rename(columns="{} (99)".format)
    found = fitted.impute(MultiOmics.from_tables({"proteomics": table}))["proteomics"].to_numpy()
    seen = table.notna().to_numpy()
    np.testing.assert_array_equal(found[seen], table.to_numpy()[seen])


def test_full_gives_the_reconstruction_everywhere(
    cohort: MultiOmics, fitted: Estimator, imputed: dict[str, pd.DataFrame]
):
    full = fitted.impute(full=True)
    for view, table in full.items():
        holes = cohort.table(view)[table.columns].isna().to_numpy()
        np.testing.assert_array_equal(table.to_numpy()[holes], imputed[view].to_numpy()[holes])
        assert not np.array_equal(table.to_numpy()[~holes], imputed[view].to_numpy()[~holes])


def test_discrete_views_are_rounded_within_their_range(fitted: Estimator):
    table = fitted.impute(full=True, discrete=True)["copynumber"]
    low, high = fitted.levels_["copynumber"]
    assert set(np.unique(table)) <= set(np.arange(low, high + 1))


def test_verbs_are_deterministic(fitted: Estimator, imputed: dict[str, pd.DataFrame]):
    for view, table in fitted.impute().items():
        pd.testing.assert_frame_equal(table, imputed[view], check_exact=True)
    pd.testing.assert_frame_equal(fitted.transform(), fitted.transform(), check_exact=True)


def test_same_seed_same_fit(cohort: MultiOmics):
    first, again = (Estimator(settings(), seed=1).fit(cohort).transform() for _ in range(2))
    pd.testing.assert_frame_equal(first, again, check_exact=True)


def test_new_samples_with_other_order_and_fewer_views(cohort: MultiOmics, fitted: Estimator):
    rows = list(cohort.view("proteomics").index)[:5]
    table = cohort.view("proteomics").loc[rows]
    shuffled = table.iloc[::-1, ::-1].assign(unknown=1.0)
    read = [MultiOmics.from_tables({"proteomics": t}, cohort.labels) for t in (table, shuffled)]
    z: Any = [fitted.transform(c) for c in read]
    pd.testing.assert_frame_equal(*z, check_exact=True)
    found = fitted.impute(read[1])
    assert tuple(found) == VIEWS
    assert all(bool(t.notna().to_numpy().all()) for t in found.values())
    part = fitted.transform(MultiOmics.from_tables({"proteomics": table.iloc[:, :6]}))
    assert bool(np.isfinite(part).to_numpy().all())
    assert not np.allclose(part, z[0])


def test_one_new_sample_is_as_good_as_many(cohort: MultiOmics, fitted: Estimator):
    name = list(cohort.view("drugresponse").index)[3]
    one = MultiOmics.from_tables(
        {v: t.loc[t.index == name] for v, t in cohort.views.items() if name in t.index},
        cohort.labels,
        min_samples=1,
    )
    np.testing.assert_allclose(fitted.transform(one), fitted.transform().loc[[name]], atol=1e-5)
    assert fitted.uncertainty(one, draws=2)["copynumber"].shape[0] == 1


def test_conditionals_may_be_absent(cohort: MultiOmics, fitted: Estimator):
    bare = MultiOmics.from_tables(cohort.views)
    assert bool(np.isfinite(fitted.transform(bare)).to_numpy().all())
    assert not np.allclose(fitted.transform(bare), fitted.transform())


def test_translation_reads_the_source_alone(cohort: MultiOmics, fitted: Estimator):
    found = fitted.translate(source="proteomics", target="drugresponse")
    assert list(found.index) == sorted(cohort.view("proteomics").index)
    assert list(found.columns) == list(fitted.preprocess_.views["drugresponse"].features)
    views = {
        name: table if name == "proteomics" else table.mask(table.notna(), table * 0 + 1)
        for name, table in cohort.views.items()
    }
    other = fitted.translate(
        MultiOmics.from_tables(views, cohort.labels), source="proteomics", target="drugresponse"
    )
    pd.testing.assert_frame_equal(other, found, check_exact=True)
    both = fitted.translate(source=["proteomics", "copynumber"], target="drugresponse")
    assert len(both) >= len(found)


def test_uncertainty_is_zero_where_measured_and_positive_elsewhere(
    cohort: MultiOmics, fitted: Estimator
):
    for view, table in fitted.uncertainty(draws=3).items():
        seen = cohort.table(view)[table.columns].notna().to_numpy()
        assert not table.to_numpy()[seen].any()
        assert (table.to_numpy()[~seen] > 0).all()
    with pytest.raises(InputError, match="at least 2 draws"):
        fitted.uncertainty(draws=1)


def test_ensemble_averages_its_members(cohort: MultiOmics):
    pair = Estimator(settings(ensemble=2), seed=0).fit(cohort)
    assert len(pair.members_) == 2
    found = pair.impute(full=True)
    members = list(pair.members_)
    alone = []
    for member in members:
        pair.members_ = [member]
        alone.append(pair.impute(full=True))
    for view, table in found.items():
        a, b = (tables[view] for tables in alone)
        assert not np.allclose(a, b)
        np.testing.assert_allclose(table, (a + b) / 2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda e: e.translate(source="proteomic", target="copynumber"), "did you mean 'proteom"),
        (lambda e: e.translate(source="copynumber", target="rna"), "unknown view 'rna'"),
        (lambda e: Estimator(TINY).transform(), "no training data at hand"),
        (lambda e: Estimator(TINY).transform(e.cohort_), "call fit first"),
        (lambda e: Estimator("papr"), "did you mean 'paper'"),
        (lambda e: Estimator(model="mosaic"), "did you mean 'mosa'"),
        (
            lambda e: e.transform(
                MultiOmics.from_tables({"rna": e.cohort_.view("copynumber")})
            ),
            "unknown view 'rna'",
        ),
        (
            lambda e: Estimator(replace(TINY, label="organ")).fit(e.cohort_),
            "unknown label column 'organ'",
        ),
    ],
)  # fmt: skip
def test_wrong_requests_are_refused(fitted: Estimator, ask: Any, message: str):
    with pytest.raises(InputError, match=message):
        ask(fitted)


def test_cohort_smaller_than_a_batch(cohort: MultiOmics):
    small = cohort.select_samples(cohort.samples[:6])
    found = Estimator(settings(batch_size=256), seed=0).fit(small)
    assert bool(np.isfinite(found.transform()).to_numpy().all())


def test_held_out_values_do_not_reach_what_is_fitted(cohort: MultiOmics):
    config = replace(
        settings(valid_fraction=0.2),
        preprocess=PreprocessConfig(encoder_filter="none", min_views=1, fit_scope="train"),
    )
    train, held = cohort.samples[::2], cohort.samples[1::2]
    views = {}
    for name, table in cohort.views.items():
        strange = table.copy()
        strange.loc[strange.index.isin(held)] *= 7
        views[name] = strange
    other = replace(cohort, views=views)
    a, b = (Estimator(config, seed=0).fit(c, samples=list(train)) for c in (cohort, other))
    for name, view in a.preprocess_.views.items():
        for part in ("features", "encoder", "mean", "scale", "kind"):
            same = b.preprocess_.views[name]
            np.testing.assert_array_equal(getattr(view, part), getattr(same, part), err_msg=name)
        np.testing.assert_array_equal(a.noise_[name], b.noise_[name])
    assert a.levels_ == b.levels_
    assert a.conditionals_ == b.conditionals_
    np.testing.assert_array_equal(a.split_.train, b.split_.train)
    assert set(cohort.samples[np.concatenate([a.split_.train, a.split_.valid])]) <= set(train)
    assert a.result_.history == b.result_.history
    z: Any = [e.transform().loc[train] for e in (a, b)]
    pd.testing.assert_frame_equal(*z, check_exact=True)
