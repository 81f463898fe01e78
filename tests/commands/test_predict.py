"""Classes of unpaired, partly labelled samples by the command line: train, predict, fine-tune."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxomics
from jaxomics.cli import main
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_table, write_cohort

SIZES = ["--hidden", "8", "8", "--latent", "3", "--discriminator", "8", "--batch-size", "8"]


def unpaired(seed: int = 0, samples: int = 24, views: tuple[str, ...] = ("rna", "protein")):
    """Two classes, far apart in each of the views, which share no sample; half have a label."""
    rng = np.random.default_rng(seed)
    tables, kinds = {}, {}
    for place, view in enumerate(views):
        codes = np.arange(samples) % 2
        names = [f"{view}{i}" for i in range(samples)]
        values = rng.normal(size=(samples, 5)) + 6 * codes[:, None] * (-1) ** place
        tables[view] = pd.DataFrame(values, names, [f"{view}_{j}" for j in range(5)])
        shown = np.where(np.arange(samples) < samples // 2, np.array(["x", "y"])[codes], None)
        kinds |= dict(zip(names, shown, strict=True))
    labels = pd.DataFrame({"kind": pd.Series(kinds)})
    return MultiOmics.from_tables(tables, labels)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "data"
    write_cohort(unpaired(), folder)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that held out a share of the samples."""
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "modis", "--data", str(data), "--out", str(out), "--epochs", "150", *SIZES]
    more = ["--valid-fraction", "0.25", "--learning-rate", "0.003", "--quiet"]
    assert main([*words, *more]) == 0
    return out


