import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jaxomics.errors import InputError
from jaxomics.metrics.skewness import compare_skewness, selective


def screened(shift: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """20 genes of 80 lines, half of them measured; genes are more and more skewed."""
    random = np.random.default_rng(0)
    values = -(random.gamma(2.0, size=(80, 20)) ** np.linspace(0.5, 2.0, 20)) + shift
    whole = pd.DataFrame(values, columns=pd.Index([f"g{i}" for i in range(20)]))
    return whole.iloc[40:], whole


@pytest.mark.parametrize("bias", [True, False])
def test_skewness_of_both_groups_is_scipys(bias):
    measured, whole = screened()
    found = compare_skewness(measured, whole, bias)
    np.testing.assert_allclose(found.table["filled"], stats.skew(whole.iloc[:40], bias=bias))
    np.testing.assert_allclose(found.table["measured"], stats.skew(whole.iloc[40:], bias=bias))
    assert set(found.table["n_filled"]) == {40}
    assert found.r == pytest.approx(
        np.corrcoef(found.table["filled"], found.table["measured"])[0, 1]
    )
    assert found.r > 0.5


def test_selective_genes_of_any_table_in_one_list():
    measured, whole = screened()
    names = selective({"measured": measured, "completed": whole}, below=-2.0)
    either = (measured.skew() < -2.5) | (whole.skew() < -2.5)
    assert set(either.index[either]) <= set(names)
    assert selective({}) == []


def test_a_table_without_filled_lines_is_refused():
    _, whole = screened()
    with pytest.raises(InputError, match="20 features and 0 samples"):
        compare_skewness(whole, whole)
