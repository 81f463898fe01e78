from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jaxomics.errors import InputError
from jaxomics.metrics.protein_pairs import (
    complete_proteins,
    pearson_pairs,
    read_pairs,
    recall,
    recalls,
    regress_pair,
    whitened_pairs,
)


@pytest.fixture(scope="module")
def proteins() -> pd.DataFrame:
    """10 samples of 25 proteins; p0 to p4 vary together."""
    random = np.random.default_rng(0)
    values = random.normal(size=(10, 25))
    values[:, :5] += 3.0 * random.normal(size=(10, 1))
    return pd.DataFrame(values, columns=pd.Index([f"p{i}" for i in range(25)]))


@pytest.mark.parametrize("ridge", [None, 0.1])
def test_one_product_is_a_loop_of_regressions_both_ways(proteins, ridge):
    found = whitened_pairs(proteins, ridge)
    pairs = list(combinations(proteins.columns, 2))
    loop = [regress_pair(proteins, i, j, ridge) for i, j in pairs]
    np.testing.assert_allclose(found.p, loop, rtol=1e-7)
    back = [regress_pair(proteins, j, i, ridge) for i, j in pairs]
    np.testing.assert_allclose(found.p, back, rtol=1e-7)


def test_p_of_whitened_pairs_is_that_of_least_squares_with_the_inverse_covariance(proteins):
    """b = (X' S^-1 X)^-1 X' S^-1 y and its t, written out; nothing is whitened."""
    values = proteins.to_numpy()
    weight, n = np.linalg.inv(np.cov(values)), len(values)
    expected = []
    for i, j in combinations(range(values.shape[1]), 2):
        x, y = np.stack([np.ones(n), values[:, i]], axis=1), values[:, j]
        inverse = np.linalg.inv(x.T @ weight @ x)
        rest = y - x @ (b := inverse @ x.T @ weight @ y)
        error = np.sqrt(rest @ weight @ rest / (n - 2) * inverse[1, 1])
        expected.append(2 * stats.t.sf(abs(b[1]) / error, n - 2))
    np.testing.assert_allclose(whitened_pairs(proteins).p, expected, rtol=1e-7)


def test_p_of_pearson_is_scipys(proteins):
    found = pearson_pairs(proteins)
    expected = [
        stats.pearsonr(proteins[i], proteins[j]).pvalue
        for i, j in combinations(proteins.columns, 2)
    ]
    np.testing.assert_allclose(found.p, expected)


def test_condition_is_that_of_sigma_and_a_ridge_helps_where_there_is_no_inverse(proteins):
    found = whitened_pairs(proteins)
    assert found.condition == pytest.approx(np.linalg.cond(np.cov(proteins.to_numpy())))
    assert found.ridge == 0.0
    few = proteins.iloc[:, :6]  # more samples than proteins
    sigma = np.cov(few.to_numpy())
    assert whitened_pairs(few).ridge == pytest.approx(1e-3 * np.trace(sigma) / 10)
    assert np.isfinite(whitened_pairs(few).r).all()


def test_recall_by_hand(proteins):
    found = pearson_pairs(proteins)._replace(r=np.linspace(1.0, 0.5, 300))
    first = {frozenset(("p0", f"p{i}")) for i in range(1, 25)}  # the first 24 of 300 pairs
    one = recall(found, first)
    assert (one.known, one.pairs) == (24, 300)
    assert one.area == pytest.approx(1 - 24 / 300 / 2)
    assert one.curve["recall"].iloc[-1] == 1.0
    only = recall(found, {frozenset(("p3", "p1")), frozenset(("p1", "p2"))})
    assert (only.known, only.pairs) == (2, 3)


def test_known_pairs_come_first_where_they_vary_together(proteins):
    known = {frozenset(pair) for pair in combinations(proteins.columns[:5], 2)}
    known.add(frozenset(("p9", "p20")))
    found = {"pearson": pearson_pairs(proteins), "whitened": whitened_pairs(proteins)}
    table = recalls(found, {"toy": known}).set_index("ranking")
    assert table.loc["pearson", "area"] > 0.72  # at best 1 - 11 / 21 / 2 = 0.738
    assert (table["known"] == 11).all()
    with pytest.raises(InputError, match="found none"):
        recall(found["pearson"], {frozenset(("x", "y"))})


def test_pairs_are_read_with_a_cut_off(tmp_path):
    path = tmp_path / "string.tsv"
    path.write_text("# toy\nTP53\tMDM2\t999\nMDM2\tTP53\t999\nA\tB\t150\nA\tA\t900\n")
    assert read_pairs(path) == {frozenset(("TP53", "MDM2")), frozenset("AB")}
    assert read_pairs(path, at_least=400) == {frozenset(("TP53", "MDM2"))}
    with pytest.raises(InputError, match="two different names"):
        read_pairs(path, at_least=1000)
    path.write_text("TP53\tMDM2\n")
    with pytest.raises(InputError, match="a score a line, found 2 columns"):
        read_pairs(path, at_least=1)
    with pytest.raises(InputError, match="table of pairs"):
        read_pairs(tmp_path / "none.tsv")


def test_holes_and_constants_are_refused_or_left_out(proteins):
    holed = proteins.mask(proteins == proteins.iloc[0, 0])
    with pytest.raises(InputError, match="empty cells"):
        pearson_pairs(holed)
    assert complete_proteins(holed).shape == (10, 24)
    assert complete_proteins(holed, least=0.9).shape == (10, 25)
    with pytest.raises(InputError, match="constant"):
        whitened_pairs(proteins.assign(p1=1.0))
    with pytest.raises(InputError, match="2 proteins and 3 samples"):
        pearson_pairs(proteins.iloc[:2])
