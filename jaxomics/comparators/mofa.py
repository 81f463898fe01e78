"""MOFA: factors shared by all views, with weights that are switched off per view and feature.

Argelaguet et al. 2018, Molecular Systems Biology 14:e8124 (MOFA), and 2020, Genome Biology 21:111
(MOFA+). A reimplementation, checked on the results of mofapy2 0.7.5 (tests/parity); the equations
stand in `mofa_updates`. Factors that explain less than a share of the variance of every view are
dropped, one per iteration.

A new sample is placed by the posterior mean of its factors given the weights. Views of zeros and
ones are logistic, without an intercept, as in the published software; their estimates are
probabilities, near one half where a sample's other views say little, however rare the ones are.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.utils.extmath import randomized_svd

from jaxomics.comparators.base import Capabilities, Layout, Method, State, column_patterns
from jaxomics.comparators.mofa_updates import (
    BLOCK,
    Beliefs,
    Cells,
    Spans,
    cell_weights,
    explained,
    first_beliefs,
    local_precision,
    renew,
)
from jaxomics.errors import unknown
from jaxomics.types import Array

TOLERANCE = {"fast": 5e-4, "medium": 5e-5, "slow": 5e-6}
"""Change of the bound, in per cent of the first one, that counts as none."""

CALM = 3
"""So many changes in a row that count as none end the training."""

WORTH_COMPILING = 4
"""With more blocks of factors than this, a program for half of them is worth its compilation."""

_ROUNDS = 10
"""Times that weights of binary cells and factors of new samples are renewed in turn."""


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
      factors: at the start; at most as many as samples and features allow.
      convergence: fast, medium or slow, as in the published software; Cai et al. 2024 took slow.
      drop: a factor goes once it explains less than this share of the variance of every view.
      scale_views: divide each view by the standard deviation of all its cells; else features
        keep the unit variance that all comparators give them.
      logistic: treat views of zeros and ones as such.
      max_iterations: most passes over all factors.
      precision: float64, or float32 with less memory, whose rounding hides slow convergence.
    """

    factors: int = 100
    convergence: Literal["fast", "medium", "slow"] = "medium"
    drop: float = 1e-4
    scale_views: bool = True
    logistic: bool = True
    max_iterations: int = 1000
    precision: Literal["double", "single"] = "double"


class Trace(NamedTuple):
    """How far a training has come.

    Attributes:
      bounds: [max_iterations], NaN where not reached.
      iteration: how many are done.
      calm: how many of the last changes count as none.
    """

    bounds: Array
    iteration: Array
    calm: Array


def learn(rows: np.ndarray, layout: Layout, config: Config, seed: int) -> State:
    """Fit by variational inference.

    Returns:
      `w` and `w_variance` [features, factors], noise precision `tau` [features], `unit` and
      `centre` [features], which take standard units to those of the model, `binary` [features],
      `explained` [views, factors] and the `bounds` of all iterations. Factors are sorted by the
      variance that they explain.
    """
    if config.convergence not in TOLERANCE:
        raise unknown("convergence", config.convergence, TOLERANCE)
    units = _units(rows, layout, config)
    with _precision(config) as dtype:
        cells, binary = _cells(rows, layout, units, dtype)
        q = first_beliefs(cells, jnp.asarray(_start(cells, config.factors, seed), dtype))
        trace = Trace(
            jnp.full(config.max_iterations, jnp.nan, dtype), jnp.asarray(0), jnp.asarray(0)
        )
        finished = False
        while not finished:
            q, trace = _train(cells, q, trace, binary, TOLERANCE[config.convergence], config.drop)
            finished = bool(trace.calm >= CALM) or int(trace.iteration) == config.max_iterations
            q = _compact(q)
        shares = explained(cells, q, cell_weights(cells, q, binary))
        order = np.argsort(-np.asarray(shares.sum(axis=0)), kind="stable")
        order = order[np.asarray(q.active)[order] > 0]
        bounds = np.asarray(trace.bounds, np.float64)
        return {
            "w": np.asarray(q.w, np.float64)[:, order],
            "w_variance": np.asarray(q.w_square - q.w**2, np.float64)[:, order],
            "tau": np.asarray(q.tau, np.float64),
            "explained": np.asarray(shares, np.float64)[:, order],
            "bounds": bounds[np.isfinite(bounds)],
            **units,
        }


