"""Do completed values agree with measurements of somebody else? And which values do not fit?

Cai et al. 2024 compare completed proteins and drug responses with a second laboratory's, sample by
sample, for samples that were measured when the model was trained (in sample) and for those that
were not (out of sample). Features are standardised in each table first, or every sample agrees
with every other, since most variance is between features. A pair of columns or rows with 15 or
fewer common values has no correlation.

Values that the model reconstructs badly may be errors of measurement: `rank_mismatches` lists them.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from jaxomics.errors import InputError
from jaxomics.metrics.correlation import MIN_PAIRS, defined_mean, pearson, spearman


class Agreement(NamedTuple):
    """Correlations of completed with independent values.

    Attributes:
      samples: by sample: `r`, `spearman`, `n` common features, and `group`, in_sample or
        out_of_sample.
      features: by feature and group: `r`, `spearman`, `n`.
      summary: by group: number of samples, mean and median r of samples, mean r of features.
      difference: mean r of samples in sample minus out of sample.
      p: of Welch's t test of that difference; NaN with fewer than two samples in a group.
    """

    samples: pd.DataFrame
    features: pd.DataFrame
    summary: pd.DataFrame
    difference: float
    p: float


def agree_with_independent(
    completed: pd.DataFrame,
    independent: pd.DataFrame,
    measured: pd.DataFrame,
    *,
    standardise: bool = True,
    min_pairs: int = MIN_PAIRS,
) -> Agreement:
    """Correlate completed with independent values, in and out of sample.

    Args:
      completed: [samples, features].
      independent: [samples, features], NaN = not measured; the same names, any others are left.
      measured: what the model was given, [samples, features]; a sample with any value in it is in
        sample.
      standardise: subtract the mean of each feature and divide by its standard deviation in each
        table, over the samples that are compared.
      min_pairs: fewer common values give NaN.

    Raises:
      InputError: no samples or features in common.
    """
    rows = completed.index.intersection(independent.index)
    columns = completed.columns.intersection(independent.columns)
    if not len(rows) or not len(columns):
        raise InputError(
            f"expected samples and features named alike, found {len(rows)} common samples and "
            f"{len(columns)} common features; rename them"
        )
    given = measured.index[measured.notna().any(axis=1)]
    group = np.where(rows.isin(given), "in_sample", "out_of_sample")
    a, b = (
        table.loc[rows, columns].to_numpy(np.float64, na_value=np.nan)
        for table in (completed, independent)
    )
    x, y = (_standardised(a), _standardised(b)) if standardise else (a, b)
    by_sample = _correlated(x, y, 1, min_pairs, rows).assign(group=group)
    parts = []
    for name in dict.fromkeys(group):
        inside = group == name
        parts.append(_correlated(a[inside], b[inside], 0, min_pairs, columns).assign(group=name))
    by_feature = pd.concat(parts)
    r = {name: by_sample.loc[by_sample["group"] == name, "r"].dropna() for name in set(group)}
    summary = pd.DataFrame(
        [
            (
                name, len(r[name]), r[name].mean(), r[name].median(),
                by_feature.loc[by_feature["group"] == name, "r"].mean(),
            )
            for name in sorted(r)
        ],
        columns=pd.Index(["group", "samples", "mean_r", "median_r", "mean_feature_r"]),
    )  # fmt: skip
    inside, outside = (
        r.get(name, pd.Series(dtype=float)) for name in ("in_sample", "out_of_sample")
    )
    p = float("nan")
    if min(len(inside), len(outside)) > 1:
        p = float(stats.ttest_ind(inside, outside, equal_var=False)[1])  # type: ignore[arg-type]
    difference = float(inside.mean() - outside.mean()) if len(inside) and len(outside) else p
    return Agreement(by_sample, by_feature, summary, difference, p)


def rank_mismatches(
    measured: pd.DataFrame, reconstructed: pd.DataFrame, top: int | None = None
) -> pd.DataFrame:
    """Rank measured cells by how badly the model reconstructs them.

    Args:
      measured: [samples, features], NaN = not measured.
      reconstructed: what the model says of every cell, measured or not (`impute --full`).
      top: how many to return; all by default.

    Returns:
      Columns sample, feature, measured, reconstructed, `squared_error`, and `z`, the difference
      in standard deviations of the feature's differences; largest squared error first.

    Raises:
      InputError: no measured cell in common, or nothing but measured values.
    """
    rows = measured.index.intersection(reconstructed.index)
    columns = measured.columns.intersection(reconstructed.columns)
    t, p = (
        table.loc[rows, columns].to_numpy(np.float64, na_value=np.nan)
        for table in (measured, reconstructed)
    )
    difference = t - p
    i, j = np.nonzero(~np.isnan(difference))
    if not len(i):
        raise InputError("expected measured cells that are reconstructed, found none in common")
    if not difference[i, j].any():
        raise InputError(
            "expected reconstructions of measured cells, found the measured values themselves; "
            "write them with jaxomics impute --full"
        )
    centred = difference - defined_mean(difference, 0)
    spread = np.sqrt(defined_mean(centred**2, 0))
    z = centred / np.where(spread > 0, spread, np.nan)
    order = np.argsort(-(difference[i, j] ** 2), kind="stable")[:top]
    i, j = i[order], j[order]
    return pd.DataFrame(
        {
            "sample": rows[i], "feature": columns[j], "measured": t[i, j],
            "reconstructed": p[i, j], "squared_error": difference[i, j] ** 2, "z": z[i, j],
        }
    )  # fmt: skip


def _standardised(values: np.ndarray) -> np.ndarray:
    """Return features with mean 0 and standard deviation 1, constants NaN."""
    centred = values - defined_mean(values, 0)
    spread = np.sqrt(defined_mean(centred**2, 0))
    return centred / np.where(spread > 0, spread, np.nan)


def _correlated(
    x: np.ndarray, y: np.ndarray, axis: int, min_pairs: int, names: pd.Index
) -> pd.DataFrame:
    """Return correlations along an axis, by name."""
    n = (~np.isnan(x) & ~np.isnan(y)).sum(axis=axis)
    found = {"r": pearson(x, y, axis, min_pairs), "spearman": spearman(x, y, axis, min_pairs)}
    return pd.DataFrame(found | {"n": n}, index=names)
