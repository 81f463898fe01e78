"""Scores of several folds in one line: mean, standard deviation and standard error."""

import numpy as np
import pandas as pd

from jaxomics.metrics.tables import SCORE_COLUMNS

KEYS = [name for name in SCORE_COLUMNS if name not in ("fold", "value")]


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Return one row per score, over its folds.

    Args:
      scores: tidy score table.

    Returns:
      All columns but fold and value, then mean, sd (over folds), se (= sd / sqrt(folds)) and
      folds, in the order of first appearance. One fold has no sd.

    >>> from jaxomics.metrics.tables import score_rows
    >>> rows = [score_rows({"uno_c": c}, model="pca", fold=i) for i, c in enumerate((0.5, 0.7))]
    >>> summarise(pd.concat(rows))[["mean", "sd", "se", "folds"]].round(3).values.tolist()
    [[0.6, 0.141, 0.1, 2.0]]
    """
    grouped = scores.groupby(KEYS, sort=False, dropna=False)["value"]
    found = grouped.agg(["mean", "std", "count"]).reset_index()
    found = found.rename(columns={"std": "sd", "count": "folds"})
    found["se"] = found["sd"] / np.sqrt(np.maximum(found["folds"], 1))
    return found[[*KEYS, "mean", "sd", "se", "folds"]]
