"""Patterns of missing values: whole views by screening campaign, and single cells.

In collections of cell lines a view is absent because a campaign never screened the line, so
absences come in blocks; inside proteomics a protein is absent where it is scarce.
"""

import numpy as np
import pandas as pd

CAMPAIGNS: dict[str, tuple[float, dict[str, float]]] = {
    "everything": (0.225, {}),
    "overlap": (
        0.12,
        {"proteomics": 0.8, "metabolomics": 0.7, "drugresponse": 0.9, "crisprcas9": 0.7,
         "methylation": 0.9, "transcriptomics": 0.9},
    ),
    "sanger": (
        0.29,
        {"proteomics": 0.9, "metabolomics": 0.05, "drugresponse": 0.95, "crisprcas9": 0.45,
         "methylation": 0.95, "transcriptomics": 0.5, "copynumber": 0.85},
    ),
    "broad": (
        0.365,
        {"proteomics": 0.0, "metabolomics": 0.65, "drugresponse": 0.0, "crisprcas9": 0.65,
         "methylation": 0.0, "transcriptomics": 0.95, "copynumber": 0.95},
    ),
}  # fmt: skip
"""Campaign: share of the lines, and chance that a view was measured (1 where not listed)."""


def block_pattern(rng: np.random.Generator, samples: pd.Index, views: list[str]) -> pd.DataFrame:
    """Draw which views each sample has, in blocks by campaign.

    About 26 % of the samples have all of the seven views of Cai et al. 2024, about two thirds of
    the (sample, view) pairs are measured, and every sample has at least two views.

    Args:
      rng: source of randomness.
      samples: sample ids.
      views: view names; a view that no campaign lists is measured everywhere.

    Returns:
      Bool table [samples, views], True = measured.
    """
    names = pd.Index(views, name="view")
    shares = np.array([share for share, _ in CAMPAIGNS.values()])
    ends = np.round(np.cumsum(shares) * len(samples))
    campaign = np.searchsorted(ends, np.arange(len(samples)), side="right")
    chances = pd.DataFrame([chances for _, chances in CAMPAIGNS.values()]).reindex(columns=names)
    chance = chances.fillna(1.0).to_numpy()[rng.permutation(campaign)]
    measured = rng.random(chance.shape) < chance
    for row in np.flatnonzero(measured.sum(axis=1) < 2):
        measured[row, np.argsort(-chance[row], kind="stable")[:2]] = True
    return pd.DataFrame(measured, samples, names)


def hide_scarce(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    """Hide this share of the cells [samples, features], low values first but not only.

    Features keep at least three values.

    Returns:
      Bool [samples, features], True = hidden.
    """
    spread = values.std()
    propensity = rng.logistic(0.0, 0.6, size=values.shape) - (values - values.mean()) / spread
    return _keep_three(propensity > np.quantile(propensity, 1.0 - share))


def hide_by_feature(rng: np.random.Generator, shape: tuple[int, int], share: float) -> np.ndarray:
    """Hide cells at random at a rate that differs between features (mean `share`).

    Features keep at least three values.

    Returns:
      Bool [samples, features], True = hidden.
    """
    rates = rng.beta(10.0 * share, 10.0 * (1.0 - share), size=shape[1])
    return _keep_three(rng.random(shape) < rates)


def _keep_three(hidden: np.ndarray) -> np.ndarray:
    """Return the mask with the first three cells shown in features that have fewer to show."""
    barren = (~hidden).sum(axis=0) < 3
    hidden[:3, barren] = False
    return hidden
