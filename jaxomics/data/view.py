"""What is fitted to one view: its features, their scaling, and the range of their values."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from jaxomics.data.normalise import NO_STEPS, Steps
from jaxomics.data.scaling import Standard, apply_standard, invert_standard

PER_FEATURE = ("mean", "scale", "fill", "low", "high")
"""Fields of a fitted view with one number per feature, or None."""


@dataclass(frozen=True)
class ViewPreprocess:
    """What one view looks like to a model.

    Attributes:
      features: names of the kept features, in order.
      encoder: int [e], columns among the kept features that the encoder sees.
      mean: float32 [features], what is subtracted: mean or least value; 0 for a view that keeps
        its units.
      scale: float32 [features], what is divided by: deviation or range; 1 for a view that keeps
        its units.
      kind: `binary`, `ordinal` or `continuous`.
      fill: float32 [features], mean of the measured cells of the training samples; None in runs of
        earlier versions that had no use for it.
      low, high: float32 [features], least and largest value among the training samples; None in
        runs of earlier versions.
      steps: what comes before scaling: logarithm, quantiles, removal of batch effects. Mean, scale,
        fill, low and high are in the units after it.
    """

    features: pd.Index
    encoder: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    kind: str
    fill: np.ndarray | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    steps: Steps = NO_STEPS

    @property
    def standard(self) -> Standard:
        """The scaling."""
        return Standard(self.mean, self.scale)

    @property
    def reach(self) -> tuple[float, float]:
        """Least and largest scaled value among the training samples; infinite where not known."""
        if self.low is None or self.high is None:
            return np.inf, -np.inf
        low, high = (apply_standard(end, self.standard) for end in (self.low, self.high))
        return float(low.min(initial=np.inf)), float(high.max(initial=-np.inf))

    def invert(self, standardised: np.ndarray) -> np.ndarray:
        """Return standardised values [samples, features] in the units before scaling.

        A feature that is constant among the training samples has this constant.

        >>> names, low, high = pd.Index(["a", "b"]), np.zeros(2), np.array([0.0, 4.0])
        >>> standard = np.zeros(2), np.ones(2)
        >>> view = ViewPreprocess(names, np.arange(2), *standard, "continuous", None, low, high)
        >>> view.invert(np.array([[0.1, 3.0]]))
        array([[0., 3.]])
        """
        values = invert_standard(standardised, self.standard)
        return values if self.low is None else np.where(self.low == self.high, self.low, values)

    def restricted(self, kept: pd.Index, encoder: np.ndarray) -> "ViewPreprocess":
        """Return it with these features, in this order, and these columns for the encoder."""
        columns = self.features.get_indexer(kept)
        arrays: dict[str, Any] = {name: getattr(self, name) for name in PER_FEATURE}
        own = {name: None if array is None else array[columns] for name, array in arrays.items()}
        return replace(self, features=kept, encoder=encoder, **own)

    def widened(self, values: np.ndarray) -> "ViewPreprocess":
        """Return it with a range that takes in other values [samples, features], NaN = missing."""
        if self.low is None or self.high is None:
            return self
        seen = np.isfinite(values)
        low = np.where(seen, values, np.inf).min(axis=0, initial=np.inf)
        high = np.where(seen, values, -np.inf).max(axis=0, initial=-np.inf)
        return replace(self, low=np.minimum(self.low, low), high=np.maximum(self.high, high))
