"""Are predicted classes right? Most scores are functions of the confusion matrix.

A confusion matrix counts samples [true class, predicted class]. Classes that no sample has do not
enter a mean. Scores equal those of scikit-learn where it has them. The five scores of
`metrics.multitask` stand beside; the area under the ROC curve is the one that reads probabilities.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from jaxomics.errors import InputError
from jaxomics.metrics.multitask import absent, class_scores
from jaxomics.metrics.tables import SCORE_COLUMNS, join, score_rows

CLASSES = "classes"
"""Mode of the scores of predicted classes."""

ALL = "all"
"""`view` of a score that pools the views, and of predictions from all views together."""

PROBABILITY = "p_"
"""What the columns of probabilities begin with; the name of the class follows."""

CELL_COLUMNS = ["view", "class", "recall", "n"]
"""Columns of the recall per view and class; `n` counts the samples of the class in the view."""

CONFUSION_COLUMNS = ["view", "truth", "class", "n"]
"""Columns of confusion matrices as a table; `class` is the predicted one."""


class ClassScores(NamedTuple):
    """How well classes were predicted.

    Attributes:
      scores: rows with `SCORE_COLUMNS`, pooled over views (view `all`) and per view; see
        `summary_scores` and `multitask.class_scores`. `attrs["notes"]` tells which samples were
        left out, and which classes no sample has.
      cells: recall per view and class, and pooled, with `CELL_COLUMNS`.
      confusion: counts per view, and pooled, with `CONFUSION_COLUMNS`; all pairs of classes.
    """

    scores: pd.DataFrame
    cells: pd.DataFrame
    confusion: pd.DataFrame


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return how often each class was predicted for each true class, int [classes, classes].

    Args:
      truth: [samples] codes from 0 on; samples with a negative code count nowhere.
      predicted: [samples] codes.
      classes: how many classes there are.

    >>> confusion_matrix(np.array([0, 0, 1, -1]), np.array([0, 1, 1, 0]), 2)
    array([[1, 1],
           [0, 1]])
    """
    known = truth >= 0
    pairs = truth[known] * classes + predicted[known]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def accuracy(confusion: np.ndarray) -> float:
    """Return the share of samples whose class is right; NaN without samples."""
    return _ratio(np.trace(confusion), confusion.sum())


def recalls(confusion: np.ndarray) -> np.ndarray:
    """Return the share of each class that is found, [classes]; NaN for a class without samples.

    >>> recalls(np.array([[1, 1], [0, 0]]))
    array([0.5, nan])
    """
    size = confusion.sum(axis=1)
    return np.where(size > 0, np.diag(confusion) / np.maximum(size, 1), np.nan)


def balanced_accuracy(confusion: np.ndarray) -> float:
    """Return the mean recall over the classes that have samples.

    It is the accuracy with each sample weighted by one over the size of its class.
    """
    found = recalls(confusion)
    return _mean(found[~np.isnan(found)])


def macro_jaccard(confusion: np.ndarray) -> float:
    """Return the mean over classes of TP / (TP + FP + FN); classes never seen are left out."""
    hit = np.diag(confusion)
    union = confusion.sum(axis=0) + confusion.sum(axis=1) - hit
    return _mean(hit[union > 0] / union[union > 0])


def matched_accuracy(confusion: np.ndarray) -> float:
    """Return the accuracy after the renaming of predicted classes that makes it largest.

    The renaming is one to one (the assignment problem), so this is what a clustering can reach
    that has found the classes and cannot know their names.

    >>> matched_accuracy(np.array([[0, 4], [3, 1]]))
    0.875
    """
    return _ratio(_matched(confusion), confusion.sum())


def summary_scores(confusion: np.ndarray) -> dict[str, float]:
    """Return accuracy, balanced accuracy, macro Jaccard and matched accuracy by name."""
    return {
        "accuracy": accuracy(confusion),
        "balanced_accuracy": balanced_accuracy(confusion),
        "macro_jaccard": macro_jaccard(confusion),
        "matched_accuracy": matched_accuracy(confusion),
    }


def evaluate_classes(
    predictions: pd.DataFrame, labels: pd.Series, **about: str | int
) -> ClassScores:
    """Score a table of predicted classes against labels.

    The pooled `matched_accuracy` renames the classes of each view by itself.

    Args:
      predictions: columns sample, view, class and one p_CLASS per class of the model, as
        `predict` gives them; view `all` where all views of a sample were read together.
      labels: class by sample; samples without one, or of a class that the model does not know,
        are left out and told in `attrs["notes"]` of the scores.
      about: dataset, model, fold, seed, mode of the rows.

    Raises:
      InputError: the table is none of predictions, or no predicted sample has a known class.
    """
    names = class_names(predictions)
    notes: list[str] = []
    judged = _judged(predictions, labels, names, notes)
    matrices = {
        view: confusion_matrix(rows["truth"].to_numpy(), rows["code"].to_numpy(), len(names))
        for view, rows in judged.groupby("view", sort=False)
    }
    views = list(matrices)
    if views != [ALL]:
        matrices[ALL] = np.sum([matrices[view] for view in views], axis=0)
    shares = predictions[[f"{PROBABILITY}{name}" for name in names]].to_numpy(float)[judged.index]
    tables = []
    for view, matrix in matrices.items():
        rows = np.full(len(judged), True) if view == ALL else (judged["view"] == view).to_numpy()
        values = summary_scores(matrix) | _five(judged[rows], shares[rows])
        if view == ALL:
            matched = sum(_matched(matrices[name]) for name in views)
            values["matched_accuracy"] = _ratio(matched, matrix.sum())
        tables.append(score_rows(values, view=str(view), **about))
    scores = join(tables, SCORE_COLUMNS)
    scores.attrs["notes"] = notes
    return ClassScores(scores, _cell_table(matrices, names), _confusion_table(matrices, names))


