"""How well predicted outcomes agree with what came to pass: classes, values, survival.

Classes have the five scores of Zhang et al. (OmiEmbed), Cancers 2021, values the errors and R2 of
`metrics.multitask`, survival the concordances and the Brier score of `metrics.survival`. The
predictions are a table as `jaxomics predict` writes it, or one of any other tool with its columns.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.errors import InputError, unknown
from jaxomics.metrics.classification import ALL, CLASSES, PROBABILITY, class_text, evaluate_classes
from jaxomics.metrics.multitask import class_scores, value_scores
from jaxomics.metrics.survival import (
    Outcome,
    common_times,
    curve_at,
    harrell_c,
    integrated_brier,
    outcome,
    uncensored,
    uno_c,
)
from jaxomics.metrics.tables import SCORE_COLUMNS, join, score_rows

OUTCOMES = "outcomes"
"""Mode of the scores of survival, values and further classes; the `view` names the outcome."""

SURVIVAL = "survival"
"""Name of survival among the outcomes, and what its columns of probabilities begin with."""

HORIZON = 0.9
"""Uno's C counts pairs up to this quantile of the training times."""


class NothingScoredError(InputError):
    """No outcome is known of enough samples to score it."""


class OutcomeColumns(NamedTuple):
    """Columns of the sample table that were predicted.

    Attributes:
      label: classes, predicted in the columns `class` and `p_CLASS`.
      time, event: survival, predicted as `risk` and `survival_TIME`.
      regress: numbers, predicted under their own names.
      classify: further classes, predicted under their own names, and as `NAME_p_CLASS`.
      strata: groups inside which the order of events is compared as well.
    """

    label: str | None = None
    time: str | None = None
    event: str | None = None
    regress: tuple[str, ...] = ()
    classify: tuple[str, ...] = ()
    strata: str | None = None


class Curves(NamedTuple):
    """Predicted survival: probabilities [n, T] of surviving each of the ascending edges [T]."""

    edges: np.ndarray
    survival: np.ndarray


def evaluate_outcomes(
    predictions: pd.DataFrame,
    labels: pd.DataFrame,
    asked: OutcomeColumns,
    seen: pd.DataFrame | None = None,
    **about: str | int,
) -> pd.DataFrame:
    """Score a table of predictions against a sample table.

    Args:
      predictions: columns sample, view (`all` is scored, but for classes every view), and those
        that `OutcomeColumns` tells.
      labels: sample table, index = sample; what is unknown of a sample is not scored.
      asked: columns that are scored.
      seen: sample table of the samples that the tool learned from, whose censoring weights the
        scores of survival; None takes that of the scored samples.
      about: dataset, model, fold, seed of the rows.

    Returns:
      Tidy scores: mode `classes` for the label column, by view; else mode `outcomes`, and the
      view is the name of the outcome. `attrs["notes"]` tells what was left out.

    Raises:
      InputError: columns that are absent, samples that are predicted twice, or values that are
        none.
      NothingScoredError: no outcome is known of enough samples.

    >>> said = pd.DataFrame({"sample": ["a", "b"], "view": "all", "age": [50.0, 62.0]})
    >>> truth = pd.DataFrame({"age": [51.0, 60.0]}, index=["a", "b"])
    >>> scores = evaluate_outcomes(said, truth, OutcomeColumns(regress=("age",)))
    >>> scores.set_index("metric")["value"][["mae", "rmse"]].round(3).tolist()
    [1.5, 1.581]
    """
    _check_columns(predictions, labels, asked)
    notes: list[str] = []
    tables = []
    if asked.label is not None:
        found = evaluate_classes(predictions, labels[asked.label], mode=CLASSES, **about).scores
        notes += found.attrs["notes"]
        tables.append(found)
    whole = predictions[predictions["view"] == ALL].set_index("sample")
    twice = whole.index[whole.index.duplicated()]
    if len(twice):
        raise InputError(f"expected one row per sample, found {twice[0]!r} twice; remove one")
    truth = labels.reindex(whole.index)
    for name, values in _scored(whole, truth, asked, seen, notes):
        tables.append(score_rows(values, mode=OUTCOMES, view=name, **about))
    if not tables:
        raise NothingScoredError(
            f"expected an outcome that can be scored, found none: {'; '.join(notes)}"
        )
    scores = join(tables, SCORE_COLUMNS)
    scores.attrs["notes"] = notes
    return scores


def censored_scores(
    seen: Outcome,
    found: Outcome,
    risk: np.ndarray,
    curves: Curves | None = None,
    strata: np.ndarray | None = None,
) -> dict[str, float]:
    """Return the scores of predicted survival.

    Args:
      seen: survival of the training samples, whose censoring weights the others.
      found: survival of the n scored samples.
      risk: [n], larger = earlier events.
      curves: predicted survival curves, if there are any.
      strata: [n], groups inside which the order of events is compared as well.

    Returns:
      `harrell_c` and `uno_c` (up to `HORIZON`), with strata `harrell_c_within`; with curves
      `integrated_brier`, and beside it that of the Kaplan-Meier curve of the training samples,
      `integrated_brier_kaplan_meier`. What these samples cannot tell is NaN.
    """
    tau = float(np.quantile(seen.time, HORIZON))
    scores = {
        "harrell_c": harrell_c(found, risk).value,
        "uno_c": uno_c(seen, found, risk, tau).value,
    }
    if strata is not None:
        scores["harrell_c_within"] = harrell_c(found, risk, strata).value
    if curves is not None:
        times = common_times(seen, found)
        everyone = uncensored(Outcome(seen.time, ~seen.event), times)
        compared = {
            "integrated_brier": curve_at(curves.edges, curves.survival, times),
            "integrated_brier_kaplan_meier": np.tile(everyone, (len(found.time), 1)),
        }
        for name, survival in compared.items():
            some = bool(times[0] < times[-1])
            scores[name] = integrated_brier(seen, found, survival, times) if some else np.nan
    return scores


