"""What a search found, as tidy tables: trials, importance of the settings, times."""

import math
from typing import Any

import pandas as pd
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial, TrialState

from jaxomics.search.space import is_single, label
from jaxomics.search.study import ASKED, TOLD, Search

ENOUGH = 4
"""Least number of complete trials from which importances are worth a figure."""


def trials_table(search: Search) -> pd.DataFrame:
    """Return one row per finished trial, in the order of their numbers.

    Columns: trial, group (numbered from 0), state (complete, pruned, failed), value (a pruned
    trial's last, none for a failed one), one column per field of the space, epochs.
    """
    trials = _finished(search)
    first = [trial.user_attrs[ASKED]["group"] for trial in trials]
    groups = {number: i for i, number in enumerate(sorted(set(first)))}
    states = [_state(trial) for trial in trials]
    columns: dict[str, list[Any]] = {
        "trial": [trial.number for trial in trials],
        "group": [groups[number] for number in first],
        "state": states,
        "value": [
            math.nan if trial.value is None or state == "failed" else trial.value
            for trial, state in zip(trials, states, strict=True)
        ],
    }
    for field in search.space:
        columns[field] = _column([search.values(trial.params)[field] for trial in trials])
    columns["epochs"] = [trial.user_attrs[TOLD]["epochs"] for trial in trials]
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
    names = list(dict.fromkeys(trial.user_attrs[ASKED]["process"] for trial in trials))
    return pd.DataFrame(
        {
            "trial": [trial.number for trial in trials],
            "process": [names.index(trial.user_attrs[ASKED]["process"]) for trial in trials],
            "seconds": [trial.user_attrs[TOLD]["seconds"] for trial in trials],
        }
    )


def _finished(search: Search) -> list[FrozenTrial]:
    """Return the finished trials that count."""
    return [trial for trial in search.trials() if trial.state.is_finished()]


def _state(trial: FrozenTrial) -> str:
    """Return how a finished trial ended: complete, pruned or failed."""
    if trial.state == TrialState.COMPLETE:
        return "complete"
    return "failed" if trial.user_attrs[TOLD]["note"] else "pruned"


def _column(values: list[Any]) -> list[Any]:
    """Return the values of one field as a column of one type: numbers, or text."""
    plain = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return values if plain else list(map(label, values))
