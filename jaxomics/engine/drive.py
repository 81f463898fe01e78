"""The only host loop: run some epochs per call, log, save, stop; chunk after chunk."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.engine.checkpoint import Checkpoints, chunk_folders, latest_epoch
from jaxomics.engine.devices import Layout, one_device
from jaxomics.engine.log import Progress, rewind_lines, write_lines
from jaxomics.engine.processes import from_writer, highest, is_writer
from jaxomics.engine.state import Control, FitResult, Train, TrainState
from jaxomics.errors import InputError, NonFiniteError

BUFFER = 64
"""Most epochs per call: the length of the metrics buffer on the device."""
CALL_SECONDS = 2.0
"""Aim for calls of this length, so that logs, checkpoints and Ctrl-C are prompt."""

Rows = list[dict[str, Any]]
"""Metric rows as in metrics.jsonl: epoch (from 1), replica, split, and the metrics by name."""

Halt = Callable[[Rows], Sequence[int]]
"""Told the rows of the epochs just done, returns the numbers of the replicas to stop."""

Carry = tuple[TrainState, Control]
T = TypeVar("T")


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


class Chunk(NamedTuple):
    """Replicas that are trained at the same time.

    Attributes:
      replicas: their numbers.
      begin: returns fresh carries.
      settings: returns what the program reads beside them.
      places: length of the replica axis of carries and settings; those beyond the replicas repeat
        the last one, and are neither saved nor returned.
    """

    replicas: range
    begin: Callable[[], Carry]
    settings: Callable[[], tuple]
    places: int = 1


class Trained(NamedTuple):
    """A chunk after its last epoch: carries, and the rows of all its epochs."""

    state: TrainState
    control: Control
    rows: Rows


class Driver:
    """Trains chunk after chunk with one program, one log, one progress line and one clock.

    Use it as a context manager: leaving ends the progress line.

    Attributes:
      seconds: time spent on compiling, running, and waiting for checkpoints.
    """

    def __init__(
        self,
        program: Callable,
        train: Train,
        recorder: Recorder,
        chunks: Sequence[Chunk],
        *,
        layout: Layout | None = None,
        halt: Halt | None = None,
        block: int | None = None,
    ):
        """Open the log and cut off what the checkpoints do not know.

        Args:
          program: jitted (state, control, *settings, first, count) -> what `run_epochs` returns;
            carries may have a leading replica axis.
          train: static settings.
          recorder: run folder, progress and resuming.
          chunks: in the order of their replicas; with one, its checkpoints lie in `checkpoints/`
            itself, with several in `checkpoints/chunk_000/` and so on.
          layout: where carries and settings lie; if it spans several processes, all of them
            drive the same chunks, and one writes. By default on one device.
          halt: asked after each call which replicas to stop; needs a program that freezes.
          block: epochs per call; by default as many as take `CALL_SECONDS`.

        Raises:
          InputError: the block is longer than the metrics buffer.
        """
        if block is not None and not 1 <= block <= BUFFER:
            raise InputError(f"expected a block of 1 to {BUFFER} epochs, found {block}")
        self.seconds = {"compile": 0.0, "run": 0.0, "pause": 0.0}
        self._saves = recorder.folder is not None
        recorder = recorder if is_writer() else Recorder()
        self._program, self._train, self._recorder = program, train, recorder
        self._layout, self._chunks, self._halt, self._block = (
            layout or one_device(),
            chunks,
            halt,
            block,
        )
        self._compiled: Any = None
        self._epochs = block or 1
        self._folders: list[Path] = []
        self._logged: Rows = []
        if recorder.folder:
            folder, sizes = recorder.folder / "checkpoints", [len(c.replicas) for c in chunks]
            self._folders = chunk_folders(folder, len(chunks))
            known = [latest_epoch(folder) or 0 for folder in self._folders]
            self._logged = rewind_lines(
                recorder.folder / "metrics.jsonl", np.repeat(known, sizes).tolist()
            )
        total = train.epochs * len(chunks)
        self._progress = Progress(recorder.label, total, quiet=recorder.quiet)

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.close()

    def run(self, number: int) -> Trained:
        """Train a chunk to its end, from its newest checkpoint if there is one.

        Raises:
          NonFiniteError: a metric became infinite or NaN in a replica that `halt` let go on.
          KeyboardInterrupt: after Ctrl-C, once the state is saved.
        """
        chunk, epochs = self._chunks[number], self._train.epochs
        with ExitStack() as stack:
            checkpoints = None
            if self._folders:
                checkpoints = stack.enter_context(Checkpoints(self._folders[number]))
            done, state, control = self._start(chunk, checkpoints)
            rows = [row for row in self._logged if row["replica"] in chunk.replicas]
            settings, saved = None, time.monotonic()
            with interruptible() as interrupted:
                while done < epochs and self._active(control, chunk):
                    settings = settings or chunk.settings()
                    count = min(self._epochs, epochs - done, BUFFER)
                    state, control, told = self._call(state, control, settings, done, count)
                    new = metric_rows(*told, done, count, chunk.replicas)
                    done += count
                    rows += new
                    control = self._judge(control, new, chunk)
                    self._progress.update(number * epochs + done, self._message(new, number))
                    late = time.monotonic() - saved > self._train.checkpoint_seconds
                    stop, due = self._decide(bool(interrupted), late)
                    if self._saves and (stop or due):
                        self._save(chunk, checkpoints, done, (state, control), wait=stop)
                        saved = time.monotonic()
                    if stop:
                        raise KeyboardInterrupt(f"stopped after epoch {done} of {epochs}")
            if self._saves:
                self._save(chunk, checkpoints, done, (state, control), wait=True)
        return Trained(*_cut(self._layout.home((state, control)), chunk), rows)

    def _start(
        self, chunk: Chunk, checkpoints: Checkpoints | None
    ) -> tuple[int, TrainState, Control]:
        """Return epochs done and carries: those of the newest checkpoint, or fresh ones."""
        stored = checkpoints.latest() if checkpoints else None
        epoch = int(from_writer(np.int32(-1 if stored is None else stored)))
        if epoch < 0:
            return 0, *chunk.begin()
        like = jax.eval_shape(lambda: _cut(chunk.begin(), chunk))
        carry = checkpoints.restore(epoch, like) if checkpoints else like
        return epoch, *self._layout.spread(_padded(from_writer(carry), chunk))

    def _active(self, control: Control, chunk: Chunk) -> bool:
        """Is any replica of the chunk still training? Padding does not count."""
        active = np.atleast_1d(np.asarray(self._layout.home(control.active)))
        return bool(np.any(active[: len(chunk.replicas)]))

    def _decide(self, stop: bool, due: bool) -> tuple[bool, bool]:
        """Return whether to stop and whether to save: what any process wants, all do.

        The number of epochs of the next call is the same everywhere from then on, too.
        """
        stop, due, self._epochs = highest(np.array([stop, due, self._epochs], np.int32)).tolist()
        return bool(stop), bool(due)

    def _call(
        self, state: TrainState, control: Control, settings: tuple, done: int, count: int
    ) -> tuple[TrainState, Control, tuple]:
        """Run `count` epochs; return the carries, and metrics and activity on the host."""
        first, length = self._layout.number(done), self._layout.number(count)
        begun = time.perf_counter()
        if self._compiled is None:
            lowered = self._program.lower(state, control, *settings, first, length)
            self._compiled = lowered.compile()
            self.seconds["compile"] += time.perf_counter() - begun
            begun = time.perf_counter()
        state, control, *told = self._compiled(state, control, *settings, first, length)
        told = jax.device_get(tuple(told))
        spent = time.perf_counter() - begun
        self.seconds["run"] += spent
        if self._block is None:
            self._epochs = int(np.clip(CALL_SECONDS * count / max(spent, 1e-3), 1, BUFFER))
        return state, control, told

    def _judge(self, control: Control, rows: Rows, chunk: Chunk) -> Control:
        """Log rows, stop the replicas that `halt` names, and raise if another is not finite."""
        if self._recorder.folder:
            write_lines(self._recorder.folder / "metrics.jsonl", rows)
        halted = set(self._halt(rows)) if self._halt else set()
        check_finite([row for row in rows if row["replica"] not in halted])
        places = [place for place, replica in enumerate(chunk.replicas) if replica in halted]
        if not places:
            return control
        active = np.array(self._layout.home(control.active))
        active[places] = False
        return control.replace(active=self._layout.spread(jnp.asarray(active)))

    def _save(
        self,
        chunk: Chunk,
        checkpoints: Checkpoints | None,
        done: int,
        carry: Carry,
        *,
        wait: bool,
    ) -> None:
        """Save a chunk's carries, and note how long training paused for it."""
        begun = time.perf_counter()
        carry = _cut(self._layout.home(carry), chunk)
        if checkpoints:
            checkpoints.save(done, carry, wait=wait)
        if wait:
            highest(np.zeros(1, np.int32))  # No process leaves before it is written.
        self.seconds["pause"] += time.perf_counter() - begun

    def _message(self, rows: Rows, number: int) -> str:
        """Return what the progress line tells beside the time."""
        chunks = len(self._chunks)
        return (f"chunk {number + 1} of {chunks}, " if chunks > 1 else "") + headline(rows)


