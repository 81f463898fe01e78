"""Scores of heads by hand, by pairs, and as scikit-learn has them for whole problems."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

from jaxomics.errors import InputError
from jaxomics.metrics.multitask import absent, class_scores, one_vs_rest, value_scores


def drawn(seed: int, n: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes in which every class occurs, and probabilities that know a little."""
    rng = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(classes), rng.integers(0, classes, n)])
    scores = rng.normal(size=(len(codes), classes)) + 1.5 * np.eye(classes)[codes]
    return codes, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


def test_by_hand():
    # Predicted 0 0 1 1 for 0 1 1 1: precision 1/2 and 1, recall 1 and 2/3.
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]])
    found = class_scores(np.array([0, 1, 1, 1]), probabilities)
    assert found == pytest.approx(
        {
            "accuracy": 0.75,
            "macro_precision": 0.75,
            "macro_recall": 5 / 6,
            "macro_f1": (2 / 3 + 4 / 5) / 2,
            "macro_auc": 1.0,
        }
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(3, 6))
def test_equals_scikit_learn(seed: int, classes: int):
    codes, probabilities = drawn(seed, 60, classes)
    predicted = probabilities.argmax(axis=1)
    found = class_scores(codes, probabilities)
    for name, score in (("precision", precision_score), ("recall", recall_score), ("f1", f1_score)):
        expected = score(codes, predicted, average="macro", zero_division=0)
        assert found[f"macro_{name}"] == pytest.approx(expected, abs=1e-6)
    area = roc_auc_score(codes, probabilities, multi_class="ovr", average="macro")
    assert found["macro_auc"] == pytest.approx(area, abs=1e-6)


def test_area_is_the_share_of_ordered_pairs():
    codes, probabilities = drawn(3, 30, 3)
    for code, area in enumerate(one_vs_rest(codes, probabilities)):
        own, rest = probabilities[codes == code, code], probabilities[codes != code, code]
        assert area == pytest.approx(np.mean(own[:, None] > rest[None]))


def test_classes_without_samples_do_not_enter_the_area():
    codes, probabilities = drawn(0, 40, 4)
    kept = codes != 2
    areas = one_vs_rest(codes[kept], probabilities[kept])
    assert np.isnan(areas).tolist() == [False, False, True, False]
    found = class_scores(codes[kept], probabilities[kept])
    assert found["macro_auc"] == pytest.approx(np.nanmean(areas))
    assert absent(codes[kept], ["a", "b", "c", "d"]) == ["c"]


def test_one_class_has_no_area():
    found = class_scores(np.zeros(3, int), np.tile([0.7, 0.3], (3, 1)))
    assert np.isnan(found["macro_auc"])
    assert found["accuracy"] == 1.0


def test_values_by_hand():
    found = value_scores(np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 1.0]))
    assert found == pytest.approx(
        {"mse": 10 / 3, "rmse": (10 / 3) ** 0.5, "mae": 4 / 3, "median_ae": 1.0, "r2": 1 - 10 / 8}
    )
    assert np.isnan(value_scores(np.ones(1), np.ones(1))["r2"])


@pytest.mark.parametrize(
    ("codes", "shape", "said"),
    [
        ([], (0, 2), "one class and one row"),
        ([0, 1], (3, 2), "one class and one row"),
        ([0, 2], (2, 2), "codes of 2 classes, found 0 to 2"),
        ([0, -1], (2, 2), "found -1 to 0; leave out samples without a class"),
    ],
)
def test_what_does_not_fit_is_refused(codes: list, shape: tuple, said: str):
    with pytest.raises(InputError, match=said):
        class_scores(np.array(codes, int), np.full(shape, 0.5))
    with pytest.raises(InputError, match="values of the same samples"):
        value_scores(np.zeros(2), np.zeros(3))
