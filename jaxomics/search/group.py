"""A group of trials as replicas of one program: watched, pruned, and judged."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from jaxomics.data.batch import Data, Standard
from jaxomics.engine.drive import Halt
from jaxomics.engine.processes import from_writer
from jaxomics.engine.replicate import fit_many, repeat, stack
from jaxomics.engine.state import Split, Train
from jaxomics.models.base import Hyper, Model

RUNGS = 10
"""How many times in its life a trial is compared with the others."""

Prune = Callable[[int, int, float], bool]
"""(replica, epoch, value) -> whether the trial is so bad that it should stop."""


class Bench(NamedTuple):
    """What the trials of a group have in common.

    Attributes:
      model: the model.
      data: the cohort on the device.
      standard: scaling, fitted on the training rows.
      split: training rows, and the validation rows that judge every trial.
    """

    model: Model
    data: Data
    standard: Standard
    split: Split


@dataclass
class Outcome:
    """What became of one trial.

    Attributes:
      values: the monitored metric on validation rows after each epoch.
      state: how it ended.
      note: why it failed.
    """

    values: list[float] = field(default_factory=list)
    state: Literal["running", "complete", "pruned", "failed"] = "running"
    note: str = ""

    def value(self, *, best: bool) -> float:
        """Return the objective: the last value, or the best one; NaN where there is none."""
        if not self.values or self.state == "failed":
            return math.nan
        return min(self.values) if best else self.values[-1]


class Watch:
    """What `fit_many` asks after each block of epochs: stops pruned and diverged trials.

    Decisions are taken epoch by epoch, at epochs that do not depend on how long a block is, so
    that the same search prunes the same trials on a slow and on a fast machine.

    Attributes:
      outcomes: one per replica.

    >>> watch = Watch(2, "loss", 2, prune=lambda replica, epoch, value: value > 5)
    >>> rows = [{"epoch": 1, "replica": r, "split": "valid", "loss": 9.0 * r} for r in (0, 1)]
    >>> watch(rows), watch.outcomes[1].state
    ([1], 'pruned')
    """

    def __init__(
        self,
        replicas: int,
        monitor: str,
        epochs: int,
        *,
        prune: Prune,
        tell: Callable[[int], None] = lambda epoch: None,
    ):
        """Start watching.

        Args:
          replicas: how many.
          monitor: metric to minimise.
          epochs: of every trial.
          prune: asked `RUNGS` times in a trial's life.
          tell: told the epoch that was reached.
        """
        self.outcomes = [Outcome() for _ in range(replicas)]
        self._monitor, self._prune, self._tell = monitor, prune, tell
        self._epochs, self._every = epochs, max(1, epochs // RUNGS)

    def __call__(self, rows: Sequence[dict[str, Any]]) -> list[int]:
        """Take the new rows of metrics; return the replicas to stop."""
        for row in rows:
            outcome = self.outcomes[row["replica"]]
            if outcome.state != "running":
                continue
            broken = next((name for name, value in row.items() if _is_broken(value)), None)
            if broken is not None:
                outcome.state = "failed"
                outcome.note = f"{broken} = {row[broken]} at epoch {row['epoch']} ({row['split']})"
            elif row["split"] == "valid":
                self._take(row["replica"], row["epoch"], row[self._monitor])
        if rows:
            self._tell(max(row["epoch"] for row in rows))
        return [i for i, outcome in enumerate(self.outcomes) if outcome.state != "running"]

    def _take(self, replica: int, epoch: int, value: float) -> None:
        """Note a value; at the rungs before the last, decide whether to go on."""
        outcome = self.outcomes[replica]
        outcome.values.append(value)
        if epoch % self._every == 0 and self._prune(replica, epoch, value):
            outcome.state = "pruned" if epoch < self._epochs else outcome.state


def train_group(
    bench: Bench,
    hypers: Sequence[Hyper],
    train: Train,
    watch: Watch | None,
    *,
    seed: int,
    max_replicas: int | None = None,
) -> list[Outcome]:
    """Train a group of trials as one program and return what became of each.

    All trials start from the same key: what they differ in is their settings, not their luck.

    Args:
      bench: model and data.
      hypers: traced settings of each trial.
      train: static settings.
      watch: judges the trials while they train; None in processes that follow process 0.
      seed: of initial parameters, batches and noise.
      max_replicas: trials at the same time; chosen from the memory there is by default.

    Returns:
      The outcomes; none in processes that follow.
    """
    count, key = len(hypers), jax.random.key(seed)
    fit_many(
        bench.model, bench.data, repeat(bench.standard, count), repeat(bench.split, count),
        stack(list(hypers)), train, keys=stack([key] * count), max_replicas=max_replicas,
        halt=stop_alike(watch, count),
    )  # fmt: skip
    if watch is None:
        return []
    for outcome in watch.outcomes:
        if outcome.state == "running":
            outcome.state = "complete"
    return watch.outcomes


def stop_alike(watch: Halt | None, replicas: int) -> Halt:
    """Return what stops the same replicas in all processes: those that process 0 stops.

    Args:
      watch: asked in process 0; the others have None.
      replicas: how many there are.

    >>> stop_alike(lambda rows: [2, 0], 3)([])
    [0, 2]
    """

    def halt(rows: Sequence[dict[str, Any]]) -> list[int]:
        stopped = np.zeros(replicas, bool)
        if watch is not None:
            stopped[list(watch(list(rows)))] = True
        return np.flatnonzero(from_writer(stopped)).tolist()

    return halt


def _is_broken(value: Any) -> bool:
    """Tell whether a metric has left the finite numbers."""
    return isinstance(value, float) and not math.isfinite(value)
