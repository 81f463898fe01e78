"""The columns of score tables: one row is one number, and says what it is about."""

from collections.abc import Mapping

import pandas as pd

SCORE_COLUMNS = ["dataset", "model", "fold", "seed", "mode", "view", "metric", "value"]
"""Columns of every score table."""

FEATURE_COLUMNS = [*SCORE_COLUMNS[:6], "feature", "metric", "value", "n"]
"""Columns of every table of scores per feature; `n` counts the cells behind the value."""

ALL_FOLDS = -1
"""`fold` of a score that is about no single fold."""

_BLANK = {"dataset": "", "model": "", "fold": ALL_FOLDS, "seed": 0, "mode": "", "view": ""}


def score_rows(values: Mapping[str, float], **about: str | int) -> pd.DataFrame:
    """Return one row per metric with `SCORE_COLUMNS`; columns not named are empty or `ALL_FOLDS`.

    >>> score_rows({"mse": 0.5}, dataset="toy", model="mean", view="rna").to_csv().split()
    [',dataset,model,fold,seed,mode,view,metric,value', '0,toy,mean,-1,0,,rna,mse,0.5']
    """
    rows = [{**_BLANK, **about, "metric": name, "value": float(v)} for name, v in values.items()]
    return pd.DataFrame(rows, columns=pd.Index(SCORE_COLUMNS))


def feature_rows(table: pd.DataFrame, **about: str | int) -> pd.DataFrame:
    """Return a table of feature, metric, value and n with all `FEATURE_COLUMNS`."""
    full = table.assign(**{**_BLANK, **about})
    return full.reindex(columns=pd.Index(FEATURE_COLUMNS))


def join(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    """Stack tables that have the same columns; no tables make an empty table."""
    return (
        pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=pd.Index(columns))
    )


def with_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores of single folds with their means behind them, whose `fold` is `ALL_FOLDS`.

    >>> folds = [score_rows({"mse": value}, fold=fold) for fold, value in enumerate((1.0, 3.0))]
    >>> with_means(join(folds, SCORE_COLUMNS))[["fold", "value"]].to_numpy().tolist()
    [[0.0, 1.0], [1.0, 3.0], [-1.0, 2.0]]
    """
    by = [name for name in SCORE_COLUMNS if name not in ("fold", "value")]
    means = scores.groupby(by, sort=False, as_index=False)["value"].mean().assign(fold=ALL_FOLDS)
    return join([scores, means[SCORE_COLUMNS]], SCORE_COLUMNS)
