"""Quantile normalisation: every sample gets the distribution of the training samples.

The k-th smallest value of a sample becomes the mean, over training samples, of their k-th smallest
values (Bolstad et al. 2003). Ties share the mean of their ranks; samples with missing cells are
stretched over the whole distribution, as limma's `normalizeQuantiles` does.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from jaxomics.errors import InputError


class Quantiles(NamedTuple):
    """A fitted distribution; build it with `fit_quantiles`.

    Attributes:
      reference: float64 [features], ascending: mean of the k-th smallest values.
    """

    reference: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return values [samples, features] with this distribution, float32; NaN stays NaN.

        Samples may have any number of features; one with a single value gets the median.

        >>> columns = np.array([[5.0, 2, 3, 4], [4, 1, 4, 2], [3, 4, 6, 8]])
        >>> fit_quantiles(columns).apply(columns)[1].round(2).astype(str).tolist()
        ['5.17', '2.0', '5.17', '3.0']
        """
        grid = np.linspace(0.0, 1.0, len(self.reference))
        out = np.full(values.shape, np.nan, np.float32)
        for row, target in zip(values, out, strict=True):
            observed = ~np.isnan(row)
            count = int(observed.sum())
            if count:
                rank = rankdata(row[observed]) - 1
                place = rank / (count - 1) if count > 1 else np.full(1, 0.5)
                target[observed] = np.interp(place, grid, self.reference)
        return out


def fit_quantiles(values: np.ndarray) -> Quantiles:
    """Return the mean distribution of samples.

    Args:
      values: [training samples, features], NaN = not measured.

    Raises:
      InputError: no sample has a value.
    """
    features = values.shape[1]
    grid, total, samples = np.linspace(0.0, 1.0, features), np.zeros(features), 0
    for row in values:
        found = np.sort(row[~np.isnan(row)].astype(np.float64))
        if not len(found):
            continue
        if len(found) < features:
            found = np.interp(grid, np.linspace(0.0, 1.0, len(found)), found)
        total, samples = total + found, samples + 1
    if not samples:
        raise InputError(
            "expected training samples with values to learn quantiles from, found none; leave "
            "quantile normalisation out"
        )
    return Quantiles(total / samples)
