"""The bridge: what is written can be read by others, and what they write is found again."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.bridge import (
    Exported,
    export_cohort,
    hide_cells,
    read_export,
    read_latent,
    read_recon,
)
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort
from jaxomics.errors import InputError


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    """A view of numbers with holes, and one of calls that some samples lack."""
    random = np.random.default_rng(0)
    names = pd.Index([f"s-{i}" for i in range(12)], name="sample")
    rna = pd.DataFrame(random.normal(size=(12, 5)), names, [f"g|{i}" for i in range(5)])
    calls = pd.DataFrame(random.integers(0, 2, (12, 3)), names).add_prefix("c").iloc[2:]
    labels = pd.DataFrame({"class": list("aabb") * 3}, names)
    rna.iloc[0, 1] = np.nan
    return MultiOmics.from_tables({"rna": rna, "calls": calls}, labels)


@pytest.fixture(scope="module")
def exported(cohort: MultiOmics, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("export") / "r"
    export_cohort(cohort, folder, "r", seed=4, hide=0.2)
    return read_export(folder)


def test_a_tool_sees_what_is_not_hidden_and_the_truth_is_kept(
    cohort: MultiOmics, exported: Exported
):
    truth = read_cohort(exported.folder / "truth")
    assert truth.digest() == cohort.digest()
    seen = pd.read_csv(exported.folder / "rna.csv", index_col=0)
    assert list(seen.index) == list(cohort.samples) == list(exported.samples)
    assert list(seen.columns) == list(exported.features["rna"])
    np.testing.assert_array_equal(seen.notna(), exported.mask("rna"))
    whole = cohort.table("rna")
    pd.testing.assert_frame_equal(
        seen.astype(np.float32), whole.where(exported.mask("rna")), check_names=False
    )
    counts = exported.about["views"]["rna"]
    assert counts["measured"] - counts["hidden"] == exported.mask("rna").to_numpy().sum()
    assert counts["hidden"] > 0
    assert "s-0,NA,NA,NA" in (exported.folder / "calls.csv").read_text()


def test_an_export_is_a_cohort_that_models_can_learn_from(exported: Exported):
    again = read_cohort(exported.folder)
    assert list(again.views) == ["calls", "rna"]
    np.testing.assert_array_equal(again.table("rna").notna(), exported.mask("rna"))


def test_hiding_follows_the_seed_and_leaves_each_sample_a_cell(cohort: MultiOmics):
    most, _ = hide_cells(cohort, 0.95, 0)
    for view in cohort.views:
        assert list(most.view(view).index) == list(cohort.view(view).index)
        assert bool(most.view(view).notna().any(axis=1).all())
    first, second, other = (hide_cells(cohort, 0.3, seed)[0].digest() for seed in (1, 1, 2))
    assert first == second != other
    assert hide_cells(cohort, 0.0, 1)[0].digest() == cohort.digest()


def test_move_gets_its_own_layout(cohort: MultiOmics, tmp_path: Path):
    export_cohort(cohort, tmp_path / "move", "move")
    table = pd.read_csv(tmp_path / "move" / "data" / "rna.tsv", sep="\t", index_col="ID")
    assert (tmp_path / "move" / "data" / "samples.txt").read_text().split() == list(table.index)
    config = (tmp_path / "move" / "config" / "data" / "cohort.yaml").read_text()
    assert "categorical_inputs:\n  - {name: calls, weight: 1}\ncontinuous_inputs:\n" in config
    assert "  - {name: rna, weight: 1, scale: true, log2: false}\n" in config
    assert not (tmp_path / "move" / "truth").exists()


@pytest.mark.parametrize("form", ["named", "bare", "array", "transposed", "parquet"])
def test_a_latent_space_is_read_in_any_form(exported: Exported, tmp_path: Path, form: str):
    values = np.random.default_rng(1).normal(size=(12, 3))
    table = pd.DataFrame(values, exported.samples, ["V1", "V2", "V3"])
    path = tmp_path / {"array": "z.npy", "parquet": "z.parquet"}.get(form, "z.csv")
    if form == "named":
        table.iloc[::-1].rename_axis("").to_csv(path)
    elif form == "bare":
        np.savetxt(path, values, delimiter=",")
    elif form == "array":
        np.save(path, values)
    elif form == "parquet":
        table.to_parquet(path)
    else:
        table.T.to_csv(path)
    found = read_latent(path, exported, transposed=form == "transposed")
    assert list(found) == ["z0", "z1", "z2"]
    np.testing.assert_allclose(found.loc[exported.samples], values)


def test_estimates_come_back_in_the_order_of_the_export(exported: Exported, tmp_path: Path):
    values = np.random.default_rng(2).normal(size=(12, 5)).astype(np.float32)
    table = pd.DataFrame(values, exported.samples, exported.features["rna"])
    table.iloc[::-1, ::-1].iloc[:10].to_csv(tmp_path / "rna.csv")
    found = read_recon(tmp_path, exported)
    assert list(found) == ["rna"]
    np.testing.assert_allclose(found["rna"].iloc[2:], values[2:], rtol=1e-6)
    assert bool(found["rna"].iloc[:2].isna().all(axis=None))
    np.save(tmp_path / "calls.npy", np.ones((3, 12)))
    (tmp_path / "rna.csv").unlink()
    assert read_recon(tmp_path, exported, transposed=True)["calls"].shape == (12, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sample,V1\ns-1,0.5\nt-1,0.2\n", "unknown name of rows 't-1'"),
        ("sample,V1\ns-1,0.5\ns-1,0.2\n", "'s-1' twice"),
        ("sample,V1\ns-1,inf\n", "expected a finite number in every cell, found 1"),
        ("sample,V1\ns-1,high\n", "found text in column 'V1'"),
        ("0.1,0.2\n0.3,0.4\n", "expected 12 rows, as exported, found 2"),
    ],
)
def test_wrong_latent_spaces_are_named(exported: Exported, tmp_path: Path, text: str, message: str):
    (tmp_path / "z.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_latent(tmp_path / "z.csv", exported)


def test_other_mistakes_are_named(cohort: MultiOmics, exported: Exported, tmp_path: Path):
    with pytest.raises(InputError, match=r"found 1\.5; it is a share"):
        hide_cells(cohort, 1.5, 0)
    with pytest.raises(InputError, match="did you mean 'mofa'"):
        export_cohort(cohort, tmp_path / "x", "mofaa")  # pyright: ignore
    with pytest.raises(InputError, match="that `jaxomics export` wrote"):
        read_export(tmp_path)
    with pytest.raises(InputError, match="named as the views rna, calls"):
        read_recon(tmp_path, exported)
    np.save(tmp_path / "z.npy", np.ones((12, 2)))
    with pytest.raises(InputError, match="with --exported"):
        read_latent(tmp_path / "z.npy")
