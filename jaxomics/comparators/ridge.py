"""Ridge regression of each view on the others, or on their principal components.

The honest linear rival in the prediction of one view from the rest: a view never sees itself.
Predictors are standardised, zero-filled features, so an absent view pulls a sample towards the
mean; by default their scores on the first components. Each target feature is fitted on the
samples that have it, and takes the penalty with the smallest leave-one-out error, which one
singular value decomposition gives for all penalties and targets (Golub, Heath and Wahba 1979). A
reimplementation, checked on scikit-learn.
"""

from dataclasses import dataclass
from functools import partial

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
from jaxomics.comparators.spectrum import spectrum


@dataclass(frozen=True)
class Config(Directed):
    """Settings.

    Attributes:
      targets: views to predict, from all the others; None = every view from the rest.
      components: principal components of the predictors that are used; None = all predictors.
      penalties: number of penalties tried.
      reach: they span this factor below and above the mean squared singular value.
      shared: one penalty for all targets in place of one for each.
    """

    components: int | None = 100
    penalties: int = 13
    reach: float = 1e3
    shared: bool = False


def learn(x: np.ndarray, y: np.ndarray, config: Config, seed: int) -> State:
    """Fit all targets; see `on_components` for what is returned."""
    return on_components(x, config.components, seed, lambda x: ridge_by_feature(x, y, config))


def ridge_by_feature(
    scores: np.ndarray, targets: np.ndarray, config: Config
) -> tuple[np.ndarray, np.ndarray]:
    """Regress every target feature on the scores, over the samples that have it.

    Args:
      scores: [samples, components], finite.
      targets: [samples, features], NaN = not measured.
      config: the path of penalties.

    Returns:
      Weights [components, features] and intercept [features]; features with fewer than three
      values get their mean.
    """
    return by_pattern(scores, targets, partial(_ridge, config=config))


def _ridge(x: np.ndarray, y: np.ndarray, config: Config) -> np.ndarray:
    """Return ridge weights [components, features] of centred data, by leave-one-out error.

    With x = U S V', the fit is U D U' y with D = S^2 / (S^2 + penalty), the residual without
    sample i is the residual divided by 1 - h_i, and h_i = 1/n + sum_k U_ik^2 D_k.
    """
    parts = spectrum(x)
    if not len(parts.s):
        return np.zeros((x.shape[1], y.shape[1]))
    square = parts.s**2
    path = np.mean(square) * np.geomspace(1 / config.reach, config.reach, config.penalties)
    projected = parts.u.T @ y
    errors = np.array([_left_out(parts.u, projected, y, square / (square + p)) for p in path])
    if config.shared:
        errors = np.broadcast_to(errors.mean(axis=1, keepdims=True), errors.shape)
    return parts.weights(y, path[errors.argmin(axis=0)])


def _left_out(
    u: np.ndarray, projected: np.ndarray, y: np.ndarray, shrink: np.ndarray
) -> np.ndarray:
    """Return the mean squared leave-one-out residual of each target, [features]."""
    leverage = 1 / len(y) + (u**2) @ shrink
    residual = y - u @ (shrink[:, None] * projected)
    return ((residual / np.maximum(1 - leverage, 1e-9)[:, None]) ** 2).mean(axis=0)


METHOD = as_method(
    name="ridge",
    paper="Hoerl and Kennard 1970, Technometrics 12:55; leave-one-out after Golub et al. 1979",
    config=Config(),
    regression=Regression(learn, linear_prediction),
)
"""Ridge regression of each view on the others."""