@contextmanager
def _precision(config: Config) -> Iterator[type]:
    """Compute in the precision asked for, and tell its type."""
    double = config.precision == "double"
    with jax.enable_x64(True) if double else nullcontext():
        yield np.float64 if double else np.float32


def _units(rows: np.ndarray, layout: Layout, config: Config) -> State:
    """Return what takes standardised columns to the model's: value * unit + centre, [features]."""
    unit, centre = np.ones(rows.shape[1]), np.zeros(rows.shape[1])
    binary = np.zeros(rows.shape[1], bool)
    for columns in layout.slices.values():
        original = rows[:, columns] * layout.scale[columns] + layout.centre[columns]
        known = original[~np.isnan(original)]
        if config.logistic and len(known) and np.isin(np.round(known, 6), (0.0, 1.0)).all():
            binary[columns] = True
            unit[columns], centre[columns] = layout.scale[columns], layout.centre[columns]
        elif config.scale_views and len(known):
            spread = np.nanstd(rows[:, columns] * layout.scale[columns])
            unit[columns] = layout.scale[columns] / (spread or 1.0)
    return {"unit": unit, "centre": centre, "binary": binary}


def _cells(rows: np.ndarray, layout: Layout, units: State, dtype: type) -> tuple[Cells, Spans]:
    """Return the data as the updates read them, and the columns of binary views."""
    observed = ~np.isnan(rows)
    own = rows * units["unit"] + units["centre"] - np.where(units["binary"], 0.5, 0.0)
    views = np.zeros((len(layout.slices), rows.shape[1]))
    for i, columns in enumerate(layout.slices.values()):
        views[i, columns] = 1.0
    binary = tuple((c.start, c.stop) for c in layout.slices.values() if units["binary"][c].any())
    target = np.where(observed, own, 0.0)
    return Cells(*(jnp.asarray(part, dtype) for part in (target, observed, views))), binary


def _start(cells: Cells, factors: int, seed: int) -> np.ndarray:
    """Return principal components of unit variance, [n, factors], zeros up to whole blocks."""
    target = np.asarray(cells.target)
    count = max(1, min(factors, len(target) - 1, target.shape[1]))
    u, _, _ = randomized_svd(target, count, random_state=seed)
    return np.pad(u * np.sqrt(len(target)), ((0, 0), (0, -count % BLOCK)))


@partial(jax.jit, static_argnames=("binary",))
def _train(
    cells: Cells,
    q: Beliefs,
    trace: Trace,
    binary: Spans,
    tolerance: float,
    drop: float,
) -> tuple[Beliefs, Trace]:
    """Iterate until the bound is calm, or half of the blocks would do for the factors left."""
    blocks = q.z.shape[1] // BLOCK
    enough = blocks // 2 * BLOCK if blocks > WORTH_COMPILING else 0

    def unfinished(carry: tuple[Beliefs, Trace]) -> Array:
        q, trace = carry
        full = jnp.sum(q.active) > enough
        return (trace.calm < CALM) & (trace.iteration < len(trace.bounds)) & full

    def iterate(carry: tuple[Beliefs, Trace]) -> tuple[Beliefs, Trace]:
        q, trace = carry
        q, bound = renew(cells, q, binary)
        shares = explained(cells, q, cell_weights(cells, q, binary))
        q, dropped = _dropped(q, shares, drop)
        i = trace.iteration
        change = 100.0 * jnp.abs((bound - trace.bounds[i - 1]) / trace.bounds[0])
        calm = (i > 0) & (change < tolerance) & ~dropped
        bounds = trace.bounds.at[i].set(bound)
        return q, Trace(bounds, i + 1, jnp.where(calm, trace.calm + 1, 0))

    return jax.lax.while_loop(unfinished, iterate, (q, trace))


def _dropped(q: Beliefs, shares: Array, least: float) -> tuple[Beliefs, Array]:
    """Return beliefs without the weakest factor, if it is too weak and not the last; and whether.

    Args:
      q: beliefs.
      shares: explained variance, [views, factors].
      least: a factor needs this in some view.
    """
    best = jnp.where(q.active > 0, jnp.max(shares, axis=0), jnp.inf)
    weakest = jnp.argmin(best)
    drop = (best[weakest] < least) & (jnp.sum(q.active) > 1)
    keep = jnp.where(drop & (jnp.arange(len(best)) == weakest), 0.0, 1.0)
    return _masked(q, q.active * keep), drop


