"""softImpute: the matrix of low nuclear norm that fits the measured cells.

Mazumder, Hastie and Tibshirani 2010 minimise, over matrices M,

    1/2 ||P(Y - M)||^2 + penalty * ||M||_*          (P keeps the measured cells).

With M = A B' of sufficient rank the nuclear norm is the smallest value of
(||A||^2 + ||B||^2) / 2, and alternating ridge regressions on the filled matrix lower the
objective at every step (Hastie, Mazumder, Lee and Zadeh 2015): three matrix products a step in
place of a singular value decomposition. The penalty is chosen by hiding measured cells and whole
views of samples, from small to large with warm starts.

A new sample is placed by the same ridge regression on its measured cells with B held fixed; a
training sample that takes this way ends where training left it. A reimplementation, checked on the
soft-thresholded singular value decomposition.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.utils.extmath import randomized_svd

from jaxomics.comparators.base import Capabilities, Layout, Method, State, column_patterns
from jaxomics.types import Array

_BLOCK = 512
"""Samples placed at once; bounds the memory of their normal matrices."""


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
      rank: largest rank of the estimate.
      penalties: length of the path of penalties.
      depth: the path begins at the largest singular value divided by this.
      hide: what is hidden to choose the penalty: cells, whole views of samples, or both.
      hidden_share: share of cells, and of views of samples, that are hidden.
      tolerance: relative change of the objective at which the final fit ends; on the path of
        penalties ten times that will do.
      max_steps: largest number of steps for one penalty.
    """

    rank: int = 100
    penalties: int = 10
    depth: float = 50.0
    hide: Literal["cells", "blocks", "both"] = "both"
    hidden_share: float = 0.1
    tolerance: float = 1e-5
    max_steps: int = 100


class Factors(NamedTuple):
    """The estimate is `rows @ columns.T`: [samples, rank] and [features, rank]."""

    rows: Array
    columns: Array


def learn(rows: np.ndarray, layout: Layout, config: Config, seed: int) -> State:
    """Choose the penalty on hidden cells, then fit to all measured cells.

    Returns:
      `columns` [features, rank], the singular vectors times the root of their values; the chosen
      `penalty`; and the tried `path` with its hidden mean squared `errors`.
    """
    random = np.random.default_rng(seed)
    observed = ~np.isnan(rows)
    hidden = hide(observed, layout, config.hide, config.hidden_share, random)
    start, path = _start(rows, observed & ~hidden, config, seed)
    factors, penalty, errors = _choose(rows, observed & ~hidden, hidden, start, path, config)
    factors, _, _ = converge(
        *_cells(rows, observed), factors, penalty, config.tolerance, config.max_steps
    )
    return {
        "columns": _balanced_columns(factors),
        "penalty": np.array(penalty),
        "path": path[: len(errors)],
        "errors": np.array(errors),
    }


def improve(
    values: Array, observed: Array, factors: Factors, penalty: Array | float
) -> tuple[Factors, Array]:
    """Take one alternating step.

    Args:
      values: [samples, features], 0 where not measured.
      observed: [samples, features], 1 where measured, else 0.
      factors: the current estimate.
      penalty: weight of the nuclear norm.

    Returns:
      New factors, whose objective is not larger, and the objective of the old ones.
    """
    a, b = factors
    residual = observed * (values - a @ b.T)
    objective = 0.5 * (residual**2).sum() + 0.5 * penalty * ((a**2).sum() + (b**2).sum())
    ridge = penalty * jnp.eye(a.shape[1], dtype=a.dtype)
    gram = b.T @ b
    new_a = jnp.linalg.solve(gram + ridge, (a @ gram + residual @ b).T).T
    target = b @ (a.T @ new_a) + residual.T @ new_a
    new_b = jnp.linalg.solve(new_a.T @ new_a + ridge, target.T).T
    return Factors(new_a, new_b), objective


@partial(jax.jit, static_argnames=("max_steps",))
def converge(
    values: Array,
    observed: Array,
    factors: Factors,
    penalty: Array | float,
    tolerance: float,
    max_steps: int,
) -> tuple[Factors, Array, Array]:
    """Repeat `improve` until the objective changes by less than `tolerance` of itself.

    Returns:
      The factors, the last objective seen, and the number of steps.
    """

    def unfinished(carry):
        _, new, old, step = carry
        settled = (step >= 2) & (old - new <= tolerance * new)
        return (step < max_steps) & ~settled

    def advance(carry):
        factors, new, _, step = carry
        factors, objective = improve(values, observed, factors, penalty)
        return factors, objective, new, step + 1

    infinite = jnp.asarray(jnp.inf, values.dtype)
    first = (factors, infinite, infinite, jnp.asarray(0))
    factors, objective, _, steps = jax.lax.while_loop(unfinished, advance, first)
    return factors, objective, steps


