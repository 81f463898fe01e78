"""Parquet tables in row chunks: every row once, and damage is named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.parquet import id_column, row_chunks, view_files
from jaxomics.errors import InputError

TABLE = pd.DataFrame({"id": ["a", "b", "c"], "x": [1.0, None, 3.0], "y.z": [4, 5, 6]})


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize(("kind", "columns"), [(int, 2), (float, 2), (float, 1)])
def test_chunks_make_the_table(
    tmp_path: Path, indexed: bool, kind: type, columns: int, monkeypatch: pytest.MonkeyPatch
):
    table = TABLE.astype({"y.z": kind})
    table = table.set_index("id") if indexed else table
    table.to_parquet(tmp_path / "v.parquet")
    ids = id_column(tmp_path / "v.parquet")
    assert (ids.column, list(ids.index), list(ids.features)) == ("id", list("abc"), ["x", "y.z"])
    monkeypatch.setattr("jaxomics.data.parquet.COLUMNS", columns)
    chunks = list(row_chunks(tmp_path / "v.parquet", ids, np.array([5, 0, 2]), 2))
    assert [rows.tolist() for rows, _, _ in chunks] == [[5, 0], [2]] * (2 // columns)
    values = np.zeros((6, 2), np.float32)
    for rows, part, found in chunks:
        assert found.dtype == np.float32
        values[rows, part] = found
    np.testing.assert_array_equal(values[[5, 0, 2]], [[1, 4], [np.nan, 5], [3, 6]])


def test_the_limit_of_a_footer_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The footer of half a million columns is larger than pyarrow reads by default."""
    TABLE.to_parquet(tmp_path / "v.parquet")
    monkeypatch.setattr("jaxomics.data.parquet._LARGEST", 10)
    with pytest.raises(InputError, match="Exceeded size limit"):
        id_column(tmp_path / "v.parquet")


def test_numbers_as_ids_become_text(tmp_path: Path):
    pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index([7, 8])).to_parquet(tmp_path / "v.parquet")
    assert list(id_column(tmp_path / "v.parquet").index) == ["7", "8"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (TABLE.assign(id=["a", "b", "a"]), "unique sample ids, found 1 repeated, the first is 'a'"),
        (TABLE.assign(id=["a", None, "c"]), "expected sample ids in 'id', found 1 empty"),
        (TABLE[["x", "id"]], "expected sample ids in 'x'"),
        (TABLE.assign(x=list("uvw")), "expected numbers, found type .*string in column 'x'"),
    ],
    ids=["repeated", "empty", "values", "text"],
)
def test_unfit_tables_are_named(tmp_path: Path, table: pd.DataFrame, told: str):
    table.to_parquet(tmp_path / "v.parquet")
    with pytest.raises(InputError, match=told):
        id_column(tmp_path / "v.parquet")


def test_damaged_files_are_named(tmp_path: Path):
    (tmp_path / "v.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"v\.parquet: expected a parquet table, found a damaged"):
        id_column(tmp_path / "v.parquet")


def test_folders(tmp_path: Path):
    with pytest.raises(InputError, match=r"expected one VIEW\.parquet per view, found none"):
        view_files(tmp_path)
    for name in ("rna", "labels", "features_rna", "truth_rna"):
        TABLE.to_parquet(tmp_path / f"{name}.parquet")
    TABLE.to_csv(tmp_path / "rna.csv")
    assert list(view_files(tmp_path)) == ["rna"]
    TABLE.to_csv(tmp_path / "drug.csv.gz")
    with pytest.raises(InputError, match=r"found drug\.csv\.gz; convert the tables"):
        view_files(tmp_path)
