"""From tables to what a method reads, and from what it writes to tables: alike for all methods."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.preprocess import Preprocess
from jaxomics.errors import InputError, unknown
from jaxomics.methods import check_verb

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


class Filler(ABC):
    """What a model and a comparator do alike, once they tell what they make of every cell.

    Attributes (after fitting):
      entry: registry entry, with `name` and `verbs`.
      preprocess_: fitted filters and scaling.
      levels_: least and largest value of discrete views.
      cohort_: the training data, None after loading.
    """

    entry: Any
    preprocess_: Preprocess
    levels_: Levels
    cohort_: MultiOmics | None

    @abstractmethod
    def reconstruct(self, cohort: MultiOmics | None = None) -> dict[str, pd.DataFrame]:
        """Return every view that is written, in original units, from what each sample has."""

    def impute(
        self, cohort: MultiOmics | None = None, *, full: bool = False, discrete: bool = False
    ) -> dict[str, pd.DataFrame]:
        """Return completed tables, all samples x all modelled features, in original units.

        Args:
          cohort: what to complete; the training data by default.
          full: give the reconstruction everywhere; otherwise measured values stay bit for bit.
          discrete: round views of whole numbers, within the range that was seen.
        """
        check_verb(self.entry.name, "impute")
        cohort = self._cohort(cohort)
        written, measured = self.reconstruct(cohort), self.preprocess_.arrays(cohort)
        return fill(written, measured, self.levels_, full=full, discrete=discrete)

    def translate(
        self, cohort: MultiOmics | None = None, *, source: str | Sequence[str], target: str
    ) -> pd.DataFrame:
        """Return a view predicted from others alone, for the samples that have a source view.

        Args:
          cohort: samples; the training data by default.
          source: views to read; all others are withheld.
          target: view to write, in original units.

        Raises:
          InputError: an unknown view, or one that a translator was not trained to write.
        """
        check_verb(self.entry.name, "translate")
        cohort = self._cohort(cohort)
        sources = [source] if isinstance(source, str) else list(source)
        for name in [*sources, target]:
            if name not in self.preprocess_.views:
                raise unknown("view", name, self.preprocess_.views)
        written = self.reconstruct(only_views(cohort, sources, self.preprocess_.views))
        if target not in written:
            raise unknown("view that this model writes", target, written)
        return written[target]

    def _cohort(self, cohort: MultiOmics | None) -> MultiOmics:
        """Return the cohort given, or the training data."""
        chosen = self.cohort_ if cohort is None else cohort
        if chosen is None:
            raise InputError("no training data at hand: give the samples to work on")
        return chosen


def _union(indices: Iterable[pd.Index]) -> set[str]:
    """Return all names of some indices."""
    return {str(name) for index in indices for name in index}
