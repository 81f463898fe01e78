"""`jaxomics explain` from outside: tables, figures, groups of samples, and mistakes in one line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics import halfway
from jaxomics.cli import main
from jaxomics.commands.apply import load
from jaxomics.data.io import read_cohort, read_metadata, read_table
from jaxomics.data.simulate import simulate_depmap, write_simulation

SMALL = [
    "--preset", "paper", "--latent", "3", "--hidden", "6", "--view-latent", "4", "--epochs", "2",
    "--contrastive", "none", "--views", "crisprcas9", "drugresponse", "--ensemble", "2",
]  # fmt: skip
DRUG = "feature:drugresponse/Nutlin-like"
COLUMNS = {
    "importance": ["target", "view", "feature", "mean_abs", "mean", "stderr", "rank"],
    "completeness": [
        "target", "sample", "output", "baseline_output", "sum_attribution", "gap",
    ],
    "views": ["target", "view", "mean_abs", "total", "share"],
    "top": [
        "target", "output", "view", "feature", "mean_abs", "mean", "stderr", "direction", "rank",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny simulated cohort."""
    folder = tmp_path_factory.mktemp("cohort") / "data"
    write_simulation(simulate_depmap("tiny", seed=0), folder)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained ensemble."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "mosa", "--data", str(data), "--out", str(out), "--quiet", *SMALL]) == 0
    return out


