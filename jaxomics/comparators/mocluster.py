"""moCluster: components on which all views agree (consensus principal components).

Meng et al. 2016, Journal of Proteome Research 15:755. A reimplementation, checked on the identity
with the singular value decomposition. Each view, centred, is divided by its largest singular
value, so that no view rules by its size. A component is found by alternating

    p_b = X_b' t / |X_b' t|,   t_b = X_b p_b,   w = (t_b' t)_b / |...|,   t = sum_b w_b t_b

and taken out of all views, X_b <- X_b - t t' X_b / t't. Without sparsity this is the singular value
decomposition of the concatenated views. With it, p_b keeps its largest entries only, by a soft
threshold. The published software clusters the components; their estimate of the cells, t p', is
offered here besides.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from jaxomics.comparators.base import Capabilities, Layout, Method, State
from jaxomics.comparators.pca import leading
from jaxomics.comparators.threshold import soft_keep
from jaxomics.errors import InputError, unknown

_ROUNDS, _CALM = 500, 1e-10
"""Most rounds of a sparse component, and the squared change of t at which it is found."""

WEIGHTINGS = ("first", "inertia", "none")


@dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of Cai et al. 2024.

    Attributes:
      components: how many; at most as many as samples and features allow.
      weighting: what a view is divided by: its `first` singular value, the root of its `inertia`
        (the sum of its squares), or `none`.
      keep: features of each view that a component uses; 0 = all.
    """

    components: int = 200
    weighting: Literal["first", "inertia", "none"] = "first"
    keep: int = 0


def learn(rows: np.ndarray, layout: Layout, config: Config, seed: int) -> State:
    """Find the components.

    Returns:
      `unit` [features], which takes standard units to weighted ones, `projection`
      [features, components], which takes rows to scores, and `loadings` [features, components],
      which takes them back.
    """
    if config.weighting not in WEIGHTINGS:
        raise unknown("weighting", config.weighting, WEIGHTINGS)
    if config.keep < 0:
        raise InputError(f"expected keep of 0 (all features) or more, found {config.keep}")
    unit = _unit(np.nan_to_num(rows) * layout.scale, layout, config.weighting)
    weighted = np.nan_to_num(rows) * unit
    if not config.keep:
        _, _, loadings = leading(weighted, config.components)
        return {"unit": unit, "projection": loadings, "loadings": loadings}
    directions, loadings = _sparse(weighted, layout, config)
    projection = directions @ np.linalg.pinv(loadings.T @ directions)
    return {"unit": unit, "projection": projection, "loadings": loadings}


def embed(state: State, rows: np.ndarray) -> np.ndarray:
    """Return the scores t [samples, components]; unmeasured cells count as their mean."""
    return (np.nan_to_num(rows) * state["unit"]) @ state["projection"]


def complete(state: State, rows: np.ndarray) -> np.ndarray:
    """Return t p' in standard units."""
    return embed(state, rows) @ state["loadings"].T / state["unit"]


def _unit(centred: np.ndarray, layout: Layout, weighting: str) -> np.ndarray:
    """Return [features]: the scale of each feature over the size of its view."""
    unit = layout.scale.copy()
    for columns in layout.slices.values():
        view = centred[:, columns]
        if weighting == "first":
            size = leading(view, 1)[1][0]
        else:
            size = np.sqrt((view**2).sum()) if weighting == "inertia" else 1.0
        unit[columns] /= size or 1.0
    return unit


def _sparse(weighted: np.ndarray, layout: Layout, config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Return directions, with `keep` features of each view, and loadings, one column each."""
    rest = weighted.copy()
    directions, loadings = [], []
    for _ in range(max(1, min(config.components, *weighted.shape))):
        t = leading(rest, 1)[0][:, 0]
        direction, t = _component(rest, layout, t, config.keep)
        if t @ t <= 1e-20 * (weighted**2).sum():
            break
        loading = rest.T @ t / (t @ t)
        rest -= np.outer(t, loading)
        directions.append(direction)
        loadings.append(loading)
    return np.stack(directions, axis=1), np.stack(loadings, axis=1)


def _component(
    rest: np.ndarray, layout: Layout, t: np.ndarray, keep: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the direction [features] and the score [samples] of one sparse component."""
    direction = np.zeros(rest.shape[1])
    for _ in range(_ROUNDS):
        parts, weights = [], []
        for columns in layout.slices.values():
            p = soft_keep(rest[:, columns].T @ t, keep)
            parts.append(p / (np.linalg.norm(p) or 1.0))
            weights.append((rest[:, columns] @ parts[-1]) @ t)
        weights = np.array(weights) / (np.linalg.norm(weights) or 1.0)
        direction = np.concatenate([w * p for w, p in zip(weights, parts, strict=True)])
        new = rest @ direction
        size = np.linalg.norm(new) or 1.0
        change = ((new / size - t / (np.linalg.norm(t) or 1.0)) ** 2).sum()
        t = new
        if change < _CALM:
            break
    return direction, t


METHOD = Method(
    name="mocluster",
    paper="Meng et al. 2016, J. Proteome Res. 15:755 (reimplementation)",
    capabilities=Capabilities(latent=True, transform=True),
    config=Config(),
    learn=learn,
    complete=complete,
    embed=embed,
    weights="loadings",
)
"""moCluster."""
