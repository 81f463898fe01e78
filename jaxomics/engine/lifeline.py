"""Connections between processes that train together: who is there, who is done, who has stopped.

JAX notices by itself when a process is missing or has died, but ends the others by an abort of
the whole interpreter, with a stack trace and, on some accelerators, minutes later. So processes
first meet here, which gives a time limit and a message to a coordinator that never comes, and then
keep the connection: a process that dies closes it, whatever it dies of, and the others stop at
once and say why. Process 0 is the hub that all others are connected to.

A connection carries lines of text: `hello ID COUNT VERSIONS` and the answer `welcome` or
`no REASON`; then `done` in both directions, or `stop REASON`.
"""

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import NoReturn

from jaxomics.errors import InputError

PAUSE = 0.2
"""Seconds between two attempts to reach the coordinator."""


class Lifeline:
    """The connections of one process, watched by one thread each.

    When another process stops, this one ends at once with an `error:` line and exit code 2: its
    main thread may be waiting for the other in a program on a device, out of anyone's reach.
    """

    def __init__(self, peers: dict[int, socket.socket], number: int, count: int):
        """Watch the connections, keyed by the number of the process at the other end.

        Args:
          peers: of process 0 to all others; of the others to process 0.
          number: of this process.
          count: how many processes there are.
        """
        self._peers, self._number, self._count = peers, number, count
        self._done = {peer: threading.Event() for peer in peers}
        self._closing = False
        for peer in peers:
            threading.Thread(target=self._watch, args=(peer,), daemon=True).start()

    def part(self) -> None:
        """Wait until every process has come here, and let all of them go."""
        if self._number != 0:
            self._tell("done")
        for done in self._done.values():
            done.wait()
        self._closing = True
        if self._number == 0:
            self._tell("done")

    def stop(self, reason: str) -> None:
        """Let the others know that this process stops, and why."""
        self._closing = True
        self._tell(f"stop process {self._number} of {self._count} has stopped: {reason}")

    def _watch(self, peer: int) -> None:
        """Read what another process says until it falls silent."""
        for line in _lines(self._peers[peer]):
            word, _, reason = line.partition(" ")
            if word == "done":
                self._done[peer].set()
            elif not self._closing:
                self._leave(reason)
        if not self._closing and not self._done[peer].is_set():
            self._leave(f"process {peer} of {self._count} has died or lost its connection")

    def _leave(self, reason: str) -> NoReturn:
        """End this process; process 0 passes the reason on first."""
        self._closing = True
        advice = "see what it says; start all processes again with --resume to go on"
        os.write(2, f"error: {reason}; {advice}\n".encode())
        self._tell(f"stop {reason}")
        os._exit(2)

    def _tell(self, line: str) -> None:
        """Send a line to all others that can still be reached."""
        for connection in self._peers.values():
            try:
                _send(connection, line)
            except OSError:
                continue


def meet(
    host: str, port: int, number: int, count: int, *, versions: str, timeout: float
) -> Lifeline:
    """Wait until all processes are there, and return the connections to them.

    The port is free again afterwards, for JAX to listen on.

    Args:
      host, port: where process 0 listens.
      number: of this process, from 0.
      count: how many processes there are.
      versions: of the software, without line breaks; must be the same everywhere.
      timeout: seconds to wait.

    Raises:
      InputError: a process has not come in time, or came with another count, a number that is
        taken, or other versions.
    """
    deadline = time.monotonic() + timeout
    if number == 0:
        peers = _receive(port, count, versions, deadline, timeout)
    else:
        peers = {0: _join(host, port, f"{number} {count} {versions}", deadline, timeout)}
    for connection in peers.values():
        connection.settimeout(None)
    return Lifeline(peers, number, count)


def _receive(
    port: int, count: int, versions: str, deadline: float, timeout: float
) -> dict[int, socket.socket]:
    """Return the connections of process 0, once all others have said hello."""
    peers: dict[int, socket.socket] = {}
    try:
        listener = socket.create_server(("", port), backlog=count)
    except OSError as error:
        raise InputError(
            f"expected a free port {port} on this machine, found {error.strerror}; choose another "
            "--coordinator port"
        ) from None
    with listener:
        while len(peers) < count - 1:
            try:
                listener.settimeout(max(deadline - time.monotonic(), 0.001))
                connection, _ = listener.accept()
            except TimeoutError:
                missing = sorted(set(range(1, count)) - set(peers))
                _refuse(
                    peers,
                    f"expected {count} processes, but {timeout:g} s passed without "
                    f"process {' and '.join(map(str, missing))}; start it, with the same "
                    "--coordinator",
                )
            number = _greet(connection, peers, count, versions)
            if number is not None:
                peers[number] = connection
    for connection in peers.values():
        _send(connection, "welcome")
    return peers


def _greet(
    connection: socket.socket, peers: dict[int, socket.socket], count: int, versions: str
) -> int | None:
    """Return the number of a process that fits; None for what is no process of ours."""
    connection.settimeout(PAUSE * 10)
    words = next(_lines(connection), "").split(" ", 3)
    if len(words) < 4 or words[0] != "hello" or not (words[1] + words[2]).isdigit():
        connection.close()
        return None
    number, others, found = int(words[1]), int(words[2]), words[3]
    problem = None
    if others != count or not 0 < number < count:
        problem = f"expected one of {count} processes, found number {number} of {others}"
    elif number in peers:
        problem = f"expected different process ids, found {number} twice"
    elif found != versions:
        problem = (
            f"expected the same versions in all processes, found {versions} in process 0 and "
            f"{found} in process {number}; install the same everywhere"
        )
    if problem:
        _refuse({**peers, -1: connection}, problem)
    return number


def _refuse(peers: dict[int, socket.socket], problem: str) -> NoReturn:
    """Tell everyone who has come what is wrong, and raise it here too."""
    for connection in peers.values():
        _send(connection, f"no {problem}")
        connection.close()
    raise InputError(problem)


def _join(host: str, port: int, hello: str, deadline: float, timeout: float) -> socket.socket:
    """Return the connection to process 0, once it has everyone."""
    while True:
        left = deadline - time.monotonic()
        try:
            connection = socket.create_connection((host, port), timeout=max(left, 0.001))
            break
        except OSError as error:
            if left > PAUSE:
                time.sleep(PAUSE)
                continue
            raise InputError(
                f"expected process 0 at {host}:{port}, found nobody within {timeout:g} s "
                f"({error.strerror or error}); start it, or correct --coordinator"
            ) from None
    connection.settimeout(max(deadline - time.monotonic(), PAUSE * 10))
    _send(connection, f"hello {hello}")
    answer = next(_lines(connection), "")
    if answer != "welcome":
        connection.close()
        problem = answer.removeprefix("no ") or f"process 0 at {host}:{port} has left"
        raise InputError(problem)
    return connection


def _send(connection: socket.socket, line: str) -> None:
    """Send one line."""
    connection.sendall(" ".join(line.split()).encode() + b"\n")


def _lines(connection: socket.socket) -> Iterator[str]:
    """Yield what comes in, line by line, until the connection ends or nothing comes in time."""
    rest = b""
    while True:
        try:
            part = connection.recv(4096)
        except OSError:
            return
        if not part:
            return
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
