"""Make a cohort harder: unpaired, partly labelled, unbalanced, with classes unseen in a view.

Pure functions from a cohort to a smaller one, for studies of methods that join views without
shared samples. They draw by themselves from a seed, so that two of them can be combined freely.

>>> from jaxomics.data.intersim import simulate_intersim
>>> complete = simulate_intersim(n=90, seed=1).cohort
>>> cohort = make_unpaired(complete, label="class", seed=1)
>>> {view: len(table) for view, table in cohort.views.items()}
{'methylation': 30, 'expression': 30, 'protein': 30}
>>> cohort = mask_labels(cohort, "class", share=0.2)
>>> int(cohort.labels["class"].notna().sum())
18
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.split import make_folds
from jaxomics.errors import InputError, unknown


def make_unpaired(cohort: MultiOmics, label: str | None = None, seed: int = 0) -> MultiOmics:
    """Let every sample keep exactly one of its views.

    The samples of a class come in random order, and each keeps that of its views which has the
    fewest samples of the class so far, then the fewest of all. In a cohort of complete samples,
    numbers of a class in two views differ by at most 1, and so do numbers of samples.

    Args:
      cohort: any cohort; what a sample lacks it cannot keep.
      label: class column to balance by; samples without a class count as one class. None takes
        all samples as one class.
      seed: of the order.

    Raises:
      InputError: an unknown label column, or a view that would be left without samples.
    """
    rng = np.random.default_rng(seed)
    classes = _codes(cohort, label) if label else np.zeros(len(cohort.samples), np.int64)
    names = list(cohort.views)
    present = np.stack([cohort.present(name) for name in names], axis=1)
    keeps = np.full(len(classes), -1)
    total = np.zeros(len(names), np.int64)
    for value in np.unique(classes):
        here = np.zeros(len(names), np.int64)
        for row in rng.permutation(np.flatnonzero(classes == value)):
            chosen = min(np.flatnonzero(present[row]), key=lambda v: (here[v], total[v]))
            keeps[row] = chosen
            here[chosen] += 1
            total[chosen] += 1
    if total.min() == 0:
        raise InputError(
            f"view {names[int(total.argmin())]!r} would be left without samples: expected at "
            f"least as many samples as views, found {len(classes)} and {len(names)}; give more "
            "samples, or fewer views"
        )
    return replace(
        cohort,
        views={
            name: table.loc[table.index.isin(cohort.samples[keeps == place])]
            for place, (name, table) in enumerate(cohort.views.items())
        },
    )


def mask_labels(
    cohort: MultiOmics,
    label: str,
    *,
    share: float | Mapping[str, float] | None = None,
    count: int | Mapping[str, int] | None = None,
    stratified: bool = True,
    seed: int = 0,
) -> MultiOmics:
    """Keep some labels and empty the others, separately among samples with the same views.

    In an unpaired cohort that is separately in each view. Give one of `share` and `count`.

    Args:
      cohort: any cohort; labels that are missing stay so.
      label: class column.
      share: share of the labels that is kept, rounded down; or the share by class, where classes
        that are not named keep all.
      count: labels kept per class, all if the class has fewer; or the number by class.
      stratified: divide a single share over the classes in proportion to their size, with one
        label for every class first. False draws uniformly, as in the study of MODIS
        (Lepe-Soltero et al. 2025), where small shares leave a class without label.
      seed: of the draws.

    Raises:
      InputError: an unknown column or class, a share outside 0 to 1, a count below 0, both or
        neither of `share` and `count`.
    """
    if (share is None) == (count is None):
        raise InputError("expected one of share and count, found both or neither; give one")
    _check_wanted(cohort, label, share, count)
    rng = np.random.default_rng(seed)
    codes, names = _codes(cohort, label), _classes(cohort, label)
    kept = np.zeros(len(codes), bool)
    for group in _same_views(cohort):
        labelled = group[codes[group] >= 0]
        if isinstance(share, int | float) and not stratified:
            kept[rng.permutation(labelled)[: int(share * len(labelled) + 1e-9)]] = True
            continue
        sizes = np.bincount(codes[labelled], minlength=len(names))
        quota = _quota(sizes, names, share, count)
        for value, number in enumerate(quota):
            own = labelled[codes[labelled] == value]
            kept[rng.permutation(own)[:number]] = True
    return replace(cohort, labels=cohort.labels.assign(**{label: cohort.labels[label].where(kept)}))


def shrink_class(cohort: MultiOmics, label: str, name: str, rows: int, seed: int = 0) -> MultiOmics:
    """Keep so many samples of one class in every view; all where a view has fewer.

    Args:
      cohort: any cohort; a sample that is left without views is dropped.
      label: class column.
      name: the class.
      rows: how many, per view; 0 removes the class.
      seed: of the draws, which are separate in each view.

    Raises:
      InputError: an unknown column or class, a number below 0.
    """
    for place, view in enumerate(cohort.views):
        cohort = _shrunk(cohort, view, label, name, rows, (seed, place))
    return _without_viewless(cohort)


def drop_pair(
    cohort: MultiOmics, view: str, label: str, name: str, keep: int = 0, seed: int = 0
) -> MultiOmics:
    """Remove one class from one view, all or but for `keep` samples; other views stay.

    Args:
      cohort: any cohort; a sample that is left without views is dropped.
      view: where.
      label: class column.
      name: the class.
      keep: how many of its samples stay in the view.
      seed: of the draw.

    Raises:
      InputError: an unknown view, column or class, a number below 0.
    """
    return _without_viewless(_shrunk(cohort, view, label, name, keep, (seed,)))


def hold_out(
    cohort: MultiOmics, label: str, folds: int = 5, seed: int = 0
) -> tuple[MultiOmics, MultiOmics]:
    """Return training and test samples: one of so many parts is the test.

    Each view and each class gives its share to the test; in an unpaired cohort, each class of
    each view does. Five folds hold out 20 %.

    Raises:
      InputError: an unknown label column, or more folds than samples.
    """
    pattern = pd.Series("", cohort.samples)
    for place, group in enumerate(_same_views(cohort)):
        pattern.iloc[group] = f"{place} "
    if label not in cohort.labels.columns:
        raise unknown("label column", label, cohort.labels.columns)
    strata = pd.DataFrame({label: pattern + cohort.labels[label].astype(str)})
    pooled = replace(cohort, labels=strata)
    parts = make_folds(pooled, folds, seed=seed, stratify=label, pool_rare=True)
    fold = next(iter(parts))
    return cohort.select_samples(fold.train), cohort.select_samples(fold.test)


def _quota(
    sizes: np.ndarray,
    names: list[str],
    share: float | Mapping[str, float] | None,
    count: int | Mapping[str, int] | None,
) -> np.ndarray:
    """Return how many labels of each class are kept, given how many there are."""
    if isinstance(share, Mapping):
        shares = np.array([share.get(name, 1.0) for name in names])
        return (shares * sizes + 1e-9).astype(np.int64)
    if share is not None:
        return _apportion(sizes, int(share * sizes.sum() + 1e-9))
    if isinstance(count, Mapping):
        wanted = [count.get(name, size) for name, size in zip(names, sizes, strict=True)]
        return np.minimum(sizes, wanted)
    assert count is not None
    return np.minimum(sizes, count)


def _apportion(sizes: np.ndarray, total: int) -> np.ndarray:
    """Divide a total over classes in proportion to their sizes, by the method of equal proportions.

    Every class gets one before any gets two, larger classes first. Sizes are never exceeded.

    >>> _apportion(np.array([600, 300, 20, 0]), 9)
    array([5, 3, 1, 0])
    """
    seats = np.zeros(len(sizes), np.int64)
    for _ in range(min(total, int(sizes.sum()))):
        later = sizes / np.sqrt(np.maximum(seats * (seats + 1), 1))
        priority = np.where(seats, later, 2.0 * sizes.max() + sizes)
        seats[np.argmax(np.where(seats < sizes, priority, -1.0))] += 1
    return seats


def _shrunk(
    cohort: MultiOmics, view: str, label: str, name: str, rows: int, seed: tuple[int, ...]
) -> MultiOmics:
    """Return the cohort with at most so many samples of a class in one view."""
    if rows < 0:
        raise InputError(f"expected a number of samples of 0 or more, found {rows}; raise it")
    if name not in _classes(cohort, label):
        raise unknown("class", name, _classes(cohort, label))
    members = cohort.samples[cohort.present(view) & _is(cohort, label, name)]
    order = np.random.default_rng(seed).permutation(len(members))
    return cohort.without_samples(view, members[order[rows:]])


def _without_viewless(cohort: MultiOmics) -> MultiOmics:
    """Return the cohort without samples that no view measures."""
    seen = np.any([cohort.present(name) for name in cohort.views], axis=0)
    return cohort.select_samples(cohort.samples[seen])


def _same_views(cohort: MultiOmics) -> Iterator[np.ndarray]:
    """Yield the row numbers of the samples that are measured in the same views."""
    present = np.stack([cohort.present(name) for name in cohort.views], axis=1)
    _, group = np.unique(present, axis=0, return_inverse=True)
    for number in range(group.max() + 1):
        yield np.flatnonzero(group.ravel() == number)


def _column(cohort: MultiOmics, label: str) -> pd.Series:
    """Return a label column, or raise with the names there are."""
    if label not in cohort.labels.columns:
        raise unknown("label column", label, cohort.labels.columns)
    return cohort.labels[label]


def _classes(cohort: MultiOmics, label: str) -> list[str]:
    """Return the names of the classes, sorted."""
    return sorted(str(value) for value in _column(cohort, label).dropna().unique())


def _codes(cohort: MultiOmics, label: str) -> np.ndarray:
    """Return the place of each sample's class among the sorted ones; -1 without a class."""
    column = _column(cohort, label)
    names = pd.Index(_classes(cohort, label))
    return np.where(column.isna(), -1, names.get_indexer(pd.Index(column.astype(str))))


def _is(cohort: MultiOmics, label: str, name: str) -> np.ndarray:
    """Return bool [samples]: is the sample of this class?"""
    return (_column(cohort, label).astype(str) == name).to_numpy(bool)


def _check_wanted(
    cohort: MultiOmics,
    label: str,
    share: float | Mapping[str, float] | None,
    count: int | Mapping[str, int] | None,
) -> None:
    """Raise if a class is unknown, a share no share or a count negative."""
    known = _classes(cohort, label)
    for wanted, most, what in ((share, 1.0, "a share from 0 to 1"), (count, np.inf, "0 or more")):
        named = wanted if isinstance(wanted, Mapping) else {"": wanted or 0}
        for name, value in named.items():
            if name and name not in known:
                raise unknown("class", name, known)
            if not 0 <= value <= most:
                raise InputError(f"expected {what} of the labels, found {value}; correct it")
