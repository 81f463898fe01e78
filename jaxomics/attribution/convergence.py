"""Has it converged: errors of attributions against the nodes and draws that they were given.

Both functions are studies of one sample, from which to choose numbers of nodes and draws for all.
They run on the host and compile f once per number of nodes or draws, for all rules and estimators;
further samples, parameters and backgrounds of the same shapes use the compiled programs again.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution import quadrature
from jaxomics.attribution.inputs import (
    Function,
    Tree,
    check_background,
    check_baseline,
    check_count,
    check_sample,
)
from jaxomics.attribution.path import (
    Attribution,
    expected_gradients_at,
    integrated_gradients_at,
)
from jaxomics.attribution.quadrature import RULES
from jaxomics.errors import unknown
from jaxomics.types import Array, Key, Params

Columns: TypeAlias = dict[str, np.ndarray]
"""A tidy table, such as `pandas.DataFrame` takes it."""

ESTIMATORS = {
    "plain": (False, False),
    "antithetic": (False, True),
    "stratified": (True, False),
    "stratified, antithetic": (True, True),
}
"""Variance reductions of expected gradients: (stratified, antithetic)."""


def gap_by_steps(
    f: Function,
    params: Params,
    x: Tree,
    baseline: Tree,
    *,
    steps: Sequence[int] = (2, 4, 8, 16, 32, 64, 128),
    rules: Sequence[str] = RULES,
) -> Columns:
    """Return the completeness gap of integrated gradients for rules and numbers of nodes.

    Args:
      f: one output of one sample; the same object for all samples, so that it is compiled once.
      params: parameters of f, a pytree of arrays.
      x: sample.
      baseline: like x.
      steps: numbers of nodes.
      rules: of `quadrature.nodes`.

    Returns:
      Columns `rule`, `n_steps`, `gap`, and `share`, |gap| over the output's change.

    Raises:
      InputError: as `integrated_gradients`.
    """
    x = check_sample(f, params, x)
    baseline = check_baseline(x, baseline)
    rows = []
    for rule in rules:
        for n in steps:
            found = _along(f, params, x, baseline, *quadrature.nodes(rule, n))
            gap, change = float(found.gap), float(found.output - found.baseline_output)
            rows.append((rule, n, gap, abs(gap / change) if change else np.nan))
    return _columns(("rule", "n_steps", "gap", "share"), rows)


def error_by_draws(
    f: Function,
    params: Params,
    x: Tree,
    background: Tree,
    *,
    key: Key,
    draws: Sequence[int] = (16, 32, 64, 128, 256),
    repeats: int = 16,
    estimators: Sequence[str] = tuple(ESTIMATORS),
) -> Columns:
    """Return the error of expected gradients for estimators and numbers of draws.

    Args:
      f: one output of one sample; the same object for all samples, so that it is compiled once.
      params: parameters of f, a pytree of arrays.
      x: sample.
      background: like x with a leading axis.
      key: of all draws.
      draws: numbers of draws, even.
      repeats: estimates with independent draws; their scatter is the error.
      estimators: names in `ESTIMATORS`.

    Returns:
      Columns `estimator`, `n_draws`; `error`, the root mean square distance of an estimate from
      the mean of the repeats; `stderr`, what estimates say of themselves, in the same norm; and
      `gap`, the root mean square completeness gap. All in units of the output.

    Raises:
      InputError: as `expected_gradients`; an unknown estimator; fewer than 2 repeats.
    """
    check_count("repeats", repeats, 2)
    x = check_sample(f, params, x)
    background, size = check_background(x, background)
    keys, rows = jax.random.split(key, repeats), []
    for name in estimators:
        if name not in ESTIMATORS:
            raise unknown("estimator", name, ESTIMATORS)
        for n in draws:
            group = quadrature.groups_of_draws(n, antithetic=ESTIMATORS[name][1])
            drawn = _drawn(keys, n, size, *ESTIMATORS[name])
            found = _at_draws(f, params, x, background, *drawn, tuple(group.tolist()))
            spread = jax.tree.map(lambda leaf: jnp.var(leaf, axis=0, ddof=1), found.values)
            error = _root_sum(spread)
            claimed = _root_sum(jax.tree.map(lambda leaf: jnp.mean(leaf**2, axis=0), found.stderr))
            rows.append((name, n, error, claimed, float(jnp.sqrt(jnp.mean(found.gap**2)))))
    return _columns(("estimator", "n_draws", "error", "stderr", "gap"), rows)


@partial(jax.jit, static_argnames="f")
def _along(
    f: Function, params: Params, x: Tree, baseline: Tree, t: Array, weight: Array
) -> Attribution:
    """Return integrated gradients from nodes and weights."""
    return integrated_gradients_at(f, params, x, baseline, t, weight)


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _drawn(keys: Key, n: int, size: int, stratified: bool, antithetic: bool) -> tuple[Array, Array]:
    """Return rows and positions [repeats, n]."""
    return jax.vmap(
        lambda key: quadrature.draws(key, n, size, stratified=stratified, antithetic=antithetic)[:2]
    )(keys)


@partial(jax.jit, static_argnames=("f", "group"))
def _at_draws(
    f: Function,
    params: Params,
    x: Tree,
    background: Tree,
    rows: Array,
    t: Array,
    group: tuple[int, ...],
) -> Attribution:
    """Return expected gradients from each of several sets of draws, [repeats, n]."""

    def estimate(rows: Array, t: Array) -> Attribution:
        drawn = quadrature.Draws(rows, t, np.array(group))
        return expected_gradients_at(f, params, x, background, drawn)

    return jax.vmap(estimate)(rows, t)


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Return rows as named columns."""
    return {
        name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def _root_sum(squares: Tree) -> float:
    """Return the root of the sum over all features."""
    return float(jnp.sqrt(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(squares))))
