"""The parts of an epoch, for a host that feeds batches one by one.

Together they compute what `epoch.run_epochs` computes in one program: a step per batch, then
validation per batch, then the metrics of the epoch and the decision how to go on.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxomics.data.batch import Standard
from jaxomics.data.plans import EvaluationPlan
from jaxomics.data.stream import Rows, as_batch, as_data
from jaxomics.engine.control import scheduled_rate, update_control
from jaxomics.engine.devices import Layout
from jaxomics.engine.epoch import movement, sample_players
from jaxomics.engine.fit import Settings, begin, jitted, make_programs, placed
from jaxomics.engine.game import make_step, named
from jaxomics.engine.state import Control, Split, Train, TrainState
from jaxomics.models.base import Hyper, Model
from jaxomics.types import Array, Key, Metrics


class Carry(struct.PyTreeNode):
    """What a run carries from step to step, and what its checkpoints hold.

    Attributes:
      state, control: as in memory.
      metrics: [steps] per metric, those of the steps of this epoch.
      before: samples of the parameters at the start of the epoch, for `update_norm`.
    """

    state: TrainState
    control: Control
    metrics: Metrics
    before: dict[str, Array]


class Parts(NamedTuple):
    """The parts of an epoch; until they are compiled they also take standard and hyper, as last.

    Attributes:
      advance: (state, metrics, rate, rows) -> (state, metrics, a scalar to wait for).
      assess: (state, rows) -> validation metrics of a batch.
      close: (control, before, state, metrics, assessed, epoch) -> (control, before, metrics by
        split).
    """

    advance: Callable
    assess: Callable
    close: Callable


def begin_carry(
    model: Model,
    two: Rows,
    example: Rows,
    standard: Standard,
    hyper: Hyper,
    train: Train,
    key: Key,
    shape: tuple[int, int, int],
    layout: Layout,
) -> Carry:
    """Return the carry before the first step, drawn as in memory; it lies whole on all devices.

    Args:
      two: two whole rows, the same in all processes.
      example: what a step reads, likewise.
    """
    split = Split(np.arange(2), 2, np.arange(0), 0)
    settings = placed(Settings(as_data(two), standard, split, hyper), layout)
    programs = jitted(make_programs(model, train, shape, layout=layout), layout)
    state, control = begin(programs, settings, layout.spread(key))

    def one(state: TrainState, rows: Rows) -> Metrics:
        return make_step(model)(state, as_batch(rows, standard), hyper, jnp.ones(()))[1]

    metrics = jax.eval_shape(one, state, example)
    buffer = {name: jnp.zeros((shape[0], *m.shape), m.dtype) for name, m in metrics.items()}
    before = layout.jit(lambda params: sample_players(model, params))(state.params)
    return Carry(state, control, layout.spread(buffer), before)


def make_parts(model: Model, train: Train, steps: int, valid: EvaluationPlan | None) -> Parts:
    """Return the parts of an epoch; together they compute what `run_epochs` computes."""
    step, total = make_step(model), train.epochs * steps

    def advance(state, metrics, rate, rows, standard, hyper):
        factor = rate * scheduled_rate(train, state.step, total)
        new, found = step(state, as_batch(rows, standard), hyper, factor)
        place = state.step % steps
        metrics = {name: metrics[name].at[place].set(value) for name, value in found.items()}
        return new, metrics, found[model.monitor]

    def assess(state, rows, standard, hyper):
        batch, found = as_batch(rows, standard), {}
        for player in model.players:
            aux = player.loss(
                state.params, state.collections, batch, state.key, hyper, train=False
            )[1]
            found |= named(player, aux.metrics, len(model.players))
        return found

    def close(control, before, state, metrics, assessed, epoch, standard, hyper):
        after = sample_players(model, state.params)
        metrics = jax.tree.map(jnp.mean, metrics) | movement(model, before, after)
        rate = control.rate * scheduled_rate(train, state.step - 1, total)
        found = {"train": metrics | {"lr": hyper.learning_rate * rate}}
        watched = metrics[model.monitor]
        if valid is not None:
            some = jnp.asarray(np.any(valid.weights > 0, axis=1), jnp.float32)
            count = jnp.maximum(jnp.sum(some), 1.0)
            found["valid"] = {name: jnp.sum(m * some) / count for name, m in assessed.items()}
            watched = found["valid"][model.monitor]
        kept = state.params, state.collections
        new = update_control(control, train, watched, epoch, kept, hyper.learning_rate)
        return new, after, found

    return Parts(advance, assess, close)


def compile_parts(
    parts: Parts,
    carry: Carry,
    example: Rows,
    settings: tuple[Standard, Hyper],
    valid: EvaluationPlan | None,
    layout: Layout,
) -> Parts:
    """Compile the parts of an epoch; carries are overwritten.

    Args:
      parts: what `make_parts` returned.
      carry: before the first step.
      example: a batch, where batches will lie.
      settings: scaling and hyper-parameters.
      valid: the batches of a validation, if there is one.
      layout: how devices split batches.
    """
    state, control = carry.state, carry.control
    placed_settings, heard = layout.share(settings), {}

    def compiled(part: Callable, donated: tuple[int, ...], *given: Any) -> Callable:
        program = layout.jit(part, *donated).lower(*given, *placed_settings).compile()
        return lambda *arguments: program(*arguments, *placed_settings)

    assess = parts.assess
    if valid is not None:
        assess = compiled(parts.assess, (), state, example)
        found = jax.eval_shape(parts.assess, state, example, *settings)
        heard = {name: jax.ShapeDtypeStruct((len(valid),), m.dtype) for name, m in found.items()}
    ends = control, carry.before, state, carry.metrics, heard, layout.number(0)
    return Parts(
        compiled(parts.advance, (0, 1), state, carry.metrics, control.rate, example),
        assess,
        compiled(parts.close, (0, 1), *ends),
    )
