"""Plans: which rows, and which window of neighbouring features, go into each step of a run.

They are drawn as the engine draws them in memory, so that a run from disk meets the same rows in
the same order. A plan is random access: any step can be asked for, by any thread.

>>> plan = EpochPlan(jax.random.key(0), np.arange(4), 4, batch=2, epochs=3)
>>> len(plan), sorted(plan.step(0)[0].tolist() + plan.step(1)[0].tolist())
(6, [0, 1, 2, 3])
>>> cut = Cut(features=12, width=5)
>>> windows = EpochPlan(jax.random.key(0), np.arange(4), 4, batch=2, epochs=3, cut=cut)
>>> len(windows), windows.part(0).width
(18, 5)
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.sampling import (
    Windows,
    evaluation_plan,
    paired_plan,
    section_end,
    window_begins,
    window_evaluation,
    window_number,
    window_plan,
)
from jaxomics.errors import InputError
from jaxomics.types import Array, Key


class Cut(NamedTuple):
    """How the one view of a run is cut into windows.

    Attributes:
      features: of the view.
      width: of a window.
      shift: in epoch e = 0, 1, ... windows begin (shift e) mod width later.
      ends: of sections that no window crosses, see `sampling.window_begins`.
    """

    features: int
    width: int
    shift: int = 0
    ends: tuple[int, ...] = ()

    def begins(self, epoch: Array | int = 0) -> Array:
        """Return int [windows], the first feature of each window in an epoch."""
        return window_begins(
            self.features, self.width, (self.shift * epoch) % self.width, self.ends
        )


class Part(NamedTuple):
    """Neighbouring features that a step reads.

    Attributes:
      begin, end: the first one, and the one after the last.
      number: of the window.
      width: of a whole window; what is lacking to it is padding.
    """

    begin: int
    end: int
    number: int
    width: int


class Plan(Protocol):
    """What goes into which step."""

    @property
    def digest(self) -> str:
        """Name of the plan: equal plans have equal names."""
        ...

    def __len__(self) -> int:
        """Return the number of steps."""
        ...

    def step(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return row numbers [b] and weights [b] of a step."""
        ...

    def part(self, number: int) -> Part | None:
        """Return which features a step reads; None = all."""
        ...


class EpochPlan:
    """All training steps of a run: every epoch shuffles the rows anew, as the engine does.

    Args:
      key: the run's PRNG key (`TrainState.key`).
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step; the incomplete last batch of an epoch is left out.
      epochs: passes over the rows.
      cut: windows, each of which an epoch sees with all rows; None = whole rows.

    Raises:
      InputError: a batch is larger than the rows there are.
    """

    def __init__(
        self,
        key: Key,
        rows: np.ndarray,
        size: int,
        *,
        batch: int,
        epochs: int,
        cut: Cut | None = None,
    ):
        if not 1 <= batch <= size:
            raise InputError(
                f"expected batches of 1 to {size} rows, since there are {size}, found {batch}; "
                "choose a smaller batch size"
            )
        each = size // batch
        self.steps = each if cut is None else each * len(cut.begins())
        self._length, self._cut = epochs * self.steps, cut
        words = jnp.array(jax.random.key_data(key))
        # A copy, because steps overwrite the state that the run's key belongs to.
        own = jax.random.wrap_key_data(words, impl=jax.random.key_impl(key))
        self.digest = digest_of(
            np.asarray(words).tobytes(), np.asarray(rows[:size], np.int64).tobytes(), batch,
            *(() if cut is None else cut),
        )  # fmt: skip
        draw = jax.jit(_drawing(batch, each, cut))
        held = jnp.asarray(rows)
        self._weight = np.ones(batch, np.float32)

        def epoch_rows(epoch: int) -> tuple[np.ndarray, ...]:
            return jax.device_get(draw(epoch_key(own, epoch), held, size, epoch))

        # Threads ask for steps of this epoch and of the next.
        self._epoch_rows = lru_cache(maxsize=2)(epoch_rows)

    def __len__(self) -> int:
        return self._length

    def step(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return row numbers [batch] and weights [batch] of a step, counted over all epochs."""
        rows, *_ = self._epoch_rows(number // self.steps)
        return rows[number % self.steps], self._weight

    def part(self, number: int) -> Part | None:
        """Return which features a step reads; None = all."""
        if self._cut is None:
            return None
        _, begin, end, place = self._epoch_rows(number // self.steps)
        own = number % self.steps
        return Part(int(begin[own]), int(end[own]), int(place[own]), self._cut.width)


class EvaluationPlan:
    """Rows in order, each once, or once per window; the last batch is padded with weight 0.

    Args:
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step.
      cut: windows; None = whole rows.
    """

    def __init__(self, rows: np.ndarray, size: int, *, batch: int, cut: Cut | None = None):
        self._cut, held = cut, jnp.asarray(rows)
        if cut is None:
            self._rows, self.weights = map(np.asarray, evaluation_plan(held, size, batch))
        else:
            given = cut.begins(), cut.width, cut.ends
            found, weights = window_evaluation(held, size, batch, *given)
            self._rows, *self._bounds = jax.device_get(_steps(found, cut))
            self.weights = np.asarray(weights.rows)
        self.digest = digest_of(
            self._rows.tobytes(), self.weights.tobytes(), batch, *(() if cut is None else cut)
        )

    def __len__(self) -> int:
        return len(self._rows)

    def step(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return row numbers [batch] and weights [batch] of a step."""
        return self._rows[number], self.weights[number]

    def part(self, number: int) -> Part | None:
        """Return which features a step reads; None = all."""
        if self._cut is None:
            return None
        begin, end, place = self._bounds
        return Part(int(begin[number]), int(end[number]), int(place[number]), self._cut.width)


def _drawing(batch: int, each: int, cut: Cut | None) -> Callable[..., tuple[Array, ...]]:
    """Return (key, rows, size, epoch) -> rows [steps, batch] of an epoch, and bounds of windows.

    Args:
      batch: rows per step.
      each: steps per epoch, or per window.
      cut: windows.
    """
    if cut is None:
        draw = partial(paired_plan, batch=batch, steps=each)
        return lambda key, rows, size, epoch: (draw(key, rows, size),)

    def windows(key: Key, rows: Array, size: Array, epoch: Array) -> tuple[Array, ...]:
        begins = cut.begins(epoch)
        plan = window_plan(key, rows, size, batch, each, begins, cut.width, cut.ends)
        return _steps(plan, cut)

    return windows


def _steps(plan: Windows, cut: Cut) -> tuple[Array, ...]:
    """Return rows [steps, batch], and begin, end and number of each step's window, [steps]."""
    begin, own = plan.begin[:, 0], (cut.features, cut.width, cut.ends)
    end = jnp.minimum(begin + cut.width, section_end(begin, cut.ends or (cut.features,)))
    return plan.rows, begin, end, window_number(begin, *own)


def epoch_key(key: Key, epoch: Array | int) -> Key:
    """Return the key that an epoch's plan is drawn with, from the run's key."""
    return jax.random.fold_in(jax.random.fold_in(key, 2**31 - 1), epoch)


def digest_of(*parts: Any) -> str:
    """Return 12 hexadecimal digits that name bytes, or what else has a name as text."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part if isinstance(part, bytes) else str(part).encode())
        sha.update(b"\0")
    return sha.hexdigest()[:12]
