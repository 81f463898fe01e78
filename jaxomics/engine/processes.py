"""Several processes, on one machine or many, that train as one.

Every process runs the same command on the same data. `jax.distributed` makes their devices one
mesh (`engine.devices`), on which they run the same compiled epochs; process 0 alone writes.
"""

import atexit
import hashlib
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxomics.engine.devices import is_key, use_cores
from jaxomics.engine.lifeline import Lifeline, meet
from jaxomics.errors import InputError
from jaxomics.version import __version__

T = TypeVar("T")

START_SECONDS = 300.0
"""How long processes wait for each other at the start."""
END_SECONDS = 60
"""How long JAX waits at the end for processes that have all told that they are done."""

CONNECT_SECONDS = 30.0
"""How long processes of a launcher, which have found each other, try to connect directly."""

LONGEST = 40
"""Letters of a difference between processes that a message shows; longer ones become a hash."""
ABSENT = "nothing"
"""What a message shows where only one process has a field."""

FIRST_SECONDS = 5.0
"""How long a process that breaks off lets another one be the first to tell why."""


@dataclass(frozen=True)
class Processes:
    """Several machines that train together; each runs the same command with its own number.

    Attributes:
      coordinator: HOST:PORT of process 0, which all others can reach. Under srun and mpirun and
        on TPU pods it is found without being named, and so are the other two.
      num_processes: how many processes take part.
      process_id: number of this one, from 0; process 0 writes the results.
    """

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None

    def __post_init__(self) -> None:
        """Check that all is there, and in range."""
        named = {f"--{f.name.replace('_', '-')}": getattr(self, f.name) for f in fields(self)}
        missing = [option for option, value in named.items() if value is None]
        if missing and len(missing) < len(named):
            raise InputError(f"expected {' and '.join(missing)} too: several processes need all")
        if self.coordinator is None or self.num_processes is None or self.process_id is None:
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 2**16:
            raise InputError(f"expected --coordinator HOST:PORT, found {self.coordinator!r}")
        if not 0 <= self.process_id < self.num_processes:
            raise InputError(
                f"expected a --process-id from 0 to {self.num_processes - 1}, as there are "
                f"{self.num_processes} processes, found {self.process_id}"
            )


ALONE = Processes()
"""One process, unless a launcher has started more."""


@contextmanager
def together(processes: Processes = ALONE) -> Iterator[None]:
    """Run a block in all processes at once; with a single process, just run it.

    The first thing a command does, before anything is on a device. All processes leave the block
    together. One that fails in it tells the others, which then stop as well.

    Raises:
      InputError: see `start_processes`.
    """
    several = (processes.num_processes or 1) > 1 or launched(os.environ)
    with _stdout_for_python() if several else nullcontext():
        lifeline = start_processes(
            processes.coordinator, processes.num_processes, processes.process_id
        )
        if lifeline is None and not jax.distributed.is_initialized():
            use_cores()
        try:
            yield
        except BaseException as error:
            if lifeline is not None:
                _fail(lifeline, error, leads=is_writer())
            raise
        if lifeline is not None:
            lifeline.part()
        elif jax.distributed.is_initialized():
            multihost_utils.sync_global_devices("done")


def start_processes(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    *,
    timeout: float = START_SECONDS,
) -> Lifeline | None:
    """Join the processes that train together, so that JAX sees the devices of all.

    Without a coordinator, JAX finds its way by the variables of srun, mpirun (Open MPI up to 4)
    and TPU pods where those have started more than one process. Must come before anything that
    asks JAX for devices.

    Args:
      coordinator: HOST:PORT of process 0.
      num_processes, process_id: how many, and which of them this is.
      timeout: seconds to wait for all of them.

    Returns:
      The connections to the others; None where there are no others, or where those that a
      launcher has started cannot connect to each other directly.

    Raises:
      InputError: options that do not fit together, or processes that do not come in time or with
        other versions.
    """
    Processes(coordinator, num_processes, process_id)
    limits: Any = {
        "initialization_timeout": max(int(timeout), 1),
        "shutdown_timeout_seconds": END_SECONDS,
    }
    if coordinator is None or num_processes is None or process_id is None:
        if launched(os.environ):
            return _join_launched(timeout, limits)
        return None
    if num_processes == 1:
        return None
    others = "the other processes" if process_id == 0 else "process 0"
    print(f"waiting for {others} at {coordinator}, up to {timeout:.0f} s", file=sys.stderr)
    host, _, port = coordinator.rpartition(":")
    lifeline = meet(
        host.strip("[]"),
        int(port),
        process_id,
        num_processes,
        versions=versions(),
        timeout=timeout,
    )
    jax.distributed.initialize(coordinator, num_processes, process_id, **limits)
    return lifeline


