"""Predicted classes in cross-validation, beside logistic regression on each view alone.

A class that a simple classifier of one view finds as well says nothing about joining views, so
both learn from the same labels and are asked for the same samples.
"""

import warnings
from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jaxomics.comparator import Comparator
from jaxomics.crossval.modes import HeldOut, column_means
from jaxomics.data.container import MultiOmics
from jaxomics.data.split import Fold
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.inference.labels import Classes
from jaxomics.metrics.classification import (
    ALL,
    CLASSES,
    PROBABILITY,
    ClassScores,
    class_text,
    evaluate_classes,
)
from jaxomics.metrics.tables import ALL_FOLDS

LOGISTIC = "logistic"
"""Name of the classifier that stands beside a model."""


class ClassVotes:
    """Collects what the model of each fold predicts of its test samples.

    Args:
      held: the cohort and its folds.
    """

    def __init__(self, held: HeldOut):
        self._held = held
        self._folds = list(held.folds)
        self._said: list[pd.DataFrame] = []
        self._beside: list[pd.DataFrame] = []
        self._classes = Classes(None, ())

    def add(self, estimator: Estimator | Comparator) -> None:
        """Ask the model of the next fold, if it predicts classes that are known of some samples."""
        if not estimator.classes_ or "predict" not in estimator.entry.verbs:
            return
        if estimator.label_ not in self._held.cohort.labels.columns:
            return
        number = len(self._said)
        fold, cohort = self._folds[number], self._held.cohort
        self._classes = Classes(estimator.label_, estimator.classes_)
        said = estimator.predict(cohort.select_samples(fold.test))
        about = {"fold": number, "repeat": fold.repeat}
        self._said.append(said.assign(model=estimator.entry.name, **about))
        beside = logistic(cohort, fold, self._classes, said["view"].unique())
        self._beside.append(beside.assign(model=LOGISTIC, **about))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return scores of both, predictions, and recall and confusions of the model; or nothing.

        Scores stand per fold, and under `fold` -1 for all folds of a repeat together.
        """
        if not self._said:
            return {}
        both = pd.concat([*self._said, *self._beside], ignore_index=True)
        scores, cells, confusions = [], [], []
        for model, repeat in both[["model", "repeat"]].drop_duplicates().to_numpy().tolist():
            rows = both[(both["model"] == model) & (both["repeat"] == repeat)]
            for fold in [ALL_FOLDS, *rows["fold"].unique().tolist()]:
                part = rows if fold == ALL_FOLDS else rows[rows["fold"] == fold]
                found = self._scored(pd.DataFrame(part), model, fold, repeat)
                if found is None:
                    continue
                scores.append(found.scores)
                if fold == ALL_FOLDS and model != LOGISTIC:
                    cells.append(found.cells.assign(repeat=repeat))
                    confusions.append(found.confusion.assign(repeat=repeat))
        joined = {"class_scores": scores, "recall": cells, "confusion": confusions}
        tables = {name: pd.concat(found, ignore_index=True) for name, found in joined.items()}
        return {**tables, "classes": both}

    def _scored(
        self, predictions: pd.DataFrame, model: str, fold: int, repeat: int
    ) -> ClassScores | None:
        """Return the scores of some predictions; None where no sample of them has a label."""
        labels = pd.Series(self._held.cohort.labels[self._classes.column])
        plan = self._held.plan
        about = {"dataset": plan.dataset, "model": model, "fold": fold, "seed": plan.seed + repeat}
        try:
            return evaluate_classes(predictions, labels, mode=CLASSES, **about)
        except InputError:
            return None


def logistic(
    cohort: MultiOmics, fold: Fold, classes: Classes, views: Iterable[str]
) -> pd.DataFrame:
    """Return what logistic regressions say of the test samples of a fold, as `predict` does.

    Features are standardised, and missing ones at the mean of the training samples. With labels
    of one class only, that class is predicted; without any, the first.

    Args:
      cohort: all samples.
      fold: whose training samples are learnt from.
      classes: column and names.
      views: each is regressed by itself; `all` takes all views side by side.
    """
    assert classes.column is not None
    labels = class_text(pd.Series(cohort.labels[classes.column]))
    tables = []
    for view in views:
        names = list(cohort.views) if view == ALL else [view]
        x = np.concatenate([cohort.array(name) for name in names], axis=1)
        here = ~np.isnan(x).all(axis=1)
        train = here & cohort.samples.isin(fold.train) & labels.notna().to_numpy()
        test = here & cohort.samples.isin(fold.test)
        filled = np.where(np.isnan(x), column_means(x[train]), x)
        chances = class_chances(filled[train], labels[train], filled[test], classes.names)
        best = np.asarray(classes.names)[chances.argmax(axis=1)]
        about = {"sample": cohort.samples[test], "view": view, "class": best}
        named = {f"{PROBABILITY}{name}": chances[:, i] for i, name in enumerate(classes.names)}
        tables.append(pd.DataFrame({**about, **named}))
    return pd.concat(tables, ignore_index=True)


def class_chances(
    x: np.ndarray, labels: pd.Series, asked: np.ndarray, names: tuple[str, ...]
) -> np.ndarray:
    """Return the probabilities [asked rows, classes] of a logistic regression.

    Args:
      x: [training rows, features], complete.
      labels: class of each training row, among `names`.
      asked: [asked rows, features].
      names: the classes.

    >>> class_chances(np.zeros((2, 1)), pd.Series(["b", "b"]), np.ones((1, 1)), ("a", "b"))
    array([[0., 1.]])
    """
    codes = pd.Categorical(labels, categories=list(names)).codes
    chances = np.zeros((len(asked), len(names)))
    found = np.unique(codes[codes >= 0])
    if len(found) < 2:
        chances[:, found[0] if len(found) else 0] = 1.0
    elif len(asked):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            fitted.fit(x, codes)
        chances[:, found] = fitted.predict_proba(asked)
    return chances
