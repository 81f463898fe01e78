"""Bootstrap intervals: the matrix products against a loop, and how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import pearsonr

from jaxomics.errors import InputError
from jaxomics.metrics import bootstrap
from jaxomics.metrics.bootstrap import bootstrap_intervals, draw_counts


def holed(seed: int, samples: int, features: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(100.0, 3.0, (samples, features))
    predicted = truth + rng.normal(0, 2.0, truth.shape)
    truth[rng.random(truth.shape) < 0.2] = np.nan
    predicted[:, -1] = np.where(rng.random(samples) < 0.9, np.nan, predicted[:, -1])
    return truth, predicted, rng.normal(100.0, 0.1, features)


@pytest.mark.parametrize("groups", [None, np.arange(50) // 3])
def test_products_equal_a_loop_over_draws_and_features(
    groups: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
):
    truth, predicted, reference = holed(0, 50, 7)
    monkeypatch.setattr(bootstrap, "CELLS", 300)  # chunks of three features
    found = bootstrap_intervals(truth, predicted, reference, draws=40, seed=3, groups=groups)
    counts = draw_counts(np.arange(50) if groups is None else groups, 40, 3).astype(int)
    for f in range(6):
        r, relative = [], []
        for drawn in counts:
            rows = np.repeat(np.arange(50), drawn)
            both = ~np.isnan(truth[rows, f])
            t, p = truth[rows, f][both], predicted[rows, f][both]
            r.append(pearsonr(t, p)[0])
            relative.append(((t - p) ** 2).sum() / ((t - reference[f]) ** 2).sum())
        for name, values in (("pearson", r), ("relative_error", relative)):
            ends = [found[name].low[f], found[name].high[f]]
            np.testing.assert_allclose(ends, np.quantile(values, [0.025, 0.975]), rtol=1e-9)
    assert np.isnan(found["pearson"].low[6]), "fewer than 16 pairs have no interval of r"
    assert found["relative_error"].low[6] > 0


def test_intervals_hold_the_true_correlation_in_about_95_percent():
    rng = np.random.default_rng(0)
    rho = 0.6
    truth = rng.normal(size=(120, 1000))
    predicted = rho * truth + np.sqrt(1 - rho**2) * rng.normal(size=truth.shape)
    found = bootstrap_intervals(truth, predicted, np.zeros(1000), draws=200)
    r = found["pearson"]
    assert 0.91 < np.mean((r.low < rho) & (rho < r.high)) < 0.97
    error = found["relative_error"]
    expected = (1 - rho) ** 2 + 1 - rho**2
    assert 0.91 < np.mean((error.low < expected) & (expected < error.high)) < 0.97


def test_copies_of_a_sample_do_not_narrow_a_grouped_interval():
    truth, predicted, reference = holed(1, 60, 20)
    once = bootstrap_intervals(truth, predicted, reference, seed=1)["pearson"]
    t, p = (np.repeat(a, 4, axis=0) for a in (truth, predicted))
    alone = bootstrap_intervals(t, p, reference, seed=1)["pearson"]
    copies = np.repeat(np.arange(60), 4)
    grouped = bootstrap_intervals(t, p, reference, seed=1, groups=copies)
    kept = ~np.isnan(once.low)
    width = [np.mean((i.high - i.low)[kept]) for i in (once, alone, grouped["pearson"])]
    assert width[1] < 0.6 * width[0]
    np.testing.assert_allclose(width[2], width[0], rtol=1e-9)


def test_nothing_to_score_and_odd_requests():
    empty = np.full((20, 2), np.nan)
    found = bootstrap_intervals(empty, empty, np.zeros(2))
    assert np.isnan(np.concatenate([*found["pearson"], *found["relative_error"]])).all()
    constant = bootstrap_intervals(np.ones((20, 1)), np.ones((20, 1)), np.ones(1))
    assert np.isnan(constant["pearson"].low).all()
    with pytest.raises(InputError, match="2 or more draws"):
        bootstrap_intervals(empty, empty, np.zeros(2), draws=1)
