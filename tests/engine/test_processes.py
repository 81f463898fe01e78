"""Two real processes train as one, agree on what they train, and stop when one of them dies."""

import os
import runpy
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jaxomics.engine import drive
from jaxomics.engine.checkpoint import save_model
from jaxomics.engine.log import read_lines
from jaxomics.engine.processes import (
    Processes,
    agree,
    difference,
    from_writer,
    highest,
    is_writer,
    launched,
    start_processes,
    text_from_writer,
    together,
)
from jaxomics.errors import InputError

SCRIPT = Path(__file__).with_name("joined_run.py")
LIMIT = 90.0


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def start(
    kind: str, port: int, count: int, number: int, folder: Path, **variables: str
) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    env = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"} | variables
    command = [sys.executable, str(SCRIPT), kind, str(port), str(count), str(number), str(folder)]
    return subprocess.Popen(
        command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def pair(kinds: tuple[str, str], port: int, folder: Path) -> list[subprocess.Popen]:
    """Two processes; the second one's folder is its own, and should stay empty."""
    folders = (folder, folder.with_name("other"))
    return [start(kinds[n], port, 2, n, folders[n]) for n in (0, 1)]


def ended(process: subprocess.Popen) -> str:
    """What a process said until its end."""
    try:
        return process.communicate(timeout=LIMIT)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return "still running\n" + process.communicate()[0]


def saved_in(folder: Path) -> int:
    """Epochs in the newest checkpoint."""
    names = [path.name for path in (folder / "checkpoints").glob("*")]
    return max((int(name) for name in names if name.isdigit()), default=0)


def model_of(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "model.npz") as stored:
        return dict(stored)


def close(found: Path, expected: Path) -> None:
    models, rows = [], []
    for folder in (found, expected):
        models.append(model_of(folder))
        rows.append(read_lines(folder / "metrics.jsonl"))
    assert models[0].keys() == models[1].keys()
    for name, value in models[0].items():
        np.testing.assert_allclose(value, models[1][name], rtol=2e-5, atol=2e-6)
    assert len(rows[0]) == len(rows[1])
    for one, other in zip(*rows, strict=True):
        assert one.pop("split") == other.pop("split")
        assert one == pytest.approx(other, rel=1e-4, abs=1e-5)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Path], None]:
    """Runs the script's training in this process, on one device."""
    monkeypatch.setattr(drive, "CALL_SECONDS", drive.CALL_SECONDS)  # the script changes it

    def run(kind: str, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        result = runpy.run_path(str(SCRIPT))["main"](kind, folder)
        if result is not None:
            save_model(folder / "model.npz", result.params)

    return run


@pytest.mark.parametrize("kind", ["fit", "many", "stream"])
def test_two_processes_give_the_result_of_one(tmp_path: Path, port: int, here, kind: str):
    # They go on from the checkpoints of one process that has gone.
    if kind in (before := {"fit": "half", "stream": "part"}):
        here(before[kind], tmp_path / "two")
    processes = pair((kind, kind), port, tmp_path / "two")
    here(kind, tmp_path / "one")
    told = [ended(process) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert all(len(text.splitlines()) == 1 for text in told), told
    close(tmp_path / "two", tmp_path / "one")
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.slow
def test_a_launcher_is_all_that_is_needed(tmp_path: Path, here):
    """Two processes with the variables that srun gives, and no options."""
    job = {"JOB_ID": str(os.getpid()), "STEP_NODELIST": "localhost", "NTASKS": "2"}
    job |= {"STEP_NUM_TASKS": job["NTASKS"]}
    processes = []
    for number, name in enumerate(("two", "other")):
        task = job | {"PROCID": str(number), "LOCALID": str(number)}
        named = {f"SLURM_{variable}": value for variable, value in task.items()}
        processes.append(start("fit", 0, 2, number, tmp_path / name, **named))
    here("fit", tmp_path / "one")
    told = [ended(process) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert told == ["waiting for the processes of the launcher, up to 300 s\n"] * 2
    close(tmp_path / "two", tmp_path / "one")
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_stops_the_other_and_the_run_resumes(
    tmp_path: Path, port: int, here, victim: int
):
    folder = tmp_path / "two"
    processes = pair(("endless", "endless"), port, folder)
    begun = time.monotonic()
    while not saved_in(folder) and time.monotonic() - begun < LIMIT:
        time.sleep(0.05)
    processes[victim].kill()
    killed = time.monotonic()
    told = ended(processes[1 - victim])
    assert time.monotonic() - killed < 20
    assert f"error: process {victim} of 2 has died or lost its connection" in told
    assert "start all processes again with --resume" in told
    processes[victim].communicate()
    saved = saved_in(folder)
    here("more", folder)
    assert [row["epoch"] for row in read_lines(folder / "metrics.jsonl")[::2]] == list(
        range(1, saved + 2)
    )


def test_processes_that_differ_are_refused(tmp_path: Path, port: int):
    processes = pair(("fit", "many"), port, tmp_path / "two")
    told = [ended(process) for process in processes]
    for text in told:
        assert "the same kind of run in all processes, found many in process 1 and fit in" in text
        assert "process 0; start all with the same options and data" in text
    assert not (tmp_path / "two" / "metrics.jsonl").exists()


def test_alone_there_is_nothing_to_do():
    with together(), together(Processes()):
        agree("abc", "data")
        assert is_writer()
        assert from_writer("as it is") == "as it is"
        assert [text_from_writer(text) for text in ("", "µ: {}")] == ["", "µ: {}"]
        assert highest(np.array([1, 2])).tolist() == [1, 2]
    assert start_processes("127.0.0.1:1", 1, 0) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("host:1",), "expected --num-processes and --process-id too"),
        ((None, 2, 1), "expected --coordinator too"),
        (("host", 2, 1), "expected --coordinator HOST:PORT, found 'host'"),
        (("host:99999", 2, 1), "HOST:PORT"),
        (
            ("host:1", 2, 2),
            "expected a --process-id from 0 to 1, as there are 2 processes, found 2",
        ),
        (("host:1", 0, 0), "process-id"),
    ],
)
def test_options_that_make_no_sense(settings: tuple, message: str):
    with pytest.raises(InputError, match=message):
        Processes(*settings)


