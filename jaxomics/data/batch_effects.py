"""Removal of batch effects that keeps what is to be kept, such as differences between cohorts.

Per feature, y = D b + B c + e, with D = [1 | levels to keep] and B = [batches | covariates]; the
corrected value is y - B c. This is `removeBatchEffect` of limma (Ritchie et al. 2015) with two
differences: covariates are centred by their training mean, so that means of features stay, and new
samples are corrected by what was fitted to the training samples, without a look at their cohort.

A column of [D | B] that earlier ones span, because a batch is nested in a cohort, has c = 0: an
effect that could be either belongs to what is kept.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from jaxomics.errors import InputError, unknown

TOLERANCE = 1e-7
"""A column is spanned by others if less than this share of its length is left."""

BLOCK = 50_000
"""Features corrected at once: bounds memory."""

UNNAMED = "missing"
"""Level of the samples without a value."""


@dataclass(frozen=True)
class Term:
    """A label column whose effect is removed.

    Attributes:
      column: its name.
      levels: of a batch, in order; None for a covariate.
      mean: of a covariate among the training samples.
    """

    column: str
    levels: tuple[str, ...] | None = None
    mean: float = 0.0

    @property
    def names(self) -> list[str]:
        """Names of the columns of B."""
        if self.levels is None:
            return [self.column]
        return [f"{self.column}={level}" for level in self.levels[:-1]]

    def code(self, values: pd.Series) -> np.ndarray:
        """Return the columns of B, float64 [samples, columns].

        Batches are coded to sum to zero: the last level is -1 everywhere. A level that is not
        known is 0, and so is a covariate without a value.
        """
        if self.levels is None:
            return np.nan_to_num(_numbers(values) - self.mean)[:, None]
        place = pd.Index(self.levels).get_indexer(pd.Index(as_levels(values)))
        codes = np.vstack([np.eye(len(self.levels) - 1), np.full(len(self.levels) - 1, -1.0)])
        return np.where(place[:, None] >= 0, codes[place], 0.0)

    def unseen(self, values: pd.Series) -> pd.Series:
        """Return the values that are no known level, by sample."""
        if self.levels is None:
            return values.iloc[:0]
        levels = as_levels(values)
        return levels[~levels.isin(self.levels)]


@dataclass(frozen=True)
class BatchEffects:
    """Fitted effects; build it with `fit_batch_effects`.

    Attributes:
      terms: what is removed.
      effects: float32 [columns of B, features].
      spanned: names of the columns that others span, whose effect is 0.
    """

    terms: tuple[Term, ...]
    effects: np.ndarray
    spanned: tuple[str, ...] = ()

    def apply(self, values: np.ndarray, labels: pd.DataFrame, unseen: str = "refuse") -> np.ndarray:
        """Return corrected values, float32 [samples, features]; NaN stays NaN.

        Args:
          values: [samples, features] on the log scale.
          labels: sample table of these samples.
          unseen: what to do with a level that no training sample has: `refuse` it, or let it have
            no effect (`zero`); `BatchEffects.unseen` lists them.

        Raises:
          InputError: a column is absent, or a level is refused.
        """
        strange = self.unseen(labels)
        if len(strange) and unseen == "refuse":
            sample, column, level = strange.iloc[0]
            known = next(term.levels for term in self.terms if term.column == column) or ()
            raise InputError(
                f"expected levels of {column!r} that training samples have ({', '.join(known)}), "
                f"found {level!r} in sample {sample!r}; correct it, or train with --unseen zero, "
                "for which levels that are not known have no effect"
            )
        design = self._design(labels)
        out = np.empty(values.shape, np.float32)
        for first in range(0, values.shape[1], BLOCK):
            block = slice(first, first + BLOCK)
            out[:, block] = values[:, block] - design @ self.effects[:, block].astype(np.float64)
        return out

    def unseen(self, labels: pd.DataFrame) -> pd.DataFrame:
        """Return levels that no training sample has: columns sample, column, level."""
        rows = []
        for term in self.terms:
            if term.column in labels:
                found = term.unseen(pd.Series(labels[term.column]))
                rows += [(sample, term.column, level) for sample, level in found.items()]
        return pd.DataFrame(rows, columns=["sample", "column", "level"])

    def _design(self, labels: pd.DataFrame) -> np.ndarray:
        """Return B, float64 [samples, columns]."""
        for term in self.terms:
            if term.column not in labels:
                raise InputError(
                    f"expected the label column {term.column!r}, whose effect the model removes, "
                    "found none; add it to the sample table"
                )
        parts = [term.code(pd.Series(labels[term.column])) for term in self.terms]
        return np.hstack(parts) if parts else np.zeros((len(labels), 0))


def fit_batch_effects(
    values: np.ndarray,
    labels: pd.DataFrame,
    batch: tuple[str, ...] = (),
    covariates: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
) -> BatchEffects:
    """Fit the effects of batches and covariates beside what is kept.

    A feature with missing cells is fitted to its measured ones.

    Args:
      values: [training samples, features] on the log scale, NaN = not measured.
      labels: sample table of these samples.
      batch: columns of levels whose effects are removed, such as the library preparation.
      covariates: columns of numbers whose effects are removed, such as age.
      keep: columns of levels whose differences stay.

    Raises:
      InputError: a column is absent or not of its kind, or there are as many levels as samples.

    >>> y = np.array([[1.0], [2], [4], [5], [7], [9]])
    >>> sheet = pd.DataFrame({"cohort": list("ppqqqq"), "prep": list("aabbcc")})
    >>> fitted = fit_batch_effects(y, sheet, ("prep",), keep=("cohort",))
    >>> fitted.apply(y, sheet).ravel().tolist(), fitted.spanned
    ([4.5, 5.5, 4.0, 5.0, 3.5, 5.5], ('prep=b',))
    """
    for name in (*batch, *covariates, *keep):
        if name not in labels:
            raise unknown("label column", name, labels.columns)
    terms = [Term(name, _levels(labels, name)) for name in batch]
    terms += [Term(name, None, _mean(labels, name)) for name in covariates]
    kept = [_dummies(labels, name) for name in keep]
    fitted = BatchEffects(tuple(terms), np.zeros((0, 0), np.float32))
    removed, start = fitted._design(labels), np.ones((len(labels), 1))
    design = np.hstack([start, *kept, removed])
    first = design.shape[1] - removed.shape[1]
    names = [name for term in terms for name in term.names]
    solver, used = _solver(design, first)
    if used.sum() >= len(labels):
        raise InputError(
            f"expected more training samples than levels and covariates, found {len(labels)} and "
            f"{int(used.sum())}; remove columns such as sample ids from batch"
        )
    effects = np.zeros((len(names), values.shape[1]), np.float32)
    for begin in range(0, values.shape[1], BLOCK):
        block = slice(begin, begin + BLOCK)
        effects[:, block] = _effects(values[:, block].astype(np.float64), design, first, solver)
    spanned = tuple(name for name, own in zip(names, used[first:], strict=True) if not own)
    return BatchEffects(tuple(terms), effects, spanned)


def as_levels(values: pd.Series) -> pd.Series:
    """Return levels as text, `UNNAMED` where there is none; whole numbers lose their '.0'.

    >>> as_levels(pd.Series([1.0, None])).tolist()
    ['1', 'missing']
    """
    text = values.astype("string")
    if pd.api.types.is_float_dtype(values.dtype):
        text = text.str.removesuffix(".0")
    return text.fillna(UNNAMED).astype(str)


def _levels(labels: pd.DataFrame, name: str) -> tuple[str, ...]:
    """Return the levels of a batch among the training samples."""
    return tuple(sorted(as_levels(pd.Series(labels[name])).unique()))


def _numbers(values: pd.Series) -> np.ndarray:
    """Return a covariate as numbers, or raise naming what is none."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.isnan(numbers) & values.notna().to_numpy()
    if wrong.any():
        raise InputError(
            f"expected numbers in the covariate {values.name!r}, found "
            f"{str(values[wrong].iloc[0])!r}; correct the sample table, or name it as batch"
        )
    return numbers


