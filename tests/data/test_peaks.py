"""Windows against the counts of Nagaraj et al. 2023; coordinates that cannot be meant."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.data.peaks import check_peaks, genome_order, make_windows
from jaxomics.errors import InputError

PEAKS = pd.Index(["p1", "p2", "p3"])


def places(**changes):
    columns = {"chrom": ["chr1", "chr1", "chr2"], "start": [10, 60, 5], "end": [20, 70, 15]}
    return pd.DataFrame(columns | changes, index=PEAKS)


def test_the_published_number_of_windows():
    windows = make_windows(562_709)
    assert len(windows.start) == 113
    assert len(windows.start) * 512 == 57_856
    assert windows.mask.sum() == 562_709
    assert windows.mask[-1].tolist() == [True] * 2709 + [False] * 2291


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.integers(1, 40), st.data())
def test_every_peak_is_in_one_window(peaks, size, data):
    offset = data.draw(st.integers(0, size - 1))
    ends = data.draw(st.lists(st.integers(0, 3), min_size=peaks, max_size=peaks).map(sorted))
    chrom = data.draw(st.sampled_from([None, pd.Series(ends).astype(str)]))
    windows = make_windows(peaks, size, offset, chrom)
    seen = np.concatenate([np.arange(s, s + n) for s, n in zip(*windows[:2], strict=True)])
    np.testing.assert_array_equal(seen, np.arange(peaks))
    assert windows.length.max() <= size
    if chrom is not None:
        assert all(len(set(ends[s : s + n])) == 1 for s, n in zip(*windows[:2], strict=True))


@pytest.mark.parametrize("wrong", [(0, 5, 0), (5, 0, 0), (5, 3, 3)])
def test_no_windows(wrong):
    with pytest.raises(InputError, match="expected peaks, a window size"):
        make_windows(*wrong)


def test_coordinates_come_in_the_order_of_the_peaks():
    found = check_peaks(pd.Index(["p3", "p1"]), places(start=["10", "60", "5"]))
    assert found.to_numpy().tolist() == [["chr2", 5, 15], ["chr1", 10, 20]]
    other = places().rename(columns={"chrom": "chr"})
    assert check_peaks(PEAKS, other).columns.tolist() == ["chrom", "start", "end"]


def test_order_is_that_of_the_genome():
    table = pd.DataFrame(
        [("chrUn_b", 1, 2), ("chr10", 5, 9), ("chr2", 8, 9), ("X", 1, 2), ("chr2", 8, 8.5),
         ("chrUn_a", 7, 9)], columns=["chrom", "start", "end"],
    )  # fmt: skip
    assert genome_order(table).tolist() == [4, 2, 1, 3, 5, 0]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, r"feature table \(features_atac\) .* found none with 'chrom'"),
        (places().drop(columns="end"), "found none with 'end'"),
        (places().drop(index="p2"), "coordinates of all 3 peaks, found none for 1, .*'p2'"),
        (places(start=["10", "sixty", "5"]), "the first is 'p2'"),
        (places(end=[20, 60, 15]), "end after they start, found 1 .*'p2'"),
        (places(start=[10, 10, 5], end=[20, 20, 15]), "different places, found 1 .*'p2'"),
    ],
)
def test_coordinates_that_cannot_be_meant_are_named(table, message):
    with pytest.raises(InputError, match=message):
        check_peaks(PEAKS, table)