def _join_launched(timeout: float, limits: Any) -> Lifeline | None:
    """Join the processes that a launcher has started; see `start_processes`.

    JAX finds out who they are. If one of them never comes, JAX ends the others itself, by an abort.
    """
    print(f"waiting for the processes of the launcher, up to {timeout:.0f} s", file=sys.stderr)
    try:
        jax.distributed.initialize(**limits)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            "expected to find the other processes by the variables of the launcher, found: "
            f"{reason}; start all of them, or give each --coordinator, --num-processes and "
            "--process-id"
        ) from error
    agree(versions(), "versions")
    with socket.create_server(("", 0)) as free:
        own = f"{socket.gethostname()}:{free.getsockname()[1]}"
    host, _, port = text_from_writer(own if is_writer() else None).rpartition(":")
    number, count = jax.process_index(), jax.process_count()
    wait = min(timeout, CONNECT_SECONDS)
    try:
        return meet(host, int(port), number, count, versions=versions(), timeout=wait)
    except InputError as error:
        print(f"process {number}: {error}; goes on, watched by the launcher", file=sys.stderr)
        return None


def launched(variables: Mapping[str, str]) -> bool:
    """Has a launcher that JAX knows started more than one process? Told by its variables.

    >>> launched({"SLURM_STEP_NUM_TASKS": "4"}), launched({"SLURM_STEP_NUM_TASKS": "1"})
    (True, False)
    """
    tasks = [variables.get(name, "") for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")]
    hosts = variables.get("TPU_WORKER_HOSTNAMES", "").split(",")
    return any(number.isdigit() and int(number) > 1 for number in tasks) or len(hosts) > 1


def versions() -> str:
    """Return the versions on which results depend."""
    python = platform.python_version_tuple()
    return f"jaxomics {__version__}, jax {jax.__version__}, Python {python[0]}.{python[1]}"


def is_writer() -> bool:
    """Is this the process that writes results? One alone always is."""
    return jax.process_index() == 0


def from_writer(tree: T) -> T:
    """Return what process 0 has, in every process.

    Args:
      tree: arrays; other processes give anything of the same shapes and types, or just those
        (`jax.ShapeDtypeStruct`).
    """

    def share(leaf: Any) -> Any:
        if is_key(leaf):
            return jax.random.wrap_key_data(share(jax.random.key_data(leaf)))
        return multihost_utils.broadcast_one_to_all(np.asarray(leaf))

    return tree if jax.process_count() == 1 else jax.tree.map(share, _filled(tree))


def seen_by_writer(fact: bool) -> bool:
    """Return whether process 0 finds something so, such as a file in the folder it writes to."""
    return bool(from_writer(np.asarray(fact)))


def text_from_writer(text: str | None) -> str:
    """Return a text that process 0 has, in every process.

    Args:
      text: None in the other processes, whose texts do not count.

    >>> text_from_writer("of one process: as it is")
    'of one process: as it is'
    """
    own = np.frombuffer((text or "").encode(), np.uint8)
    length = int(from_writer(np.int32(own.size)))
    shared = from_writer(own if is_writer() else np.zeros(length, np.uint8))
    return shared.tobytes().decode()


def highest(values: np.ndarray) -> np.ndarray:
    """Return the largest value that any process has, place by place."""
    if jax.process_count() == 1:
        return values
    return np.max(np.asarray(multihost_utils.process_allgather(values)), axis=0)


def agree(text: str, what: str) -> None:
    """Check that a text is the same in all processes.

    Args:
      text: what should be equal, or its hash; of JSON objects the first differing field is named.
      what: what it is, such as `data`, for the message.

    Raises:
      InputError: it differs; raised in all processes, with what process 0 has and what another.
    """
    if jax.process_count() == 1:
        return
    own = text.encode()
    longest = int(highest(np.array([len(own)], np.int32))[0])
    letters = np.frombuffer(own.ljust(longest + 1, b"\0"), np.uint8)
    found = [
        row.tobytes().rstrip(b"\0").decode()
        for row in np.asarray(multihost_utils.process_allgather(letters))
    ]
    others = [number for number, other in enumerate(found) if other != found[0]]
    if others:
        theirs, first = difference(found[others[0]], found[0])
        more = f" ({len(others)} processes differ from it)" if len(others) > 1 else ""
        raise InputError(
            f"expected the same {what} in all processes, found {theirs} in process {others[0]} and "
            f"{first} in process 0{more}; start all with the same options and data"
        )


def difference(one: str, other: str) -> tuple[str, str]:
    """Return where two texts differ, briefly: a field of JSON objects, or eight digits of a hash.

    >>> difference('{"a": {"b": 1, "c": 2}}', '{"a": {"b": 1, "c": 3}}')
    ('a.c = 2', 'a.c = 3')
    >>> difference("0123456789abcdef" * 4, "fedcba9876543210" * 4)
    ('01234567', 'fedcba98')
    """
    path, pair = [], [_parsed(one), _parsed(other)]
    while all(isinstance(value, dict) for value in pair):
        names = dict.fromkeys([*pair[0], *pair[1]])
        name = next(n for n in names if pair[0].get(n, ABSENT) != pair[1].get(n, ABSENT))
        path.append(name)
        pair = [value.get(name, ABSENT) for value in pair]
    texts = [value if isinstance(value, str) else json.dumps(value) for value in pair]
    brief = [text[:8] if _is_hash(text) else text for text in texts]
    if max(map(len, brief)) > LONGEST:
        brief = [hashlib.sha256(text.encode()).hexdigest()[:8] for text in texts]
    name = f"{'.'.join(path)} = " if path else ""
    return name + brief[0], name + brief[1]


def _parsed(text: str) -> Any:
    """Return what a text is as JSON; the text itself where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_hash(text: str) -> bool:
    """Is this a SHA-256 in hexadecimal digits?"""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _filled(tree: T) -> T:
    """Return arrays of zeros where there are but shapes and types."""

    def fill(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        if is_key(leaf):
            return jax.random.wrap_key_data(fill(jax.eval_shape(jax.random.key_data, leaf)))
        return np.zeros(leaf.shape, leaf.dtype)

    return jax.tree.map(fill, tree)


@contextmanager
def _stdout_for_python() -> Iterator[None]:
    """Leave standard output to Python: Gloo writes a line there for all processes that it meets.

    What libraries below Python say of errors goes to standard error, which stays as it is.
    """
    python = sys.stdout
    try:
        usual = python.fileno() == 1
    except (AttributeError, OSError, ValueError):
        usual = False
    if not usual:
        yield
        return
    python.flush()
    kept, silent = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(silent, 1)
        with os.fdopen(os.dup(kept), "w", encoding=python.encoding) as sys.stdout:
            yield
    finally:
        sys.stdout = python
        os.dup2(kept, 1)
        os.close(kept)
        os.close(silent)


def _fail(lifeline: Lifeline, error: BaseException, *, leads: bool) -> None:
    """Tell the others that this process stops, and have it end without waiting for them.

    It lets the one that knows best tell first, whereupon the lifeline ends this one: a program
    breaks off because another process has died, and after Ctrl-C process 0, which `leads`, says
    how far everything came.
    """
    interrupted = isinstance(error, KeyboardInterrupt)
    if isinstance(error, jax.errors.JaxRuntimeError) or (interrupted and not leads):
        time.sleep(FIRST_SECONDS)
    code = 130 if interrupted else 2 if isinstance(error, InputError) else 1
    lifeline.stop("interrupted" if interrupted else str(error)[:300])
    atexit.register(_exit, code)


def _exit(code: int) -> None:
    """Leave before JAX waits for the others at its exit, where they will never come."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
