"""OmiEmbed from tables to predictions: survival, a value, classes; chromosomes; what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.cli import main
from jaxomics.commands.choose import choose
from jaxomics.commands.cv import Options, cv
from jaxomics.commands.held_out import score_held_out
from jaxomics.commands.train import train
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort
from jaxomics.data.outcomes import OutcomesConfig
from jaxomics.engine.state import Train
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.presets import Settings, preset
from jaxomics.runfolder import load_run

SAMPLES = [f"s{i:02d}" for i in range(40)]
PROBES = [f"p{i}" for i in range(8)]


def tables() -> dict[str, pd.DataFrame]:
    """One factor in two views, one class, one value and one time; some outcomes are unknown."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=40)
    labels = pd.DataFrame(
        {
            "label": np.where(factor > 0, "hot", "cold"),
            "months": np.round(10 * np.exp(-factor) + 0.1, 2),
            "died": (rng.random(40) < 0.7).astype(int),
            "age": 50 + 10 * factor,
        },
        index=pd.Index(SAMPLES, name="sample"),
    )
    labels.loc["s03", ["months", "died", "age"]] = np.nan
    views = {
        name: pd.DataFrame(
            factor[:, None] * rng.normal(size=8) + 0.1 * rng.normal(size=(40, 8)),
            index=labels.index,
            columns=PROBES,
        )
        for name in ("methylation", "rna")
    }
    places = pd.DataFrame({"chromosome": [*"112233XX"]}, index=pd.Index(PROBES, name="feature"))
    return {**views, "features_methylation": places, "labels": labels}


