"""An epoch is a scan over index rows of data that stay on the device."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxomics.data.batch import Batch, Data, Standard, gather, gather_views, gather_window
from jaxomics.data.sampling import (
    Windows,
    evaluation_plan,
    match_plan,
    members,
    paired_plan,
    per_view_plan,
    spread_plan,
    window_begins,
    window_evaluation,
    window_plan,
)
from jaxomics.engine.control import scheduled_rate, update_control
from jaxomics.engine.devices import Layout
from jaxomics.engine.game import Step, make_step, named
from jaxomics.engine.norms import sample
from jaxomics.engine.state import Control, Split, Train, TrainState
from jaxomics.errors import InputError
from jaxomics.models.base import Hyper, Model, Sampling, stage_ends, stage_models
from jaxomics.types import Array, Key, Metrics, Params, Views

Plan = Array | Views | Windows
"""Rows of every step, int [steps, batch]: one array for all views, one per view, or windows."""


def draw_plan(
    sampling: Sampling,
    key: Key,
    data: Data,
    present: Views,
    split: Split,
    batch: int,
    steps: int,
    epoch: Array | int = 0,
) -> Plan:
    """Return which rows go into which step of an epoch.

    Args:
      sampling: how batches are drawn.
      key: PRNG key of this epoch.
      data: the cohort, for its labels, pairs and widths.
      present: which rows of the cohort have each view (`rows_present`); read for `per_view`.
      split: training rows.
      batch: rows per step, and per view.
      steps: steps per epoch.
      epoch: its number, from 0; windows are shifted by it.
    """
    rows = jnp.asarray(split.train)
    if sampling.kind == "paired":
        return paired_plan(key, rows, split.train_size, batch, steps)
    if sampling.kind == "windows":
        begins = _begins(sampling, data, (sampling.shift * epoch) % sampling.window)
        each = steps // len(begins)
        return window_plan(
            key, rows, split.train_size, batch, each, begins, sampling.window, sampling.ends
        )
    if sampling.kind == "matched":
        member = members(rows, split.train_size, len(data.labels))
        pairs = match_plan(key, pairs_of(data), member, batch, steps)
        return {view: pairs[:, :, side] for side, view in enumerate(sampling.views)}
    real, labels = jnp.arange(len(rows)) < split.train_size, data.labels[rows]
    return {
        view: per_view_plan(
            jax.random.fold_in(key, i), rows, real & present[view][rows], labels, batch, steps,
            balanced=sampling.balanced,
        )
        for i, view in enumerate(sorted(data.x))
    }  # fmt: skip


def pairs_of(data: Data) -> Array:
    """Return the pairs of the data, or raise: [m, 2]."""
    if data.pairs is None:
        raise InputError(
            "expected data with pairs of rows, found none; match samples first (Data.pairs)"
        )
    return data.pairs


def _begins(sampling: Sampling, data: Data, offset: Array | int) -> Array:
    """Return the first feature of each window of the one view of the data."""
    (values,) = data.x.values()
    return window_begins(values.shape[1], sampling.window, offset, sampling.ends)


def rows_present(model: Model, data: Data) -> Views:
    """Return bool [n] per view: rows with any observed value; empty where no stage asks."""
    if all(stage.sampling.kind != "per_view" for stage in stage_models(model)):
        return {}
    return {view: jnp.any(seen, axis=1) for view, seen in data.observed.items()}


def run_epoch(
    step: Step,
    state: TrainState,
    data: Data,
    standard: Standard,
    plan: Plan,
    hyper: Hyper,
    train: Train,
    rate: Array,
    layout: Layout | None = None,
) -> tuple[TrainState, Metrics]:
    """Take one step per row of `plan`; return metrics averaged over steps.

    With a layout, devices split each batch.
    """
    total = train.epochs * len(jax.tree.leaves(plan)[0])

    def body(state: TrainState, rows: Plan) -> tuple[TrainState, Metrics]:
        factor = rate * scheduled_rate(train, state.step, total)
        rows = jax.tree.map(layout.rows, rows) if layout else rows
        weight = jax.tree.map(lambda r: jnp.ones(len(r)), rows)
        return step(state, _batch(data, standard, rows, weight, layout), hyper, factor)

    state, metrics = jax.lax.scan(body, state, plan)
    return state, jax.tree.map(jnp.mean, metrics)


def evaluate(
    model: Model,
    state: TrainState,
    data: Data,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    batch: int,
    layout: Layout | None = None,
) -> Metrics:
    """Return the losses on the validation rows in evaluation mode, averaged over batches.

    Every row counts once, whatever views it has. A batch holds as many rows as a training batch
    does, over all views if these are drawn one by one. With a layout, devices split each batch;
    under `pmap` each sees the whole.
    """
    valid, sampling = jnp.asarray(split.valid), model.sampling
    if sampling.kind == "paired":
        rows, weights = evaluation_plan(valid, split.valid_size, batch)
    elif sampling.kind == "windows":
        given = _begins(sampling, data, 0), sampling.window, sampling.ends
        rows, weights = window_evaluation(valid, split.valid_size, batch, *given)
    else:
        rows, weights = spread_plan(valid, split.valid_size, batch * len(data.x))

    def body(carry: None, step: tuple[Plan, Plan]) -> tuple[None, Metrics]:
        found: Metrics = {}
        seen = _batch(data, standard, *step, layout)
        for player in model.players:
            _, aux = player.loss(
                state.params, state.collections, seen, state.key, hyper, train=False
            )
            found |= named(player, aux.metrics, len(model.players))
        return carry, found

    _, metrics = jax.lax.scan(body, None, (rows, weights))
    counts = jnp.any(jax.tree.leaves(weights)[0] > 0, axis=1).astype(jnp.float32)
    return jax.tree.map(lambda m: jnp.sum(m * counts) / jnp.maximum(jnp.sum(counts), 1.0), metrics)


def _batch(data: Data, standard: Standard, rows: Plan, weight: Any, layout: Layout | None) -> Batch:
    """Return rows of the data, split over devices if there is a layout."""
    if isinstance(rows, Windows):
        given = rows.begin[0], rows.width, rows.rows, weight.rows, rows.ends
        batch = gather_window(data, standard, *given)
    else:
        take: Any = gather_views if isinstance(rows, dict) else gather
        batch = take(data, standard, rows, weight)
    return layout.split(batch) if layout else batch


def sample_players(model: Model, params: Params) -> dict[str, Array]:
    """Return the sample of each player's parameters that norms are taken of."""
    return {player.name: sample(params[player.name]) for player in model.players}


