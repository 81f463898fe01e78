"""What a trained model writes into every cell, and how far off it is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxomics.data.batch import Data, Standard
from jaxomics.engine.state import Split, Train
from jaxomics.inference.cohort import Member, complete, pick, residual_variance
from jaxomics.inference.crossfit import complete_unseen, left_out_by
from jaxomics.inference.residuals import Factors, correct, fit_views
from jaxomics.models.base import Model

Noise = dict[str, tuple[np.ndarray, np.ndarray]]
"""Residual variance [features] per view: of withheld views, and of withheld cells."""


class Completion(NamedTuple):
    """A trained network or ensemble with the factor models of its residuals.

    Attributes:
      model, members, standard: as trained.
      factors: by view; empty for none.
    """

    model: Model
    members: list[Member]
    standard: Standard
    factors: dict[str, Factors]

    def __call__(self, data: Data) -> dict[str, np.ndarray]:
        """Return every cell [samples, features] per view in standard units."""
        return self.corrected(complete(self.model, self.members, data, self.standard), data)

    def corrected(self, output: dict[str, np.ndarray], data: Data) -> dict[str, np.ndarray]:
        """Return reconstructions with what the factors add to them."""
        return correct(self.factors, output, *self.targets(data)) if self.factors else output

    def targets(self, data: Data) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return standardised values and which of them are measured, per view."""
        target = {v: np.asarray(self.standard.apply(v, x)) for v, x in data.x.items()}
        return target, {v: np.asarray(mask) for v, mask in data.observed.items()}


def fit_completion(
    network: Completion,
    data: Data,
    split: Split,
    train: Train,
    assays: Sequence[Sequence[str]],
    seed: int,
    *,
    residual_factors: bool,
) -> tuple[Completion, Noise]:
    """Fit what follows training: factor models of the residuals, and the residual variance.

    Both look at samples that the network has not seen, where there are any: by cross-fitting, or
    held out.

    Args:
      network: as trained, without factors.
      data: the cohort.
      split: who was trained on and held out.
      train: whether members left out samples.
      assays: the views, grouped by the assay that they come from.
      seed: of the division among members, and of hidden cells.
      residual_factors: whether to fit factors.
    """
    model, members, standard, _ = network
    owner = left_out_by(split, train, seed)

    def unseen(data: Data) -> dict[str, np.ndarray]:
        return complete_unseen(model, members, data, standard, owner)

    if residual_factors:
        trained = pick(data, split.train)
        factors = fit_views(unseen(trained), *network.targets(trained), seed)
        network = network._replace(factors=factors)
    crossed = bool(np.any(owner >= 0))
    on_training_rows = crossed or not len(split.valid)
    noise = residual_variance(
        (lambda data: network.corrected(unseen(data), data)) if crossed else network,
        pick(data, split.train if on_training_rows else split.valid),
        standard,
        assays,
        seed,
    )
    return network, noise
