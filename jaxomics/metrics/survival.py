"""How well predicted risks and survival curves agree with censored times.

Harrell et al., "Evaluating the yield of medical tests", JAMA 1982; Uno et al., "On the
C-statistics for evaluating overall adequacy of risk prediction procedures with censored survival
data", Statistics in Medicine 2011; Graf et al., "Assessment and comparison of prognostic
classification schemes for survival data", Statistics in Medicine 1999.

With event d_i at time t_i, risk r_i, and G the probability of not yet being censored:

    C_Harrell = P(r_i > r_j | t_i < t_j, d_i)         equal risks count one half
    C_Uno     = the same, each pair weighted by 1 / G(t_i)^2, up to a horizon tau
    BS(t)     = mean of  S_i(t)^2 [t_i <= t, d_i] / G(t_i)  +  (1 - S_i(t))^2 [t_i > t] / G(t)
    IBS       = integral of BS over the times, divided by their span

G is the Kaplan-Meier estimate from the training samples. Everything is float64.
"""

from typing import NamedTuple

import numpy as np

from jaxomics.errors import InputError


class Outcome(NamedTuple):
    """Survival of some samples; build it with `outcome`, which checks.

    Attributes:
      time: [n], above 0, to the event or to the last observation.
      event: bool [n], False = right-censored.
    """

    time: np.ndarray
    event: np.ndarray


class Concordance(NamedTuple):
    """Agreement of risks with the order of events.

    Attributes:
      value: share of the pairs that are in order; NaN without a pair.
      weight: how many pairs there are, or the sum of their weights.
    """

    value: float
    weight: float


def outcome(time: np.ndarray, event: np.ndarray) -> Outcome:
    """Return checked survival data.

    Raises:
      InputError: a time that is not a number above 0, or an event that is neither 0 nor 1.
    """
    time, event = np.asarray(time, np.float64), np.asarray(event, np.float64)
    bad = time[~(np.isfinite(time) & (time > 0))]
    if len(bad):
        raise InputError(
            f"expected survival times above 0, found {bad[0]:g} in {len(bad)} of {len(time)} "
            "samples; leave these samples out or correct their times"
        )
    strange = event[~np.isin(event, (0.0, 1.0))]
    if len(strange):
        raise InputError(f"expected events of 0 or 1, found {strange[0]:g}; recode the column")
    return Outcome(time, event.astype(bool))


def harrell_c(test: Outcome, risk: np.ndarray, strata: np.ndarray | None = None) -> Concordance:
    """Return Harrell's C: of two samples, does the one with the earlier event have more risk?

    A pair counts if the earlier time is an event, or if times are equal and one is an event.

    Args:
      test: n samples.
      risk: [n], larger = earlier events.
      strata: [n], compare only samples of equal value; all by default.

    >>> harrell_c(outcome([1, 2, 3], [1, 0, 1]), np.array([3.0, 1.0, 2.0])).value
    1.0
    """
    return _concordance(test, risk, np.ones(len(test.time)), strata)


def uno_c(
    train: Outcome,
    test: Outcome,
    risk: np.ndarray,
    tau: float | None = None,
    *,
    before: bool = False,
) -> Concordance:
    """Return Uno's C, which unlike Harrell's does not depend on how much is censored.

    Args:
      train: samples whose censoring is estimated.
      test: n samples.
      risk: [n], larger = earlier events.
      tau: pairs whose earlier time is below count; by default all.
      before: take G just before t, and count pairs with a time of tau, as R's `survival` does
        (`timewt = "n/G2"`); by default G at t, and times below tau, as scikit-survival does.

    Raises:
      InputError: an event of the test samples later than any training sample was followed.
    """
    last = np.inf if tau is None else tau
    counted = test.time <= last if before else test.time < last
    free = uncensored(train, test.time, before=before)
    if np.any(free[test.event & counted] <= 0):
        raise InputError(
            "expected test events within the follow-up of the training samples, found a later "
            f"one; give tau below {train.time.max():g}"
        )
    weight = np.zeros(len(free))
    np.divide(1.0, free**2, out=weight, where=counted & (free > 0))
    return _concordance(test, risk, weight, None)


