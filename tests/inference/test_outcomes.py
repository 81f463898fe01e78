"""From columns of a sample table to what heads learn, and back; what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.outcomes import OutcomesConfig
from jaxomics.errors import InputError
from jaxomics.inference.outcomes import Outcomes, fit_outcomes, outcome_notes

SAMPLES = [f"s{i}" for i in range(6)]
LABELS = pd.DataFrame(
    {
        "months": [2.0, 4.0, 6.0, 8.0, 10.0, np.nan],
        "died": [1, 1, 0, 1, 1, 0],
        "age": [50.0, 60, 70, np.nan, 40, 80],
        "grade": ["low", "high", "low", None, "high", "mid"],
    },
    index=SAMPLES,
)
CONFIG = OutcomesConfig("months", "died", ("age",), ("grade",), bins=3)


def cohort_of(labels: pd.DataFrame = LABELS) -> MultiOmics:
    rna = pd.DataFrame({"a": range(6), "b": range(6)}, index=SAMPLES, dtype=float)
    return MultiOmics.from_tables({"rna": rna}, labels)


def fitted(config: OutcomesConfig = CONFIG, **columns: Any) -> Outcomes:
    return fit_outcomes(cohort_of(LABELS.assign(**columns)), config, pd.Index(SAMPLES))


def test_edges_are_quantiles_of_event_times():
    # Events at 2, 4, 8, 10: a quarter, a half and three quarters of the way.
    assert fitted().edges == pytest.approx((3.5, 6.0, 8.5))


def test_uniform_edges_are_nearest_points_as_published():
    found = fitted(OutcomesConfig("months", "died", bins=11, grid="uniform"))
    points = np.linspace(0, 11, 12)
    nearest = [int(np.argmin(np.abs(t - points[:-1]))) for t in LABELS.months.iloc[:5]]
    arrays = found.arrays(cohort_of())
    assert arrays is not None
    assert arrays[:5, 0].tolist() == nearest


def test_only_training_samples_are_fitted_to():
    found = fit_outcomes(cohort_of(), CONFIG, pd.Index(SAMPLES[:3]))
    assert found.edges == pytest.approx((2.5, 3.0, 3.5))
    assert found.scales["age"] == pytest.approx((60.0, np.std([50, 60, 70])))
    # Names of classes are no fit: all folds of a cross-validation have the same.
    assert found.classes["grade"] == ("high", "low", "mid")


def test_arrays_are_what_the_specs_say():
    found = fitted()
    assert [(s.name, s.kind, s.column, s.outputs) for s in found.specs] == [
        ("survival", "survival", 0, 3),
        ("age", "value", 2, 1),
        ("grade", "class", 3, 3),
    ]
    arrays = found.arrays(cohort_of())
    assert arrays is not None
    # Time 2 is 2 / 3.5 through the first interval; 10 is in the last one, which has no end.
    np.testing.assert_allclose(arrays[:, 0], [2 / 3.5, 1.2, 1.999, 2.8, 3.0, np.nan], rtol=1e-6)
    np.testing.assert_array_equal(arrays[:, 1], [1, 1, 0, 1, 1, np.nan])
    np.testing.assert_allclose(arrays[:, 2], (LABELS.age - 60) / np.std([50, 60, 70, 40, 80]))
    np.testing.assert_array_equal(arrays[:, 3], [1, 0, 1, np.nan, 0, 2])


def test_samples_without_these_columns_have_unknown_outcomes():
    arrays = fitted().arrays(cohort_of(LABELS[["grade"]]))
    assert arrays is not None
    assert np.isnan(arrays[:, :3]).all()
    assert not np.isnan(arrays[:, 3]).all()
    assert Outcomes().arrays(cohort_of()) is None


def test_columns_are_in_original_units():
    found = fitted()
    values = found.columns("age", np.array([[0.0], [1.0]]))["age"]
    np.testing.assert_allclose(values, [60, 60 + np.std([50, 60, 70, 40, 80])])
    grades = found.columns("grade", np.log([[0.2, 0.3, 0.5]]))
    assert grades["grade"].tolist() == ["mid"]
    assert grades["grade_p_low"] == pytest.approx(0.3)
    # Scores log 2, log 3, 0 give densities 6, 3, 1, 1 of 11.
    curves = found.columns("survival", np.log([[2.0, 3.0, 1.0]]))
    assert list(curves) == ["risk", "survival_3.5", "survival_6", "survival_8.5"]
    expected = np.array([5, 2, 1]) / 11
    np.testing.assert_allclose([curves[f"survival_{t}"][0] for t in ("3.5", "6", "8.5")], expected)
    assert curves["risk"][0] == pytest.approx(-np.log(expected).sum(), rel=1e-5)


def test_known_survival():
    known, which = fitted().survival(cohort_of())
    assert which.tolist() == [True] * 5 + [False]
    assert known.time.tolist() == [2, 4, 6, 8, 10]
    with pytest.raises(InputError, match="expected samples with months and died, found none"):
        fitted().survival(cohort_of(LABELS[["age"]]))
    with pytest.raises(InputError, match="a model of survival"):
        Outcomes().survival(cohort_of())


def test_notes_count_what_is_known():
    assert outcome_notes(cohort_of(), fitted(), np.array([0, 2, 3, 5])) == [
        "survival is known of 3 of 4 samples, 2 events",
        "age is known of 3 of 4 samples",
        "grade is known of 3 of 4 samples",
    ]
    assert outcome_notes(cohort_of(), Outcomes(), np.array([0])) == []


def test_save_and_load(tmp_path: Path):
    found = fitted()
    found.save(tmp_path / "outcomes.json")
    assert Outcomes.load(tmp_path / "outcomes.json") == found
    assert Outcomes.load(tmp_path / "other.json") == Outcomes()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"months": [0.0, 4, 6, 8, 10, 1]}, "months and died: .*above 0, found 0 in 1 of 6"),
        ({"months": [-1.0, 4, 6, 8, 10, 1]}, "above 0, found -1"),
        ({"died": [1, 2, 0, 1, 1, 0]}, "events of 0 or 1, found 2"),
        ({"died": ["yes"] * 6}, "numbers in label column 'died', found 'yes'"),
        ({"died": [0] * 6}, "events at two different times or more .* found 0 in died"),
        ({"age": [5.0] * 6}, "different values of 'age' .* found 5 in all 6; leave it out"),
        ({"age": [np.nan] * 6}, "different values of 'age' .* found none"),
        ({"grade": ["low"] * 6}, "at least 2 classes of 'grade', found 'low'"),
    ],
)
def test_unfit_outcomes_are_refused(columns: dict[str, Any], said: str):
    with pytest.raises(InputError, match=said):
        fitted(**columns)


def test_unfit_settings_are_refused():
    with pytest.raises(InputError, match="expected --event beside --time"):
        OutcomesConfig(time="months")
    with pytest.raises(InputError, match="unknown label column 'size'"):
        fitted(OutcomesConfig(regress=("size",)))
    with pytest.raises(InputError, match="bins of at least 2"):
        OutcomesConfig(bins=1)
