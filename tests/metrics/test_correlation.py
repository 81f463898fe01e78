import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxomics.metrics.correlation import (
    mean_squared_error,
    pearson,
    relative_squared_error,
    skewness,
    spearman,
)


def holed(seed, shape=(40, 6)):
    random = np.random.default_rng(seed)
    x = random.normal(size=shape)
    y = np.round(x + random.normal(size=shape), 1)
    x[random.random(shape) < 0.2] = np.nan
    y[random.random(shape) < 0.1] = np.nan
    return x, y


@pytest.mark.parametrize(
    ("ours", "reference"), [(pearson, stats.pearsonr), (spearman, stats.spearmanr)]
)
def test_correlations_equal_scipy_on_complete_pairs(ours, reference):
    x, y = holed(0)
    got = ours(x, y)
    for column in range(x.shape[1]):
        both = ~np.isnan(x[:, column]) & ~np.isnan(y[:, column])
        expected = reference(x[both, column], y[both, column]).statistic
        assert got[column] == pytest.approx(expected, abs=1e-12)
    np.testing.assert_allclose(ours(x.T, y.T, axis=1), got)
    assert np.shape(ours(x, y, None)) == ()


def test_fifteen_pairs_are_too_few_and_sixteen_enough():
    x, y = np.arange(16.0), np.arange(16.0) ** 2
    assert not np.isnan(pearson(x, y))
    assert np.isnan(pearson(x[:15], y[:15]))


def test_a_constant_side_has_no_correlation():
    x = np.arange(20.0)
    for constant in (0.0, 0.1, 1e12):
        assert np.isnan(pearson(x, np.full(20, constant)))
        assert np.isnan(spearman(np.full(20, constant), x))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.01, 100), st.floats(-100, 100))
def test_pearson_ignores_units_and_spearman_any_rising_map(seed, scale, shift):
    x, y = holed(seed)
    np.testing.assert_allclose(pearson(x, scale * y + shift), pearson(x, y), atol=1e-9)
    np.testing.assert_allclose(spearman(x, np.exp(y)), spearman(x, y), atol=1e-12)


def test_errors_by_hand():
    truth = np.array([[1.0, 2.0], [3.0, np.nan]])
    predicted = np.array([[2.0, 2.0], [3.0, 9.0]])
    np.testing.assert_allclose(mean_squared_error(truth, predicted), [0.5, 0.0])
    assert mean_squared_error(truth, predicted, None) == pytest.approx(1 / 3)
    np.testing.assert_allclose(
        relative_squared_error(truth, predicted, np.array([2.0, 0.0])), [0.5, 0.0]
    )
    assert relative_squared_error(truth, predicted, np.array([2.0, 0.0]), None) == 1 / 6


def test_no_pairs_and_perfect_references_give_nan():
    empty = np.full((3, 1), np.nan)
    assert np.isnan(mean_squared_error(empty, empty)).all()
    assert np.isnan(relative_squared_error(np.ones((3, 1)), np.zeros((3, 1)), np.ones(1))).all()


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="one shape"):
        pearson(np.zeros(3), np.zeros(4))


def test_skewness_golden_and_scipy():
    sample = np.array([0.1, -0.2, 0.05, -2.5, 0, -0.1, -1.8])
    assert skewness(sample) == pytest.approx(-1.03857596, abs=1e-8)
    assert skewness(sample, bias=False) == pytest.approx(-1.34614830, abs=1e-8)
    x, _ = holed(1)
    np.testing.assert_allclose(skewness(x), stats.skew(x, nan_policy="omit"))
    np.testing.assert_allclose(
        skewness(x, bias=False), stats.skew(x, nan_policy="omit", bias=False)
    )
    assert np.isnan(skewness(np.full((5, 1), 0.1))).all()
