"""A translator by the command line: train, translate, embed, cv, and what it refuses."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import jaxomics
from jaxomics.cli import main
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_table, write_cohort
from jaxomics.engine.state import Train
from jaxomics.models.omitrans_networks import Config

ROLES = ["--source", "cpg", "--target", "rna"]
SMALL = ["--hidden", "8", "--latent", "4", "--ensemble", "1", "--epochs", "3", "--batch-size", "8"]


def paired() -> MultiOmics:
    """Samples 0 to 15 have both views of one factor; 16 and 17 lack rna, 18 and 19 lack cpg.

    One gene is constant.
    """
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(20, 1))
    names = [f"s{i:02d}" for i in range(20)]
    tables = {
        view: pd.DataFrame(
            factor @ rng.normal(size=(1, width)), names, [f"{view}_{j}" for j in range(width)]
        )
        for view, width in (("cpg", 6), ("rna", 5), ("protein", 3))
    }
    tables["rna"]["rna_3"] = np.float32(0.1)
    tables["cpg"], tables["rna"] = tables["cpg"][:18], tables["rna"].drop(names[16:18])
    return MultiOmics.from_tables(tables)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "data"
    write_cohort(paired(), folder)
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "omitrans", "--data", str(data), "--out", str(out), *ROLES, *SMALL]
    assert main([*words, "--quiet"]) == 0
    return out


def test_only_views_of_a_role_and_samples_with_both_are_trained_on(run: Path):
    assert sorted(read_table(run / "tables" / "views.parquet")["view"]) == ["cpg", "rna"]
    notes = jaxomics.load_run(run).notes_
    assert "4 samples lack cpg or rna, not trained on" in notes


def test_samples_with_a_source_are_translated_in_units_of_the_target(run: Path, tmp_path: Path):
    out = tmp_path / "rna.parquet"
    assert main(["translate", str(run), *ROLES, "--out", str(out), "--quiet"]) == 0
    found = read_table(out)
    truth = paired().views["rna"]
    assert len(found) == 18
    assert list(found.columns) == list(truth.columns)
    # As far from 0 on average as what was measured: it is not in standard units.
    shared = found.loc[truth.index[:16]]
    np.testing.assert_allclose(shared.mean(), truth[:16].mean(), atol=1.5)
    assert set(found["rna_3"]) == {np.float32(0.1)}
    assert found["rna_1"].nunique() > 9


def test_missing_features_are_stood_in_for_and_told(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fewer = MultiOmics.from_tables({"cpg": paired().views["cpg"].drop(columns="cpg_2")})
    write_cohort(fewer, tmp_path / "new")
    words = ["translate", str(run), *ROLES, "--data", str(tmp_path / "new")]
    assert main([*words, "--out", str(tmp_path / "t.parquet")]) == 0
    told = capsys.readouterr().err
    assert "note: cpg: 5 of 6 features found, 1 absent (cpg_2)" in told
    assert "rna" not in told
    assert len(read_table(tmp_path / "t.parquet")) == 18


@pytest.mark.parametrize("scaling", ["none", "minmax", "zscore"])
def test_a_missing_source_feature_is_read_as_its_training_mean(scaling: str):
    cohort, plain = paired(), jaxomics.presets.preset("omitrans", "paper")
    settings = replace(
        plain,
        config=replace(plain.config, source=("cpg",), target=("rna",), hidden=(8,), latent=4),
        train=replace(plain.train, epochs=3, decay_epochs=0, batch_size=8, valid_fraction=0.0),
        preprocess=replace(plain.preprocess, scaling=scaling),
    )
    cpg = cohort.views["cpg"].copy()
    cpg["cpg_2"] += 5  # far from 0
    cohort = replace(cohort, views=cohort.views | {"cpg": cpg})
    fitted = jaxomics.Estimator(settings, model="omitrans", seed=0).fit(cohort)

    def translated(table: pd.DataFrame) -> pd.DataFrame:
        new = MultiOmics.from_tables({"cpg": table})
        return fitted.translate(new, source=("cpg",), target="rna")

    mean = translated(cpg.assign(cpg_2=cpg["cpg_2"].mean()))
    for found in (translated(cpg.drop(columns="cpg_2")), translated(cpg.assign(cpg_2=np.nan))):
        np.testing.assert_allclose(found, mean, rtol=1e-4, atol=1e-6)
    assert np.abs(translated(cpg.assign(cpg_2=0.0)) - mean).to_numpy().max() > 1e-3


def test_a_source_without_any_feature_of_the_model_is_refused_without_contradiction(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    write_cohort(
        MultiOmics.from_tables({"cpg": paired().views["cpg"].add_prefix("x")}), tmp_path / "new"
    )
    words = ["translate", str(run), *ROLES, "--data", str(tmp_path / "new")]
    assert main([*words, "--out", str(tmp_path / "t.parquet")]) == 2
    told = capsys.readouterr().err
    assert "none of the 6 features of the model is in the table" in told
    assert "not in the data" not in told


def test_a_target_without_variation_is_told():
    cohort = paired()
    flat = cohort.views["rna"] * 0 + 2
    settings = replace(
        jaxomics.presets.preset("omitrans", "recommended"),
        config=Config(source=("cpg",), target=("rna",), gan="none", hidden=(8,), latent=4),
        train=Train(epochs=1, batch_size=8),
    )
    cohort = replace(cohort, views=cohort.views | {"rna": flat})
    fitted = jaxomics.Estimator(settings, model="omitrans").fit(cohort)
    assert "view 'rna': every feature is constant among the training samples" in str(fitted.notes_)
    assert (fitted.translate(cohort, source=("cpg",), target="rna") == 2).all(axis=None)


def test_latents_of_a_translator(run: Path, tmp_path: Path):
    assert main(["embed", str(run), "--out", str(tmp_path / "z.parquet"), "--quiet"]) == 0
    assert list(read_table(tmp_path / "z.parquet").filter(regex="^z")) == ["z0", "z1", "z2", "z3"]


def test_a_generator_without_a_latent_leaves_a_run(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = ["train", "omitrans", "--data", str(data), *ROLES, *SMALL, "--generator", "linear"]
    assert main([*words, "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert not (tmp_path / "run" / "tables" / "latent.parquet").exists()
    assert main(["embed", str(tmp_path / "run"), "--out", str(tmp_path / "z.parquet")]) == 2
    assert "no task encode" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name them with --source VIEW"),
        (["--source", "cpg", "--target", "rn"], "did you mean 'rna'"),
        (["--source", "cpg", "--target", "cpg"], "'cpg' as both"),
        ([*ROLES, "--generator", "unet_in"], "take `unet`"),
        ([*ROLES, "--generator", "fc_sep"], "feature table with the column chromosome"),
        ([*ROLES, "--distance", "ce"], "values from 0 to 1 for the cross entropy, found -"),
    ],
)
def test_what_cannot_be_translated_is_refused(
    words: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    given = ["train", "omitrans", "--data", str(data), "--out", str(tmp_path / "run"), *words]
    assert main([*given, *SMALL, "--quiet"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("first", "counts"), [(8, "10 with the other, none"), (7, "11 with the other, 1")]
)
def test_views_that_share_no_two_samples_are_pointed_to_modis(
    first: int, counts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    views = paired().views
    write_cohort(
        MultiOmics.from_tables({"cpg": views["cpg"][:8], "rna": views["rna"][first:]}),
        tmp_path / "apart",
    )
    words = ["train", "omitrans", "--data", str(tmp_path / "apart"), *ROLES, *SMALL, "--quiet"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    assert f"found 8 with the one and {counts} with both" in message
    assert "modis" in message


@pytest.mark.slow
def test_cross_validation_scores_the_target(data: Path, tmp_path: Path):
    words = ["cv", "omitrans", "--data", str(data), "--out", str(tmp_path / "cv"), *ROLES, *SMALL]
    assert main([*words, "--folds", "2", "--comparators", "mean", "--quiet"]) == 0
    scores = read_table(tmp_path / "cv" / "tables" / "cv.parquet")
    own = scores[scores["model"] == "omitrans"]
    assert set(own["view"]) == {"rna"}
    assert set(own["mode"]) == {"view_out"}
