"""Folders of tables: what is read exactly, what is refused and how, what is written."""

import gzip
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxomics.data.container import MultiOmics
from jaxomics.data.io import (
    read_cohort,
    read_indexed,
    read_metadata,
    read_table,
    write_cohort,
    write_table,
)
from jaxomics.errors import InputError

NAMES = st.text("abcxyzÄß019-_.|() ", min_size=1, max_size=8).map(str.strip).filter(bool)
CELLS = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32))


@st.composite
def views(draw) -> pd.DataFrame:
    samples = draw(st.lists(NAMES, min_size=2, max_size=5, unique=True))
    features = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    cells = draw(
        st.lists(
            CELLS, min_size=len(samples) * len(features), max_size=len(samples) * len(features)
        )
    )
    values = np.array(cells, dtype=np.float32).reshape(len(samples), len(features))
    values[:, 0], values[0, :] = np.arange(len(samples)), 1.5
    return pd.DataFrame(values, index=pd.Index(samples, name="sample"), columns=features)


def assert_same(one: MultiOmics, other: MultiOmics) -> None:
    assert list(one.samples) == list(other.samples)
    assert set(one.views) == set(other.views)
    for name, table in one.views.items():
        pd.testing.assert_frame_equal(table, other.views[name], check_column_type=False)


def put(folder: Path, **tables: str) -> Path:
    """Write text tables, named VIEW__SUFFIX, for instance rna__csv."""
    for name, text in tables.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return folder


RNA = "id,TP53,BRAF\na,1,2\nb,,4\n"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rna=views(), drug=views())
def test_a_cohort_survives_the_way_through_a_folder(tmp_path_factory, rna, drug):
    cohort = MultiOmics.from_tables({"rna": rna, "drug": drug})
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(cohort, folder)
    assert_same(cohort, read_cohort(folder))
    for name, table in cohort.views.items():
        (folder / f"{name}.parquet").unlink()
        write_table(table, folder / f"{name}.tsv")
    assert_same(cohort, read_cohort(folder))


def test_labels_and_features_survive_the_way_through_a_folder(tmp_path):
    rna = pd.DataFrame({"TP53": [1.0, 2.0]}, index=["a", "b"])
    labels = pd.DataFrame({"sex": ["f", None], "age": [61.5, 40.0]}, index=["a", "b"])
    features = {"rna": pd.DataFrame({"chromosome": ["17"]}, index=["TP53"])}
    write_cohort(MultiOmics.from_tables({"rna": rna}, labels, features), tmp_path / "new")
    back = read_cohort(tmp_path / "new")
    assert back.labels.sex.dropna().to_dict() == {"a": "f"}
    assert back.labels.age.tolist() == [61.5, 40.0]
    assert back.features["rna"].chromosome.tolist() == ["17"]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "csv.gz", "tsv.gz"])
def test_text_ids_stay_letter_by_letter(tmp_path, suffix):
    text = 'id,"g,1",7\n007,1.5,\n1e5,nan,-2e-3\nNA,3,NA\n'
    text = text.replace('"g,1"', "g1").replace(",", "\t") if "tsv" in suffix else text
    path = tmp_path / f"rna.{suffix}"
    path.write_bytes(gzip.compress(text.encode()) if suffix.endswith("gz") else text.encode())
    table = read_cohort(tmp_path).views["rna"]
    assert list(table.index) == ["007", "1e5", "NA"]
    assert list(table.columns) == ["g1" if "tsv" in suffix else "g,1", "7"]
    expected = np.array([[1.5, np.nan], [np.nan, -2e-3], [3.0, np.nan]], dtype=np.float32)
    np.testing.assert_array_equal(table.to_numpy(), expected)


def test_forms_that_spreadsheets_and_r_write_are_read(tmp_path):
    put(
        tmp_path,
        rna__csv="\ufeffid,TP53\r\na,1\r\nb,2\r\n\r\n",
        cn__tsv="TP53\tBRAF\na\t1\t2\nb\t3\t4\n",
    )
    cohort = read_cohort(tmp_path)
    assert cohort.views["rna"].TP53.tolist() == [1.0, 2.0]
    assert cohort.views["cn"].BRAF.tolist() == [2.0, 4.0]


def test_true_and_false_are_numbers_in_views(tmp_path):
    put(tmp_path, mut__csv="id,TP53\na,True\nb,False\n")
    assert read_cohort(tmp_path).views["mut"].TP53.tolist() == [1.0, 0.0]


def test_label_dates_stay_text_and_empty_cells_missing(tmp_path):
    put(tmp_path, rna__csv=RNA, labels__csv="id,date,grade\na,2020-01-31,NA\nb,,II\n")
    labels = read_cohort(tmp_path).labels
    assert labels.loc["a", "date"] == "2020-01-31"
    assert labels.isna().to_numpy().tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize("index", [pd.Index([10, 7]), pd.Index(["10", "7"], name="line")])
