"""Has it converged: errors of attributions against the nodes and draws that they were given.

Both functions run on the host and compile once per row: they are studies of one sample, from which
to choose numbers of nodes and draws for all.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.inputs import (
    Function,
    Tree,
    check_background,
    check_count,
    check_sample,
)
from jaxomics.attribution.path import Attribution, expected_gradients, integrated_gradients
from jaxomics.attribution.quadrature import RULES
from jaxomics.errors import unknown
from jaxomics.types import Key, Params

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

    Returns:
      Columns `rule`, `n_steps`, `gap`, and `share`, |gap| over the output's change.

    Raises:
      InputError: as `integrated_gradients`.
    """
    rows = []
    for rule in rules:
        for n in steps:
            found = jax.jit(
                lambda params, x, n=n, rule=rule: integrated_gradients(
                    f, params, x, baseline, n_steps=n, rule=rule
                )
            )(params, x)
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
      f: one output of one sample.
      params: parameters of f.
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
    background, _ = check_background(x, background)
    keys, rows = jax.random.split(key, repeats), []

    def estimates(stratified: bool, antithetic: bool, n: int) -> Attribution:
        def estimate(one: Key) -> Attribution:
            return expected_gradients(
                f,
                params,
                x,
                background,
                key=one,
                n_draws=n,
                stratified=stratified,
                antithetic=antithetic,
            )

        return jax.jit(jax.vmap(estimate))(keys)

    for name in estimators:
        if name not in ESTIMATORS:
            raise unknown("estimator", name, ESTIMATORS)
        for n in draws:
            found = estimates(*ESTIMATORS[name], n)
            spread = jax.tree.map(lambda leaf: jnp.var(leaf, axis=0, ddof=1), found.values)
            error = _root_sum(spread)
            claimed = _root_sum(jax.tree.map(lambda leaf: jnp.mean(leaf**2, axis=0), found.stderr))
            rows.append((name, n, error, claimed, float(jnp.sqrt(jnp.mean(found.gap**2)))))
    return _columns(("estimator", "n_draws", "error", "stderr", "gap"), rows)


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Columns:
    """Return rows as named columns."""
    return {
        name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
    }


def _root_sum(squares: Tree) -> float:
    """Return the root of the sum over all features."""
    return float(jnp.sqrt(sum(jnp.sum(leaf) for leaf in jax.tree.leaves(squares))))
