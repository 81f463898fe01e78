"""Peaks on a genome: coordinates, their order, and windows of neighbours.

The feature table of peaks has the columns `chrom`, `start` and `end`, in base pairs; `chr` and
`chromosome` are other names of the first. A network that
reads windows of contiguous peaks needs them in the order of the genome.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.data.locations import chromosome_rank
from jaxomics.errors import InputError

COLUMNS = ("chrom", "start", "end")
"""Columns of the feature table of peaks."""

ALIASES = ("chr", "chromosome")
"""Other names of the column `chrom`."""

WINDOW = 5000
"""Peaks of a window (Nagaraj et al. 2023)."""


class Windows(NamedTuple):
    """Blocks of contiguous peaks, all of one size but for those that end early.

    Attributes:
      start: int32 [windows], first peak.
      length: int32 [windows], number of peaks; what is lacking to the size is padding.
      size: number of peaks of a whole window.
    """

    start: np.ndarray
    length: np.ndarray
    size: int

    @property
    def mask(self) -> np.ndarray:
        """Return bool [windows, size]: is it a peak, or padding?"""
        return np.arange(self.size) < self.length[:, None]


def make_windows(
    peaks: int, size: int = WINDOW, offset: int = 0, chrom: pd.Series | None = None
) -> Windows:
    """Divide peaks into windows that do not overlap.

    Nagaraj et al. 2023 shift windows by 1,000 peaks between passes; with an offset, the peaks
    before it form a window of their own at the front.

    Args:
      peaks: how many there are, in the order of the genome.
      size: of a window.
      offset: first peak of the first whole window, from 0 to below `size`.
      chrom: chromosome of each peak: windows then end with it, and the offset counts from the
        start of each.

    Raises:
      InputError: no peaks, or a size or offset that makes no windows.

    >>> windows = make_windows(562_709)
    >>> len(windows.start), int(windows.length[-1]), len(windows.start) * 512
    (113, 2709, 57856)
    >>> make_windows(12, size=5, offset=2).start.tolist()
    [0, 2, 7]
    """
    if peaks < 1 or size < 1 or not 0 <= offset < size:
        raise InputError(
            f"expected peaks, a window size of 1 or more and an offset below it, found {peaks} "
            f"peaks, size {size} and offset {offset}; change them"
        )
    borders = [0, peaks]
    if chrom is not None:
        names = np.asarray(chrom, str)
        borders = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), peaks]
    starts: list[int] = []
    for first, end in pairwise(borders):
        head = [first] if offset else []
        starts += head + list(range(first + offset, end, size))
    start = np.array(starts, np.int32)
    return Windows(start, np.diff(np.append(start, peaks)).astype(np.int32), size)


def check_peaks(peaks: pd.Index, table: pd.DataFrame | None, view: str = "atac") -> pd.DataFrame:
    """Return the coordinates of peaks, in their order: chrom as text, start and end as int64.

    Args:
      peaks: names.
      table: feature table with `COLUMNS`, indexed by name.
      view: for messages.

    Raises:
      InputError: there is no table, it lacks a column or the coordinates of a peak, numbers are
        none, a peak ends before it starts, or two peaks are at the same place.
    """
    table = None if table is None else name_chrom(table)
    missing = [name for name in COLUMNS if table is None or name not in table]
    if table is None or missing:
        raise InputError(
            f"view {view!r}: expected a feature table (features_{view}) with the columns "
            f"{', '.join(COLUMNS)}, found none with {missing[0]!r}; add it: windows and gene "
            "activity need to know where peaks lie"
        )
    known = table.loc[~table.index.duplicated(), list(COLUMNS)].reindex(peaks)
    numbers = known[["start", "end"]].apply(pd.to_numeric, errors="coerce")
    lost = known["chrom"].isna() | numbers.isna().any(axis=1)
    if lost.any():
        raise InputError(
            f"view {view!r}: expected coordinates of all {len(peaks)} peaks, found none for "
            f"{int(lost.sum())}, the first is {str(peaks[lost.to_numpy()][0])!r}; complete its "
            "feature table, or leave these peaks out"
        )
    places = numbers.astype(np.int64)
    places.insert(0, "chrom", known["chrom"].astype(str))
    turned = places["end"] <= places["start"]
    if turned.any():
        raise InputError(
            f"view {view!r}: expected peaks that end after they start, found "
            f"{int(turned.sum())} that do not, the first is {str(places.index[turned][0])!r}; "
            "correct its feature table"
        )
    repeated = places.duplicated()
    if repeated.any():
        raise InputError(
            f"view {view!r}: expected peaks at different places, found {int(repeated.sum())} "
            f"where another one is, the first is {str(places.index[repeated][0])!r}; average or "
            "remove the repeats"
        )
    return places


def genome_order(places: pd.DataFrame) -> np.ndarray:
    """Return the order of peaks along the genome, int [peaks].

    Chromosomes 1 to 22, X, Y, other sequences by name; then start and end.

    >>> places = {"chrom": ["chr2", "chr10", "chr2"], "start": [9, 1, 5], "end": [10, 2, 6]}
    >>> genome_order(pd.DataFrame(places)).tolist()
    [2, 0, 1]
    """
    names, rank = places["chrom"].to_numpy(str), chromosome_rank(pd.Series(places["chrom"]))
    return np.lexsort((places["end"], places["start"], names, rank))


def name_chrom(table: pd.DataFrame) -> pd.DataFrame:
    """Return a feature table whose chromosomes stand in the column `chrom`.

    >>> name_chrom(pd.DataFrame({"chr": ["1"], "tss": [7]})).columns.tolist()
    ['chrom', 'tss']
    """
    other = next((name for name in ALIASES if name in table), None)
    if "chrom" in table or other is None:
        return table
    return table.rename(columns={other: "chrom"})