def test_parquet_ids_come_from_the_index_as_text(tmp_path, index):
    pd.DataFrame({"TP53": [1.0, 2.0]}, index=index).to_parquet(tmp_path / "rna.parquet")
    assert list(read_cohort(tmp_path).views["rna"].index) == ["10", "7"]


def test_parquet_ids_come_from_the_first_column_without_an_index(tmp_path):
    table = pa.table({"line": ["a", "b"], "TP53": [1.0, 2.0]})
    pq.write_table(table, tmp_path / "rna.parquet")
    assert list(read_cohort(tmp_path).views["rna"].index) == ["a", "b"]
    pq.write_table(table.select(["TP53"]), tmp_path / "rna.parquet")
    with pytest.raises(InputError, match="expected ids in the index or the first column"):
        read_cohort(tmp_path)


def test_reserved_names_subfolders_and_other_files_are_not_views(tmp_path):
    put(tmp_path, rna__csv=RNA, truth_z__csv="x", measured_rna__csv="x", README__md="x")
    put(tmp_path, features_drug__csv="broken")
    (tmp_path / "truth").mkdir()
    put(tmp_path / "truth", drug__csv=RNA)
    assert list(read_cohort(tmp_path).views) == ["rna"]


def test_files_that_someone_may_have_meant_are_reported(tmp_path):
    pd.DataFrame({"a": [1.0, 2.0]}, index=["s1", "s2"]).to_parquet(tmp_path / "rna.parquet")
    table = pd.DataFrame({"length": [3]}, index=["a"])
    table.to_csv(tmp_path / "features_rna.csv")
    table.to_csv(tmp_path / "features_rnaseq.csv")
    (tmp_path / "drug.xlsx").write_bytes(b"PK")
    (tmp_path / "README.md").write_text("what this is")
    (tmp_path / "truth_rna.csv").write_text("sample,a\ns1,1\n")
    dropped = read_cohort(tmp_path).dropped
    assert dropped["name"].tolist() == ["drug.xlsx", "features_rnaseq.csv"]
    assert set(dropped["item"]) == {"file"}
    assert "'rnaseq'" in dropped["reason"].iloc[1]


def test_only_chosen_views_are_opened(tmp_path):
    put(tmp_path, rna__csv=RNA, drug__csv="", features_drug__csv="")
    assert list(read_cohort(tmp_path, views=["rna"]).views) == ["rna"]
    with pytest.raises(InputError, match=r"unknown view 'rnaa'; did you mean 'rna'\?"):
        read_cohort(tmp_path, views=["rnaa"])