def _masked(q: Beliefs, active: Array) -> Beliefs:
    """Return beliefs in which factors that are not active say nothing."""
    row = active[None]
    return q._replace(z=q.z * row, w=q.w * row, w_square=q.w_square * row, active=active)


def _compact(q: Beliefs) -> Beliefs:
    """Return beliefs with the active factors first, in as few blocks as hold them."""
    active = np.asarray(q.active) > 0
    size = -(-int(active.sum()) // BLOCK) * BLOCK
    order = np.argsort(~active, kind="stable")[:size]
    return Beliefs(
        **{
            name: part if name in ("tau", "tau_rate") else part[..., order]
            for name, part in q._asdict().items()
        }
    )


def embed(state: State, rows: np.ndarray) -> np.ndarray:
    """Place samples: posterior means of their factors given the weights, [samples, factors]."""
    observed = ~np.isnan(rows)
    binary = state["binary"]
    own = rows * state["unit"] + state["centre"] - np.where(binary, 0.5, 0.0)
    own = np.where(observed, own, 0.0)
    factors = state["w"].shape[1]
    gaussian = np.where(binary, 0.0, state["tau"])
    precision = np.tile(np.eye(factors), (len(rows), 1, 1))
    for measured, features in column_patterns(observed & ~binary):
        precision[measured] += _normal(state, features, gaussian[features])
    right = (own * np.where(binary, 1.0, gaussian)) @ state["w"]
    if not binary.any():
        return np.linalg.solve(precision, right[..., None])[..., 0]
    return _embed_binary(state, observed[:, binary], precision, right)


def complete(state: State, rows: np.ndarray) -> np.ndarray:
    """Return the estimate of every cell in standard units; probabilities in binary views."""
    values = embed(state, rows) @ state["w"].T
    values = np.where(state["binary"], 1.0 / (1.0 + np.exp(-values)), values)
    return (values - state["centre"]) / state["unit"]


def tables(state: State, layout: Layout) -> dict[str, dict[str, Any]]:
    """Return the share of each view's variance that each factor explains, and the bound."""
    shares = state["explained"]
    views, factors = shares.shape
    return {
        "explained": {
            "view": np.repeat(list(layout.slices), factors),
            "dimension": [f"z{k}" for k in range(factors)] * views,
            "share": shares.ravel(),
        },
        "bound": {"iteration": np.arange(len(state["bounds"])) + 1, "bound": state["bounds"]},
    }


def _normal(state: State, features: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """Return the sum over features of precision <w w'>, [factors, factors]."""
    w = state["w"][features]
    spread = np.diag(precision @ state["w_variance"][features])
    return (w * precision[:, None]).T @ w + spread


def _embed_binary(
    state: State, observed: np.ndarray, precision: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Place samples with binary cells, whose precisions depend on where the sample is."""
    w, spread = state["w"][state["binary"]], state["w_variance"][state["binary"]]
    factors = w.shape[1]
    products = (w[:, :, None] * w[:, None, :]).reshape(len(w), -1)
    products[:, :: factors + 1] += spread
    z = np.zeros_like(right)
    covariance = np.broadcast_to(np.eye(factors), precision.shape)
    for _ in range(_ROUNDS):
        second = covariance + z[:, :, None] * z[:, None, :]
        xi = np.sqrt(np.maximum(second.reshape(len(z), -1) @ products.T, 0.0))
        weight = observed * 2.0 * np.asarray(local_precision(jnp.asarray(xi)), np.float64)
        whole = precision + (weight @ products).reshape(precision.shape)
        covariance = np.linalg.inv(whole)
        z = np.einsum("nij,nj->ni", covariance, right)
    return z


METHOD = Method(
    name="mofa",
    paper="Argelaguet et al. 2020, Genome Biology 21:111 (reimplementation)",
    capabilities=Capabilities(latent=True, transform=True),
    config=Config(),
    learn=learn,
    complete=complete,
    embed=embed,
    published=Config(convergence="slow"),
    weights="w",
    tables=tables,
)
"""MOFA."""