def uncensored(train: Outcome, times: np.ndarray, *, before: bool = False) -> np.ndarray:
    """Return the Kaplan-Meier probability of not being censored up to some times, inclusive.

    Of equal times, events come before censoring. With `before`, up to just before the times.

    >>> uncensored(outcome([1, 2, 3, 4], [1, 0, 1, 0]), np.array([1.0, 2.0, 3.5, 4.0])).round(3)
    array([1.   , 0.667, 0.667, 0.   ])
    """
    points = np.unique(train.time)
    order = np.sort(train.time)
    events = np.sort(train.time[train.event])
    at_risk = len(order) - np.searchsorted(order, points)
    died = np.searchsorted(events, points, "right") - np.searchsorted(events, points)
    left = np.searchsorted(order, points, "right") - np.searchsorted(order, points) - died
    # Where everyone at risk has the event nobody is left to be censored.
    steps = np.cumprod(1.0 - left / np.maximum(at_risk - died, 1))
    place = np.searchsorted(points, times, "left" if before else "right")
    return np.concatenate([[1.0], steps])[place]


def brier_score(
    train: Outcome, test: Outcome, survival: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """Return the Brier score at some times, [times].

    Args:
      train: samples whose censoring is estimated.
      test: n samples.
      survival: [n, times], predicted probability of surviving each time.
      times: ascending.

    Raises:
      InputError: times beyond the follow-up of the training samples.
    """
    free = uncensored(train, times)
    own = uncensored(train, test.time)
    if np.any(free <= 0):
        raise InputError(
            "expected times within the follow-up of the training samples, found "
            f"{times[free <= 0][0]:g}, when all are censored; take earlier times"
        )
    late = test.time[:, None] > times[None]
    dead = ~late & test.event[:, None]
    case = np.where(dead, survival**2 / np.where(own > 0, own, 1.0)[:, None], 0.0)
    control = np.where(late, (1.0 - survival) ** 2 / free[None], 0.0)
    return np.mean(case + control, axis=0)


def integrated_brier(
    train: Outcome, test: Outcome, survival: np.ndarray, times: np.ndarray
) -> float:
    """Return the Brier score averaged over time by the trapezoid rule; arguments as above.

    Raises:
      InputError: fewer than two times, or times that do not ascend.
    """
    if len(times) < 2 or np.any(np.diff(times) <= 0):
        raise InputError(f"expected two or more ascending times, found {len(times)}")
    score = brier_score(train, test, survival, times)
    return float(np.trapezoid(score, times) / (times[-1] - times[0]))


def curve_at(edges: np.ndarray, survival: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Return survival curves at other times, [n, times].

    Linear between edges and from 1 at time 0, constant beyond the last edge.

    Args:
      edges: [T], ascending, above 0.
      survival: [n, T], probability of surviving each edge.
      times: where to read the curves.

    >>> curve_at(np.array([2.0]), np.array([[0.5]]), np.array([1.0, 3.0]))
    array([[0.75, 0.5 ]])
    """
    start = np.concatenate([[0.0], edges])
    return np.stack([np.interp(times, start, np.concatenate([[1.0], row])) for row in survival])


def common_times(train: Outcome, test: Outcome, count: int = 100) -> np.ndarray:
    """Return times at which a Brier score is safe: between the 10 and 90 % test quantiles.

    Never beyond the last time at which a training sample was still followed.

    Args:
      train, test: as for `brier_score`.
      count: how many times.
    """
    low, high = np.quantile(test.time, (0.1, 0.9))
    known = np.unique(train.time)
    last = known[uncensored(train, known) > 0][-1]
    return np.linspace(low, min(high, last), count)


def _concordance(
    test: Outcome, risk: np.ndarray, weight: np.ndarray, strata: np.ndarray | None
) -> Concordance:
    """Return the weighted share of concordant pairs; a pair has the weight of its earlier event."""
    risk, right, total = np.asarray(risk, np.float64), 0.0, 0.0
    for i in np.flatnonzero(test.event & (weight > 0)):
        later = (test.time > test.time[i]) | ((test.time == test.time[i]) & ~test.event)
        if strata is not None:
            later &= strata == strata[i]
        difference = risk[i] - risk[later]
        right += weight[i] * float(np.sum(difference > 0) + 0.5 * np.sum(difference == 0))
        total += weight[i] * float(np.sum(later))
    return Concordance(float(right / total) if total else float("nan"), float(total))
