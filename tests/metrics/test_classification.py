"""Class scores: those of scikit-learn, and the best renaming by trying all."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from jaxomics.errors import InputError
from jaxomics.metrics.classification import (
    CELL_COLUMNS,
    CONFUSION_COLUMNS,
    accuracy,
    balanced_accuracy,
    confusion_matrix,
    evaluate_classes,
    macro_jaccard,
    matched_accuracy,
    recalls,
)
from jaxomics.metrics.tables import SCORE_COLUMNS

CLASSES = 4
codes = st.integers(0, CLASSES - 1)
pairs = st.lists(st.tuples(codes, codes), min_size=1, max_size=30).map(np.array)


@given(pairs)
@pytest.mark.filterwarnings("ignore:y_pred contains classes", "ignore:A single label was found")
def test_scores_are_those_of_scikit_learn(pairs: np.ndarray):
    truth, predicted = pairs.T
    confusion = confusion_matrix(truth, predicted, CLASSES)
    expected = sk.confusion_matrix(truth, predicted, labels=range(CLASSES))
    np.testing.assert_array_equal(confusion, expected)
    assert accuracy(confusion) == pytest.approx(sk.accuracy_score(truth, predicted))
    weighted = sk.balanced_accuracy_score(truth, predicted)
    assert balanced_accuracy(confusion) == pytest.approx(weighted)
    jaccard = sk.jaccard_score(truth, predicted, average="macro")
    assert macro_jaccard(confusion) == pytest.approx(jaccard)
    present = np.unique(truth)
    found = sk.recall_score(truth, predicted, labels=present, average=None, zero_division=0)
    np.testing.assert_allclose(recalls(confusion)[present], found)
    assert np.isnan(np.delete(recalls(confusion), present)).all()


@given(pairs)
def test_the_best_renaming_is_the_best_of_all(pairs: np.ndarray):
    truth, predicted = pairs.T
    best = max(np.mean(np.array(names)[predicted] == truth) for names in permutations(range(4)))
    assert matched_accuracy(confusion_matrix(truth, predicted, CLASSES)) == pytest.approx(best)


def test_nothing_scores_nan():
    nothing = np.zeros((3, 3), int)
    for score in (accuracy, balanced_accuracy, macro_jaccard, matched_accuracy):
        assert np.isnan(score(nothing))


def predictions(rows: list[tuple[str, str, str]]) -> pd.DataFrame:
    """A table of sample, view, class with probabilities of two classes."""
    table = pd.DataFrame(rows, columns=["sample", "view", "class"])
    return table.assign(p_x=(table["class"] == "x") * 1.0, p_y=(table["class"] == "y") * 1.0)


TABLE = predictions(
    [
        ("a", "rna", "x"),
        ("b", "rna", "x"),
        ("c", "drug", "x"),
        ("d", "drug", "y"),
        ("e", "drug", "x"),
    ]
)
LABELS = pd.Series({"a": "x", "b": "y", "c": "y", "d": "x", "e": None, "f": "x"})


def value(scores: pd.DataFrame, metric: str, view: str) -> float:
    return scores[(scores.metric == metric) & (scores.view == view)].value.item()


def test_views_are_scored_apart_and_pooled():
    found = evaluate_classes(TABLE, LABELS, dataset="toy", model="modis", fold=2, seed=3)
    assert list(found.scores.columns) == SCORE_COLUMNS
    assert set(found.scores.fold) == {2}
    assert set(found.scores.seed) == {3}
    shares = {"rna": 0.5, "drug": 0.0, "all": 0.25}
    assert {view: value(found.scores, "accuracy", view) for view in shares} == shares
    renamed = {"rna": 0.5, "drug": 1.0, "all": 0.75}
    assert {view: value(found.scores, "matched_accuracy", view) for view in renamed} == renamed
    assert found.scores.attrs["notes"] == ["scores leave out 1 sample without a label"]


def test_cells_and_confusion_are_tidy():
    found = evaluate_classes(TABLE, LABELS)
    assert list(found.cells.columns) == CELL_COLUMNS
    cells = found.cells.set_index(["view", "class"])
    assert cells.loc[("rna", "x")].tolist() == [1.0, 1]
    assert cells.loc[("all", "x")].tolist() == [0.5, 2]
    assert list(found.confusion.columns) == CONFUSION_COLUMNS
    counts = found.confusion.set_index(["view", "truth", "class"])["n"]
    assert counts["drug", "y", "x"] == 1
    assert counts.groupby("view").sum().to_dict() == {"rna": 2, "drug": 2, "all": 4}


def test_predictions_from_all_views_stand_alone():
    found = evaluate_classes(TABLE.assign(view="all"), LABELS)
    assert set(found.scores.view) == {"all"}
    assert set(found.cells.view) == {"all"}


def test_a_class_that_the_model_does_not_know_is_left_out_and_told():
    found = evaluate_classes(TABLE, LABELS.drop("b").fillna("new"))
    assert value(found.scores, "accuracy", "rna") == 1
    assert found.scores.attrs["notes"] == [
        "scores leave out 1 sample of classes that the model does not know: new",
        "scores leave out 1 sample without a label",
    ]


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(InputError, match="among x, y for the predicted samples, found none"):
        evaluate_classes(TABLE, LABELS.map({"x": "q", "y": "r"}))
    with pytest.raises(InputError, match="expected predictions with columns"):
        evaluate_classes(TABLE[["sample", "view", "class"]], LABELS)
