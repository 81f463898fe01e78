"""Moderated t statistics against numbers of limma 3.54."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, ttest_ind

from jaxomics.errors import InputError
from jaxomics.metrics.differential import (
    differential_features,
    differential_scores,
    moderated_t,
    noise_floor,
)


def table(values) -> pd.DataFrame:
    rows = pd.Index([f"s{i}" for i in range(len(values))])
    return pd.DataFrame(values, rows).add_prefix("g")


def test_two_groups_equal_limma():
    variance = np.array([0.05, 0.4, 1.2, 0.09, 2.5, 0.3])
    change = np.array([1.5, -1.2, 0.4, 1.05, -2.0, 0.1])
    t, p, prior = moderated_t(change, variance, 10, np.sqrt(2 / 6))
    assert prior.degrees == pytest.approx(1.75950046, abs=5e-9)
    assert prior.variance == pytest.approx(0.195151544, abs=5e-10)
    expected = [9.70146781, -3.41997503, 0.67623586, 5.59299338, -2.35967876, 0.32483506]
    np.testing.assert_allclose(t, expected, atol=5e-9)
    expected = [5.85446e-07, 0.00522046, 0.511972, 0.000126583, 0.0364673, 0.751012]
    np.testing.assert_allclose(p, expected, rtol=2e-6)
    expected = [3.51268e-06, 0.0104409, 0.614366, 0.000379749, 0.0547010, 0.751012]
    np.testing.assert_allclose(false_discovery_control(p), expected, rtol=2e-6)


def test_pairs_with_equal_variances_equal_limma():
    variance = [0.0384, 0.0936, 0.08769667, 0.02884, 0.14829667, 0.10278667, 0.05453667, 0.08165667]
    change = np.array([1.57, -1.33, 0.16166667, 0, 0, 0, 0, 0])
    t, p, prior = moderated_t(change, np.array(variance), 5, 1 / np.sqrt(6))
    assert np.isinf(prior.degrees)
    assert prior.variance == pytest.approx(0.07947667, abs=5e-9)
    np.testing.assert_allclose(t[:3], [13.64129, -11.55600, 1.40468], atol=5e-6)
    assert p[2] == pytest.approx(0.167836, abs=5e-7)  # at 40 degrees of freedom


def test_tables_are_matched_and_compared():
    random = np.random.default_rng(0)
    spread = np.exp(random.normal(size=40))
    x = table(random.normal(size=(30, 40)) * spread)
    y = x.mean() + 0.5 * (x - x.mean())
    y.iloc[:, :4] += 5 * spread[:4]
    found = differential_features(x, y.sample(frac=1, random_state=0)).set_index("feature")
    assert list(found.index[found["called"]]) == ["g0", "g1", "g2", "g3"]
    np.testing.assert_allclose(found["variance_ratio"], 0.25)
    np.testing.assert_allclose(found["pearson"], 1.0)
    plain = ttest_ind(y, x)
    assert np.corrcoef(found["t"], plain.statistic)[0, 1] > 0.99
    scores = differential_scores(x, y, floor=2)
    assert scores["differential_features"] == 4
    assert scores["differential_ratio"] == 2
    assert np.isnan(differential_scores(x, y, floor=0)["differential_ratio"])
    assert differential_scores(x, x)["differential_features"] == 0
    paired = differential_features(x, y, paired=True)
    assert paired["called"].sum() == 4


def test_the_floor_counts_what_differs_between_halves():
    random = np.random.default_rng(0)
    many = table(random.poisson(400, size=(10, 60)))
    assert noise_floor(many) == 0
    assert noise_floor(many, seed=1) == 0
    with pytest.raises(InputError, match="expected counts"):
        noise_floor(many + 0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.iloc[:2], "found 2 and 5"),
        (lambda t: t.add_prefix("x"), "found 9 and 0"),
        (lambda t: t.mask(t > 1), "expected finite cells"),
    ],
)
def test_tables_that_cannot_be_compared(change, said: str):
    x = table(np.random.default_rng(0).normal(size=(9, 5)))
    with pytest.raises(InputError, match=said):
        differential_features(x, change(x))
