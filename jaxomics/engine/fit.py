"""The only host loop: compile once, run some epochs per call, log, save, stop."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Data, Standard, gather
from jaxomics.engine.checkpoint import Checkpoints
from jaxomics.engine.control import start_control
from jaxomics.engine.epoch import run_epochs
from jaxomics.engine.game import first_state, make_step
from jaxomics.engine.log import Progress, rewind_lines, write_lines
from jaxomics.engine.state import Control, FitResult, Split, Train, TrainState
from jaxomics.errors import InputError, NonFiniteError
from jaxomics.models.base import Hyper, Model, Variables
from jaxomics.types import Key

BUFFER = 64
"""Most epochs per call: the length of the metrics buffer on the device."""
CALL_SECONDS = 2.0
"""Aim for calls of this length, so that logs, checkpoints and Ctrl-C are prompt."""


class Recorder(NamedTuple):
    """Where a run leaves its traces.

    Attributes:
      folder: run folder for metrics.jsonl and checkpoints; None keeps nothing.
      resume: continue from the newest checkpoint, if there is one.
      quiet: no progress line.
      label: name shown on the progress line.
    """

    folder: Path | None = None
    resume: bool = False
    quiet: bool = True
    label: str = "train"


def fit(
    model: Model,
    data: Data,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    *,
    key: Key,
    recorder: Recorder | None = None,
    start: TrainState | None = None,
) -> FitResult:
    """Train one replica.

    Args:
      model: what to train.
      data: the cohort on the device.
      standard: scaling, fitted on the training rows.
      split: training and validation rows.
      hyper: traced settings.
      train: static settings.
      key: the only source of randomness.
      recorder: run folder, progress and resuming.
      start: state of a finished stage to go on from; fresh by default.

    Raises:
      NonFiniteError: a loss became infinite or NaN.
    """
    prepared = prepare(model, data, standard, split, hyper, train, key=key, start=start)
    program, state, control, settings, _ = prepared
    del prepared
    return drive(program, state, control, settings, train, recorder or Recorder())


class Prepared(NamedTuple):
    """A run before its first epoch.

    Attributes:
      program: jitted (state, control, *settings, first, count) -> what `run_epochs` returns.
      state, control: carries.
      settings: what the program reads.
      shape: steps per epoch, batch size, length of the metrics buffer.
    """

    program: Any
    state: TrainState
    control: Control
    settings: tuple
    shape: tuple[int, int, int]


def prepare(
    model: Model,
    data: Data,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    *,
    key: Key,
    start: TrainState | None = None,
) -> Prepared:
    """Return fresh carries and the program that trains them; arguments as for `fit`.

    Parameters are drawn before the optimiser's moments exist, since drawing takes up to twice
    their memory besides.
    """
    shape = epoch_shape(train, int(split.train_size))
    hyper = jax.tree.map(lambda value: jnp.asarray(value, jnp.float32), hyper)
    split = jax.tree.map(jnp.asarray, split)
    step = make_step(model)

    def draw(data: Data, standard: Standard, rows: jax.Array, key: Key) -> Variables:
        return model.init(key, gather(data, standard, rows[:2], jnp.ones(2)))

    def epochs(state, control, data, standard, split, hyper, first, count):
        return run_epochs(
            model, step, state, control, data, standard, split, hyper, train, shape, first, count
        )

    if start is None:
        init_key, run_key = jax.random.split(key)
        variables = jax.jit(draw)(data, standard, split.train, init_key)
        fresh = jax.jit(partial(first_state, model), donate_argnums=0)
        state: TrainState = fresh(variables, hyper, run_key)
    else:
        state = jax.jit(partial(jax.tree.map, jnp.copy))(start)
    program = jax.jit(epochs, donate_argnums=(0, 1))
    control = jax.jit(partial(start_control, train=train))(state.params)
    return Prepared(program, state, control, (data, standard, split, hyper), shape)


def drive(
    program: Callable,
    state: Any,
    control: Any,
    settings: tuple,
    train: Train,
    recorder: Recorder,
) -> FitResult:
    """Run a jitted block of epochs until the end; the carry may have a leading replica axis.

    Args:
      program: jitted (state, control, *settings, first, count) -> what `run_epochs` returns.
      state, control: carries; their memory is reused.
      settings: what the program reads.
      train: static settings.
      recorder: run folder, progress and resuming.
    """
    done, history = 0, []
    clock = {"compile": 0.0, "run": 0.0, "pause": 0.0}
    checkpoints = Checkpoints(recorder.folder / "checkpoints") if recorder.folder else None
    if checkpoints:
        done, state, control, history = _resume(checkpoints, recorder, state, control)
    zero = jnp.zeros((), jnp.int32)
    begun = time.perf_counter()
    compiled = program.lower(state, control, *settings, zero, zero).compile()
    clock["compile"] = time.perf_counter() - begun
    progress = Progress(recorder.label, train.epochs, quiet=recorder.quiet)
    count, saved = 1, time.monotonic()
    with interruptible() as interrupted:
        while done < train.epochs and bool(np.any(control.active)):
            count = min(count, train.epochs - done, BUFFER)
            begun = time.perf_counter()
            state, control, metrics, active = compiled(
                state,
                control,
                *settings,
                jnp.asarray(done, jnp.int32),
                jnp.asarray(count, jnp.int32),
            )
            metrics, active = jax.device_get((metrics, active))
            spent = time.perf_counter() - begun
            clock["run"] += spent
            rows = _rows(metrics, active, done, count)
            done += count
            history += rows
            if recorder.folder:
                write_lines(recorder.folder / "metrics.jsonl", rows)
            _check_finite(rows)
            progress.update(done, _headline(rows))
            stop = bool(interrupted)
            if checkpoints and (stop or time.monotonic() - saved > train.checkpoint_seconds):
                begun = time.perf_counter()
                checkpoints.save(done, (state, control), wait=stop)
                clock["pause"] += time.perf_counter() - begun
                saved = time.monotonic()
            if stop:
                raise KeyboardInterrupt(f"stopped after epoch {done} of {train.epochs}")
            count = int(np.clip(CALL_SECONDS * count / max(spent, 1e-3), 1, BUFFER))
    progress.close()
    if checkpoints:
        with checkpoints:
            checkpoints.save(done, (state, control), wait=True)
    params = control.best_params if train.restore_best else state.params
    return FitResult(params, state.collections, state, control, history, clock)


@contextmanager
def interruptible() -> Iterator[list[bool]]:
    """Turn the first Ctrl-C into a non-empty list, so that a loop can save and stop.

    A second Ctrl-C acts at once. Outside the main thread signals are left alone.
    """
    seen: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        seen.append(True)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def epoch_shape(train: Train, size: int) -> tuple[int, int, int]:
    """Return steps per epoch, batch size and buffer length for `size` training rows."""
    if size < 2:
        raise InputError(f"expected at least 2 training samples, found {size}; add samples")
    batch = min(train.batch_size, size)
    return size // batch, batch, min(BUFFER, train.epochs)


def _resume(
    checkpoints: Checkpoints, recorder: Recorder, state: Any, control: Any
) -> tuple[int, Any, Any, list[dict[str, Any]]]:
    """Return epochs done, carries and history of the newest checkpoint, or the fresh ones.

    Raises:
      InputError: the folder holds another run's checkpoints, and resuming was not asked for.
    """
    assert recorder.folder is not None
    epoch = checkpoints.latest()
    if epoch is not None and not recorder.resume:
        raise InputError(
            f"{recorder.folder} holds a run of {epoch} epochs: resume it, empty the folder with "
            "--overwrite, or choose another"
        )
    rows = rewind_lines(recorder.folder / "metrics.jsonl", epoch or 0)
    if epoch is None:
        return 0, state, control, []
    state, control = checkpoints.restore(epoch, (state, control))
    return epoch, state, control, rows


def _rows(
    metrics: dict[str, dict[str, np.ndarray]], active: np.ndarray, done: int, count: int
) -> list[dict[str, Any]]:
    """Return one flat row per epoch, replica that was active in it, and split.

    Epochs count from 1; arrays are [buffer] or [replica, buffer].
    """
    named = {
        split: {name: np.atleast_2d(value) for name, value in arrays.items()}
        for split, arrays in metrics.items()
    }
    return [
        {"epoch": done + epoch + 1, "replica": replica, "split": split}
        | {name: float(value[replica, epoch]) for name, value in arrays.items()}
        for epoch in range(count)
        for split, arrays in named.items()
        for replica in np.flatnonzero(np.atleast_2d(active)[:, epoch]).tolist()
    ]


def _check_finite(rows: list[dict[str, Any]]) -> None:
    """Raise at the first metric that is not finite."""
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float) and not np.isfinite(value):
                raise NonFiniteError(
                    f"expected finite training, found {name} = {value} in replica "
                    f"{row['replica']} at epoch {row['epoch']} ({row['split']}); lower the "
                    "learning rate, or look for extreme values with `jaxomics inspect`"
                )


def _headline(rows: list[dict[str, Any]]) -> str:
    """Return the losses of the last epoch for the progress line, averaged over replicas."""
    losses: dict[str, list[float]] = {}
    for row in rows:
        if row["epoch"] == rows[-1]["epoch"]:
            name = next(name for name in row if name.endswith("loss"))
            losses.setdefault(row["split"], []).append(row[name])
    return ", ".join(f"{split} loss {np.mean(found):.4f}" for split, found in losses.items())
