"""Training on data that fit neither device nor host memory: the host feeds the same step.

`fit_streamed` ends as `fit` does on the same cohort in memory: same rows in the same order, same
keys, same step, same rules after each epoch. It trains one replica. Within an epoch the host never
asks the device for a value; it only keeps from running more than `IN_FLIGHT` steps ahead, so that
batches do not pile up.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxomics.data.batch import Standard
from jaxomics.data.store import Store
from jaxomics.data.stream import (
    READING,
    EpochPlan,
    EvaluationPlan,
    Reading,
    Rows,
    RowStream,
    as_batch,
    as_data,
    read_rows,
)
from jaxomics.engine.checkpoint import Checkpoints
from jaxomics.engine.control import scheduled_rate, update_control
from jaxomics.engine.drive import Recorder, check_finite, interruptible
from jaxomics.engine.epoch import evaluate, movement, sample_players
from jaxomics.engine.fit import Settings, begin, epoch_shape, floats, jitted, make_programs
from jaxomics.engine.game import make_step
from jaxomics.engine.log import Progress, rewind_lines, write_lines
from jaxomics.engine.state import Control, FitResult, Split, Train, TrainState
from jaxomics.errors import InputError
from jaxomics.models.base import Hyper, Model
from jaxomics.types import Array, Key, Metrics

IN_FLIGHT = 2
"""Steps that the host may be ahead of the device; one more batch waits there for its turn."""

PLACE_BYTES = 256
"""Room for the stream's state in a checkpoint, whose arrays must keep their shapes."""


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


class Programs(NamedTuple):
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


def fit_streamed(
    model: Model,
    source: Store,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    *,
    key: Key,
    recorder: Recorder | None = None,
    reading: Reading = READING,
) -> FitResult:
    """Train one replica on a store.

    A killed run goes on from its newest checkpoint, also from the middle of an epoch.

    Args:
      model: what to train.
      source: the cohort on disk.
      standard: scaling, fitted on the training rows (`stream.fit_scaling`).
      split: training and validation rows.
      hyper: traced settings.
      train: static settings.
      key: the only source of randomness.
      recorder: run folder, progress and resuming.
      reading: threads and look-ahead: so many batches are held by the host, and up to
        `IN_FLIGHT` + 2 by the device.

    Raises:
      InputError: the split does not fit the store, or the folder holds another run.
      NonFiniteError: a loss became infinite or NaN.
    """
    if reading.shard is not None and reading.shard.shard_count > 1:
        raise InputError(
            "fit_streamed trains in one process, found a reading shared by "
            f"{reading.shard.shard_count}; leave out the shard"
        )
    shape = steps, batch, _ = epoch_shape(train, int(split.train_size))
    hyper = floats(hyper)
    rows, size = np.asarray(split.train), int(split.train_size)
    example = read_rows(source, rows[:batch], np.ones(batch, np.float32))
    carry = _begin(model, example, standard, hyper, train, key, shape)
    plan = EpochPlan(carry.state.key, rows, size, batch=batch, epochs=train.epochs)
    valid = None
    if len(split.valid):
        valid = EvaluationPlan(np.asarray(split.valid), int(split.valid_size), batch=batch)
    with ExitStack() as stack:
        stream = stack.enter_context(closing(RowStream(source, plan, reading)))
        assess = partial(RowStream, source, valid, reading) if valid else None
        run = stack.enter_context(_Run(stream, assess, train, steps, model.monitor, recorder))
        carry = run.resume(carry)
        begun = time.perf_counter()
        pure = _parts(model, train, steps, valid)
        programs = _compile(pure, carry, example, (standard, hyper), valid)
        run.seconds["compile"] = time.perf_counter() - begun
        return run.drive(programs, carry)


def _begin(
    model: Model,
    example: Rows,
    standard: Standard,
    hyper: Hyper,
    train: Train,
    key: Key,
    shape: tuple[int, int, int],
) -> Carry:
    """Return the carry before the first step, drawn as in memory."""
    two: Rows = jax.tree.map(lambda array: array[:2], example)
    split = Split(np.arange(2), 2, np.arange(0), 0)
    settings = Settings(as_data(two), standard, split, hyper)
    state, control = begin(jitted(make_programs(model, train, shape)), settings, key)

    def one(state: TrainState, rows: Rows) -> Metrics:
        return make_step(model)(state, as_batch(rows, standard), hyper, jnp.ones(()))[1]

    metrics = jax.eval_shape(one, state, example)
    buffer = {name: jnp.zeros((shape[0], *m.shape), m.dtype) for name, m in metrics.items()}
    return Carry(state, control, buffer, sample_players(model, state.params))


