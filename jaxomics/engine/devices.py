"""The only place that knows devices: layouts, placement, backends, the compilation cache.

Devices form a mesh with two axes. Replicas are spread over the axis `replica` and have nothing to
tell each other; what devices are left then splits each batch over the axis `data`.

Two backends compile the same functions. Under `jit`, the default, a function sees whole arrays,
the layout says where their parts lie, and the compiler puts in what devices have to exchange: one
batch, one draw of noise, one batch norm, as on a single device. Under `pmap`, the elder of the
two, the function sees its own part of the batch and exchanges by itself: `make_step(axis_name=)`
averages gradients and metrics, and losses count over all parts (`losses.masked`). Every device
then draws noise of its own, and a loss that compares samples sees the pairs of its part only. As
`jax.pmap` is by now a `shard_map` under `jit`, nothing here would gain by calling `shard_map`.

On a single device none of this happens: programs are those of plain `jax.jit`.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxomics.errors import InputError
from jaxomics.types import Array

T = TypeVar("T")
Device: TypeAlias = Any
"""A `jax.Device`."""
Backend = Literal["jit", "pmap"]
REPLICA, DATA = "replica", "data"
"""Axes of the mesh."""
MOST_CORES = 4
"""Most cores that `use_cores` makes devices of: each holds a copy of the data."""
MOST_PADDING = 1.1
"""Most places per replica on cores; beyond it they would train padding."""


@dataclass(frozen=True)
class Layout:
    """Which devices hold which replicas, and which rows of a batch.

    Attributes:
      mesh: [replica, data] devices.
      backend: what compiles the training program.
    """

    mesh: Mesh
    backend: Backend = "jit"

    @property
    def single(self) -> bool:
        """Is this the device that JAX takes by itself? Then nothing is placed anywhere."""
        return self.mesh.size == 1 and self.mesh.devices.flat[0] == jax.local_devices()[0]

    @property
    def axis_name(self) -> str | None:
        """Name of the axis that a step averages over; None where the compiler does that."""
        return DATA if self.backend == "pmap" and not self.single else None

    @property
    def whole(self) -> NamedSharding:
        """Everything on every device."""
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def replicas(self) -> NamedSharding:
        """The leading axis over the replica axis; everything everywhere where that has length 1.

        So it also places what has no replica axis, the carry of a single replica.
        """
        spread = self.mesh.shape[REPLICA] > 1
        return NamedSharding(self.mesh, PartitionSpec(REPLICA) if spread else PartitionSpec())

    def places(self, replicas: int) -> int:
        """Return the least number of at least `replicas` that the replica axis divides."""
        axis = self.mesh.shape[REPLICA]
        return -(-replicas // axis) * axis

    def share(self, tree: T) -> T:
        """Return arrays that every device holds whole: data."""
        return tree if self.single else _put(tree, self.whole)

    def spread(self, tree: T) -> T:
        """Return arrays whose leading axis is spread over the replica axis: states, settings."""
        return tree if self.single else _put(tree, self.replicas)

    def home(self, tree: T) -> T:
        """Return arrays on the host, whole, in every process; on a single device, as they are."""
        return tree if self.single else jax.tree.map(_fetch, tree)

    def number(self, value: int) -> np.ndarray | np.int32:
        """Return an integer as the program takes it; `pmap` wants one per device."""
        return np.full(self.mesh.size, value, np.int32) if self.axis_name else np.int32(value)

    def rows(self, rows: Array) -> Array:
        """Return those of a batch's rows [b] that the function being traced works on."""
        if self.axis_name is None:
            return rows
        part = len(rows) // self.mesh.shape[DATA]
        return jax.lax.dynamic_slice_in_dim(rows, jax.lax.axis_index(DATA) * part, part)

    def split(self, batch: T) -> T:
        """Return a batch, pytree of [b, ...] arrays, with its rows split over the data axis."""
        if self.single or self.axis_name or self.mesh.shape[DATA] == 1:
            return batch
        return jax.lax.with_sharding_constraint(
            batch, NamedSharding(self.mesh, PartitionSpec(DATA))
        )

    def feed(self, tree: T) -> T:
        """Return a batch on its way to the devices, its rows over the data axis.

        Args:
          tree: host arrays [rows, ...]: of each process its own part of the batch.
        """
        if self.single:
            return jax.device_put(tree)
        rows = NamedSharding(self.mesh, PartitionSpec(DATA))
        return jax.tree.map(
            lambda part: jax.make_array_from_process_local_data(rows, np.asarray(part)), tree
        )

    def vmap(self, function: Callable[..., Any], in_axes: Any = 0) -> Callable[..., Any]:
        """Return `jax.vmap` over replicas, which tells constraints inside where replicas lie."""
        axis = None if self.single or self.axis_name else REPLICA
        return jax.vmap(function, in_axes=in_axes, spmd_axis_name=axis)

    def strips(self, function: Callable[..., Any], *, hasty: bool = False) -> Any:
        """Return a compiled function that every device runs on its own part of the work.

        Args:
          function: (shared, own) -> results; `shared` is held whole by every device, leaves of
            `own` [devices, ...] and of the results lie one per device. Inside, their leading
            axis is gone. Nothing is exchanged, and branches stay branches.
          hasty: on CPU, compile in half the time, to slower code: for little work.
        """

        def run(shared: Any, own: Any) -> Any:
            found = function(shared, jax.tree.map(lambda leaf: leaf[0], own))
            return jax.tree.map(lambda leaf: leaf[None], found)

        hasty = hasty and self.mesh.devices.flat[0].platform == "cpu"
        options = {"xla_backend_optimization_level": 0} if hasty else None
        if self.mesh.size == 1:
            return jax.jit(run, compiler_options=options)
        own = PartitionSpec((REPLICA, DATA))
        spread = jax.shard_map(
            run, mesh=self.mesh, in_specs=(PartitionSpec(), own), out_specs=own, check_vma=False
        )
        return jax.jit(spread, compiler_options=options)

    def jit(self, function: Callable[..., Any], *donated: int) -> Any:
        """Return a compiled function of placed arrays whose results lie like replicas."""
        if self.single:
            return jax.jit(function, donate_argnums=donated)
        return jax.jit(function, donate_argnums=donated, out_shardings=self.replicas)

    def program(self, epochs: Callable[..., Any]) -> Any:
        """Return the compiled training program.

        Args:
          epochs: (state, control, data, standard, split, hyper, first, count) -> state, control,
            metrics, activity; the carries' memory is reused. The last two arguments are what
            `number` returns, and the last two results come back whole.
        """
        if self.single:
            return jax.jit(epochs, donate_argnums=(0, 1))
        if self.axis_name:
            return jax.pmap(
                epochs,
                self.axis_name,
                in_axes=(None,) * 6 + (0, 0),
                out_axes=None,  # pyright: ignore[reportArgumentType]
                devices=self.mesh.devices.ravel().tolist(),
                donate_argnums=(0, 1),
            )
        out = (self.replicas, self.replicas, self.whole, self.whole)
        return jax.jit(epochs, donate_argnums=(0, 1), out_shardings=out)


