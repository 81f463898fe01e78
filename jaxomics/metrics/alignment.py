"""How well two views of the same samples meet in one latent space.

Tables of latents of the same samples, one per view, rows in the same order; distances are
Euclidean. The fraction of samples closer than the true match is that of Liu et al. 2019 (Jointly
embedding multiple single-cell omics measurements), averaged over both directions.
"""

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxomics.errors import InputError


def foscttm(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean fraction of samples closer than the true match, of both directions.

    0 where every sample's other view is the nearest, 0.5 by chance.

    Args:
      first, second: [n, latent], the same samples in the same order.

    Raises:
      InputError: different shapes, or fewer than 2 samples.

    >>> latents = np.array([[0.0], [1.0], [2.0]])
    >>> foscttm(latents, latents), round(foscttm(latents, latents[::-1]), 3)
    (0.0, 0.667)
    """
    distance = _distances(first, second)
    true = np.diag(distance)
    others = len(distance) - 1
    closer = (distance < true[:, None]).sum(axis=1), (distance < true[None]).sum(axis=0)
    return float(np.mean(closer) / others)


def retrieval(first: np.ndarray, second: np.ndarray, count: int = 1) -> float:
    """Return how often the true match is among the `count` nearest, mean of both directions.

    By chance count / n. Ties count against it. Arguments and errors as for `foscttm`.

    >>> latents = np.array([[0.0], [1.0], [3.0]])
    >>> retrieval(latents, latents + 0.4), retrieval(latents, latents[[1, 0, 2]], 2)
    (1.0, 1.0)
    """
    distance = _distances(first, second)
    hits = []
    for way in (distance, distance.T):
        before = (way <= np.diag(way)[:, None]).sum(axis=1) - 1
        hits.append(before < count)
    return float(np.mean(hits))


def label_transfer(
    latents: np.ndarray | pd.DataFrame,
    labels: pd.Series | np.ndarray,
    target: np.ndarray | pd.DataFrame,
    truth: pd.Series | np.ndarray,
    neighbours: int = 5,
) -> float:
    """Return the accuracy of labels that the nearest samples of another view vote for.

    Args:
      latents, labels: of the samples that vote, [n, latent] and [n].
      target, truth: of those that are voted on, [m, latent] and [m].
      neighbours: how many vote; at most as many as there are.
    """
    voters = KNeighborsClassifier(min(neighbours, len(latents)))
    voters.fit(np.asarray(latents), np.asarray(labels, str))
    return float(np.mean(voters.predict(np.asarray(target)) == np.asarray(truth, str)))


def modality_accuracy(first: np.ndarray, second: np.ndarray, seed: int = 0) -> float:
    """Return how well a logistic regression tells the views apart: 0.5 where they overlap.

    The mean over both views of the share it gets right of samples that it was not fitted to, in
    five folds; 1.0 where they lie apart.

    Args:
      first, second: [n, latent] and [m, latent], at least 5 samples each.
      seed: of the folds.
    """
    z = np.concatenate([first, second])
    side = np.repeat([0, 1], [len(first), len(second)])
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    right = np.asarray(cross_val_predict(model, z, side, cv=folds)) == np.asarray(side)
    return float((right[side == 0].mean() + right[side == 1].mean()) / 2)


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the distances [n, n] between all latents of two views of the same samples."""
    if np.shape(first) != np.shape(second) or len(first) < 2:
        raise InputError(
            "expected latents of the same 2 or more samples in both views, found shapes "
            f"{np.shape(first)} and {np.shape(second)}; give the samples that have both"
        )
    return cdist(np.asarray(first, np.float64), np.asarray(second, np.float64))
