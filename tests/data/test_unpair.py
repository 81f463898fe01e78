"""Cohorts made harder: one view per sample, labels masked, classes shrunk, pairs removed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.data.container import MultiOmics
from jaxomics.data.unpair import drop_pair, hold_out, make_unpaired, mask_labels, shrink_class
from jaxomics.errors import InputError

VIEWS = ("dna", "rna", "protein")


def complete(sizes: list[int], views: int = 3) -> MultiOmics:
    """Classes `a`, `b`, ... of these sizes, all views measured."""
    n = sum(sizes)
    index = pd.Index([f"s{i:04d}" for i in range(n)], name="sample")
    tables = {v: pd.DataFrame({"x": np.arange(n, dtype=float)}, index) for v in VIEWS[:views]}
    names = np.repeat([chr(97 + k) for k in range(len(sizes))], sizes)
    return MultiOmics.from_tables(tables, pd.DataFrame({"class": names}, index))


def cells(cohort: MultiOmics) -> pd.DataFrame:
    """Labelled samples per view and class."""
    rows = {v: cohort.labels["class"].loc[t.index].value_counts() for v, t in cohort.views.items()}
    return pd.DataFrame(rows).fillna(0).astype(int).T.sort_index(axis=1)


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) >= 6)


@given(sizes=SIZES, views=st.integers(2, 3), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_every_sample_keeps_exactly_one_view(sizes: list[int], views: int, seed: int):
    before = complete(sizes, views)
    after = make_unpaired(before, "class", seed)
    kept = np.concatenate([table.index for table in after.views.values()])
    assert sorted(kept) == sorted(before.samples)
    for name, table in after.views.items():
        pd.testing.assert_frame_equal(table, before.view(name).loc[table.index])
    assert np.ptp(cells(after).to_numpy(), axis=0).max() <= 1
    assert np.ptp([len(table) for table in after.views.values()]) <= 1
    assert make_unpaired(before, "class", seed).digest() == after.digest()


def test_a_sample_keeps_what_it_has():
    cohort = complete([9]).without_samples("dna", ["s0000", "s0001", "s0002"])
    after = make_unpaired(cohort, seed=1)
    assert not after.view("dna").index.isin(["s0000", "s0001", "s0002"]).any()
    assert sum(map(len, after.views.values())) == 9
    with pytest.raises(InputError, match="without samples"):
        make_unpaired(complete([2]))


@given(sizes=SIZES, share=st.floats(0, 1), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("stratified", [True, False])
def test_a_share_of_labels(sizes: list[int], share: float, seed: int, stratified: bool):
    before = make_unpaired(complete(sizes), "class", seed)
    after = mask_labels(before, "class", share=share, stratified=stratified, seed=seed)
    kept = after.labels["class"].dropna()
    assert kept.equals(before.labels["class"].loc[kept.index])
    was, left = cells(before), cells(after).reindex(columns=cells(before).columns, fill_value=0)
    np.testing.assert_array_equal(left.sum(axis=1), np.floor(share * was.sum(axis=1) + 1e-9))
    assert (left <= was).all(axis=None)
    enough = left.sum(axis=1) >= was.shape[1]
    if stratified and enough.any() and (was[enough] > 0).all(axis=None):
        assert left[enough].to_numpy().min() >= 1
    for view in before.views:
        pd.testing.assert_frame_equal(after.view(view), before.view(view))


def test_a_stratified_share_is_in_proportion():
    cohort = make_unpaired(complete([1800, 900, 300]), "class")
    after = cells(mask_labels(cohort, "class", share=0.1))
    assert after.to_numpy().tolist() == [[60, 30, 10]] * 3


def test_uniform_draws_leave_classes_out():
    """Six of 3000 labels hit all five classes with chance 11.5 % in a view (multinomial)."""
    cohort, covered = make_unpaired(complete([600] * 5), "class"), 0
    for seed in range(100):
        after = mask_labels(cohort, "class", share=0.006, stratified=False, seed=seed)
        covered += int((cells(after) > 0).to_numpy().all(axis=1).sum())
    assert covered / 300 == pytest.approx(0.115, abs=0.06)


def test_counts_and_shares_by_class():
    cohort = make_unpaired(complete([60, 30, 3]), "class")
    assert cells(mask_labels(cohort, "class", count=4)).to_numpy().tolist() == [[4, 4, 1]] * 3
    by_class = mask_labels(cohort, "class", count={"a": 2, "b": 0})
    assert cells(by_class).reindex(columns=list("abc"), fill_value=0).to_numpy().tolist() == (
        [[2, 0, 1]] * 3
    )
    by_share = mask_labels(cohort, "class", share={"a": 0.25, "b": 0.5})
    assert cells(by_share).to_numpy().tolist() == [[5, 5, 1]] * 3


def test_a_paired_cohort_is_masked_once():
    after = mask_labels(complete([50, 50]), "class", share=0.1)
    assert after.labels["class"].value_counts().to_dict() == {"a": 5, "b": 5}


@given(sizes=SIZES, rows=st.integers(0, 10), seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_a_class_shrinks_in_every_view(sizes: list[int], rows: int, seed: int):
    sizes = [*sizes, 30]
    before = make_unpaired(complete(sizes), "class", seed)
    after = shrink_class(before, "class", "a", rows, seed)
    was, left = cells(before), cells(after).reindex(columns=cells(before).columns, fill_value=0)
    np.testing.assert_array_equal(left["a"], np.minimum(was["a"], rows))
    pd.testing.assert_frame_equal(left.drop(columns="a"), was.drop(columns="a"))
    assert len(after.samples) == left.to_numpy().sum()


def test_a_pair_is_removed_and_nothing_else():
    before = make_unpaired(complete([30, 30]), "class")
    for keep in (0, 1, 4):
        left = cells(drop_pair(before, "rna", "class", "a", keep=keep))
        assert left.loc["rna"].tolist() == [keep, 10]
        assert left.drop(index="rna").to_numpy().tolist() == [[10, 10]] * 2
    paired = drop_pair(complete([5, 5]), "rna", "class", "b")
    assert len(paired.samples) == 10
    assert len(paired.view("rna")) == 5


def test_a_fifth_of_every_cell_is_held_out():
    cohort = make_unpaired(complete([150, 75, 45]), "class")
    train, test = hold_out(cohort, "class", seed=2)
    assert cells(test).to_numpy().tolist() == [[10, 5, 3]] * 3
    assert cells(train).to_numpy().tolist() == [[40, 20, 12]] * 3
    assert not set(train.samples) & set(test.samples)
    assert list(train.labels.columns) == ["class"]
    assert set(train.labels["class"]) == {"a", "b", "c"}
    assert set(hold_out(cohort, "class", seed=3)[1].samples) != set(test.samples)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: make_unpaired(c, "clas"), "did you mean 'class'"),
        (lambda c: mask_labels(c, "clas", share=0.5), "did you mean 'class'"),
        (lambda c: mask_labels(c, "class"), "give one"),
        (lambda c: mask_labels(c, "class", share=0.5, count=1), "give one"),
        (lambda c: mask_labels(c, "class", share=1.5), "share from 0 to 1"),
        (lambda c: mask_labels(c, "class", share={"z": 0.5}), "unknown class 'z'"),
        (lambda c: mask_labels(c, "class", count=-1), "0 or more"),
        (lambda c: shrink_class(c, "class", "z", 1), "unknown class 'z'"),
        (lambda c: shrink_class(c, "class", "a", -1), "0 or more"),
        (lambda c: drop_pair(c, "rnaa", "class", "a"), "did you mean 'rna'"),
        (lambda c: hold_out(c, "clas"), "did you mean 'class'"),
        (lambda c: hold_out(c, "class", folds=99), "folds"),
    ],
)
def test_nonsense_is_refused(call, message: str):
    with pytest.raises(InputError, match=message):
        call(complete([10, 10]))