BAD = {
    "no bytes": ("", "rna.csv: expected a table, found a file of 0 bytes"),
    "only a header": ("id,TP53\n", "rna.csv"),
    "duplicate columns": ("id,a,a\nx,1,2\ny,3,4\n", "'a' more than once"),
    "duplicate samples": ("id,a\nx,1\nx,2\n", "'x'; average or remove the repeats"),
    "text cell": ("id,a,b\nx,1,2\ny,3,high\n", "'high' at sample 'y', feature 'b'"),
    "date cell": ("id,a,b\nx,1,2020-01-01\ny,3,\n", "'2020-01-01' at sample 'x', feature 'b'"),
    "infinite cell": ("id,a\nx,1\ny,inf\n", "infinite cells, the first at sample 'y', feature 'a'"),
    "no value": ("id,a\nx,\ny,\n", "no cell holds a value"),
    "one sample": ("id,a\nx,1\n", "expected at least 2 samples, found 1"),
    "no features": ("id\nx\ny\n", "found 2 rows and 0 columns"),
    "empty id": ("id,a\nx,1\n,2\n", "1 sample ids are empty"),
    "wrong separator": ("id;a\nx;1\n", "separated by ',', found ';'"),
    "ragged lines": ("id,a,b\nx,1,2\ny,3\n", "Expected 3 columns, got 2"),
    "short header": ("id,a\nx,1,2,3\n", "names 2 columns, the next line has 4 cells"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_text_table_is_refused_with_the_place(tmp_path, case):
    text, message = BAD[case]
    put(tmp_path, rna__csv=text)
    with pytest.raises(InputError) as caught:
        read_cohort(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_empty_places_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        read_cohort(tmp_path / "nowhere")
    with pytest.raises(InputError, match="found an empty folder"):
        read_cohort(tmp_path)
    put(tmp_path, README__md="x")
    with pytest.raises(InputError, match=r"found README\.md; put the tables there"):
        read_cohort(tmp_path)
    with pytest.raises(InputError, match="found another kind of file"):
        read_cohort(tmp_path / "README.md")


def test_damaged_files_are_refused_by_name(tmp_path):
    table = pd.DataFrame({"a": np.arange(500.0)}, index=[f"s{i}" for i in range(500)])
    whole, packed = tmp_path / "rna.parquet", tmp_path / "rna.csv.gz"
    write_table(table, whole)
    os.truncate(whole, whole.stat().st_size // 2)
    with pytest.raises(InputError, match=r"rna\.parquet: expected a parquet table"):
        read_cohort(tmp_path)
    whole.unlink()
    packed.write_bytes(gzip.compress(table.to_csv().encode())[:-400])
    with pytest.raises(InputError, match=r"rna\.csv\.gz: expected a text table"):
        read_cohort(tmp_path)
    packed.write_bytes(b"not packed at all")
    with pytest.raises(InputError, match=r"rna\.csv\.gz: expected a text table"):
        read_cohort(tmp_path)
    packed.unlink()
    (tmp_path / "rna.csv").write_bytes("id,größe\nx,1\ny,2\n".encode("latin-1"))
    with pytest.raises(InputError, match="UTF-8"):
        read_cohort(tmp_path)


def test_two_files_for_one_view_are_refused(tmp_path):
    put(tmp_path, rna__csv=RNA)
    write_table(pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "y"]), tmp_path / "rna.parquet")
    with pytest.raises(InputError, match=r"found both rna\.csv and rna\.parquet.*keep one"):
        read_cohort(tmp_path)


def test_a_csv_twin_is_the_same_table_until_it_is_edited(tmp_path):
    table = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index(["x", "y"], name="sample"))
    write_table(table, tmp_path / "rna.parquet", csv=True)
    assert (tmp_path / "rna.csv").read_text() == "sample,a\nx,1.0\ny,2.0\n"
    assert read_cohort(tmp_path).views["rna"].a.tolist() == [1.0, 2.0]
    put(tmp_path, rna__csv="sample,a\nx,1.0\ny,3.0\n")
    with pytest.raises(InputError, match="found both"):
        read_cohort(tmp_path)


def test_tidy_tables_come_back_as_written_with_provenance(tmp_path):
    scores = pd.DataFrame({"sample": ["007", "b"], "fold": [0, 1], "value": [0.25, np.nan]})
    path = tmp_path / "deep" / "scores.parquet"
    write_table(scores, path, metadata={"seed": 3, "data": "abc"}, csv=True)
    pd.testing.assert_frame_equal(read_table(path), scores)
    pd.testing.assert_frame_equal(read_table(path.with_suffix(".csv")), scores, check_dtype=False)
    assert read_metadata(path) == {"seed": 3, "data": "abc"}
    assert read_indexed(path).index.tolist() == ["007", "b"]


def test_equal_tables_give_equal_bytes_and_leave_nothing_else(tmp_path):
    table = pd.DataFrame({"a": [1.0, np.nan]}, index=["x", "y"])
    write_table(table, tmp_path / "one.parquet", metadata={"b": 1, "a": 2})
    write_table(table.copy(), tmp_path / "two.parquet", metadata={"a": 2, "b": 1})
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["one.parquet", "two.parquet"]


def test_nothing_is_overwritten_unasked(tmp_path):
    table = pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "y"])
    path = tmp_path / "rna.parquet"
    write_table(table, path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="overwrite it with --overwrite"):
        write_table(table + 1, path)
    cohort = MultiOmics.from_tables({"rna": table + 1})
    with pytest.raises(InputError, match="overwrite it with --overwrite"):
        write_cohort(cohort, tmp_path)
    assert path.read_bytes() == before
    write_cohort(cohort, tmp_path, overwrite=True)
    assert read_cohort(tmp_path).views["rna"].a.tolist() == [2.0, 3.0]


def test_a_folder_with_other_tables_is_not_mixed_with_a_cohort(tmp_path):
    put(tmp_path, drug__csv=RNA)
    cohort = MultiOmics.from_tables({"rna": pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "y"])})
    with pytest.raises(InputError, match=r"drug\.csv, which would mix"):
        write_cohort(cohort, tmp_path, overwrite=True)


@pytest.mark.parametrize("name", ["labels", "truth_rna", "a/b", ".rna"])
def test_views_that_could_not_be_read_back_are_not_written(tmp_path, name):
    table = pd.DataFrame({"a": [1.0, 2.0]}, index=["x", "y"])
    with pytest.raises(InputError, match="name of a file"):
        write_cohort(MultiOmics.from_tables({name: table}), tmp_path / "new")


@pytest.mark.real
@pytest.mark.skipif("JAXOMICS_DATA" not in os.environ, reason="JAXOMICS_DATA is not set")
def test_cell_lines_are_read_as_their_description_says():
    cohort = read_cohort(Path(os.environ["JAXOMICS_DATA"]) / "cell_lines")
    drug = cohort.views["drug"]
    assert len(cohort.samples) == 1483
    assert len(cohort.views) == 12
    assert drug.shape == (930, 266)
    assert drug.isna().to_numpy().mean() == pytest.approx(0.311, abs=5e-4)
    assert cohort.dropped.empty
    assert cohort.labels.shape == (1483, 31)
    assert list(cohort.features) == ["drug"]
