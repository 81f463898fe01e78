"""Views predicted from other views by a regression: what all such methods share.

By default every view is regressed on all others, and a view never sees itself. A config with
`targets` makes a translator: these views are regressed on the rest, and the rest on nothing.
Predictors are standardised, and what is missing among them is 0, the training mean.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn.utils.extmath import randomized_svd

from jaxomics.comparators.base import Capabilities, Layout, Method, State, column_patterns
from jaxomics.errors import InputError, unknown


@dataclass(frozen=True)
class Directed:
    """Settings that all regressions have.

    Attributes:
      targets: views to predict, from all the others; None = every view from the rest.
    """

    targets: tuple[str, ...] | None = None


class Regression(NamedTuple):
    """A regression of a matrix on another.

    Attributes:
      learn: (x, y, config, seed) -> state; x [samples, predictors] finite, y [samples, targets]
        with NaN where not measured; every row has a value in both.
      predict: (state, x) -> [samples, targets], finite.
      units: of x and y: `standard`, or `original`, as the views were given.
    """

    learn: Callable[[np.ndarray, np.ndarray, Any, int], State]
    predict: Callable[[State, np.ndarray], np.ndarray]
    units: Literal["standard", "original"] = "standard"


def as_method(name: str, paper: str, config: Directed, regression: Regression) -> Method:
    """Return a regression as a comparator.

    Its state holds the regression's own, and the columns of target and predictors, by view. A
    view that no regression predicts is completed by its mean.
    """

    def learn(rows: np.ndarray, layout: Layout, config: Directed, seed: int) -> State:
        centre, scale = np.zeros(rows.shape[1]), np.ones(rows.shape[1])
        if regression.units == "original":
            centre, scale = layout.centre, layout.scale
        observed, filled = ~np.isnan(rows), np.nan_to_num(rows) * scale + centre
        state: State = {"centre": centre, "scale": scale}
        for view, inputs in _inputs(layout, config.targets).items():
            columns = layout.slices[view]
            paired = observed[:, inputs].any(axis=1) & observed[:, columns].any(axis=1)
            if not paired.any():
                _refuse(view, config.targets)
                continue
            x = filled[paired][:, inputs]
            y = np.where(observed, filled, np.nan)[paired, columns]
            state[f"bounds/{view}"] = np.array([columns.start, columns.stop])
            state[f"inputs/{view}"] = inputs
            learned = regression.learn(x, y, config, seed)
            state |= {f"own/{field}/{view}": value for field, value in learned.items()}
        return state

    def complete(state: State, rows: np.ndarray) -> np.ndarray:
        centre, scale = state["centre"], state["scale"]
        filled, out = np.nan_to_num(rows) * scale + centre, np.zeros(rows.shape)
        for name, bounds in state.items():
            kind, _, view = name.partition("/")
            if kind == "bounds":
                columns = slice(*bounds)
                found = regression.predict(
                    own_state(state, view), filled[:, state[f"inputs/{view}"]]
                )
                out[:, columns] = (found - centre[columns]) / scale[columns]
        return out

    return Method(name, paper, Capabilities(latent=False), config, learn, complete)


def by_pattern(
    x: np.ndarray,
    y: np.ndarray,
    solve: Callable[[np.ndarray, np.ndarray], np.ndarray],
    fewest: int = 3,
) -> tuple[np.ndarray, np.ndarray]:
    """Regress every target on the samples that have it, those with the same samples together.

    Args:
      x: [samples, predictors], finite.
      y: [samples, targets], NaN = not measured.
      solve: centred x and y without NaN -> weights [predictors, targets].
      fewest: targets with fewer values get their mean.

    Returns:
      Weights [predictors, targets] and intercept [targets].
    """
    weights, intercept = np.zeros((x.shape[1], y.shape[1])), np.zeros(y.shape[1])
    for measured, columns in column_patterns(~np.isnan(y)):
        own_x, own_y = x[measured], y[np.ix_(measured, columns)]
        if not len(own_y):
            continue
        x_mean, y_mean = own_x.mean(axis=0), own_y.mean(axis=0)
        if len(own_y) >= fewest and x.shape[1]:
            weights[:, columns] = solve(own_x - x_mean, own_y - y_mean)
        intercept[columns] = y_mean - x_mean @ weights[:, columns]
    return weights, intercept


def on_components(
    x: np.ndarray,
    components: int | None,
    seed: int,
    fit: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> State:
    """Fit a linear regression on principal components of the predictors.

    Args:
      x: [samples, predictors], finite.
      components: how many; None = all predictors as they are.
      seed: of the decomposition.
      fit: from [samples, components] to weights [components, targets] and intercept [targets].

    Returns:
      `weights`, `intercept`, and `basis` [predictors, components] unless all predictors are used.
    """
    if components is None:
        return dict(zip(("weights", "intercept"), fit(x), strict=True))
    basis = randomized_svd(x, min(components, *x.shape), random_state=seed)[2].T
    weights, intercept = fit(x @ basis)
    return {"basis": basis, "weights": weights, "intercept": intercept}


def linear_prediction(state: State, x: np.ndarray) -> np.ndarray:
    """Return x @ weights + intercept of a linear regression's state, on its basis if it has one."""
    scores = x @ state["basis"] if "basis" in state else x
    return scores @ state["weights"] + state["intercept"]


def _inputs(layout: Layout, targets: tuple[str, ...] | None) -> dict[str, np.ndarray]:
    """Return the columns that predict each view to be predicted.

    Raises:
      InputError: an unknown target, or all views are targets.
    """
    for view in targets or ():
        if view not in layout.slices:
            raise unknown("target view", view, layout.slices)
    if targets is not None and set(targets) == set(layout.slices):
        raise InputError("expected a view to predict from, found only targets; name a source")
    width = len(layout.centre)
    inputs = {}
    for view in targets or layout.slices:
        own = np.zeros(width, bool)
        for other in targets or (view,):
            own[layout.slices[other]] = True
        inputs[view] = np.flatnonzero(~own)
    return inputs


def _refuse(view: str, targets: tuple[str, ...] | None) -> None:
    """Raise if a view that was asked for by name has no sample to learn from."""
    if targets is not None:
        raise InputError(
            f"view {view!r}: expected samples measured in it and in a source, found none; give "
            "paired samples, or integrate unpaired ones with the model 'modis'"
        )


def own_state(state: State, view: str) -> State:
    """Return what the regression of one view has learned."""
    parts = ((name.split("/", 2), value) for name, value in state.items())
    return {part[1]: value for part, value in parts if part[0] == "own" and part[2] == view}
