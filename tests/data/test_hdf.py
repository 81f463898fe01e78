"""scverse files: round trips, files that other programs write, and what is refused."""

import importlib

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_cohort
from jaxomics.errors import InputError

anndata = pytest.importorskip("anndata", reason="needs jaxomics[io]")
writes_with_anndata = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def cohort() -> MultiOmics:
    rna = pd.DataFrame({"TP53": [1.0, np.nan], "BRAF": [0.5, 2.0]}, index=["a", "b"])
    drug = pd.DataFrame({"TP53": [3.0, -1.0], "nutlin/3": [0.1, np.nan]}, index=["c", "b"])
    labels = pd.DataFrame(
        {
            "sex": ["f", None, "m"],
            "age": [61.5, np.nan, 40.0],
            "relapse": [True, None, False],
            "treated": [True, True, False],
        },
        index=["a", "b", "c"],
    )
    features = {"rna": pd.DataFrame({"chromosome": ["17", "7"]}, index=["TP53", "BRAF"])}
    return MultiOmics.from_tables({"rna": rna, "drug": drug}, labels, features)


def test_h5mu_keeps_views_missing_cells_labels_and_features(cohort, tmp_path):
    path = tmp_path / "cohort.h5mu"
    write_cohort(cohort, path)
    back = read_cohort(path)
    assert back.views["rna"].equals(cohort.views["rna"])
    assert back.views["drug"].equals(cohort.views["drug"])
    assert list(back.samples) == ["a", "b", "c"]
    assert back.present("rna").tolist() == [True, True, False]
    for name, expected in cohort.labels.items():
        found = back.labels[name]
        assert found.isna().tolist() == expected.isna().tolist()
        assert found.dropna().tolist() == expected.dropna().tolist()
    assert back.features["rna"].chromosome.tolist() == ["17", "7"]
    assert [p.name for p in tmp_path.iterdir()] == ["cohort.h5mu"]


def test_views_can_be_chosen(cohort, tmp_path):
    write_cohort(cohort, tmp_path / "c.h5mu")
    assert list(read_cohort(tmp_path / "c.h5mu", views=["drug"]).views) == ["drug"]
    with pytest.raises(InputError, match="did you mean 'drug'"):
        read_cohort(tmp_path / "c.h5mu", views=["drugs"])


def test_h5ad_holds_one_view_under_its_name(cohort, tmp_path):
    path = tmp_path / "file.h5ad"
    write_cohort(cohort.select_views(["drug"]), path)
    back = read_cohort(path)
    assert list(back.views) == ["drug"]
    assert back.views["drug"].equals(cohort.views["drug"])
    assert back.labels.loc["c", "sex"] == "m"
    with pytest.raises(InputError, match="found 2: rna, drug; choose one"):
        write_cohort(cohort, tmp_path / "two.h5ad")


@writes_with_anndata
def test_a_foreign_sparse_file_is_read_densely_and_called_as_the_file(tmp_path):
    counts = np.array([[0, 3], [2, 0], [0, 0]], dtype=np.float32)
    table = anndata.AnnData(
        X=sparse.csr_matrix(counts),
        obs=pd.DataFrame({"tissue": pd.Categorical(["lung", "skin", "lung"])}, index=list("abc")),
        var=pd.DataFrame(index=["g1", "g2"]),
    )
    table.write_h5ad(tmp_path / "atac.h5ad")
    cohort = read_cohort(tmp_path / "atac.h5ad")
    np.testing.assert_array_equal(cohort.array("atac"), counts)
    assert cohort.labels.tissue.tolist() == ["lung", "skin", "lung"]


@writes_with_anndata
def test_a_file_without_matrix_is_refused(tmp_path):
    anndata.AnnData(obs=pd.DataFrame(index=["a", "b"])).write_h5ad(tmp_path / "rna.h5ad")
    with pytest.raises(InputError, match="view 'rna' has no X"):
        read_cohort(tmp_path / "rna.h5ad")


@pytest.mark.parametrize("suffix", ["h5mu", "h5ad"])
def test_damaged_and_empty_files_are_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"cohort.{suffix}"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=rf"cohort\.{suffix}: .*0 bytes"):
        read_cohort(path)
    path.write_bytes(b"no HDF5 in here")
    with pytest.raises(InputError, match=rf"cohort\.{suffix}: expected an \.{suffix} file"):
        read_cohort(path)


def test_nothing_is_overwritten_unasked(cohort, tmp_path):
    path = tmp_path / "c.h5mu"
    write_cohort(cohort, path)
    with pytest.raises(InputError, match="--overwrite"):
        write_cohort(cohort, path)
    write_cohort(cohort.select_views(["rna"]), path, overwrite=True)
    assert list(read_cohort(path).views) == ["rna"]


def test_names_with_a_slash_are_refused(tmp_path):
    rna = pd.DataFrame({"TP53": [1.0, 2.0]}, index=["a", "b"])
    labels = pd.DataFrame({"m/f": ["m", "f"]}, index=["a", "b"])
    with pytest.raises(InputError, match="without '/', found 'm/f'"):
        write_cohort(MultiOmics.from_tables({"rna": rna}, labels), tmp_path / "c.h5mu")


def test_a_missing_library_names_the_command_that_installs_it(cohort, tmp_path, monkeypatch):
    write_cohort(cohort, tmp_path / "c.h5mu")

    def absent(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(InputError, match=r"pip install 'jaxomics\[io\]'"):
        read_cohort(tmp_path / "c.h5mu")
