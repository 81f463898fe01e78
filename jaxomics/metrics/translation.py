"""Scores of one view predicted from another."""

import numpy as np
import pandas as pd

from jaxomics.errors import InputError
from jaxomics.metrics.correlation import defined_mean
from jaxomics.metrics.imputation import score_imputation, summarise_imputation
from jaxomics.metrics.tables import feature_rows, score_rows


def evaluate_translation(
    predicted: pd.DataFrame,
    truth: pd.DataFrame,
    dataset: str = "",
    model: str = "",
    view: str = "target",
    reference_mean: pd.Series | None = None,
    bootstrap: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score a predicted table against the measured one.

    Args:
      predicted: [samples, features].
      truth: [samples, features], NaN = unknown; only its samples and features count.
      dataset: name for the table.
      model: name for the table.
      view: name of the predicted view.
      reference_mean: feature means of the training data; the means of `truth` by default, which
        makes the baseline stronger than any real one.
      bootstrap: see `summarise_imputation`.

    Returns:
      Scores and scores per feature under mode `translated`: those of `summarise_imputation`, and
      `mae`, `rmse` and `r2` (1 - pooled squared error / that of the reference means).

    Raises:
      InputError: no sample or feature in common.
    """
    samples = truth.index.intersection(predicted.index)
    features = truth.columns.intersection(predicted.columns)
    if not len(samples) or not len(features):
        raise InputError(
            f"expected samples and features named as in the truth, found {len(samples)} common "
            f"samples and {len(features)} common features; check ids and orientation of the table"
        )
    estimate = predicted.reindex(index=truth.index, columns=truth.columns)
    reference = defined_mean(truth.to_numpy(np.float64), 0)
    if reference_mean is not None:
        reference = reference_mean.reindex(truth.columns).to_numpy(np.float64)
    scored = np.ones(truth.shape, bool)
    summary = summarise_imputation(truth, estimate, scored, reference, bootstrap)
    difference = np.abs(truth.to_numpy(np.float64) - estimate.to_numpy(np.float64))
    known = difference[~np.isnan(difference)]
    baseline = summary["baseline_mse"]
    summary["mae"] = float(known.mean()) if len(known) else np.nan
    summary["rmse"] = float(np.sqrt(summary["mse"]))
    summary["r2"] = 1 - summary["mse"] / baseline if baseline > 0 else np.nan
    about = {"dataset": dataset, "model": model, "mode": "translated", "view": view}
    per_feature = feature_rows(score_imputation(truth, estimate, scored, reference), **about)
    return score_rows(summary, **about), per_feature
