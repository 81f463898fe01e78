import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxomics.errors import InputError
from jaxomics.metrics.comparison import compare_folds, compare_samples, holm, sample_errors


def errors(samples: int = 40, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    values = random.normal([0.0, 0.1, 2.0], size=(samples, 3))
    return pd.DataFrame(values, columns=["good", "near", "bad"])


def test_samples_are_ranked_and_tested_as_scipy_does():
    table = errors()
    found = compare_samples(table)
    assert list(found.ranks.index[-1:]) == ["bad"]
    assert found.ranks.sum() == pytest.approx(6.0)
    assert found.p == pytest.approx(stats.friedmanchisquare(*table.to_numpy().T).pvalue)
    pair = found.pairs.set_index(["a", "b"]).loc[("good", "bad")]
    assert pair["p"] == pytest.approx(stats.wilcoxon(table["good"], table["bad"]).pvalue)
    assert pair["difference"] == pytest.approx((table["good"] - table["bad"]).mean())
    assert pair["p_holm"] == pytest.approx(min(3 * pair["p"], 1.0))


def test_direction_turns_ranks_round():
    table = errors()
    assert compare_samples(table, higher=True).ranks.idxmin() == "bad"


def test_samples_without_a_score_are_left_out():
    table = errors()
    table.iloc[:10, 1] = np.nan
    assert compare_samples(table).n == 30
    with pytest.raises(InputError, match="6 or more common rows, found 3 methods and 5 rows"):
        compare_samples(table.iloc[:15])


def test_fold_test_in_closed_form():
    table = pd.DataFrame({"a": [0.5, 0.6, 0.4, 0.7, 0.3], "b": [0.6, 0.8, 0.5, 0.7, 0.5]})
    difference = (table["a"] - table["b"]).to_numpy()
    t = difference.mean() / np.sqrt((1 / 5 + 1 / 4) * difference.var(ddof=1))
    p = compare_folds(table, 0.2)["p"].iloc[0]
    assert p == pytest.approx(2 * stats.t.sf(abs(t), 4))
    assert p > stats.ttest_rel(table["a"], table["b"]).pvalue


def test_equal_methods_do_not_differ():
    table = pd.DataFrame({"a": np.arange(8.0), "b": np.arange(8.0), "c": np.arange(8.0)})
    assert compare_samples(table).p == 1.0
    assert set(compare_samples(table).pairs["p_holm"]) == {1.0}
    assert set(compare_folds(table, 0.2)["p"]) == {1.0}


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=8))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p):
    raw = np.array(p)
    corrected = holm(raw)
    assert np.all(corrected >= raw)
    assert np.all(corrected <= np.minimum(raw * len(raw), 1.0) + 1e-12)
    order = np.argsort(raw, kind="stable")
    assert np.all(np.diff(corrected[order]) >= 0)


def test_errors_of_samples_average_to_the_relative_error():
    random = np.random.default_rng(1)
    target, predicted = random.normal(size=(2, 30, 4))
    mean = target.mean(axis=0)
    relative = ((target - predicted) ** 2).mean(axis=0) / ((target - mean) ** 2).mean(axis=0)
    assert sample_errors(target, predicted, mean).mean() == pytest.approx(relative.mean())
    target[0] = np.nan
    assert np.isnan(sample_errors(target, predicted, mean)[0])
