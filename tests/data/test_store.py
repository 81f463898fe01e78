"""Stores: what is read is what was written; anything else is refused by name."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.data import store as module
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_cohort
from jaxomics.data.store import Store, open_store, write_arrays, write_store
from jaxomics.errors import InputError


@pytest.fixture
def cohort() -> MultiOmics:
    """Two views of overlapping samples, in files whose order is not that of the cohort."""
    rng = np.random.default_rng(0)
    rna = pd.DataFrame(rng.normal(size=(7, 4)), index=list("gfbcdea"), columns=list("WXYZ"))
    drug = pd.DataFrame(rng.normal(size=(4, 2)), index=list("hbca"), columns=["p", "q"])
    rna.iloc[2, 1] = np.nan
    tissue = pd.DataFrame({"tissue": ["lung", "skin", None, "lung"]}, index=list("abch"))
    return MultiOmics.from_tables({"rna": rna, "drug": drug}, tissue)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write_arrays({"rna": np.arange(12.0).reshape(4, 3)}, tmp_path / "store")


def test_a_store_holds_its_cohort(cohort: MultiOmics, tmp_path: Path):
    extra = pd.DataFrame({"dose": range(8)}, index=cohort.samples[::-1])
    store = write_store(cohort, tmp_path / "s", conditionals=extra, labels=cohort.labels["tissue"])
    assert list(store.samples) == list("abcdefgh")
    assert len(store) == 8
    for view in ("rna", "drug"):
        np.testing.assert_array_equal(store.read(view, slice(None)), cohort.array(view))
    assert store.read("drug", [3, 0]).dtype == np.float32
    np.testing.assert_array_equal(store.read("drug", [3, 0]), cohort.array("drug")[[3, 0]])
    assert store.conditionals([0, 7]).tolist() == [[7.0], [0.0]]
    assert store.classes == ("lung", "skin")
    assert store.labels(slice(None)).tolist() == [0, 1, -1, -1, -1, -1, -1, 0]
    assert open_store(tmp_path / "s").digest == store.digest
    assert {path.name for path in tmp_path.iterdir()} == {"s"}


@pytest.mark.parametrize("rows", [1, 3, 100])
def test_a_folder_of_parquet_gives_the_store_of_its_cohort(
    cohort: MultiOmics, tmp_path: Path, rows: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "_chunk_rows", lambda features: rows)
    write_cohort(cohort, tmp_path / "tables")
    held = read_cohort(tmp_path / "tables")
    rna = held.views["rna"].iloc[::-1]
    rna.to_parquet(tmp_path / "tables" / "rna.parquet", row_group_size=2)
    store = write_store(tmp_path / "tables", tmp_path / "store")
    whole = write_store(held, tmp_path / "whole")
    assert store.digest == whole.digest
    assert list(store.features["rna"]) == list("WXYZ")


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 9), st.integers(1, 5), st.data())
def test_any_rows_come_back(tmp_path_factory, count: int, width: int, data: st.DataObject):
    values = np.random.default_rng(count).normal(size=(count, width)).astype(np.float32)
    values[values > 1] = np.nan
    store = write_arrays({"v": values}, tmp_path_factory.mktemp("any") / "store")
    rows = data.draw(st.lists(st.integers(0, count - 1)))
    np.testing.assert_array_equal(store.read("v", rows), values[rows].reshape(-1, width))


def test_the_digest_names_the_content(tmp_path: Path):
    values = np.zeros((3, 2))
    one = write_arrays({"v": values}, tmp_path / "one")
    assert write_arrays({"v": values}, tmp_path / "two").digest == one.digest
    values[2, 1] = 1
    assert write_arrays({"v": values}, tmp_path / "three").digest != one.digest
    names = write_arrays({"v": np.zeros((3, 2))}, tmp_path / "four", features={"v": ["a", "b"]})
    assert names.digest != one.digest


def test_stores_replace_stores_only_on_request_and_nothing_else(store: Store, tmp_path: Path):
    with pytest.raises(InputError, match="exists; choose another name, or replace"):
        write_arrays({"rna": np.ones((2, 1))}, store.folder)
    assert len(write_arrays({"rna": np.ones((2, 1))}, store.folder, overwrite=True)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(InputError, match="mine exists"):
        write_arrays({"rna": np.ones((2, 1))}, tmp_path / "mine", overwrite=True)


def test_a_writing_that_fails_leaves_what_was_there(store: Store, tmp_path: Path):
    bad = np.ones((2, 2))
    bad[1, 1] = np.inf
    with pytest.raises(InputError, match="view 'rna': expected finite numbers, found 1 infinite"):
        write_arrays({"rna": bad}, store.folder, overwrite=True)
    assert open_store(store.folder).digest == store.digest
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_stores_that_are_none(store: Store, tmp_path: Path):
    with pytest.raises(InputError, match=r"expected a store, found no store\.json"):
        open_store(tmp_path / "nowhere")
    record = store.folder / "store.json"
    text = record.read_text()
    record.write_text(json.dumps({**json.loads(text), "format": 99}))
    with pytest.raises(InputError, match="expected a store of format 1, found format 99"):
        open_store(store.folder)
    record.write_text(text[:50])
    with pytest.raises(
        InputError, match=r"store\.json: expected a store's record, found a damaged"
    ):
        open_store(store.folder)


def test_files_that_are_cut_off_missing_or_exchanged(store: Store, tmp_path: Path):
    path = store.folder / "views" / "rna.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-4])
    with pytest.raises(InputError, match=r"rna\.npy: expected an array \[4, 3\], .* cut off"):
        open_store(store.folder)
    np.save(path, np.ones((4, 2), np.float32))
    with pytest.raises(InputError, match=r"expected an array \[4, 3\], found \[4, 2\]"):
        open_store(store.folder)
    path.unlink()
    with pytest.raises(InputError, match="missing or cut off; write the store again"):
        open_store(store.folder)


def test_stores_of_other_features_are_refused(store: Store):
    store.require({"rna": ["0", "1", "2"]})
    with pytest.raises(InputError, match=r"the 3 features of view 'rna' .* found 3 others or in"):
        store.require({"rna": ["0", "2", "1"]})
    with pytest.raises(InputError, match="unknown view of the store 'rnaa'; did you mean 'rna'"):
        store.require({"rnaa": []})
    with pytest.raises(InputError, match="unknown view 'rnaa'; did you mean 'rna'"):
        store.read("rnaa", [0])


def test_unequal_arrays_and_missing_conditionals_are_refused(cohort: MultiOmics, tmp_path: Path):
    with pytest.raises(InputError, match="expected 2 rows in labels, found 3"):
        write_arrays({"v": np.ones((2, 2))}, tmp_path / "s", labels=np.zeros(3))
    extra = pd.DataFrame({"dose": [1.0]}, index=["a"])
    with pytest.raises(InputError, match="all 8 samples, found none for 7, the first is 'b'"):
        write_store(cohort, tmp_path / "s", conditionals=extra)
    with pytest.raises(InputError, match="a view name that can be a file's, found 'a/b'"):
        write_arrays({"a/b": np.ones((2, 2))}, tmp_path / "s")
