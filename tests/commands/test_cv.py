"""`jaxomics cv` from outside: a run folder with honest scores, the same every time, resumable."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.cli import main
from jaxomics.commands import cv as command
from jaxomics.data.io import read_indexed, read_metadata, read_table
from jaxomics.data.simulate import simulate_depmap, write_simulation
from jaxomics.metrics.correlation import pearson
from jaxomics.metrics.tables import SCORE_COLUMNS

SMALL = [
    "--preset", "paper", "--latent", "4", "--hidden", "8", "--view-latent", "4", "--epochs", "2",
    "--contrastive", "none", "--preprocess.fit-scope", "train",
]  # fmt: skip
VIEWS = ("proteomics", "drugresponse")
TABLES = ("cv", "cv_features", "folds", "dropped", "predictions/view_out_proteomics")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny simulated cohort."""
    folder = tmp_path_factory.mktemp("cohort") / "data"
    write_simulation(simulate_depmap("tiny", seed=0), folder)
    return folder


def words(data: Path, out: Path, *more: str) -> list[str]:
    return [
        "cv", "mosa", "--data", str(data), "--out", str(out), "--folds", "3", *SMALL, "--quiet",
        "--views", *VIEWS, "--modes", "reconstruct", "view_out", "--comparators", "mean", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(words(data, out)) == 0
    return out


def test_tables_say_what_was_held_out_and_how_well_it_was_predicted(run: Path, data: Path) -> None:
    scores = read_table(run / "tables" / "cv.parquet")
    assert list(scores) == SCORE_COLUMNS
    assert set(scores["model"]) == {"mosa", "mean"}
    assert set(scores["fold"]) == {-1, 0, 1, 2}
    assert set(scores["mode"]) == {"reconstruct", "view_out"}
    folds = read_table(run / "tables" / "folds.parquet")
    assert sorted(folds["fold"].unique()) == [0, 1, 2]
    predicted = read_indexed(run / "tables" / "predictions" / "view_out_proteomics.parquet")
    assert set(predicted.dtypes) == {np.dtype(np.float32)}
    assert list(predicted.index) == folds["sample"].tolist()
    truth = read_indexed(data / "proteomics.parquet").reindex(
        index=predicted.index, columns=predicted.columns
    )
    r = pearson(truth.to_numpy(), predicted.to_numpy())
    features = read_table(run / "tables" / "cv_features.parquet")
    found = features.query(
        "model == 'mosa' and mode == 'view_out' and view == 'proteomics' and metric == 'pearson'"
    )
    np.testing.assert_allclose(found["value"], r)
    assert not (found["low"] > found["high"]).any()
    pooled = scores.query("model == 'mosa' and mode == 'view_out' and fold == -1")
    value = pooled.query("view == 'proteomics' and metric == 'pearson'")["value"]
    np.testing.assert_allclose(value, np.nanmean(r))


def test_run_folder_is_complete(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert names == {"config.json", "metrics.jsonl", "checkpoints", "tables", "figures",
                     "report.html"}  # fmt: skip
    record = json.loads((run / "config.json").read_text())
    assert record["command"] == "cv"
    assert record["cv"]["folds"] == 3
    timing = read_table(run / "tables" / "timing.parquet")
    assert {"mosa compile", "mosa run", "mosa", "mean"} <= set(timing["stage"])
    about = read_metadata(run / "tables" / "cv.parquet")
    assert set(about) == {"jaxomics", "model", "seed", "settings_hash", "data_sha256"}


def test_same_command_same_bytes(run: Path, data: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(words(data, again)) == 0
    for name in TABLES:
        file = Path("tables") / f"{name}.parquet"
        assert (run / file).read_bytes() == (again / file).read_bytes(), name


def test_interrupted_run_resumes_where_it_was(
    run: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(command, "comparator", _interrupted)
        assert main(words(data, out)) == 130
    assert not (out / "report.html").exists()
    with monkeypatch.context() as patch:
        patch.setattr("jaxomics.crossval.modes.fit_together", _interrupted)
        assert main(words(data, out, "--resume")) == 0
    for name in TABLES:
        file = Path("tables") / f"{name}.parquet"
        assert (run / file).read_bytes() == (out / file).read_bytes(), name
    capsys.readouterr()
    loud = [word for word in words(data, out, "--resume") if word != "--quiet"]
    assert main(loud) == 0
    assert "finished: nothing to do" in capsys.readouterr().err
    assert main(words(data, out)) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(words(data, out, "--resume", "--folds", "2")) == 2
    assert "cv differs" in capsys.readouterr().err


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt("stopped")


MISTAKES = {
    "more folds than samples": (["--folds", "99"], "expected 2 to"),
    "unknown stratum": (["--stratify", "tissu"], "did you mean 'tissue'"),
    "folds of a rare stratum": (["--folds", "20", "--stratify", "tissue"], "most frequent value"),
    "a rare stratum": (["--folds", "3", "--stratify", "tissue"], "count as one with --pool-rare"),
    "unknown group": (["--group", "tisue"], "did you mean 'tissue'"),
    "too few groups": (["--group", "growth_properties", "--folds", "9"], "is never divided"),
    "unknown mode": (["--modes", "view"], "did you mean 'view_out'"),
    "unknown comparator": (["--comparators", "rigde"], "did you mean 'ridge'"),
    "one candidate": (["--search", "1"], "--search"),
    "no replicas": (["--max-replicas", "0"], "--max-replicas"),
    "one draw": (["--bootstrap", "1"], "--bootstrap"),
    "unknown option": (["--fold", "3", "--latnt", "3"], "--latnt"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_told_in_one_line(
    case: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more, expected = MISTAKES[case]
    assert main(words(data, tmp_path / "new", *more)) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert expected in told
    assert not (tmp_path / "new").exists()


def test_settings_are_chosen_inside_the_folds(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    more = ["--search", "2", "--modes", "reconstruct", "--comparators", "--bootstrap", "0"]
    more += ["--stratify", "tissue", "--pool-rare"]
    assert main(words(data, out, "--folds", "2", "--max-replicas", "2", *more)) == 0
    chosen = read_table(out / "tables" / "chosen.parquet")
    assert chosen[["repeat", "fold"]].to_numpy().tolist() == [[0, 0], [0, 1]]
    assert {"candidate", "validation", "learning_rate", "dropout"} <= set(chosen)
    rows = pd.read_json(out / "search" / "metrics.jsonl", lines=True)
    assert rows["replica"].nunique() == 4
    assert "low" not in read_table(out / "tables" / "cv_features.parquet")


def test_a_run_of_another_command_is_not_resumed(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(run, out)
    asked = words(data, out, "--resume")
    train = ["train", *asked[1:6], *SMALL, "--views", *VIEWS, "--resume"]
    assert main(train) == 2
    assert "command differs" in capsys.readouterr().err
