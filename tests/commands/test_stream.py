"""`jaxomics train --stream` from outside: the run folder of `train`, but the data stay on disk."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jaxomics.cli import main
from jaxomics.data.io import read_indexed, read_table
from jaxomics.data.simulate import simulate_depmap, write_simulation

SMALL = [
    "--preset", "paper", "--latent", "3", "--hidden", "4", "--view-latent", "3", "--epochs", "2",
    "--contrastive", "none", "--batch-size", "16", "--valid-fraction", "0.2",
]  # fmt: skip
VIEWS = ("proteomics", "drugresponse")
PEAK = """
import resource, sys
from jaxomics.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "data"
    write_simulation(simulate_depmap("tiny", seed=0), folder)
    return folder


def words(data: Path, out: Path, *more: str) -> list[str]:
    start = ["train", "mosa", "--data", str(data), "--out", str(out), "--stream", "--quiet"]
    return [*start, "--views", *VIEWS, *SMALL, *more]


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(words(data, out)) == 0
    return out


def test_the_run_folder_is_that_of_train(run: Path, data: Path, tmp_path: Path, capsys):
    record = json.loads((run / "config.json").read_text())
    assert record["command"] == "train --stream"
    assert record["data"]["streamed"] == str(data.resolve())
    assert not (run / "store").exists()
    in_memory = [word for word in words(data, tmp_path / "other") if word != "--stream"]
    assert main(in_memory) == 0
    for name in ("views", "latent", "dropped"):
        one, other = (
            read_table(f / "tables" / f"{name}.parquet") for f in (run, tmp_path / "other")
        )
        if name == "latent":
            one, other = one.set_index("sample"), other.set_index("sample").loc[one["sample"]]
        pd.testing.assert_frame_equal(one, other, rtol=1e-3, atol=1e-4)
    scores = read_table(run / "tables" / "scores.parquet")
    assert set(scores["mode"]) == {"reconstruct", "view_out"}
    assert (run / "report.html").exists()
    capsys.readouterr()


def test_the_run_serves_other_commands_and_is_finished(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "completed"
    assert main(["impute", str(run), "--data", str(data), "--out", str(out), "--quiet"]) == 0
    assert read_indexed(out / "proteomics.parquet").notna().all(axis=None)
    capsys.readouterr()
    assert main(["impute", str(run), "--out", str(tmp_path / "again"), "--quiet"]) == 2
    assert "name them with --data" in capsys.readouterr().err
    assert main([w for w in words(data, run, "--resume") if w != "--quiet"]) == 0
    assert "is finished: nothing to do" in capsys.readouterr().err
    assert main([w for w in words(data, run, "--resume") if w != "--stream"]) == 2
    assert "command differs" in capsys.readouterr().err


def test_an_interrupted_run_goes_on(
    run: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    out = tmp_path / "run"

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt("stopped")

    with monkeypatch.context() as patch:
        patch.setattr("jaxomics.streaming.StoredEstimator.finish", stop)
        assert main(words(data, out)) == 130
    assert (out / "store" / "store.json").exists()
    assert main(words(data, out, "--resume")) == 0
    one, other = (np.load(folder / "checkpoints" / "model.npz") for folder in (run, out))
    assert all(np.array_equal(one[name], other[name]) for name in one.files)
    assert not (out / "store").exists()
    capsys.readouterr()


def test_unfit_data_are_told_in_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    text, twice = tmp_path / "text", tmp_path / "twice"
    for folder in (text, twice):
        folder.mkdir()
    pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "y"]).to_csv(text / "rna.csv")
    (twice / "proteomics.parquet").write_bytes((data / "proteomics.parquet").read_bytes())
    (twice / "labels.csv").write_text("sample,tissue\nx,lung\nx,skin\n")
    views = ["--views", "proteomics"]
    cases = [
        (text, [], "convert the tables to parquet"),
        (twice, views, "expected each sample once, found 'x' twice"),
        (tmp_path / "nowhere", [], "expected a folder of parquet tables"),
        (data, ["--views", "proteomic"], "did you mean 'proteomics'"),
        (data, ["--conditionals", "drugresponse"], "found view 'drugresponse'"),
        (data, ["--label", "tisue"], "did you mean 'tissue'"),
    ]
    for folder, more, message in cases:
        out = tmp_path / "out"
        assert main(words(folder, out, *more)) == 2, message
        told = capsys.readouterr().err
        assert message in told
        assert told.count("\n") == 1
        assert not out.exists()


@pytest.mark.slow
def test_two_processes_write_one_run(run: Path, data: Path, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    shared = ["--coordinator", f"127.0.0.1:{port}", "--num-processes", "2", "--process-id"]
    asked = [sys.executable, "-m", "jaxomics", *words(data, tmp_path / "two"), *shared]
    flags = "--xla_force_host_platform_device_count=1"
    processes = [
        subprocess.Popen(
            [*asked, str(number)], env=os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags},
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    told = [process.communicate(timeout=400)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    one, two = (np.load(f / "checkpoints" / "model.npz") for f in (run, tmp_path / "two"))
    assert one.files == two.files
    for name in one.files:
        np.testing.assert_allclose(two[name], one[name], rtol=1e-4, atol=1e-5)


def wide(folder: Path, groups: int, features: int = 2000) -> Path:
    """A table of normal numbers, in row groups of 18 MB."""
    folder.mkdir()
    names = [f"g{i}" for i in range(features)]
    schema = pa.schema([("sample", pa.string()), *((name, pa.float32()) for name in names)])
    with pq.ParquetWriter(folder / "rna.parquet", schema, use_dictionary=False) as file:
        for group in range(groups):
            ids = [f"s{group}_{i:04d}" for i in range(2304)]
            values = np.random.default_rng(group).random((2304, features), np.float32)
            columns = [pa.array(ids), *map(pa.array, values.T)]
            file.write_table(pa.Table.from_arrays(columns, schema=schema))
    return folder


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data(tmp_path: Path):
    """A table of 147 MB takes at most 50 MB more than one of 37 MB."""
    peaks = []
    for groups in (2, 8):
        folder = wide(tmp_path / f"data{groups}", groups)
        asked = words(folder, tmp_path / f"run{groups}", "--epochs", "1", "--batch-size", "256")
        asked[asked.index("--views") + 1 : asked.index("--preset")] = ["rna"]
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *asked, "--valid-fraction", "0.5"],
            env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]) * 1024)
    assert peaks[1] - peaks[0] < 50e6, peaks
