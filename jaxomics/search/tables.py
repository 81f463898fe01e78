"""What a search found, as tidy tables: trials, importance of the settings, times."""

import math
from typing import Any

import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from jaxomics.search.space import is_single, label
from jaxomics.search.study import Search

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
ENOUGH = 4
"""Least number of complete trials from which importances are worth a figure."""


def trials_table(search: Search) -> pd.DataFrame:
    """Return one row per finished trial, in the order of their numbers.

    Columns: trial, group (numbered from 0), state (complete, pruned, failed), value (a pruned
    trial's last, none for a failed one), one column per field of the space, epochs.
    """
    trials = _finished(search)
    groups = {first: i for i, first in enumerate(sorted({t.user_attrs["group"] for t in trials}))}
    columns: dict[str, list[Any]] = {
        "trial": [trial.number for trial in trials],
        "group": [groups[trial.user_attrs["group"]] for trial in trials],
        "state": [STATES[trial.state] for trial in trials],
        "value": [math.nan if trial.value is None else trial.value for trial in trials],
    }
    for field in search.space:
        columns[field] = _column([search.values(trial.params)[field] for trial in trials])
    columns["epochs"] = [trial.user_attrs["epochs"] for trial in trials]
    return pd.DataFrame(columns)


def importance_table(search: Search, seed: int) -> pd.DataFrame:
    """Return how much of the variance of the value each setting explains: field, importance.

    Functional analysis of variance on a random forest over the complete trials (Hutter et al.
    2014); the most important setting comes first. Without rows where too few trials are complete,
    or all have one value.

    Args:
      search: with its trials.
      seed: of the forest.
    """
    values = [t.value for t in search.trials() if t.state == TrialState.COMPLETE]
    searched = [field for field, limits in search.space.items() if not is_single(limits)]
    found: dict[str, float] = {}
    if len(values) >= ENOUGH and len(set(values)) > 1:
        evaluator = FanovaImportanceEvaluator(seed=seed)
        found = get_param_importances(search.study, evaluator=evaluator, params=searched)
    return pd.DataFrame(
        {
            "field": pd.Series(list(found), dtype="str"),
            "importance": pd.Series(list(found.values()), dtype="float64"),
        }
    )


def timing_table(search: Search) -> pd.DataFrame:
    """Return one row per finished trial: trial, process (numbered from 0), seconds.

    The seconds of a group are divided equally among its trials.
    """
    trials = _finished(search)
    names = list(dict.fromkeys(trial.user_attrs["process"] for trial in trials))
    return pd.DataFrame(
        {
            "trial": [trial.number for trial in trials],
            "process": [names.index(trial.user_attrs["process"]) for trial in trials],
            "seconds": [trial.user_attrs["seconds"] for trial in trials],
        }
    )


def _finished(search: Search) -> list[FrozenTrial]:
    """Return the finished trials that count."""
    return [trial for trial in search.trials() if trial.state.is_finished()]


def _column(values: list[Any]) -> list[Any]:
    """Return the values of one field as a column of one type: numbers, or text."""
    plain = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return values if plain else list(map(label, values))
