"""Comparators from the command line: the verbs, run folders, messages and exit codes of models."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxomics
from jaxomics.cli import main
from jaxomics.commands.compare import choose_comparator
from jaxomics.comparators.registry import COMPARATORS
from jaxomics.crossval.modes import Plan, comparator
from jaxomics.crossval.scores import cross_validate
from jaxomics.data.io import read_cohort, read_indexed, read_metadata, read_table
from jaxomics.errors import InputError


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two views of 30 samples with holes, and their classes."""
    folder = tmp_path_factory.mktemp("cohort") / "data"
    folder.mkdir()
    random = np.random.default_rng(0)
    z = random.normal(size=(30, 2))
    names = pd.Index([f"s{i:02}" for i in range(30)], name="sample")
    for view, width in (("rna", 9), ("protein", 6)):
        values = z @ random.normal(size=(2, width)) + 0.3 * random.normal(size=(30, width))
        table = pd.DataFrame(values, names).add_prefix(view[0])
        table.mask(random.random(table.shape) < 0.1).to_parquet(folder / f"{view}.parquet")
    labels = pd.DataFrame({"class": np.where(z[:, 0] > 0, "ill", "well")}, names)
    labels.to_parquet(folder / "labels.parquet")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("runs") / "pca"
    words = ["train", "pca", "--data", str(data), "--out", str(out), "--components", "3", "--quiet"]
    assert main(words) == 0
    return out