def small() -> Settings:
    paper = preset("omiembed", "paper")
    return replace(
        paper,
        config=replace(
            paper.config, hidden=(8, 8), joint=(8,), latent=4, group_width=4, class_hidden=(8,),
            value_hidden=(8,), survival_hidden=(8,),
        ),
        hyper=paper.hyper.replace(learning_rate=0.01),
        train=Train(epochs=60, batch_size=20),
        outcomes=OutcomesConfig("months", "died", ("age",), bins=6),
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cohort")
    for name, table in tables().items():
        table.to_csv(path / f"{name}.csv")
    return path


@pytest.fixture(scope="module")
def run(folder: Path) -> Path:
    train("omiembed", folder, folder.parent / "run", settings=small())
    return folder.parent / "run"


def test_a_run_predicts_all_outcomes(run: Path, folder: Path):
    assert main(["predict", str(run), "--out", str(run / "said.csv"), "--quiet"]) == 0
    said = pd.read_csv(run / "said.csv", index_col="sample")
    labels = tables()["labels"]
    curve = said.filter(like="survival_").to_numpy()
    assert curve.shape == (40, 6)
    assert (np.diff(curve, axis=1) <= 1e-6).all()
    assert (said["class"] == labels["label"]).mean() > 0.8
    known = labels["age"].notna()
    assert np.corrcoef(said["age"][known], labels["age"][known])[0, 1] > 0.8
    assert said["risk"].corr(labels["age"], method="spearman") > 0.6


def test_a_loaded_run_reads_chromosomes_apart(run: Path):
    loaded = load_run(run)
    assert isinstance(loaded, Estimator)
    assert loaded.spec_.views[0].groups == ((0, 1), (2, 3), (4, 5), (6, 7))
    assert loaded.spec_.views[1].groups == ()
    assert loaded.outcomes_.edges[0] > 0
    assert "survival is known of 39 of 40 samples" in " ".join(loaded.notes_)


def test_new_samples_need_no_labels_and_not_all_views(run: Path, tmp_path: Path):
    tables()["rna"].iloc[:3].to_csv(tmp_path / "rna.csv")
    out = tmp_path / "said.parquet"
    assert main(["predict", str(run), "--data", str(tmp_path), "--out", str(out), "--quiet"]) == 0
    said = pd.read_parquet(out)
    assert said["sample"].tolist() == SAMPLES[:3]
    assert said[["age", "risk"]].notna().all(axis=None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--time", "months"], "expected --event beside --time"),
        (["--time", "months", "--event", "age"], "events of 0 or 1"),
        (["--time", "died", "--event", "died"], "above 0, found 0"),
        (["--regress", "label"], "expected numbers in label column 'label'"),
        (["--regress", "size"], "unknown label column 'size'"),
        (["--classify", "months", "--bins", "1"], "bins of at least 2"),
    ],
)
def test_what_cannot_be_learned_is_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    out = tmp_path / "run"
    assert main(["train", "omiembed", "--data", str(folder), "--out", str(out), *words]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_predictions_of_a_run_are_scored(
    run: Path, folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["predict", str(run), "--out", str(run / "p.csv"), "--quiet"]) == 0
    words = ["evaluate", "outcomes", str(run / "p.csv"), "--labels", str(folder / "labels.csv")]
    words += ["--label", "label", "--time", "months", "--event", "died", "--regress", "age"]
    capsys.readouterr()
    assert main([*words, "--out", str(run / "scores.csv")]) == 0
    told = capsys.readouterr()
    assert "harrell_c" in told.out
    assert "survival is not known of 1 of 40 samples" in told.err
    value = pd.read_csv(run / "scores.csv").set_index(["view", "metric"])["value"]
    assert value["all", "macro_auc"] > 0.8
    assert value["survival", "harrell_c"] > 0.7
    assert value["age", "r2"] > 0.5
    assert main([*words, "--out", str(run / "scores.csv")]) == 2


@pytest.fixture(scope="module")
def rare(folder: Path) -> Path:
    """The same samples, two of them of a class of their own, which no two folds have."""
    path = folder.parent / "rare"
    path.mkdir()
    found = tables()
    found["labels"].loc[SAMPLES[:2], "label"] = "rare"
    for name, table in found.items():
        table.to_csv(path / f"{name}.csv")
    return path


def test_outcomes_are_cross_validated_beside_regressions(rare: Path, tmp_path: Path):
    settings = replace(small(), config=replace(small().config, phases=(0.0, 0.0, 1.0)))
    scores = cv("omiembed", rare, tmp_path / "cv", Options(folds=2), settings=settings)
    assert scores is not None
    assert "Outcomes of held-out samples" in (tmp_path / "cv" / "report.html").read_text()
    own = scores[scores["mode"] == "outcomes"]
    assert set(own["model"]) == {"omiembed", "components"}
    assert set(own["view"]) == {"survival", "age"}
    wide = own.pivot_table(index=["model", "fold"], columns=["view", "metric"], values="value")
    folds = wide.drop(-1, level="fold").groupby("model").mean()
    np.testing.assert_allclose(wide.xs(-1, level="fold"), folds)
    best = own[own["fold"] == -1].set_index(["model", "view", "metric"])["value"].to_dict()
    assert best["components", "survival", "harrell_c"] > 0.7
    assert best["omiembed", "age", "mae"] < 10
    classes = scores[(scores["mode"] == "classes") & (scores["model"] == "omiembed")]
    assert {"macro_f1", "macro_auc"} <= set(classes["metric"])
    said = pd.read_parquet(tmp_path / "cv" / "tables" / "outcomes.parquet")
    assert sorted(said["sample"][said["model"] == "components"]) == SAMPLES
    assert set(said) == {"sample", "view", "risk", "age", "model", "fold", "repeat"}


def test_samples_that_training_held_out_are_scored(run: Path, folder: Path):
    loaded = load_run(run)
    assert isinstance(loaded, Estimator)
    loaded.held_out_ = pd.Index(SAMPLES[:15])
    scores = score_held_out(loaded, read_cohort(folder))["scores"]
    own = scores[scores["mode"] == "outcomes"].set_index(["view", "metric"])["value"]
    assert {"harrell_c", "integrated_brier"} <= set(own["survival"].index)
    assert own["age", "mae"] < 10


def test_only_models_of_outcomes_have_the_options():
    choice = choose(["omiembed", "--time", "months"], "train")
    options = choice.options(outcomes=OutcomesConfig("months", "died"))
    assert options.settings().outcomes.time == "months"
    assert not hasattr(choose(["mosa"], "train").options(), "outcomes")
    settings = replace(preset("mosa", "paper"), outcomes=OutcomesConfig("months", "died"))
    found = tables()
    cohort = MultiOmics.from_tables({"rna": found["rna"]}, found["labels"])
    with pytest.raises(InputError, match="a model that predicts outcomes such as omiembed"):
        Estimator(settings, model="mosa").fit(cohort)
