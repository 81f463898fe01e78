"""From tables to what a method reads, and from what it writes to tables: alike for all methods."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.preprocess import Preprocess

Levels = dict[str, tuple[float, float]]
"""Least and largest value of each view of whole numbers."""


def level_ranges(
    views: Mapping[str, pd.DataFrame], preprocess: Preprocess, samples: pd.Index
) -> Levels:
    """Return least and largest value, among some samples, of the views of whole numbers."""
    found = {}
    for name, table in views.items():
        if preprocess.views[name].kind != "continuous":
            values = table.loc[table.index.isin(samples)].to_numpy(np.float32)
            found[name] = float(np.nanmin(values)), float(np.nanmax(values))
    return found


def fill(
    written: Mapping[str, pd.DataFrame],
    measured: Mapping[str, np.ndarray],
    levels: Levels,
    *,
    full: bool = False,
    discrete: bool = False,
) -> dict[str, pd.DataFrame]:
    """Return estimates of every cell, with what was measured left bit for bit.

    Args:
      written: estimates per view, in original units.
      measured: float32 [samples, features] per view, NaN = not measured.
      levels: of the views of whole numbers.
      full: keep the estimates everywhere.
      discrete: round views of whole numbers, within their levels.

    >>> table = pd.DataFrame({"calls": [0.2, 1.7]}, dtype=np.float32)
    >>> seen = {"calls": np.array([[np.nan], [0.0]], np.float32)}
    >>> fill({"calls": table}, seen, {"calls": (0.0, 1.0)}, discrete=True)["calls"].calls.tolist()
    [0.0, 0.0]
    """
    tables = {}
    for name, table in written.items():
        values = table.to_numpy(np.float32)
        if discrete and name in levels:
            values = np.clip(np.round(values), *levels[name])
        if not full:
            values = np.where(np.isnan(measured[name]), values, measured[name])
        tables[name] = pd.DataFrame(values, index=table.index, columns=table.columns)
    return tables


def only_views(cohort: MultiOmics, sources: Sequence[str], modelled: Collection[str]) -> MultiOmics:
    """Return the samples that have one of some views, with all other modelled views withheld.

    Args:
      cohort: samples.
      sources: views to read.
      modelled: the views that a method knows; others, such as conditionals, stay.

    Raises:
      InputError: the cohort lacks a source.
    """
    tables = {name: cohort.view(name) for name in sources}
    others = {name: table for name, table in cohort.views.items() if name not in modelled}
    labels = cohort.labels if cohort.labels.shape[1] else None
    read = MultiOmics.from_tables(others | tables, labels, min_samples=1)
    return read.select_samples(sorted(_union(table.index for table in tables.values())))


def _union(indices: Iterable[pd.Index]) -> set[str]:
    """Return all names of some indices."""
    return {str(name) for index in indices for name in index}