def hide(
    observed: np.ndarray, layout: Layout, what: str, share: float, random: np.random.Generator
) -> np.ndarray:
    """Draw measured cells to hide, bool [samples, features].

    `blocks` hides all cells of a sample in a view; a sample keeps at least one of its views.
    """
    hidden = np.zeros_like(observed)
    if what in ("cells", "both"):
        hidden |= random.random(observed.shape) < share
    if what in ("blocks", "both"):
        present = np.stack([observed[:, c].any(axis=1) for c in layout.slices.values()], axis=1)
        draw = np.where(present, random.random(present.shape), 0.0)
        lost = present & (draw < share) & (draw < draw.max(axis=1, keepdims=True))
        for view, columns in enumerate(layout.slices.values()):
            hidden[:, columns] |= lost[:, [view]]
    return hidden & observed


def embed(state: State, rows: np.ndarray) -> np.ndarray:
    """Place samples by ridge regression of their measured cells on the column factors."""
    blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    placed = [_place(state["columns"], float(state["penalty"]), block) for block in blocks]
    return np.concatenate(placed)


def complete(state: State, rows: np.ndarray) -> np.ndarray:
    """Return the low-rank estimate of every cell."""
    return embed(state, rows) @ state["columns"].T


def tables(state: State, layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the penalties that were tried, with their mean squared errors on hidden cells."""
    chosen = state["path"] == state["penalty"]
    return {"path": {"penalty": state["path"], "error": state["errors"], "chosen": chosen}}


def _place(columns: np.ndarray, penalty: float, rows: np.ndarray) -> np.ndarray:
    """Return ridge coefficients [rows, rank] on the measured cells of each row.

    The normal matrix of a row is a sum over features; features measured in the same rows are
    summed once.
    """
    observed = ~np.isnan(rows)
    rank = columns.shape[1]
    normal = np.tile(penalty * np.eye(rank), (len(rows), 1, 1))
    for measured, features in column_patterns(observed):
        normal[measured] += columns[features].T @ columns[features]
    right = np.where(observed, rows, 0.0) @ columns
    return np.linalg.solve(normal, right[..., None])[..., 0]


def _cells(rows: np.ndarray, observed: np.ndarray) -> tuple[Array, Array]:
    """Return values (0 where not used) and mask as float32 device arrays."""
    return jnp.asarray(np.where(observed, rows, 0), jnp.float32), jnp.asarray(observed, jnp.float32)


def _start(
    rows: np.ndarray, observed: np.ndarray, config: Config, seed: int
) -> tuple[Factors, np.ndarray]:
    """Return factors of the zero-filled matrix and the path of penalties, rising."""
    filled = np.where(observed, rows, 0)
    rank = min(config.rank, *rows.shape)
    u, s, vt = randomized_svd(filled, rank, random_state=seed)
    path = np.geomspace(s[0] / config.depth, s[0], config.penalties + 1)[:-1]
    root = np.sqrt(s)
    return Factors(jnp.asarray(u * root, jnp.float32), jnp.asarray(vt.T * root, jnp.float32)), path


def _choose(
    rows: np.ndarray,
    visible: np.ndarray,
    hidden: np.ndarray,
    factors: Factors,
    path: np.ndarray,
    config: Config,
) -> tuple[Factors, float, list[float]]:
    """Climb the path until the hidden error has risen twice; return the best point."""
    values, observed = _cells(rows, visible)
    sought = np.nonzero(hidden)
    best, chosen, errors = factors, float(path[0]), []
    for penalty in path:
        factors, _, _ = converge(
            values, observed, factors, float(penalty), 10 * config.tolerance, config.max_steps
        )
        estimate = np.asarray(factors.rows @ factors.columns.T)
        errors.append(float(np.mean((rows[sought] - estimate[sought]) ** 2)) if hidden.any() else 0)
        if errors[-1] <= min(errors):
            best, chosen = factors, float(penalty)
        if len(errors) > 2 and errors[-1] > errors[-2] > errors[-3]:
            break
    return best, chosen, errors


def _balanced_columns(factors: Factors) -> np.ndarray:
    """Return V sqrt(S) of the singular value decomposition U S V' of the estimate."""
    q, columns_r = np.linalg.qr(np.asarray(factors.columns, np.float64))
    _, rows_r = np.linalg.qr(np.asarray(factors.rows, np.float64))
    _, s, vt = np.linalg.svd(rows_r @ columns_r.T)
    kept = max(1, int((s > 1e-4 * s[0]).sum()))
    return (q @ vt.T * np.sqrt(s))[:, :kept]


METHOD = Method(
    name="softimpute",
    paper="Mazumder et al. 2010, JMLR 11:2287; Hastie et al. 2015, JMLR 16:3367",
    capabilities=Capabilities(latent=True, transform=True),
    config=Config(),
    learn=learn,
    complete=complete,
    embed=embed,
    weights="columns",
    tables=tables,
)
"""softImpute."""
