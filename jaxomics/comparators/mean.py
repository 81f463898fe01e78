"""The feature mean: the floor that every other method must clear.

For pooled correlations it is high, because most variance lies between features; scores per
feature, where it is undefined, tell the truth.
"""

from dataclasses import dataclass

import numpy as np

from jaxomics.comparators.base import Capabilities, Layout, Method, State


@dataclass(frozen=True)
class Config:
    """The mean has no settings."""


def learn(rows: np.ndarray, layout: Layout, config: Config, seed: int) -> State:
    """Return the means in standard units: 0 for every feature, by construction."""
    return {"mean": np.zeros(rows.shape[1])}


def complete(state: State, rows: np.ndarray) -> np.ndarray:
    """Return the mean of each feature for every sample."""
    return np.tile(state["mean"], (len(rows), 1))


METHOD = Method(
    name="mean",
    paper="mean of the measured training values of each feature",
    capabilities=Capabilities(latent=False),
    config=Config(),
    learn=learn,
    complete=complete,
)
"""The feature mean."""
