"""What a cohort holds, and what looks wrong with it, before any model sees it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics, view_kind

VIEW_COLUMNS = ["view", "samples", "features", "missing", "kind", "min", "max", "constant"]
"""Columns of `Inspection.views`; missing is a share of the cells of the view's own samples."""

PROBLEM_COLUMNS = ["where", "problem"]
"""Columns of `Inspection.problems`."""

_FEW_SAMPLES = 10
_MOSTLY_MISSING = 0.5
_TRANSPOSED_SHARE = 0.5
_SHOWN_DROPPED = 3


@dataclass(frozen=True)
class Inspection:
    """The report of `inspect`; `str()` of it is the text that the command line prints.

    Attributes:
      samples: number of samples in the union of the views.
      views: one row per view, with `VIEW_COLUMNS`.
      overlap: samples that two views share, [views, views]; the diagonal counts each view.
      depth: number of samples by the number of views that measure them.
      labels: one row per label column: label, type, known (samples), distinct (values).
      problems: one row per finding, with `PROBLEM_COLUMNS`; empty when nothing looks wrong.
    """

    samples: int
    views: pd.DataFrame
    overlap: pd.DataFrame
    depth: pd.Series
    labels: pd.DataFrame
    problems: pd.DataFrame

    def render(self) -> str:
        """Return the report as plain text with aligned columns."""
        views = self.views.copy()
        views["missing"] = [f"{share:.1%}" for share in views["missing"]]
        for bound in ("min", "max"):
            views[bound] = [f"{value:.4g}" for value in views[bound]]
        counts = ", ".join(f"{views}: {samples}" for views, samples in self.depth.items())
        parts = [
            f"{self.samples} samples, {len(self.views)} views",
            _aligned(views),
            f"samples by number of views measured  {counts}",
        ]
        if len(self.views) > 1:
            parts.append("samples shared by two views\n" + _aligned(self.overlap.reset_index()))
        if len(self.labels):
            parts.append("labels\n" + _aligned(self.labels))
        parts.append(self._render_problems())
        return "\n\n".join(parts)

    def _render_problems(self) -> str:
        """Return one line per problem."""
        if self.problems.empty:
            return "no problems found"
        lines = [f"  {row.where}: {row.problem}" for row in self.problems.itertuples()]
        return "\n".join([f"problems found: {len(lines)}", *lines])

    def __str__(self) -> str:
        return self.render()


def inspect(cohort: MultiOmics) -> Inspection:
    """Describe a cohort: size, range and gaps of its views, their overlap, and problems.

    >>> rna = pd.DataFrame({"TP53": [1.0, 2.5], "BRAF": [0.0, 0.0]}, index=["a", "b"])
    >>> report = inspect(MultiOmics.from_tables({"rna": rna}))
    >>> report.views[["samples", "features", "constant"]].values.tolist()
    [[2, 2, 1]]
    """
    views = pd.DataFrame(
        [_describe(name, table) for name, table in cohort.views.items()], columns=VIEW_COLUMNS
    )
    present = np.stack([cohort.present(name) for name in cohort.views]).astype(np.int64)
    names = pd.Index(list(cohort.views), name="view")
    overlap = pd.DataFrame(present @ present.T, index=names, columns=pd.Index(list(cohort.views)))
    depth = pd.Series(present.sum(axis=0)).value_counts().sort_index().rename("samples")
    problems = [
        *_view_problems(views),
        *_overlap_problems(overlap),
        *_transposed(cohort),
        *_label_problems(cohort),
        *_dropped(cohort),
    ]
    return Inspection(
        len(cohort.samples),
        views,
        overlap,
        depth,
        _describe_labels(cohort.labels),
        pd.DataFrame(problems, columns=pd.Index(PROBLEM_COLUMNS), dtype=str),
    )


def _describe(name: str, table: pd.DataFrame) -> tuple:
    """Return one row of `Inspection.views`."""
    values = table.to_numpy(np.float32)
    measured = np.isfinite(values)
    if not measured.any():
        return name, *table.shape, 1.0, "continuous", np.nan, np.nan, 0
    low = np.where(measured, values, np.inf).min(axis=0)
    high = np.where(measured, values, -np.inf).max(axis=0)
    constant = int((low == high).sum())
    missing = 1.0 - measured.mean()
    return name, *table.shape, missing, view_kind(table), low.min(), high.max(), constant