def _check_columns(predictions: pd.DataFrame, labels: pd.DataFrame, asked: OutcomeColumns) -> None:
    """Raise unless both tables have the columns that are asked for."""
    if (asked.time is None) != (asked.event is None):
        raise InputError("expected --time and --event together, found one; name both columns")
    survival = (asked.time, asked.event)
    named = [name for name in (asked.label, *survival, *asked.regress, *asked.classify) if name]
    if not named:
        raise InputError("expected an outcome to score, found none named; name its column")
    for name in [*named, *([asked.strata] if asked.strata else [])]:
        if name not in labels:
            raise unknown("label column", name, labels.columns)
    said = ["risk"] * bool(asked.time) + [*asked.regress, *asked.classify]
    absent = [name for name in ("sample", "view", *said) if name not in predictions]
    if absent:
        raise InputError(
            f"expected predictions with columns {', '.join(absent)}, found "
            f"{', '.join(map(str, predictions.columns[:8]))}; make them with `jaxomics predict`"
        )


def _scored(
    said: pd.DataFrame,
    truth: pd.DataFrame,
    asked: OutcomeColumns,
    seen: pd.DataFrame | None,
    notes: list[str],
) -> list[tuple[str, Mapping[str, float]]]:
    """Return the scores by outcome, and note which samples are left out."""
    found: list[tuple[str, Mapping[str, float]]] = []
    for name in asked.regress:
        values, predicted = numbers(truth, name), numbers(said, name)
        known = _known(name, ~np.isnan(values) & ~np.isnan(predicted), notes)
        if known.any():
            found.append((name, value_scores(values[known], predicted[known])))
    for name in asked.classify:
        shares = said.filter(regex=f"^{name}_{PROBABILITY}")
        classes = [str(c).removeprefix(f"{name}_{PROBABILITY}") for c in shares]
        codes = np.asarray(pd.Categorical(class_text(truth[name]), categories=classes).codes)
        known = _known(name, codes >= 0, notes)
        if known.any():
            found.append((name, class_scores(codes[known], shares.to_numpy()[known])))
    if asked.time and asked.event:
        risk, both = numbers(said, "risk"), (asked.time, asked.event)
        own = _known(SURVIVAL, _followed(truth, both) & ~np.isnan(risk), notes)
        if own.any():
            end = _outcome(truth, both, own)
            start = end if seen is None else _outcome(seen, both, _followed(seen, both))
            strata = None if asked.strata is None else class_text(truth[asked.strata])[own]
            groups = None if strata is None else strata.fillna("").to_numpy(str)
            scores = censored_scores(start, end, risk[own], predicted_curves(said[own]), groups)
            found.append((SURVIVAL, scores))
    return found


def predicted_curves(said: pd.DataFrame) -> Curves | None:
    """Return the survival curves of a table of predictions; None where it has none, or gaps.

    >>> said = pd.DataFrame({"survival_12": [0.5], "survival_6": [0.9], "survival_mean": [9.0]})
    >>> predicted_curves(said)
    Curves(edges=array([ 6., 12.]), survival=array([[0.9, 0.5]]))
    """
    words = {str(c): str(c).removeprefix(f"{SURVIVAL}_") for c in said if f"{SURVIVAL}_" in str(c)}
    edges = pd.to_numeric(pd.Series(words, dtype="string"), errors="coerce").dropna().sort_values()
    curves = said[list(edges.index)].to_numpy(np.float64)
    if curves.size == 0 or np.isnan(curves).any():
        return None
    return Curves(edges.to_numpy(np.float64), curves)


def numbers(table: pd.DataFrame, name: str) -> np.ndarray:
    """Return a column as float64, NaN where it is missing.

    Raises:
      InputError: it holds text.
    """
    found = pd.to_numeric(table[name], errors="coerce")
    text = table[name][found.isna() & table[name].notna()]
    if len(text):
        raise InputError(
            f"expected numbers in column {name!r}, found {str(text.iloc[0])!r}; recode it"
        )
    return found.to_numpy(np.float64, na_value=np.nan)


def _known(name: str, known: np.ndarray, notes: list[str]) -> np.ndarray:
    """Return which samples are scored, and note how many are not."""
    left = int((~known).sum())
    if left:
        notes.append(f"{name} is not known of {left} of {len(known)} samples")
    return known


def _followed(table: pd.DataFrame, columns: tuple[str, str]) -> np.ndarray:
    """Return whose time and event are known, bool [samples]."""
    return ~np.any([np.isnan(numbers(table, name)) for name in columns], axis=0)


def _outcome(table: pd.DataFrame, columns: tuple[str, str], rows: np.ndarray) -> Outcome:
    """Return the survival of some samples of a table."""
    time, event = (numbers(table, name)[rows] for name in columns)
    try:
        return outcome(time, event)
    except InputError as error:
        raise InputError(f"{' and '.join(columns)}: {error}") from None
