"""The benchmark: parts are written one by one, and every table is made of what is there."""

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.crossval.modes import Plan
from jaxomics.data.io import read_cohort, read_table, write_table
from jaxomics.errors import InputError
from jaxomics.metrics.protein_pairs import read_pairs

EVAL = str(Path(__file__).parents[2] / "eval")
NAMES = (
    "benchmark",
    "benchmark_part",
    "benchmark_facts",
    "benchmark_report",
    "ablation",
    "downstream",
    "same_protein",
)


@pytest.fixture(scope="module")
def modules():
    """The scripts, which import each other by name."""
    sys.path.insert(0, EVAL)
    try:
        yield {name: import_module(name) for name in NAMES}
    finally:
        sys.path.remove(EVAL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Tables of 60 samples that share two factors; view b of ten samples is missing."""
    random = np.random.default_rng(0)
    z = random.normal(size=(60, 2))
    names = pd.Index([f"s{i:02d}" for i in range(60)], name="sample")
    folder = tmp_path_factory.mktemp("benchmark") / "breast_subtypes"
    folder.mkdir()
    for view, width in {"rna": 12, "mirna": 8, "protein": 9}.items():
        values = z @ random.normal(size=(2, width)) + 0.5 * random.normal(size=(60, width))
        features = pd.Index([f"{view}{i}" for i in range(width)])
        table = pd.DataFrame(values, names, features)
        if view == "protein":
            table = table.rename(columns={"protein0": "HER2", "protein1": "AR"})
            table["HER2"] += 3.0 * (z[:, 0] > 0)
            table = table.iloc[:50]
        write_table(table, folder / f"{view}.parquet")
    subtype = np.where(z[:, 0] > 0, "Her2", "Basal")
    write_table(pd.DataFrame({"subtype": subtype}, names), folder / "labels.parquet")
    return folder


@pytest.fixture(scope="module")
def done(modules, folder) -> Path:
    """A benchmark of three methods, run in this process."""
    study = modules["benchmark_part"].Study(str(folder), str(folder.parent / "out"), folds=3)
    for name in ("mean", "pca", "diablo"):
        folds = modules["benchmark"].parts_of(name, study)
        modules["benchmark_part"].main(modules["benchmark_part"].as_argument(study, name, folds))
    options = modules["benchmark"].Options(folder, Path(study.out), ("none",), folds=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxomics.metrics.embedding.SEEDS", 1)
        modules["benchmark"].main(options)
    return Path(study.out)


def test_methods_do_what_they_can(modules, folder, done):
    assert sorted(p.name for p in (done / "parts/pca").iterdir()) == ["0", "1", "2", "whole"]
    assert [p.name for p in (done / "parts/diablo").iterdir()] == ["whole"]
    names = modules["benchmark_part"].names()
    assert {"mosa recommended", "mofa", "mofa paper", "icluster paper", "jamie paper"} <= set(names)


def test_scores_compare_methods_on_the_same_cells(done):
    scores = read_table(done / "scores.parquet")
    assert set(scores["model"]) == {"mean", "pca"}
    assert set(scores["mode"]) == {"reconstruct", "view_out", "cell_out"}
    counts = read_table(done / "features.parquet").groupby(["mode", "view", "feature", "metric"])
    assert (counts["n"].nunique() == 1).all()
    own = scores[(scores["fold"] == -1) & (scores["metric"] == "relative_error")]
    means = own.groupby("model")["value"].mean()
    assert means["mean"] == pytest.approx(1.0)
    assert means["pca"] < 0.9
    pairs = read_table(done / "pairs.parquet").set_index("mode")
    assert set(pairs.index) == set(scores["mode"])
    assert pairs["p_holm"].to_dict()["reconstruct"] < 1e-6


def test_facts_are_asked_of_measured_completed_and_predicted(done):
    facts = read_table(done / "facts.parquet")
    her2 = facts[facts["fact"] == "protein:HER2 with labels:subtype = Her2"]
    found = her2.set_index(["model", "kind"])
    assert found.loc[("measured", "measured"), "n"] == 50
    assert found.loc[("pca", "completed"), "n"] == 60
    assert found.loc[("pca", "predicted"), "n"] == 50
    assert found["recovered"].xs("completed", level="kind").all()
    assert not found.loc[("mean", "predicted"), "recovered"]


def test_the_report_says_who_saw_the_label_and_holds_all_parts(done):
    text = (done / "report.md").read_text()
    for words in ("diablo (saw the label)", "## B: a whole view withheld", "## Cost", "p_best"):
        assert words in text
    for words in ("| diablo | cells | estimates none |", "| mean | latent space | has none |"):
        assert words in text
    assert "Not run: knn" in text
    assert "Every method is a reimplementation" in text
    assert (done / "critical_view_out.png").stat().st_size > 1000


def test_the_first_folds_alone_can_be_scored(modules, folder, done, tmp_path):
    part, benchmark = modules["benchmark_part"], modules["benchmark"]
    study = part.Study(str(folder), str(done), folds=3, tested=1)
    assert benchmark.parts_of("pca", study) == [0, "whole"]
    found = benchmark.collect(study, study.cohort())
    assert set(found.errors["sample"]) == set(next(iter(study.held(study.cohort()).folds)).test)
    assert "| pca |" in modules["benchmark_report"].report(found, tmp_path)


def test_a_method_whose_folds_are_not_all_there_is_named(modules, folder, done, tmp_path):
    part, benchmark = modules["benchmark_part"], modules["benchmark"]
    shutil.copytree(done / "parts/pca", tmp_path / "parts/pca")
    shutil.copytree(done / "parts/mean", tmp_path / "parts/mean")
    for fold in ("1", "whole"):
        shutil.rmtree(tmp_path / "parts/pca" / fold)
    study = part.Study(str(folder), str(tmp_path), folds=3)
    found = benchmark.collect(study, study.cohort())
    assert set(found.scores["model"]) == {"mean"}
    text = modules["benchmark_report"].report(found, tmp_path)
    assert "| pca | cells | 2 of 3 folds; all are needed |" in text
    assert "| pca | latent space | all samples together were not fitted |" in text


def test_the_report_has_the_share_of_samples_and_fifty_components(modules, done):
    report = modules["benchmark_report"]
    errors = report.by_sample(read_table(done / "errors.parquet"), "view_out")
    share = report.nearer(errors, pd.Series({"pca": 1.0, "mean": 2.0}))
    assert share["mean"] == pytest.approx(np.mean(errors["pca"] < errors["mean"]))
    clusters = read_table(done / "clusters.parquet")
    both = clusters.groupby("model")["mode"].nunique()
    assert both[["pca", "diablo"]].tolist() == [2, 2]  # of fewer than 50 dimensions
    clusters = clusters.assign(value=clusters["value"].where(clusters["mode"] != "pc50", 7.25))
    plan = Plan(dataset="breast_subtypes")
    empty = pd.DataFrame()
    text = "\n".join(report._latents(
        report.Found("c", "subtype", plan, 3, empty, empty, empty, clusters, empty, empty)
    ))  # fmt: skip
    assert "first 50 principal components" in text
    assert "7.250" in text


def test_parts_of_another_study_are_refused(modules, folder, done):
    other = modules["benchmark_part"].Study(str(folder), str(done), folds=4)
    with pytest.raises(InputError, match="begun with"):
        modules["benchmark"].remember(other)


def test_finished_and_failed_methods_are_not_run_again(modules, folder, done, monkeypatch):
    benchmark = modules["benchmark"]

    def never(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(benchmark.subprocess, "run", never)
    options = benchmark.Options(folder, done, folds=3)
    benchmark.run_method(options.study, "pca", 1.0, options)
    modules["benchmark_part"].finish(done / "parts/knn/0", (1.0, None), "out of luck", None)
    benchmark.run_method(options.study, "knn", 1.0, options)
    again = benchmark.Options(folder, done, folds=3, again=True)
    with pytest.raises(AssertionError, match="started"):
        benchmark.run_method(again.study, "knn", 1.0, again)


def test_what_fails_is_written_with_its_reason(modules, folder, tmp_path):
    part = modules["benchmark_part"]
    study = part.Study(str(folder), str(tmp_path), views=("rna", "mirna"))
    part.main(part.as_argument(study, "no such method", [0, 1]))
    about = json.loads((tmp_path / "parts/no such method/0/part.json").read_text())
    assert "unknown method" in about["reason"]
    assert not (tmp_path / "parts/no such method/1").exists()


def test_forward_selection_takes_the_better_view_first(modules, folder, tmp_path, capsys):
    ablation = modules["ablation"]
    options = ablation.Options(folder, "protein", tmp_path, method="pca", folds=3)
    ablation.main(options)
    first = read_table(tmp_path / "ablation.parquet")
    assert first.groupby("step")["chosen"].sum().tolist() == [1, 1]
    alone = first[first["step"] == 1]
    assert alone.loc[alone["chosen"], "error"].item() == alone["error"].min()
    capsys.readouterr()
    ablation.main(options)  # nothing is trained again
    assert capsys.readouterr().err == ""
    pd.testing.assert_frame_equal(read_table(tmp_path / "ablation.parquet"), first)


@pytest.mark.parametrize(
    "other", [{"method": "mean"}, {"folds": 4}, {"seed": 1}, {"mode": "reconstruct"}]
)
def test_sets_scored_with_another_method_folds_seed_or_mode_are_refused(
    modules, folder, tmp_path, other
):
    ablation = modules["ablation"]
    same = {"method": "pca", "folds": 3}
    wide = ablation.Options(folder, "protein", tmp_path, views=("rna",), **same)
    ablation.main(wide)
    with pytest.raises(InputError, match=r"begun with.*'method': 'pca'"):
        ablation.main(ablation.Options(folder, "protein", tmp_path, **{**same, **other}))
    (tmp_path / "study.json").unlink()  # a folder of an older version
    with pytest.raises(InputError, match="nobody knows"):
        ablation.main(wide)


def test_downstream_statistics_of_two_folders(modules, folder, tmp_path, capsys):
    protein = pd.read_parquet(folder / "protein.parquet")
    random = np.random.default_rng(1)
    new = pd.DataFrame(
        random.normal(size=(10, 9)), [f"s{i}" for i in range(50, 60)], protein.columns
    )
    completed = tmp_path / "completed"
    completed.mkdir()
    write_table(pd.concat([protein, new]).rename_axis("sample"), completed / "protein.parquet")
    full = tmp_path / "full"
    full.mkdir()
    write_table((protein / 2).rename_axis("sample"), full / "protein.parquet")
    measured = tmp_path / "measured"
    measured.mkdir()
    for name in ("protein", "labels"):
        (measured / f"{name}.parquet").write_bytes((folder / f"{name}.parquet").read_bytes())
    events = pd.DataFrame({"KRAS": [0, 1] * 30}, pd.read_parquet(folder / "labels.parquet").index)
    write_table(events.astype(float), measured / "mut.parquet")
    pairs = tmp_path / "toy.tsv"
    pairs.write_text("HER2\tAR\t900\nprotein2\tprotein3\t300\n")
    modules["downstream"].main(
        modules["downstream"].Options(
            measured, completed, "protein", tmp_path / "out", events="mut", covariates=("subtype",),
            every=True, pairs=(f"{pairs}:400", str(pairs)), full=full,
            independent=completed / "protein.parquet",
        )
    )  # fmt: skip
    said = capsys.readouterr().out
    for words in (
        "1 events x 9 targets, median n 50 measured and 60 completed",
        "toy 400",
        "Welch",
    ):
        assert words in said
    found = {path.stem for path in (tmp_path / "out").glob("*.parquet")}
    assert {"skewness", "associations", "protein_pairs", "agreement_samples", "mismatches"} <= found


def test_rankings_of_protein_pairs_are_of_the_same_pairs(modules, tmp_path):
    random = np.random.default_rng(2)
    columns = [f"p{i}" for i in range(8)]
    whole = pd.DataFrame(random.normal(size=(40, 8)), columns=columns).assign(p7=1.0)
    measured = pd.DataFrame(random.normal(size=(30, 8)), columns=columns)
    measured.iloc[:20, 0] = np.nan  # a third is measured: not ranked, although it is completed
    pairs = tmp_path / "toy.tsv"
    pairs.write_text("".join(f"p{i}\tp{i + 1}\n" for i in range(7)))
    options = modules["downstream"].Options(
        tmp_path, tmp_path, "protein", tmp_path, pairs=(str(pairs),)
    )
    said = modules["downstream"].pairs_of(measured, whole, options)
    table = read_table(tmp_path / "protein_pairs.parquet")
    assert set(table["ranking"]) == {
        "measured, Pearson", "completed, Pearson", "completed, whitened"
    }  # fmt: skip
    assert set(table["known"]) == {5}
    assert set(table["pairs"]) == {15}
    assert "pairs of 6 proteins" in said


def test_latents_are_held_beside_labels_features_and_means_of_views(modules, folder, tmp_path):
    downstream = modules["downstream"]
    cohort = read_cohort(folder)
    rna = cohort.view("rna")
    write_table(rna[["rna0", "rna1"]], tmp_path / "latent.parquet")
    options = downstream.Options(
        folder, folder, "protein", tmp_path, latent=tmp_path / "latent.parquet",
        beside=("rna/rna1", "protein"),
    )  # fmt: skip
    assert "strongest of 2 latent dimensions" in downstream.latent_of(cohort, options)
    found = read_table(tmp_path / "latent_covariates.parquet").set_index(["covariate", "dimension"])
    assert found.loc[("rna/rna1", "rna1"), "r"] == pytest.approx(1.0)
    mean = cohort.view("protein").mean(axis=1)
    expected = np.corrcoef(rna["rna0"].loc[mean.dropna().index], mean.dropna())[0, 1]
    assert found.loc[("protein", "rna0"), "r"] == pytest.approx(expected)
    for name, words in (("subtype", "found text"), ("rna/x", "unknown"), ("x", "unknown")):
        with pytest.raises(InputError, match=words):
            downstream.known_of(cohort, name)


def test_antibodies_against_one_protein_are_pairs(modules, tmp_path):
    names = ["Akt", "Akt_pS473", "Akt_pT308", "AR", "Rb_Caution", "Rb_pS807_S811", "p27", "p21"]
    table = pd.DataFrame(np.zeros((2, 8)), ["s0", "s1"], pd.Index(names))
    write_table(table, tmp_path / "rppa.parquet")
    modules["same_protein"].main(tmp_path / "rppa.parquet", out=tmp_path / "pairs.tsv")
    assert read_pairs(tmp_path / "pairs.tsv") == {
        frozenset(("Akt", "Akt_pS473")), frozenset(("Akt", "Akt_pT308")),
        frozenset(("Akt_pS473", "Akt_pT308")), frozenset(("Rb_Caution", "Rb_pS807_S811")),
    }  # fmt: skip
