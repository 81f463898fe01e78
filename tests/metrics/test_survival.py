"""Concordance and Brier scores against numbers of lifelines 0.30 and scikit-survival 0.28."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.errors import InputError
from jaxomics.metrics.survival import (
    Outcome,
    brier_score,
    common_times,
    curve_at,
    harrell_c,
    integrated_brier,
    outcome,
    uncensored,
    uno_c,
)

TRAIN_TIMES = "21 9 15 7 2 6 8 3 2 12 12 13 4 23 16 22 7 2 6 7 23 2 3 10 5 8 13 2 19 2"
TRAIN_EVENTS = "1 1 1 1 0 1 1 0 1 0 1 1 0 1 1 1 1 0 1 0 1 0 1 0 1 1 0 0 0 1"
TRAIN = outcome(np.array(TRAIN_TIMES.split(), float), np.array(TRAIN_EVENTS.split(), float))
TEST = outcome(
    np.array([9, 5, 3, 15, 20, 10, 20, 3, 9, 20, 3, 20]),
    np.array([0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 1, 0]),
)
RISK = np.array([-1.2, -0.3, -0.0, -0.4, -0.1, 1.3, -0.5, -1.3, -1.8, -0.2, -0.4, 0.3])
TIMES = np.array([3.0, 5.0, 8.0, 12.0])
CURVES = np.exp(-np.outer(np.exp(RISK) / 15, TIMES))


def test_harrell_equals_other_software():
    found = harrell_c(TEST, RISK)
    assert found.value == pytest.approx(0.40384615384615385, abs=1e-12)
    assert found.weight == 26  # 10 in order, 15 not, 1 tied


def test_uno_equals_other_software():
    assert uno_c(TRAIN, TEST, RISK).value == pytest.approx(0.40814966473256176, abs=1e-12)
    assert uno_c(TRAIN, TEST, RISK, tau=10.0).value == pytest.approx(0.22795171336780676, abs=1e-12)


def test_both_conventions_of_uno():
    """R's survival::concordance(timewt = "n/G2", ymax = tau), and scikit-survival."""
    time = [5, 8, 8, 12, 3, 20, 15, 7, 9, 11, 2, 18]
    seen = outcome(np.array(time), np.array([1, 1, 0, 1, 1, 0, 1, 1, 0, 1, 1, 1]))
    risk = np.array([0.2, -0.5, 1.1, -1.3, 0.9, -2, -0.1, 0.7, 0.3, -0.8, 1.5, -0.6])
    assert harrell_c(seen, risk).value == pytest.approx(0.78181818, abs=5e-9)
    for tau, r, python in ((None, 0.75479876, 0.74789373), (15.0, 0.74712644, 0.72369066)):
        assert uno_c(seen, seen, risk, tau, before=True).value == pytest.approx(r, abs=5e-9)
        assert uno_c(seen, seen, risk, tau).value == pytest.approx(python, abs=5e-9)


def test_censoring_estimate_equals_other_software():
    found = uncensored(TRAIN, np.array([2.0, 5.0, 9.0, 14.0]))
    np.testing.assert_allclose(
        found, [0.8571428571428572, 0.7826086956521741, 0.7336956521739132, 0.5296365489130436]
    )


def test_brier_equals_other_software():
    np.testing.assert_allclose(
        brier_score(TRAIN, TEST, CURVES, TIMES),
        [0.121317322201927, 0.15442662631671136, 0.2164997265381572, 0.2947383873346314],
    )
    assert integrated_brier(TRAIN, TEST, CURVES, TIMES) == pytest.approx(0.20606774506072428)


def test_without_censoring_the_brier_score_is_a_squared_error():
    test = outcome(np.array([1.0, 3.0]), np.ones(2))
    curves = np.array([[0.2, 0.1], [0.9, 0.6]])
    found = brier_score(test, test, curves, np.array([1.5, 2.5]))
    np.testing.assert_allclose(found, [(0.2**2 + 0.1**2) / 2, (0.1**2 + 0.4**2) / 2])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(5, 30))
def test_concordance_counts_pairs(seed: int, n: int):
    rng = np.random.default_rng(seed)
    time, event = rng.integers(1, 8, n), rng.random(n) < 0.6
    risk, strata = rng.integers(0, 4, n).astype(float), rng.integers(0, 2, n)
    right = total = 0.0
    for i in range(n):
        for j in range(n):
            first = time[i] < time[j] or (time[i] == time[j] and not event[j])
            if i != j and event[i] and first and strata[i] == strata[j]:
                total += 1
                right += 1.0 * (risk[i] > risk[j]) + 0.5 * (risk[i] == risk[j])
    found = harrell_c(outcome(time, event), risk, strata)
    assert found.weight == total
    if total:
        assert found.value == pytest.approx(right / total)
        reverse = harrell_c(outcome(time, event), -risk, strata)
        assert reverse.value == pytest.approx(1 - found.value)


def test_uno_without_censoring_is_harrell():
    test = Outcome(TEST.time, np.ones(len(TEST.time), bool))
    assert uno_c(test, test, RISK).value == pytest.approx(harrell_c(test, RISK).value)


def test_no_pair_has_no_concordance():
    found = harrell_c(outcome(np.array([1, 2]), np.zeros(2)), np.zeros(2))
    assert np.isnan(found.value)
    assert found.weight == 0


def test_curves_are_read_between_edges():
    curves = curve_at(np.array([1.0, 3.0]), np.array([[0.8, 0.4]]), np.array([0.5, 2.0, 9.0]))
    np.testing.assert_allclose(curves, [[0.9, 0.6, 0.4]])


def test_common_times_stay_within_follow_up():
    times = common_times(TRAIN, TEST, 5)
    assert (uncensored(TRAIN, times) > 0).all()
    assert times[0] == 3.0
    short = outcome(np.array([2.0, 4.0, 5.0]), np.array([1, 1, 0]))
    assert common_times(short, TEST, 5)[-1] == 4.0


@pytest.mark.parametrize(
    ("time", "event", "said"),
    [
        ([0.0, 1.0], [1, 1], "times above 0, found 0 in 1 of 2"),
        ([-3.0, 1.0], [1, 1], "times above 0, found -3"),
        ([np.nan, 1.0], [1, 1], "times above 0, found nan"),
        ([1.0, 2.0], [1, 2], "events of 0 or 1, found 2"),
        ([1.0, 2.0], [1, np.nan], "events of 0 or 1, found nan"),
    ],
)
def test_unfit_outcomes_are_refused(time: list, event: list, said: str):
    with pytest.raises(InputError, match=said):
        outcome(np.array(time), np.array(event))


def test_times_beyond_follow_up_are_refused():
    short = outcome(np.array([2.0, 4.0, 5.0]), np.array([1, 1, 0]))
    with pytest.raises(InputError, match="within the follow-up"):
        brier_score(short, TEST, CURVES, TIMES + 4)
    with pytest.raises(InputError, match="give tau below 5"):
        uno_c(short, TEST, RISK)
    with pytest.raises(InputError, match="two or more ascending times"):
        integrated_brier(TRAIN, TEST, CURVES[:, :1], TIMES[:1])
