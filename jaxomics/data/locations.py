"""Where features lie in the genome: the order of a view for networks that look at neighbours.

A feature table has the columns `chromosome` (1 to 22, X, Y, with or without `chr` in front) and
`position` (a number on that chromosome). Tables of peaks and genes may name them `chrom` or `chr`,
and `start` or `tss`.
"""

import numpy as np
import pandas as pd

from jaxomics.errors import InputError

CHROMOSOMES = (*map(str, range(1, 23)), "X", "Y")
"""Chromosomes in their order."""

COLUMNS = ("chromosome", "position")
"""Columns of a feature table that tell the location."""

ALIASES = {"chrom": "chromosome", "chr": "chromosome", "start": "position", "tss": "position"}
"""Other names of these columns, in the tables of peaks and genes."""


def location_order(features: pd.Index, table: pd.DataFrame | None, view: str) -> np.ndarray:
    """Return the order of features along the genome, int [features].

    Chromosomes 1 to 22, X, Y, then positions; after them features on other sequences, and those
    whose location is not known, both in the order they had.

    Args:
      features: names.
      table: feature table with `COLUMNS`, indexed by name; it may lack features.
      view: for messages.

    Raises:
      InputError: there is no table, it lacks a column, a position is no number, or no feature of
        the view has a known location.

    >>> place = {"chromosome": ["chrX", "2", "2"], "position": [5, 90, 7]}
    >>> table = pd.DataFrame(place, index=["a", "b", "c"])
    >>> location_order(pd.Index(["a", "b", "c", "d"]), table, "rna").tolist()
    [2, 1, 0, 3]
    """
    table = None if table is None else _named(table)
    missing = [name for name in COLUMNS if table is None or name not in table]
    if table is None or missing:
        raise InputError(
            f"view {view!r}: expected a feature table with the columns {', '.join(COLUMNS)} to "
            f"order by location, found none with {missing[0]!r}; add it, or set order='none'"
        )
    known = table[~table.index.duplicated()].reindex(features)
    position = pd.to_numeric(known["position"], errors="coerce").to_numpy(np.float64)
    wrong = np.isnan(position) & known["position"].notna().to_numpy()
    if wrong.any():
        raise InputError(
            f"view {view!r}: expected numbers in the column 'position', found "
            f"{str(known['position'][wrong].iloc[0])!r}; mend the feature table"
        )
    rank = chromosome_rank(known["chromosome"])
    rank = np.where(np.isnan(position), len(CHROMOSOMES), rank)
    if (rank == len(CHROMOSOMES)).all():
        raise InputError(
            f"view {view!r}: expected locations of its features, found none for all {len(features)}"
            "; name features and chromosomes as in the view, or set order='none'"
        )
    position = np.where(rank < len(CHROMOSOMES), position, 0.0)
    return np.lexsort((position, rank))


def has_locations(table: pd.DataFrame | None) -> bool:
    """Tell whether a feature table has columns for chromosome and position.

    >>> has_locations(pd.DataFrame({"chrom": ["1"], "tss": [7]}))
    True
    """
    return table is not None and set(COLUMNS) <= set(_named(table))


def chromosomes(table: pd.DataFrame | None) -> dict[str, int]:
    """Return the number of the chromosome of each feature that a feature table places.

    Numbers are places in `CHROMOSOMES`; features on other sequences have its length. Without a
    column `chromosome`, or a known name in it, there are none.

    >>> chromosomes(pd.DataFrame({"chromosome": ["chr2", "MT"]}, index=["a", "b"]))
    {'a': 1, 'b': 24}
    """
    table = None if table is None else _named(table)
    if table is None or "chromosome" not in table:
        return {}
    rank = chromosome_rank(pd.Series(table["chromosome"]))
    if (rank == len(CHROMOSOMES)).all():
        return {}
    return dict(zip(table.index.astype(str), rank.tolist(), strict=True))


def chromosome_rank(names: pd.Series) -> np.ndarray:
    """Return the place of each chromosome, from 0; unknown ones come last.

    >>> chromosome_rank(pd.Series(["chr1", "X", 22, 3.0, None, "MT"])).tolist()
    [0, 22, 21, 2, 24, 24]
    """
    text = names.astype(str).str.strip().str.removesuffix(".0")
    text = text.str.replace("^chr", "", case=False, regex=True).str.upper()
    place = {name: rank for rank, name in enumerate(CHROMOSOMES)}
    return np.array([place.get(name, len(CHROMOSOMES)) for name in text])


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """Return a feature table whose columns have the names of `COLUMNS`, where it has others."""
    other: dict[str, str] = {}
    for alias, name in ALIASES.items():
        if alias in table and name not in table and name not in other.values():
            other[alias] = name
    return table.rename(columns=other)
