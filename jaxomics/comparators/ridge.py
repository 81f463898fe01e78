"""Ridge regression of each view on the principal components of the others.

The honest linear rival in the prediction of one view from the rest: a view never sees itself.
Predictors are the scores of the other views' standardised, zero-filled features on their first
components, so an absent view pulls a sample towards the mean. Each target feature is fitted on
the samples that have it, and takes the penalty with the smallest leave-one-out error, which one
singular value decomposition gives for all penalties and targets (Golub, Heath and Wahba 1979).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.extmath import randomized_svd

from jaxomics.comparators.base import Capabilities, Layout, Method, State, column_patterns


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
      components: principal components of the other views.
      penalties: number of penalties tried.
      reach: they span this factor below and above the mean squared singular value.
    """

    components: int = 100
    penalties: int = 13
    reach: float = 1e3


def learn(rows: np.ndarray, layout: Layout, config: Config, seed: int) -> State:
    """Fit every view on the others.

    Returns:
      For each view: `basis/VIEW` [other features, components], `weights/VIEW`
      [components, features], `intercept/VIEW` [features]; and `bounds/VIEW`, its first and last
      column.
    """
    filled = np.nan_to_num(rows)
    state: State = {}
    for view, columns in layout.slices.items():
        basis = _components(np.delete(filled, columns, axis=1), config.components, seed)
        scores = np.delete(filled, columns, axis=1) @ basis
        weights, intercept = ridge_by_feature(scores, rows[:, columns], config)
        state[f"bounds/{view}"] = np.array([columns.start, columns.stop])
        state[f"basis/{view}"] = basis
        state[f"weights/{view}"] = weights
        state[f"intercept/{view}"] = intercept
    return state


def complete(state: State, rows: np.ndarray) -> np.ndarray:
    """Predict every view from the other views; its own values are not used."""
    filled = np.nan_to_num(rows)
    out = np.zeros_like(filled)
    for name, bounds in state.items():
        kind, view = name.split("/", 1)
        if kind == "bounds":
            columns = slice(*bounds)
            scores = np.delete(filled, columns, axis=1) @ state[f"basis/{view}"]
            out[:, columns] = scores @ state[f"weights/{view}"] + state[f"intercept/{view}"]
    return out


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
    weights = np.zeros((scores.shape[1], targets.shape[1]))
    intercept = np.zeros(targets.shape[1])
    for measured, features in column_patterns(~np.isnan(targets)):
        y = targets[np.ix_(measured, features)]
        if not len(y):
            continue
        x = scores[measured]
        x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
        if len(y) > 2 and x.shape[1]:
            weights[:, features] = _ridge(x - x_mean, y - y_mean, config)
        intercept[features] = y_mean - x_mean @ weights[:, features]
    return weights, intercept


def _ridge(x: np.ndarray, y: np.ndarray, config: Config) -> np.ndarray:
    """Return ridge weights [components, features] of centred data, by leave-one-out error.

    With x = U S V', the fit is U D U' y with D = S^2 / (S^2 + penalty), the residual without
    sample i is the residual divided by 1 - h_i, and h_i = 1/n + sum_k U_ik^2 D_k.
    """
    square, vectors = np.linalg.eigh(x.T @ x)  # a tenth of the time of a decomposition of x
    kept = square > 1e-12 * max(square[-1], 1e-300)
    s, vt = np.sqrt(square[kept]), vectors[:, kept].T
    u = (x @ vt.T) / s
    if not len(s):
        return np.zeros((x.shape[1], y.shape[1]))
    path = np.mean(s**2) * np.geomspace(1 / config.reach, config.reach, config.penalties)
    projected = u.T @ y
    shrinkage = s**2 / (s**2 + path[:, None])
    errors = [_left_out(u, projected, y, shrink) for shrink in shrinkage]
    chosen = shrinkage[np.argmin(errors, axis=0)]
    return vt.T @ (chosen.T * projected / s[:, None])


def _left_out(
    u: np.ndarray, projected: np.ndarray, y: np.ndarray, shrink: np.ndarray
) -> np.ndarray:
    """Return the mean squared leave-one-out residual of each target, [features]."""
    leverage = 1 / len(y) + (u**2) @ shrink
    residual = y - u @ (shrink[:, None] * projected)
    return ((residual / np.maximum(1 - leverage, 1e-9)[:, None]) ** 2).mean(axis=0)


def _components(filled: np.ndarray, components: int, seed: int) -> np.ndarray:
    """Return the leading right singular vectors, [features, components]; none of no features."""
    rank = min(components, *filled.shape)
    if rank == 0:
        return np.zeros((filled.shape[1], 0))
    return randomized_svd(filled, rank, random_state=seed)[2].T


METHOD = Method(
    name="ridge",
    paper="Hoerl and Kennard 1970, Technometrics 12:55; leave-one-out after Golub et al. 1979",
    capabilities=Capabilities(latent=False),
    config=Config(),
    learn=learn,
    complete=complete,
)
"""Ridge regression of each view on the others."""
