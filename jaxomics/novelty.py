"""Classes that a view has never seen: its samples that resemble no training sample are of one.

Where no training sample of a view is of some class, nothing tells a classifier what that class
looks like there: it spreads its samples over the classes that it knows. But the view's own
network does not know them either, and writes them badly. With the residual r = x - D(E(x)) of a
view, Q the leading principal directions of r over training samples and s the standard deviation
of what they leave,

    u = log mean_f ((r - Q Q' r) / s)^2,       t = (u - mean u) / sd u

where mean and standard deviation are those of training samples that had no part in Q and s. A
sample is new to the degree sigmoid(4 (t - 3.5)): that share of its probability goes to the
classes that the view has not seen, the rest to those that it has, each in the proportions that
the classifier gives. Methods of this kind score distances within features of a network (Lee et
al. 2018, "A simple unified framework for detecting out-of-distribution samples"); here the
residual is scored, since a latent space keeps what known classes differ by.

Nothing is done in a view with unlabelled training samples, which may be of any class.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from jaxomics.data.batch import Data, Standard
from jaxomics.inference import Member, complete, pick
from jaxomics.models.base import Model

LEAST = 50
"""Training samples of a view below which nobody can say what is unusual there."""
MOST_DIRECTIONS = 50
SAMPLES_PER_DIRECTION = 20
RIDGE = 1e-2
"""Keeps weights of directions finite where hardly a cell was measured."""
THRESHOLD = 3.5
STEEPNESS = 4.0


class Novelty(NamedTuple):
    """What tells samples of unseen classes from the training samples of one view.

    Attributes:
      seen: bool [classes], those that the view was trained on.
      directions: Q [features, directions].
      scale: s [features].
      centre: mean of u.
      spread: standard deviation of u.
    """

    seen: np.ndarray
    directions: np.ndarray
    scale: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    def degree(self, residual: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return how far each sample is new, from 0 to 1.

        Args:
          residual: [samples, features].
          observed: bool, likewise.
        """
        score = _score(residual, observed, self.directions, self.scale)
        return expit(STEEPNESS * ((score - self.centre) / self.spread - THRESHOLD))

    def share(self, chances: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return probabilities [samples, classes] in which unseen classes have the share `new`.

        >>> none = np.zeros(0)
        >>> view = Novelty(np.array([True, True, False]), none, none, none, none)
        >>> view.share(np.array([[0.5, 0.3, 0.2]]), np.array([0.9])).round(4).tolist()
        [[0.0625, 0.0375, 0.9]]
        """
        parts = np.where(self.seen, 1.0 - new[:, None], new[:, None])
        sums = np.where(
            self.seen,
            chances[:, self.seen].sum(axis=1, keepdims=True),
            chances[:, ~self.seen].sum(axis=1, keepdims=True),
        )
        return parts * chances / np.maximum(sums, np.finfo(np.float32).tiny)


def fit_novelty(
    model: Model,
    members: list[Member],
    data: Data,
    standard: Standard,
    rows: np.ndarray,
    codes: np.ndarray,
    classes: int,
    seed: int,
) -> dict[str, Novelty]:
    """Return what tells new samples, for each view that lacks classes and can tell.

    Args:
      model, members, standard: as trained.
      data: the cohort.
      rows: int, the training samples.
      codes: int [samples of the cohort], the class of each; -1 without one.
      classes: how many there are.
      seed: of the division of training samples.
    """
    found = {}
    for view in data.x:
        measured = np.asarray(data.observed[view][rows]).any(axis=1)
        own = np.asarray(rows)[measured]
        known = codes[own]
        seen = np.isin(np.arange(classes), known)
        if len(own) < LEAST or (known < 0).any() or seen.all():
            continue
        part = pick(data, own)
        residual = residuals(model, members, part, standard, view)
        found[view] = _calibrate(residual, np.asarray(part.observed[view]), seen, seed)
    return found


def novelty_notes(novelty: Mapping[str, Novelty], classes: Sequence[str]) -> list[str]:
    """Return what is to be said of views that look for classes they have not seen."""
    notes = []
    for view, found in novelty.items():
        names = ", ".join(np.asarray(classes)[~found.seen])
        notes.append(
            f"samples that resemble no training sample of {view} are taken for {names}, which it "
            "was not trained on (--novelty)"
        )
    return notes


def residuals(
    model: Model, members: list[Member], data: Data, standard: Standard, view: str
) -> np.ndarray:
    """Return x - D(E(x)) of a view from itself alone, [samples, features], standard units."""
    masks = {v: mask if v == view else mask & False for v, mask in data.observed.items()}
    written = complete(model, members, data.replace(observed=masks), standard)[view]
    return np.asarray(standard.apply(view, data.x[view])) - written


def _calibrate(residual: np.ndarray, observed: np.ndarray, seen: np.ndarray, seed: int) -> Novelty:
    """Learn directions and scale on one half of the rows, mean and spread on the other."""
    order = np.random.default_rng(seed).permutation(len(residual))
    half, other = order[::2], order[1::2]
    values = np.where(observed[half], residual[half], 0.0)
    count = min(MOST_DIRECTIONS, len(half) // SAMPLES_PER_DIRECTION, values.shape[1] // 4)
    vectors = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)[2]
    directions = np.ascontiguousarray(vectors[:count].T)
    scale = (values - _common(values, observed[half], directions)).std(axis=0)
    scale = np.maximum(scale, 1e-3 * np.median(scale) + np.finfo(np.float32).tiny)
    score = _score(residual[other], observed[other], directions, scale)
    spread = np.maximum(score.std(), np.finfo(np.float32).eps)
    return Novelty(seen, directions, scale, np.asarray(score.mean()), np.asarray(spread))


def _score(
    residual: np.ndarray, observed: np.ndarray, directions: np.ndarray, scale: np.ndarray
) -> np.ndarray:
    """Return u [samples], of the measured cells."""
    values = np.where(observed, residual, 0.0)
    left = (values - _common(values, observed, directions)) / scale
    cells = np.maximum(observed.sum(axis=1), 1)
    return np.log(np.sum(observed * left**2, axis=1) / cells + np.finfo(np.float32).tiny)


def _common(values: np.ndarray, observed: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return what lies along the directions, [samples, features]; unmeasured cells do not count."""
    weights = values @ directions
    for row in np.flatnonzero(~observed.all(axis=1)):
        own = directions[observed[row]]
        gram = own.T @ own + RIDGE * np.eye(directions.shape[1])
        weights[row] = np.linalg.solve(gram, weights[row])
    return weights @ directions.T
