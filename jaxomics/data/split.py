"""Which samples are held out together: K folds, R times, balanced by a stratum, whole by group.

The splitters are scikit-learn's; here are the checks, the pooling of rare strata, and one small
matrix that says in which fold each sample is tested.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError, unknown

RARE = "rare"
"""Stratum of the samples whose own stratum has fewer members than there are folds."""

UNNAMED = "missing"
"""Stratum of the samples without a value."""


class Fold(NamedTuple):
    """One fold of one repeat.

    Attributes:
      repeat: from 0.
      fold: from 0, within the repeat.
      train: samples to fit to.
      test: samples held out.
    """

    repeat: int
    fold: int
    train: pd.Index
    test: pd.Index


@dataclass(frozen=True)
class Folds:
    """K folds, R times; build it with `make_folds`. Iterating gives every `Fold`.

    Attributes:
      samples: all samples.
      number: int [repeats, samples], the fold in which the sample is tested.
      groups: int [samples]; equal numbers are never separated. Without groups every sample has
        its own.
      notes: what was done about rare strata and missing groups, in sentences.
    """

    samples: pd.Index
    number: np.ndarray
    groups: np.ndarray
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Fold]:
        for repeat, number in enumerate(self.number):
            for fold in range(self.folds):
                test = number == fold
                yield Fold(repeat, fold, self.samples[~test], self.samples[test])

    def __len__(self) -> int:
        return self.folds * len(self.number)

    @property
    def folds(self) -> int:
        """Number of folds of a repeat."""
        return int(self.number.max()) + 1

    def table(self) -> pd.DataFrame:
        """Return one row per repeat and sample: sample, repeat, fold."""
        repeats, samples = self.number.shape
        return pd.DataFrame(
            {
                "sample": np.tile(np.asarray(self.samples, object), repeats),
                "repeat": np.repeat(np.arange(repeats), samples),
                "fold": self.number.ravel(),
            }
        )


def make_folds(
    cohort: MultiOmics,
    folds: int,
    *,
    repeats: int = 1,
    seed: int = 0,
    stratify: str | None = None,
    group: str | None = None,
    pool_rare: bool = False,
) -> Folds:
    """Divide the samples of a cohort into folds, shuffled anew in each repeat.

    Args:
      cohort: samples and their labels.
      folds: how many parts.
      repeats: how often.
      seed: of the first repeat; the following ones count on.
      stratify: label column whose values every fold gets its share of; samples without one are a
        value of their own.
      group: label column whose values stay together, such as the donor of several samples. A
        sample without a value is a group of its own.
      pool_rare: let strata with fewer samples than folds count as one, noted, instead of refusing
        them.

    Raises:
      InputError: fewer than 2 folds or 1 repeat; more folds than samples, than groups, or than
        a stratum has members (the most frequent one, with `pool_rare`); an unknown column.

    >>> rna = pd.DataFrame({"TP53": [1.0, 2.0, 3.0, 4.0]}, index=list("abcd"))
    >>> donor = pd.DataFrame({"donor": ["x", "x", "y", "z"]}, index=list("abcd"))
    >>> cohort = MultiOmics.from_tables({"rna": rna}, donor)
    >>> [list(fold.test) for fold in make_folds(cohort, 2, group="donor")]
    [['c', 'd'], ['a', 'b']]
    """
    count = len(cohort.samples)
    if not 2 <= folds <= count:
        raise InputError(
            f"expected 2 to {count} folds, one sample per fold at least, found {folds}; choose "
            "another number"
        )
    if repeats < 1:
        raise InputError(f"expected at least 1 repeat, found {repeats}; choose another number")
    strata, notes = None, []
    if stratify is not None:
        strata, notes = _strata(cohort.labels, stratify, folds, pool_rare)
    groups = np.arange(count) if group is None else _groups(cohort.labels, group, folds, notes)
    number = np.zeros((repeats, count), np.int32)
    for repeat in range(repeats):
        splitter = _splitter(strata is not None, group is not None)
        shuffled = splitter(folds, shuffle=True, random_state=(seed + repeat) % 2**32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # told of strata too rare to balance: see the notes
            parts = list(shuffled.split(number.T, strata, groups if group is not None else None))
        for fold, (_, test) in enumerate(parts):
            number[repeat, test] = fold
        if len(np.unique(number[repeat])) < folds:
            raise InputError(
                f"the groups of {group!r} cannot be divided into {folds} folds balanced by "
                f"{stratify!r}: a fold stays empty; ask for fewer folds"
            )
    return Folds(cohort.samples, number, groups, tuple(notes))


def _splitter(stratified: bool, grouped: bool) -> type:
    """Return the splitter of scikit-learn that does this."""
    if grouped:
        return StratifiedGroupKFold if stratified else GroupKFold
    return StratifiedKFold if stratified else KFold


def _column(labels: pd.DataFrame, name: str) -> pd.Series:
    """Return a label column as text, missing values kept."""
    if name not in labels.columns:
        raise unknown("label column", name, labels.columns)
    return labels[name].astype("string")


def _strata(
    labels: pd.DataFrame, name: str, folds: int, pool_rare: bool
) -> tuple[np.ndarray, list[str]]:
    """Return the stratum of each sample, those with fewer members than folds as one, and notes."""
    column = _column(labels, name)
    most = max(column.value_counts(), default=0)
    if most < folds:
        raise InputError(
            f"expected at most as many folds as the most frequent value of {name!r} has samples, "
            f"{most}, found {folds}; ask for fewer folds, or stratify by another column"
        )
    values = column.fillna(UNNAMED)
    counts = values.value_counts()
    few = counts[counts < folds]
    if few.empty:
        return values.to_numpy(object).astype(str), []
    rare = values.isin(few.index).to_numpy(bool)
    if not pool_rare:
        shown = ", ".join(f"{value} {count}" for value, count in few.sort_index().iloc[:3].items())
        more = ", ..." if len(few) > 3 else ""
        raise InputError(
            f"expected at least {folds} samples of each value of {name!r}, one per fold, found "
            f"fewer of {len(few)} of {len(counts)} values ({shown}{more}); ask for fewer folds, or "
            "let rare values count as one with --pool-rare"
        )
    note = (
        f"--stratify {name}: values with fewer than {folds} samples count as one ({len(few)} of "
        f"{len(counts)} values, {rare.sum()} of {len(values)} samples)"
    )
    return np.where(rare, RARE, values.to_numpy(object)).astype(str), [note]


def _groups(labels: pd.DataFrame, name: str, folds: int, notes: list[str]) -> np.ndarray:
    """Return the number of each sample's group; a sample without one is its own."""
    codes, found = pd.factorize(_column(labels, name), sort=True)
    alone = codes < 0
    groups = np.where(alone, len(found) + np.cumsum(alone) - 1, codes)
    count = len(np.unique(groups))
    if alone.any():
        notes.append(f"--group {name}: {alone.sum()} samples have no value; each is its own group")
    if count < folds:
        raise InputError(
            f"expected at most as many folds as {name!r} has groups, {count}, found {folds}: a "
            "group is never divided; ask for fewer folds, or group by another column"
        )
    return groups
