"""Plateau schedule, early stopping and best parameters, as pure functions of a carry."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxomics.engine.state import Control, Train
from jaxomics.types import Array


def start_control(params: Any, train: Train) -> Control:
    """Return the carry before the first epoch.

    Args:
      params: what is kept of the best epoch: any pytree, in a run parameters and collections.
      train: settings.
    """
    infinite, zero = jnp.asarray(jnp.inf, jnp.float32), jnp.asarray(0, jnp.int32)
    return Control(
        rate=jnp.asarray(1.0, jnp.float32),
        best=infinite,
        waited=zero,
        stop_best=infinite,
        stop_waited=zero,
        best_epoch=zero,
        active=jnp.asarray(True),
        best_params=jax.tree.map(jnp.copy, params) if train.restore_best else (),
    )


def update_control(
    control: Control, train: Train, value: Array, epoch: Array, params: Any, learning_rate: Array
) -> Control:
    """Return the carry after an epoch.

    Args:
      control: carry before.
      train: settings.
      value: what is watched, after this epoch.
      epoch: int scalar.
      params: parameters and collections after this epoch.
      learning_rate: the unscaled learning rate, for the plateau's floor.
    """
    rate, best, waited = plateau(control.rate, control.best, control.waited, value, train)
    floor = train.plateau_floor / learning_rate
    rate = jnp.where(rate < control.rate, jnp.maximum(rate, jnp.minimum(floor, 1.0)), rate)
    rate = jnp.where((control.rate - rate) * learning_rate > 1e-8, rate, control.rate)
    # Compared after rounding to 4 decimals, as the published runs do.
    improved = jnp.round(value, 4) < jnp.round(control.stop_best, 4)
    stop_waited = jnp.where(improved, 0, control.stop_waited + 1)
    active = control.active
    if train.stop_patience is not None:
        active = active & (stop_waited < train.stop_patience)
    best_params = control.best_params
    if train.restore_best:
        best_params = jax.tree.map(
            lambda new, old: jnp.where(improved, new, old), params, best_params
        )
    return Control(
        rate=rate if train.schedule == "plateau" else control.rate,
        best=best,
        waited=waited,
        stop_best=jnp.where(improved, value, control.stop_best),
        stop_waited=stop_waited,
        best_epoch=jnp.where(improved, epoch, control.best_epoch),
        active=active,
        best_params=best_params,
    )


def plateau(
    rate: Array, best: Array, waited: Array, value: Array, train: Train
) -> tuple[Array, Array, Array]:
    """Reduce the rate when `value` has not improved for `plateau_patience` epochs.

    An improvement is value < best * (1 - threshold); at the reduction the counter restarts, and
    the best value stays (PyTorch's ReduceLROnPlateau in mode `min`, relative threshold).
    """
    improved = value < best * (1.0 - train.plateau_threshold)
    waited = jnp.where(improved, 0, waited + 1)
    reduce = waited > train.plateau_patience
    return (
        jnp.where(reduce, rate * train.plateau_factor, rate),
        jnp.where(improved, value, best),
        jnp.where(reduce, 0, waited),
    )


def scheduled_rate(train: Train, step: Array, steps: int) -> Array:
    """Return the factor on the learning rate at a step out of `steps`.

    1 for `constant` and `plateau`; the cosine with its warm-up, by step; `linear` and `step` by
    epoch: with E epochs, the last D of them in decay, epoch k = 1..E of `linear` has the factor
    1 - max(0, k - (E - D)) / (D + 1) (Zhang and Guo 2021), so the last one is not lost.

    >>> train = Train(epochs=3, schedule="linear", decay_epochs=1)
    >>> [float(scheduled_rate(train, jnp.asarray(step), 6)) for step in range(6)]
    [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """
    if train.schedule == "cosine":
        return _cosine(train, step, steps).astype(jnp.float32)
    epoch = step // (steps // train.epochs) + 1
    if train.schedule == "linear":
        decay = min(train.decay_epochs, train.epochs)
        decayed = jnp.maximum(epoch - (train.epochs - decay), 0)
        return 1.0 - decayed.astype(jnp.float32) / (decay + 1)
    if train.schedule == "step":
        return jnp.float32(train.step_factor) ** ((epoch - 1) // train.step_epochs)
    return jnp.ones((), jnp.float32)


def _cosine(train: Train, step: Array, steps: int) -> Array:
    """Return the factor of the schedule `cosine`: a linear rise, then half a wave."""
    warm = max(round(train.warmup * steps), 1)
    rising = (step + 1) / warm
    share = jnp.clip((step - warm) / max(steps - warm, 1), 0.0, 1.0)
    falling = train.floor_factor + (1 - train.floor_factor) * 0.5 * (1 + jnp.cos(jnp.pi * share))
    return jnp.where(step < warm, rising, falling)