def _mean(labels: pd.DataFrame, name: str) -> float:
    """Return the mean of a covariate; 0 where it has no value."""
    numbers = _numbers(pd.Series(labels[name]))
    return float(np.nanmean(numbers)) if np.isfinite(numbers).any() else 0.0


def _dummies(labels: pd.DataFrame, name: str) -> np.ndarray:
    """Return a 0/1 column for each level that is kept, but for the first."""
    levels = as_levels(pd.Series(labels[name]))
    own = [(levels == level).to_numpy(np.float64) for level in sorted(levels.unique())[1:]]
    return np.stack(own, axis=1) if own else np.zeros((len(labels), 0))


def _solver(design: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix that gives effects from values, and which columns count.

    Columns are taken from left to right; one that those before it span is left out.

    Args:
      design: [D | B], [samples, columns].
      first: number of columns of D.

    Returns:
      Matrix [columns of B, samples], and bool [columns of the design].
    """
    count, basis = design.shape[1], np.zeros((len(design), 0))
    used = np.zeros(count, bool)
    for column in range(count):
        vector, rest = design[:, column], design[:, column]
        for _ in range(2):  # once more, since one pass leaves rounding of the size of what it took
            rest = rest - basis @ (basis.T @ rest)
        length = np.linalg.norm(rest)
        if length > TOLERANCE * np.linalg.norm(vector):
            used[column] = True
            basis = np.column_stack([basis, rest / length])
    inverse = np.zeros((count, len(design)))
    inverse[used] = np.linalg.solve(basis.T @ design[:, used], basis.T)
    return inverse[first:], used


def _effects(values: np.ndarray, design: np.ndarray, first: int, solver: np.ndarray) -> np.ndarray:
    """Return the effects [columns of B, features] for a block of features.

    Features with the same gaps are solved together.
    """
    observed = ~np.isnan(values)
    complete = observed.all(axis=0)
    if complete.all():
        return solver @ values
    effects = np.zeros((len(solver), values.shape[1]))
    effects[:, complete] = solver @ values[:, complete]
    holed = np.flatnonzero(~complete)
    if len(holed):
        patterns, which = np.unique(observed[:, holed], axis=1, return_inverse=True)
        for number, pattern in enumerate(patterns.T):
            own = holed[which.ravel() == number]
            partial, _ = _solver(design[pattern], first)
            effects[:, own] = partial @ values[np.ix_(pattern, own)]
    return effects
