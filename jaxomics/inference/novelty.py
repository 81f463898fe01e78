"""Classes that a view has never seen: its samples that resemble no training sample are of one.

Where no training sample of a view is of some class, nothing tells a classifier what that class
looks like there: it spreads its samples over the classes that it knows. But the view's own
network does not know them either, and writes them badly. With the residual r = x - D(E(x)) of a
view, each feature divided by its standard deviation, and C its covariance over training samples,

    u = log (r' C^-1 r / cells),       t = (u - mean u) / sd u

where mean and standard deviation are those of training samples that had no part in C. A sample is
new to the degree sigmoid(4 (t - 4)): that share of its probability goes to the classes that the
view has not seen, the rest to those that it has, each in the proportions that the classifier
gives. Lee et al. 2018 ("A simple unified framework for detecting out-of-distribution samples and
adversarial attacks") take such a distance between features within a network; here it is one of
residuals, since a latent space keeps what known classes differ by.

C is shrunk towards equal variances as Ledoit and Wolf (2004) have it,

    C = (1 - a) S + a m I = m a (I + V diag(1 / ridge) V'),     S V = V diag(l),
    ridge_k = a m / ((1 - a) l_k),

so its inverse needs no more than the leading directions V. Cells that were not measured have no
part: C is then that of the measured ones.

Nothing is done in a view with unlabelled training samples, which may be of any class, nor for
classes that no label names: nobody said what they are. A network that goes on with new samples
(fine-tuning) still knows the classes of the old ones.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from sklearn.covariance import ledoit_wolf_shrinkage

from jaxomics.data.batch import Data, Standard
from jaxomics.inference.cohort import Member, complete, pick
from jaxomics.models.base import Model

LEAST = 50
"""Training samples of a view below which nobody can say what is unusual there."""
MOST_DIRECTIONS = 200
THRESHOLD = 4.0
STEEPNESS = 4.0


class Novelty(NamedTuple):
    """What tells samples of unseen classes from the training samples of one view.

    Attributes:
      seen: bool [classes], those that the view was trained on.
      scale: standard deviation of the residual [features].
      directions: V [features, directions].
      ridge: [directions].
      centre: mean of u.
      spread: standard deviation of u.
    """

    seen: np.ndarray
    scale: np.ndarray
    directions: np.ndarray
    ridge: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    def degree(self, residual: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return how far each sample is new, from 0 to 1.

        Args:
          residual: [samples, features].
          observed: bool, likewise.
        """
        score = _score(residual, observed, self.scale, self.directions, self.ridge)
        return expit(STEEPNESS * ((score - self.centre) / self.spread - THRESHOLD))

    def share(self, chances: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return probabilities [samples, classes] in which unseen classes have the share `new`.

        Classes of which a classifier is as good as certain that they are not meant (probability
        0) are alike to it.

        >>> none = np.zeros(0)
        >>> view = Novelty(np.array([True, True, False]), *[none] * 5)
        >>> view.share(np.array([[0.5, 0.3, 0.2]]), np.array([0.9])).round(4).tolist()
        [[0.0625, 0.0375, 0.9]]
        """
        shared = chances.astype(np.float64) + np.finfo(np.float32).tiny
        for group, part in ((self.seen, 1.0 - new), (~self.seen, new)):
            shared[:, group] *= (part / shared[:, group].sum(axis=1))[:, None]
        return shared


def fit_novelty(
    model: Model,
    members: list[Member],
    data: Data,
    standard: Standard,
    rows: np.ndarray,
    codes: np.ndarray,
    classes: int,
    seed: int,
    seen: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Novelty]:
    """Return what tells new samples, for each view that lacks classes and can tell.

    Args:
      model, members, standard: as trained.
      data: the cohort.
      rows: int, the training samples.
      codes: int [samples of the cohort], the class of each; -1 without one.
      classes: how many there are.
      seed: of the division of training samples.
      seen: bool [classes] by view, classes to take for seen beside those of the rows, such as
        those of an earlier training.
    """
    found, seen = {}, seen or {}
    for view in data.x:
        measured = np.asarray(data.observed[view][rows]).any(axis=1)
        own = np.asarray(rows)[measured]
        known = codes[own]
        own_seen = np.isin(np.arange(classes), known) | seen.get(view, False)
        if len(own) < LEAST or (known < 0).any() or own_seen.all():
            continue
        part = pick(data, own)
        residual = residuals(model, members, part, standard, view)
        found[view] = calibrate(residual, np.asarray(part.observed[view]), own_seen, seed)
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


def calibrate(residual: np.ndarray, observed: np.ndarray, seen: np.ndarray, seed: int) -> Novelty:
    """Learn the covariance on one half of the rows, mean and spread of u on the other.

    Args:
      residual: of training samples [samples, features].
      observed: bool, likewise.
      seen: bool [classes], those that the samples are of.
      seed: of the division.
    """
    order = np.random.default_rng(seed).permutation(len(residual))
    half, other = order[::2], order[1::2]
    values = np.where(observed[half], residual[half], 0.0).astype(np.float64)
    values -= values.mean(axis=0)
    scale = values.std(axis=0)
    scale = np.maximum(scale, 1e-3 * np.median(scale) + np.finfo(np.float32).tiny)
    values /= scale
    shrinkage = ledoit_wolf_shrinkage(values, assume_centered=True)
    _, sizes, vectors = np.linalg.svd(values, full_matrices=False)
    variance = sizes[:MOST_DIRECTIONS] ** 2 / len(values)
    mean = np.mean(values**2)
    kept = (variance > 1e-6 * mean) & (shrinkage < 1.0)  # at 1 all directions are alike
    ridge = shrinkage * mean / ((1.0 - shrinkage) * variance[kept])
    directions = np.ascontiguousarray(vectors[:MOST_DIRECTIONS][kept].T)
    score = _score(residual[other], observed[other], scale, directions, ridge)
    spread = np.maximum(score.std(), np.finfo(np.float32).eps)
    return Novelty(seen, scale, directions, ridge, np.asarray(score.mean()), np.asarray(spread))


def _score(
    residual: np.ndarray,
    observed: np.ndarray,
    scale: np.ndarray,
    directions: np.ndarray,
    ridge: np.ndarray,
) -> np.ndarray:
    """Return u [samples], of the measured cells."""
    values = np.where(observed, residual, 0.0) / scale
    along = values @ directions
    explained = np.sum(along**2 / (1.0 + ridge), axis=1)
    for row in np.flatnonzero(~observed.all(axis=1)):
        own = directions[observed[row]]
        explained[row] = along[row] @ np.linalg.solve(own.T @ own + np.diag(ridge), along[row])
    left = np.sum(values**2, axis=1) - explained
    cells = np.maximum(observed.sum(axis=1), 1)
    return np.log(np.maximum(left, np.finfo(np.float32).tiny) / cells)
