"""Scores of out-of-fold predictions: all folds together, each fold, each feature.

Correlations are taken feature by feature over the test samples of all folds, as Cai et al. 2024
do, and averaged over features. What single folds score stands beside, for the spread.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.crossval.modes import HeldOut, Method, Plan, Predictions, hold_out, predict
from jaxomics.data.container import MultiOmics
from jaxomics.metrics.bootstrap import bootstrap_intervals
from jaxomics.metrics.correlation import mean_squared_error, pearson
from jaxomics.metrics.tables import ALL_FOLDS, FEATURE_COLUMNS, SCORE_COLUMNS, join

INTERVAL_COLUMNS = [*FEATURE_COLUMNS[:-1], "low", "high", "n"]
"""Columns of scores per feature with 95 % intervals."""


class Question(NamedTuple):
    """One table to score: a mode, a view and a repeat.

    Attributes:
      mode, view: of the predictions.
      repeat: from 0.
      target: float64 [samples, features], NaN = not scored.
      predicted: float64, the same shape.
      reference: float64, the same shape, mean of the training samples of each sample's fold.
    """

    mode: str
    view: str
    repeat: int
    target: np.ndarray
    predicted: np.ndarray
    reference: np.ndarray


def cross_validate(
    cohort: MultiOmics,
    methods: Mapping[str, Method],
    plan: Plan,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score methods on held-out samples.

    Args:
      cohort: all data.
      methods: by name; `modes.comparator` and `modes.model` make them.
      plan: how to hold out.
      progress: told what is being done.

    Returns:
      Scores per view (`pearson`: mean over features of r; `relative_error`: mean over features
      of the squared error relative to the training mean's) with `fold` -1 for all folds
      together, and scores per feature, see `score`.
    """
    held = hold_out(cohort, plan)
    scores, features = [], []
    for name, method in methods.items():
        progress(f"{name}: {len(held.folds)} folds")
        for parts, found in zip(
            (scores, features), score(held, name, predict(held, method)), strict=True
        ):
            parts.append(found)
    return join(scores, SCORE_COLUMNS), join(features, FEATURE_COLUMNS)


def score(held: HeldOut, name: str, predictions: Predictions) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores of a method per view and per feature.

    Args:
      held: the cohort and its folds.
      name: of the method, for the tables.
      predictions: what the method said.

    Returns:
      Scores with a row for all folds together (`fold` -1) and one per fold; `seed` is that of
      the plan plus the repeat. And scores per feature over all folds, with the ends of their
      95 % intervals, `low` and `high`, if the plan wants them: samples (or groups) are redrawn,
      folds and fits stay as they are.
    """
    scores, features = [], []
    for asked in _asked(held, predictions):
        columns = held.cohort.view(asked.view).columns
        about = {"dataset": held.plan.dataset, "model": name, "fold": ALL_FOLDS}
        about |= {"seed": held.plan.seed + asked.repeat, "mode": asked.mode, "view": asked.view}
        table = _feature_scores(asked, columns)
        if held.plan.bootstrap:
            table = table.join(_intervals(held, asked))
        order = INTERVAL_COLUMNS if held.plan.bootstrap else FEATURE_COLUMNS
        features.append(table.assign(**about)[order])
        scores.append(summarise(features[-1]))
        for fold in range(held.folds.folds):
            own = _feature_scores(asked, columns, held.folds.number[asked.repeat] == fold)
            scores.append(summarise(own.assign(**about | {"fold": fold})))
    return join(scores, SCORE_COLUMNS), join(features, FEATURE_COLUMNS)


def summarise(features: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over features of per-feature scores, one row per view and metric."""
    keys = ["dataset", "model", "fold", "seed", "mode", "view", "metric"]
    return features.groupby(keys, sort=False)["value"].mean().reset_index()[SCORE_COLUMNS]


def _asked(held: HeldOut, predictions: Predictions) -> Iterator[Question]:
    """Yield what there is to score, view by view, in the order of the predictions."""
    for (mode, view), predicted in predictions.items():
        for repeat, estimate in enumerate(predicted):
            truth = held.truth[view]
            cells = ~np.isnan(truth) & ~np.isnan(estimate)
            if mode == "cell_out":
                cells &= held.hidden[view][repeat]
            place = repeat * held.folds.folds + held.folds.number[repeat]
            yield Question(
                mode,
                view,
                repeat,
                np.where(cells, truth, np.nan).astype(np.float64),
                estimate.astype(np.float64),
                held.means[view][place],
            )


def _feature_scores(
    asked: Question, columns: pd.Index, rows: np.ndarray | slice = slice(None)
) -> pd.DataFrame:
    """Return feature, metric, value and n over some of the samples.

    The squared error is relative to that of the training means over all folds, also where the
    rows are those of one: a fold may hold too few cells of a feature to divide by theirs.
    """
    target, predicted = asked.target[rows], asked.predicted[rows]
    count = (~np.isnan(target)).sum(axis=0)
    baseline = mean_squared_error(asked.target, asked.reference)
    error = mean_squared_error(target, predicted)
    values = {
        "pearson": pearson(target, predicted),
        "relative_error": np.divide(
            error, baseline, out=np.full(len(error), np.nan), where=baseline > 0
        ),
    }
    return pd.concat(
        [
            pd.DataFrame({"feature": columns, "metric": metric, "value": value, "n": count})
            for metric, value in values.items()
        ],
        ignore_index=True,
    )


def _intervals(held: HeldOut, asked: Question) -> pd.DataFrame:
    """Return low and high in the order of `_feature_scores`."""
    found = bootstrap_intervals(
        asked.target,
        asked.predicted,
        asked.reference,
        draws=held.plan.bootstrap,
        seed=held.plan.seed + asked.repeat,
        groups=held.folds.groups,
    )
    ends = [pd.DataFrame(found[metric]._asdict()) for metric in ("pearson", "relative_error")]
    return pd.concat(ends, ignore_index=True)
