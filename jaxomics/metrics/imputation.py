"""Scores of completed tables against the truth, per feature and per view.

Pooled correlations are high for the plain feature mean already, because most variance lies
between features (Cai et al. 2024 report a pooled r for drugs). So scores per feature and the
baseline's pooled r stand beside it.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from jaxomics.errors import InputError
from jaxomics.metrics.correlation import (
    MIN_PAIRS,
    defined_mean,
    mean_squared_error,
    pearson,
    relative_squared_error,
    spearman,
)
from jaxomics.metrics.tables import FEATURE_COLUMNS, SCORE_COLUMNS, feature_rows, join, score_rows

FEATURE_METRICS = ["r", "spearman", "mse", "relative_error"]
"""Metrics per feature; `relative_error` is the squared error over that of the reference mean."""


def score_imputation(
    truth: pd.DataFrame,
    predicted: pd.DataFrame,
    scored: np.ndarray,
    reference_mean: np.ndarray,
    min_pairs: int = MIN_PAIRS,
) -> pd.DataFrame:
    """Score each feature over the samples whose cell is to be scored.

    Args:
      truth: [samples, features], NaN = unknown.
      predicted: the same samples and features; NaN = no prediction, not scored.
      scored: bool [samples, features], the cells to score.
      reference_mean: [features], what a prediction without any method would be.
      min_pairs: fewer scored cells of a feature give no correlation.

    Returns:
      Columns feature, metric, value, n; `n` counts the scored cells of the feature.
    """
    t, p = _hidden_truth(truth, predicted, scored)
    values = {
        "r": pearson(t, p, min_pairs=min_pairs),
        "spearman": spearman(t, p, min_pairs=min_pairs),
        "mse": mean_squared_error(t, p),
        "relative_error": relative_squared_error(t, p, reference_mean),
    }
    count = (~np.isnan(t) & ~np.isnan(p)).sum(axis=0)
    tables = [
        pd.DataFrame({"feature": truth.columns, "metric": name, "value": value, "n": count})
        for name, value in values.items()
    ]
    return pd.concat(tables, ignore_index=True)


def summarise_imputation(
    truth: pd.DataFrame,
    predicted: pd.DataFrame,
    scored: np.ndarray,
    reference_mean: np.ndarray,
    bootstrap: int = 0,
    seed: int = 0,
    min_pairs: int = MIN_PAIRS,
) -> dict[str, float]:
    """Summarise a view in a few numbers; arguments as in `score_imputation`.

    Args:
      truth: [samples, features].
      predicted: the same samples and features.
      scored: bool [samples, features].
      reference_mean: [features].
      bootstrap: samples are redrawn so many times for a 95 % interval of `mean_r`.
      seed: of the redrawing.
      min_pairs: fewer scored cells of a feature or a sample give no correlation.

    Returns:
      `mean_r`, `median_r`, `mean_spearman`, `share_r_above_0.3` and `mean_relative_error` over
      features; `pooled_r`, `pooled_spearman` and `mse` over cells; `baseline_pooled_r` and
      `baseline_mse` of the reference mean; `mean_sample_r`, `mean_sample_r_standardised` over
      samples, before and after features are centred and scaled, and `baseline_mean_sample_r` of
      the reference mean, before; `n_cells`, `n_features` (with a
      defined r), `coverage` (share of scored cells that have a prediction); with `bootstrap`
      also `mean_r_low` and `mean_r_high`.
    """
    t, p = _hidden_truth(truth, predicted, scored)
    baseline = np.broadcast_to(np.asarray(reference_mean, np.float64), t.shape)
    r = pearson(t, p, min_pairs=min_pairs)
    with_prediction = ~np.isnan(t) & ~np.isnan(p)
    compared = np.where(with_prediction, t, np.nan)
    scale = np.sqrt(mean_squared_error(t, baseline))
    scale = np.where(scale > 0, scale, 1.0)
    defined = r[~np.isnan(r)]
    summary = {
        "mean_r": _mean(r),
        "median_r": float(np.median(defined)) if len(defined) else np.nan,
        "mean_spearman": _mean(spearman(t, p, min_pairs=min_pairs)),
        "share_r_above_0.3": float((defined > 0.3).mean()) if len(defined) else np.nan,
        "mean_relative_error": _mean(relative_squared_error(t, p, baseline)),
        "pooled_r": float(pearson(t, p, None)),
        "pooled_spearman": float(spearman(t, p, None)),
        "mse": float(mean_squared_error(t, p, None)),
        "baseline_pooled_r": float(pearson(compared, baseline, None)),
        "baseline_mse": float(mean_squared_error(compared, baseline, None)),
        "mean_sample_r": _mean(pearson(t, p, 1, min_pairs)),
        "mean_sample_r_standardised": _mean(
            pearson((t - baseline) / scale, (p - baseline) / scale, 1, min_pairs)
        ),
        "baseline_mean_sample_r": _mean(pearson(compared, baseline, 1, min_pairs)),
        "n_cells": float(with_prediction.sum()),
        "n_features": float(len(defined)),
        "coverage": _ratio(with_prediction.sum(), (~np.isnan(t)).sum()),
    }
    if bootstrap:
        summary["mean_r_low"], summary["mean_r_high"] = _interval(t, p, bootstrap, seed)
    return summary


def evaluate_imputation(
    completed: Mapping[str, pd.DataFrame],
    truth: Mapping[str, pd.DataFrame],
    measured: Mapping[str, pd.DataFrame] | None = None,
    dataset: str = "",
    model: str = "",
    bootstrap: int = 0,
    min_pairs: int = MIN_PAIRS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score completed tables of any tool against the truth.

    Args:
      completed: one table per view [samples, features].
      truth: one table per view, NaN = unknown.
      measured: bool tables shaped like `completed`: True where the tool was given the value.
        Mode `imputed` scores the other cells, mode `measured` these. Without it every known cell
        is scored under mode `all`.
      dataset: name for the table.
      model: name for the table.
      bootstrap, min_pairs: see `summarise_imputation`.

    Returns:
      Scores per view and scores per feature. Cells that the tool left out are not scored but
      lower `coverage`, and a view it left out has `coverage` 0. The reference mean of a feature
      is the mean of its measured values, or of its true values where nothing was measured.

    Raises:
      InputError: no view, sample or feature in common.
    """
    common = [view for view in truth if view in completed]
    if not common:
        raise InputError(
            f"expected completed tables of the views {sorted(truth)}, found {sorted(completed)}; "
            "name the files alike"
        )
    scores, features = [], []
    for view in truth:
        if view not in completed:
            scores.append(score_rows({"coverage": 0.0}, dataset=dataset, model=model, view=view))
            continue
        known = None if measured is None else measured.get(view)
        t, p, given = _aligned(view, truth[view], completed[view], known)
        reference = _reference_mean(t, p, given)
        modes = {"all": np.ones(t.shape, bool)}
        if known is not None:
            modes = {"imputed": ~given, "measured": given}
        for mode, scored in modes.items():
            if not (scored & t.notna().to_numpy()).any():
                continue
            about = {"dataset": dataset, "model": model, "mode": mode, "view": view}
            summary = summarise_imputation(t, p, scored, reference, bootstrap, min_pairs=min_pairs)
            scores.append(score_rows(summary, **about))
            own = score_imputation(t, p, scored, reference, min_pairs)
            features.append(feature_rows(own, **about))
    return join(scores, SCORE_COLUMNS), join(features, FEATURE_COLUMNS)


