"""Are predictive standard deviations honest?

If a cell's true value is drawn from a normal distribution with the predicted mean and standard
deviation, the central interval of level 90 % holds it in 90 % of the cases, and the standardised
errors have standard deviation 1.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import norm

from jaxomics.errors import InputError
from jaxomics.metrics.tables import score_rows

LEVELS = (0.5, 0.8, 0.9, 0.95)
"""Levels of the central intervals."""


def calibration(
    truth: np.ndarray, mean: np.ndarray, sd: np.ndarray, levels: Sequence[float] = LEVELS
) -> dict[str, float]:
    """Compare predicted normal distributions with what happened.

    Args:
      truth: true values, any shape, NaN = unknown.
      mean: predicted means, same shape.
      sd: predicted standard deviations, same shape, positive where used.
      levels: of the central intervals, between 0 and 1.

    Returns:
      `coverage_50`, ...: share of true values inside; `calibration_error`: mean absolute
      difference of coverage and level; `z_mean` and `z_sd` of standardised errors (0 and 1 are
      right, a larger `z_sd` means too sure); `nll`: mean negative log density in nats;
      `mean_sd`; `n_cells`.

    Raises:
      InputError: a level outside (0, 1), no cell with all three values, or one whose standard
        deviation is not positive.

    >>> zero = np.zeros(4)
    >>> scores = calibration(np.array([-1.0, 0.1, 0.2, 3.0]), zero, zero + 1)
    >>> scores["coverage_50"], scores["coverage_95"]
    (0.5, 0.75)
    """
    if not all(0 < level < 1 for level in levels):
        raise InputError(f"expected levels between 0 and 1, found {list(levels)}")
    t, m, s = (np.asarray(a, np.float64).ravel() for a in (truth, mean, sd))
    used = ~(np.isnan(t) | np.isnan(m) | np.isnan(s))
    t, m, s = t[used], m[used], s[used]
    if not len(t) or (s <= 0).any():
        raise InputError(
            f"expected cells with positive standard deviations, found {len(t)} cells, "
            f"{int((s <= 0).sum())} of them without; leave cells without prediction empty"
        )
    z = (t - m) / s
    inside = {level: float((np.abs(z) <= norm.ppf((1 + level) / 2)).mean()) for level in levels}
    errors = [abs(share - level) for level, share in inside.items()]
    return {
        **{f"coverage_{100 * level:g}": share for level, share in inside.items()},
        "calibration_error": float(np.mean(errors)),
        "z_mean": float(z.mean()),
        "z_sd": float(z.std()),
        "nll": float(-norm.logpdf(t, m, s).mean()),
        "mean_sd": float(s.mean()),
        "n_cells": float(len(z)),
    }


def evaluate_intervals(
    truth: pd.DataFrame,
    mean: pd.DataFrame,
    sd: pd.DataFrame,
    dataset: str = "",
    model: str = "",
    view: str = "",
    mode: str = "imputed",
) -> pd.DataFrame:
    """Return `calibration` as score rows; tables are aligned on the samples of the truth.

    Args:
      truth: [samples, features], NaN = not scored.
      mean: predicted means.
      sd: predicted standard deviations.
      dataset: name for the table.
      model: name for the table.
      view: name of the view.
      mode: which cells the truth holds.

    Raises:
      InputError: see `calibration`.
    """
    m, s = (table.reindex(index=truth.index, columns=truth.columns) for table in (mean, sd))
    scores = calibration(
        *(t.to_numpy(np.float64, na_value=np.nan) for t in (truth, m, s)), levels=LEVELS
    )
    return score_rows(scores, dataset=dataset, model=model, mode=mode, view=view)