def test_every_view_predicts_by_itself_and_labels_are_not_needed(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fresh = unpaired(seed=1, views=("rna",))
    bare = MultiOmics.from_tables(fresh.views)
    write_cohort(bare, tmp_path / "new")
    out = tmp_path / "classes.parquet"
    assert main(["predict", str(run), "--data", str(tmp_path / "new"), "--out", str(out)]) == 0
    table = read_table(out)
    assert list(table.columns) == ["sample", "view", "class", "p_x", "p_y"]
    assert set(table["view"]) == {"rna"}
    assert sorted(table["sample"]) == sorted(bare.samples)
    np.testing.assert_allclose(table["p_x"] + table["p_y"], 1, rtol=1e-5)
    assert (table["class"] == np.where(table["p_x"] > 0.5, "x", "y")).all()
    truth = np.array(["x", "y"])[table["sample"].str.removeprefix("rna").astype(int) % 2]
    assert (table["class"] == truth).mean() > 0.9
    told = capsys.readouterr()
    assert told.out == f"{out}\n"
    assert told.err == "note: protein: not in the data\n"


def test_labels_of_the_data_are_compared_and_unknown_classes_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cohort = unpaired(seed=2)
    cohort.labels.loc["rna0", "kind"] = "z"
    write_cohort(cohort, tmp_path / "new")
    words = ["predict", str(run), "--data", str(tmp_path / "new")]
    assert main([*words, "--out", str(tmp_path / "classes.csv")]) == 0
    told = capsys.readouterr().err
    assert "note: accuracy against label column 'kind': protein 1.000, rna" in told
    assert "1 sample of classes that the model does not know: z" in told


def test_samples_without_any_value_are_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cohort = unpaired(seed=2, samples=6)
    tables = cohort.views | {"rna": cohort.views["rna"].assign(other=1.0)}
    tables["rna"].loc["rna1"] = np.nan
    tables["rna"].loc["rna4", :"rna_4"] = np.nan
    write_cohort(replace(cohort, views=tables), tmp_path / "new")
    out = tmp_path / "classes.csv"
    assert main(["predict", str(run), "--data", str(tmp_path / "new"), "--out", str(out)]) == 0
    told = capsys.readouterr().err
    assert "left out: rna: 1 sample (" in told
    assert "1 of 11 samples have no value that the model reads, and no row in the table" in told
    assert set(cohort.samples) - set(read_table(out)["sample"]) == {"rna1", "rna4"}


def test_drawn_latents_depend_on_the_seed_of_the_run_alone(run: Path):
    estimator, cohort = jaxomics.load_run(run), unpaired(seed=3)
    drawn = estimator.predict(cohort, sample=True)
    pd.testing.assert_frame_equal(drawn, estimator.predict(cohort, sample=True))
    assert (drawn["p_x"] != estimator.predict(cohort)["p_x"]).any()


def test_held_out_classes_are_scored_and_drawn(run: Path):
    scores = read_table(run / "tables" / "scores.parquet")
    classes = scores[scores["mode"] == "classes"].set_index(["metric", "view"])["value"]
    assert classes["accuracy", "all"] > 0.8
    assert {"rna", "protein", "all"} == set(classes["balanced_accuracy"].index)
    assert {"reconstruct", "classes"} == set(scores["mode"])  # no sample has two views
    recall = read_table(run / "tables" / "recall.parquet")
    assert list(recall.columns) == ["view", "class", "recall", "n"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Classes of held-out samples" in page
    assert {"latent.png", "confusion.png"} <= {file.name for file in (run / "figures").iterdir()}


def test_the_absent_view_is_filled_from_the_other_one(run: Path, tmp_path: Path):
    cohort = unpaired(seed=4)
    estimator = jaxomics.load_run(run)
    translated = estimator.translate(cohort, source="rna", target="protein")
    filled = estimator.impute(cohort)["protein"]
    assert list(translated.index) == sorted(cohort.views["rna"].index)
    np.testing.assert_allclose(filled.loc[translated.index], translated, rtol=1e-4, atol=1e-4)
    own = cohort.views["protein"]
    np.testing.assert_array_equal(filled.loc[own.index], own)
    known = estimator.transform(cohort)
    assert list(known.index) == list(cohort.samples)


def test_fine_tuning_goes_on_from_a_run(run: Path, tmp_path: Path):
    write_cohort(unpaired(seed=5, samples=12), tmp_path / "new")
    words = ["train", "modis", "--start", str(run), "--data", str(tmp_path / "new")]
    out = tmp_path / "tuned"
    more = ["--epochs", "1", "--learning-rate", "1e-9", "--valid-fraction", "0", "--quiet"]
    assert main([*words, "--out", str(out), *more]) == 0
    cohort = unpaired(seed=6)
    before, after = (jaxomics.load_run(path) for path in (run, out))
    assert after.settings.config == before.settings.config
    pd.testing.assert_index_equal(
        after.preprocess_.views["rna"].features, before.preprocess_.views["rna"].features
    )
    # Batch norms went on with their running means; nothing else moved.
    chances = [one.predict(cohort)["p_x"] for one in (before, after)]
    np.testing.assert_allclose(*chances, atol=0.05)


def failed(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that has to fail with code 2 and return its only line on stderr."""
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_what_cannot_be_fine_tuned_is_refused(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["train", "modis", "--start", str(run), "--out", str(tmp_path / "tuned")]
    assert "sizes of the run" in failed([*words, "--data", str(data), "--latent", "5"], capsys)
    write_cohort(unpaired(views=("rna",)), tmp_path / "rna")
    assert "found no protein" in failed([*words, "--data", str(tmp_path / "rna")], capsys)
    assert "expected a run folder" in failed(
        ["train", "modis", "--start", "none", "--data", str(data), "--out", "x"], capsys
    )
    assert not (tmp_path / "tuned").exists()


def test_verbs_name_the_models_that_have_them(monkeypatch: pytest.MonkeyPatch, run: Path):
    from jaxomics.models import registry

    mute = registry.MODELS["modis"]._replace(verbs=("embed",))
    monkeypatch.setitem(registry.MODELS, "modis", mute)
    with pytest.raises(jaxomics.InputError, match="modis cannot impute: it can embed; models"):
        jaxomics.load_run(run).impute(unpaired())


def test_cross_validation_scores_classes_beside_logistic_regression(data: Path, tmp_path: Path):
    words = ["cv", "modis", "--data", str(data), "--out", str(tmp_path / "cv"), "--folds", "2"]
    few = ["--comparators", "--bootstrap", "0", "--epochs", "2", "--stratify", "kind", "--quiet"]
    assert main([*words, *few, *SIZES]) == 0
    scores = read_table(tmp_path / "cv" / "tables" / "cv.parquet")
    assert set(scores["mode"]) == {"reconstruct", "cell_out", "classes"}
    classes = scores[scores["mode"] == "classes"]
    assert set(classes["model"]) == {"modis", "logistic"}
    assert set(classes["fold"]) == {-1, 0, 1}
    right = classes[(classes["metric"] == "accuracy") & (classes["fold"] == -1)]
    right = right.set_index(["model", "view"])["value"]
    assert right["logistic", "rna"] == 1
    assert set(right["modis"].index) == {"rna", "protein", "all"}
    said = read_table(tmp_path / "cv" / "tables" / "classes.parquet")
    assert len(said) == 2 * 48
    assert not said[said["model"] == "modis"]["sample"].duplicated().any()
    page = (tmp_path / "cv" / "report.html").read_text(encoding="utf-8")
    assert "Classes of held-out samples" in page
    assert "logistic" in page
