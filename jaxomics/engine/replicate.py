"""Replicas: folds, seeds and hyper-parameters as one array axis of one compiled program."""

import time
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Data, Standard
from jaxomics.engine.capacity import (
    carries,
    even_size,
    free_bytes,
    program_bytes,
    replicas_at_once,
    tree_bytes,
)
from jaxomics.engine.checkpoint import SMALL, store_size, stored_size
from jaxomics.engine.devices import Backend, Device, Layout, make_layout, one_device
from jaxomics.engine.drive import Chunk, Driver, Halt, Recorder, Trained, finished
from jaxomics.engine.fit import (
    Programs,
    Settings,
    begin,
    floats,
    jitted,
    make_programs,
    placed,
    run_shape,
)
from jaxomics.engine.processes import from_writer, highest, is_writer
from jaxomics.engine.state import FitResult, Split, Train
from jaxomics.errors import InputError
from jaxomics.models.base import Hyper, Model
from jaxomics.types import Array, Key

T = TypeVar("T")


def fit_many(
    model: Model,
    data: Data,
    standards: Standard,
    splits: Split,
    hypers: Hyper,
    train: Train,
    *,
    keys: Key,
    recorder: Recorder | None = None,
    max_replicas: int | None = None,
    halt: Halt | None = None,
    block: int | None = None,
    devices: Sequence[Device] | None = None,
    backend: Backend = "jit",
) -> FitResult:
    """Train all replicas at once, or in chunks; the data are held once and shared.

    Chunks have equal sizes, the last one padded, so one program trains them all. Every replica
    takes as many steps per epoch as the smallest one allows, in chunks or not, so results do not
    depend on the division but for the rounding of programs that are compiled for other numbers
    of replicas.

    Args:
      model: what to train.
      data: the cohort on the device; its conditionals may be [replicas, n, c], since they are
        scaled on each fold's training rows, and its labels [replicas, n], since replicas may
        know different ones.
      standards: scaling with a leading replica axis, fitted on each fold's training rows.
      splits: rows with a leading replica axis, padded to equal length (`stack`).
      hypers: traced settings with a leading replica axis.
      train: static settings.
      keys: [replicas] PRNG keys.
      recorder: run folder, progress and resuming.
      max_replicas: most replicas at a time; by default what fits into memory (`capacity`), or as
        many as the run that is resumed had.
      halt: told the new rows of metrics.jsonl after each call, returns the replicas to stop:
        those keep their state from then on. A replica that it stops may be not finite, and
        numbers of replicas that are not being trained are ignored. A resumed run tells it only
        the rows from then on.
      block: epochs per call, hence between two questions to `halt`; by default as many as take
        some seconds, which differs from run to run.
      devices: where to train, see `default_devices`: replicas are spread over them, and those
        left over split batches (`make_layout`).
      backend: as for `fit`.

    Returns:
      The result, every array with a leading replica axis.

    Raises:
      InputError: arrays of different numbers of replicas, or a folder with another run.
      NonFiniteError: a metric became infinite or NaN; names it, the replica and the epoch.
    """
    recorder = recorder or Recorder()
    settings = Settings(data, standards, jax.tree.map(jnp.asarray, splits), floats(hypers))
    replicas = _count(settings, keys)
    shape = run_shape(model, train, data, settings.split)
    together = min(replicas, max(max_replicas or replicas, 1))
    layout = make_layout(together, devices, batch=shape[1], backend=backend)
    programs = _programs(model, train, shape, layout, freeze=halt is not None, own=data.own)
    begun = time.perf_counter()
    size = _size(programs, settings, keys, recorder, max_replicas, layout)
    sizing = time.perf_counter() - begun
    own = {name: getattr(data, name) for name in data.own}
    settings = settings._replace(data=layout.share(data).replace(**own))
    chunks = [
        _chunk(programs, settings, keys, range(first, min(first + size, replicas)), size, layout)
        for first in range(0, replicas, size)
    ]
    with Driver(
        programs.epochs, train, recorder, chunks, layout=layout, halt=halt, block=block
    ) as driver:
        driver.seconds["compile"] += sizing
        if len(chunks) == 1:
            return finished(driver.run(0), train, driver.seconds)
        parts = [
            _to_host(driver.run(i), train, len(chunk.replicas)) for i, chunk in enumerate(chunks)
        ]
    return _joined(parts, driver.seconds)


def repeat(tree: T, replicas: int) -> T:
    """Return the tree with a leading replica axis, every replica alike."""
    return jax.tree.map(
        lambda leaf: jnp.broadcast_to(jnp.asarray(leaf), (replicas, *jnp.shape(leaf))), tree
    )


def stack(trees: Sequence[T]) -> T:
    """Return trees of equal shapes stacked along a new leading replica axis."""
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *trees)


@lru_cache(maxsize=16)
def _programs(
    model: Model,
    train: Train,
    shape: tuple[int, int, int],
    layout: Layout,
    *,
    freeze: bool,
    own: tuple[str, ...],
) -> Programs:
    """Return the jitted functions of many replicas; equal arguments share what was compiled.

    Args:
      model, train, shape, layout, freeze: as for `make_programs`.
      own: fields of the data that have a replica axis.
    """
    one = make_programs(model, train, shape, freeze=freeze, layout=layout)
    return jitted(_mapped(one, _axes(own), layout), layout)


def _axes(own: tuple[str, ...]) -> tuple:
    """Return which axis of data, scaling, split and hypers counts replicas.

    Args:
      own: fields of the data that have a replica axis.
    """
    shared: Any = Data(x=None, observed=None, conditionals=None, labels=None)  # pyright: ignore
    return shared.replace(**dict.fromkeys(own, 0)), 0, 0, 0


