"""Classes of samples: which column holds them, which classes there are, and what is said of them.

Classes are text, in sorted order; an empty label is a sample without a class, which trains without
one where the model can (semi-supervised).
"""

from collections.abc import Collection, Container, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError, unknown
from jaxomics.metrics.classification import class_text

CLASS_COLUMNS = ("label", "class", "subtype", "cell_type", "tissue")
"""Columns that `auto` takes for the class, the first that there is."""

CLUSTERS = 5
"""How many classes a model looks for that is told neither labels nor their number."""

UNLABELLED = ""
"""Stands for samples without a label among the labels that a view has seen."""

SHOWN = 5
"""The most names that one note lists."""


class Classes(NamedTuple):
    """What the classes of a cohort are.

    Attributes:
      column: of the sample table; None without classes.
      names: in the order of their codes.
    """

    column: str | None
    names: tuple[str, ...]

    def codes(self, cohort: MultiOmics) -> np.ndarray:
        """Return the class code of each sample, int [samples]; -1 without a known class."""
        if self.column is None or self.column not in cohort.labels.columns:
            return np.full(len(cohort.samples), -1)
        text = class_text(cohort.labels[self.column])
        return np.asarray(pd.Categorical(text, categories=list(self.names)).codes, int)


def find_classes(
    cohort: MultiOmics,
    wanted: str | None,
    *,
    learned: bool,
    count: int | None = None,
    told: Container[str] = (),
) -> Classes:
    """Return the column of classes and their names.

    Args:
      cohort: with its sample table.
      wanted: name of the column; `auto` takes a usual one, None goes without.
      learned: whether the model learns to predict classes. If not, `auto` takes `tissue` or
        nothing; if it does, one of `CLASS_COLUMNS`, or nothing.
      count: of models that cannot do without classes: how many there are, for labels that do not
        name all of them; 0 takes those that are named, or `CLUSTERS` where none is. Classes
        without a name are called `class 1`, `class 2`, ... Here `auto` also takes the only
        column, and there must be a choice.
      told: columns that the model is conditioned on; the class that it learns is none of them.

    Raises:
      InputError: an unknown column, several that could be meant, one that the model is told, or
        too few or too many classes.
    """
    columns = list(cohort.labels.columns)
    if wanted not in (None, "auto", *columns):
        raise unknown("label column", str(wanted), columns)
    column = wanted
    if wanted == "auto":
        column = _first(columns, CLASS_COLUMNS if learned else ("tissue",))
        if learned and count is not None:
            column = column or _only(columns)
    names: tuple[str, ...] = ()
    if column is not None:
        names = tuple(sorted(class_text(cohort.labels[column]).dropna().unique()))
    if not learned:
        return Classes(column, names)
    if column is not None and column in told:
        raise InputError(
            f"expected a class that the model is not told, found label column {column!r} among "
            "the conditionals; leave it out of --conditionals"
        )
    if count is not None:
        names = _named(names, count, column)
    if len(names) == 1:
        raise InputError(
            f"expected at least 2 classes, found {names[0]!r} alone in label column {column!r}; "
            "name another column with --label"
        )
    return Classes(column, names)


def class_notes(
    cohort: MultiOmics, views: Sequence[str], classes: Classes, rows: np.ndarray
) -> list[str]:
    """Return what has to be said about the labels of training samples, in sentences.

    Args:
      cohort: all samples.
      views: those that are modelled.
      classes: their classes.
      rows: int, the training samples.
    """
    codes = classes.codes(cohort)[rows]
    if (codes < 0).all():
        return [
            f"no training sample has a label: trained without classes on {len(classes.names)} "
            "clusters (unsupervised; --classes sets their number); without labels nothing can "
            "align the clusters of different views, and their names mean nothing"
        ]
    present = {view: cohort.present(view)[rows] for view in views}
    labelled = {view: int(((codes >= 0) & here).sum()) for view, here in present.items()}
    notes = []
    if (codes < 0).any():
        counts = [f"{view} {labelled[view]} of {here.sum()}" for view, here in present.items()]
        notes.append(
            f"samples with a label: {', '.join(counts)}; the others train without one "
            "(semi-supervised)"
        )
    seen = {view: set(codes[here & (codes >= 0)].tolist()) for view, here in present.items()}
    everywhere = set(range(len(classes.names)))
    nowhere = everywhere - set().union(*seen.values())
    if nowhere:
        notes.append(f"no training sample is of {_names(classes, nowhere)}")
    for view, found in seen.items():
        lacking = everywhere - nowhere - found
        if lacking:
            notes.append(
                f"no labelled training sample of {view} is of {_names(classes, lacking)}; "
                "whether it is found there, and under its name, is left to the other views"
            )
    return notes