def _parts(model: Model, train: Train, steps: int, valid: EvaluationPlan | None) -> Programs:
    """Return the parts of an epoch; together they compute what `run_epochs` computes."""
    step, total = make_step(model), train.epochs * steps

    def advance(state, metrics, rate, rows, standard, hyper):
        factor = rate * scheduled_rate(train, state.step, total)
        new, found = step(state, as_batch(rows, standard), hyper, factor)
        place = state.step % steps
        metrics = {name: metrics[name].at[place].set(value) for name, value in found.items()}
        return new, metrics, found[model.monitor]

    def assess(state, rows, standard, hyper):
        order = jnp.arange(len(rows.sample))
        block = Split(order, 0, order, jnp.sum(rows.weight > 0))
        return evaluate(model, state, as_data(rows), standard, block, hyper, len(order))

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
        new = update_control(control, train, watched, epoch, state.params, hyper.learning_rate)
        return new, after, found

    return Programs(advance, assess, close)


def _compile(
    pure: Programs,
    carry: Carry,
    example: Rows,
    settings: tuple[Standard, Hyper],
    valid: EvaluationPlan | None,
) -> Programs:
    """Compile the parts of an epoch for batches like `example`; carries are overwritten."""
    state, control = carry.state, carry.control
    heard = {}

    def compiled(part: Callable, donated: tuple[int, ...], *given: Any) -> Callable:
        program = jax.jit(part, donate_argnums=donated).lower(*given, *settings).compile()
        return lambda *arguments: program(*arguments, *settings)

    assess = pure.assess
    if valid is not None:
        assess = compiled(pure.assess, (), state, example)
        found = jax.eval_shape(pure.assess, state, example, *settings)
        heard = {name: jax.ShapeDtypeStruct((len(valid),), m.dtype) for name, m in found.items()}
    ends = control, carry.before, state, carry.metrics, heard, jnp.zeros((), jnp.int32)
    return Programs(
        compiled(pure.advance, (0, 1), state, carry.metrics, control.rate, example),
        assess,
        compiled(pure.close, (0, 1), *ends),
    )


