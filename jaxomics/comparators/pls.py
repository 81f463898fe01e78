"""Partial least squares of each view on the principal components of the others.

Wold et al. 1984: k factors of the predictors that vary most with a target; the regression on them
lies in the space of b, Ab, ..., A^(k-1) b with A = X'X and b = X'y, so that it is what k steps of
conjugate gradients find (Manne 1987). All targets go these steps together. A reimplementation,
checked on scikit-learn. How many factors a target takes is chosen by cross-validation, from none
on; a view never sees itself.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from jaxomics.comparators.base import State
from jaxomics.comparators.regression import (
    Directed,
    Regression,
    as_method,
    by_pattern,
    linear_prediction,
    on_components,
)
from jaxomics.errors import InputError


@dataclass(frozen=True)
class Config(Directed):
    """Settings.

    Attributes:
      targets: views to predict, from all the others; None = every view from the rest.
      components: principal components of the predictors that are used; None = all predictors.
      factors: the most factors that a target may take.
      inner_folds: of the cross-validation that chooses their number.
    """

    components: int | None = 100
    factors: int = 10
    inner_folds: int = 5


def learn(x: np.ndarray, y: np.ndarray, config: Config, seed: int) -> State:
    """Fit all targets; see `on_components` for what is returned."""
    if config.factors < 1 or config.inner_folds < 2:
        found = f"{config.factors} and {config.inner_folds}"
        raise InputError(f"expected 1 factor and 2 inner folds or more, found {found}")

    def solve(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return _chosen(x, y, config, np.random.default_rng(seed))

    return on_components(x, config.components, seed, lambda x: by_pattern(x, y, solve))


def factor_weights(x: np.ndarray, y: np.ndarray, factors: int) -> Iterator[np.ndarray]:
    """Yield the weights [predictors, targets] with 0, 1, ..., `factors` factors.

    Args:
      x: [samples, predictors], centred.
      y: [samples, targets], centred; each target has factors of its own.
      factors: the last number.
    """
    square, residual = x.T @ x, x.T @ y
    weights, step = np.zeros_like(residual), residual
    yield weights
    size = (residual**2).sum(axis=0)
    least = 1e-24 * np.maximum(size, 1e-300)  # where nothing is left to explain
    for _ in range(factors):
        moved = square @ step
        steep = (step * moved).sum(axis=0)
        rate = np.divide(size, steep, out=np.zeros_like(size), where=(steep > 0) & (size > least))
        weights = weights + rate * step
        residual = residual - rate * moved
        new = (residual**2).sum(axis=0)
        step = residual + np.divide(new, size, out=np.zeros_like(size), where=size > least) * step
        size = new
        yield weights


def _chosen(
    x: np.ndarray, y: np.ndarray, config: Config, random: np.random.Generator
) -> np.ndarray:
    """Return weights [predictors, targets] with the number of factors of least error."""
    folds = min(config.inner_folds, len(x))
    fold = random.permutation(len(x)) % folds
    errors = np.zeros((config.factors + 1, y.shape[1]))
    for number in range(folds):
        out = fold == number
        x_mean, y_mean = x[~out].mean(axis=0), y[~out].mean(axis=0)
        path = factor_weights(x[~out] - x_mean, y[~out] - y_mean, config.factors)
        for count, weights in enumerate(path):
            error = y[out] - y_mean - (x[out] - x_mean) @ weights
            errors[count] += (error**2).sum(axis=0)
    best = errors.argmin(axis=0)
    chosen = np.zeros((x.shape[1], y.shape[1]))
    for count, weights in enumerate(factor_weights(x, y, config.factors)):
        chosen[:, best == count] = weights[:, best == count]
    return chosen


METHOD = as_method(
    name="pls",
    paper="Wold et al. 1984, SIAM J. Sci. Stat. Comput. 5:735 (reimplementation)",
    config=Config(),
    regression=Regression(learn, linear_prediction),
)
"""Partial least squares of each view on the others."""
