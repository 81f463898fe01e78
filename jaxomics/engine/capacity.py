"""How many replicas fit into memory: the compiler's numbers against what is free.

The program that trains all replicas has to be compiled anyway, so it is asked first what it needs
(`planned_bytes`). Only where that is more than is free, or where the carries alone show that it
must be, the program of one replica is compiled too: memory is a line in the number of replicas,
and the line through the two tells how many fit. So a run with room enough pays nothing, and one
without pays two compilations.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxomics.engine.devices import Layout, one_device
from jaxomics.engine.fit import Programs, Settings, begin
from jaxomics.types import Key

RESERVE = 0.15
"""Share of the free memory that is left alone: for the allocator, the host and the unforeseen."""
HALF_KNOWN = 0.5
"""Share of a machine's memory taken as free where the system does not tell what is."""


def replicas_at_once(
    need: Callable[[int], int], replicas: int, free: int | None, *, least: int, kept: int = 0
) -> int:
    """Return how many replicas to train at the same time: all if they fit, at least 1.

    Args:
      need: bytes that training so many replicas takes; asking costs a compilation.
      replicas: how many there are.
      free: bytes that training may take; None = unknown, then all are trained at once.
      least: bytes per replica below which `need` cannot be, its carries.
      kept: bytes per replica that stay in the same memory when its chunk is done.

    >>> replicas_at_once(lambda n: 100 + 30 * n, 10, 400, least=20)
    10
    >>> replicas_at_once(lambda n: 100 + 30 * n, 10, 250, least=20)
    5
    """
    if free is None or replicas == 1:
        return replicas
    top = replicas if replicas * least <= free else max(2, free // least)
    needed = need(top)
    if top == replicas and needed <= free:
        return replicas
    room, alone = free - kept * replicas, need(1)
    each = max((needed - alone) / (top - 1), least)
    return int(min(max(1 + (room - alone) // each, 1), top, replicas))


def even_size(replicas: int, most: int) -> int:
    """Return the size of the fewest chunks of at most `most` replicas, as even as they can be.

    >>> even_size(10, 8), even_size(7, 3), even_size(4, 9)
    (5, 3, 4)
    """
    chunks = -(-replicas // min(most, replicas))
    return -(-replicas // chunks)


def program_bytes(
    programs: Programs, settings: Settings, keys: Key, layout: Layout | None = None
) -> int:
    """Return the bytes that a run takes on a device besides its data, as the compiler plans them.

    The larger of drawing parameters and training; the compiled programs stay in JAX's cache, so
    that the run itself does not compile them again.

    Args:
      programs: mapped over replicas and jitted.
      settings, keys: of some replicas; arrays, or what `jax.eval_shape` returns in their place.
      layout: where they lie; by default on one device.
    """
    layout = layout or one_device()
    carry, zero = layout.spread(carries(programs, settings, keys)), layout.number(0)
    draw = programs.draw.lower(*settings, keys)  # pyright: ignore[reportFunctionMemberAccess]
    epochs = programs.epochs.lower(*carry, *settings, zero, zero)
    planned = max(planned_bytes(draw.compile()), planned_bytes(epochs.compile()))
    return max(planned - tree_bytes(settings.data), 0)


def carries(programs: Programs, settings: Settings, keys: Key) -> Any:
    """Return shapes and types of the carries of some replicas."""
    return jax.eval_shape(lambda s, k: begin(programs, s, k), settings, keys)


def planned_bytes(compiled: Any) -> int:
    """Return what a compiled program holds at once: arguments, results, and room to work.

    Results that take over an argument's memory count once; 0 where the compiler does not tell.
    """
    plan = compiled.memory_analysis()
    if plan is None:
        return 0
    held = plan.argument_size_in_bytes + plan.temp_size_in_bytes
    return held + plan.output_size_in_bytes - plan.alias_size_in_bytes


def tree_bytes(tree: Any) -> int:
    """Return the bytes of all arrays of a tree, or of shapes and types in their place.

    >>> tree_bytes({"a": jnp.zeros((2, 3)), "b": jnp.zeros(4, bool)})
    28
    """
    shapes = jax.tree.leaves(jax.eval_shape(lambda t: jax.tree.map(_numbers, t), tree))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in shapes)


def free_bytes(devices: Sequence[Any]) -> int | None:
    """Return the bytes that training may take on each of these devices; None = unknown.

    Devices of the host share its memory. `RESERVE` is taken off already.
    """
    stats = [device.memory_stats() for device in devices]
    free = [s["bytes_limit"] - s["bytes_in_use"] for s in stats if s and "bytes_limit" in s]
    if not free and all(device.platform == "cpu" for device in devices):
        host = host_bytes()
        free = [host // len(devices)] if host is not None else []
    return int(min(free) * (1 - RESERVE)) if free else None


def host_bytes(root: Path = Path("/")) -> int | None:
    """Return the host memory that this process may still take; None where nobody tells.

    The least of what the system calls available and of what the limits of control groups leave.
    """
    found = [_available(root / "proc/meminfo")]
    groups = root / "sys/fs/cgroup"
    found.append(_left(groups / "memory.max", groups / "memory.current"))
    older = groups / "memory"
    found.append(_left(older / "memory.limit_in_bytes", older / "memory.usage_in_bytes"))
    known = [number for number in found if number is not None]
    if known:
        return max(min(known), 0)
    try:
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * HALF_KNOWN)
    except (AttributeError, ValueError, OSError):
        return None


def _numbers(leaf: Any) -> Any:
    """Return PRNG keys as their words, other arrays as they are."""
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _available(path: Path) -> int | None:
    """Return `MemAvailable` of a meminfo file in bytes."""
    for line in _text(path).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _left(limit: Path, used: Path) -> int | None:
    """Return what a control group's limit leaves in bytes; None without a limit."""
    most, now = _text(limit).strip(), _text(used).strip()
    return int(most) - int(now) if most.isdigit() and now.isdigit() else None


def _text(path: Path) -> str:
    """Return a file's text; empty if it cannot be read."""
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
