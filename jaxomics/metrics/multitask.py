"""How well the heads of a model predict classes and values.

The five scores of classes are those of Zhang et al. (OmiEmbed), Cancers 2021: accuracy, and
precision, recall, F1 and one-vs-rest AUC averaged over classes, each class alike. A class without
samples has no AUC; the average is then over the classes that are there, and `absent` names the
others.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    mean_absolute_error,
    mean_squared_error,
    median_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    roc_auc_score,
)

from jaxomics.errors import InputError


def class_scores(
    codes: np.ndarray, probabilities: np.ndarray, predicted: np.ndarray | None = None
) -> dict[str, float]:
    """Return the five scores of a classifier.

    Precision of a class that is never predicted counts 0. Averages of precision, recall and F1
    are over the classes that are there or were predicted.

    Args:
      codes: int [n], the true classes.
      probabilities: [n, classes], finite; columns in the order of the codes.
      predicted: int [n], the predicted classes; by default the most probable ones. Only the AUC
        reads probabilities.

    Returns:
      `accuracy`, `macro_precision`, `macro_recall`, `macro_f1`, `macro_auc`; the AUC is NaN
      where all samples are of one class.

    Raises:
      InputError: no samples, arrays that do not fit, unknown codes, probabilities that are none.

    >>> scores = class_scores(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]))
    >>> [round(scores[name], 3) for name in ("accuracy", "macro_precision", "macro_auc")]
    [0.667, 0.75, 1.0]
    """
    codes, probabilities = _checked(codes, probabilities)
    predicted = probabilities.argmax(axis=1) if predicted is None else predicted
    precision, recall, f1, _ = precision_recall_fscore_support(
        codes,
        predicted,
        average="macro",
        zero_division=0,  # pyright: ignore[reportArgumentType]
    )
    area = [a for a in one_vs_rest(codes, probabilities) if not np.isnan(a)]
    return {
        "accuracy": float(accuracy_score(codes, predicted)),
        "macro_precision": float(precision),
        "macro_recall": float(recall),
        "macro_f1": float(f1),
        "macro_auc": float(np.mean(area)) if area else float("nan"),
    }


def one_vs_rest(codes: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve of each class against the rest, [classes].

    NaN for a class that no sample or every sample has; arguments as for `class_scores`.
    """
    codes, probabilities = _checked(codes, probabilities)
    areas = np.full(probabilities.shape[1], np.nan)
    for code in np.unique(codes):
        own = codes == code
        if not own.all():
            areas[code] = roc_auc_score(own, probabilities[:, code])
    return areas


def absent(codes: np.ndarray, classes: Sequence[str]) -> list[str]:
    """Return the classes that no sample has.

    >>> absent(np.array([0, 0, 2]), ["a", "b", "c"])
    ['b']
    """
    there = set(np.unique(codes).tolist())
    return [name for code, name in enumerate(classes) if code not in there]


def value_scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Return the scores of a regression.

    Args:
      truth, predicted: [n], finite.

    Returns:
      `mse`, `rmse`, `mae`, `median_ae`, `r2`; R2 against the mean of these samples, NaN for
      fewer than two of them.

    Raises:
      InputError: no samples, or arrays that do not fit.

    >>> value_scores(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    {'mse': 0.5, 'rmse': 0.7071067811865476, 'mae': 0.5, 'median_ae': 0.5, 'r2': 0.5}
    """
    truth, predicted = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if not len(truth) or truth.shape != predicted.shape:
        raise InputError(
            f"expected values of the same samples, found {truth.shape} and {predicted.shape}"
        )
    squared = float(mean_squared_error(truth, predicted))
    return {
        "mse": squared,
        "rmse": squared**0.5,
        "mae": float(mean_absolute_error(truth, predicted)),
        "median_ae": float(median_absolute_error(truth, predicted)),
        "r2": float(r2_score(truth, predicted)) if len(truth) > 1 else float("nan"),
    }


def _checked(codes: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return codes and probabilities, or raise if they do not fit each other."""
    codes, probabilities = np.asarray(codes), np.asarray(probabilities, np.float64)
    if probabilities.ndim != 2 or len(codes) != len(probabilities) or not len(codes):
        raise InputError(
            "expected one class and one row of probabilities per sample, found "
            f"{codes.shape} and {probabilities.shape}"
        )
    if not np.isfinite(probabilities).all():
        raise InputError("expected probabilities, found missing values; leave these samples out")
    if codes.min() < 0 or codes.max() >= probabilities.shape[1]:
        raise InputError(
            f"expected codes of {probabilities.shape[1]} classes, found {codes.min()} to "
            f"{codes.max()}; leave out samples without a class"
        )
    return codes, probabilities
