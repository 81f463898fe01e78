"""Can a classifier tell classes from an embedding? Five folds by donor, or train to hold-out.

The first benchmark of Nagaraj et al. 2023, who trained XGBoost (Chen and Guestrin, KDD 2016) on
hold-out embeddings. A logistic regression and nearest neighbours stand beside it: where trees and
a linear model disagree, the score is about the classifier. Everything that is fitted, standard
units and principal components included, is fitted to the training samples of the fold.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier

from jaxomics.errors import InputError, unknown
from jaxomics.metrics.components import fit_components

FOLDS = 5
"""Folds; a class needs as many donors."""

CLASSIFIERS = ("xgboost", "logistic", "knn")
"""Names of the classifiers; the first needs the extra `eval`."""

ALONE = 2**21
"""Cells of a training table below which one thread grows the trees."""

Read = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Training rows and test rows to what a classifier reads of them, both [n, dimensions]."""


def standard_units(z: np.ndarray) -> Read:
    """Return a reader of an embedding [n, dimensions], each in its training standard deviations."""

    def read(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, spread = z[train].mean(axis=0), z[train].std(axis=0)
        unit = np.where(spread > 1e-12, spread, 1.0)
        return (z[train] - mean) / unit, (z[test] - mean) / unit

    return read


def principal_components(
    table: np.ndarray, count: int, *, scale: bool = True, whiten: bool = True, seed: int = 0
) -> Read:
    """Return a reader of the components of a table [n, features], fitted to the training rows.

    Args:
      table: [n, features].
      count: most components.
      scale: divide each feature by its standard deviation before.
      whiten: divide each component by its standard deviation, as `standard_units` does. Otherwise
        all are divided by that of the first one: distances keep their ratios, and a linear model
        reads numbers near 1.
      seed: of the decomposition of large tables.
    """

    def read(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = fit_components(table[train], count, scale=scale, seed=seed)
        spread = found.scores.std(axis=0)
        spread = spread if whiten else spread[:1]
        unit = np.where(spread > 1e-12, spread, 1.0)
        return found.scores / unit, found.place(table[test]) / unit

    return read


def class_folds(y: np.ndarray, groups: np.ndarray, seed: int = 0) -> list:
    """Return five divisions into training and test rows: classes balanced, groups whole.

    Args:
      y: [n] class codes, each in at least five groups; see `frequent`.
      groups: [n] donors.
      seed: of the folds.
    """
    splits = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    return list(splits.split(np.zeros(len(y)), y, groups))


def frequent(y: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return where the class of a sample occurs in as many groups as there are folds.

    >>> frequent(np.array([0, 0, 0, 0, 0, 1, 1]), np.array([0, 1, 2, 3, 4, 5, 6])).tolist()
    [True, True, True, True, True, False, False]
    """
    pairs = np.unique(np.stack([y, groups], axis=1), axis=0)
    return np.bincount(pairs[:, 0], minlength=y.max() + 1)[y] >= FOLDS


def fold_scores(
    read: Read,
    y: np.ndarray,
    folds: list,
    classifiers: Iterable[str] = CLASSIFIERS,
    *,
    quick: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Score classifiers fold by fold.

    Args:
      read: what classifiers see; `standard_units` or `principal_components`.
      y: [n] class codes.
      folds: training and test rows, several times.
      classifiers: names among `CLASSIFIERS`.
      quick: few and small trees.
      seed: of the trees.

    Returns:
      A row per classifier, fold and metric: classifier, fold, metric (`accuracy`,
      `balanced_accuracy`, `macro_f1`), value.

    Raises:
      InputError: an unknown classifier, or XGBoost where it is not installed.
    """
    rows = []
    for fold, (train, test) in enumerate(folds):
        x, new = read(train, test)
        for name in classifiers:
            said = classify(name, x, y[train], new, quick=quick, seed=seed)
            scores = agreement(y[test], said)
            rows += [(name, fold, metric, value) for metric, value in scores.items()]
    return pd.DataFrame(rows, columns=pd.Index(["classifier", "fold", "metric", "value"]))


def agreement(truth: np.ndarray, said: np.ndarray) -> dict[str, float]:
    """Return `accuracy`, `balanced_accuracy` and `macro_f1` over the classes of the truth.

    >>> agreement(np.array([0, 0, 1]), np.array([0, 0, 0]))["balanced_accuracy"]
    0.5
    """
    classes, hit = np.unique(truth), said == truth
    return {
        "accuracy": float(hit.mean()),
        "balanced_accuracy": float(np.mean([hit[truth == one].mean() for one in classes])),
        "macro_f1": float(f1_score(truth, said, average="macro", labels=classes)),
    }


def classify(
    name: str, x: np.ndarray, y: np.ndarray, new: np.ndarray, *, quick: bool = False, seed: int = 0
) -> np.ndarray:
    """Return the classes of new rows after training on others.

    Args:
      name: of the classifier.
      x: [n, dimensions] to train on.
      y: [n] their classes, at least two.
      new: [m, dimensions].
      quick, seed: as for `fold_scores`.

    Raises:
      InputError: an unknown classifier, or XGBoost where it is not installed.
    """
    classes, codes = np.unique(y, return_inverse=True)
    model: Any
    if name == "xgboost":
        threads = 1 if quick or x.size < ALONE else None
        model = boosted_trees(quick, seed, threads)
    elif name == "logistic":
        model = LogisticRegression(max_iter=2000, tol=1e-3 if quick else 1e-4)
    elif name == "knn":
        model = KNeighborsClassifier(min(10, len(x)))
    else:
        raise unknown("classifier", name, CLASSIFIERS)
    return classes[model.fit(x, codes).predict(new)]


def boosted_trees(quick: bool, seed: int, threads: int | None = None) -> Any:
    """Return an untrained XGBoost classifier: 200 trees of depth 6 at rate 0.3, by histograms.

    Quick: 50 trees of depth 3 on 64 bins, each of a tenth of the columns. Threads that wait for
    each other on a busy machine are many times slower than one; by default all cores are used.

    Raises:
      InputError: the package xgboost is not installed.
    """
    try:
        from xgboost import XGBClassifier
    except ImportError:
        raise InputError(
            "expected the package xgboost for boosted trees, found none; install "
            "jaxomics[eval], or leave `xgboost` out of the classifiers"
        ) from None
    size: dict[str, Any] = {"n_estimators": 200, "max_depth": 6}
    if quick:
        size = {"n_estimators": 50, "max_depth": 3, "max_bin": 64, "colsample_bytree": 0.1}
    return XGBClassifier(
        tree_method="hist", learning_rate=0.3, random_state=seed, n_jobs=threads, **size
    )


def available(classifiers: Iterable[str] = CLASSIFIERS) -> tuple[str, ...]:
    """Return those classifiers whose packages are installed."""
    from importlib.util import find_spec

    return tuple(name for name in classifiers if name != "xgboost" or find_spec("xgboost"))