def finished(trained: Trained, train: Train, seconds: dict[str, float]) -> FitResult:
    """Return the result of a run that was trained in one chunk."""
    state, control, rows = trained
    last = state.params, state.collections
    params, collections = control.best_params if train.restore_best else last
    return FitResult(params, collections, state, control, rows, seconds)


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


def _cut(tree: T, chunk: Chunk) -> T:
    """Return carries without padding."""
    size = len(chunk.replicas)
    return tree if chunk.places == size else jax.tree.map(lambda leaf: leaf[:size], tree)


def _padded(tree: T, chunk: Chunk) -> T:
    """Return carries with padding: the last replica, repeated."""
    size = len(chunk.replicas)
    if chunk.places == size:
        return tree
    places = np.minimum(np.arange(chunk.places), size - 1)
    return jax.tree.map(lambda leaf: leaf[places], tree)


def metric_rows(
    metrics: dict[str, dict[str, np.ndarray]],
    active: np.ndarray,
    done: int,
    count: int,
    replicas: range,
) -> Rows:
    """Return one flat row per epoch, replica that was active in it, and split.

    Epochs count from 1; arrays are [buffer] or [replica, buffer], and may be padded with replicas
    beyond those numbered.
    """
    named = {
        split: {name: np.atleast_2d(value) for name, value in arrays.items()}
        for split, arrays in metrics.items()
    }
    active = np.atleast_2d(active)[: len(replicas)]
    return [
        {"epoch": done + epoch + 1, "replica": replicas[place], "split": split}
        | {name: float(value[place, epoch]) for name, value in arrays.items()}
        for epoch in range(count)
        for split, arrays in named.items()
        for place in np.flatnonzero(active[:, epoch]).tolist()
    ]


def check_finite(rows: Rows) -> None:
    """Raise at the first metric that is not finite."""
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float) and not np.isfinite(value):
                raise NonFiniteError(
                    f"expected finite training, found {name} = {value} in replica "
                    f"{row['replica']} at epoch {row['epoch']} ({row['split']}); lower the "
                    "learning rate, or look for extreme values with `jaxomics inspect`"
                )


def headline(rows: Rows) -> str:
    """Return the losses of the last epoch for the progress line, averaged over replicas.

    Of a game it is the loss of the player that moves last: a generator's, not its opponent's.

    >>> headline([{"epoch": 1, "replica": r, "split": "train", "loss": r} for r in (2.0, 3.0)])
    'train loss 2.5000'
    """
    losses: dict[str, list[float]] = {}
    for row in rows:
        if row["epoch"] == rows[-1]["epoch"]:
            own = [name for name in row if name.rpartition("/")[2] == "loss"]
            losses.setdefault(row["split"], []).append(row[own[-1]])
    return ", ".join(f"{split} loss {np.mean(found):.4f}" for split, found in losses.items())