def _mapped(programs: Programs, axes: tuple, layout: Layout | None = None) -> Programs:
    """Return the functions of one replica as functions of many."""
    layout = layout or one_device()
    return Programs(
        layout.vmap(programs.draw, (*axes, 0)),
        layout.vmap(programs.fresh),
        layout.vmap(programs.epochs, (0, 0, *axes, None, None)),
    )


def _count(settings: Settings, keys: Key) -> int:
    """Return the number of replicas.

    Raises:
      InputError: something is there for another number of replicas than there are keys.
    """
    parts: dict[str, Any] = {
        "standards": settings.standard,
        "splits": settings.split,
        "hypers": settings.hyper,
    }
    parts |= {name: getattr(settings.data, name) for name in settings.data.own}
    for name, part in parts.items():
        found = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(part)}
        if found - {keys.shape[:1]}:
            raise InputError(
                f"expected {name} with a leading axis of {len(keys)} replicas, one per key, found "
                f"lengths {sorted(length[0] if length else 0 for length in found)}"
            )
    return len(keys)


def _select(settings: Settings, keys: Key, replicas: Array | np.ndarray) -> tuple[Settings, Key]:
    """Return the settings and keys of some replicas."""
    data, *own = settings
    data = data.replace(**{name: getattr(data, name)[replicas] for name in data.own})
    mine, keys = jax.tree.map(lambda leaf: jnp.asarray(leaf)[replicas], (own, keys))
    return Settings(data, *mine), keys


def _chunk(
    programs: Programs, settings: Settings, keys: Key, replicas: range, size: int, layout: Layout
) -> Chunk:
    """Return a chunk with as many places as `size` replicas take; what is too much is padding."""
    places = layout.places(size)
    chosen = np.minimum(np.arange(replicas.start, replicas.start + places), replicas.stop - 1)

    def own() -> tuple[Settings, Key]:
        if places == len(replicas) == len(keys):
            return placed(settings, layout), layout.spread(keys)
        mine, my_keys = _select(settings, keys, chosen)
        return placed(mine, layout), layout.spread(my_keys)

    return Chunk(replicas, lambda: begin(programs, *own()), lambda: own()[0], places)


def _size(
    programs: Programs,
    settings: Settings,
    keys: Key,
    recorder: Recorder,
    max_replicas: int | None,
    layout: Layout,
) -> int:
    """Return the replicas per chunk, and note it in the run folder.

    Raises:
      InputError: `max_replicas` is no number of replicas, or not that of the run to resume.
    """
    if max_replicas is not None and max_replicas < 1:
        raise InputError(f"expected max_replicas of at least 1, found {max_replicas}")
    replicas = len(keys)
    stored = None
    if is_writer():
        stored = stored_size(recorder.folder, replicas, resume=recorder.resume)
    if max_replicas is not None:
        size = even_size(replicas, max_replicas)
        if stored not in (None, size):
            raise InputError(
                f"{recorder.folder} holds a run of {stored} replicas at a time, not {size}: "
                "leave out max_replicas, or start anew with --overwrite"
            )
    else:
        stored = int(from_writer(np.int32(stored or 0))) or None
        size = stored or even_size(replicas, _capacity(programs, settings, keys, recorder, layout))
    if recorder.folder and stored is None and is_writer():
        store_size(recorder.folder, replicas, size)
    return size


def _capacity(
    programs: Programs, settings: Settings, keys: Key, recorder: Recorder, layout: Layout
) -> int:
    """Return how many replicas fit into the memory of the devices; the same in all processes."""
    devices = [d for d in layout.mesh.devices.flat if d.process_index == jax.process_index()]
    free, spread = free_bytes(devices), layout.places(1)

    def shapes(width: int) -> tuple[Settings, Key]:
        chosen = np.minimum(np.arange(width * spread), len(keys) - 1)
        mine, my_keys = jax.eval_shape(partial(_select, replicas=chosen), settings, keys)
        return placed(mine, layout), layout.spread(my_keys)

    state, control = carries(programs, *shapes(1))
    carry, kept = tree_bytes((state, control)) // spread, 0
    if devices[0].platform == "cpu" and free is not None:
        kept = tree_bytes((state.params, state.collections))
        # A checkpoint is written from a copy while training goes on.
        free -= min(carry * len(keys), SMALL) if recorder.folder else 0
    fitting = replicas_at_once(
        lambda width: program_bytes(programs, *shapes(width), layout),
        -(-len(keys) // spread),
        free,
        least=carry,
        kept=kept,
    )
    return -int(highest(np.array(-fitting, np.int32))) * spread


def _to_host(trained: Trained, train: Train, replicas: int) -> FitResult:
    """Return a chunk's result on the host, without padding and without its state."""
    result = finished(trained, train, {})
    control = result.control.replace(best_params=())
    kept = jax.tree.map(
        lambda leaf: np.array(np.asarray(leaf)[:replicas]),
        (result.params, result.collections, control),
    )
    return FitResult(kept[0], kept[1], None, kept[2], result.history, {})


def _joined(parts: list[FitResult], seconds: dict[str, float]) -> FitResult:
    """Return the results of chunks as one."""
    trees = [(part.params, part.collections, part.control) for part in parts]
    params, collections, control = jax.tree.map(lambda *leaves: np.concatenate(leaves), *trees)
    rows = [row for part in parts for row in part.history]
    return FitResult(params, collections, None, control, rows, seconds)
