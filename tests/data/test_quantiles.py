"""Quantile normalisation against limma's `normalizeQuantiles(ties=TRUE)`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jaxomics.data.quantiles import fit_quantiles
from jaxomics.errors import InputError

COLUMNS = np.array([[5.0, 2, 3, 4], [4, 1, 4, 2], [3, 4, 6, 8]])


def test_golden_values_of_limma():
    expected = [
        [5.6667, 2, 3, 4.6667],
        [5.1667, 2, 5.1667, 3],
        [2, 3, 4.6667, 5.6667],
    ]
    np.testing.assert_allclose(fit_quantiles(COLUMNS).apply(COLUMNS), expected, atol=5e-5)


def test_gaps_are_interpolated_over():
    """By hand: (1, 3) over three places is (1, 2, 3), so the means are (1.5, 3, 5.5)."""
    values = np.array([[1.0, np.nan, 3.0], [2.0, 8.0, 4.0]])
    fitted = fit_quantiles(values)
    np.testing.assert_allclose(fitted.reference, [1.5, 3, 5.5])
    np.testing.assert_allclose(fitted.apply(values), [[1.5, np.nan, 5.5], [1.5, 5.5, 3]])
    alone = fitted.apply(np.array([[np.nan, 7.0, np.nan], [np.nan] * 3]))
    np.testing.assert_allclose(alone, [[np.nan, 3, np.nan], [np.nan] * 3])


@settings(max_examples=20, deadline=None)
@given(hnp.arrays(float, (4, 7), elements=st.integers(-50, 50), unique=True))
def test_samples_without_ties_get_one_distribution(values):
    fitted = fit_quantiles(values)
    normalised = fitted.apply(values)
    np.testing.assert_allclose(
        np.sort(normalised, axis=1), np.tile(fitted.reference, (4, 1)), rtol=1e-5, atol=1e-5
    )
    np.testing.assert_array_equal(np.argsort(normalised, axis=1), np.argsort(values, axis=1))
    np.testing.assert_allclose(fitted.apply(2 * values + 1), normalised)


def test_a_new_sample_with_fewer_features_keeps_the_ends():
    new = fit_quantiles(COLUMNS).apply(np.array([[10.0, 30.0]]))
    np.testing.assert_allclose(new, [[2, 17 / 3]])


def test_nothing_to_learn_from_is_an_error():
    with pytest.raises(InputError, match="found none"):
        fit_quantiles(np.full((2, 3), np.nan))
