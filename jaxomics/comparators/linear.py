"""Least squares; the solution of smallest norm where predictors outnumber samples.

It then meets every training value exactly, noise included, and predicts new samples badly: the
`linear regression` of Zhang and Guo 2021. Ridge is the linear method to be measured against.
A reimplementation, checked on scikit-learn.
"""

import numpy as np

from jaxomics.comparators.base import State
from jaxomics.comparators.regression import (
    Directed,
    Regression,
    as_method,
    by_pattern,
    linear_prediction,
)
from jaxomics.comparators.spectrum import spectrum


def learn(x: np.ndarray, y: np.ndarray, config: Directed, seed: int) -> State:
    """Fit all targets; returns `weights` [predictors, targets] and `intercept` [targets]."""
    weights, intercept = by_pattern(x, y, lambda x, y: spectrum(x).weights(y))
    return {"weights": weights, "intercept": intercept}


METHOD = as_method(
    name="linear",
    paper="least squares of smallest norm, as in Zhang and Guo 2021",
    config=Directed(),
    regression=Regression(learn, linear_prediction),
)
"""Linear regression of each view on the others."""
