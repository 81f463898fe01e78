import numpy as np
import pandas as pd
import pytest

from jaxomics.errors import InputError
from jaxomics.metrics.components import fit_components
from jaxomics.metrics.overall_survival import (
    choose_count,
    clinical_covariates,
    plan_survival,
    survival_scores,
)
from jaxomics.metrics.survival import outcome


def cohort(samples=200, dimensions=12, seed=0):
    """An embedding whose first axis drives the hazard, times, events, donors of two samples."""
    random = np.random.default_rng(seed)
    z = np.repeat(random.normal(size=(samples // 2, dimensions)), 2, axis=0)
    z *= np.linspace(2, 0.5, dimensions)
    time = np.repeat(random.exponential(np.exp(-z[::2, 0])), 2) + 1e-3
    censoring = np.repeat(random.uniform(0, 3, samples // 2), 2) + 1e-3
    return z, np.minimum(time, censoring), time <= censoring, np.arange(samples) // 2


def mean(scores, metric="uno_c"):
    return float(np.mean([fold[metric] for fold in scores]))


def test_a_hazard_in_the_embedding_is_found_and_noise_is_not():
    z, time, event, groups = cohort(400)
    plan = plan_survival(time, event, groups)
    assert mean(survival_scores(plan, z)) > 0.75
    noise = np.random.default_rng(5).normal(size=(400, 64))
    found = survival_scores(plan, noise, choices=(5, 10))
    assert len(found) == 5
    assert mean(found) == pytest.approx(0.5, abs=0.05)
    assert mean(found, "harrell_c") == pytest.approx(0.5, abs=0.05)


def test_donors_are_never_divided_and_events_are_balanced():
    _, time, event, groups = cohort()
    plan = plan_survival(time, event, groups)
    for train, test in plan.folds:
        assert not set(groups[train]) & set(groups[test])
        assert event[test].mean() == pytest.approx(event.mean(), abs=0.06)


def test_test_samples_do_not_reach_the_fit():
    z, time, event, groups = cohort(100)
    plan = plan_survival(time, event, groups)
    train, test = plan.folds[0]
    one = plan._replace(folds=[(train, test)])
    before = survival_scores(one, z, choices=(5,))
    moved = z.copy()
    moved[test] = moved[test] * 3 + 1  # a shift and a stretch: the order of risks stays
    assert survival_scores(one, moved, choices=(5,)) == before


def test_clinical_covariates_stand_alone_and_beside():
    z, time, event, groups = cohort(200)
    clinical = pd.DataFrame({"age": z[:, 0], "sex": np.where(np.arange(200) % 3, "f", "m")})
    plan = plan_survival(time, event, groups)
    alone, both = survival_scores(plan, None, clinical), survival_scores(plan, z[:, 1:], clinical)
    assert mean(alone) > 0.75
    assert mean(both) > 0.7 > mean(survival_scores(plan, z[:, 1:]))
    assert set(alone[0]) == {"uno_c", "harrell_c"}
    assert both[0]["components"] <= 11


def test_covariates_are_those_of_the_training_samples():
    train = pd.DataFrame({"age": [40.0, 60.0], "stage": ["I", "II"]})
    test = pd.DataFrame({"age": [np.nan, 1.0], "stage": ["III", None]})
    assert clinical_covariates(train)(test).tolist() == [[50.0, 0.0], [1.0, 0.0]]
    with pytest.raises(InputError, match="values of clinical column 'age'"):
        clinical_covariates(pd.DataFrame({"age": [np.nan]}))


def test_as_many_components_as_help():
    z, time, event, groups = cohort(300)
    buried = np.concatenate([3 * np.random.default_rng(1).normal(size=(300, 7)), z], axis=1)
    scores = fit_components(buried, 50, scale=False).scores
    seen = outcome(time, event)
    assert choose_count(scores, seen, groups, (5, 15)) == 15
    assert choose_count(scores[:, :3], seen, groups) == 3


@pytest.mark.parametrize(
    ("events", "said"), [(np.zeros(200), "found 0 among"), (np.arange(200) < 6, "found 3 among")]
)
def test_too_few_events_are_told(events: np.ndarray, said: str):
    _, time, _, groups = cohort()
    with pytest.raises(InputError, match=said):
        plan_survival(time, events, groups)