def spare_classes(cohort: MultiOmics, classes: Classes) -> tuple[str, ...]:
    """Return the classes that no label of a cohort names."""
    if classes.column is None:
        return classes.names
    found = set(class_text(cohort.labels[classes.column]).dropna())
    return tuple(name for name in classes.names if name not in found)


def labels_seen(
    cohort: MultiOmics,
    views: Sequence[str],
    classes: Classes,
    rows: np.ndarray,
    before: Mapping[str, Collection[str]],
) -> dict[str, list[str]]:
    """Return the labels of training samples by view, with `UNLABELLED` for those without one.

    Args:
      cohort: all samples.
      views: those that are modelled.
      classes: their classes.
      rows: int, the training samples.
      before: labels seen in earlier trainings of the same network.
    """
    codes = classes.codes(cohort)[rows]
    named = (*classes.names, UNLABELLED)
    found = {view: {named[c] for c in codes[cohort.present(view)[rows]]} for view in views}
    return {view: sorted(own | set(before.get(view, ()))) for view, own in found.items()}


def may_be_seen(
    classes: Sequence[str], seen: Mapping[str, Collection[str]]
) -> dict[str, np.ndarray]:
    """Return bool [classes] by view: is its network no stranger to the class, as far as is known?

    Args:
      classes: names.
      seen: labels of training samples by view; those without one may be of any class.

    >>> may_be_seen(("a", "b"), {"rna": ["a"]})["rna"].tolist()
    [True, False]
    """
    return {
        view: np.array([UNLABELLED in own or name in own for name in classes])
        for view, own in seen.items()
    }


def class_named(names: Sequence[str]) -> str:
    """Return some classes as text that can follow "is of".

    >>> class_named(["x", "y"]), class_named(["class 1", "class 2"])
    ('class x, y', 'class 1, class 2')
    """
    told = ", ".join(names[:SHOWN]) + (f", ... ({len(names)} in all)" * (len(names) > SHOWN))
    return told if names[0].lower().startswith("class") else f"class {told}"


def _names(classes: Classes, codes: set[int]) -> str:
    """Return some classes as text that can follow "is of"."""
    return class_named([classes.names[code] for code in sorted(codes)])


def _named(names: tuple[str, ...], count: int, column: str | None) -> tuple[str, ...]:
    """Return so many names of classes: those of the labels, and invented ones."""
    if count and len(names) > count:
        raise InputError(
            f"expected at most {count} classes, found {len(names)} in label column {column!r}; "
            "raise --classes, or leave it out"
        )
    wanted = count if names else count or CLUSTERS
    fresh = [f"class {i}" for i in range(1, wanted + len(names) + 1)]
    fresh = [name for name in fresh if name not in names]
    return names + tuple(fresh[: max(wanted - len(names), 0)])


def _only(columns: Sequence[str]) -> str | None:
    """Return the only column, None where there is none."""
    if len(columns) > 1:
        raise InputError(
            f"expected a label column {', '.join(CLASS_COLUMNS)}, or a single one, found "
            f"{', '.join(map(str, columns[:8]))}; name the class with --label, or give "
            "--label None to train without classes"
        )
    return next(iter(columns), None)


def _first(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the first of some names that is a column."""
    return next((name for name in names if name in columns), None)
