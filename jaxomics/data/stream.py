"""Batches from a store, in the order of a plan, read ahead by threads (grain).

A plan says which rows go into which step of all epochs; `EpochPlan` draws them as the engine does
in memory, so that both meet the same rows in the same order. A `RowStream` walks through a plan
on grain: threads read ahead, and its state is a few bytes that a checkpoint keeps. Over several
processes each batch is cut into equal consecutive parts, one per process.

>>> import tempfile
>>> from jaxomics.data.store import write_arrays
>>> store = write_arrays({"rna": np.arange(12.0).reshape(6, 2)}, tempfile.mkdtemp() + "/store")
>>> standard = fit_scaling(store, np.arange(4))
>>> plan = EpochPlan(jax.random.key(0), np.arange(4), 4, batch=2, epochs=3)
>>> stream = RowStream(store, plan)
>>> batch = as_batch(next(stream), standard)
>>> batch.x["rna"].shape, stream.get_state()[-18:]
((2, 2), b'{"next_index": 1}}')
>>> place = stream.get_state()
>>> later = [rows.sample.tolist() for rows in stream]
>>> stream.set_state(place)
>>> later == [rows.sample.tolist() for rows in stream] and len(later) == 5
True
"""

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Batch, Data, Standard
from jaxomics.data.sampling import evaluation_plan, paired_plan
from jaxomics.data.scaling import Standard as Scaling
from jaxomics.data.statistics import Piece, view_statistics
from jaxomics.data.store import Store
from jaxomics.errors import InputError
from jaxomics.types import Array, Key


class Rows(NamedTuple):
    """Rows of a cohort as they lie on disk; a pytree of host or device arrays.

    Attributes:
      values: float32 [b, features] per view, original units, NaN = not measured.
      conditionals: [b, conditionals].
      labels: int [b], -1 = unlabelled.
      sample: int [b], row numbers in the store.
      weight: [b], 0 = padding.
    """

    values: dict[str, Any]
    conditionals: Any
    labels: Any
    sample: Any
    weight: Any


class Reading(NamedTuple):
    """How a stream reads.

    Attributes:
      threads: threads that read; 0 reads when a batch is asked for.
      ahead: batches read ahead; each takes its size in host memory.
      shard: `grain.sharding.ShardOptions` of this process (`ShardByJaxProcess()` asks JAX);
        None reads whole batches.
    """

    threads: int = 2
    ahead: int = 2
    shard: Any = None


READING = Reading()
"""What a stream does unless told otherwise."""


def shared_reading(reading: Reading) -> Reading:
    """Return a reading in which each process that JAX knows reads its own part of every batch."""
    return reading._replace(shard=_grain().sharding.ShardByJaxProcess())


class Plan(Protocol):
    """Which rows go into which step."""

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


class EpochPlan:
    """All training steps of a run: every epoch shuffles the rows anew, as the engine does.

    Args:
      key: the run's PRNG key (`TrainState.key`).
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step; the incomplete last batch of an epoch is left out.
      epochs: passes over the rows.

    Raises:
      InputError: a batch is larger than the rows there are.
    """

    def __init__(self, key: Key, rows: np.ndarray, size: int, *, batch: int, epochs: int):
        if not 1 <= batch <= size:
            raise InputError(
                f"expected batches of 1 to {size} rows, since there are {size}, found {batch}; "
                "choose a smaller batch size"
            )
        self.steps = size // batch
        self._length = epochs * self.steps
        words = jnp.array(jax.random.key_data(key))
        # A copy, because steps overwrite the state that the run's key belongs to.
        own = jax.random.wrap_key_data(words, impl=jax.random.key_impl(key))
        self.digest = _digest(
            np.asarray(words).tobytes(), np.asarray(rows[:size], np.int64).tobytes(), batch
        )
        draw = jax.jit(partial(paired_plan, batch=batch, steps=self.steps))
        held = jnp.asarray(rows)
        self._weight = np.ones(batch, np.float32)

        def epoch_rows(epoch: int) -> np.ndarray:
            return np.asarray(draw(epoch_key(own, epoch), held, size))

        # Threads ask for steps of this epoch and of the next.
        self._epoch_rows = lru_cache(maxsize=2)(epoch_rows)

    def __len__(self) -> int:
        return self._length

    def step(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return row numbers [batch] and weights [batch] of a step, counted over all epochs."""
        return self._epoch_rows(number // self.steps)[number % self.steps], self._weight


class EvaluationPlan:
    """Rows in order, each once; the last batch is padded with weight 0.

    Args:
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step.
    """

    def __init__(self, rows: np.ndarray, size: int, *, batch: int):
        self._rows, self.weights = map(np.asarray, evaluation_plan(jnp.asarray(rows), size, batch))
        self.digest = _digest(self._rows.tobytes(), self.weights.tobytes(), batch)

    def __len__(self) -> int:
        return len(self._rows)

    def step(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return row numbers [batch] and weights [batch] of a step."""
        return self._rows[number], self.weights[number]


class RowStream(Iterator[Rows]):
    """Steps of a plan, read from a store by threads that run ahead.

    Args:
      store: the cohort on disk.
      plan: which rows go into which step.
      reading: threads, look-ahead, and the part of each batch that is this process's.

    Raises:
      InputError: grain is not installed, the plan names rows that the store has not, or batches
        cannot be cut into equal parts.
    """

    def __init__(self, store: Store, plan: Plan, reading: Reading = READING):
        grain = _grain()
        source = _Steps(store, plan, reading.shard)
        options = grain.ReadOptions(num_threads=reading.threads, prefetch_buffer_size=reading.ahead)
        self._iterator = iter(grain.MapDataset.source(source).to_iter_dataset(options))
        self._digest = _digest(store.digest, plan.digest)

    def __next__(self) -> Rows:
        """Return the next step's rows.

        Raises:
          InputError: a file of the store cannot be read.
        """
        try:
            return next(self._iterator)
        except InputError as error:
            # Grain appends a note on its own frames; messages to users have one line.
            raise InputError(str(error).splitlines()[0]) from None

    def get_state(self) -> bytes:
        """Return the place in the plan, as JSON of less than 256 bytes.

        It counts steps of the whole plan, so it also fits another number of processes.
        """
        state = {"plan": self._digest, "place": self._iterator.get_state()}
        return json.dumps(state).encode()

    def set_state(self, state: bytes) -> None:
        """Go to a place that `get_state` told.

        Raises:
          InputError: it is the place in another plan, or in a plan for another store.
        """
        found = json.loads(state)
        if found["plan"] != self._digest:
            raise InputError(
                "the stream's state belongs to other rows: resume with the store, the key and "
                "the settings of the run, or start anew"
            )
        self._iterator.set_state(found["place"])

    def close(self) -> None:
        """Stop reading ahead."""
        self._iterator.close()


class _Steps:
    """A plan's steps as a grain source: random access to what each step reads."""

    def __init__(self, store: Store, plan: Plan, shard: Any):
        index, count = (0, 1) if shard is None else (shard.shard_index, shard.shard_count)
        batch = len(plan.step(0)[0]) if len(plan) else count
        if batch % count:
            raise InputError(
                f"expected a batch size that {count} processes can share, found {batch}; choose a "
                f"multiple of {count}"
            )
        part = batch // count
        self._store, self._plan = store, plan
        self._part = slice(index * part, (index + 1) * part)

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> Rows:
        rows, weight = self._plan.step(number)
        return read_rows(self._store, rows[self._part], weight[self._part])


def read_rows(store: Store, rows: np.ndarray, weight: np.ndarray) -> Rows:
    """Return rows [b] of a store with their weights [b].

    Raises:
      InputError: a row number is outside of the store.
    """
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(store):
        raise InputError(
            f"expected row numbers from 0 to {len(store) - 1}, found {rows.min()} to {rows.max()}; "
            f"split the samples of {store.folder}"
        )
    return Rows(
        {view: store.read(view, rows) for view in store.features},
        store.conditionals(rows),
        store.labels(rows),
        np.asarray(rows, np.int32),
        np.asarray(weight, np.float32),
    )


def as_data(rows: Rows) -> Data:
    """Return rows as a small cohort, numbered from 0; traceable."""
    observed = {view: ~jnp.isnan(values) for view, values in rows.values.items()}
    x = {view: jnp.where(observed[view], values, 0.0) for view, values in rows.values.items()}
    return Data(x, observed, jnp.asarray(rows.conditionals), jnp.asarray(rows.labels))


def as_batch(rows: Rows, standard: Standard) -> Batch:
    """Return the batch that `gather` gives for the same rows of a cohort in memory; traceable.

    Nothing is gathered here, so rows that lie on several devices stay where they are.
    """
    real, names = jnp.asarray(rows.weight) > 0, list(rows.values)
    observed = {v: ~jnp.isnan(rows.values[v]) & real[:, None] for v in names}
    x = {v: jnp.where(observed[v], standard.apply(v, rows.values[v]), 0.0) for v in names}
    return Batch(
        x=x,
        observed=observed,
        sample=dict.fromkeys(names, jnp.asarray(rows.sample)),
        conditionals=dict.fromkeys(names, jnp.asarray(rows.conditionals)),
        labels=dict.fromkeys(names, jnp.where(real, rows.labels, -1)),
        weight=dict.fromkeys(names, jnp.asarray(rows.weight)),
    )


def epoch_key(key: Key, epoch: Array | int) -> Key:
    """Return the key that an epoch's plan is drawn with, from the run's key."""
    return jax.random.fold_in(jax.random.fold_in(key, 2**31 - 1), epoch)


def fit_scaling(
    store: Store,
    rows: np.ndarray,
    *,
    unscaled: tuple[str, ...] = (),
    decimals: int | None = None,
) -> Standard:
    """Return the scaling of every view, fitted on training rows in one pass over the store.

    Args:
      store: the cohort on disk.
      rows: int [n], the training rows.
      unscaled: views that keep their units.
      decimals: standardised values are rounded to so many decimals; None keeps them.
    """
    mean, scale = {}, {}
    for view, names in store.features.items():
        fitted = Scaling(np.zeros(len(names)), np.ones(len(names)))
        if view not in unscaled:
            fitted = view_scaling(store, view, rows)
        mean[view], scale[view] = (jnp.asarray(part, jnp.float32) for part in fitted)
    return Standard(mean, scale, decimals)


def view_scaling(store: Store, view: str, rows: np.ndarray) -> Scaling:
    """Return what `scaling.fit_standard` gives for these rows, float64, in bounded memory."""

    def pieces() -> Iterator[Piece]:
        for values in store.chunks(view, np.sort(rows)):
            yield Piece(values, *[np.ones(len(values), bool)] * 2)

    return view_statistics(store.features[view], pieces()).zscore()


def _digest(*parts: bytes | str | int) -> str:
    """Return 12 hexadecimal digits that name these parts."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part if isinstance(part, bytes) else str(part).encode())
        sha.update(b"\0")
    return sha.hexdigest()[:12]


def _grain() -> Any:
    """Return grain, or say how to install it."""
    try:
        import grain
    except ImportError as error:
        raise InputError(
            'streaming needs grain, which is not installed: pip install "jaxomics[stream]"'
        ) from error
    return grain
