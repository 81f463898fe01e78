"""Scores of predicted outcomes: those of scikit-learn and `metrics.survival`, and what is left."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, mean_absolute_error, r2_score, roc_auc_score

from jaxomics.errors import InputError
from jaxomics.metrics.outcomes import OutcomeColumns, evaluate_outcomes, predicted_curves
from jaxomics.metrics.survival import (
    common_times,
    curve_at,
    harrell_c,
    integrated_brier,
    outcome,
    uno_c,
)

N = 30
EDGES = (3.0, 8.0, 15.0)
ASKED = OutcomeColumns("type", "months", "died", ("age",), ("grade",), "site")


def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Predictions of 30 samples, the sample table of these, and that of 30 others."""
    rng = np.random.default_rng(0)
    names = [f"s{i:02d}" for i in range(2 * N)]
    risk, types, grades = rng.normal(size=2 * N), rng.integers(2, size=2 * N), rng.random(2 * N)
    labels = pd.DataFrame(
        {
            "type": np.array(["cold", "hot"])[types],
            "months": np.round(10 * np.exp(-0.5 * risk) * rng.exponential(size=2 * N) + 0.1, 1),
            "died": (rng.random(2 * N) < 0.7) * 1.0,
            "age": 60 + 10 * risk,
            "grade": np.where(grades > 0.5, 1.0, 2.0),
            "site": np.where(rng.random(2 * N) > 0.5, "a", "b"),
        },
        names,
    )
    share = 1 / (1 + np.exp(-2 * types - rng.normal(size=2 * N) + 1))
    noisy = np.clip(grades + 0.4 * rng.normal(size=2 * N), 0.01, 0.99)
    said = pd.DataFrame({"sample": names, "view": "all", "age": 60 + 9 * risk, "risk": risk})
    said = said.assign(**{"class": np.where(share > 0.5, "hot", "cold"), "p_cold": 1 - share})
    said = said.assign(p_hot=share, grade=1, grade_p_1=noisy, grade_p_2=1 - noisy)
    curves = np.exp(-np.outer(np.exp(risk) / 15, EDGES))
    said[[f"survival_{edge:g}" for edge in EDGES]] = curves
    return said[:N], labels[:N], labels[N:]


def test_every_outcome_has_the_scores_of_other_software():
    said, labels, seen = tables()
    found = evaluate_outcomes(said, labels, ASKED, seen, model="x", fold=2)
    assert set(found["fold"]) == {2}
    value = found.set_index(["mode", "view", "metric"])["value"]
    codes, hot = (labels["type"] == "hot") * 1, said["class"] == "hot"
    f1 = f1_score(codes, hot, average="macro")
    assert value["classes", "all", "macro_f1"] == pytest.approx(f1)
    area = roc_auc_score(codes, said["p_hot"])
    assert value["classes", "all", "macro_auc"] == pytest.approx(area)
    area = roc_auc_score(labels["grade"] == 1, said["grade_p_1"])
    assert value["outcomes", "grade", "macro_auc"] == pytest.approx(area)
    ages = labels["age"], said["age"]
    assert value["outcomes", "age", "mae"] == pytest.approx(mean_absolute_error(*ages))
    assert value["outcomes", "age", "r2"] == pytest.approx(r2_score(*ages))
    own, before = (outcome(*t[["months", "died"]].to_numpy(float).T) for t in (labels, seen))
    risk = said["risk"].to_numpy()
    survival = value["outcomes", "survival"]
    assert survival["harrell_c"] == harrell_c(own, risk).value
    assert survival["harrell_c_within"] == harrell_c(own, risk, labels["site"].to_numpy()).value
    assert survival["uno_c"] == uno_c(before, own, risk, np.quantile(before.time, 0.9)).value
    times = common_times(before, own)
    curves = curve_at(np.array(EDGES), said.filter(like="survival_").to_numpy(), times)
    brier = integrated_brier(before, own, curves, times)
    assert survival["integrated_brier"] == pytest.approx(brier)


def test_what_is_not_known_is_left_out_and_told():
    said, labels, seen = tables()
    labels = labels.assign(type="hot", age=labels["age"].where(labels.index > "s04"))
    labels.loc["s07", ["months", "grade"]] = np.nan
    found = evaluate_outcomes(said, labels, ASKED, seen)
    value = found.set_index(["view", "metric"])["value"]
    ages = labels["age"][5:], said["age"][5:]
    assert value["age", "mae"] == pytest.approx(mean_absolute_error(*ages))
    assert np.isnan(value["all", "macro_auc"])
    assert found.attrs["notes"] == [
        "no sample is of cold: the area under the curve is a mean over the others",
        "age is not known of 5 of 30 samples",
        "grade is not known of 1 of 30 samples",
        "survival is not known of 1 of 30 samples",
    ]


def test_survival_of_few_samples_may_not_be_told():
    said, labels, _ = tables()
    found = evaluate_outcomes(said[:1], labels, OutcomeColumns(time="months", event="died"))
    assert found.set_index("metric")["value"].isna().all()


def test_curves_are_read_in_order_of_time():
    said, _, _ = tables()
    found = predicted_curves(said[said.columns[::-1]])
    assert found is not None
    assert found.edges.tolist() == list(EDGES)
    assert (np.diff(found.survival, axis=1) < 0).all()
    assert predicted_curves(said.assign(survival_3=np.nan)) is None
    assert predicted_curves(said[["risk"]]) is None


@pytest.mark.parametrize(
    ("asked", "change", "message"),
    [
        (OutcomeColumns(), {}, "expected an outcome to score"),
        (OutcomeColumns(time="months"), {}, "--time and --event together"),
        (OutcomeColumns(regress=("agee",)), {}, "did you mean 'age'"),
        (
            OutcomeColumns(regress=("site",)),
            {"site": 1.0},
            "numbers in column 'site', found '[ab]'",
        ),
        (OutcomeColumns(regress=("months",)), {}, "predictions with columns months"),
        (OutcomeColumns(regress=("age",)), {"sample": "s00"}, "found 's00' twice"),
        (OutcomeColumns(regress=("age",)), {"sample": list("x" * N)}, "'x' twice"),
        (OutcomeColumns(regress=("age",)), {"age": np.nan}, "that can be scored, found none: age"),
        (OutcomeColumns(time="zero", event="died"), {}, "zero and died: .*above 0, found 0"),
    ],
)
def test_unfit_tables_are_refused(asked: OutcomeColumns, change: dict, message: str):
    said, labels, seen = tables()
    with pytest.raises(InputError, match=message):
        evaluate_outcomes(said.assign(**change), labels.assign(zero=0.0), asked, seen)
