"""`MultiOmics`: named views of one cohort, aligned on the union of their samples.

The container lives on the host, holds measured values in original units as pandas tables, and
checks everything once, at the border. A sample that a view does not list was not measured in
it; NaN inside a view is a cell that was not measured.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from jaxomics.errors import InputError, unknown

DROPPED_COLUMNS = ["view", "item", "name", "reason"]
"""Columns of `MultiOmics.dropped`: the item is `sample`, `feature`, `view`, `label` or `file`."""


@dataclass(frozen=True)
class MultiOmics:
    """A cohort: views, sample table, feature tables, and what was dropped on the way.

    Build it with `from_tables`, which validates; the fields are then safe to read.

    Attributes:
      views: float32 tables [samples measured in the view, features], indexed by sample id.
      samples: sorted union of the views' samples.
      labels: the sample table, one row per sample, any dtypes; may have no columns.
      features: optional feature tables, indexed by feature name, keyed by view.
      dropped: one row per thing left out, with columns `DROPPED_COLUMNS`.

    >>> rna = pd.DataFrame({"TP53": [1.0, 2.0]}, index=["a", "b"])
    >>> drug = pd.DataFrame({"nutlin": [0.5, None]}, index=["b", "c"])
    >>> cohort = MultiOmics.from_tables({"rna": rna, "drug": drug})
    >>> list(cohort.samples), cohort.dropped.name.tolist()
    (['a', 'b'], ['c'])
    >>> cohort.array("drug")
    array([[nan],
           [0.5]], dtype=float32)
    """

    views: dict[str, pd.DataFrame]
    samples: pd.Index
    labels: pd.DataFrame
    features: dict[str, pd.DataFrame] = field(default_factory=dict)
    dropped: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=DROPPED_COLUMNS))

    @classmethod
    def from_tables(
        cls,
        views: Mapping[str, pd.DataFrame],
        labels: pd.DataFrame | None = None,
        features: Mapping[str, pd.DataFrame] | None = None,
        dropped: pd.DataFrame | None = None,
        min_samples: int = 2,
    ) -> "MultiOmics":
        """Validate tables (rows = samples) and align them on the union of their samples.

        Args:
          views: one table per view; index = sample ids, columns = feature names, numeric cells,
            NaN = not measured.
          labels: sample table, indexed by sample id. Rows of samples without any view are
            dropped, and samples without a row get missing values.
          features: feature tables, keyed by view.
          dropped: what a reader dropped before, to be carried along.
          min_samples: the fewest samples accepted; a model needs 2 to learn, 1 to apply.

        Raises:
          InputError: duplicated or empty ids, text or infinite cells, a view without rows,
            columns or values, too few samples.
        """
        if not views:
            raise InputError("expected at least one view, found none")
        notes = [] if dropped is None else dropped.to_dict("records")
        checked = {str(name): _check_view(str(name), table, notes) for name, table in views.items()}
        samples = pd.Index(sorted(set().union(*(t.index for t in checked.values()))), name="sample")
        if len(samples) < min_samples:
            raise InputError(
                f"expected at least {min_samples} samples, found {len(samples)}: "
                "a model cannot be fitted to one sample; add rows to the tables"
            )
        table = _check_labels(labels, samples, notes)
        annotations = {
            name: _check_features(name, table, checked) for name, table in (features or {}).items()
        }
        report = pd.DataFrame(notes, columns=DROPPED_COLUMNS, dtype=str)
        return cls(checked, samples, table, annotations, report)

    def array(self, view: str) -> np.ndarray:
        """Return a view on all samples as float32 [samples, features], NaN = not measured."""
        return self.table(view).to_numpy(np.float32)

    def table(self, view: str) -> pd.DataFrame:
        """Return a view on all samples of the cohort; rows that were not measured are NaN."""
        return self.view(view).reindex(self.samples)

    def view(self, name: str) -> pd.DataFrame:
        """Return the table of a view on its own samples, or raise with the names there are."""
        if name not in self.views:
            raise unknown("view", name, self.views)
        return self.views[name]

    def present(self, view: str) -> np.ndarray:
        """Return bool [samples]: was the sample measured in this view?"""
        return self.samples.isin(self.view(view).index)

    def select_views(self, names: Iterable[str]) -> "MultiOmics":
        """Keep only these views (and the samples that they measure), in the order given."""
        names = list(names)
        return MultiOmics.from_tables(
            {name: self.view(name) for name in names},
            self.labels,
            {name: table for name, table in self.features.items() if name in names},
            self.dropped,
            min_samples=min(2, len(self.samples)),
        )

    def select_samples(self, samples: Iterable[str]) -> "MultiOmics":
        """Keep only these samples; views that measure none of them stay, without rows."""
        wanted = pd.Index(samples, name="sample")
        missing = wanted.difference(self.samples)
        if len(missing):
            raise unknown("sample", missing[0], self.samples)
        kept = pd.Index(sorted(wanted), name="sample")
        views = {name: table[table.index.isin(kept)] for name, table in self.views.items()}
        return replace(self, views=views, samples=kept, labels=self.labels.loc[kept])

    def without_samples(self, view: str, samples: Iterable[str]) -> "MultiOmics":
        """Return a copy in which these samples count as not measured in one view."""
        table = self.view(view)
        kept = table[~table.index.isin(pd.Index(samples))]
        return replace(self, views={**self.views, view: kept})

    def without_cells(self, view: str, hidden: np.ndarray) -> "MultiOmics":
        """Return a copy in which the True cells of `hidden` [samples, features] are NaN."""
        table = self.table(view).mask(hidden).loc[self.view(view).index]
        return replace(self, views={**self.views, view: table})

    def digest(self) -> str:
        """Return a SHA-256 of all names and values, for provenance."""
        sha = hashlib.sha256()
        for name in sorted(self.views):
            table = self.views[name].sort_index()
            sha.update(name.encode())
            sha.update("\0".join(map(str, [*table.index, *table.columns])).encode())
            sha.update(np.ascontiguousarray(table.to_numpy(np.float32)).tobytes())
        labels = self.labels.to_csv().encode() if self.labels.shape[1] else b""
        sha.update(labels)
        return sha.hexdigest()


def view_kind(table: pd.DataFrame) -> str:
    """Return `binary`, `ordinal` (up to 10 whole numbers) or `continuous`, from the values.

    >>> view_kind(pd.DataFrame({"a": [0.0, 1.0, 2.0]}))
    'ordinal'
    """
    values = table.to_numpy(np.float32).ravel()
    values = values[np.isfinite(values)]
    head = values[:10_000]
    if not len(values) or (head != np.round(head)).any():
        return "continuous"
    levels = np.unique(values)
    if len(levels) > 10 or (levels != np.round(levels)).any():
        return "continuous"
    return "binary" if set(levels) <= {0.0, 1.0} else "ordinal"


def _note(notes: list[dict], view: str, item: str, names: Iterable, reason: str) -> None:
    """Append one line of the report per name."""
    notes.extend({"view": view, "item": item, "name": str(n), "reason": reason} for n in names)


def _text_ids(ids: pd.Index, what: str, view: str) -> pd.Index:
    """Return ids as strings; whole floats lose their '.0'. Empty or repeated ids raise."""
    if isinstance(ids, pd.MultiIndex):
        raise InputError(f"view {view!r}: expected one {what} id per line, found several levels")
    if ids.isna().any():
        raise InputError(
            f"view {view!r}: {int(np.sum(ids.isna()))} {what} ids are empty; name them"
        )
    if pd.api.types.is_float_dtype(ids.dtype) and (ids == np.round(ids)).all():
        ids = ids.astype(np.int64)
    text = pd.Index([str(i).strip() for i in ids])
    if (text == "").any():
        raise InputError(
            f"view {view!r}: {int((text == '').sum())} {what} ids are empty; name them"
        )
    repeated = text[text.duplicated()].unique()
    if len(repeated):
        raise InputError(
            f"view {view!r}: expected unique {what} ids, found {len(repeated)} repeated, "
            f"the first is {repeated[0]!r}; average or remove the repeats"
        )
    return text


def _check_view(name: str, table: pd.DataFrame, notes: list[dict]) -> pd.DataFrame:
    """Return one view as clean float32 table without empty rows and columns."""
    if table.shape[0] == 0 or table.shape[1] == 0:
        raise InputError(
            f"view {name!r}: expected samples in rows and features in columns, found "
            f"{table.shape[0]} rows and {table.shape[1]} columns; remove the view or fill it"
        )
    samples = _text_ids(table.index, "sample", name)
    features = _text_ids(table.columns, "feature", name)
    values = _numbers(name, table, samples, features)
    infinite = np.argwhere(np.isinf(values))
    if len(infinite):
        row, column = infinite[0]
        raise InputError(
            f"view {name!r}: expected finite numbers, found {len(infinite)} infinite cells, the "
            f"first at sample {samples[row]!r}, feature {features[column]!r}; leave such cells "
            "empty"
        )
    measured = np.isfinite(values)
    if not measured.any():
        raise InputError(f"view {name!r}: no cell holds a value; remove the view or fill it")
    rows, columns = np.any(measured, axis=1), np.any(measured, axis=0)
    _note(notes, name, "sample", samples[~rows], "no measured value in this view")
    _note(notes, name, "feature", features[~columns], "no measured value in any sample")
    out = pd.DataFrame(values[rows][:, columns], index=samples[rows], columns=features[columns])
    out.index.name = "sample"
    return out


def _numbers(name: str, table: pd.DataFrame, samples: pd.Index, features: pd.Index) -> np.ndarray:
    """Return the cells as float32, or raise naming the first cell that is text."""
    numeric = all(pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes.unique())
    if not numeric:
        parsed = table.apply(_parse)
        bad = np.argwhere(parsed.isna().to_numpy() & table.notna().to_numpy())
        if len(bad):
            row, column = bad[0]
            raise InputError(
                f"view {name!r}: expected numbers, found {len(bad)} text cells, the first is "
                f"{str(table.iat[row, column])!r} at sample {samples[row]!r}, feature "
                f"{features[column]!r}; write numbers, and leave missing cells empty"
            )
        table = parsed
    with np.errstate(over="ignore"):
        return table.to_numpy(dtype=np.float32, na_value=np.nan)


def _parse(column: pd.Series) -> pd.Series:
    """Return a column as numbers, NaN where a cell is none (dates are not numbers)."""
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        column = column.astype(str)
    return pd.to_numeric(column, errors="coerce")


def _check_labels(
    labels: pd.DataFrame | None, samples: pd.Index, notes: list[dict]
) -> pd.DataFrame:
    """Return the sample table on the cohort's samples."""
    if labels is None:
        return pd.DataFrame(index=samples)
    table = labels.copy()
    table.index = pd.Index(_text_ids(labels.index, "sample", "labels"), name="sample")
    table.columns = pd.Index([str(column) for column in table.columns])
    repeated = table.columns[table.columns.duplicated()]
    if len(repeated):
        raise InputError(f"labels: column {repeated[0]!r} stands there twice; rename one")
    _note(notes, "labels", "sample", table.index.difference(samples), "measured in no view")
    return table.reindex(samples)


def _check_features(
    name: str, table: pd.DataFrame, views: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return a feature table with text ids; the view it describes must exist."""
    if name not in views:
        raise unknown("view (of a feature table)", name, views)
    out = table.copy()
    out.index = pd.Index(_text_ids(table.index, "feature", f"features_{name}"), name="feature")
    return out
