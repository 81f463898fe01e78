"""Scores of one view predicted from another.

Zhang and Guo 2021 (OmiTrans) compare translators by nine numbers: errors over cells, errors and
R2 per sample, and R2 per feature. They are computed here as scikit-learn computes them, in
float64 and in blocks of rows or columns, so that tables of the paper's size need little memory.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from jaxomics.errors import InputError
from jaxomics.metrics.correlation import defined_mean, pearson
from jaxomics.metrics.imputation import score_imputation, summarise_imputation
from jaxomics.metrics.tables import FEATURE_COLUMNS, feature_rows, join, score_rows

CELLS = 2**22
"""Cells of a block that is held in float64."""

ALIVE = 1e-8
"""Variance above which a feature counts for `mean_r2_varying`."""

EXPLAINED = 0.3
"""R2 above which a feature counts as explained."""

NINE = (
    "mse",
    "sample_rmse",
    "mae",
    "sample_median_ae",
    "sample_r2",
    "mean_r2",
    "median_r2",
    f"n_r2_above_{EXPLAINED}",
    f"share_r2_above_{EXPLAINED}",
)
"""The nine metrics of Zhang and Guo 2021, in the order of their first table."""


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
      Scores and scores per feature under mode `translated`: those of `translation_scores`, those
      of `summarise_imputation`, `rmse`, the root of `mse`, and `r2` (1 - pooled squared error /
      that of the reference means), and `imputation_scores`. R2 per feature is there as metric `r2`.

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
    t, p = (table.to_numpy(np.float64, na_value=np.nan) for table in (truth, estimate))
    reference = defined_mean(t, 0)
    if reference_mean is not None:
        reference = reference_mean.reindex(truth.columns).to_numpy(np.float64)
    scored = np.ones(truth.shape, bool)
    summary = summarise_imputation(truth, estimate, scored, reference, bootstrap)
    baseline = summary["baseline_mse"]
    summary["rmse"] = float(np.sqrt(summary["mse"]))
    summary |= imputation_scores(t, p)
    summary["r2"] = 1 - summary["mse"] / baseline if baseline > 0 else np.nan
    about = {"dataset": dataset, "model": model, "mode": "translated", "view": view}
    own = pd.DataFrame(
        {
            "feature": truth.columns,
            "metric": "r2",
            "value": feature_r2(t, p),
            "n": (~np.isnan(t) & ~np.isnan(p)).sum(axis=0),
        }
    )
    others = score_imputation(truth, estimate, scored, reference)
    per_feature = [feature_rows(table, **about) for table in (others, own)]
    scores = score_rows(translation_scores(t, p) | summary, **about)
    return scores, join(per_feature, FEATURE_COLUMNS)


def translation_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the nine metrics of Zhang and Guo 2021, and two that put them into perspective.

    A cell counts if truth and prediction are there. What is per sample is averaged over the
    samples that have a defined value; so are features. In complete tables `mse` and `mae` are
    the paper's means over samples of the mean over features.

    Args:
      truth: [samples, features], NaN = unknown.
      predicted: the same shape, NaN = no prediction.

    Returns:
      `mse` and `mae` over cells; `sample_rmse`, the mean over samples of the root of the mean
      squared error of each; `sample_median_ae`, the mean over samples of the median absolute
      error; `sample_r2`, the mean of R2 per sample; `mean_r2` and `median_r2` over features,
      against the mean of the scored samples; number and share of the features whose R2 is above
      0.3. And `mean_r2_varying`, the mean over the features with a variance above 1e-8, and
      `n_constant`, the number of constant features: a small error on a feature that hardly
      varies gives an R2 of minus thousands, so `mean_r2` says little without the two.

    Raises:
      ValueError: the shapes differ.

    >>> truth = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    >>> scores = translation_scores(truth, truth + [[1.0, 0.0]])
    >>> scores["mse"], scores["mean_r2"], scores["mean_r2_varying"], scores["n_constant"]
    (0.5, 0.8125, 0.625, 1.0)
    """
    if np.shape(truth) != np.shape(predicted):
        raise ValueError(f"expected one shape, found {np.shape(truth)} and {np.shape(predicted)}")
    samples = [_per_sample(*_block(truth, predicted, rows)) for rows in _rows(truth)]
    features = [_per_feature(*_block(truth, predicted, columns)) for columns in _columns(truth)]
    count, squares, absolute, median, r2_sample = np.concatenate([np.zeros((5, 0)), *samples], 1)
    r2, variance = np.concatenate([np.zeros((2, 0)), *features], 1)
    defined = r2[~np.isnan(r2)]
    above = (defined > EXPLAINED).sum()
    values = (
        _ratio(squares.sum(), count.sum()),
        _mean(np.sqrt(squares / np.where(count > 0, count, np.nan))),
        _ratio(absolute.sum(), count.sum()),
        _mean(median),
        _mean(r2_sample),
        _mean(r2),
        float(np.median(defined)) if len(defined) else np.nan,
        float(above),
        _ratio(above, len(defined)),
    )
    return {
        **dict(zip(NINE, values, strict=True)),
        "mean_r2_varying": _mean(r2[variance > ALIVE]),
        "n_constant": float((variance == 0).sum()),
    }


