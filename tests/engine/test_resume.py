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
EPOCHS = 120


def start(folder: Path, cache: Path) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, str(SCRIPT), str(folder)]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def kill_after(process: subprocess.Popen, metrics: Path, lines: int, wait: float) -> None:
    """Kill -9 once the file has so many more lines and some moments have passed."""
    before = len(read_lines(metrics))
    while process.poll() is None and len(read_lines(metrics)) < before + lines:
        time.sleep(0.005)
    time.sleep(wait)
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_killed_runs_end_like_an_undisturbed_one(tmp_path: Path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    undisturbed = start(whole, tmp_path / "cache")
    _, told = undisturbed.communicate(timeout=120)
    assert undisturbed.returncode == 0, told
    draw = random.Random(os.getpid())
    kills = []
    for _ in range(2):
        kills.append((draw.randrange(2, 50), draw.uniform(0, 0.05)))
        process = start(broken, tmp_path / "cache")
        kill_after(process, broken / "metrics.jsonl", *kills[-1])
        assert process.returncode == -9, f"ended before it was killed: {kills}"
    last = start(broken, tmp_path / "cache")
    _, told = last.communicate(timeout=120)
    assert last.returncode == 0, (kills, told)
    with np.load(whole / "model.npz") as a, np.load(broken / "model.npz") as b:
        assert a.files == b.files
        for name in a.files:
            assert a[name].tobytes() == b[name].tobytes(), (name, kills)
    rows = read_lines(broken / "metrics.jsonl")
    assert rows == read_lines(whole / "metrics.jsonl"), kills
    assert [row["epoch"] for row in rows] == [e for e in range(1, EPOCHS + 1) for _ in range(2)]
