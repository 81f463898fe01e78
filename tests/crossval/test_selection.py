"""Nested selection: chosen on inner samples, blind to the outer ones, deaf to divergence."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxomics.crossval.modes import HeldOut, Plan, hold_out
from jaxomics.crossval.selection import Selection, draw_candidates, select
from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.container import MultiOmics
from jaxomics.data.preprocess import PreprocessConfig
from jaxomics.data.simulate import simulate_depmap
from jaxomics.engine.state import Train
from jaxomics.errors import InputError
from jaxomics.models.mosa import Config, Hyper
from jaxomics.presets import Settings

TINY = Settings(
    config=Config(latent=4, hidden=(8,), view_latent=4, contrastive="none"),
    hyper=Hyper(),
    train=Train(epochs=3, batch_size=16),
    preprocess=PreprocessConfig(encoder_filter="none", min_views=1, missing_filtered=()),
    conditionals=ConditionalsConfig(columns=()),
)


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    return simulate_depmap("tiny", seed=0).cohort.select_views(("proteomics", "drugresponse"))


def held_out(cohort: MultiOmics) -> HeldOut:
    return hold_out(cohort, Plan("tiny", folds=2))


@pytest.fixture(scope="module")
def chosen(cohort: MultiOmics) -> Selection:
    return select(held_out(cohort), TINY, "mosa", 2)


def test_each_fold_has_its_settings(chosen: Selection):
    assert len(chosen.settings) == 2
    pool = draw_candidates(TINY, "mosa", 2, 42)
    assert pool[0] is TINY.hyper
    table = chosen.table
    for settings, candidate in zip(chosen.settings, table["candidate"], strict=True):
        assert settings == replace(TINY, hyper=pool[candidate])
    rates = [settings.hyper.learning_rate for settings in chosen.settings]
    assert table["learning_rate"].tolist() == rates
    assert np.isfinite(table["validation"]).all()


def test_outer_test_samples_are_seen_by_nobody(cohort: MultiOmics, chosen: Selection):
    test = next(iter(held_out(cohort).folds)).test
    views = {}
    for name, table in cohort.views.items():
        strange = table.copy()
        strange.loc[strange.index.isin(test)] **= 2
        views[name] = strange
    found = select(held_out(replace(cohort, views=views)), TINY, "mosa", 2)
    pd.testing.assert_frame_equal(found.table.iloc[:1], chosen.table.iloc[:1], check_exact=True)
    assert found.table["validation"][1] != chosen.table["validation"][1]


def test_candidates_that_diverge_are_out(cohort: MultiOmics, monkeypatch: pytest.MonkeyPatch):
    wild = TINY.hyper.replace(learning_rate=1e30)
    monkeypatch.setattr(
        "jaxomics.crossval.selection.draw_candidates", lambda *_: [wild, TINY.hyper]
    )
    found = select(held_out(cohort), TINY, "mosa", 2)
    assert found.table["candidate"].tolist() == [1, 1]
    monkeypatch.setattr("jaxomics.crossval.selection.draw_candidates", lambda *_: [wild, wild])
    with pytest.raises(InputError, match="all 2 candidates diverged in fold 0"):
        select(held_out(cohort), TINY, "mosa", 2)


def test_one_candidate_is_no_choice(cohort: MultiOmics):
    with pytest.raises(InputError, match="2 or more candidates"):
        select(held_out(cohort), TINY, "mosa", 1)


def test_groups_that_cannot_be_divided_again_are_named(cohort: MultiOmics):
    half = np.where(np.arange(len(cohort.samples)) < 30, "x", "y")
    grouped = replace(cohort, labels=cohort.labels.assign(donor=half))
    held = hold_out(grouped, Plan("tiny", folds=2, group="donor"))
    with pytest.raises(InputError, match="two or more values of 'donor'"):
        select(held, TINY, "mosa", 2)
