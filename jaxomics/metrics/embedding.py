"""Does an embedding hold what is known about the samples?

The benchmarks of Nagaraj et al. 2023 for any table samples x dimensions: can a classifier tell the
classes (`cohort_accuracy`), does the space contain that of the labels (`grassmann`), does it order
patients by survival (`overall_survival`). Cai et al. 2024 score the standardised latent against
tissue labels by Calinski-Harabasz and Davies-Bouldin. Both depend on the number of dimensions and
favour methods that saw the labels; so silhouette and k-means agreement stand beside them, and all
of it again on 50 principal components, where spaces of different size compare. These are the
components of the latent as it is, neither its dimensions nor they themselves standardised: no
rotation of the latent changes them, and directions that hardly vary count for little.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    normalized_mutual_info_score,
    silhouette_score,
)

from jaxomics.errors import InputError
from jaxomics.metrics.cohort_accuracy import (
    CLASSIFIERS,
    FOLDS,
    Read,
    available,
    class_folds,
    fold_scores,
    frequent,
    principal_components,
    standard_units,
)
from jaxomics.metrics.components import fit_components
from jaxomics.metrics.grassmann import grassmann_scores, usable_components
from jaxomics.metrics.overall_survival import plan_survival, survival_scores
from jaxomics.metrics.tables import SCORE_COLUMNS, join, score_rows

COMPONENTS = 50
"""Dimensions to which every latent is reduced under mode `pc50`."""

SEEDS, STARTS = 5, 20
"""k-means runs, and starts of each, of which the best counts."""

QUICK_SEEDS, QUICK_STARTS, QUICK_SAMPLES = 2, 3, 2000
"""The same in quick mode, and the samples of the silhouette there."""


class Samples(NamedTuple):
    """Labelled samples.

    Attributes:
      names: their ids.
      z: [n, dimensions] embedding.
      y: [n] class codes.
      classes: names of the classes, by code.
      groups: [n] group codes.
    """

    names: pd.Index
    z: np.ndarray
    y: np.ndarray
    classes: pd.Index
    groups: np.ndarray


def evaluate_embedding(
    latent: pd.DataFrame,
    labels: pd.Series,
    dataset: str = "",
    model: str = "embedding",
    group: pd.Series | None = None,
    seed: int = 0,
    features: pd.DataFrame | None = None,
    *,
    survival: pd.DataFrame | None = None,
    clinical: pd.DataFrame | None = None,
    classifiers: tuple[str, ...] | None = None,
    components: int | None = None,
    narrow: bool = False,
    quick: bool = False,
) -> pd.DataFrame:
    """Score a latent table of any tool against class labels, and survival where it is known.

    Args:
      latent: [samples, dimensions], finite.
      labels: class of each sample; samples without one are left out.
      dataset: name for the table.
      model: name of the latent; rows of classifiers carry the classifier's name instead.
      group: samples of one group (a donor) never stand on both sides of a fold; by default each
        sample is its own group.
      seed: of k-means, folds, trees and permutations.
      features: measured features [samples, features] of the same samples; their principal
        components, as many as the latent has dimensions, are scored as model `pca`.
      survival: two columns, time and event, by sample; samples without them are left out there.
      clinical: label columns; a Cox regression on them is scored as model `clinical`, and beside
        the latent as `MODEL+clinical`.
      classifiers: names; by default all that are installed.
      components: dimensions of the latent that the Grassmann distance compares; by default as many
        as the latent and the features allow.
      narrow: score latents of 50 or fewer dimensions under `pc50`, too, so that every latent of a
        comparison stands there; their components are all they have.
      quick: small trees, few starts of k-means.

    Returns:
      Score rows. Mode `latent` (all dimensions) and, for more than 50 dimensions, `pc50`: scores of
      classifiers by fold (`fold_scores`), of clusters (`clustering_scores`), `knn_accuracy`. Mode
      `latent` alone: `grassmann_scores`, and by fold `survival_scores`. `attrs["notes"]` lists
      what was left out.

    Raises:
      InputError: no samples in common, fewer than two classes, cells that are not finite, or
        survival that cannot be divided into folds with events.
    """
    notes: list[str] = []
    chosen = available() if classifiers is None else classifiers
    if len(chosen) < len(CLASSIFIERS) and classifiers is None:
        notes.append("xgboost is not installed (jaxomics[eval]): its scores are left out")
    own = _labelled(latent, labels, group, notes)
    measured = None if features is None else features.reindex(own.names).to_numpy(np.float64)
    about = {"dataset": dataset, "seed": seed, "view": "latent"}
    dimensions = own.z.shape[1]
    if measured is not None:
        dimensions = min(dimensions, *measured.shape)
    rank = components or usable_components(len(own.y), len(own.classes) - 1, dimensions)
    settings = _Settings(chosen, rank, narrow, quick, seed)
    tables = list(_space_scores(own, None, model, "", about, settings, notes))
    if measured is not None:
        base = fit_components(measured, own.z.shape[1], scale=True, seed=seed).scores
        other = own._replace(z=base)
        tables += _space_scores(other, measured, "pca", "pca:", about, settings, [])
    if survival is not None:
        table = (survival, clinical)
        tables += _survival_scores(own, measured, table, model, about, settings, notes)
    out = join(tables, SCORE_COLUMNS)
    out.attrs["notes"] = notes
    return out


class _Settings(NamedTuple):
    """How to score: classifiers, components of the Grassmann distance, all reduced, speed, seed."""

    classifiers: tuple[str, ...]
    components: int
    narrow: bool
    quick: bool
    seed: int


def clustering_scores(
    z: np.ndarray, y: np.ndarray, seed: int = 0, *, quick: bool = False
) -> dict[str, float]:
    """Score how classes lie in a space.

    Args:
      z: [samples, dimensions].
      y: [samples] class codes, at least two classes and fewer classes than samples.
      seed: of k-means.
      quick: fewer runs of k-means, and the silhouette of at most 2,000 samples.

    Returns:
      `calinski_harabasz` (larger is better), `davies_bouldin` (smaller is better),
      `silhouette`, and the agreement `ari` and `nmi` with k-means at the number of classes, mean
      over five seeds.
    """
    k = len(np.unique(y))
    seeds, starts = (QUICK_SEEDS, QUICK_STARTS) if quick else (SEEDS, STARTS)
    sampled = QUICK_SAMPLES if quick and len(y) > QUICK_SAMPLES else None
    scores = {
        "calinski_harabasz": float(calinski_harabasz_score(z, y)),
        "davies_bouldin": float(davies_bouldin_score(z, y)),
        "silhouette": float(silhouette_score(z, y, sample_size=sampled, random_state=seed)),
        "ari": np.nan,
        "nmi": np.nan,
    }
    if len(np.unique(z, axis=0)) >= k:
        count: Any = starts
        runs = [
            KMeans(k, n_init=count, random_state=seed + run).fit_predict(z) for run in range(seeds)
        ]
        scores["ari"] = float(np.mean([adjusted_rand_score(y, run) for run in runs]))
        scores["nmi"] = float(np.mean([normalized_mutual_info_score(y, run) for run in runs]))
    return scores


def _space_scores(
    own: Samples,
    measured: np.ndarray | None,
    model: str,
    prefix: str,
    about: dict,
    settings: _Settings,
    notes: list[str],
) -> Iterator[pd.DataFrame]:
    """Yield the score rows of one space: clusters, classifiers, distance to the labels.

    With measured features, classifiers see components of these, fitted anew in each fold.
    """
    quick, seed = settings.quick, settings.seed
    z, y = _standardised(own.z), own.y
    kept = frequent(y, own.groups)
    if not kept.all():
        names = ", ".join(str(own.classes[code]) for code in np.unique(y[~kept]))
        notes.append(
            f"classifiers: left out {int((~kept).sum())} samples of classes in fewer than {FOLDS} "
            f"groups: {names}"
        )
    spaces = {"latent": z}
    if len(z) > COMPONENTS and (z.shape[1] > COMPONENTS or settings.narrow):
        spaces["pc50"] = fit_components(own.z, COMPONENTS, scale=False, seed=seed).scores
    for mode, space in spaces.items():
        scores = clustering_scores(space, y, seed, quick=quick)
        table = pd.DataFrame()
        if len(np.unique(y[kept])) > 1:
            names = settings.classifiers if mode == "latent" else ("logistic", "knn")
            read = _reader(own.z if measured is None else measured, mode, measured is None, own.z)
            table = _classified(read, y, kept, own.groups, names, settings)
            knn = table[(table["classifier"] == "knn") & (table["metric"] == "accuracy")]
            if len(knn):
                scores["knn_accuracy"] = float(knn["value"].mean())
        if mode == "latent":
            scores |= grassmann_scores(own.z, y, settings.components, seed=seed)
        yield score_rows(scores, model=model, mode=mode, **about)
        for name, fold, metric, value in table.itertuples(index=False):
            named = {"model": f"{prefix}{name}", "fold": fold, "mode": mode}
            yield score_rows({metric: value}, **named, **about)


def _reader(table: np.ndarray, mode: str, embedded: bool, z: np.ndarray) -> Read:
    """Return what classifiers see of an embedding, or of measured features by components."""
    if mode == "latent":
        return standard_units(table) if embedded else principal_components(table, z.shape[1])
    return principal_components(table, COMPONENTS, scale=not embedded, whiten=False)


def _classified(
    read: Read,
    y: np.ndarray,
    kept: np.ndarray,
    groups: np.ndarray,
    names: tuple[str, ...],
    settings: _Settings,
) -> pd.DataFrame:
    """Return `fold_scores` among the samples of frequent classes."""
    rows = np.flatnonzero(kept)
    folds = [
        (rows[train], rows[test])
        for train, test in class_folds(y[kept], groups[kept], settings.seed)
    ]
    return fold_scores(read, y, folds, names, quick=settings.quick, seed=settings.seed)


def _survival_scores(
    own: Samples,
    measured: np.ndarray | None,
    known: tuple[pd.DataFrame, pd.DataFrame | None],
    model: str,
    about: dict,
    settings: _Settings,
    notes: list[str],
) -> Iterator[pd.DataFrame]:
    """Yield rows of the latent, the features' components, and clinical covariates, by fold."""
    survival, clinical = known
    table = survival.reindex(own.names).apply(pd.to_numeric, errors="coerce")
    time, event = table.to_numpy(np.float64).T
    usable = np.isfinite(time) & np.isfinite(event) & (time != 0)
    if not usable.all():
        notes.append(
            f"survival: left out {int((~usable).sum())} samples without a time above 0 or an event"
        )
    plan = plan_survival(time[usable], event[usable], own.groups[usable], settings.seed)
    rows = None if clinical is None else clinical.reindex(own.names)[usable]
    z = own.z[usable]
    compared = {model: survival_scores(plan, z)}
    if rows is not None:
        compared["clinical"] = survival_scores(plan, None, rows)
        compared[f"{model}+clinical"] = survival_scores(plan, z, rows)
    if measured is not None:
        compared["pca"] = survival_scores(plan, measured[usable], scale=True)
    for name, folds in compared.items():
        for fold, scores in enumerate(folds):
            yield score_rows(scores, model=name, fold=fold, mode="latent", **about)


def _labelled(
    latent: pd.DataFrame, labels: pd.Series, group: pd.Series | None, notes: list[str]
) -> Samples:
    """Return the samples that have a label."""
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
    samples = latent.index[known]
    if group is None:
        return Samples(samples, z, codes, pd.Index(names), np.arange(len(codes)))
    owners = group.reindex(latent.index).to_numpy(dtype=object)[known]
    named = [f"group {o}" if pd.notna(o) else f"sample {i}" for i, o in enumerate(owners)]
    return Samples(samples, z, codes, pd.Index(names), np.unique(named, return_inverse=True)[1])


def _standardised(z: np.ndarray) -> np.ndarray:
    """Return an embedding in the standard deviations of its columns."""
    spread = z.std(axis=0)
    return (z - z.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0)
