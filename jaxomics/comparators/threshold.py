"""The soft threshold that leaves a given number of entries."""

import numpy as np


def soft_keep(values: np.ndarray, keep: int) -> np.ndarray:
    """Return values less the largest magnitude that goes, so that `keep` of them stay.

    This is the solution of penalised rank-one problems (Shen and Huang 2008) with the penalty
    told by the number of entries. With 0, or as many as there are, all stay as they are.

    >>> soft_keep(np.array([3.0, -1.0, -2.0]), 2)
    array([ 2., -0., -1.])
    """
    if not 0 < keep < len(values):
        return values
    threshold = np.sort(np.abs(values))[-keep - 1]
    return np.sign(values) * np.maximum(np.abs(values) - threshold, 0.0)
