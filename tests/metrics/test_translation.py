import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    mean_absolute_error,
    mean_squared_error,
    median_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from jaxomics.metrics import translation
from jaxomics.metrics.translation import (
    NINE,
    evaluate_translation,
    feature_r2,
    sample_r2,
    translation_scores,
)


def expression(seed=0, samples=37, features=53):
    """Float32 tables with constant features, near-constant ones, and a biased prediction."""
    random = np.random.default_rng(seed)
    truth = random.normal(3, 2, size=(samples, features)).astype(np.float32)
    truth[:, :3] = [0.0, 0.1, 7.3]
    truth[:, 3] = 1e-3 * random.random(samples)
    predicted = truth + random.normal(0, 0.8, size=truth.shape).astype(np.float32)
    predicted[:, :2] = truth[:, :2]
    predicted[:, 2] = 7.4
    predicted[:, 3] = 0.05
    return truth, predicted


def by_scikit_learn(truth, predicted):
    t, p = truth.astype(np.float64), predicted.astype(np.float64)
    r2 = np.asarray(r2_score(t, p, multioutput="raw_values"))
    values = (
        np.mean([mean_squared_error(*pair) for pair in zip(t, p, strict=True)]),
        np.mean([root_mean_squared_error(*pair) for pair in zip(t, p, strict=True)]),
        np.mean([mean_absolute_error(*pair) for pair in zip(t, p, strict=True)]),
        np.mean([median_absolute_error(*pair) for pair in zip(t, p, strict=True)]),
        np.mean([r2_score(*pair) for pair in zip(t, p, strict=True)]),
        r2.mean(),
        np.median(r2),
        (r2 > 0.3).sum(),
        (r2 > 0.3).mean(),
    )
    return dict(zip(NINE, values, strict=True))


def test_the_nine_equal_scikit_learn():
    truth, predicted = expression()
    got, expected = translation_scores(truth, predicted), by_scikit_learn(truth, predicted)
    assert expected["mean_r2"] < -10  # one near-constant feature decides
    for name in NINE:
        assert got[name] == pytest.approx(expected[name], rel=1e-9), name


def test_blocks_do_not_change_the_scores(monkeypatch):
    truth, predicted = expression()
    truth[5:9, 20:] = np.nan
    whole = translation_scores(truth, predicted)
    monkeypatch.setattr(translation, "CELLS", 90)
    assert translation_scores(truth, predicted) == pytest.approx(whole, rel=1e-12)


def test_constant_features_follow_the_rule_and_are_counted():
    truth, predicted = expression()
    scores = translation_scores(truth, predicted)
    r2 = feature_r2(truth, predicted)
    assert r2[:3].tolist() == [1.0, 1.0, 0.0]
    assert scores["n_constant"] == 3
    assert scores["mean_r2_varying"] == pytest.approx(r2[3:].mean())
    # A feature that varies by 1e-5 or so is no constant, but does not count as varying either.
    truth[:, 3] /= 100
    assert translation_scores(truth, predicted)["n_constant"] == 3
    varying = translation_scores(truth, predicted)["mean_r2_varying"]
    assert varying == pytest.approx(r2[4:].mean())


def test_constants_that_no_binary_number_holds_are_constant():
    truth = np.full((7, 1), 0.1)
    assert feature_r2(truth, truth + 1e-9).tolist() == [0.0]
    assert feature_r2(truth, truth).tolist() == [1.0]


def test_small_variance_around_a_large_mean_is_exact():
    truth = 1e4 + np.array([[0.0], [1e-3], [2e-3], [3e-3]])
    assert feature_r2(truth, truth[[1, 0, 2, 3]])[0] == pytest.approx(0.6, abs=1e-6)


def test_missing_cells_are_left_out():
    truth, predicted = expression()
    truth = truth[:, 4:]
    holes = np.random.default_rng(1).random(truth.shape) < 0.3
    truth = np.where(holes, np.nan, truth)
    r2 = feature_r2(truth, predicted[:, 4:])
    for column in (0, 20, 48):
        seen = ~holes[:, column]
        expected = r2_score(truth[seen, column], predicted[seen, 4 + column])
        assert r2[column] == pytest.approx(expected)
    scores = translation_scores(truth, predicted[:, 4:])
    squares = (truth - predicted[:, 4:])[~holes] ** 2
    assert scores["mse"] == pytest.approx(squares.mean())
    assert sample_r2(truth.T, predicted[:, 4:].T) == pytest.approx(r2)


def test_nothing_to_score_is_nan_not_a_number():
    truth = np.array([[1.0, np.nan], [np.nan, np.nan]])
    scores = translation_scores(truth, np.zeros((2, 2)))
    assert (scores["mse"], scores["sample_rmse"]) == (1.0, 1.0)
    assert np.isnan([scores["sample_r2"], scores["mean_r2"], scores["median_r2"]]).all()
    assert scores["n_constant"] == 0
    empty = translation_scores(np.zeros((0, 3)), np.zeros((0, 3)))
    assert np.isnan(empty["mse"])
    with pytest.raises(ValueError, match="one shape"):
        translation_scores(np.zeros((2, 2)), np.zeros((2, 3)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 100), st.floats(-100, 100))
def test_r2_does_not_depend_on_units(seed, scale, shift):
    truth, predicted = expression(seed % 1000, 12, 8)
    plain = feature_r2(truth[:, 4:], predicted[:, 4:])
    changed = feature_r2(scale * truth[:, 4:] + shift, scale * predicted[:, 4:] + shift)
    np.testing.assert_allclose(changed, plain, rtol=1e-3, atol=1e-3)


def test_tables_carry_the_nine_and_r2_by_feature():
    truth, predicted = (pd.DataFrame(t).add_prefix("g") for t in expression())
    scores, features = evaluate_translation(predicted, truth, "toy", "m", "rna")
    value = scores.set_index("metric")["value"]
    assert value.index.is_unique
    assert set(NINE) | {"mean_r2_varying", "n_constant"} <= set(value.index)
    r2 = features[features["metric"] == "r2"]
    assert len(r2) == 53
    assert r2["value"].median() == pytest.approx(value["median_r2"])
    # The share of variance against training means is another number than the mean over features.
    zero = pd.Series(0.0, truth.columns)
    scores, _ = evaluate_translation(predicted, truth, reference_mean=zero)
    assert scores.set_index("metric")["value"]["r2"] > value["r2"]
