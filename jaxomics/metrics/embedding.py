"""Does a latent space hold what is known about the samples?

Cai et al. 2024 score the standardised latent against tissue labels by Calinski-Harabasz and
Davies-Bouldin. Both depend on the number of dimensions and favour methods that saw the labels;
so silhouette, k-means agreement and cross-validated classifiers stand beside them, and all of it
again on 50 principal components, where spaces of different size compare.
"""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    adjusted_rand_score,
    balanced_accuracy_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    f1_score,
    normalized_mutual_info_score,
    silhouette_score,
)
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxomics.errors import InputError
from jaxomics.metrics.tables import SCORE_COLUMNS, join, score_rows

COMPONENTS = 50
"""Dimensions to which every latent is reduced under mode `pc50`."""

FOLDS = 5
"""Folds of the classifiers."""

SEEDS = 5
"""k-means runs, each the best of 20 starts."""


def evaluate_embedding(
    latent: pd.DataFrame,
    labels: pd.Series,
    dataset: str = "",
    model: str = "embedding",
    group: pd.Series | None = None,
    seed: int = 0,
    features: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Score a latent table of any tool against a class label.

    Args:
      latent: [samples, dimensions], finite.
      labels: class of each sample; samples without one are left out.
      dataset: name for the table.
      model: name of the latent; rows of classifiers carry the classifier's name instead.
      group: samples of one group (a patient) never stand on both sides of a fold; by default
        each sample is its own group.
      seed: of k-means and folds.
      features: measured features [samples, features] of the same samples; their principal
        components, as many as the latent has dimensions, are scored as model `pca`.

    Returns:
      Score rows under mode `latent` (all dimensions, standardised) and, for more than 50
      dimensions, `pc50`. Metrics: see `clustering_scores` and `classifier_scores`; and
      `knn_accuracy`. `attrs["notes"]` lists what was left out.

    Raises:
      InputError: no samples in common, fewer than two classes, cells that are not finite.
    """
    notes: list[str] = []
    z, y, groups = _labelled(latent, labels, group, notes)
    about = {"dataset": dataset, "seed": seed, "view": "latent"}
    tables = _all_scores(z, y, groups, model, "", about, notes)
    if features is not None:
        components = _principal(features.reindex(latent.index), latent.shape[1], seed)
        base, y, groups = _labelled(components, labels, group, [])
        tables += _all_scores(base, y, groups, "pca", "pca:", about, [])
    out = join(tables, SCORE_COLUMNS)
    out.attrs["notes"] = notes
    return out


def clustering_scores(z: np.ndarray, y: np.ndarray, seed: int = 0) -> dict[str, float]:
    """Score how classes lie in a space.

    Args:
      z: [samples, dimensions], standardised.
      y: [samples] class codes, at least two classes and fewer classes than samples.
      seed: of k-means.

    Returns:
      `calinski_harabasz` (larger is better), `davies_bouldin` (smaller is better),
      `silhouette`, and the agreement `ari` and `nmi` with k-means at the number of classes, mean
      over five seeds.
    """
    k = len(np.unique(y))
    scores = {
        "calinski_harabasz": float(calinski_harabasz_score(z, y)),
        "davies_bouldin": float(davies_bouldin_score(z, y)),
        "silhouette": float(silhouette_score(z, y)),
        "ari": np.nan,
        "nmi": np.nan,
    }
    if len(np.unique(z, axis=0)) >= k:
        starts: Any = 20
        runs = [
            KMeans(k, n_init=starts, random_state=seed + run).fit_predict(z) for run in range(SEEDS)
        ]
        scores["ari"] = float(np.mean([adjusted_rand_score(y, run) for run in runs]))
        scores["nmi"] = float(np.mean([normalized_mutual_info_score(y, run) for run in runs]))
    return scores


def classifier_scores(
    z: np.ndarray, y: np.ndarray, groups: np.ndarray, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Score classifiers of the space by five-fold cross-validation.

    Args:
      z: [samples, dimensions].
      y: [samples] class codes; each class in at least five groups.
      groups: [samples] group codes, kept together.
      seed: of the folds.

    Returns:
      For `logistic` regression and `knn` (10 neighbours): `accuracy`, `balanced_accuracy` and
      `macro_f1` of the pooled held-out predictions.
    """
    splits = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    folds = list(splits.split(z, y, groups))
    smallest = min(len(train) for train, _ in folds)
    classifiers = {
        "logistic": LogisticRegression(max_iter=2000),
        "knn": KNeighborsClassifier(min(10, smallest)),
    }
    scores = {}
    for name, classifier in classifiers.items():
        predicted = _held_out(classifier, z, y, folds)
        scores[name] = {
            "accuracy": float(accuracy_score(y, predicted)),
            "balanced_accuracy": float(balanced_accuracy_score(y, predicted)),
            "macro_f1": float(f1_score(y, predicted, average="macro")),
        }
    return scores


def _held_out(classifier: ClassifierMixin, z: np.ndarray, y: np.ndarray, folds: list) -> np.ndarray:
    """Return the class predicted for each sample while it was held out."""
    predicted = np.zeros_like(y)
    for train, test in folds:
        pipeline = make_pipeline(StandardScaler(), classifier).fit(z[train], y[train])
        predicted[test] = pipeline.predict(z[test])
    return predicted


def _all_scores(
    z: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    model: str,
    prefix: str,
    about: dict,
    notes: list[str],
) -> list[pd.DataFrame]:
    """Return the score rows of one space, in all its dimensions and reduced."""
    spaces = {"latent": StandardScaler().fit_transform(z)}
    if z.shape[1] > COMPONENTS and len(z) > COMPONENTS:
        reduced = PCA(COMPONENTS, random_state=about["seed"]).fit_transform(spaces["latent"])
        spaces["pc50"] = reduced
    frequent = _frequent(y, groups)
    if not frequent.all():
        notes.append(
            f"classifiers: left out {int((~frequent).sum())} samples of classes in fewer than "
            f"{FOLDS} groups"
        )
    tables = []
    for mode, space in spaces.items():
        scores = clustering_scores(space, y, about["seed"])
        classified = {}
        if len(np.unique(y[frequent])) > 1:
            classified = classifier_scores(
                space[frequent], y[frequent], groups[frequent], about["seed"]
            )
            scores["knn_accuracy"] = classified["knn"]["accuracy"]
        tables.append(score_rows(scores, model=model, mode=mode, **about))
        for name, values in classified.items():
            tables.append(score_rows(values, model=prefix + name, mode=mode, **about))
    return tables


def _frequent(y: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return where the class of a sample occurs in as many groups as there are folds."""
    pairs = np.unique(np.stack([y, groups], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=y.max() + 1)[y] >= FOLDS


def _labelled(
    latent: pd.DataFrame, labels: pd.Series, group: pd.Series | None, notes: list[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return latent, class codes and group codes of the samples that have a label."""
    classes = labels.reindex(latent.index)
    known = classes.notna().to_numpy()
    if not known.all():
        notes.append(f"left out {int((~known).sum())} samples without a label")
    z = latent.to_numpy(np.float64, na_value=np.nan)[known]
    codes, names = pd.factorize(classes[known], sort=True)
    if not 1 < len(names) < len(codes):
        raise InputError(
            f"expected at least two classes, and fewer classes than samples, found {len(names)} "
            f"classes in {len(codes)} labelled samples; choose another label column"
        )
    if not np.isfinite(z).all():
        raise InputError(
            f"expected finite latent coordinates, found {int((~np.isfinite(z)).sum())} empty or "
            "infinite cells; remove these samples"
        )
    if group is None:
        return z, codes, np.arange(len(codes))
    owners = group.reindex(latent.index).to_numpy(dtype=object)[known]
    named = [f"group {o}" if pd.notna(o) else f"sample {i}" for i, o in enumerate(owners)]
    return z, codes, np.unique(named, return_inverse=True)[1]


def _principal(features: pd.DataFrame, dimensions: int, seed: int) -> pd.DataFrame:
    """Return principal components of standardised features, missing cells at the mean."""
    x = StandardScaler().fit_transform(features.to_numpy(np.float64, na_value=np.nan))
    rank = min(dimensions, *x.shape)
    scores = PCA(rank, random_state=seed).fit_transform(np.nan_to_num(x))
    return pd.DataFrame(scores, index=features.index)