def test_run_folder_is_complete_and_says_what_was_run(run: Path):
    assert {path.name for path in run.iterdir()} == {
        "config.json", "preprocess", "checkpoints", "tables", "figures", "report.html"
    }  # fmt: skip
    record = json.loads((run / "config.json").read_text())
    assert (record["model"], record["settings"]["config"]) == ("pca", {"components": 3})
    latent = run / "tables" / "latent.parquet"
    assert list(read_table(latent)) == ["sample", "z0", "z1", "z2"]
    assert read_metadata(latent)["data_sha256"] == record["data"]["sha256"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "The fit took" in page
    assert "jaxomics translate" in page
    assert "jaxomics predict" not in page


def test_verbs_work_on_a_run(run: Path, data: Path, tmp_path: Path):
    new = tmp_path / "new"
    new.mkdir()
    read_indexed(data / "rna.parquet").iloc[:4].to_csv(new / "rna.csv")
    latent, filled, other = tmp_path / "z.csv", tmp_path / "filled", tmp_path / "protein.parquet"
    assert main(["embed", str(run), "--data", str(new), "--out", str(latent), "--quiet"]) == 0
    assert read_indexed(latent).shape == (4, 3)
    assert main(["impute", str(run), "--out", str(filled)]) == 0
    assert bool(read_indexed(filled / "rna.parquet").notna().all(axis=None))
    assert not bool(read_indexed(filled / "measured_rna.parquet").all(axis=None))
    words = ["translate", str(run), "--source", "rna", "--target", "protein", "--out", str(other)]
    assert main(words) == 0
    assert read_indexed(other).shape == (30, 6)


def test_classes_are_predicted(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run, out = tmp_path / "run", tmp_path / "classes.csv"
    words = ["--data", str(data), "--out", str(run), "--components", "2"]
    assert main(["train", "diablo", *words]) == 0
    assert "sees the label column 'class'" in capsys.readouterr().err
    assert main(["predict", str(run), "--out", str(out)]) == 0
    assert "accuracy against label column 'class'" in capsys.readouterr().err
    assert list(read_table(out)) == ["sample", "view", "class", "p_ill", "p_well"]
    assert main(["impute", str(run), "--out", str(tmp_path / "filled")]) == 2
    assert "diablo cannot impute: it can embed, predict; models" in capsys.readouterr().err


def test_runs_are_kept_resumed_and_overwritten(
    run: Path, data: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["train", "pca", "--data", str(data), "--out", str(run), "--components"]
    before = (run / "tables" / "latent.parquet").read_bytes()
    assert main([*words, "3"]) == 2
    assert "exists; choose another name" in capsys.readouterr().err
    assert main([*words, "3", "--resume"]) == 0
    assert "finished: nothing to do" in capsys.readouterr().err
    assert main([*words, "2", "--resume"]) == 2
    assert "settings differs" in capsys.readouterr().err
    assert main([*words, "3", "--overwrite", "--quiet"]) == 0
    assert (run / "tables" / "latent.parquet").read_bytes() == before


def test_cross_validation_scores_a_comparator_as_it_does_beside_a_model(data: Path, tmp_path: Path):
    words = ["--data", str(data), "--out", str(tmp_path / "run"), "--folds", "2", "--quiet"]
    assert main(["cv", "ridge", *words, "--bootstrap", "0", "--comparators", "mean"]) == 0
    tables = tmp_path / "run" / "tables"
    scores = read_table(tables / "cv.parquet")
    assert set(scores["model"]) == {"ridge", "mean"}
    plan = Plan("data", folds=2, seed=0)
    beside, _ = cross_validate(read_cohort(data), {"ridge": comparator("ridge")}, plan)
    own = scores.query("model == 'ridge'").reset_index(drop=True)
    pd.testing.assert_frame_equal(own, beside, check_dtype=False)
    assert set(own["mode"]) == {"reconstruct", "view_out", "cell_out"}
    assert (tables / "predictions" / "view_out_rna.parquet").exists()


def test_what_writes_no_view_is_scored_on_classes(data: Path, tmp_path: Path):
    words = ["--data", str(data), "--out", str(tmp_path / "run"), "--folds", "2", "--quiet"]
    assert main(["cv", "diablo", *words, "--components", "2"]) == 0
    scores = read_table(tmp_path / "run" / "tables" / "cv.parquet")
    assert set(scores["model"]) == {"diablo", "logistic"}
    assert set(scores["mode"]) == {"classes"}


@pytest.mark.parametrize("verb", ["train", "cv"])
@pytest.mark.parametrize("name", sorted(COMPARATORS))
def test_every_comparator_has_options(name: str, verb: str, capsys: pytest.CaptureFixture[str]):
    """Two options of one name would be a bug of the parser."""
    assert main([verb, name, "--help"]) == 0
    assert "--preprocess.min-views" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "mofa", "--factors", "0"], "expected a --factors above 0, found 0"),
        (["train", "mofa", "--label", "nope"], "unknown label column 'nope'"),
        (["train", "mofa", "--preset", "papr"], "did you mean 'paper'"),
        (["train", "mofa", "--conditionals", "nope"], "unknown conditional"),
        (["train", "mofa", "--views", "rnaa"], "did you mean 'rna'"),
        (["train", "ridge", "--targets", "nope"], "unknown target view 'nope'"),
        (["train", "diablo", "--label", "None"], "learns classes: expected a label column"),
        (["train", "softimpute", "--hidden-share", "1"], "from 0 to below 1, found 1"),
        (["cv", "mofa", "--comparators", "diablo"], "that complete views, found diablo"),
        (["cv", "mofa", "--search", "3"], "mofa is not searched"),
        (["sweep", "mofa", "--trials", "2"], "sweep is not for it"),
    ],
)
def test_mistakes_leave_one_line_and_nothing_else(
    words: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    assert main([*words, "--data", str(data), "--out", str(out)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-1].startswith("error: ")
    assert message in told[-1]
    assert not out.exists()


def test_functions_do_what_commands_do(data: Path, tmp_path: Path):
    found = jaxomics.train("pca", data, tmp_path / "run")
    assert found is not None
    assert found.entry.name == "pca"
    with pytest.raises(InputError, match="fitted in one go"):
        jaxomics.train("pca", data, tmp_path / "other", stream=True)


def test_quick_is_small_and_paper_is_as_published():
    quick = choose_comparator(["mofa", "--quick"]).settings.config
    assert (quick.factors, quick.max_iterations) == (10, 20)
    paper = choose_comparator(["icluster", "--preset=paper"]).options().settings()
    assert paper.config.components == 200
