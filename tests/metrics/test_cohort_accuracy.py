import sys

import numpy as np
import pytest

from jaxomics.errors import InputError
from jaxomics.metrics.cohort_accuracy import (
    available,
    class_folds,
    classify,
    fold_scores,
    principal_components,
    standard_units,
)


def ring(samples=160):
    """Two classes that no line divides."""
    z = np.random.default_rng(0).normal(size=(samples, 2))
    return z, (np.linalg.norm(z, axis=1) > 1.2).astype(int)


def test_trees_learn_what_a_line_cannot():
    pytest.importorskip("xgboost")
    z, y = ring()
    folds = class_folds(y, np.arange(len(y)))
    table = fold_scores(standard_units(z), y, folds, ("xgboost", "logistic"), quick=True)
    mean = table.groupby(["classifier", "metric"])["value"].mean()
    assert mean["xgboost", "accuracy"] > 0.85 > mean["logistic", "accuracy"]
    assert len(table) == 2 * 5 * 3


def test_classes_keep_their_names():
    z, y = ring()
    said = classify("logistic", z[:80] + 9 * y[:80, None], y[:80] + 7, z[80:] + 9 * y[80:, None])
    assert set(said) == {7, 8}


@pytest.mark.parametrize("reader", ["embedding", "components"])
def test_test_samples_do_not_reach_what_is_fitted(reader):
    z = np.random.default_rng(0).normal(size=(30, 6))
    train, test = np.arange(20), np.arange(20, 30)
    make = {"embedding": standard_units, "components": lambda t: principal_components(t, 3)}
    before, _ = make[reader](z)(train, test)
    z = z.copy()
    z[test] += 100
    after, moved = make[reader](z)(train, test)
    np.testing.assert_array_equal(before, after)
    assert abs(moved).max() > 10


def test_plain_components_keep_the_distances_of_the_table_and_whitened_ones_do_not():
    z = np.random.default_rng(0).normal(size=(40, 4)) * [9.0, 3.0, 1.0, 0.1]
    train, test = np.arange(30), np.arange(30, 40)
    apart = np.linalg.norm(z[test][:, None] - z[train], axis=2)
    for whiten in (False, True):
        x, new = principal_components(z, 4, scale=False, whiten=whiten)(train, test)
        found = np.linalg.norm(new[:, None] - x, axis=2)
        assert (np.ptp(found / apart) < 1e-9) == (not whiten)


def test_an_absent_package_and_unknown_names_are_told(monkeypatch):
    z, y = ring()
    with pytest.raises(InputError, match="svm"):
        classify("svm", z, y, z)
    monkeypatch.setitem(sys.modules, "xgboost", None)
    with pytest.raises(InputError, match=r"jaxomics\[eval\]"):
        classify("xgboost", z, y, z)
    assert "logistic" in available()
