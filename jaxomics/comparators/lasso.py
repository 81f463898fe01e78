"""LASSO regression of each view on the others (Tibshirani 1996), thousands of targets at once.

All targets share one penalty, as in Zhang and Guo 2021; predictors and targets are standardised,
so it weighs alike on each. It is chosen on held-out training samples, along a path that falls
from the penalty at which all weights vanish; then all samples are fitted. A reimplementation,
checked on scikit-learn.
"""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from jaxomics.comparators.base import State
from jaxomics.comparators.descent import Solution, largest_alpha, lasso, lasso_path
from jaxomics.comparators.regression import Directed, Regression, as_method


@dataclass(frozen=True)
class Config(Directed):
    """Settings.

    Attributes:
      targets: views to predict, from all the others; None = every view from the rest.
      alpha: the penalty, in units of standardised targets; None chooses it.
      penalties: length of the path on which it is chosen.
      depth: the path ends at its beginning divided by this.
      held_out: share of the samples that choose.
      tolerance: duality gap of each target as a share of its variance.
      double: compute in float64 in place of float32.
    """

    alpha: float | None = None
    penalties: int = 12
    depth: float = 50.0
    held_out: float = 0.2
    tolerance: float = 1e-4
    double: bool = False


def learn(x: np.ndarray, y: np.ndarray, config: Config, seed: int) -> State:
    """Fit all targets.

    Returns:
      The weights [targets, predictors] as the three arrays of a compressed sparse row matrix:
      `data`, `indices`, `indptr`; `intercept` [targets]; the penalty `alpha`; `gap` [targets];
      and the tried `path` with its `errors`, mean squared over held-out cells.
    """
    start, errors = None, np.zeros(0)
    path = np.geomspace(1, 1 / config.depth, config.penalties) * max(largest_alpha(x, y), 1e-6)
    alpha = config.alpha
    if alpha is None:
        best, errors = _choose(x, y, path, config, np.random.default_rng(seed))
        alpha, start = best.alpha, best.weights
    own = {"tolerance": config.tolerance, "double": config.double}
    fit = lasso(x, y, alpha, start=start, **own)
    return {
        "data": fit.weights.data,
        "indices": fit.weights.indices,
        "indptr": fit.weights.indptr,
        "intercept": fit.intercept,
        "gap": fit.gap,
        "alpha": np.array(alpha),
        "path": path[: len(errors)],
        "errors": errors,
    }


def predict(state: State, x: np.ndarray) -> np.ndarray:
    """Predict the targets from predictors [samples, predictors]."""
    shape = len(state["intercept"]), x.shape[1]
    weights = csr_array((state["data"], state["indices"], state["indptr"]), shape)
    return (weights @ x.T).T + state["intercept"]


def _choose(
    x: np.ndarray, y: np.ndarray, path: np.ndarray, config: Config, random: np.random.Generator
) -> tuple[Solution, np.ndarray]:
    """Go down the path until the held-out error has risen twice.

    Returns:
      The best fit, and the mean squared errors over held-out cells along the path.
    """
    out = random.permutation(len(x)) < config.held_out * len(x)
    out &= len(x) > 2  # else the first penalty will do: there is nothing to learn
    errors: list[float] = []
    best = None
    for fit in lasso_path(x[~out], y[~out], path, tolerance=config.tolerance, double=config.double):
        squares = (fit.predict(x[out]) - y[out]) ** 2
        errors.append(float(np.nansum(squares) / max(np.isfinite(squares).sum(), 1)))
        if best is None or errors[-1] < min(errors[:-1]):
            best = fit
        if len(errors) > 2 and errors[-1] > errors[-2] > errors[-3]:
            break
    assert best is not None, "a path has penalties"
    return best, np.array(errors)


METHOD = as_method(
    name="lasso",
    paper="Tibshirani 1996, JRSS B 58:267; solver after Massias et al. 2018",
    config=Config(),
    regression=Regression(learn, predict),
)
"""LASSO regression of each view on the others."""