def words(run: Path, out: Path, *more: str) -> list[str]:
    return [
        "explain", str(run), "--out", str(out), "--draws", "8", "--most-samples", "6", "--quiet",
        *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def view(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A view explained, with the effects of two features."""
    out = tmp_path_factory.mktemp("explained") / "view"
    more = ["--target", "view:drugresponse", "--feature", "drugresponse/Nutlin-like", "--csv"]
    assert main(words(run, out, *more)) == 0
    return out


def test_tables_have_the_documented_columns(view: Path) -> None:
    for name, columns in COLUMNS.items():
        table = read_table(view / f"{name}.parquet")
        assert list(table.columns) == columns, name
        assert len(table), name
        text = pd.read_csv(view / f"{name}.csv")
        np.testing.assert_allclose(
            text.select_dtypes("number"), table.select_dtypes("number"), rtol=1e-5
        )
    importance = read_table(view / "importance.parquet")
    assert set(importance["target"]) == {"view:drugresponse"}
    assert set(importance["view"]) == {"crisprcas9", "drugresponse", "conditionals"}
    completeness = read_table(view / "completeness.parquet")
    assert completeness["sample"].nunique() == 6
    assert completeness["target"].nunique() == 16
    assert set(read_table(view / "stability.parquet")["members"]) == {2}


def test_effects_are_those_of_the_features_named(view: Path) -> None:
    effects = read_table(view / "effects.parquet")
    assert list(effects.columns) == COLUMNS["top"]
    assert len(effects) == 16
    assert set(effects["feature"]) == {"Nutlin-like"}
    top = read_table(view / "top.parquet").set_index(["output", "view", "feature"])["mean_abs"]
    keys = pd.MultiIndex.from_frame(effects[["output", "view", "feature"]])
    np.testing.assert_allclose(effects["mean_abs"], top.loc[keys], rtol=1e-6)


def test_figures_are_drawn(view: Path) -> None:
    names = {path.name for path in (view / "figures").iterdir()}
    stem = "view_drugresponse"
    assert names == {
        f"{stem}_features.png", f"{stem}_views.png", f"{stem}_heatmap.png",
        f"{stem}_stability.png", f"{stem}_effects_drugresponse_Nutlin_like.png",
        "completeness.png",
    }  # fmt: skip
    for path in (view / "figures").iterdir():
        assert path.read_bytes().startswith(b"\x89PNG"), path.name


def test_provenance_tells_what_was_asked(view: Path, run: Path) -> None:
    about = read_metadata(view / "importance.parquet")
    trained = read_metadata(run / "tables" / "latent.parquet")
    assert {k: about[k] for k in trained} == trained
    assert about["targets"] == ["view:drugresponse"]
    assert about["explain"]["draws"] == 8
    assert about["explain"]["method"] == "expected"
    assert about["explain_seed"] == 42


def test_several_targets_single_outputs_and_two_groups(
    run: Path, data: Path, tmp_path: Path
) -> None:
    labels = read_cohort(data).labels["tissue"]
    first, second = labels.value_counts().index[:2]
    out = tmp_path / "out"
    more = ["--target", "latent:0", DRUG, "--group", "tissue", "--compare", first, second]
    assert main(words(run, out, *more)) == 0
    groups = read_table(out / "groups.parquet")
    assert list(groups.columns) == [*COLUMNS["importance"], "group"]
    assert set(groups["group"]) == {first, second}
    assert set(groups["target"]) == {"latent:0", DRUG}
    samples = read_table(out / "completeness.parquet")["sample"].unique()
    assert set(labels[samples]) == {first, second}
    assert not (out / "stability.parquet").exists()  # latents are those of one member
    names = {path.name for path in (out / "figures").iterdir()}
    assert {"latent_0_groups.png", "latent_0_ranked.png", "latent_0_features.png"} <= names


def test_groups_differ_by_what_their_outputs_differ(run: Path, data: Path, tmp_path: Path) -> None:
    labels = read_cohort(data).labels["tissue"]
    first, second = labels.value_counts().index[:2]
    more = ["--method", "integrated", "--target", DRUG, "--group", "tissue"]
    assert main(words(run, tmp_path / "out", *more, "--compare", first, second)) == 0
    table = read_table(tmp_path / "out" / "groups.parquet")
    explained = table.groupby("group")["mean"].sum()
    outputs = read_table(tmp_path / "out" / "completeness.parquet")
    assert outputs["baseline_output"].nunique() == 1  # one background: all samples
    gap = outputs["gap"].abs().max()
    change = outputs.groupby(outputs["sample"].map(labels).astype(str))["output"].mean()
    found, expected = explained[first] - explained[second], change[first] - change[second]
    assert abs(found - expected) <= 2 * gap + 1e-5


def test_one_output_of_new_samples_of_one_view(run: Path, data: Path, tmp_path: Path) -> None:
    folder, out, names = tmp_path / "new", tmp_path / "out", [f"s{i}" for i in range(4)]
    folder.mkdir()
    table = read_cohort(data).view("crisprcas9").iloc[:4].set_axis(names)
    table.rename_axis("sample").to_csv(folder / "crisprcas9.csv")
    more = ["--target", DRUG, "--method", "gradient", "--data", str(folder)]
    assert main(words(run, out, *more)) == 0
    assert (out / "figures" / "beeswarm.png").exists()
    assert not (out / "figures" / "completeness.png").exists()
    assert read_table(out / "completeness.parquet").empty
    assert read_table(out / "importance.parquet")["stderr"].isna().all()


def test_same_command_same_bytes_and_notes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--target", "latent:1", "--plain"]
    assert main(words(run, tmp_path / "first", *asked)) == 0
    loud = [word for word in words(run, tmp_path / "again", *asked) if word != "--quiet"]
    assert main(loud) == 0
    told = capsys.readouterr()
    assert told.out.count("\n") == 2
    for line in ("explained 1 output for 6 samples", "median completeness gap", "sampling error"):
        assert line in told.err
    for name in COLUMNS:
        file = f"{name}.parquet"
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    assert main(words(run, tmp_path / "first", *asked)) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_an_interrupted_explanation_goes_on_to_the_same_bytes(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    asked = ["--target", "latent:1", "--most-samples", "5"]
    assert main(words(run, whole, *asked)) == 0
    monkeypatch.setattr(halfway, "SAVE_SECONDS", 0.0)
    monkeypatch.setattr(halfway, "PACE", 0)
    save, saved = halfway.Halfway.save, []

    def stop(self: halfway.Halfway, part: int, done: int, result: object) -> None:
        save(self, part, done, result)
        saved.append(done)
        if saved == [1, 2]:
            raise RuntimeError("killed")

    monkeypatch.setattr(halfway.Halfway, "save", stop)
    assert main(words(run, out, *asked)) == 1
    assert [path.name for path in out.iterdir()] == ["halfway"]
    for more, expected in (
        ([], "go on with --resume"),
        (["--resume", "--draws", "10"], "the beginning of other work"),
        (["--resume", "--overwrite"], "found both"),
    ):
        assert main(words(run, out, *asked, *more)) == 2
        assert expected in capsys.readouterr().err
    assert main(words(run, out, *asked, "--resume")) == 0
    assert saved[:3] == [1, 2, 3], "what was done is not done again"
    tables = sorted(path.name for path in whole.glob("*.parquet"))
    assert sorted(path.name for path in out.glob("*.parquet")) == tables
    for name in tables:
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert not (out / "halfway").exists()
    done = len(saved)
    assert main(words(run, out, *asked, "--resume")) == 0
    assert len(saved) == done, "a finished explanation is left as it is"
    assert main(words(run, out, *asked, "--resume", "--seed", "3")) == 2
    assert "asked something else" in capsys.readouterr().err


def test_a_feature_that_is_not_read_is_refused_at_once(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    views = load(run, None, quiet=True, verb="explain")[0].preprocess_.views
    view, name = next(
        (view, name)
        for view, fitted in views.items()
        for name in set(fitted.features) - set(np.asarray(fitted.features)[list(fitted.encoder)])
    )
    asked = ["--target", "latent", "--feature", f"{view}/{name}"]
    assert main(words(run, tmp_path / "new", *asked)) == 2
    assert f"unknown feature of view {view!r}" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


MISTAKES = {
    "no target": ([], "--target"),
    "unknown target": (["--target", "latnt"], "did you mean 'latent'"),
    "unknown view": (["--target", "view:drugrespons"], "did you mean 'drugresponse'"),
    "unknown feature of a target": (
        ["--target", "feature:drugresponse/Nutlin"], "did you mean 'Nutlin-like'",
    ),
    "latent out of range": (["--target", "latent:3"], "from 0 to 2"),
    "model without classes": (["--target", "class:Lung"], "a model with classes"),
    "same target twice": (["--target", "latent", "latent"], "each target once"),
    "unknown method": (["--target", "latent", "--method", "shap"], "expected"),
    "one draw": (["--target", "latent", "--draws", "1"], "draws"),
    "one sample": (["--target", "latent", "--most-samples", "1"], "--most-samples of 2 or more"),
    "no memory": (["--target", "latent", "--memory", "0"], "memory"),
    "nothing kept": (["--target", "latent", "--top", "0"], "--top"),
    "plain draws in pairs": (["--target", "latent", "--plain", "--pairs"], "found both"),
    "unknown effect": (
        ["--target", "latent", "--feature", "drugresponse/Nutlin"], "did you mean 'Nutlin-like'",
    ),
    "effect without view": (["--target", "latent", "--feature", "BRAF"], "VIEW/NAME"),
    "group without values": (["--target", "latent", "--group", "tissue"], "--compare"),
    "unknown group": (
        ["--target", "latent", "--group", "tisue", "--compare", "a", "b"], "did you mean 'tissue'",
    ),
    "unknown value": (
        ["--target", "latent", "--group", "tissue", "--compare", "a", "b"],
        "unknown value of 'tissue'",
    ),
    "one group twice": (
        ["--target", "latent", "--group", "tissue", "--compare", "TISSUE", "TISSUE"], "two groups",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_told_in_one_line_before_anything_is_written(
    case: str, run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more, expected = MISTAKES[case]
    tissue = read_cohort(data, views=["mutations"]).labels["tissue"].mode()[0]
    asked = [tissue if word == "TISSUE" else word for word in more]
    assert main(words(run, tmp_path / "new", *asked)) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert expected in told
    assert not (tmp_path / "new").exists()
