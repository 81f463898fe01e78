"""The container: what it accepts, what it refuses, and how views are aligned."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxomics.data.container import MultiOmics, view_kind
from jaxomics.errors import InputError


def frame(values, samples, features) -> pd.DataFrame:
    return pd.DataFrame(values, index=samples, columns=features)


@pytest.fixture
def cohort() -> MultiOmics:
    rna = frame([[1.0, 2.0], [3.0, np.nan]], ["b", "a"], ["TP53", "BRAF"])
    drug = frame([[0.5], [0.25]], ["c", "b"], ["nutlin"])
    labels = pd.DataFrame({"sex": ["f", "m"]}, index=["a", "z"])
    return MultiOmics.from_tables({"rna": rna, "drug": drug}, labels)


def test_views_are_aligned_on_the_sorted_union(cohort):
    assert list(cohort.samples) == ["a", "b", "c"]
    nan = np.nan
    np.testing.assert_array_equal(
        cohort.array("rna"), np.array([[3, nan], [1, 2], [nan, nan]], np.float32)
    )
    assert cohort.present("drug").tolist() == [False, True, True]
    assert cohort.views["rna"].index.tolist() == ["b", "a"]


def test_labels_follow_the_samples_and_lost_rows_are_recorded(cohort):
    assert cohort.labels.sex.isna().tolist() == [False, True, True]
    assert cohort.dropped.to_dict("records") == [
        {"view": "labels", "item": "sample", "name": "z", "reason": "measured in no view"}
    ]


@given(
    a=st.sets(st.integers(0, 9), min_size=1),
    b=st.sets(st.integers(0, 9), min_size=1),
    seed=st.integers(0, 9),
)
def test_the_order_of_rows_changes_nothing(a, b, seed):
    tables = {
        name: frame(np.array(sorted(rows), float)[:, None], sorted(rows), ["x"])
        for name, rows in (("one", a), ("two", b))
    }
    shuffled = {name: t.sample(frac=1.0, random_state=seed) for name, t in tables.items()}
    one = MultiOmics.from_tables(tables, min_samples=1)
    two = MultiOmics.from_tables(shuffled, min_samples=1)
    assert list(one.samples) == sorted(str(i) for i in a | b)
    assert one.digest() == two.digest()
    np.testing.assert_array_equal(one.array("two"), two.array("two"))


@pytest.mark.parametrize(
    ("ids", "text"),
    [([7.0, 8.0], ["7", "8"]), ([7, 8], ["7", "8"]), (["007", " 1e5 "], ["007", "1e5"])],
)
def test_ids_become_text(ids, text):
    table = frame([[1.0], [2.0]], ids, ["x"])
    assert list(MultiOmics.from_tables({"rna": table}).views["rna"].index) == text


BAD = {
    "no views": ({}, "at least one view"),
    "no rows": (frame(np.zeros((0, 1)), [], ["x"]), "found 0 rows and 1 columns"),
    "no columns": (frame(np.zeros((2, 0)), ["a", "b"], []), "found 2 rows and 0 columns"),
    "repeated sample": (frame([[1.0], [2.0]], ["a", "a"], ["x"]), "unique sample ids"),
    "repeated feature": (frame([[1.0, 2.0]] * 2, ["a", "b"], ["x", "x"]), "unique feature ids"),
    "ids equal as text": (frame([[1.0], [2.0]], [7, "7"], ["x"]), "the first is '7'"),
    "empty id": (frame([[1.0], [2.0]], ["a", " "], ["x"]), "1 sample ids are empty"),
    "missing id": (frame([[1.0], [2.0]], ["a", None], ["x"]), "1 sample ids are empty"),
    "text cell": (frame([[1.0], ["low"]], ["a", "b"], ["x"]), "'low' at sample 'b', feature 'x'"),
    "infinite cell": (frame([[1.0], [-np.inf]], ["a", "b"], ["x"]), "sample 'b', feature 'x'"),
    "beyond float32": (frame([[1.0], [1e39]], ["a", "b"], ["x"]), "infinite cells"),
    "dates": (
        frame(pd.to_datetime(["2020-01-01", "2021-01-01"]), ["a", "b"], ["x"]),
        "found 2 text cells, the first is '2020-01-01",
    ),
    "no value": (frame([[np.nan], [np.nan]], ["a", "b"], ["x"]), "no cell holds a value"),
    "one sample": (frame([[1.0]], ["a"], ["x"]), "at least 2 samples, found 1"),
    "two levels": (
        pd.DataFrame({"x": [1.0]}, index=pd.MultiIndex.from_tuples([("a", "b")])),
        "several levels",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_unfit_tables_are_refused_with_the_place(case):
    table, message = BAD[case]
    views = {"rna": table} if isinstance(table, pd.DataFrame) else table
    with pytest.raises(InputError) as caught:
        MultiOmics.from_tables(views)
    assert message in str(caught.value)


def test_unfit_labels_and_feature_tables_are_refused():
    rna = {"rna": frame([[1.0], [2.0]], ["a", "b"], ["x"])}
    labels = frame([[1, 2]], ["a"], ["sex", "sex"])
    with pytest.raises(InputError, match="column 'sex' stands there twice"):
        MultiOmics.from_tables(rna, labels)
    with pytest.raises(InputError, match="unknown view"):
        MultiOmics.from_tables(rna, features={"drug": pd.DataFrame(index=["x"])})


def test_rows_and_columns_without_values_are_left_out_and_recorded():
    table = frame([[1.0, np.nan], [np.nan, np.nan], [2.0, np.nan]], ["a", "b", "c"], ["x", "y"])
    cohort = MultiOmics.from_tables({"rna": table})
    assert cohort.views["rna"].shape == (2, 1)
    assert cohort.dropped[["item", "name"]].to_numpy().tolist() == [
        ["sample", "b"],
        ["feature", "y"],
    ]


def test_numbers_written_as_text_and_truth_values_are_numbers():
    table = pd.DataFrame({"x": ["1.5", None], "y": [True, False]}, index=["a", "b"])
    values = MultiOmics.from_tables({"rna": table}).array("rna")
    np.testing.assert_array_equal(values, np.array([[1.5, 1], [np.nan, 0]], np.float32))


def test_selecting_samples_keeps_views_that_measure_none_of_them(cohort):
    part = cohort.select_samples(["a"])
    assert part.views["drug"].shape == (0, 1)
    assert np.isnan(part.array("drug")).all()
    with pytest.raises(InputError, match="unknown sample"):
        cohort.select_samples(["nobody"])


def test_selecting_views_drops_samples_that_they_do_not_measure(cohort):
    assert list(cohort.select_views(["drug"]).samples) == ["b", "c"]
    with pytest.raises(InputError, match="unknown view 'drugs'; did you mean 'drug'"):
        cohort.select_views(["drugs"])


def test_hiding_leaves_the_original_untouched(cohort):
    hidden = np.zeros((3, 2), dtype=bool)
    hidden[1, 0] = True
    before = cohort.digest()
    assert np.isnan(cohort.without_cells("rna", hidden).array("rna")[1, 0])
    assert cohort.without_samples("rna", ["b"]).present("rna").tolist() == [True, False, False]
    assert cohort.digest() == before
    assert cohort.without_cells("rna", hidden).digest() != before


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0, 1, np.nan], "binary"),
        ([-2, 0, 2], "ordinal"),
        (range(11), "continuous"),
        ([0.0, 0.5, 1.0], "continuous"),
        ([np.nan], "continuous"),
    ],
)
def test_kinds_of_values(values, kind):
    assert view_kind(pd.DataFrame({"x": list(values)})) == kind
