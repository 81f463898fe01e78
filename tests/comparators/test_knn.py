import numpy as np
from sklearn.impute import KNNImputer
from sklearn.metrics.pairwise import nan_euclidean_distances

from jaxomics.comparators import knn, registry


def holed(seed=0):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(50, 12))
    rows[random.random(rows.shape) < 0.2] = np.nan
    rows[:15, 8:] = np.nan
    return rows


def test_distances_equal_scikit_learn_up_to_the_number_of_features():
    rows = holed()
    expected = nan_euclidean_distances(rows, rows[:20]) / np.sqrt(rows.shape[1])
    np.testing.assert_allclose(knn.distances(rows, rows[:20]), expected, atol=1e-6)


def test_missing_cells_equal_scikit_learn():
    rows = holed()
    rows = (rows - np.nanmean(rows, axis=0)) / np.nanstd(rows, axis=0)
    expected = KNNImputer(n_neighbors=10, weights="distance").fit_transform(rows)
    completed = registry.get("knn").fit({"a": rows}).reconstruct({"a": rows})["a"]
    missing = np.isnan(rows)
    np.testing.assert_allclose(completed[missing], expected[missing], atol=1e-9)


def test_training_samples_keep_their_measured_cells():
    rows = holed()
    completed = registry.get("knn").fit({"a": rows}).reconstruct({"a": rows})["a"]
    measured = ~np.isnan(rows)
    np.testing.assert_allclose(completed[measured], rows[measured], atol=1e-4)


def test_blocks_of_samples_do_not_change_the_result(monkeypatch):
    rows = holed()
    fitted = registry.get("knn").fit({"a": rows})
    whole = fitted.reconstruct({"a": rows})["a"]
    monkeypatch.setattr(knn, "_BLOCK", 7)
    np.testing.assert_allclose(fitted.reconstruct({"a": rows})["a"], whole, atol=1e-9)
