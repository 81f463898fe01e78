"""Replicas: folds, seeds and hyper-parameters as one array axis of one compiled program."""

from typing import TypeVar

import jax
import jax.numpy as jnp

from jaxomics.data.batch import Data, Standard, gather
from jaxomics.engine.control import start_control
from jaxomics.engine.epoch import run_epochs
from jaxomics.engine.fit import Recorder, drive, epoch_shape
from jaxomics.engine.game import make_step, start_state
from jaxomics.engine.state import FitResult, Split, Train
from jaxomics.models.base import Hyper, Model
from jaxomics.types import Key

T = TypeVar("T")


def fit_many(
    model: Model,
    data: Data,
    standards: Standard,
    splits: Split,
    hypers: Hyper,
    train: Train,
    *,
    keys: Key,
    recorder: Recorder | None = None,
) -> FitResult:
    """Train all replicas at once; the data are held once and shared.

    Args:
      model: what to train.
      data: the cohort on the device.
      standards: scaling with a leading replica axis, fitted on each fold's training rows.
      splits: rows with a leading replica axis, padded to equal length (`stack`).
      hypers: traced settings with a leading replica axis.
      train: static settings.
      keys: [replicas] PRNG keys.
      recorder: run folder, progress and resuming.

    Returns:
      The result, every array with a leading replica axis.
    """
    smallest = int(jnp.min(jnp.asarray(splits.train_size)))
    shape = epoch_shape(train, smallest)
    step = make_step(model)

    def begin(data: Data, standard: Standard, rows: jax.Array, hyper: Hyper, key: Key):
        example = gather(data, standard, rows[:2], jnp.ones(2))
        state = start_state(model, example, hyper, key)
        return state, start_control(state.params, train)

    def epochs(state, control, data, standard, split, hyper, first, count):
        return run_epochs(
            model, step, state, control, data, standard, split, hyper, train, shape, first, count
        )

    hypers = jax.tree.map(lambda value: jnp.asarray(value, jnp.float32), hypers)
    splits = jax.tree.map(jnp.asarray, splits)
    state, control = jax.jit(jax.vmap(begin, in_axes=(None, 0, 0, 0, 0)))(
        data, standards, splits.train, hypers, keys
    )
    mapped = jax.vmap(epochs, in_axes=(0, 0, None, 0, 0, 0, None, None))
    program = jax.jit(mapped, donate_argnums=(0, 1))
    return drive(
        program, state, control, (data, standards, splits, hypers), train, recorder or Recorder()
    )


def repeat(tree: T, replicas: int) -> T:
    """Return the tree with a leading replica axis, every replica alike."""
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (replicas, *jnp.shape(leaf))), tree
    )


def stack(trees: list[T]) -> T:
    """Return trees of equal shapes stacked along a new leading replica axis."""
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trees)