class _Run:
    """The host's side of a run: feeds the device, counts, logs, saves, stops.

    Use it as a context manager: leaving waits until checkpoints are written.

    Attributes:
      taken: steps done.
      history: rows as in metrics.jsonl.
      seconds: compile, run and pause time.
    """

    def __init__(
        self,
        stream: RowStream,
        assess: Callable[[], RowStream] | None,
        train: Train,
        steps: int,
        monitor: str,
        recorder: Recorder | None,
    ):
        self.stream, self.assess = stream, assess
        self.train, self.steps, self.monitor = train, steps, monitor
        self.recorder = recorder or Recorder()
        self.taken, self.history = 0, []
        self.seconds = {"compile": 0.0, "run": 0.0, "pause": 0.0}
        self.folder = self.recorder.folder
        self.checkpoints = Checkpoints(self.folder / "checkpoints") if self.folder else None
        self.saved = time.monotonic()
        self.progress = Progress(self.recorder.label, train.epochs, quiet=self.recorder.quiet)

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.close()
        if self.checkpoints:
            self.checkpoints.__exit__(*error)

    def resume(self, carry: Carry) -> Carry:
        """Return the newest checkpoint's carry and go to its place, or the fresh one."""
        if self.checkpoints is None or self.folder is None:
            return carry
        taken = self.checkpoints.latest()
        if taken is not None and not self.recorder.resume:
            raise InputError(
                f"{self.folder} holds a run of {taken // self.steps} epochs: resume it, empty the "
                "folder with --overwrite, or choose another"
            )
        done = (taken or 0) // self.steps
        if taken is not None:
            like = carry, np.zeros(PLACE_BYTES, np.uint8)
            carry, place = self.checkpoints.restore(taken, like)
            self.stream.set_state(np.asarray(place).tobytes())
            self.taken = taken
        self.history = rewind_lines(self.folder / "metrics.jsonl", done)
        return carry

    def drive(self, programs: Programs, carry: Carry) -> FitResult:
        """Train until the last epoch, or until early stopping."""
        feed, active = _ahead(self.stream), bool(carry.control.active)
        place = self.stream.get_state()
        with interruptible() as interrupted:
            while self.taken < self.train.epochs * self.steps and active:
                begun, paused = time.perf_counter(), self.seconds["pause"]
                carry, place = self._train(programs, carry, feed, interrupted)
                carry, active = self._close(programs, carry)
                waited = self.seconds["pause"] - paused
                self.seconds["run"] += time.perf_counter() - begun - waited
                self._save(carry, place, interrupted)
            self._save(carry, place, interrupted, last=True)
        params = carry.control.best_params if self.train.restore_best else carry.state.params
        result = carry.state.collections, carry.state, carry.control
        return FitResult(params, *result, self.history, self.seconds)

    def _train(
        self,
        programs: Programs,
        carry: Carry,
        feed: Iterator[tuple[Rows, bytes]],
        interrupted: list[bool],
    ) -> tuple[Carry, bytes]:
        """Take the steps that are left of this epoch; return the stream's place after them."""
        pace, place = _Pace(), b""
        end = (self.taken // self.steps + 1) * self.steps
        while self.taken < end:
            rows, place = next(feed)
            state, metrics, scalar = programs.advance(
                carry.state, carry.metrics, carry.control.rate, rows
            )
            carry = carry.replace(state=state, metrics=metrics)
            pace.wait(scalar)
            self.taken += 1
            if self.taken < end:
                self._save(carry, place, interrupted)
        return carry, place

    def _close(self, programs: Programs, carry: Carry) -> tuple[Carry, bool]:
        """Validate, log and decide; return the carry and whether to go on."""
        done = self.taken // self.steps - 1
        control, before, metrics = programs.close(
            carry.control,
            carry.before,
            carry.state,
            carry.metrics,
            self._validate(programs, carry.state),
            jnp.asarray(done, jnp.int32),
        )
        metrics, active = jax.device_get((metrics, control.active))
        head = {"epoch": done + 1, "replica": 0}
        rows = [
            head | {"split": split} | {name: float(value) for name, value in found.items()}
            for split, found in metrics.items()
        ]
        self.history += rows
        if self.folder:
            write_lines(self.folder / "metrics.jsonl", rows)
        check_finite(rows)
        told = (f"{row['split']} {self.monitor} {row[self.monitor]:.4f}" for row in rows)
        self.progress.update(done + 1, ", ".join(told))
        return carry.replace(control=control, before=before), bool(active)

    def _validate(self, programs: Programs, state: TrainState) -> dict[str, np.ndarray]:
        """Return the validation metrics of each batch, [batches] each."""
        if self.assess is None:
            return {}
        pace, found = _Pace(), []
        with closing(self.assess()) as stream:
            for rows, _ in _ahead(stream):
                found.append(programs.assess(state, rows))
                pace.wait(found[-1])
        found = jax.device_get(found)
        return {name: np.stack([metrics[name] for metrics in found]) for name in found[0]}

    def _save(
        self, carry: Carry, place: bytes, interrupted: list[bool], *, last: bool = False
    ) -> None:
        """Write a checkpoint if one is due; raise if the user wants to stop."""
        stop = bool(interrupted)
        due = stop or last or time.monotonic() - self.saved > self.train.checkpoint_seconds
        if self.checkpoints and due:
            begun = time.perf_counter()
            words = np.frombuffer(place.ljust(PLACE_BYTES), np.uint8)
            self.checkpoints.save(self.taken, (carry, words), wait=stop or last)
            self.seconds["pause"] += time.perf_counter() - begun
            self.saved = time.monotonic()
        if stop and not last:
            raise KeyboardInterrupt(
                f"stopped after step {self.taken % self.steps or self.steps} of {self.steps} in "
                f"epoch {-(-self.taken // self.steps)} of {self.train.epochs}"
            )


class _Pace:
    """Keeps the host from running more than `IN_FLIGHT` programs ahead of the device."""

    def __init__(self):
        self._running: deque[Any] = deque()

    def wait(self, result: Any) -> None:
        """Note a result to come, and wait for the one `IN_FLIGHT` before it."""
        self._running.append(result)
        if len(self._running) > IN_FLIGHT:
            jax.block_until_ready(self._running.popleft())


def _ahead(stream: RowStream) -> Iterator[tuple[Rows, bytes]]:
    """Yield rows on the device with the stream's state after them, moving one batch ahead."""
    waiting: deque[tuple[Rows, bytes]] = deque()
    for rows in stream:
        waiting.append((jax.device_put(rows), stream.get_state()))
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting
