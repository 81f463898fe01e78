"""Processes meet or say why not, part together, and stop when another one does."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from jaxomics.engine.lifeline import Lifeline, meet
from jaxomics.errors import InputError

HOST = "127.0.0.1"
LIMIT = 20.0


@pytest.fixture
def port() -> int:
    with socket.create_server((HOST, 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def called(port: int):
    """Calls `meet` on a thread of its own; returns the future."""
    with ThreadPoolExecutor(4) as pool:

        def call(number: int, count: int = 2, versions: str = "v 1", timeout: float = LIMIT):
            return pool.submit(meet, HOST, port, number, count, versions=versions, timeout=timeout)

        yield call


def problem(future: Future) -> str:
    with pytest.raises(InputError) as caught:
        future.result(LIMIT)
    return str(caught.value)


def reach(port: int) -> socket.socket:
    """Connect to a process that may need a while to listen."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return socket.create_connection((HOST, port), timeout=LIMIT)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def test_all_wait_for_the_last(called: Callable[..., Future]):
    lines: list[Lifeline] = [f.result(LIMIT) for f in [called(n, 3) for n in (2, 0, 1)]]
    left = [threading.Thread(target=line.part) for line in lines]
    for thread in left[:2]:
        thread.start()
    left[0].join(0.2)
    assert left[0].is_alive()
    assert left[1].is_alive()
    left[2].start()
    for thread in left:
        thread.join(LIMIT)
        assert not thread.is_alive()


def test_port_is_free_again(called: Callable[..., Future], port: int):
    lines = [f.result(LIMIT) for f in (called(0), called(1))]
    with socket.create_server((HOST, port)):
        assert len(lines) == 2


def test_nobody_at_the_coordinator(called: Callable[..., Future], port: int):
    told = problem(called(1, timeout=0.3))
    assert told.startswith(f"expected process 0 at {HOST}:{port}, found nobody within 0.3 s")
    assert "start it, or correct --coordinator" in told


def test_a_process_that_never_comes(called: Callable[..., Future]):
    hub, other = called(0, 3, timeout=1.0), called(1, 3)
    assert "1 s passed without process 2; start it" in problem(hub)
    assert problem(other) == problem(hub)


@pytest.mark.parametrize(
    ("count", "versions", "told"),
    [
        (3, "v 1", "expected one of 2 processes, found number 1 of 3"),
        (2, "v 2", "found v 1 in process 0 and v 2 in process 1; install the same everywhere"),
    ],
)
def test_processes_that_do_not_fit(
    called: Callable[..., Future], count: int, versions: str, told: str
):
    hub, other = called(0), called(1, count, versions)
    assert told in problem(hub)
    assert problem(other) == problem(hub)


def test_number_taken_twice(called: Callable[..., Future]):
    hub, others = called(0, 3), [called(1, 3), called(1, 3)]
    assert "found 1 twice" in problem(hub)
    assert [problem(other) for other in others] == [problem(hub)] * 2


def test_port_in_use(called: Callable[..., Future], port: int):
    with socket.create_server(("", port)):
        assert f"expected a free port {port}" in problem(called(0))


def test_strangers_are_ignored(called: Callable[..., Future], port: int):
    hub = called(0)
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"hello you and me\n", b""):
        with reach(port) as stranger:
            stranger.sendall(words)
    assert called(1).result(LIMIT)
    assert hub.result(LIMIT)


WORKER = """
import sys, time
from jaxomics.engine.lifeline import meet
line = meet("127.0.0.1", int(sys.argv[1]), int(sys.argv[2]), 3, versions="v", timeout=20)
print("met", flush=True)
word = sys.stdin.readline().strip()
if word == "stop":
    line.stop("the disk is full")
if word != "wait":
    sys.exit(5)
time.sleep(20)
"""


@pytest.mark.parametrize("first", [0, 2])
@pytest.mark.parametrize("way", ["die", "stop"])
def test_one_that_stops_stops_the_others(port: int, first: int, way: str):
    made = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, str(port), str(n)], text=True, **made)
        for n in range(3)
    ]
    for number, worker in enumerate(workers):
        assert worker.stdout is not None
        assert worker.stdout.readline() == "met\n"
        if number != first:
            assert worker.stdin is not None
            worker.stdin.write("wait\n")
            worker.stdin.flush()
    workers[first].communicate(f"{way}\n", timeout=LIMIT)
    why = "died or lost its connection" if way == "die" else "stopped: the disk is full"
    for worker in workers[:first] + workers[first + 1 :]:
        _, told = worker.communicate(timeout=LIMIT)
        assert f"error: process {first} of 3 has {why}; see what it says; start all" in told
        assert worker.returncode == 2
