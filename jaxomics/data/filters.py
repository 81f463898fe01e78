"""Which features are kept, and which of them an encoder sees.

Masks over the features of one view, from its statistics (`data.statistics`), after Cai et al.
2024 (Methods); low variance and probes that an annotation marks, after Zhang and Guo 2021.

`kept_features`, `wanted_features` and `shown_features` are the three masks of a view, each within
the one before, and append what they leave out to a list of rows view, item, name, reason.
"""

import numpy as np
import pandas as pd
from sklearn.mixture import GaussianMixture

from jaxomics.data.choices import ESSENTIAL_VIEWS, VARIABLE_VIEWS, PreprocessConfig
from jaxomics.data.statistics import ViewStatistics
from jaxomics.errors import InputError


def kept_features(
    name: str, found: ViewStatistics, config: PreprocessConfig, notes: list
) -> np.ndarray:
    """Return bool [features]: measured, and let through by the missing-value filter.

    Args:
      name: of the view.
      found: its statistics.
      config: the choices.
      notes: is appended to.

    Raises:
      InputError: no feature is left.
    """
    measured = found.measured > 0
    unseen = "no measured value in any training sample"
    notes.extend((name, "feature", feature, unseen) for feature in found.features[~measured])
    if config.missing_filtered != "all" and name not in config.missing_filtered:
        return measured
    kept = measured & enough_measured(found.measured, found.scope, config.max_missing)
    reason = f"missing in at least {config.max_missing:.0%} of the view's samples"
    notes.extend((name, "feature", feature, reason) for feature in found.features[measured & ~kept])
    if not kept.any():
        raise InputError(
            f"view {name!r}: expected features measured in more than {1 - config.max_missing:.0%} "
            f"of {found.scope} samples, found none; raise max_missing or leave the view out"
        )
    return kept


def wanted_features(
    name: str,
    found: ViewStatistics,
    kept: np.ndarray,
    config: PreprocessConfig,
    table: pd.DataFrame | None,
    notes: list,
    *,
    counted: bool,
) -> np.ndarray:
    """Return bool [features]: kept, counted, varying enough, and not marked by an annotation.

    Args:
      name: of the view.
      found: its statistics.
      kept: what `kept_features` gave.
      config: the choices.
      table: feature table with marks.
      notes: is appended to.
      counted: the values are logarithms of counts, and features without a count are left out.

    Raises:
      InputError: no feature is left.
    """
    reasons = np.full(len(kept), "", dtype=object)
    if config.filters_variance(name):
        deviation = np.where(kept, found.deviation(), np.nan)
        if config.variance_quantile is not None:
            reasons[least_varying(deviation, config.variance_quantile)] = (
                f"variance among the least {config.variance_quantile:.0%}"
            )
        if config.variance_threshold is not None:
            flat = ~varying(deviation, config.variance_threshold)
            reasons[flat] = f"variance below {config.variance_threshold:g}"
    if counted:
        reasons[~(found.high > 0)] = "no count in any training sample"
    if config.excluded and table is not None:
        marked = marked_features(found.features, table, config.excluded, name)
        reasons = np.where(marked != "", "marked as " + marked, reasons)
    gone = kept & (reasons != "")
    told = zip(found.features[gone], reasons[gone], strict=True)
    notes.extend((name, "feature", feature, reason) for feature, reason in told)
    wanted = kept & (reasons == "")
    if not wanted.any():
        raise InputError(
            f"view {name!r}: expected features, found none: all {kept.sum()} are marked by the "
            "annotation or vary too little; lower variance_threshold or leave out excluded"
        )
    return wanted


def shown_features(
    name: str, found: ViewStatistics, kept: np.ndarray, config: PreprocessConfig, notes: list
) -> np.ndarray:
    """Return bool [features]: kept, and shown to the encoder.

    Args:
      name: of the view.
      found: its statistics.
      kept: what `wanted_features` gave.
      config: the choices.
      notes: is appended to.

    Raises:
      InputError: the encoder would see nothing.
    """
    seen, reason = kept, ""
    if config.encoder_filter == "paper" and name in ESSENTIAL_VIEWS:
        seen, reason = kept & ever_essential(found.low), "never below -0.5"
    elif config.encoder_filter == "paper" and name in VARIABLE_VIEWS:
        deviation = np.where(kept, found.deviation(), np.nan)
        seen, threshold = variable_features(deviation, config.seed)
        reason = f"standard deviation not above {threshold:.4g}"
    if not seen.any():
        raise InputError(
            f"view {name!r}: expected features for the encoder, found none: all {kept.sum()} are "
            f"{reason}; check the units, or set encoder_filter='none'"
        )
    notes.extend((name, "encoder", feature, reason) for feature in found.features[kept & ~seen])
    return seen


def enough_measured(measured: np.ndarray, rows: int, max_missing: float = 0.85) -> np.ndarray:
    """Return bool [features]: is the missing share over the table's own rows below the limit?

    Args:
      measured: [features] measured cells.
      rows: of the table, above 0.
      max_missing: the limit.

    >>> enough_measured(np.array([2, 0]), 2).tolist()
    [True, False]
    """
    return (rows - measured) / rows < max_missing


