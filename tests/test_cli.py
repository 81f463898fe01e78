"""The command line from outside: words in; text, files and exit codes out."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxomics
from jaxomics.cli import COMMANDS, main
from jaxomics.commands.options import one_line
from jaxomics.data.io import read_indexed, read_metadata, read_table
from jaxomics.data.simulate import simulate_depmap, write_simulation

SMALL = ["--latent", "4", "--hidden", "8", "--view-latent", "4", "--ensemble", "1", "--quiet"]
VIEWS = ["--views", "proteomics", "drugresponse"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny simulated cohort with its truth."""
    folder = tmp_path_factory.mktemp("cohort") / "data"
    write_simulation(simulate_depmap("tiny", seed=0), folder)
    return folder


def train_words(data: Path, out: Path, *more: str) -> list[str]:
    return [
        "train", "mosa", "--data", str(data), "--out", str(out), "--epochs", "2", *SMALL, *VIEWS,
        *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a validation share."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(train_words(data, out, "--valid-fraction", "0.2", "--csv")) == 0
    return out


def failed(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that has to fail with code 2 and return its only line on stderr."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


# ------------------------------------------------------------- overview and start


def test_overview_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"jaxomics {jaxomics.__version__}\n"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "models"])
def test_help_describes_each_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"jaxomics {name}" in shown
    assert "Raises:" not in shown


def test_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert "mosa" in capsys.readouterr().out


def test_overview_and_inspect_start_without_jax(data: Path) -> None:
    code = (
        "import sys; from jaxomics.cli import main; main(['--help']); "
        f"main(['inspect', {str(data)!r}]); sys.exit('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", jaxomics.__all__)
def test_public_names_exist(name: str) -> None:
    assert getattr(jaxomics, name) is not None


def test_inspect_tells_sizes_and_changes_nothing(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in data.iterdir())
    assert main(["inspect", str(data)]) == 0
    assert "60 samples, 8 views" in capsys.readouterr().out
    assert sorted(path.name for path in data.iterdir()) == before


# ------------------------------------------------------------------------- errors

