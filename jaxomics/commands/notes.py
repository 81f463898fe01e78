"""What users are told on the side: lines on stderr that begin with `note:`."""

import sys
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jaxomics.errors import InputError
from jaxomics.metrics.classification import evaluate_classes

if TYPE_CHECKING:
    from jaxomics.data.container import MultiOmics

SHOWN = 4
"""The most parts, or names, that one line lists."""


def tell(lines: Iterable[str], *, quiet: bool = False) -> None:
    """Print notes to stderr, unless silenced."""
    if quiet:
        return
    for line in lines:
        print(f"note: {line}", file=sys.stderr)


def left_out(dropped: pd.DataFrame) -> list[str]:
    """Sum up a report of dropped things, with columns view, item, name, reason, in one line.

    >>> rows = [("rna", "feature", "TP53", "constant"), ("rna", "feature", "BRAF", "constant")]
    >>> left_out(pd.DataFrame(rows, columns=["view", "item", "name", "reason"]))
    ['left out: rna: 2 features (constant)']
    """
    if dropped.empty:
        return []
    counts = Counter(
        zip(*(dropped[c].astype(str) for c in ("view", "item", "reason")), strict=True)
    )
    parts = [
        f"{view}: {_count(count, str(_ITEMS.get(item, item)))} ({reason})"
        for (view, item, reason), count in counts.items()
    ]
    more = f"; {len(parts) - SHOWN} more in tables/dropped" if len(parts) > SHOWN else ""
    return [f"left out: {'; '.join(parts[:SHOWN])}{more}"]


def unmatched(report: pd.DataFrame) -> list[str]:
    """Sum up where a model's features were found in new data, one line per view.

    Args:
      report: columns view, feature, found, status, as `Preprocess.match` gives them.

    >>> rows = [("rna", "a", "a", "exact"), ("rna", "b", "", "absent"), ("rna", "", "c", "unused")]
    >>> unmatched(pd.DataFrame(rows, columns=["view", "feature", "found", "status"]))
    ['rna: 1 of 2 features found, 1 absent (b), 1 column not used by the model']
    """
    lines = []
    for view, rows in report.groupby("view", sort=False):
        count = Counter(rows["status"])
        found = count["exact"] + count["renamed"]
        unused = count["unused"]
        wanted = len(rows) - unused
        if found == wanted and not unused and not count["renamed"]:
            continue
        if not wanted:
            lines.append(f"{view}: not a view of the model, not used")
        elif not found and not unused:
            lines.append(f"{view}: not in the data")
        else:
            parts = [f"{found} of {wanted} features found"]
            for status in ("renamed", "ambiguous", "absent"):
                names = rows.loc[rows["status"] == status, "feature"]
                parts += [f"{count[status]} {status} ({_first(names)})"] if len(names) else []
            parts += [f"{_count(unused, 'column')} not used by the model"] if unused else []
            lines.append(f"{view}: {', '.join(parts)}")
    return lines


def without_views(cohort: "MultiOmics", views: Iterable[str]) -> list[str]:
    """Tell how many samples have none of the views that a model reads.

    >>> from jaxomics.data.container import MultiOmics
    >>> rna = pd.DataFrame({"TP53": [1.0]}, index=["a"])
    >>> cohort = MultiOmics.from_tables({"rna": rna, "drug": rna.rename({"a": "b"})})
    >>> without_views(cohort, ["rna"])
    ["1 sample has none of the model's views: nothing but conditionals is read of it"]
    """
    present = [cohort.present(view) for view in views if view in cohort.views]
    count = len(cohort.samples) - int(np.any(present, axis=0).sum()) if present else 0
    if not count:
        return []
    have, it = ("has", "it") if count == 1 else ("have", "them")
    return [
        f"{_count(count, 'sample')} {have} none of the model's views: nothing but conditionals is "
        f"read of {it}"
    ]


def unknown_conditionals(report: pd.DataFrame) -> list[str]:
    """Sum up which conditionals of a model new data lack, and which levels are new.

    Args:
      report: columns view (the source), item, name, reason, as `Conditionals.match` gives them.

    >>> rows = [("sex", "conditional", "sex=f", "not in the data: 0"),
    ...         ("tissue", "conditional", "tissue=Eye", "level not known to the model: 0")]
    >>> unknown_conditionals(pd.DataFrame(rows, columns=["view", "item", "name", "reason"]))
    ['conditionals not in the data, set to 0: sex', 'tissue=Eye: level not known to the model: 0']
    """
    absent, lines = {}, []
    for source, name, reason in report[["view", "name", "reason"]].to_numpy().tolist():
        if reason.startswith("not in the data"):
            absent[source] = None
        else:
            lines.append(f"{name}: {reason}")
    head = [f"conditionals not in the data, set to 0: {', '.join(absent)}"] if absent else []
    return head + lines


def unseen_levels(report: pd.DataFrame) -> list[str]:
    """Sum up which batch levels of new data no training sample has, one line per view and level.

    Args:
      report: columns view, sample, column, level, as `Preprocess.unseen` gives them.

    >>> rows = [("rna", "a", "prep", "x"), ("rna", "b", "prep", "x")]
    >>> unseen_levels(pd.DataFrame(rows, columns=["view", "sample", "column", "level"]))
    ['rna: prep=x of 2 samples not known to the model: its effect stays']
    """
    counts = Counter(report[["view", "column", "level"]].itertuples(index=False, name=None))
    return [
        f"{view}: {column}={level} of {_count(count, 'sample')} not known to the model: its effect "
        "stays"
        for (view, column, level), count in counts.items()
    ]


def agreement(predictions: pd.DataFrame, cohort: "MultiOmics", label: str | None) -> list[str]:
    """Sum up how many predicted classes are those of the labels, per view.

    Args:
      predictions: as `predict` gives them.
      cohort: the samples, perhaps with labels.
      label: their column of classes.
    """
    if label not in cohort.labels.columns or "class" not in predictions:
        return []
    labels = pd.Series(cohort.labels[label])
    try:
        scores = evaluate_classes(predictions, labels).scores
    except InputError as error:
        return [f"not scored: {error}"]
    share = scores[scores["metric"] == "accuracy"].set_index("view")["value"]
    shares = ", ".join(f"{view} {value:.3f}" for view, value in share.items())
    left = "".join(f"; {note}" for note in scores.attrs["notes"])
    return [f"accuracy against label column {label!r}: {shares}{left}"]


_ITEMS = {"encoder": "feature that only the decoder sees"}


def _first(names: Iterable[str]) -> str:
    """Return the first of some names, for a line.

    >>> _first(["a", "b", "c", "d"]), _first("abcdef")
    ('a, b, c, d', 'a, b, c, d, ...')
    """
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _count(count: int, noun: str) -> str:
    """Return a number with its noun."""
    head, _, rest = noun.partition(" ")
    return f"{count} {head}{'' if count == 1 else 's'}{' ' + rest if rest else ''}"
