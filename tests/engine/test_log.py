"""JSON lines that survive a cut, and the progress line."""

import io
from pathlib import Path

import pytest

from jaxomics.engine.log import Progress, read_lines, rewind_lines, write_lines


def rows(*epochs: int) -> list[dict]:
    return [{"epoch": e, "split": "train", "loss": 1 / e} for e in epochs]


def test_rows_round_trip_and_append(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    assert read_lines(path) == []
    write_lines(path, rows(1))
    write_lines(path, rows(2, 3))
    assert read_lines(path) == rows(1, 2, 3)


def test_rewind_drops_later_rows_and_a_cut_line(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    write_lines(path, rows(1, 2, 3))
    with path.open("a") as file:
        file.write('{"epoch": 4, "lo')
    assert read_lines(path) == rows(1, 2, 3)
    assert rewind_lines(path, 2) == rows(1, 2)
    assert read_lines(path) == rows(1, 2)
    write_lines(path, rows(3))
    assert read_lines(path) == rows(1, 2, 3)
    assert [p.name for p in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_rewind_per_replica(tmp_path: Path):
    path = tmp_path / "metrics.jsonl"
    # Replica 1 is known up to epoch 2, replica 2 not at all, and replica 3 is no part of the run.
    whole = [row | {"replica": r} for r in (0, 1, 2, 3) for row in rows(1, 2, 3)]
    write_lines(path, whole)
    left = rewind_lines(path, [3, 2, 0])
    assert [(row["replica"], row["epoch"]) for row in left] == [
        (0, 1), (0, 2), (0, 3), (1, 1), (1, 2),
    ]  # fmt: skip
    assert read_lines(path) == left


def test_progress_is_one_line_at_the_end_off_a_terminal():
    stream = io.StringIO()
    progress = Progress("train", 3, stream=stream)
    for done in (1, 2, 3):
        progress.update(done, f"loss {done}")
    progress.close()
    assert stream.getvalue() == "train: 3/3, loss 3\n"


def test_progress_tells_the_time_left(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 0.0, 0.0, 20.0, 20.0, 20.0, 20.0, 20.0])
    monkeypatch.setattr("jaxomics.engine.log.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    progress = Progress("train", 5, stream=stream)
    progress.update(1, "")  # compiled by now; the clock starts here
    progress.update(3, "loss 1")  # 2 epochs in 20 s, 2 to go
    assert stream.getvalue() == "train: 3/5, about 20 s left, loss 1\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture):
    progress = Progress("train", 1, quiet=True)
    progress.update(1, "loss 1")
    progress.close()
    assert capsys.readouterr() == ("", "")