MISTAKES = {
    "unknown command": (["trian"], "did you mean 'train'"),
    "family without kind": (["evaluate"], "imputation"),
    "unknown kind": (["simulate", "depmpa"], "depmap"),
    "no model": (["train"], "mosa"),
    "unknown model": (["train", "mosaa"], "did you mean 'mosa'"),
    "unknown preset": (["train", "mosa", "--preset", "papr"], "did you mean 'paper'"),
    "missing option": (["train", "mosa", "--data", "DATA"], "--out"),
    "unknown option": (["TRAIN", "--latnt", "3"], "did you mean '--latent'"),
    "no integer": (["TRAIN", "--latent", "abc"], "found 'abc'"),
    "unknown choice": (["TRAIN", "--schedule", "cosne"], "cosine"),
    "dropout above 1": (["TRAIN", "--dropout", "1.5"], "--dropout"),
    "negative learning rate": (["TRAIN", "--learning-rate", "-1"], "--learning-rate"),
    "infinite weight": (["TRAIN", "--kl-weight", "inf"], "--kl-weight"),
    "no epochs": (["TRAIN", "--epochs", "0"], "epochs"),
    "no latent": (["TRAIN", "--latent", "0"], "--latent"),
    "negative seed": (["TRAIN", "--seed", "-1"], "seed"),
    "unknown view": (["TRAIN", "--views", "protein"], "did you mean 'proteomics'"),
    "unknown label": (["TRAIN", "--label", "tisue"], "did you mean 'tissue'"),
    "unknown conditional": (["TRAIN", "--conditionals", "tisue"], "did you mean 'tissue'"),
    "resume and overwrite": (["TRAIN", "--resume", "--overwrite"], "choose one"),
    "no data": (["train", "mosa", "--data", "NOWHERE", "--out", "NEW"], "no such file"),
    "no run": (["embed", "NOWHERE", "--out", "NEW.parquet"], "run folder"),
    "table of unknown kind": (["embed", "NOWHERE", "--out", "NEW.txt"], ".parquet"),
    "one draw": (["impute", "NOWHERE", "--out", "NEW", "--draws", "1"], "--draws"),
    "target is source": (
        ["translate", "X", "--source", "a", "--target", "a", "--out", "NEW.csv"], "'a'",
    ),
    "unknown size": (["simulate", "depmap", "--size", "tinny", "--out", "NEW"], "'tiny'"),
    "folder in use": (["simulate", "depmap", "--out", "DATA"], "--overwrite"),
    "no run folder": (["train", "mosa", "--data", "DATA", "--out", "DATA", "--overwrite"],
                      "no run folder"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_told_in_one_line(
    case: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, expected = MISTAKES[case]
    new = tmp_path / "new"
    if words[0] == "TRAIN":
        words = ["train", "mosa", "--data", str(data), "--out", str(new), *words[1:]]
    names = {"DATA": str(data), "NOWHERE": str(tmp_path / "nowhere"), "NEW": str(new)}
    for short, path in names.items():
        words = [word.replace(short, path) if word.isupper() or "NEW." in word else word
                 for word in words] if short in " ".join(words) else words  # fmt: skip
    assert expected in failed(words, capsys)
    assert not new.exists()


BAD_TABLES = {
    "empty file": b"",
    "truncated parquet": b"PAR1 and then nothing",
    "duplicate sample": b"sample,a,b\ns1,1,2\ns1,3,4\n",
    "duplicate column": b"sample,a,a\ns1,1,2\ns2,3,4\n",
    "text cell": b"sample,a,b\ns1,1,x\ns2,3,4\n",
    "infinite cell": b"sample,a,b\ns1,1,inf\ns2,3,4\n",
    "no rows": b"sample,a,b\n",
    "no value": b"sample,a,b\ns1,,\ns2,,\n",
    "one sample": b"sample,a,b\ns1,1,2\n",
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_unfit_tables_are_refused(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    name = "rna.parquet" if "parquet" in case else "rna.csv"
    (folder / name).write_bytes(BAD_TABLES[case])
    failed(["train", "mosa", "--data", str(folder), "--out", str(tmp_path / "run")], capsys)
    assert not (tmp_path / "run").exists()


def test_empty_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "at least one table" in failed(["inspect", str(tmp_path)], capsys)


def test_debug_shows_the_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nowhere"), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("jaxomics.commands.models.models", broken)
    assert main(["models"]) == 1
    assert "RuntimeError: a bug" in capsys.readouterr().err


def test_parser_boxes_become_one_line() -> None:
    box = "╭─ Required options ─╮\n│ Missing from jaxomics embed: │\n│     --out PATH │\n╰──╯\n"
    assert one_line(box) == "expected --out PATH, found none"


# ------------------------------------------------------------------ train and use


def test_run_folder_holds_what_is_promised(run: Path) -> None:
    found = {path.name for path in run.iterdir()}
    assert found >= {"config.json", "metrics.jsonl", "checkpoints", "preprocess", "tables",
                     "figures", "report.html"}  # fmt: skip
    scores = read_table(run / "tables" / "scores.parquet")
    assert list(scores) == ["dataset", "model", "fold", "seed", "mode", "view", "metric", "value"]
    assert set(scores["mode"]) == {"reconstruct", "view_out"}
    assert (run / "tables" / "scores.csv").exists()
    about = read_metadata(run / "tables" / "latent.parquet")
    assert set(about) == {"jaxomics", "model", "seed", "settings_hash", "data_sha256"}


def test_existing_run_is_kept(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--overwrite" in failed(train_words(data, run), capsys)
    assert main(train_words(data, run, "--valid-fraction", "0.2", "--resume")) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    changed = train_words(data, run, "--valid-fraction", "0.3", "--resume")
    assert "differs" in failed(changed, capsys)


def test_embed_gives_one_row_per_sample(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "latent.parquet"
    assert main(["embed", str(run), "--out", str(out)]) == 0
    table = read_table(out)
    assert list(table) == ["sample", "z0", "z1", "z2", "z3"]
    stored = read_table(run / "tables" / "latent.parquet")
    pd.testing.assert_frame_equal(table, stored)
    score = tmp_path / "score.parquet"
    words = ["evaluate", "embedding", str(out), "--labels", str(data / "labels.parquet"),
             "--label", "growth_properties", "--out", str(score)]  # fmt: skip
    assert main(words) == 0
    assert {"silhouette", "ari"} <= set(read_table(score)["metric"])


def test_impute_keeps_measured_values_bit_for_bit(run: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "completed"
    assert main(["impute", str(run), "--out", str(out), "--draws", "2"]) == 0
    for view in ("proteomics", "drugresponse"):
        given = read_indexed(data / f"{view}.parquet")
        full = read_indexed(out / f"{view}.parquet")
        measured = read_indexed(out / f"measured_{view}.parquet")
        spread = read_indexed(out / "uncertainty" / f"{view}.parquet")
        assert full.notna().to_numpy().all()
        wanted = given.reindex(index=full.index, columns=full.columns)
        np.testing.assert_array_equal(measured.to_numpy(), wanted.notna().to_numpy())
        kept = full.to_numpy()[measured.to_numpy()]
        np.testing.assert_array_equal(kept, wanted.to_numpy(np.float32)[measured.to_numpy()])
        assert ((spread.to_numpy() > 0) == ~measured.to_numpy()).all()
    score = tmp_path / "score.csv"
    words = ["evaluate", "imputation", str(out), "--truth", str(data / "truth")]
    assert main([*words, "--out", str(score)]) == 0
    scores = read_table(score)
    exact = scores[(scores["mode"] == "measured") & (scores["metric"] == "mse")]
    assert len(exact) == 2
    np.testing.assert_allclose(exact["value"], 0.0, atol=1e-12)


def test_new_samples_need_only_some_views(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    table = read_indexed(data / "proteomics.parquet").iloc[:1, :-3].fillna(0.0).assign(extra=1.0)
    table.to_csv(new / "proteomics.csv")
    assert main(["impute", str(run), "--data", str(new), "--out", str(tmp_path / "done")]) == 0
    notes = capsys.readouterr().err
    assert "proteomics: 21 of 24 features found, 3 absent (GENE" in notes
    assert "), 1 column not used by the model" in notes
    assert "drugresponse: not in the data" in notes
    assert read_indexed(tmp_path / "done" / "drugresponse.parquet").shape == (1, 16)


def test_translate_and_score(run: Path, data: Path, tmp_path: Path) -> None:
    out, score = tmp_path / "drug.parquet", tmp_path / "score.parquet"
    words = ["translate", str(run), "--source", "proteomics", "--target", "drugresponse"]
    assert main([*words, "--out", str(out)]) == 0
    predicted = read_indexed(out)
    assert list(predicted.index) == list(read_indexed(data / "proteomics.parquet").index)
    truth = str(data / "truth" / "drugresponse.parquet")
    words = ["evaluate", "translation", str(out), "--truth", truth, "--out", str(score)]
    assert main(words) == 0
    assert set(read_table(score)["mode"]) == {"translated"}


def test_same_command_same_bytes(run: Path, data: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert main(train_words(data, again, "--valid-fraction", "0.2", "--csv")) == 0
    for name in ("latent", "scores", "features", "views", "dropped"):
        file = Path("tables") / f"{name}.parquet"
        assert (run / file).read_bytes() == (again / file).read_bytes(), name


def test_interrupted_training_resumes(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = train_words(data, out)
    words[words.index("--epochs") + 1] = "1000"
    command = [sys.executable, "-m", "jaxomics", *words]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=_environment())
    deadline = time.monotonic() + 300
    log = out / "metrics.jsonl"
    while not (log.exists() and log.stat().st_size) and time.monotonic() < deadline:
        assert child.poll() is None, child.communicate()[1]
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, told = child.communicate(timeout=300)
    assert child.returncode == 130, told
    assert "continue with: jaxomics train mosa" in told
    assert "--resume" in told
    assert main([*words, "--resume"]) == 0
    epochs = [row["epoch"] for row in _rows(log)]
    assert epochs == list(range(1, 1001))


def _rows(log: Path) -> list[dict]:
    return pd.read_json(log, lines=True).to_dict("records")


def _environment() -> dict[str, str]:
    """Return the environment of a user's process, on one device."""
    return {**os.environ, "XLA_FLAGS": ""}