def _describe_labels(labels: pd.DataFrame) -> pd.DataFrame:
    """Return one row per label column."""
    rows = [
        (str(name), _label_type(column), int(column.notna().sum()), int(column.nunique()))
        for name, column in labels.items()
    ]
    return pd.DataFrame(rows, columns=pd.Index(["label", "type", "known", "distinct"]))


def _label_type(column: pd.Series) -> str:
    """Return `number`, `true/false` or `text`, from the known values."""
    known = column.dropna()
    if pd.api.types.infer_dtype(known, skipna=True) == "boolean":
        return "true/false"
    return "number" if pd.api.types.is_numeric_dtype(known.dtype) else "text"


Problems = Iterator[tuple[str, str]]


def _view_problems(views: pd.DataFrame) -> Problems:
    """Find views with few samples, features that never vary, and views that are mostly empty."""
    for name, samples, constant, missing in zip(
        views["view"], views["samples"], views["constant"], views["missing"], strict=True
    ):
        if samples < _FEW_SAMPLES:
            yield name, f"only {samples} samples; a model learns little from fewer than 10"
        if constant:
            yield name, f"{constant} constant features carry no information"
        if missing > _MOSTLY_MISSING:
            yield name, f"{missing:.0%} of its cells are missing"


def _overlap_problems(overlap: pd.DataFrame) -> Problems:
    """Find pairs of views that share no sample."""
    counts = overlap.to_numpy()
    for i, j in combinations(range(len(counts)), 2):
        if counts[i, j] == 0 and counts[i, i] and counts[j, j]:
            pair = f"{overlap.index[i]}, {overlap.index[j]}"
            yield pair, "no sample is measured in both; check that they use the same sample ids"


def _transposed(cohort: MultiOmics) -> Problems:
    """Find pairs of views where the columns of the one are the rows of the other."""
    for one, other in combinations(cohort.views, 2):
        shares = [
            cohort.views[a].columns.isin(cohort.views[b].index).mean()
            for a, b in ((one, other), (other, one))
        ]
        if max(shares) >= _TRANSPOSED_SHARE:
            yield (
                f"{one}, {other}",
                f"{max(shares):.0%} of the columns of one are sample ids of the other; one of "
                "them looks transposed: rows must be samples",
            )


def _label_problems(cohort: MultiOmics) -> Problems:
    """Find label columns that look like ids, never vary, or are empty."""
    for name, column in cohort.labels.items():
        known = column.dropna()
        if known.empty:
            yield f"labels, {name}", "no sample has a value"
        elif known.nunique() == 1 and len(known) == len(column):
            yield f"labels, {name}", "all samples have the same value"
        elif (
            _label_type(column) == "text"
            and len(known) >= _FEW_SAMPLES
            and known.nunique() == len(known)
        ):
            yield f"labels, {name}", "every sample has its own value; it looks like an id"
    unlabelled = cohort.labels.isna().all(axis=1).sum() if cohort.labels.shape[1] else 0
    if unlabelled:
        yield "labels", f"{unlabelled} samples have no row in the sample table, or an empty one"


def _dropped(cohort: MultiOmics) -> Problems:
    """Sum up what was left out on reading."""
    for (view, item, reason), group in cohort.dropped.groupby(["view", "item", "reason"]):
        names = ", ".join(group["name"].head(_SHOWN_DROPPED))
        more = ", ..." if len(group) > _SHOWN_DROPPED else ""
        plural = "s" if len(group) > 1 else ""
        yield str(view), f"{len(group)} {item}{plural} left out ({reason}): {names}{more}"


def _aligned(table: pd.DataFrame) -> str:
    """Return a table as text: the first column to the left, all others to the right."""
    cells = [[str(name) for name in table.columns]]
    cells += [[str(value) for value in row] for row in table.itertuples(index=False)]
    widths = [max(len(row[i]) for row in cells) for i in range(table.shape[1])]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )
