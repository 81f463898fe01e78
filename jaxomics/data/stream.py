"""Batches from a store, in the order of a plan, read ahead by threads (grain).

A plan (`data.plans`) says which rows, and which window of their features, go into which step of
all epochs. A `RowStream` walks through a plan on grain: threads read ahead, and its state is a few
bytes that a checkpoint keeps. Over several processes each batch is cut into equal consecutive
parts, one per process. Of a window only its own features are read.

>>> import jax, tempfile
>>> from jaxomics.data.plans import EpochPlan
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

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Batch, Data, Standard
from jaxomics.data.plans import Part, Plan, digest_of
from jaxomics.data.scaling import Standard as Scaling
from jaxomics.data.statistics import Piece, view_statistics
from jaxomics.data.store import Store
from jaxomics.errors import InputError


class Rows(NamedTuple):
    """Rows of a cohort as they lie on disk; a pytree of host or device arrays.

    Attributes:
      values: float32 [b, features] per view, original units, NaN = not measured.
      conditionals: [b, conditionals].
      labels: int [b], -1 = unlabelled.
      sample: int [b], row numbers in the store.
      weight: [b], 0 = padding.
      begin, place: int [b], first feature and number of a window, the same in all rows; None where
        `values` are whole rows.
    """

    values: dict[str, Any]
    conditionals: Any
    labels: Any
    sample: Any
    weight: Any
    begin: Any = None
    place: Any = None


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
        self._digest = digest_of(store.digest, plan.digest)

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
        own = rows[self._part], weight[self._part]
        return read_rows(self._store, *own, self._plan.part(number))


def read_rows(store: Store, rows: np.ndarray, weight: np.ndarray, part: Part | None = None) -> Rows:
    """Return rows [b] of a store with their weights [b].

    Args:
      store: the cohort on disk.
      rows: int [b].
      weight: [b], 0 = padding.
      part: features to read of every view; None = all.

    Raises:
      InputError: a row number is outside of the store.
    """
    if len(rows) and not 0 <= rows.min() <= rows.max() < len(store):
        raise InputError(
            f"expected row numbers from 0 to {len(store) - 1}, found {rows.min()} to {rows.max()}; "
            f"split the samples of {store.folder}"
        )
    found = Rows(
        {view: _read(store, view, rows, part) for view in store.features},
        store.conditionals(rows),
        store.labels(rows),
        np.asarray(rows, np.int32),
        np.asarray(weight, np.float32),
    )
    if part is None:
        return found
    begin, place = (np.full(len(rows), n, np.int32) for n in (part.begin, part.number))
    return found._replace(begin=begin, place=place)


def _read(store: Store, view: str, rows: np.ndarray, part: Part | None) -> np.ndarray:
    """Return rows of a view, or part of their features, padded with NaN to its width."""
    if part is None:
        return store.read(view, rows)
    found = store.read(view, rows, slice(part.begin, part.end))
    lacking = part.width - found.shape[1]
    return np.pad(found, ((0, 0), (0, lacking)), constant_values=np.nan) if lacking else found


def as_data(rows: Rows) -> Data:
    """Return rows as a small cohort, numbered from 0; traceable."""
    observed = {view: ~jnp.isnan(values) for view, values in rows.values.items()}
    x = {view: jnp.where(observed[view], values, 0.0) for view, values in rows.values.items()}
    return Data(x, observed, jnp.asarray(rows.conditionals), jnp.asarray(rows.labels))


def as_batch(rows: Rows, standard: Standard) -> Batch:
    """Return the batch that `gather` gives for the same rows of a cohort in memory; traceable.

    Of windows it is that of `gather_window`. Nothing is gathered here, so rows that lie on several
    devices stay where they are.
    """
    if rows.begin is not None:
        ((view, values),) = rows.values.items()
        standard = standard.window(view, rows.begin[0], values.shape[1])
    real, names = jnp.asarray(rows.weight) > 0, list(rows.values)
    observed = {v: ~jnp.isnan(rows.values[v]) & real[:, None] for v in names}
    x = {v: standard.read(v, rows.values[v], observed[v]) for v in names}
    return Batch(
        x=x,
        observed=observed,
        sample=dict.fromkeys(names, jnp.asarray(rows.sample)),
        conditionals=dict.fromkeys(names, jnp.asarray(rows.conditionals)),
        labels=dict.fromkeys(names, jnp.where(real, rows.labels, -1)),
        weight=dict.fromkeys(names, jnp.asarray(rows.weight)),
        place={} if rows.place is None else dict.fromkeys(names, jnp.asarray(rows.place)),
    )


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


def _grain() -> Any:
    """Return grain, or say how to install it."""
    try:
        import grain
    except ImportError as error:
        raise InputError(
            'streaming needs grain, which is not installed: pip install "jaxomics[stream]"'
        ) from error
    return grain