def class_text(labels: pd.Series) -> pd.Series:
    """Return classes as text, missing where there is none; whole numbers lose their `.0`.

    >>> class_text(pd.Series([1.0, None, 2.0])).tolist()
    ['1', <NA>, '2']
    """
    kind = labels.dtype
    if pd.api.types.is_float_dtype(kind) and (labels.dropna() % 1 == 0).all():
        return labels.astype("Int64").astype("string")
    return labels.astype("string")


def class_names(predictions: pd.DataFrame) -> list[str]:
    """Return the classes of a table of predictions, from its columns of probabilities.

    Raises:
      InputError: the table lacks a column of predictions.
    """
    names = [
        str(c).removeprefix(PROBABILITY) for c in predictions if str(c).startswith(PROBABILITY)
    ]
    absent = [c for c in ("sample", "view", "class") if c not in predictions]
    if absent or not names:
        raise InputError(
            "expected predictions with columns sample, view, class and p_CLASS, found "
            f"{', '.join(map(str, predictions.columns[:6]))}; make them with `jaxomics predict`"
        )
    return names


def _judged(
    predictions: pd.DataFrame, labels: pd.Series, names: list[str], notes: list[str]
) -> pd.DataFrame:
    """Return view, truth and code (both numbers) of the predictions whose class is known."""
    truth = class_text(labels).reindex(predictions["sample"])
    codes = pd.Categorical(truth, categories=names).codes
    samples = predictions["sample"].to_numpy()
    empty = truth.isna().to_numpy()
    foreign = (codes < 0) & ~empty
    if foreign.any():
        strange = sorted(set(truth[foreign]))
        notes.append(
            f"scores leave out {_count(samples[foreign])} of classes that the model does not "
            f"know: {_some(strange)}"
        )
    if empty.any():
        notes.append(f"scores leave out {_count(samples[empty])} without a label")
    known = codes >= 0
    if not known.any():
        raise InputError(
            f"expected labels among {', '.join(names)} for the predicted samples, found none; "
            "check the label column and the sample ids"
        )
    lacking = absent(codes[known], names)
    if lacking:
        notes.append(
            f"no sample is of {_some(lacking)}: the area under the curve is a mean over the others"
        )
    predicted = pd.Categorical(class_text(predictions["class"]), categories=names).codes
    table = pd.DataFrame(
        {"view": predictions["view"].to_numpy(), "truth": codes, "code": predicted}
    )
    return table[known].astype({"truth": int, "code": int})


def _five(judged: pd.DataFrame, shares: np.ndarray) -> dict[str, float]:
    """Return the five scores of `class_scores` for rows of `_judged` and their probabilities."""
    predicted = judged["code"].to_numpy()
    return class_scores(judged["truth"].to_numpy(), shares, predicted)


def _cell_table(matrices: dict, names: list[str]) -> pd.DataFrame:
    """Return the recall of each class in each view."""
    rows = [
        (view, name, recall, size)
        for view, matrix in matrices.items()
        for name, recall, size in zip(names, recalls(matrix), matrix.sum(axis=1), strict=True)
    ]
    return pd.DataFrame(rows, columns=pd.Index(CELL_COLUMNS))


def _confusion_table(matrices: dict, names: list[str]) -> pd.DataFrame:
    """Return all cells of all confusion matrices."""
    rows = [
        (view, truth, name, matrix[i, j])
        for view, matrix in matrices.items()
        for i, truth in enumerate(names)
        for j, name in enumerate(names)
    ]
    return pd.DataFrame(rows, columns=pd.Index(CONFUSION_COLUMNS))


def _some(classes: list[str]) -> str:
    """Return the first classes of a list."""
    return f"{', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''}"


def _count(samples: np.ndarray) -> str:
    """Return how many different samples there are, in words."""
    number = len(set(samples))
    return f"{number} sample{'' if number == 1 else 's'}"


def _matched(confusion: np.ndarray) -> int:
    """Return how many samples are right after the best renaming."""
    return int(confusion[linear_sum_assignment(confusion, maximize=True)].sum())


def _ratio(part: float, whole: float) -> float:
    """Return a share, NaN of nothing."""
    return float(part / whole) if whole else float("nan")


def _mean(values: np.ndarray) -> float:
    """Return a mean, NaN of nothing."""
    return float(values.mean()) if len(values) else float("nan")