def varying(deviation: np.ndarray, threshold: float) -> np.ndarray:
    """Return bool [features]: is the variance over samples at or above the threshold?

    Args:
      deviation: standard deviations, NaN where there are fewer than two values.
      threshold: of the variance.
    """
    return np.nan_to_num(deviation, nan=-1.0) >= np.sqrt(threshold)


def least_varying(deviation: np.ndarray, share: float) -> np.ndarray:
    """Return bool [features]: is the variance among the least, of this share of the features?

    Args:
      deviation: standard deviations, NaN where there are fewer than two values; these are neither
        counted nor among them.
      share: from 0 to 1.

    >>> least_varying(np.array([3.0, 1.0, np.nan, 2.0, 4.0]), 0.5).tolist()
    [False, True, False, True, False]
    """
    known = deviation[~np.isnan(deviation)]
    limit = np.quantile(known, share) if len(known) else 0.0
    return np.nan_to_num(deviation, nan=np.inf) < limit


def marked_features(
    features: pd.Index, table: pd.DataFrame, marks: tuple[str, ...], view: str
) -> np.ndarray:
    """Return what an annotation says against each feature, text [features]; empty for nothing.

    Zhang and Guo 2021 remove methylation probes that are not on the newer array, overlap a common
    variant, match several places of the genome, lie outside of CpGs, or assay variants: a column
    for each, and whatever any of them marks is removed.

    Args:
      features: names.
      table: feature table, indexed by name; features that it lacks are not marked.
      marks: columns of truth values or 0 and 1; an empty cell marks nothing, nor does a column that
        the table lacks.
      view: for messages.

    Raises:
      InputError: cells that are no truth values.

    >>> table = pd.DataFrame({"snp": [1, 0], "non_cpg": [True, True]}, ["cg1", "cg2"])
    >>> probes = pd.Index(["cg2", "cg1", "cg3"])
    >>> marked_features(probes, table, ("snp", "non_cpg"), "methylation").tolist()
    ['non_cpg', 'snp, non_cpg', '']
    """
    known = table[~table.index.duplicated()]
    reasons = np.full(len(features), "", dtype=object)
    for mark in marks:
        if mark not in known:
            continue
        column = known[mark].reindex(features)
        values = pd.to_numeric(column, errors="coerce")
        if (values.isna() & column.notna()).any():
            raise InputError(
                f"view {view!r}: expected truth values or 0 and 1 in the column {mark!r} of its "
                "feature table, found text; mend it"
            )
        hit = values.fillna(0).to_numpy(np.float64) != 0
        reasons[hit] = [f"{told}, {mark}" if told else mark for told in reasons[hit]]
    return reasons


def ever_essential(low: np.ndarray, limit: float = -0.5) -> np.ndarray:
    """Return bool [features]: does the least of the scaled effects lie below the limit?"""
    return low < limit


def variable_features(deviation: np.ndarray, seed: int = 0) -> tuple[np.ndarray, float]:
    """Return bool [features] of high standard deviation, and the threshold found.

    The threshold separates the two components of `gmm_threshold`.

    Args:
      deviation: the sample one (ddof 1) over measured cells, NaN for features with fewer than two
        values, which are never kept.
      seed: of the mixture.
    """
    threshold = gmm_threshold(deviation[~np.isnan(deviation)], seed)
    return np.nan_to_num(deviation, nan=-np.inf) > threshold, threshold


def gmm_threshold(sd: np.ndarray, seed: int = 0) -> float:
    """Return where the two components of a Gaussian mixture over `sd` [features] meet.

    The densities are compared without their mixture weights; see `intersection`.

    Raises:
      InputError: fewer than two different values, or components that do not separate.
    """
    sd = np.asarray(sd, np.float64)
    if len(np.unique(sd)) < 2:
        raise InputError(
            f"expected features of different spread, found {len(np.unique(sd))} distinct standard "
            "deviations; set encoder_filter='none'"
        )
    mixture = GaussianMixture(2, random_state=seed).fit(sd[:, None])
    means = np.asarray(mixture.means_, np.float64).ravel()
    spreads = np.sqrt(np.asarray(mixture.covariances_, np.float64).ravel())
    return intersection(means[0], spreads[0], means[1], spreads[1])


def intersection(mean1: float, sd1: float, mean2: float, sd2: float) -> float:
    """Return the larger point where two normal densities are equal.

    With different deviations the points are the roots of a quadratic; with equal ones there is
    a single point, half way between the means.

    Raises:
      InputError: the densities are the same, or rounding leaves no real root.

    >>> intersection(0.0, 1.0, 4.0, 1.0)
    2.0
    """
    square = 0.5 / sd1**2 - 0.5 / sd2**2
    linear = mean2 / sd2**2 - mean1 / sd1**2
    constant = 0.5 * (mean1 / sd1) ** 2 - 0.5 * (mean2 / sd2) ** 2 - np.log(sd2 / sd1)
    if np.isclose(sd1, sd2, rtol=1e-9, atol=0.0):
        roots = np.array([]) if mean1 == mean2 else np.array([(mean1 + mean2) / 2])
    else:
        roots = np.roots([square, linear, constant])
    real = np.real(roots[np.isreal(roots)])
    if not len(real):
        raise InputError(
            "expected two components that cross, found none: the spread of the features has one "
            f"mode (means {mean1:.4g}, {mean2:.4g}); set encoder_filter='none'"
        )
    return float(real.max())
