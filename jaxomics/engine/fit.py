"""Train one replica; and the pure functions that every run is made of."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Data, Standard, gather
from jaxomics.data.sampling import members, usable, window_count
from jaxomics.engine.checkpoint import stored_size
from jaxomics.engine.control import start_control
from jaxomics.engine.devices import Backend, Device, Layout, make_layout, one_device
from jaxomics.engine.drive import BUFFER, Carry, Chunk, Driver, Recorder, finished
from jaxomics.engine.epoch import pairs_of, run_epochs
from jaxomics.engine.game import first_state, make_step
from jaxomics.engine.processes import is_writer
from jaxomics.engine.state import Control, FitResult, Split, Train, TrainState
from jaxomics.errors import InputError
from jaxomics.models.base import Hyper, Model, Variables
from jaxomics.types import Array, Key


class Settings(NamedTuple):
    """What the training program reads beside its carries; fields as for `fit`."""

    data: Data
    standard: Standard
    split: Split
    hyper: Hyper


class Programs(NamedTuple):
    """The functions of a run.

    Attributes:
      draw: (data, standard, split, hyper, key) -> variables.
      fresh: (variables, hyper, key) -> (state, control).
      epochs: (state, control, data, standard, split, hyper, first, count) -> what `run_epochs`
        returns.
    """

    draw: Callable[..., Variables]
    fresh: Callable[..., Carry]
    epochs: Any


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
    devices: Sequence[Device] | None = None,
    backend: Backend = "jit",
) -> FitResult:
    """Train one replica; several devices split its batches.

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
      devices: where to train; see `default_devices`.
      backend: `jit` gives the result of one device but for rounding; `pmap` draws noise, and
        compares samples, on each device by itself.

    Raises:
      NonFiniteError: a loss became infinite or NaN.
      InputError: the recorder's folder holds a run that is not to be resumed, or another run.
    """
    recorder = recorder or Recorder()
    if is_writer():
        stored_size(recorder.folder, 1, resume=recorder.resume)
    shape = run_shape(model, train, data, split)
    layout = make_layout(1, devices, batch=shape[1], backend=backend)
    programs = jitted(make_programs(model, train, shape, layout=layout), layout)
    settings = Settings(data, standard, jax.tree.map(jnp.asarray, split), floats(hyper))
    settings = placed(settings, layout)
    first = partial(begin, programs, settings, layout.spread(key))
    if start is not None:
        first = partial(_go_on, start, train, layout)
    chunk = Chunk(range(1), first, lambda: settings)
    with Driver(programs.epochs, train, recorder, [chunk], layout=layout) as driver:
        return finished(driver.run(0), train, driver.seconds)


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
    settings: Settings
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
) -> Prepared:
    """Return fresh carries and the program that trains them; arguments as for `fit`."""
    shape = run_shape(model, train, data, split)
    programs = jitted(make_programs(model, train, shape))
    settings = Settings(data, standard, jax.tree.map(jnp.asarray, split), floats(hyper))
    return Prepared(programs.epochs, *begin(programs, settings, key), settings, shape)


def make_programs(
    model: Model,
    train: Train,
    shape: tuple[int, int, int],
    *,
    freeze: bool = False,
    layout: Layout | None = None,
) -> Programs:
    """Return the functions of one replica's run, neither mapped nor jitted.

    Parameters are drawn before the optimiser's moments exist, since drawing takes up to twice
    their memory besides; hence two functions.

    Args:
      model: what to train.
      train: static settings.
      shape: what `epoch_shape` returns.
      freeze: keep the state of replicas that the host has stopped.
      layout: how devices split batches; by default none does.
    """
    step = make_step(model, axis_name=layout.axis_name if layout else None)

    def draw(data: Data, standard: Standard, split: Split, hyper: Hyper, key: Key) -> Variables:
        rows = jnp.asarray(split.train)
        example = gather(data, standard, rows[:2], jnp.ones(2))
        params, collections = model.init(jax.random.split(key)[0], example)
        if model.survey is None:
            return Variables(params, collections)
        weight = (jnp.arange(len(rows)) < split.train_size).astype(jnp.float32)
        return Variables(params, model.survey(collections, gather(data, standard, rows, weight)))

    def fresh(variables: Variables, hyper: Hyper, key: Key) -> Carry:
        state = first_state(model, variables, hyper, jax.random.split(key)[1])
        return state, start_control((state.params, state.collections), train)

    def epochs(
        state: TrainState,
        control: Control,
        data: Data,
        standard: Standard,
        split: Split,
        hyper: Hyper,
        first: Array,
        count: Array,
    ) -> tuple:
        return run_epochs(
            model, step, state, control, data, standard, split, hyper, train, shape, first, count,
            freeze=freeze, layout=layout,
        )  # fmt: skip

    return Programs(draw, fresh, epochs)


def jitted(programs: Programs, layout: Layout | None = None) -> Programs:
    """Return compiled functions; carries and drawn variables give their memory to the result.

    Args:
      programs: of one replica, or mapped over replicas.
      layout: where their arguments lie; by default on the device that JAX takes by itself.
    """
    layout = layout or one_device()
    return Programs(
        layout.jit(programs.draw), layout.jit(programs.fresh, 0), layout.program(programs.epochs)
    )


def placed(settings: Settings, layout: Layout) -> Settings:
    """Return settings on the devices that need them: data on all, the rest by replica."""
    data, standard, split, hyper = settings
    own = {name: layout.spread(getattr(data, name)) for name in data.own}
    shared = layout.share(data).replace(**own)
    return Settings(shared, *layout.spread((standard, split, hyper)))


def begin(programs: Programs, settings: Settings, key: Key) -> Carry:
    """Return the carries before the first epoch.

    Args:
      programs: jitted; mapped over replicas if settings and key have a replica axis.
      settings: data and settings of the run.
      key: the only source of randomness.
    """
    variables = programs.draw(*settings, key)
    return programs.fresh(variables, settings.hyper, key)


def _go_on(start: TrainState, train: Train, layout: Layout) -> Carry:
    """Return the carries of a stage that goes on from a copy of a state."""
    copy = jax.jit(partial(jax.tree.map, jnp.copy))
    control = jax.jit(partial(start_control, train=train))
    return layout.spread((copy(start), control((start.params, start.collections))))


def floats(hyper: Hyper) -> Hyper:
    """Return hyper-parameters as float32 arrays."""
    return jax.tree.map(lambda value: jnp.asarray(value, jnp.float32), hyper)


def run_shape(model: Model, train: Train, data: Data, split: Split) -> tuple[int, int, int]:
    """Return steps per epoch, batch size and buffer length of a run, or of all its replicas.

    Replicas share one program, so the smallest decides.

    Args:
      model: how it draws batches.
      train: batch size and epochs.
      data: the cohort, for the rows of each view.
      split: training rows, of one replica or with a leading replica axis.

    Raises:
      InputError: fewer than two training rows, or in some view if each is drawn by itself; or
        fewer than two pairs of them.
    """
    smallest = int(jnp.min(jnp.asarray(split.train_size)))
    if model.sampling.kind == "paired":
        return epoch_shape(train, smallest)
    if model.sampling.kind == "windows":
        (values,) = data.x.values()
        return windowed_shape(model, train, smallest, values.shape[1])
    if model.sampling.kind == "matched":
        return epoch_shape(train, fewest_pairs(data, split))
    counts = rows_per_view(data, split)
    for view, found in counts.items():
        if found.min() < 2:
            raise InputError(
                f"expected at least 2 training samples with view {view}, found {found.min()}; "
                "add samples, or leave the view out"
            )
    batch = min(train.batch_size, *(int(found.min()) for found in counts.values()))
    ends = np.stack(list(counts.values())) // batch
    epoch = ends.min(axis=0) if model.sampling.length == "min" else ends.max(axis=0)
    return int(epoch.min()), batch, min(BUFFER, train.epochs)


def fewest_pairs(data: Data, split: Split) -> int:
    """Return how many pairs of training rows the replica with the fewest has.

    Raises:
      InputError: fewer than two.
    """
    pairs, rows = np.asarray(pairs_of(data)), np.atleast_2d(np.asarray(split.train))
    sizes = np.broadcast_to(np.asarray(split.train_size), len(rows))
    own = np.broadcast_to(pairs, (len(rows), *pairs.shape[-2:]))
    inside = [
        members(jnp.asarray(r), int(s), len(data.labels)) for r, s in zip(rows, sizes, strict=True)
    ]
    found = [int(jnp.sum(usable(jnp.asarray(p), m))) for p, m in zip(own, inside, strict=True)]
    if min(found) < 2:
        raise InputError(
            f"expected at least 2 matched pairs of training samples, found {min(found)}; match "
            "by fewer columns, or add samples"
        )
    return min(found)


def rows_per_view(data: Data, split: Split) -> dict[str, np.ndarray]:
    """Return how many training rows have any value of each view, int [replicas or 1]."""
    rows = np.atleast_2d(np.asarray(split.train))
    real = np.arange(rows.shape[1]) < np.reshape(np.asarray(split.train_size), (-1, 1))
    return {
        view: np.sum(np.asarray(jnp.any(seen, axis=1))[rows] & real, axis=1)
        for view, seen in data.observed.items()
    }


def windowed_shape(model: Model, train: Train, size: int, features: int) -> tuple[int, int, int]:
    """Return what `epoch_shape` does, where an epoch sees all windows of so many features."""
    steps, batch, length = epoch_shape(train, size)
    sampling = model.sampling
    return steps * window_count(features, sampling.window, sampling.ends), batch, length


def epoch_shape(train: Train, size: int) -> tuple[int, int, int]:
    """Return steps per epoch, batch size and buffer length for `size` training rows."""
    if size < 2:
        raise InputError(f"expected at least 2 training samples, found {size}; add samples")
    batch = min(train.batch_size, size)
    return size // batch, batch, min(BUFFER, train.epochs)
