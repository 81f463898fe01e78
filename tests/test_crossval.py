"""Cross-validation: folds, what the modes hide, and honest scores."""

import numpy as np
import pandas as pd
import pytest

from jaxomics.crossval import (
    SCORE_COLUMNS,
    Plan,
    comparator,
    cross_validate,
    make_folds,
    summarise,
)
from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.container import MultiOmics
from jaxomics.data.simulate import simulate_depmap
from jaxomics.errors import InputError


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    return simulate_depmap("tiny", seed=0).cohort


PLAN = Plan("tiny", folds=3, views=("transcriptomics", "copynumber"), linked=(
    ("transcriptomics", "proteomics"),
))  # fmt: skip


def test_folds_partition_the_samples(cohort: MultiOmics):
    folds = make_folds(cohort, PLAN)
    tests = pd.Index(np.concatenate([test for _, test in folds]))
    assert len(folds) == 3
    assert sorted(tests) == list(cohort.samples)
    assert all(not len(train.intersection(test)) for train, test in folds)
    again = make_folds(cohort, PLAN)
    assert all((a[1] == b[1]).all() for a, b in zip(folds, again, strict=True))


def test_too_many_folds_and_unknown_stratum_are_named(cohort: MultiOmics):
    with pytest.raises(InputError, match="expected 2 to"):
        make_folds(cohort, Plan("tiny", folds=1000))
    with pytest.raises(InputError, match="tissu"):
        make_folds(cohort, Plan("tiny", folds=2, stratify="tissu"))


def test_modes_hide_what_they_say(cohort: MultiOmics):
    seen: list[tuple[set[str], MultiOmics]] = []

    def spy(data: MultiOmics, train: pd.Index, seed: int):
        def complete(samples: MultiOmics):
            assert not len(samples.samples.intersection(train))
            empty = {name for name in samples.views if samples.array(name).size == 0}
            absent = {n for n in samples.views if np.isnan(samples.array(n)).all()} | empty
            seen.append((absent, samples))
            return {n: np.zeros(samples.array(n).shape) for n in samples.views}

        return complete

    cross_validate(cohort, {"spy": spy}, PLAN)
    assert len(seen) == 3 * 4  # reconstruct, cell_out, and view_out of two groups, in each fold
    assert {"transcriptomics", "proteomics"} <= seen[2][0]
    assert "copynumber" in seen[3][0]
    hidden = seen[1][1].array("transcriptomics")
    shown = seen[0][1].array("transcriptomics")
    share = (np.isnan(hidden) & ~np.isnan(shown)).sum() / (~np.isnan(shown)).sum()
    assert 0.08 < share < 0.22


def test_mean_has_relative_error_of_one_and_ridge_beats_it(cohort: MultiOmics):
    methods = {
        "mean": comparator("mean"),
        "ridge": comparator("ridge", ConditionalsConfig(columns=("tissue",)), clip=3.0),
    }
    scores, features = cross_validate(cohort, methods, PLAN)
    assert list(scores.columns) == SCORE_COLUMNS
    error = scores[scores["metric"] == "relative_error"].set_index(["model", "mode", "view"])[
        "value"
    ]
    np.testing.assert_allclose(error.loc["mean"], 1.0, rtol=1e-5)
    assert error.loc["ridge", "view_out", "transcriptomics"] < 1.0
    pd.testing.assert_frame_equal(summarise(features), scores)