def make_layout(
    replicas: int,
    devices: Sequence[Device] | None = None,
    *,
    batch: int | None = None,
    backend: Backend = "jit",
) -> Layout:
    """Return the layout of a run.

    As few replicas as possible come to lie on a device, on as few devices as that takes; every
    device holds equally many, so carries may need padding (`Layout.places`). Then as many
    devices as there are, and as divide the batch, split it. `pmap` splits the batch only.

    Args:
      replicas: how many are trained at the same time.
      devices: those to use; see `default_devices`.
      batch: rows per step; None = do not split batches.
      backend: what compiles the training program.

    Raises:
      InputError: several processes cannot take equal parts, or cannot use `pmap`.

    >>> dict(make_layout(3, jax.devices()[:1]).mesh.shape)
    {'replica': 1, 'data': 1}
    """
    if devices is None:
        devices = default_devices()
        if cores_are_devices() and backend == "jit":
            devices, batch = devices[: _cores_for(replicas, len(devices))], None
    processes = len({device.process_index for device in devices})
    if backend == "pmap" and processes > 1:
        raise InputError(f"expected one process under pmap, found {processes}; choose jit")
    most = 1 if backend == "pmap" else min(replicas, len(devices))
    shapes = [
        (r, d)
        for r in range(1, most + 1)
        for d in range(1, len(devices) // r + 1)
        if (batch or 1) % d == 0 and r * d % processes == 0
    ]
    if not shapes:
        raise InputError(
            f"expected a batch or replicas that {processes} processes can share evenly, found "
            f"{replicas} replicas and batches of {batch}; choose a --batch-size that is a multiple "
            f"of {processes}, or fewer processes"
        )
    replica, data = min(shapes, key=lambda shape: (-(-replicas // shape[0]), -shape[1], shape[0]))
    chosen = np.array(_evenly(devices, replica * data // processes)).reshape(replica, data)
    return Layout(Mesh(chosen, (REPLICA, DATA), axis_types=(AxisType.Auto,) * 2), backend)


def one_device() -> Layout:
    """Return the layout of the device that JAX takes by itself."""
    return make_layout(1, jax.local_devices()[:1])


def default_devices() -> list[Device]:
    """Return the devices that a run uses if it is not told: all, of all processes.

    One process takes one CPU device only, which works on all cores, unless `use_cores` has made
    cores devices. Those that `--xla_force_host_platform_device_count` makes are for tests.
    """
    devices = jax.devices()
    alone = devices[0].platform == "cpu" and jax.process_count() == 1
    return devices[:1] if alone and not cores_are_devices() else devices


def use_cores() -> None:
    """Make each CPU core a device, so that replicas train beside each other.

    One device works on all cores as well, but only inside large operations; small networks leave
    all cores but one idle. Must come before JAX starts; later, or where the user has chosen the
    number of CPU devices, it does nothing. Batches are not split over cores.
    """
    chosen = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if chosen or jax.config.jax_num_cpu_devices > 0:  # pyright: ignore
        return
    known = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1
    with suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", min(cores, MOST_CORES))


def cores_are_devices() -> bool:
    """Has this process made several CPU cores devices, and computes on them alone?"""
    several = jax.config.jax_num_cpu_devices > 1  # pyright: ignore
    return several and jax.default_backend() == "cpu" and jax.process_count() == 1


def _cores_for(replicas: int, cores: int) -> int:
    """Return how many cores take equal numbers of replicas without much padding.

    >>> _cores_for(10, 4), _cores_for(5, 2), _cores_for(25, 2)
    (2, 1, 2)
    """
    fitting = [n for n in range(1, cores + 1) if -(-replicas // n) * n <= MOST_PADDING * replicas]
    return max(n for n in fitting if n <= replicas)


def _evenly(devices: Sequence[Device], each: int) -> list[Device]:
    """Return the first `each` devices of every process, processes one after the other."""
    own: dict[int, list[Device]] = {}
    for device in devices:
        own.setdefault(device.process_index, []).append(device)
    return [device for process in sorted(own) for device in own[process][:each]]


def is_key(leaf: Any) -> bool:
    """Is this an array of PRNG keys, or the shape and type of one?"""
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _put(tree: T, sharding: NamedSharding) -> T:
    """Place arrays; where several processes do so, each gives its own devices their parts.

    Shapes and types in the place of arrays learn where the arrays will lie; what is being traced
    stays as it is.
    """

    def put(leaf: Any) -> Any:
        if isinstance(leaf, jax.ShapeDtypeStruct):
            return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
        if isinstance(leaf, Tracer):
            return leaf
        if sharding.is_fully_addressable or not getattr(leaf, "is_fully_addressable", True):
            return jax.device_put(leaf, sharding)
        if is_key(leaf):
            return jax.random.wrap_key_data(put(jax.random.key_data(leaf)))
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(put, tree)


def _fetch(leaf: Any) -> Any:
    """Return one array whole: numbers as numpy arrays, keys on this process's own device."""
    if is_key(leaf):
        return jax.random.wrap_key_data(_fetch(jax.random.key_data(leaf)))
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        if not leaf.is_fully_replicated:
            whole = NamedSharding(leaf.sharding.mesh, PartitionSpec())  # pyright: ignore
            leaf = jax.jit(lambda array: array, out_shardings=whole)(leaf)
        leaf = leaf.addressable_data(0)
    return np.asarray(leaf)


def cache_folder() -> Path:
    """Return the folder of compiled programs: `JAXOMICS_CACHE`, or one in the user's cache."""
    named = os.environ.get("JAXOMICS_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "jaxomics" / "compiled"


def use_compilation_cache() -> None:
    """Keep compiled programs between processes, unless the user has chosen a folder already.

    A folder that cannot be written is no error: programs are then compiled anew.
    """
    chosen = getattr(jax.config, "jax_compilation_cache_dir", None)
    if chosen or os.environ.get("JAXOMICS_CACHE") == "off":
        return
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def describe_devices() -> str:
    """Return what JAX computes on, such as `cpu x 1` or `NVIDIA H100 x 2`."""
    devices = jax.devices()
    return f"{devices[0].device_kind} x {len(devices)}"
