import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jaxomics.errors import InputError
from jaxomics.metrics.independent import agree_with_independent, rank_mismatches


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Completed, independent and measured values of 60 samples and 25 features."""
    random = np.random.default_rng(0)
    names = pd.Index([f"s{i:02d}" for i in range(60)])
    truth = pd.DataFrame(random.normal(size=(60, 25)), names).add(np.arange(25) * 10.0)
    independent = truth + 0.3 * random.normal(size=truth.shape)
    noise = np.where(np.arange(60) < 40, 0.3, 1.5)[:, None]  # 20 samples are filled
    completed = truth + noise * random.normal(size=truth.shape)
    return completed, independent.iloc[:, :20], truth.iloc[:40]


def test_in_sample_agrees_better_than_out_of_sample(tables):
    found = agree_with_independent(*tables)
    groups = found.samples.groupby("group")["r"]
    welch = stats.ttest_ind(
        groups.get_group("in_sample"), groups.get_group("out_of_sample"), equal_var=False
    )
    assert found.p == pytest.approx(welch.pvalue)
    assert found.p < 1e-6
    assert found.difference == pytest.approx(groups.mean()["in_sample"] - groups.mean().iloc[1])
    assert list(found.summary["samples"]) == [40, 20]


def test_without_standardisation_features_make_the_correlation(tables):
    raw = agree_with_independent(*tables, standardise=False)
    assert raw.samples["r"].min() > 0.99
    completed, independent, _ = tables
    line = raw.samples.loc["s03", "r"]
    assert line == pytest.approx(
        np.corrcoef(completed.loc["s03", range(20)], independent.loc["s03"])[0, 1]
    )


def test_fifteen_pairs_are_too_few(tables):
    completed, independent, measured = tables
    fewer = independent.copy()
    fewer.iloc[0, 15:], fewer.iloc[1, 16:] = np.nan, np.nan
    found = agree_with_independent(completed, fewer, measured)
    assert np.isnan(found.samples.loc["s00", "r"])
    assert np.isfinite(found.samples.loc["s01", "r"])
    with pytest.raises(InputError, match="0 common samples"):
        agree_with_independent(completed, independent.add_prefix("x").set_axis(range(60)), measured)


def test_mismatches_come_by_squared_error(tables):
    completed, _, measured = tables
    wrong = completed.copy()
    wrong.loc["s07", 3] += 20.0
    found = rank_mismatches(measured, wrong, top=5)
    assert tuple(found.loc[0, ["sample", "feature"]]) == ("s07", 3)
    assert len(found) == 5
    assert found["squared_error"].is_monotonic_decreasing
    assert found.loc[0, "z"] < -5
    assert len(rank_mismatches(measured, wrong)) == 40 * 25
    with pytest.raises(InputError, match="none in common"):
        rank_mismatches(measured.mask(measured == measured), wrong)
    with pytest.raises(InputError, match="impute --full"):
        rank_mismatches(measured, measured)
