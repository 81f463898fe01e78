"""Classes that a view has never seen: its samples that are like no class it knows are of one.

Where no training sample of a view is of some class, nothing tells a classifier what that class
looks like there: it spreads its samples over the classes that it knows. Two things are known,
though: that the view lacks the class, and what its own classes look like. With the distance of a
sample x from the mean m of each class of the view,

    d_k = (x - m_k)' C^-1 (x - m_k) / cells,

C the covariance within classes, shrunk as Ledoit and Wolf (2004) have it, and d_1 <= d_2 <= ...,

    u = log d_1                 is large for what is far from all classes,
    v = log d_2 - log d_1       small for what lies between them,

both in standard deviations from their mean over training samples that had no part in means and C.
How much they tell depends on the data, and the data say it: each class of the view is left out in
turn, and its samples are scored by the others. A logistic regression, both groups weighing alike,
of left out against known samples on u and v, never falling in u nor rising in v, gives the log
likelihood ratio of being new; with the share that the lacking classes have in the other views as
prior, it is the probability of being of a lacking class. The lacking classes together get that
probability, the others the rest, each in the proportions that the classifier gives.

Distances from class means follow Lee et al. 2018 ("A simple unified framework for detecting
out-of-distribution samples and adversarial attacks"), here among the features of the view: within
a network, they would be of what known classes differ by. C is, with the leading directions V of
the residuals, S V = V diag(l), and their mean variance m,

    C = (1 - a) S + a m I = m a (I + V diag(1 / ridge) V'),     ridge_k = a m / ((1 - a) l_k).

Cells that were not measured have no part: C is then that of the measured ones.

Where nothing can be left out, what lies four standard deviations of u from all classes is new.
Nothing is done in a view with unlabelled training samples, which may be of any class; nor for
classes that no label names, since nobody said what they are. A class of an earlier training
(fine-tuning) that the new samples do not show leaves no mean, so nothing is done in a view that
knows one either.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.covariance import ledoit_wolf_shrinkage

from jaxomics.data.batch import Data, Standard

LEAST = 20
"""Training samples of a view below which nobody can say what is unusual there."""
LEAST_OF_CLASS = 5
"""Training samples of a class below which it is not left out."""
MOST_LEFT_OUT = 12
"""Classes that are left out in turn; of more, the largest."""
MOST_ROWS = 1000
"""Rows that a covariance is computed from."""
MOST_DIRECTIONS = 200
LEAST_SCALE = 0.1
"""Least deviation of a feature within classes, of the root mean square over features."""
LEAST_SHRINKAGE = 1e-3
LEAST_PRIOR = 0.01
FOUR_DEVIATIONS = np.array([-16.0, 4.0, 0.0])
"""Weights where nothing can be left out."""
FARTHEST = 8.0
"""Standard deviations at which u and v are cut."""
PENALTY = 1.0
"""Half the squared slopes have this weight beside the log likelihood of all samples."""


class Shapes(NamedTuple):
    """What the classes of a view look like.

    Attributes:
      scale: standard deviation within classes [features].
      means: of classes, divided by `scale` [seen classes, features].
      directions: V [features, directions].
      ridge: [directions].
    """

    scale: np.ndarray
    means: np.ndarray
    directions: np.ndarray
    ridge: np.ndarray

    def scores(self, x: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return u and v [samples, 2], not standardised; v is 0 where there is one class.

        Args:
          x: [samples, features].
          observed: bool, likewise.
        """
        found = np.sort(self._distances(x, observed), axis=1)
        logs = np.log(np.maximum(found[:, :2], np.finfo(np.float32).tiny))
        return np.stack([logs[:, 0], logs[:, -1] - logs[:, 0]], axis=1)

    def _distances(self, x: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return d [samples, seen classes], but for a factor that is the same for all."""
        values = np.where(observed, x, 0.0) / self.scale
        whole = observed.all(axis=1)
        found = np.empty((len(x), len(self.means)))
        for k, mean in enumerate(self.means):
            residual = values[whole] - mean
            along = residual @ self.directions
            found[whole, k] = np.sum(residual**2, axis=1) - np.sum(along**2 / (1 + self.ridge), 1)
        for row in np.flatnonzero(~whole):
            cells = observed[row]
            residual = values[row, cells] - self.means[:, cells]
            own = self.directions[cells]
            along = residual @ own
            inner = np.linalg.solve(own.T @ own + np.diag(self.ridge), along.T)
            found[row] = np.sum(residual**2, axis=1) - np.sum(along * inner.T, axis=1)
        return found / np.maximum(observed.sum(axis=1, keepdims=True), 1)


class Novelty(NamedTuple):
    """What tells samples of unseen classes from those of the classes of one view.

    Attributes:
      seen: bool [classes], those that the view was trained on.
      scale, means, directions, ridge: see `Shapes`.
      centre, spread: mean and standard deviation of u and v [2].
      weights: of 1, u and v in the log odds of being new [3].
      noticed: share of the samples of left out classes that were taken for new; NaN without any.
      mistaken: share of the others that were.
    """

    seen: np.ndarray
    scale: np.ndarray
    means: np.ndarray
    directions: np.ndarray
    ridge: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    weights: np.ndarray
    noticed: np.ndarray
    mistaken: np.ndarray

    def degree(self, x: np.ndarray, observed: np.ndarray) -> np.ndarray:
        """Return the probability of each sample to be of a class that the view has not seen.

        Args:
          x: [samples, features], in the units that `calibrate` was given.
          observed: bool, likewise.
        """
        shapes = Shapes(self.scale, self.means, self.directions, self.ridge)
        placed = _placed(shapes.scores(x, observed), self.centre, self.spread)
        return expit(self.weights[0] + placed @ self.weights[1:])

    def share(self, chances: np.ndarray, new: np.ndarray) -> np.ndarray:
        """Return probabilities [samples, classes] in which unseen classes have the share `new`.

        Classes of which a classifier is as good as certain that they are not meant (probability
        0) are alike to it.

        >>> none = np.zeros(0)
        >>> view = Novelty(np.array([True, True, False]), *[none] * 9)
        >>> view.share(np.array([[0.5, 0.3, 0.2]]), np.array([0.9])).round(4).tolist()
        [[0.0625, 0.0375, 0.9]]
        """
        shared = chances.astype(np.float64) + np.finfo(np.float32).tiny
        for group, part in ((self.seen, 1.0 - new), (~self.seen, new)):
            shared[:, group] *= (part / shared[:, group].sum(axis=1))[:, None]
        return shared


def fit_novelty(
    data: Data,
    standard: Standard,
    rows: np.ndarray,
    codes: np.ndarray,
    named: np.ndarray,
    seed: int,
    seen: Mapping[str, np.ndarray] | None = None,
) -> dict[str, Novelty]:
    """Return what tells new samples, for each view that lacks classes and can tell.

    Args:
      data: the cohort.
      standard: units that views are compared in.
      rows: int, the training samples.
      codes: int [samples of the cohort], the class of each; -1 without one.
      named: bool [classes], those that some label has named.
      seed: of the division of training samples.
      seen: bool [classes] by view, those of an earlier training.
    """
    found, seen = {}, seen or {}
    own = {view: rows[np.asarray(data.observed[view][rows]).any(axis=1)] for view in data.x}
    shares = {view: _shares(codes[own[view]], len(named)) for view in data.x}
    for view, here in own.items():
        shown = shares[view] > 0
        known = shown | ~named
        unshown = (seen.get(view, shown) & ~shown).any()
        if len(here) < LEAST or (codes[here] < 0).any() or unshown or known.all():
            continue
        elsewhere = [share for other, share in shares.items() if other != view and share.any()]
        prior = np.mean([share[~known].sum() for share in elsewhere]) if elsewhere else 0.0
        x = np.asarray(standard.apply(view, data.x[view][here]))
        observed = np.asarray(data.observed[view][here])
        found[view] = calibrate(x, observed, codes[here], known, float(prior), seed)
    return found


def _shares(codes: np.ndarray, classes: int) -> np.ndarray:
    """Return the share of each class among those labelled; zeros where none is."""
    counts = np.bincount(codes[codes >= 0], minlength=classes)
    return counts / max(counts.sum(), 1)


def novelty_notes(novelty: Mapping[str, Novelty], classes: Sequence[str]) -> list[str]:
    """Return what is to be said of views that look for classes they have not seen."""
    notes = []
    for view, found in novelty.items():
        names = ", ".join(np.asarray(classes)[~found.seen])
        how = "how well that works cannot be told from its classes"
        if np.isfinite(found.noticed):
            how = (
                f"when its classes were left out in turn, {found.noticed:.0%} of their samples "
                f"were noticed, and {found.mistaken:.1%} of the others taken for such"
            )
        notes.append(
            f"samples that are like no class of {view} are taken for {names}, which it was not "
            f"trained on (--novelty): {how}"
        )
    return notes


def calibrate(
    x: np.ndarray,
    observed: np.ndarray,
    codes: np.ndarray,
    seen: np.ndarray,
    prior: float,
    seed: int,
) -> Novelty:
    """Learn what classes look like, and from those left out in turn what new samples look like.

    Args:
      x: training samples [samples, features].
      observed: bool, likewise.
      codes: int [samples], their classes.
      seen: bool [classes], those that the samples are of.
      prior: share of new samples that is expected.
      seed: of the division.
    """
    rng = np.random.default_rng(seed)
    sizes = np.bincount(codes)
    out = [k for k in np.argsort(-sizes, kind="stable") if sizes[k] >= LEAST_OF_CLASS]
    shapes, centre, spread, _ = _fit(x, observed, codes, rng)
    if len(np.flatnonzero(sizes)) < 2 or not out:
        return Novelty(seen, *shapes, centre, spread, FOUR_DEVIATIONS, *[np.asarray(np.nan)] * 2)
    usual, new = [], []
    for k in out[:MOST_LEFT_OUT]:
        kept, left = np.flatnonzero(codes != k), np.flatnonzero(codes == k)
        others, *placing, scores = _fit(x[kept], observed[kept], codes[kept], rng)
        usual.append(_placed(scores, *placing))
        new.append(_placed(others.scores(x[left], observed[left]), *placing))
    weights = _regress(usual, new)
    weights[0] += logit(np.clip(prior, LEAST_PRIOR, 1.0 - LEAST_PRIOR))
    taken = [
        np.mean([np.mean(weights[0] + part @ weights[1:] > 0) for part in parts])
        for parts in (new, usual)
    ]
    return Novelty(seen, *shapes, centre, spread, weights, *map(np.asarray, taken))


def _fit(
    x: np.ndarray, observed: np.ndarray, codes: np.ndarray, rng: np.random.Generator
) -> tuple[Shapes, np.ndarray, np.ndarray, np.ndarray]:
    """Learn classes on one half of each, and mean, deviation and scores of the other half."""
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    first = np.searchsorted(codes[order], codes[order])
    even = (np.arange(len(order)) - first) % 2 == 0  # a class of one sample is in the first half
    half, other = order[even], order[~even]
    shapes = _shapes(x[half], observed[half], codes[half])
    if len(other) == 0:
        other = half
    scores = shapes.scores(x[other], observed[other])
    spread = np.maximum(scores.std(axis=0), np.finfo(np.float32).eps)
    return shapes, scores.mean(axis=0), spread, scores


def _shapes(x: np.ndarray, observed: np.ndarray, codes: np.ndarray) -> Shapes:
    """Return means and shrunk covariance of classes."""
    found, place = np.unique(codes, return_inverse=True)
    values = np.where(observed, x, 0.0).astype(np.float64)
    centre = values.sum(axis=0) / np.maximum(observed.sum(axis=0), 1)
    means = np.stack([centre] * len(found))
    for k in range(len(found)):
        own = place == k
        count = observed[own].sum(axis=0)
        means[k] = np.where(count > 0, values[own].sum(axis=0) / np.maximum(count, 1), centre)
    residual = np.where(observed, values - means[place], 0.0)
    scale = residual.std(axis=0)
    least = LEAST_SCALE * np.sqrt(np.mean(scale**2)) + np.finfo(np.float32).tiny
    scale = np.maximum(scale, least)
    directions, ridge = _leading(residual[:: -(-len(residual) // MOST_ROWS)] / scale)
    return Shapes(scale, means / scale, directions, ridge)


def _leading(residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return leading directions of residuals, and how much the shrunk covariance keeps of each."""
    shrinkage = max(ledoit_wolf_shrinkage(residual, assume_centered=True), LEAST_SHRINKAGE)
    rows, features = residual.shape
    gram = residual @ residual.T if rows < features else residual.T @ residual
    squares, vectors = np.linalg.eigh(gram)  # an SVD may fail where features repeat
    squares, vectors = squares[::-1][:MOST_DIRECTIONS], vectors[:, ::-1][:, :MOST_DIRECTIONS]
    mean = np.mean(residual**2)
    kept = (squares > 1e-6 * rows * mean) & (shrinkage < 1.0)  # at 1 all directions are alike
    squares, vectors = squares[kept], vectors[:, kept]
    if rows < features:
        vectors = residual.T @ (vectors / np.sqrt(squares))
    ridge = shrinkage * mean / ((1.0 - shrinkage) * squares / rows)
    return np.ascontiguousarray(vectors), ridge


def _placed(scores: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return scores in standard deviations, cut."""
    return np.clip((scores - centre) / spread, -FARTHEST, FARTHEST)


def _regress(usual: list[np.ndarray], new: list[np.ndarray]) -> np.ndarray:
    """Return weights of 1, u and v that tell new samples from usual ones: u up, v down.

    Args:
      usual, new: u and v [samples, 2] for each class left out; all parts weigh alike.
    """
    parts = [*usual, *new]
    x = np.concatenate(parts)
    sign = np.repeat([-1.0] * len(usual) + [1.0] * len(new), [len(part) for part in parts])
    weight = np.concatenate([np.full(len(part), 1.0 / len(part)) for part in parts])
    weight *= len(x) / weight.sum()

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (w[0] + x @ w[1:])
        pull = -weight * sign * expit(-margin)
        value = float(weight @ np.logaddexp(0.0, -margin) + 0.5 * PENALTY * np.sum(w[1:] ** 2))
        return value, np.array([pull.sum(), *(pull @ x + PENALTY * w[1:])])

    bounds = [(None, None), (0.0, None), (None, 0.0)]
    return minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B", bounds=bounds).x
