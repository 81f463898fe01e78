"""Cox regression of survival on a few covariates, with tied times.

Cox, "Regression models and life-tables", JRSS B 1972; ties after Efron, JASA 1977, or Breslow,
Biometrics 1974. At an event time t with the set D of d events and the set R of samples at risk,

    log L = sum over i in D of x_i b - log( sum_R exp(x b) - f_l sum_D exp(x b) )
    f_l   = l / d, l = 0 ... d-1 (Efron)    or    0 (Breslow)

maximised by Newton's steps on standardised covariates, halved where they overshoot. With a ridge,
log L / n - ridge |b|^2 / 2 is maximised, b per standard deviation. All in float64.
"""

from typing import Literal, NamedTuple

import numpy as np

from jaxomics.metrics.survival import Outcome

STEPS = 30
"""Most Newton steps."""

RIDGE = 0.01
"""Penalty with which a fit is repeated that has no maximum without."""


class CoxFit(NamedTuple):
    """A fitted Cox regression; the risk of rows x is x @ coefficients.

    Attributes:
      coefficients: [covariates], log hazard ratios per unit.
      log_likelihood: partial log likelihood, without the penalty.
      converged: False where Newton's steps found no maximum.
      ridge: penalty that was used.
    """

    coefficients: np.ndarray
    log_likelihood: float
    converged: bool
    ridge: float


class _Sorted(NamedTuple):
    """Samples by ascending time, and the events among them.

    `first` is where each event's risk set begins, `share` its f, `tie` the number of its time.
    """

    x: np.ndarray
    event: np.ndarray
    first: np.ndarray
    share: np.ndarray
    tie: np.ndarray


def fit_cox(
    x: np.ndarray,
    seen: Outcome,
    ties: Literal["efron", "breslow"] = "efron",
    ridge: float = 0.0,
) -> CoxFit:
    """Maximise the partial likelihood.

    Args:
      x: [n, covariates], finite.
      seen: times and events of the n samples.
      ties: how events at one time share their risk set.
      ridge: penalty per sample and squared standardised coefficient.

    Returns:
      The fit; a covariate that does not vary has the coefficient 0. Without events all are 0.

    >>> from jaxomics.metrics.survival import outcome
    >>> seen = outcome(np.array([1.0, 2, 3, 4]), np.array([1, 1, 0, 1]))
    >>> fit_cox(np.array([[1.0], [0], [1], [0]]), seen).coefficients.round(4)
    array([0.3466])
    """
    x = np.asarray(x, np.float64)
    spread = x.std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(x).max(axis=0, initial=0.0), 1e-300)
    unit = np.where(varies, spread, 1.0)
    rows = _sort((x - x.mean(axis=0))[:, varies] / unit[varies], seen, ties)
    b, value, converged = _newton(rows, ridge * len(x))
    coefficients = np.zeros(x.shape[1])
    coefficients[varies] = b / unit[varies]
    return CoxFit(coefficients, value, converged, ridge)


def fit_cox_safely(x: np.ndarray, seen: Outcome) -> CoxFit:
    """Fit without a penalty, and with `RIDGE` where that has no maximum (Efron's ties)."""
    plain = fit_cox(x, seen)
    return plain if plain.converged else fit_cox(x, seen, ridge=RIDGE)


def _sort(x: np.ndarray, seen: Outcome, ties: str) -> _Sorted:
    """Return samples by time; of equal times, everyone is at risk together."""
    order = np.argsort(seen.time, kind="stable")
    time, event = seen.time[order], seen.event[order]
    at = time[event]
    _, tie, count = np.unique(at, return_inverse=True, return_counts=True)
    rank = np.arange(len(at)) - np.searchsorted(at, at)
    share = rank / count[tie] if ties == "efron" else np.zeros(len(at))
    return _Sorted(x[order], event, np.searchsorted(time, at), share, tie)


def _newton(rows: _Sorted, penalty: float) -> tuple[np.ndarray, float, bool]:
    """Return coefficients, log likelihood, and whether the steps came to rest."""
    b = np.zeros(rows.x.shape[1])
    value, slope, curve = _likelihood(rows, b)
    if not rows.event.any() or not len(b):
        return b, value, True
    own = penalty * np.eye(len(b))
    for _ in range(STEPS):
        gradient, information = slope - penalty * b, curve + own
        scale = np.trace(information) / len(b)
        if not np.linalg.eigvalsh(information)[0] > 1e-10 * scale:
            return b, value, False
        step = np.linalg.solve(information, gradient)
        if gradient @ step < 1e-18 * (1.0 + abs(value)):
            return b, value, True
        height, moved = float(value - penalty * (b @ b) / 2), b + step
        for _ in range(STEPS):
            value, slope, curve = _likelihood(rows, moved)
            if value - penalty * (moved @ moved) / 2 >= height - 1e-12 * (1.0 + abs(height)):
                break
            moved = (b + moved) / 2
        if not (np.isfinite(value) and np.isfinite(curve).all()):
            return b, height, False
        b = moved
    return b, value, False


def _likelihood(rows: _Sorted, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the log partial likelihood, its gradient, and its negative second derivative."""
    score = rows.x @ b
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return _terms(rows, b, score)


def _terms(rows: _Sorted, b: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Return `_likelihood`; not finite where a risk set has vanished beside the largest risk."""
    weight = np.exp(score - score.max(initial=-np.inf)) if len(score) else score
    own = rows.x[rows.event]
    if not len(own):
        return 0.0, np.zeros(len(b)), np.zeros((len(b), len(b)))
    weighted = weight[:, None] * rows.x
    tied = np.zeros(rows.tie.max() + 1)
    np.add.at(tied, rows.tie, weight[rows.event])
    tied_x = np.zeros((len(tied), len(b)))
    np.add.at(tied_x, rows.tie, weighted[rows.event])
    risk = np.cumsum(weight[::-1])[::-1][rows.first] - rows.share * tied[rows.tie]
    risk_x = np.cumsum(weighted[::-1], axis=0)[::-1][rows.first]
    mean = (risk_x - rows.share[:, None] * tied_x[rows.tie]) / risk[:, None]
    value = float(np.sum(score[rows.event] - score.max() - np.log(risk)))
    # How much of each sample's square stands in all risk sets together.
    stands = np.zeros(len(score))
    np.add.at(stands, rows.first, 1.0 / risk)
    stands = np.cumsum(stands)
    spared = np.zeros(len(tied))
    np.add.at(spared, rows.tie, rows.share / risk)
    stands[rows.event] -= spared[rows.tie]
    curve = rows.x.T @ (weighted * stands[:, None]) - mean.T @ mean
    return value, np.sum(own - mean, axis=0), curve
