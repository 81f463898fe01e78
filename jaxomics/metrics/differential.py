"""Which features differ between measured and reconstructed samples: moderated t statistics.

Nagaraj et al. 2023 count the features of one cohort that differ between what was measured and
what a model makes of it; fewer is better. On the log2 scale, by the moderated t of Smyth,
"Linear models and empirical Bayes methods for assessing differential expression", 2004:

    e_g  = ln s_g^2 - psi(d/2) + ln(d/2)              s_g^2: variance of feature g, d degrees
    psi'(d0/2) = var(e) - psi'(d/2)                   d0 = infinity where the right side is <= 0
    s0^2 = exp(mean e + psi(d0/2) - ln(d0/2))         or the mean of s_g^2
    s~^2 = (d0 s0^2 + d s_g^2) / (d0 + d),   t = log2FC / (s~ u),   u = sqrt(2/n) or 1/sqrt(n)

with min(d0 + d, sum of d) degrees of freedom. A feature is called when |log2FC| > 1 and its false
discovery rate (Benjamini and Hochberg 1995) is below 0.05. A model that shrinks every sample to the
mean of its cohort has few differences, too: hence the ratio of variances and the correlation of
each feature beside. How many features differ between two halves of the same reads is the floor.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import digamma, polygamma
from scipy.stats import false_discovery_control
from scipy.stats import t as student

from jaxomics.errors import InputError
from jaxomics.metrics.correlation import defined_mean, pearson

FOLD_CHANGE = 1.0
"""Least absolute log2 fold change of a feature that is called."""

FDR = 0.05
"""False discovery rate below which it is called."""

MIN_SAMPLES = 3
"""Fewest samples of a group."""


class Prior(NamedTuple):
    """What variances have in common.

    Attributes:
      degrees: d0, infinite where variances differ no more than by chance.
      variance: s0^2.
    """

    degrees: float
    variance: float


def differential_features(
    observed: pd.DataFrame, reconstructed: pd.DataFrame, *, paired: bool = False
) -> pd.DataFrame:
    """Test each feature for a difference between what was measured and its reconstruction.

    Args:
      observed: samples x features on a log2 scale, without missing cells.
      reconstructed: the same samples and features, in any order.
      paired: test the differences within samples instead of two groups.

    Returns:
      A row per feature: feature, log2_fold_change (reconstructed - observed), t, p, fdr, called,
      variance_ratio (reconstructed / observed) and pearson.

    Raises:
      InputError: fewer than three samples or two features in common, or cells that are not finite.
    """
    x, y, features = _matched(observed, reconstructed)
    n, difference = len(x), y - x
    change = difference.mean(axis=0)
    if paired:
        variance, degrees, unit = difference.var(axis=0, ddof=1), n - 1, 1 / np.sqrt(n)
    else:
        variance = (x.var(axis=0, ddof=1) + y.var(axis=0, ddof=1)) / 2
        degrees, unit = 2 * n - 2, np.sqrt(2 / n)
    t, p, _ = moderated_t(change, variance, degrees, unit)
    own = x.var(axis=0)
    ratio = np.divide(y.var(axis=0), own, out=np.full(len(own), np.nan), where=own > 0)
    fdr = false_discovery_control(p)
    return pd.DataFrame(
        {
            "feature": features,
            "log2_fold_change": change,
            "t": t,
            "p": p,
            "fdr": fdr,
            "called": (np.abs(change) > FOLD_CHANGE) & (fdr < FDR),
            "variance_ratio": ratio,
            "pearson": pearson(x, y, min_pairs=MIN_SAMPLES),
        }
    )


def moderated_t(
    change: np.ndarray, variance: np.ndarray, degrees: float, unit: float
) -> tuple[np.ndarray, np.ndarray, Prior]:
    """Return moderated t and two-sided p of each feature, and the prior of the variances.

    Args:
      change: [features], mean differences.
      variance: [features], s_g^2, with `degrees` of freedom each.
      degrees: d.
      unit: u, standard error of a difference per standard deviation.
    """
    prior = variance_prior(variance, degrees)
    if np.isinf(prior.degrees):
        posterior = np.full(len(variance), prior.variance)
    else:
        weighted = prior.degrees * prior.variance + degrees * variance
        posterior = weighted / (prior.degrees + degrees)
    error = np.sqrt(posterior) * unit
    t = np.divide(change, error, out=np.zeros(len(change)), where=error > 0)
    freedom = min(prior.degrees + degrees, degrees * len(variance))
    return t, 2 * student.sf(np.abs(t), freedom), prior


def variance_prior(variance: np.ndarray, degrees: float) -> Prior:
    """Return the scaled inverse chi-square that variances are drawn from.

    Args:
      variance: [features]; those of 0 are raised to 1e-5 of the median.
      degrees: of freedom of each.
    """
    variance = np.asarray(variance, np.float64)
    positive = variance[variance > 0]
    if len(variance) < 2 or not len(positive):
        return Prior(0.0, float(variance.mean()))
    raised = np.maximum(variance, 1e-5 * np.median(positive))
    half = degrees / 2
    e = np.log(raised) - digamma(half) + np.log(half)
    excess = e.var(ddof=1) - float(polygamma(1, half))
    if excess <= 0:
        return Prior(np.inf, float(variance.mean()))
    own = inverse_trigamma(excess)
    return Prior(2 * own, float(np.exp(e.mean() + digamma(own) - np.log(own))))


def inverse_trigamma(x: float) -> float:
    """Return y with psi'(y) = x > 0, by Newton's method on 1 / psi'.

    >>> round(inverse_trigamma(float(polygamma(1, 0.87))), 12)
    0.87
    """
    if x > 1e7:
        return 1 / np.sqrt(x)
    if x < 1e-6:
        return 1 / x
    y = 0.5 + 1 / x
    for _ in range(50):
        value = float(polygamma(1, y))
        step = value * (1 - value / x) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-12:
            break
    return y


def differential_scores(
    observed: pd.DataFrame,
    reconstructed: pd.DataFrame,
    *,
    paired: bool = False,
    floor: int | None = None,
) -> dict[str, float]:
    """Sum up `differential_features`.

    Args:
      observed, reconstructed, paired: as there.
      floor: number of features called between pseudoreplicates, of `noise_floor`.

    Returns:
      `differential_features`, how many are called; with a floor `differential_floor` and
      `differential_ratio`, NaN where the floor is 0; the median `variance_ratio`, and
      `feature_pearson`, the mean over features.
    """
    table = differential_features(observed, reconstructed, paired=paired)
    count = float(table["called"].sum())
    scores = {"differential_features": count}
    if floor is not None:
        scores["differential_floor"] = float(floor)
        scores["differential_ratio"] = count / floor if floor else float("nan")
    ratios = table["variance_ratio"].dropna()
    scores["variance_ratio"] = float(ratios.median()) if len(ratios) else float("nan")
    scores["feature_pearson"] = float(defined_mean(table["pearson"].to_numpy(), 0))
    return scores


def noise_floor(counts: pd.DataFrame, *, paired: bool = False, seed: int = 0) -> int:
    """Return how many features are called between two halves of the same counts.

    Each count is divided by drawing every read with probability 1/2; both halves are scaled to a
    common library size, the median of the halves, and log2(x + 1) taken.

    Args:
      counts: samples x features, whole numbers from 0 on.
      paired: as for `differential_features`.
      seed: of the draw.

    Raises:
      InputError: cells that are no counts.
    """
    values = counts.to_numpy(np.float64, na_value=np.nan)
    whole = np.isfinite(values) & (values >= 0) & (values == np.rint(values))
    if not whole.all():
        raise InputError(
            f"expected counts (whole numbers from 0 on), found {values[~whole][0]:g}; give the "
            "table before it was scaled, or leave the noise floor out"
        )
    first = np.random.default_rng(seed).binomial(values.astype(np.int64), 0.5)
    halves = [first.astype(float), values - first]
    sizes = [half.sum(axis=1, keepdims=True) for half in halves]
    common = np.median(np.concatenate(sizes))
    one, other = (
        pd.DataFrame(np.log2(half * common / np.maximum(size, 1) + 1), counts.index, counts.columns)
        for half, size in zip(halves, sizes, strict=True)
    )
    return int(differential_features(one, other, paired=paired)["called"].sum())


def _matched(
    observed: pd.DataFrame, reconstructed: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, pd.Index]:
    """Return both tables of their common samples and features."""
    samples = observed.index.intersection(reconstructed.index)
    features = observed.columns.intersection(reconstructed.columns)
    if len(samples) < MIN_SAMPLES or len(features) < 2:
        raise InputError(
            f"expected {MIN_SAMPLES} samples and 2 features or more that are both measured and "
            f"reconstructed, found {len(samples)} and {len(features)}; check the ids"
        )
    x, y = (
        table.loc[samples, features].to_numpy(np.float64, na_value=np.nan)
        for table in (observed, reconstructed)
    )
    missing = int((~np.isfinite(x)).sum() + (~np.isfinite(y)).sum())
    if missing:
        raise InputError(
            f"expected finite cells in both tables, found {missing} that are empty or infinite; "
            "leave out features that were not measured everywhere"
        )
    return x, y, features
