"""Training on data that fit neither device nor host memory: the host feeds the same step.

`fit_streamed` ends as `fit` does on the same cohort in memory: same rows in the same order, same
keys, same step, same rules after each epoch. It trains one replica. Within an epoch the host never
asks the device for a value; it only keeps from running more than `IN_FLIGHT` steps ahead, so that
batches do not pile up. Several devices split each batch, and each of several processes reads only
the part that its own devices work on.

>>> import tempfile
>>> from jaxomics.data.batch import DataSpec, ViewSpec
>>> from jaxomics.data.store import write_arrays
>>> from jaxomics.data.stream import fit_scaling
>>> from jaxomics.models import _template as template
>>> store = write_arrays({"rna": np.eye(8)}, tempfile.mkdtemp() + "/store")
>>> model = template.build(template.Config(latent=2), DataSpec((ViewSpec("rna", 8),)))
>>> train, valid = np.arange(6), np.arange(6, 8)
>>> result = fit_streamed(
...     model,
...     store,
...     fit_scaling(store, train),
...     Split(train, len(train), valid, len(valid)),
...     template.Hyper(),
...     Train(epochs=2, batch_size=3),
...     key=jax.random.key(0),
... )
>>> [(row["epoch"], row["split"]) for row in result.history]
[(1, 'train'), (1, 'valid'), (2, 'train'), (2, 'valid')]
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Standard
from jaxomics.data.plans import Cut, EpochPlan, EvaluationPlan, Part
from jaxomics.data.store import Store
from jaxomics.data.stream import (
    READING,
    Reading,
    Rows,
    RowStream,
    read_rows,
    shared_reading,
)
from jaxomics.engine.checkpoint import Checkpoints
from jaxomics.engine.devices import Device, Layout, make_layout
from jaxomics.engine.drive import CALL_SECONDS, Recorder, check_finite, interruptible
from jaxomics.engine.fit import epoch_shape, floats, windowed_shape
from jaxomics.engine.log import Progress, rewind_lines, write_lines
from jaxomics.engine.parts import Carry, Parts, begin_carry, compile_parts, make_parts
from jaxomics.engine.processes import agree, from_writer, highest, is_writer
from jaxomics.engine.state import FitResult, Split, Train, TrainState
from jaxomics.errors import InputError
from jaxomics.models.base import Hyper, Model
from jaxomics.types import Key

IN_FLIGHT = 2
"""Steps that the host may be ahead of the device; one more batch waits there for its turn."""

PLACE_BYTES = 256
"""Room for the stream's state in a checkpoint, whose arrays must keep their shapes."""


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
    devices: Sequence[Device] | None = None,
) -> FitResult:
    """Train one replica on a store; several devices split its batches.

    A killed run goes on from its newest checkpoint, also from the middle of an epoch, and also
    with another number of processes.

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
        `IN_FLIGHT` + 2 by the device. Which part of a batch a process reads follows from JAX.
      devices: where to train; see `default_devices`.

    Raises:
      InputError: split or scaling do not fit the store, the model draws each view by itself or
        pairs, trains in stages or surveys its data, the folder holds another run, or processes
        read different stores or rows.
      NonFiniteError: a loss became infinite or NaN.
    """
    if reading.shard is not None:
        raise InputError(
            "expected a reading without a shard, since parts follow from the processes of JAX, "
            f"found {reading.shard}; leave it out"
        )
    _check_model(model)
    _check_features(source, standard)
    rows, size, cut = np.asarray(split.train), int(split.train_size), _cut(model, source)
    shape = epoch_shape(train, size)
    if cut is not None:
        shape = windowed_shape(model, train, size, cut.features)
    steps, batch, _ = shape
    hyper = floats(hyper)
    layout = make_layout(1, devices, batch=batch)
    part = None if cut is None else Part(0, cut.width, 0, cut.width)
    example = read_rows(source, rows[:batch], np.ones(batch, np.float32), part)
    two = read_rows(source, rows[:2], np.ones(2, np.float32))
    carry = begin_carry(model, two, example, standard, hyper, train, key, shape, layout)
    run_key = layout.home(carry.state.key)
    plan = EpochPlan(run_key, rows, size, batch=batch, epochs=train.epochs, cut=cut)
    agree(f"{source.digest} {plan.digest}", "store, training rows and seed")
    reading = shared_reading(reading)
    valid = None
    if len(split.valid):
        held = np.asarray(split.valid), int(split.valid_size)
        valid = EvaluationPlan(*held, batch=batch, cut=cut)
    with ExitStack() as stack:
        stream = stack.enter_context(closing(RowStream(source, plan, reading)))
        assess = partial(RowStream, source, valid, reading) if valid else None
        run = stack.enter_context(
            _Run(stream, assess, train, steps, model.monitor, recorder, layout)
        )
        carry = run.resume(carry)
        begun = time.perf_counter()
        parts = make_parts(model, train, steps, valid)
        share = jax.tree.map(lambda array: array[: batch // jax.process_count()], example)
        parts = compile_parts(parts, carry, layout.feed(share), (standard, hyper), valid, layout)
        run.seconds["compile"] = time.perf_counter() - begun
        return run.drive(parts, carry)


def _check_model(model: Model) -> None:
    """Raise unless a model can be trained from disk."""
    if model.sampling.kind not in ("paired", "windows"):
        raise InputError(
            "expected a model that draws all views of a sample together, found one that draws "
            "matched samples, or each view by itself; train it in memory, with fit"
        )
    if model.level is not None:
        raise InputError(
            "expected one network, found one behind a first level that is trained ahead; train "
            "both with levels.fit_stored_levels"
        )
    if model.stages:
        raise InputError(
            "expected a model that trains in one stage, found one in "
            f"{len(model.stages)}; train it in memory, with fit"
        )
    if model.survey is not None:
        raise InputError(
            "expected a model that needs no look at all training rows at once, found one that "
            "surveys them first; train it in memory, with fit"
        )


def _cut(model: Model, source: Store) -> Cut | None:
    """Return how a run cuts the one view of its store into windows; None = not at all."""
    sampling = model.sampling
    if sampling.kind != "windows":
        return None
    (names,) = source.features.values()
    return Cut(len(names), sampling.window, sampling.shift, sampling.ends)


def _check_features(source: Store, standard: Standard) -> None:
    """Raise unless the store has the views and the numbers of features that scaling knows."""
    held = {view: len(names) for view, names in source.features.items()}
    known = {view: len(mean) for view, mean in standard.mean.items()}
    if held != known:
        raise InputError(
            f"{source.folder}: expected features per view {known}, found {held}; fit the scaling "
            "to this store, or write the store from the same tables"
        )


class _Run:
    """The host's side of a run: feeds the devices, counts, logs, saves, stops.

    Use it as a context manager: leaving waits until checkpoints are written. Of several processes
    one logs and saves; whether to save or stop they ask each other every `CALL_SECONDS` or so.

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
        layout: Layout,
    ):
        self.stream, self.assess, self.layout = stream, assess, layout
        self.train, self.steps, self.monitor = train, steps, monitor
        self.recorder = recorder if recorder and is_writer() else Recorder()
        self.next_question, self.asked_at, self.asked = 0, 0, time.perf_counter()
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
        stored = self.checkpoints.latest() if self.checkpoints else None
        if stored is not None and not self.recorder.resume:
            raise InputError(
                f"{self.folder} holds a run of {stored // self.steps} epochs: resume it, empty the "
                "folder with --overwrite, or choose another"
            )
        taken = int(from_writer(np.int32(-1 if stored is None else stored)))
        if taken >= 0:
            like = jax.eval_shape(lambda: (carry, jnp.zeros(PLACE_BYTES, jnp.uint8)))
            found = self.checkpoints.restore(taken, like) if self.checkpoints else like
            carry, place = from_writer(found)
            carry = self.layout.spread(carry)
            self.stream.set_state(np.asarray(place).tobytes())
            self.taken = taken
        if self.folder:
            self.history = rewind_lines(self.folder / "metrics.jsonl", self.taken // self.steps)
        return carry

    def drive(self, parts: Parts, carry: Carry) -> FitResult:
        """Train until the last epoch, or until early stopping."""
        feed = _ahead(self.stream, self.layout)
        active = bool(self.layout.home(carry.control.active))
        place = self.stream.get_state()
        with interruptible() as interrupted:
            while self.taken < self.train.epochs * self.steps and active:
                begun, paused = time.perf_counter(), self.seconds["pause"]
                carry, place = self._train(parts, carry, feed, interrupted)
                carry, active = self._close(parts, carry)
                waited = self.seconds["pause"] - paused
                self.seconds["run"] += time.perf_counter() - begun - waited
                self._save(carry, place, interrupted)
            self._save(carry, place, interrupted, last=True)
        state, control = self.layout.home((carry.state, carry.control))
        last = state.params, state.collections
        params, collections = control.best_params if self.train.restore_best else last
        return FitResult(params, collections, state, control, self.history, self.seconds)

    def _train(
        self,
        parts: Parts,
        carry: Carry,
        feed: Iterator[tuple[Rows, bytes]],
        interrupted: list[bool],
    ) -> tuple[Carry, bytes]:
        """Take the steps that are left of this epoch; return the stream's place after them."""
        pace, place = _Pace(), b""
        end = (self.taken // self.steps + 1) * self.steps
        while self.taken < end:
            rows, place = next(feed)
            state, metrics, scalar = parts.advance(
                carry.state, carry.metrics, carry.control.rate, rows
            )
            carry = carry.replace(state=state, metrics=metrics)
            pace.wait(scalar)
            self.taken += 1
            if self.taken < end:
                self._save(carry, place, interrupted)
        return carry, place

    def _close(self, parts: Parts, carry: Carry) -> tuple[Carry, bool]:
        """Validate, log and decide; return the carry and whether to go on."""
        done = self.taken // self.steps - 1
        control, before, metrics = parts.close(
            carry.control,
            carry.before,
            carry.state,
            carry.metrics,
            self.layout.share(self._validate(parts, carry.state)),
            self.layout.number(done),
        )
        metrics, active = jax.device_get(self.layout.home((metrics, control.active)))
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

    def _validate(self, parts: Parts, state: TrainState) -> dict[str, np.ndarray]:
        """Return the validation metrics of each batch, [batches] each."""
        if self.assess is None:
            return {}
        pace, found = _Pace(), []
        with closing(self.assess()) as stream:
            for rows, _ in _ahead(stream, self.layout):
                found.append(parts.assess(state, rows))
                pace.wait(found[-1])
        found = jax.device_get(self.layout.home(found))
        return {name: np.stack([metrics[name] for metrics in found]) for name in found[0]}

    def _save(
        self, carry: Carry, place: bytes, interrupted: list[bool], *, last: bool = False
    ) -> None:
        """Write a checkpoint if one is due; raise if the user wants to stop."""
        late = time.monotonic() - self.saved > self.train.checkpoint_seconds
        stop, due = self._decide(bool(interrupted), late)
        if self.checkpoints and (stop or due or last):
            begun = time.perf_counter()
            words = np.frombuffer(place.ljust(PLACE_BYTES), np.uint8)
            self.checkpoints.save(self.taken, (self.layout.home(carry), words), wait=stop or last)
            self.seconds["pause"] += time.perf_counter() - begun
            self.saved = time.monotonic()
        if stop or last:
            highest(np.zeros(1, np.int32))  # Nobody leaves before it is written.
        if stop and not last:
            raise KeyboardInterrupt(
                f"stopped after step {self.taken % self.steps or self.steps} of {self.steps} in "
                f"epoch {-(-self.taken // self.steps)} of {self.train.epochs}"
            )

    def _decide(self, stop: bool, due: bool) -> tuple[bool, bool]:
        """Return whether to stop and whether to save: what any process wants, all do.

        Asking waits for the steps under way, so several processes do it after a number of steps.
        """
        if self.taken < self.next_question:
            return False, False
        pause = 1
        if jax.process_count() > 1:
            spent = (time.perf_counter() - self.asked) / max(self.taken - self.asked_at, 1)
            pause = int(np.clip(CALL_SECONDS / max(spent, 1e-6), 1, self.steps))
            self.asked, self.asked_at = time.perf_counter(), self.taken
        stop, due, pause = highest(np.array([stop, due, pause], np.int32)).tolist()
        self.next_question = self.taken + pause
        return bool(stop), bool(due)


class _Pace:
    """Keeps the host from running more than `IN_FLIGHT` programs ahead of the device."""

    def __init__(self):
        self._running: deque[Any] = deque()

    def wait(self, result: Any) -> None:
        """Note a result to come, and wait for the one `IN_FLIGHT` before it."""
        self._running.append(result)
        if len(self._running) > IN_FLIGHT:
            jax.block_until_ready(self._running.popleft())


def _ahead(stream: RowStream, layout: Layout) -> Iterator[tuple[Rows, bytes]]:
    """Yield rows on the devices with the stream's state after them, moving one batch ahead."""
    waiting: deque[tuple[Rows, bytes]] = deque()
    for rows in stream:
        waiting.append((layout.feed(rows), stream.get_state()))
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting
