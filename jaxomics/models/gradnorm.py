"""Weights of tasks that move so that tasks learn at one pace.

Chen et al., "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask
Networks", ICML 2018. For a layer W that all tasks share, T tasks with losses L_t and weights w_t:

    g_t = w_t |dL_t / dW|,  r_t = L_t / L_t at the start
    L_w = sum_t |g_t - mean(g) (r_t / mean(r))^alpha|        the target has no gradient
    w is moved by the gradient of L_w, and then scaled to the sum T
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxomics.types import Array

LEAST_WEIGHT = 1e-3
"""Weights stay above this; the published rule lets them become negative."""
SMALLEST = 1e-12


def layer_norms(losses: Callable[[Array], Array], output: Array, inputs: Array) -> Array:
    """Return |dL_t / dW| of each task, [tasks], for outputs = inputs @ W + b.

    Args:
      losses: outputs of the layer [b, units] to the losses [tasks].
      output: [b, units].
      inputs: what the layer reads, [b, hidden].
    """
    slopes = jax.jacrev(losses)(output)
    gradients = jnp.einsum("bh,tbu->thu", inputs, slopes)
    return jnp.sqrt(jnp.sum(gradients**2, axis=(1, 2)) + SMALLEST)


def pace_loss(weight: Array, norms: Array, losses: Array, initial: Array, alpha: Array) -> Array:
    """Return L_w.

    Args:
      weight: w, [tasks].
      norms: |dL_t / dW|, [tasks].
      losses: L_t, [tasks].
      initial: L_t at the start, [tasks]; 0 where the task has had no loss yet.
      alpha: how much slower tasks are favoured.
    """
    norms, losses, initial = jax.lax.stop_gradient((norms, losses, initial))
    own = weight * norms
    progress = jnp.where(initial > 0, losses / jnp.maximum(initial, SMALLEST), 1.0)
    relative = progress / jnp.maximum(jnp.mean(progress), SMALLEST)
    target = jax.lax.stop_gradient(jnp.mean(own) * relative**alpha)
    return jnp.sum(jnp.abs(own - target))


def started(initial: Array, losses: Array) -> Array:
    """Return the losses at the start: those stored, or the present ones where there are none.

    >>> started(jnp.array([2.0, 0.0]), jnp.array([1.0, 3.0])).tolist()
    [2.0, 3.0]
    """
    return jnp.where(initial > 0, initial, jax.lax.stop_gradient(losses))


def keep_sum() -> optax.GradientTransformation:
    """Return the rule that scales each array, once moved, so that its mean is 1.

    >>> rule = keep_sum()
    >>> step, _ = rule.update(jnp.array([1.0, 0.0]), rule.init(jnp.ones(2)), jnp.ones(2))
    >>> [round(float(moved), 3) for moved in jnp.ones(2) + step]
    [1.333, 0.667]
    """

    def update(updates, state, params=None):
        def scaled(step: Array, before: Array) -> Array:
            moved = jnp.maximum(before + step, LEAST_WEIGHT)
            return moved / jnp.mean(moved) - before

        return jax.tree.map(scaled, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