def movement(model: Model, before: dict[str, Array], after: dict[str, Array]) -> Metrics:
    """Return per player how far an epoch moved the parameters, and how large they are now.

    Outside the scan over steps, because inside it every step would pay for them.
    """
    found: Metrics = {}
    for player in model.players:
        old, new = before[player.name], after[player.name]
        norms = {"update_norm": jnp.linalg.norm(new - old), "param_norm": jnp.linalg.norm(new)}
        found |= named(player, norms, len(model.players))
    return found


def _play(
    data: Data,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    shape: tuple[int, int, int],
    layout: Layout | None,
    present: Views,
    model: Model,
    step: Step,
) -> Callable[..., tuple[TrainState, dict[str, Metrics]]]:
    """Return an epoch of one stage: (state, key, number, rate) -> state and metrics by split."""
    steps, batch, _ = shape

    def epoch(state: TrainState, key: Key, number: Array, rate: Array):
        plan = draw_plan(model.sampling, key, data, present, split, batch, steps, number)
        new, found = run_epoch(step, state, data, standard, plan, hyper, train, rate, layout)
        metrics = {"train": found}
        if len(split.valid):
            metrics["valid"] = evaluate(model, new, data, standard, split, hyper, batch, layout)
        return new, metrics

    return epoch


def run_epochs(
    model: Model,
    step: Step,
    state: TrainState,
    control: Control,
    data: Data,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    shape: tuple[int, int, int],
    start: Array,
    count: Array,
    *,
    freeze: bool = False,
    layout: Layout | None = None,
) -> tuple[TrainState, Control, dict[str, Metrics], Array]:
    """Run `count` epochs without the host; the program is the same for every count.

    A replica that has stopped keeps its state. Metrics by split, and whether the replica was
    still active in the epoch, come back as [buffer] arrays whose first `count` are filled.

    Args:
      model, step: what to train, and its step, that of the last stage if there are stages.
      state, control: carries.
      data, standard, split, hyper: the run's data and settings.
      train: static settings.
      shape: steps per epoch, batch size, length of the metrics buffer; static.
      start: number of the first epoch.
      count: how many epochs, at most the buffer's length.
      freeze: keep the state of inactive replicas even if nothing in `train` stops any, because
        the host may. Static; costs memory for the state before and after an epoch.
      layout: how devices split batches; by default none does.
    """
    steps, _, length = shape
    ends = stage_ends(model, train.epochs)

    present = rows_present(model, data)
    play = partial(_play, data, standard, split, hyper, train, shape, layout, present)
    *earlier, last = stage_models(model)
    axis_name = layout.axis_name if layout else None
    plays = [play(stage, make_step(stage, axis_name=axis_name)) for stage in earlier]
    plays.append(play(last, step))

    @jax.jit  # Traced once, for the shapes of the metrics and for the loop.
    def one(state: TrainState, control: Control, epoch: Array):
        key = jax.random.fold_in(jax.random.fold_in(state.key, 2**31 - 1), epoch)
        before = sample_players(model, state.params)
        stage = jnp.sum(epoch >= jnp.asarray(ends, jnp.int32))
        new, metrics = jax.lax.switch(stage, plays, state, key, epoch, control.rate)
        rate = control.rate * scheduled_rate(train, new.step - 1, train.epochs * steps)
        metrics["train"] |= movement(model, before, sample_players(model, new.params))
        metrics["train"] |= {"lr": hyper.learning_rate * rate}
        watched = metrics["valid" if len(split.valid) else "train"][model.monitor]
        kept = new.params, new.collections
        after = update_control(control, train, watched, epoch, kept, hyper.learning_rate)
        if ends:
            after = jax.tree.map(
                lambda fresh, kept: jnp.where(stage == len(ends), fresh, kept), after, control
            )
        if freeze or train.stop_patience is not None:
            new, after = jax.tree.map(
                lambda fresh, kept: jnp.where(control.active, fresh, kept),
                (new, after),
                (state, control),
            )
        return new, after, (metrics, control.active)

    shapes = jax.eval_shape(one, state, control, start)[2]
    buffer = jax.tree.map(lambda m: jnp.zeros((length, *m.shape), m.dtype), shapes)

    def body(i: Array, carry):
        state, control, buffer = carry
        state, control, metrics = one(state, control, start + i)
        buffer = jax.tree.map(lambda b, m: b.at[i].set(m), buffer, metrics)
        return state, control, buffer

    state, control, buffer = jax.lax.fori_loop(0, count, body, (state, control, buffer))
    return state, control, *buffer
