"""Any table samples x dimensions, judged by the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.cli import main
from jaxomics.metrics.tables import SCORE_COLUMNS


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 samples of 30 donors, three classes, survival along the first axis, counts of 12 genes."""
    folder = tmp_path_factory.mktemp("tables")
    random = np.random.default_rng(0)
    names = pd.Index([f"s{i:02d}" for i in range(60)], name="sample")
    classes = np.repeat(np.arange(30) % 3, 2)
    z = pd.DataFrame(random.normal(size=(60, 4)), names).add_prefix("z")
    z["z0"] += 2.5 * classes
    time = random.exponential(np.exp(-z["z0"] / 2)) + 0.01
    labels = pd.DataFrame(
        {
            "cohort": np.array(["BRCA", "LUAD", "KIRC"])[classes],
            "donor": np.repeat([f"d{i}" for i in range(30)], 2),
            "os_time": time,
            "os_event": (random.random(60) < 0.8).astype(int),
            "age": random.normal(60, 9, 60),
        },
        names,
    )
    counts = pd.DataFrame(random.poisson(200, size=(60, 12)), names).add_prefix("g")
    rna = np.log2(counts + 1)
    rebuilt = rna.copy()
    rebuilt["g0"], rebuilt["g1"] = rna["g0"] + 3, rna["g1"] - 3
    for name, table in (("z", z), ("labels", labels), ("rna", rna), ("rebuilt", rebuilt)):
        table.to_csv(folder / f"{name}.csv")
    counts.to_csv(folder / "counts.csv")
    (folder / "sets.gmt").write_text("MOVED\t-\tg0\tg1\nSTILL\t-\tg4\tg5\tg6\n")
    return folder


def words(folder: Path, out: Path, *more: str) -> list[str]:
    own = ["evaluate", "embedding", str(folder / "z.csv"), "--labels", str(folder / "labels.csv")]
    return [*own, "--label", "cohort", "--quick", "--out", str(out), *more]


def test_all_benchmarks_in_one_command(tables: Path, tmp_path: Path, capsys):
    pytest.importorskip("xgboost")
    more = ["--time", "os_time", "--event", "os_event", "--group", "donor", "--clinical", "age"]
    files = {"features": "rna.csv", "reconstruction": "rebuilt.csv", "counts": "counts.csv"}
    files |= {"gene-sets": "sets.gmt"}
    more += [w for name, file in files.items() for w in (f"--{name}", str(tables / file))]
    more += ["--cohort", "LUAD", "--summary", str(tmp_path / "sum.csv")]
    more += ["--figure", str(tmp_path / "four.png")]
    assert main(words(tables, tmp_path / "scores.csv", *more)) == 0
    told = capsys.readouterr().err
    assert "differential features of 20 samples of 'LUAD'" in told
    assert "embedding: 1 of 2 gene sets enriched (MOVED)" in told
    scores = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)
    assert list(scores.columns) == SCORE_COLUMNS
    scores["value"] = pd.to_numeric(scores["value"], errors="coerce")
    mean = scores[scores["mode"] != "pc50"].groupby(["model", "metric"])["value"].mean()
    assert mean["xgboost", "accuracy"] > 0.6 > mean["pca:xgboost", "accuracy"]
    assert mean["embedding", "grassmann_z"] > 3 > mean["pca", "grassmann_z"]
    assert mean["embedding", "uno_c"] > 0.6
    assert {"clinical", "embedding+clinical", "pca"} <= set(mean.xs("uno_c", level="metric").index)
    assert mean["embedding", "differential_features"] == 2
    assert mean["embedding", "differential_floor"] == 0
    summary = pd.read_csv(tmp_path / "sum.csv").set_index(["model", "metric"])
    assert summary.loc[("embedding", "uno_c"), "folds"] == 5
    assert (tmp_path / "four.png").read_bytes()[1:4] == b"PNG"


def test_the_plain_command_says_what_stands_beside(tables: Path, tmp_path: Path, capsys):
    assert main(words(tables, tmp_path / "scores.csv")) == 0
    told = capsys.readouterr()
    assert "--features" in told.err
    assert "logistic" in told.out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--time", "os_time"], "--time and --event together"),
        (["--clinical", "age"], "--time and --event with --clinical"),
        (["--time", "os_time", "--event", "dead"], "'dead'"),
        (["--figure", "four.svg"], "ending in .png"),
    ],
)
def test_what_does_not_fit_is_told_at_once(tables, tmp_path: Path, capsys, more, said: str):
    assert main(words(tables, tmp_path / "scores.csv", *more)) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "scores.csv").exists()


def test_a_reconstruction_needs_the_measured_table(tables: Path, tmp_path: Path, capsys):
    more = ["--reconstruction", str(tables / "rebuilt.csv")]
    assert main(words(tables, tmp_path / "scores.csv", *more)) == 2
    assert "expected --features" in capsys.readouterr().err