def test_a_coordinator_that_never_comes(port: int):
    with pytest.raises(InputError, match=r"found nobody within 0\.3 s .*correct --coordinator"):
        start_processes(f"127.0.0.1:{port}", 2, 1, timeout=0.3)
    with pytest.raises(InputError, match=r"0\.3 s passed without process 1 and 2; start"):
        start_processes(f"127.0.0.1:{port}", 3, 0, timeout=0.3)


@pytest.mark.parametrize(
    ("one", "other", "told"),
    [
        ("fit", "many", ("fit", "many")),
        ("0123456789abcdef" * 4, "f" * 64, ("01234567", "ffffffff")),
        ('{"a": {"b": 1, "c": [2]}}', '{"a": {"b": 1}}', ("a.c = [2]", "a.c = nothing")),
        ('["s1", "s2"]', '["s1", "s3"]', ('["s1", "s2"]', '["s1", "s3"]')),
        ("a" * 50, "a" * 51, ("160b4e43", "bfc5fe0e")),
    ],
)
def test_a_difference_is_told_briefly(one: str, other: str, told: tuple[str, str]):
    assert difference(one, other) == told


def test_a_launcher_without_all_its_variables_is_an_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"variables of the launcher, found.*give each --coord"):
        start_processes()


def test_launchers_are_known_by_their_variables():
    assert not launched({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4"})
    assert launched({"OMPI_COMM_WORLD_SIZE": "2"})
    assert launched({"TPU_WORKER_HOSTNAMES": "a,b"})
    assert not launched({"TPU_WORKER_HOSTNAMES": "localhost"})
