"""Counts of donors through the commands: normalised, held out by file, applied to new samples."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxomics
from jaxomics.cli import main
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, read_table, write_cohort
from jaxomics.data.simulated_bulk import simulate_bulk, write_bulk

TINY = ["--epochs", "1", "--latent", "3", "--hidden", "4"]
STEPS = [
    "--scale", "counts", "--quantile", "--batch", "library_prep", "sequencer", "--covariates",
    "age", "--keep", "cohort",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cohort, a run and the hold-out file that it wrote."""
    path = tmp_path_factory.mktemp("bulk")
    write_bulk(simulate_bulk(60, 15, genes=30, peaks=40, cohorts=2, seed=0), path / "data")
    words = ["train", "rna-vae", "--data", str(path / "data"), "--views", "rna", *STEPS]
    held = ["--hold-out", str(path / "held.csv"), "--out", str(path / "run")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxomics.commands.train.write_report", lambda *_: None)  # takes seconds
        assert main([*words, *held, *TINY, "--unseen", "zero"]) == 0
    return path


def failed(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_the_run_keeps_its_steps_and_leaves_out_the_held_out_donors(folder: Path):
    table = pd.read_csv(folder / "held.csv").set_index("sample")
    cohort = read_cohort(folder / "data")
    assert set(table.index) == set(cohort.samples)  # chosen over both views
    run = jaxomics.load_run(folder / "run")
    steps = run.preprocess_.views["rna"].steps
    assert steps.effects is not None
    assert [term.column for term in steps.effects.terms] == ["library_prep", "sequencer", "age"]
    rna = cohort.select_views(["rna"])
    trained = rna.samples[~table["held_out"][rna.samples].to_numpy()]
    again = jaxomics.Estimator(run.settings, model="rna-vae", seed=0)
    again.prepare(rna, trained)
    for name, array in again.preprocess_.views["rna"].steps.arrays().items():
        np.testing.assert_array_equal(array, steps.arrays()[name])
    scores = read_table(folder / "run" / "tables" / "scores.parquet")
    assert "reconstruct" in set(scores["mode"])
    notes = json.loads((folder / "run" / "preprocess" / "fitted.json").read_text())["notes"]
    assert (
        "view 'rna': its values, and results, are log2(count + 1), quantile normalised, without "
        "effects of library_prep, sequencer, age"
    ) in notes


def test_new_samples_are_normalised_as_the_training_samples_were(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cohort = read_cohort(folder / "data", views=["rna"])
    labels = cohort.labels.drop(columns=["cohort", "os_time"])
    labels.loc[labels.index[0], "library_prep"] = "new"
    write_cohort(MultiOmics.from_tables(cohort.views, labels), tmp_path / "new")
    out = tmp_path / "latent.csv"
    words = ["embed", str(folder / "run"), "--data", str(tmp_path / "new"), "--out", str(out)]
    assert main(words) == 0
    told = "note: rna: library_prep=new of 1 sample not known to the model: its effect stays\n"
    assert capsys.readouterr().err == told
    before = read_table(folder / "run" / "tables" / "latent.parquet")
    np.testing.assert_allclose(
        pd.read_csv(out).iloc[1:, 1:], before.iloc[1:, 1:], rtol=1e-4, atol=1e-5
    )


def test_one_file_serves_another_run_and_other_samples_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_bulk(simulate_bulk(80, 15, genes=30, peaks=40, cohorts=2, seed=0), tmp_path / "data")
    words = ["train", "rna-vae", "--views", "rna", *TINY, "--hold-out", str(folder / "held.csv")]
    words += ["--out", str(tmp_path / "run"), "--data"]
    assert "that it does not know" in failed([*words, str(tmp_path / "data")], capsys)
    assert not (tmp_path / "run").exists()


def test_values_that_are_no_counts_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cohort = read_cohort(folder / "data", views=["rna"])
    views = {"rna": cohort.view("rna") - 1}
    write_cohort(MultiOmics.from_tables(views, cohort.labels), tmp_path / "data")
    words = ["train", "rna-vae", "--data", str(tmp_path / "data"), "--scale", "counts"]
    told = failed([*words, "--out", str(tmp_path / "run")], capsys)
    assert "expected counts of 0 or more" in told
    assert "--scale none for values that are scaled already" in told
    assert not (tmp_path / "run").exists()


def test_cross_validation_refuses_what_every_fold_changes(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["cv", "rna-vae", "--data", str(folder / "data"), "--out", str(tmp_path / "cv")]
    assert "train with --hold-out" in failed([*words, *STEPS], capsys)
    assert not (tmp_path / "cv").exists()
