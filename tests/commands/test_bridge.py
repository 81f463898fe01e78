"""From a cohort over outside software to scores, by command."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.cli import main
from jaxomics.data.io import read_indexed, read_metadata, read_table


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two views of one factor, and classes that follow it."""
    folder = tmp_path_factory.mktemp("bridge") / "data"
    folder.mkdir()
    random = np.random.default_rng(0)
    z = random.normal(size=(40, 1))
    names = pd.Index([f"s{i:02}" for i in range(40)], name="sample")
    for view, width in (("rna", 8), ("protein", 6)):
        values = z @ random.normal(size=(1, width)) + 0.2 * random.normal(size=(40, width))
        pd.DataFrame(values, names).add_prefix(view[0]).to_parquet(folder / f"{view}.parquet")
    pd.DataFrame({"class": np.where(z[:, 0] > 0, "ill", "well")}, names).to_csv(
        folder / "labels.csv"
    )
    return folder


def test_a_tool_is_scored_on_cells_that_it_never_saw(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The tool of this test is an outside one: the mean of each column."""
    export, said, back = tmp_path / "export", tmp_path / "said", tmp_path / "back"
    words = ["export", str(data), "--to", "r", "--out", str(export)]
    assert main([*words, "--hide", "0.2", "--seed", "1"]) == 0
    assert "of 320 measured cells hidden" in capsys.readouterr().err
    said.mkdir()
    for view in ("rna", "protein"):
        table = pd.read_csv(export / f"{view}.csv", index_col=0)
        table.loc[:] = table.mean().to_numpy()[None]
        table.to_csv(said / f"{view}.csv")
    assert main(["import-recon", str(said), "--exported", str(export), "--out", str(back)]) == 0
    assert read_metadata(back / "rna.parquet")["exported"]["seed"] == 1
    out = tmp_path / "scores.parquet"
    truth = ["--truth", str(export / "truth"), "--out", str(out)]
    assert main(["evaluate", "imputation", str(back), *truth]) == 0
    scores = read_table(out).query("mode == 'imputed'").set_index(["view", "metric"])["value"]
    assert scores["rna", "mean_relative_error"] == pytest.approx(1.0, abs=0.1)


def test_a_latent_space_is_scored(data: Path, tmp_path: Path):
    first = read_indexed(data / "rna.parquet").to_numpy()
    np.save(tmp_path / "z.npy", np.linalg.svd(first - first.mean(0))[0][:, :2])
    export, latent = tmp_path / "export", tmp_path / "latent.parquet"
    assert main(["export", str(data), "--to", "mofa", "--out", str(export)]) == 0
    words = [str(tmp_path / "z.npy"), "--exported", str(export), "--out", str(latent)]
    assert main(["import-latent", *words]) == 0
    assert list(read_table(latent)) == ["sample", "z0", "z1"]


def test_exports_are_kept_and_overwritten(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "export"
    words = ["export", str(data), "--to", "r", "--out", str(out)]
    assert main(words) == 0
    assert main(words) == 2
    assert "holds files already" in capsys.readouterr().err
    assert main([*words, "--overwrite", "--views", "rna"]) == 0
    assert not (out / "protein.csv").exists()
    inside = ["export", str(out), "--to", "r", "--out", str(out), "--overwrite"]
    assert main(inside) == 2
    assert "which would be replaced" in capsys.readouterr().err
    assert main(["export", str(data), "--to", "r", "--out", str(data), "--overwrite"]) == 2
    assert (data / "rna.parquet").exists()
    assert main([*words[:-1], str(tmp_path / "x"), "--seed", "-1"]) == 2
