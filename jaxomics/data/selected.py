"""A store as a model reads it: some of its features, with conditionals and classes of its own.

Nothing is written again; the columns are picked from the rows as they are read.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from jaxomics.config import config_hash
from jaxomics.data.container import DROPPED_COLUMNS, MultiOmics
from jaxomics.data.preprocess import Preprocess, PreprocessConfig, choose_features, enough_views
from jaxomics.data.statistics import Piece, ViewStatistics, view_statistics
from jaxomics.data.store import Store


@dataclass(frozen=True)
class Selected(Store):
    """Part of a store; build it with `select_features`.

    Attributes:
      columns: int [features] per view, where they stand in the store.
      told: float32 [samples, conditionals].
      codes: int32 [samples], class codes, -1 = unlabelled.
      fill: float32 [features] per view, what missing cells of measured samples are read as;
        views that are not named keep their gaps.
    """

    columns: dict[str, np.ndarray]
    told: np.ndarray
    codes: np.ndarray
    fill: dict[str, np.ndarray]

    def read(self, view: str, rows: Any, columns: slice | None = None) -> np.ndarray:
        """Return rows of a view; see `Store.read`."""
        if columns is not None:
            return self._part(view, rows, columns)
        stored = super().read(view, rows)
        values = np.ascontiguousarray(stored[:, self.columns[view]])
        if view in self.fill:
            gaps = np.isnan(values) & np.isfinite(stored).any(axis=1, keepdims=True)
            values = np.where(gaps, self.fill[view][None], values)
        return values

    def _part(self, view: str, rows: Any, columns: slice) -> np.ndarray:
        """Return some features of rows; those of the store between them are read besides.

        Whether a sample is measured at all, so that its gaps are filled, only its whole row tells.
        """
        if view in self.fill:
            return np.ascontiguousarray(self.read(view, rows)[:, columns])
        wanted = self.columns[view][columns]
        first, last = int(wanted.min()), int(wanted.max()) + 1
        return np.ascontiguousarray(super().read(view, rows, slice(first, last))[:, wanted - first])

    def conditionals(self, rows: Any) -> np.ndarray:
        """Return conditionals of some rows, float32 [rows, conditionals]."""
        return self.told[rows]

    def labels(self, rows: Any) -> np.ndarray:
        """Return class codes of some rows, int32 [rows], -1 = unlabelled."""
        return self.codes[rows]


def select_features(
    store: Store,
    features: Mapping[str, pd.Index],
    conditionals: np.ndarray,
    codes: np.ndarray,
    classes: tuple[str, ...] = (),
    fill: Mapping[str, np.ndarray] | None = None,
) -> Selected:
    """Return the part of a store that holds these features.

    Args:
      store: the cohort on disk.
      features: names per view, all of them in the store.
      conditionals: [samples, conditionals].
      codes: int [samples], class codes, -1 = unlabelled.
      classes: names of the codes.
      fill: [features] per view, what missing cells of measured samples are read as.

    >>> import tempfile
    >>> from jaxomics.data.store import write_arrays
    >>> store = write_arrays({"rna": np.eye(3), "drug": np.eye(3)}, tempfile.mkdtemp() + "/store")
    >>> part = select_features(store, {"rna": pd.Index(["2", "0"])}, np.zeros((3, 0)), np.zeros(3))
    >>> part.read("rna", [0, 2]).tolist(), list(part.features)
    ([[0.0, 1.0], [1.0, 0.0]], ['rna'])
    """
    told, codes = np.asarray(conditionals, np.float32), np.asarray(codes, np.int32)
    parts = {view: list(map(str, names)) for view, names in features.items()}
    fill = dict(fill or {})
    held = [hashlib.sha256(array.tobytes()).hexdigest() for array in (told, codes, *fill.values())]
    digest = config_hash([store.digest, parts, *held])
    columns = {
        view: np.asarray(store.features[view].get_indexer(pd.Index(names)))
        for view, names in features.items()
    }
    named = {view: pd.Index(names) for view, names in parts.items()}
    return Selected(store.folder, store.samples, named, classes, digest, columns, told, codes, fill)


def outline(
    store: Store,
    labels: pd.DataFrame | None = None,
    features: dict[str, pd.DataFrame] | None = None,
) -> MultiOmics:
    """Return who is measured in which view, as a cohort whose tables have rows but no columns.

    One pass over the store; a sample counts as measured where any of its cells is.

    Args:
      store: the cohort on disk.
      labels: sample table, indexed by sample.
      features: feature tables, by view.
    """
    everything = np.arange(len(store))
    views = {}
    for view in store.features:
        found = [np.isfinite(values).any(axis=1) for values in store.chunks(view, everything)]
        measured = store.samples[np.concatenate(found)]
        views[view] = pd.DataFrame(index=pd.Index(measured, name="sample"))
    known = pd.DataFrame(index=store.samples) if labels is None else labels
    seen = pd.Index(sorted(set().union(*(table.index for table in views.values()))))
    rows = [("labels", "sample", s, "measured in no view") for s in known.index.difference(seen)]
    dropped = pd.DataFrame(rows, columns=DROPPED_COLUMNS, dtype=str)
    table = known.reindex(store.samples)
    return MultiOmics(views, store.samples, table, features or {}, dropped)


def excerpt(store: Store, cohort: MultiOmics, rows: np.ndarray) -> MultiOmics:
    """Return some samples of a store in memory.

    Args:
      store: the cohort on disk, or part of it.
      cohort: what `outline` returned.
      rows: int, which samples.
    """
    names = store.samples[np.sort(rows)]
    views = {
        view: pd.DataFrame(store.read(view, np.sort(rows)), names, store.features[view]).loc[
            names.isin(cohort.views[view].index)
        ]
        for view in store.features
    }
    return replace(cohort, views=views, samples=names, labels=cohort.labels.loc[names])


def fit_stored(
    store: Store, cohort: MultiOmics, config: PreprocessConfig, train_samples: pd.Index
) -> tuple[Preprocess, dict[str, ViewStatistics]]:
    """Return what `fit_preprocess` gives for a cohort on disk, in one pass, and the statistics.

    Args:
      store: the cohort on disk.
      cohort: what `outline` returned, with the views to model.
      config: the choices.
      train_samples: who is trained on; see `fit_preprocess`.

    Raises:
      InputError: nothing is left of a view.
    """
    scope = cohort.samples if config.fit_scope == "all" else train_samples
    fitted = scope.intersection(enough_views(cohort, config.min_views).samples)
    statistics = {
        view: view_statistics(store.features[view], _pieces(store, cohort, view, scope, fitted))
        for view in cohort.views
    }
    return choose_features(statistics, config, cohort.features), statistics


def _pieces(
    store: Store, cohort: MultiOmics, view: str, scope: pd.Index, fitted: pd.Index
) -> Iterator[Piece]:
    """Yield the rows of a view that are measured in it, chunk by chunk."""
    rows = np.flatnonzero(cohort.present(view))
    names = store.samples[rows]
    masks, start = (names.isin(scope), names.isin(fitted)), 0
    for values in store.chunks(view, rows):
        part = slice(start, start + len(values))
        yield Piece(values.astype(np.float64), *(mask[part] for mask in masks))
        start += len(values)