def imputation_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the metrics of Zhou et al. 2020 (TDimpute) that are not among the others.

    Args:
      truth: [samples, features], NaN = unknown.
      predicted: the same shape, NaN = no prediction.

    Returns:
      `mape`, the mean of |error / truth| over the cells whose truth is not 0;
      `feature_squared_r` and `sample_squared_r`, the mean squared Pearson correlation of features
      and of samples that have one.

    >>> truth = np.arange(256.0).reshape(16, 16)
    >>> {name: round(value, 6) for name, value in imputation_scores(truth, 1.5 * truth).items()}
    {'mape': 0.5, 'feature_squared_r': 1.0, 'sample_squared_r': 1.0}
    """
    share = np.abs(truth - predicted) / np.where(truth == 0, np.nan, np.abs(truth))
    return {
        "mape": _mean(share.ravel()),
        "feature_squared_r": _mean(pearson(truth, predicted, 0) ** 2),
        "sample_squared_r": _mean(pearson(truth, predicted, 1) ** 2),
    }


def feature_r2(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return R2 of each feature over the samples, [features].

    R2 = 1 - squared error / squared deviation of the truth from its mean over these samples. As
    in scikit-learn, a constant feature has 1 if it is predicted exactly, else 0; one with fewer
    than two pairs has NaN.

    Args:
      truth: [samples, features], NaN = unknown.
      predicted: the same shape, NaN = no prediction.

    >>> feature_r2(np.array([[0.0, 5.0], [2.0, 5.0]]), np.array([[1.0, 5.0], [1.0, 4.0]]))
    array([0., 0.])
    """
    parts = [_r2(*_block(truth, predicted, columns), 0) for columns in _columns(truth)]
    return np.concatenate([np.zeros(0), *parts])


def sample_r2(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return R2 of each sample over the features, [samples]; see `feature_r2`."""
    parts = [_r2(*_block(truth, predicted, rows), 1) for rows in _rows(truth)]
    return np.concatenate([np.zeros(0), *parts])


def _per_sample(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return cells, summed squares, summed and median absolute error and R2, [5, samples]."""
    absolute = np.abs(truth - predicted)
    count = (~np.isnan(absolute)).sum(axis=1)
    median = np.full(len(count), np.nan)
    median[count > 0] = np.nanmedian(absolute[count > 0], axis=1)
    squares = np.nansum(absolute**2, axis=1)
    return np.array([count, squares, np.nansum(absolute, 1), median, _r2(truth, predicted, 1)])


def _per_feature(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return R2 and the variance of the truth, NaN with fewer than two cells, [2, features]."""
    count = (~np.isnan(truth)).sum(axis=0)
    variance = np.where(count > 1, _deviation(truth, 0) / np.maximum(count, 1), np.nan)
    return np.array([_r2(truth, predicted, 0), variance])


def _r2(truth: np.ndarray, predicted: np.ndarray, axis: int) -> np.ndarray:
    """Return R2 along an axis of a block whose missing cells are missing on both sides."""
    error = np.nansum((truth - predicted) ** 2, axis=axis)
    total = _deviation(truth, axis)
    constant = np.where(error == 0, 1.0, 0.0)
    r2 = np.where(total > 0, 1 - error / np.where(total > 0, total, 1.0), constant)
    return np.where((~np.isnan(truth)).sum(axis=axis) > 1, r2, np.nan)


def _deviation(values: np.ndarray, axis: int) -> np.ndarray:
    """Return summed squared deviations from the mean, exactly 0 where all values are equal."""
    centred = values - np.expand_dims(defined_mean(values, axis), axis)
    seen = ~np.isnan(values)
    low = np.where(seen, values, np.inf).min(axis=axis, initial=np.inf)
    high = np.where(seen, values, -np.inf).max(axis=axis, initial=-np.inf)
    return np.where(high > low, np.nansum(centred**2, axis=axis), 0.0)


def _block(
    truth: np.ndarray, predicted: np.ndarray, cells: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """Return some cells of both in float64; what is missing in one is missing in both."""
    t, p = np.asarray(truth[cells], np.float64), np.asarray(predicted[cells], np.float64)
    seen = ~np.isnan(t) & ~np.isnan(p)
    return np.where(seen, t, np.nan), np.where(seen, p, np.nan)


def _rows(table: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of whole rows."""
    return ((rows, slice(None)) for rows in _slices(*np.shape(table)))


def _columns(table: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of whole columns."""
    return ((slice(None), columns) for columns in _slices(*np.shape(table)[::-1]))


def _slices(length: int, width: int) -> Iterator[slice]:
    """Yield slices of an axis such that a slice of the table has about `CELLS` cells."""
    step = max(CELLS // max(width, 1), 1)
    return (slice(start, start + step) for start in range(0, length, step))


def _mean(values: np.ndarray) -> float:
    """Return the mean of the values that are defined, NaN without any."""
    return float(defined_mean(np.asarray(values, np.float64), 0))


def _ratio(part: float, whole: float) -> float:
    """Return part / whole, NaN of nothing."""
    return float(part / whole) if whole else np.nan