def _hidden_truth(
    truth: pd.DataFrame, predicted: pd.DataFrame, scored: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64, the truth NaN outside the scored cells."""
    t = truth.to_numpy(np.float64, na_value=np.nan)
    return np.where(scored, t, np.nan), predicted.to_numpy(np.float64, na_value=np.nan)


def _aligned(
    view: str, truth: pd.DataFrame, completed: pd.DataFrame, measured: pd.DataFrame | None
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Return completed values and mask on the samples and features of the truth."""
    samples = truth.index.intersection(completed.index)
    features = truth.columns.intersection(completed.columns)
    if not len(samples) or not len(features):
        raise InputError(
            f"view {view!r}: expected samples and features named as in the truth, found "
            f"{len(samples)} common samples and {len(features)} common features; rename them"
        )
    predicted = completed.reindex(index=truth.index, columns=truth.columns)
    if measured is None:
        return truth, predicted, np.zeros(truth.shape, bool)
    given = measured.reindex(index=truth.index, columns=truth.columns)
    return truth, predicted, given.eq(True).to_numpy(bool)


def _reference_mean(truth: pd.DataFrame, completed: pd.DataFrame, given: np.ndarray) -> np.ndarray:
    """Return the mean of what was measured, per feature; a complete table repeats such cells."""
    t = truth.to_numpy(np.float64, na_value=np.nan)
    repeated = completed.to_numpy(np.float64, na_value=np.nan)
    known = defined_mean(np.where(given, np.where(np.isnan(t), repeated, t), np.nan), 0)
    return np.where(np.isnan(known), defined_mean(t, 0), known)


def _interval(
    truth: np.ndarray, predicted: np.ndarray, draws: int, seed: int
) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % points of the mean r when samples are redrawn."""
    random = np.random.default_rng(seed)
    n = len(truth)
    drawn = [random.integers(n, size=n) for _ in range(draws)]
    means = np.array([_mean(pearson(truth[rows], predicted[rows])) for rows in drawn])
    means = means[~np.isnan(means)]
    low, high = np.quantile(means, [0.025, 0.975]) if len(means) else (np.nan, np.nan)
    return float(low), float(high)


def _mean(values: np.ndarray) -> float:
    """Return the mean of the values that are defined, NaN without any."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else np.nan


def _ratio(part: int, whole: int) -> float:
    """Return part / whole, NaN of nothing."""
    return float(part / whole) if whole else np.nan
