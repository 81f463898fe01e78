"""Runs that are killed at any moment end as if nothing had happened."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jaxomics.engine.log import read_lines

SCRIPT = Path(__file__).with_name("killed_run.py")
EPOCHS = 60


def start(folder: Path, cache: Path, mode: list[str]) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, str(SCRIPT), str(folder), *mode]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def kill_after(process: subprocess.Popen, metrics: Path, lines: int, wait: float) -> None:
    """Kill -9 once the file has so many lines and some moments have passed."""
    while process.poll() is None and len(read_lines(metrics)) < lines:
        time.sleep(0.005)
    time.sleep(wait)
    process.kill()
    process.communicate()


# One replica writes 2 lines per epoch. Two replicas at a time write 4, so that the first chunk
# ends after 30 epochs and 120 lines; the second chunk has one replica, hence 60 lines.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "moments"),
    [([], [(2, 30), (32, 70)]), (["chunks"], [(4, 100), (124, 150)])],
    ids=["one replica", "chunks of replicas"],
)
def test_killed_runs_end_like_an_undisturbed_one(
    tmp_path: Path, mode: list[str], moments: list[tuple[int, int]]
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    undisturbed = start(whole, tmp_path / "cache", mode)
    _, told = undisturbed.communicate(timeout=120)
    assert undisturbed.returncode == 0, told
    draw = random.Random(os.getpid())
    kills = []
    for moment in moments:
        kills.append((draw.randrange(*moment), draw.uniform(0, 0.05)))
        process = start(broken, tmp_path / "cache", mode)
        kill_after(process, broken / "metrics.jsonl", *kills[-1])
        assert process.returncode == -9, f"ended before it was killed: {kills}"
    last = start(broken, tmp_path / "cache", mode)
    _, told = last.communicate(timeout=120)
    assert last.returncode == 0, (kills, told)
    with np.load(whole / "model.npz") as a, np.load(broken / "model.npz") as b:
        assert a.files == b.files
        for name in a.files:
            assert a[name].tobytes() == b[name].tobytes(), (name, kills)
    rows = read_lines(broken / "metrics.jsonl")
    assert rows == read_lines(whole / "metrics.jsonl"), kills
    if mode:
        rows = [row for row in rows if row["replica"] == 2]
    epochs = EPOCHS // 2 if mode else EPOCHS
    assert [row["epoch"] for row in rows] == [e for e in range(1, epochs + 1) for _ in range(2)]
