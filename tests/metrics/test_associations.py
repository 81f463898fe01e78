import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jaxomics.errors import InputError
from jaxomics.metrics.associations import associate, compare_associations

N = 60


@pytest.fixture(scope="module")
def tables():
    """Targets with holes, events, and covariates of which one repeats another."""
    random = np.random.default_rng(0)
    names = pd.Index([f"s{i}" for i in range(N)])
    y = pd.DataFrame(random.normal(size=(N, 4)), names, list("abcd"))
    x = pd.DataFrame((random.random((N, 3)) < 0.4).astype(float), names, list("xyz"))
    m = pd.DataFrame(random.normal(size=(N, 2)), names, ["age", "growth"])
    m["again"] = 2.0 * m["age"] + 1.0
    y["a"] += 2.0 * x["x"] + m["age"]
    y.iloc[:7, 1], y.iloc[40:, 2] = np.nan, np.nan
    return y, x, m


def fitted(y: np.ndarray, matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """Log-likelihood and coefficients of a least-squares fit."""
    coefficients = np.linalg.lstsq(matrix, y, rcond=None)[0]
    squares = ((y - matrix @ coefficients) ** 2).sum()
    n = len(y)
    return -n / 2 * (np.log(2 * np.pi) + np.log(squares / n) + 1), coefficients


def test_one_product_is_two_regressions_for_every_pair(tables):
    y, x, m = tables
    found = associate(y, x, m, min_events=5)
    assert len(found) == 12
    for row in found.itertuples():
        seen = y[row.target].notna()
        values = y.loc[seen, row.target].to_numpy()
        small = np.c_[np.ones(seen.sum()), m.loc[seen, ["age", "growth"]]]
        low, _ = fitted(values, small)
        high, coefficients = fitted(values, np.c_[small, x.loc[seen, row.event]])
        assert row.lr == pytest.approx(2 * (high - low), abs=1e-9)
        assert row.effect == pytest.approx(coefficients[-1])
        assert row.p == pytest.approx(stats.chi2.sf(row.lr, 1))
        assert row.n == seen.sum()
        assert row.events == x.loc[seen, row.event].sum()


def test_false_discovery_is_controlled_within_each_event(tables):
    y, x, m = tables
    found = associate(y, x, m, min_events=5)
    for _, own in found.groupby("event"):
        np.testing.assert_allclose(own["fdr"], stats.false_discovery_control(own["p"]))
    best = found.sort_values("p").iloc[0]
    assert (best["event"], best["target"]) == ("x", "a")


def test_rare_events_and_what_covariates_say_are_not_tested(tables):
    y, x, m = tables
    rare = x.assign(y=(np.arange(N) < 3).astype(float))
    assert set(associate(y, rare, m, min_events=5)["event"]) == {"x", "z"}
    known = m.assign(z=x["z"])
    assert set(associate(y, x, known, min_events=5)["event"]) == {"x", "y"}
    with pytest.raises(InputError, match="events in 50 or more samples"):
        associate(y, x, m, min_events=50)
    with pytest.raises(InputError, match="empty cells"):
        associate(y, x.mask(x == 1), m)
    with pytest.raises(InputError, match="samples that all tables have"):
        associate(y, x.add_prefix("t").rename(index=lambda s: f"t{s}"))


def test_both_matrices_are_tested_on_the_same_targets(tables):
    y, x, m = tables
    completed = y.fillna(0.0).drop(columns="d")
    found = compare_associations(y, completed, x, m, min_events=5)
    assert set(found["target"]) == {"a", "b", "c"}
    alone = associate(y[["a", "b", "c"]], x, m, min_events=5)
    merged = found.merge(alone, on=["event", "target"])
    np.testing.assert_allclose(merged["fdr_measured"], merged["fdr"])
    np.testing.assert_allclose(merged["p_same"], merged["p_measured"])  # measured cells are kept
    assert (merged["n_completed"] == N).all()
    assert found.set_index(["event", "target"]).loc[("x", "a"), "found"] == "both"
