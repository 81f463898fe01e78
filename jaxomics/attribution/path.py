"""Attributions by gradients: at the sample, around it, and along paths from where it could be.

Every function takes f(params, x), one output of one unbatched sample, and returns what each input
contributed. They are pure and can be jitted and vmapped over samples, keys and parameters.

Integrated gradients are complete: values sum to f(x) - f(baseline). Expected gradients are their
mean over a background of baselines, estimated by draws; Shapley values of Aumann's game, which is
what SHAP's GradientExplainer estimates, too. How far a sum is off is in every result.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.inputs import (
    Function,
    Tree,
    check_background,
    check_baseline,
    check_count,
    check_sample,
)
from jaxomics.attribution.quadrature import (
    Draws,
    draws,
    group_weights,
    grouped,
    mean_and_error,
    nodes,
    weighted_sums,
)
from jaxomics.types import Array, Key, Params

PANEL = 8
"""Gauss nodes per panel of the adaptive rule."""


class Attribution(NamedTuple):
    """What each input contributed to one output of one sample.

    Attributes:
      values: shaped like x, in units of the output; for `gradient` and `smooth_grad` per unit of
        the input.
      gap: completeness error, output - baseline_output - sum of values; NaN where a method has
        no baseline.
      stderr: standard error of values from the draws, shaped like them; None where nothing is
        drawn.
      output: f(params, x).
      baseline_output: f at the baseline, the mean over those drawn; NaN where there is none.
    """

    values: Tree
    gap: Array
    stderr: Tree | None
    output: Array
    baseline_output: Array


class Adaptive(NamedTuple):
    """Integrated gradients with as many nodes as it took.

    Attributes:
      attribution: of the last number of nodes tried.
      n_steps: nodes on the path, int; all tries together cost less than twice as many.
      converged: bool; is the gap within the tolerance?
    """

    attribution: Attribution
    n_steps: Array
    converged: Array


def attribution(
    values: Tree, output: Array, baseline_output: Array, stderr: Tree | None = None
) -> Attribution:
    """Return an attribution, its completeness gap computed."""
    total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(values))
    return Attribution(values, output - baseline_output - total, stderr, output, baseline_output)


def gradient(f: Function, params: Params, x: Tree) -> Attribution:
    """Return the gradient of f at x: how the output answers to a small change of each input.

    Raises:
      InputError: x is not floating or holds NaN, or f has more than one output.

    >>> gradient(lambda params, x: x @ x, None, jnp.array([1.0, 2.0])).values.tolist()
    [2.0, 4.0]
    """
    x = check_sample(f, params, x)
    output, values = jax.value_and_grad(f, argnums=1)(params, x)
    return attribution(values, output, jnp.full_like(output, jnp.nan))


def input_x_gradient(f: Function, params: Params, x: Tree) -> Attribution:
    """Return input times gradient, complete against a baseline of zeros only if f is affine.

    Raises:
      InputError: as `gradient`.
    """
    x = check_sample(f, params, x)
    output, slope = jax.value_and_grad(f, argnums=1)(params, x)
    zeros = jax.tree.map(jnp.zeros_like, x)
    return attribution(jax.tree.map(jnp.multiply, x, slope), output, f(params, zeros))


def smooth_grad(
    f: Function,
    params: Params,
    x: Tree,
    *,
    key: Key,
    noise: Tree,
    n_draws: int = 64,
    chunk: int | None = None,
) -> Attribution:
    """Return the mean gradient at x plus Gaussian noise (Smilkov et al. 2017).

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      key: of the noise.
      noise: standard deviation: one number, one per leaf, or arrays like x.
      n_draws: number of noisy samples.
      chunk: noisy samples at once; None = all.

    Raises:
      InputError: as `gradient`, or fewer than 2 draws.
    """
    x = check_sample(f, params, x)
    check_count("n_draws", n_draws, 2)
    scale = jax.tree.broadcast(noise, x)
    group, structure = grouped(n_draws), jax.tree.structure(x)

    def term(one: Key) -> Tree:
        keys = jax.tree.unflatten(structure, list(jax.random.split(one, structure.num_leaves)))
        noisy = jax.tree.map(
            lambda leaf, sd, part: leaf + sd * jax.random.normal(part, leaf.shape, leaf.dtype),
            x,
            scale,
            keys,
        )
        return jax.grad(f, argnums=1)(params, noisy)

    sums = weighted_sums(term, jax.random.split(key, n_draws), group_weights(group), chunk=chunk)
    values, stderr = mean_and_error(sums, group)
    output = f(params, x)
    return attribution(values, output, jnp.full_like(output, jnp.nan), stderr)


def integrated_gradients(
    f: Function,
    params: Params,
    x: Tree,
    baseline: Tree,
    *,
    n_steps: int = 64,
    rule: str = "gauss",
    chunk: int | None = None,
) -> Attribution:
    """Return integrated gradients (Sundararajan et al. 2017): the path integral from a baseline.

    values = (x - b) * integral over t of df/dx at b + t (x - b).

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      baseline: like x; where the path starts.
      n_steps: nodes on the path.
      rule: of `quadrature.nodes`. Gauss nodes converge fastest where f is smooth.
      chunk: nodes at once; None = all.

    Raises:
      InputError: as `gradient`; a baseline unlike x; an unknown rule; too few nodes.

    >>> found = integrated_gradients(
    ...     lambda params, x: x[0] * x[1], None, jnp.array([2.0, 3.0]), jnp.zeros(2), n_steps=2
    ... )
    >>> [round(float(value), 5) for value in found.values]
    [3.0, 3.0]
    """
    t, weight = nodes(rule, n_steps)
    return integrated_gradients_at(f, params, x, baseline, t, weight, chunk=chunk)


def integrated_gradients_at(
    f: Function,
    params: Params,
    x: Tree,
    baseline: Tree,
    t: Any,
    weight: Any,
    *,
    chunk: int | None = None,
) -> Attribution:
    """Return integrated gradients from nodes [n] and weights [n] that are given, also traced.

    Raises:
      InputError: as `gradient`; a baseline unlike x.
    """
    x = check_sample(f, params, x)
    baseline = check_baseline(x, baseline)
    mean = weighted_sums(_slope_along(f, params, x, baseline), t, weight[:, None], chunk=chunk)
    values = jax.tree.map(lambda end, start, leaf: (end - start) * leaf[0], x, baseline, mean)
    return attribution(values, f(params, x), f(params, baseline))


def adaptive_integrated_gradients(
    f: Function,
    params: Params,
    x: Tree,
    baseline: Tree,
    *,
    tolerance: float = 1e-3,
    max_steps: int = 1024,
) -> Adaptive:
    """Return integrated gradients with nodes doubled until the completeness gap is small.

    The path is cut into 1, 2, 4, ... panels of 8 Gauss nodes; kinks, which slow Gauss nodes on
    the whole path, then touch few panels. A try that is not needed is skipped. Under `jax.vmap`
    nothing can be skipped; `jax.lax.map` over samples keeps the saving.

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      baseline: like x.
      tolerance: largest gap, as a share of the output's change.
      max_steps: most nodes on the path; at least 8.

    Raises:
      InputError: as `integrated_gradients`.
    """
    x = check_sample(f, params, x)
    baseline = check_baseline(x, baseline)
    check_count("max_steps", max_steps, PANEL)
    output, baseline_output = f(params, x), f(params, baseline)
    change = jax.tree.map(jnp.subtract, x, baseline)
    slope = _slope_along(f, params, x, baseline)
    limit = tolerance * jnp.maximum(jnp.abs(output - baseline_output), jnp.finfo(output.dtype).tiny)
    t, weight = nodes("gauss", PANEL)

    def add(carry: tuple[Tree, Adaptive], panel: tuple[Array, Array]) -> tuple[Tree, Adaptive]:
        running, last = carry
        number, panels = panel
        part = weighted_sums(slope, (number + t) / panels, weight[:, None])
        running = jax.tree.map(
            lambda total, d, leaf: total + d * leaf[0] / panels.astype(leaf.dtype),
            running,
            change,
            part,
        )
        found = attribution(running, output, baseline_output)
        full = number + 1 == panels
        new = Adaptive(found, PANEL * panels, jnp.abs(found.gap) <= limit)
        kept = jax.tree.map(lambda ours, theirs: jnp.where(full, ours, theirs), new, last)
        return jax.tree.map(lambda leaf: jnp.where(full, 0.0, leaf), running), kept

    def step(
        carry: tuple[Tree, Adaptive], panel: tuple[Array, Array]
    ) -> tuple[tuple[Tree, Adaptive], None]:
        return jax.lax.cond(carry[1].converged, lambda: carry, lambda: add(carry, panel)), None

    levels = [2**level for level in range(int(math.log2(max_steps // PANEL)) + 1)]
    numbers = jnp.asarray(np.concatenate([np.arange(panels) for panels in levels]))
    panels = jnp.asarray(np.repeat(levels, levels))
    zeros = jax.tree.map(jnp.zeros_like, x)
    nothing = attribution(zeros, output, baseline_output)
    start = Adaptive(nothing, jnp.zeros_like(panels[0]), jnp.zeros((), bool))
    (_, result), _ = jax.lax.scan(step, (zeros, start), (numbers, panels))
    return result


def expected_gradients(
    f: Function,
    params: Params,
    x: Tree,
    background: Tree,
    *,
    key: Key,
    n_draws: int = 256,
    stratified: bool = True,
    antithetic: bool = False,
    chunk: int | None = None,
) -> Attribution:
    """Return expected gradients (Erion et al. 2021): integrated gradients, mean over baselines.

    Row and position of a draw are shared by all leaves of x. With neither variance reduction it
    is the estimator of SHAP's GradientExplainer.

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      background: like x with a leading axis; at least two samples.
      key: of the draws; with the same key all outputs get the same draws.
      n_draws: gradients taken.
      stratified: see `quadrature.draws`.
      antithetic: see `quadrature.draws`.
      chunk: draws at once; None = all.

    Raises:
      InputError: as `gradient`; a background unlike x or of one sample; too few draws, or an odd
        number of antithetic ones.
    """
    _, size = check_background(x, background)
    drawn = draws(key, n_draws, size, stratified=stratified, antithetic=antithetic)
    return expected_gradients_at(f, params, x, background, drawn, chunk=chunk)


def expected_gradients_at(
    f: Function,
    params: Params,
    x: Tree,
    background: Tree,
    drawn: Draws,
    *,
    chunk: int | None = None,
) -> Attribution:
    """Return expected gradients from draws that are given, such as those of another program.

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      background: like x with a leading axis; at least two samples.
      drawn: rows of the background, positions and groups.
      chunk: draws at once; None = all.

    Raises:
      InputError: as `expected_gradients`.
    """
    x = check_sample(f, params, x)
    background, _ = check_background(x, background)

    def term(draw: tuple[Array, Array]) -> tuple[Tree, Array]:
        row, t = draw
        start = take(background, row)
        slope = _slope_along(f, params, x, start)(t)
        values = jax.tree.map(lambda end, at, leaf: (end - at) * leaf, x, start, slope)
        return values, f(params, start)

    sums = weighted_sums(term, (drawn.rows, drawn.t), group_weights(drawn.group), chunk=chunk)
    (values, baseline_output), (stderr, _) = mean_and_error(sums, drawn.group)
    return attribution(values, f(params, x), baseline_output, stderr)


def take(background: Tree, row: Array) -> Tree:
    """Return one sample of a background."""
    return jax.tree.map(lambda leaf: leaf[row], background)


def between(baseline: Tree, x: Tree, t: Array) -> Tree:
    """Return the sample at position t in [0, 1] on the way from a baseline to x."""
    return jax.tree.map(
        lambda start, end: start + t.astype(start.dtype) * (end - start), baseline, x
    )


def _slope_along(f: Function, params: Params, x: Tree, baseline: Tree) -> Callable[[Array], Tree]:
    """Return the gradient of f in x as a function of the position on the path."""
    return lambda t: jax.grad(f, argnums=1)(params, between(baseline, x, t))
