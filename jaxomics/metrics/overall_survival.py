"""Does an embedding order patients by survival? Cox regression on its components, by folds.

The fourth benchmark of Nagaraj et al. 2023. In each of five folds, divided by donor and balanced
by event, from the training samples alone: principal components of the embedding, how many of them
(by inner folds), a Cox regression on these, and its risk of the test samples; the agreement with
their survival is Uno's C (censoring of the training samples, up to their 90 % quantile of event
times) and Harrell's. Clinical covariates take the place of the components, or stand beside them.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from jaxomics.errors import InputError, unknown
from jaxomics.metrics.components import fit_components
from jaxomics.metrics.cox import fit_cox_safely
from jaxomics.metrics.survival import Outcome, harrell_c, outcome, uno_c

FOLDS = 5
"""Folds in which C is taken."""

INNER = 3
"""Folds of the training samples in which the number of components is chosen."""

CHOICES = (5, 10, 20, 30, 50)
"""Numbers of components to choose from, capped at the dimensions."""

HORIZON = 0.9
"""Quantile of the training events' times up to which Uno's C counts."""

Fold = tuple[np.ndarray, np.ndarray]
"""Rows to fit to, and rows held out."""


class Survival(NamedTuple):
    """What is known of the survival of some samples, and how they are divided.

    Attributes:
      seen: their outcome.
      folds: rows to fit to and rows held out, five times.
      groups: [n] donors, kept together also by inner folds.
      seed: of the inner folds.
    """

    seen: Outcome
    folds: list[Fold]
    groups: np.ndarray
    seed: int


def plan_survival(
    time: np.ndarray, event: np.ndarray, groups: np.ndarray, seed: int = 0
) -> Survival:
    """Divide samples into folds by donor, balanced by event.

    Args:
      time: [n], above 0.
      event: [n], 1 = event, 0 = censored.
      groups: [n] donors; all samples of one stand on one side of a fold.
      seed: of the folds.

    Raises:
      InputError: unfit times or events; fewer donors, or donors with an event, than folds; or
        a fold without events.
    """
    seen = outcome(time, event)
    donors, dying = len(np.unique(groups)), len(np.unique(groups[seen.event]))
    if min(donors, dying) < FOLDS:
        raise InputError(
            f"expected at least {FOLDS} donors with an event, one per fold, found {dying} among "
            f"{donors} donors; leave survival out, or add samples"
        )
    folds = list(divide(seen.event, groups, FOLDS, seed))
    for number, (train, test) in enumerate(folds):
        if not seen.event[train].any() or not seen.event[test].any():
            raise InputError(
                f"expected events in every fold, found none in fold {number} of {FOLDS} "
                f"({int(seen.event.sum())} events in {donors} donors); leave survival out, or "
                "add samples"
            )
    return Survival(seen, folds, groups, seed)


def divide(kinds: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> Iterator[Fold]:
    """Yield rows to fit to and rows held out, kinds balanced and groups whole."""
    splits = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    yield from splits.split(np.zeros(len(kinds)), kinds, groups)


def survival_scores(
    plan: Survival,
    z: np.ndarray | None,
    clinical: pd.DataFrame | None = None,
    *,
    scale: bool = False,
    choices: tuple[int, ...] = CHOICES,
) -> list[dict[str, float]]:
    """Return the scores of each fold: `uno_c`, `harrell_c` and the `components` used.

    Args:
      plan: outcomes and folds, from `plan_survival`.
      z: [n, dimensions], the embedding; None goes by clinical covariates alone.
      clinical: n rows of covariates, see `clinical_covariates`; None goes without.
      scale: standardise the columns of z on the training samples before components are taken, as
        measured features need it.
      choices: numbers of components to choose from.

    Raises:
      InputError: neither an embedding nor covariates.
    """
    if z is None and clinical is None:
        raise InputError("expected an embedding or clinical covariates, found neither")
    scores = []
    for train, test in plan.folds:
        seen, held_out = _part(plan.seen, train), _part(plan.seen, test)
        parts = []
        count = 0
        if z is not None:
            components = fit_components(z[train], max(choices), scale=scale)
            count = choose_count(components.scores, seen, plan.groups[train], choices, plan.seed)
            parts.append((components.scores[:, :count], components.place(z[test])[:, :count]))
        if clinical is not None:
            code = clinical_covariates(clinical.iloc[train])
            parts.append((code(clinical.iloc[train]), code(clinical.iloc[test])))
        x, new = (np.concatenate(side, axis=1) for side in zip(*parts, strict=True))
        risk = new @ fit_cox_safely(x, seen).coefficients
        tau = float(np.quantile(seen.time[seen.event], HORIZON))
        scores.append(
            {
                "uno_c": uno_c(seen, held_out, risk, tau, before=True).value,
                "harrell_c": harrell_c(held_out, risk).value,
                **({"components": float(count)} if z is not None else {}),
            }
        )
    return scores


def choose_count(
    scores: np.ndarray,
    seen: Outcome,
    groups: np.ndarray,
    choices: tuple[int, ...] = CHOICES,
    seed: int = 0,
) -> int:
    """Return the number of leading components with the best Harrell's C in three inner folds.

    Args:
      scores: [n, components] of the training samples, by falling variance.
      seen: their outcome.
      groups: [n] donors.
      choices: numbers to choose from, capped at the components there are; of equals the smallest.
      seed: of the inner folds.
    """
    counts = sorted({min(count, scores.shape[1]) for count in choices})
    if len(counts) == 1 or len(np.unique(groups[seen.event])) < INNER:
        return counts[0]
    found = np.zeros(len(counts))
    for train, test in divide(seen.event, groups, INNER, seed):
        own, held_out = _part(seen, train), _part(seen, test)
        for i, count in enumerate(counts):
            fit = fit_cox_safely(scores[train, :count], own)
            c = harrell_c(held_out, scores[test, :count] @ fit.coefficients)
            found[i] += c.value if c.weight else 0.5
    return counts[int(np.argmax(found))]


def clinical_covariates(train: pd.DataFrame) -> Callable[[pd.DataFrame], np.ndarray]:
    """Return what turns label columns into covariates, fitted to the training samples.

    Numbers stay, with missing ones at the training mean; of every other column the levels of the
    training samples but the first become 0 or 1, and a missing or new level is 0 everywhere.

    Raises:
      InputError: a column without any value.

    >>> table = pd.DataFrame({"age": [50.0, None, 70.0], "sex": ["f", "m", None]})
    >>> clinical_covariates(table)(table).tolist()
    [[50.0, 0.0], [60.0, 1.0], [70.0, 0.0]]
    """
    plans: list[tuple[str, float | None, list[str]]] = []
    for name in train.columns:
        column = train[name]
        if column.isna().all():
            raise InputError(
                f"expected values of clinical column {name!r}, found none among the samples of a "
                "fold; leave it out"
            )
        if pd.api.types.is_numeric_dtype(column):
            plans.append((name, float(column.astype(float).mean()), []))
        else:
            plans.append((name, None, sorted(column.dropna().astype(str).unique())[1:]))

    def code(table: pd.DataFrame) -> np.ndarray:
        parts: list[np.ndarray] = [np.zeros((len(table), 0))]
        for name, mean, levels in plans:
            if mean is not None:
                numbers = table[name].astype(float).fillna(mean).to_numpy()
                parts.append(numbers[:, None])
            else:
                text = table[name].astype("string").fillna("").to_numpy(str)
                parts.append((text[:, None] == np.array(levels, str)[None]).astype(float))
        return np.concatenate(parts, axis=1)

    return code


def check_columns(labels: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Raise unless a sample table has these columns."""
    for name in names:
        if name not in labels.columns:
            raise unknown("label column", name, labels.columns)


def _part(seen: Outcome, rows: np.ndarray) -> Outcome:
    """Return the outcome of some samples."""
    return Outcome(seen.time[rows], seen.event[rows])
