"""Which features are kept, and which of them an encoder sees (Cai et al. 2024, Methods).

Masks over the features of one view, from its statistics (`data.statistics`).
"""

import numpy as np
from sklearn.mixture import GaussianMixture

from jaxomics.errors import InputError


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
