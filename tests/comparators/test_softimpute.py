import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.comparators import registry, softimpute
from jaxomics.comparators.base import Layout


def rank_three(seed=0):
    """A rank-3 matrix of two views with 30 % holes and a missing block, and the full truth."""
    random = np.random.default_rng(seed)
    truth = random.normal(size=(90, 3)) @ random.normal(size=(3, 60))
    truth += 0.1 * random.normal(size=truth.shape)
    holes = random.random(truth.shape) < 0.3
    holes[:20, 40:] = True
    return truth, holes


def hidden_r(name, truth, holes, config=None):
    values = np.where(holes, np.nan, truth)
    views = {"a": values[:, :40], "b": values[:, 40:]}
    completed = registry.get(name).fit(views, config=config).reconstruct(views)
    estimate = np.concatenate([completed["a"], completed["b"]], axis=1)
    return np.corrcoef(estimate[holes], truth[holes])[0, 1]


def test_it_beats_neighbours_and_mean_on_low_rank():
    truth, holes = rank_three()
    r = {name: hidden_r(name, truth, holes) for name in ("softimpute", "knn", "mean")}
    assert r["softimpute"] > 0.98
    assert r["softimpute"] > r["knn"] + 0.02 > 0.8
    assert abs(r["mean"]) < 0.3


@pytest.mark.parametrize("what", ["cells", "blocks"])
def test_either_way_of_hiding_finds_the_low_rank(what):
    truth, holes = rank_three()
    assert hidden_r("softimpute", truth, holes, softimpute.Config(hide=what)) > 0.95


def test_the_objective_never_rises():
    truth, holes = rank_three()
    values, observed = softimpute._cells(truth, ~holes)
    random = np.random.default_rng(1)
    factors = softimpute.Factors(
        *(jnp.asarray(random.normal(size=(n, 20)), jnp.float32) for n in truth.shape)
    )
    step = jax.jit(softimpute.improve)
    trace = []
    for _ in range(40):
        factors, objective = step(values, observed, factors, 5.0)
        trace.append(float(objective))
    assert (np.diff(trace) <= 1e-6 * trace[0]).all()
    assert trace[-1] < 0.5 * trace[0]


def test_without_holes_it_is_the_soft_thresholded_svd():
    truth, _ = rank_three()
    u, s, vt = np.linalg.svd(truth, full_matrices=False)
    expected = u * np.maximum(s - 10.0, 0) @ vt
    values, observed = softimpute._cells(truth, np.ones(truth.shape, bool))
    start, _ = softimpute._start(truth, np.ones(truth.shape, bool), softimpute.Config(), 0)
    factors, _, _ = softimpute.converge(values, observed, start, 10.0, 0.0, 2000)
    np.testing.assert_allclose(factors.rows @ factors.columns.T, expected, atol=2e-2)


def test_placing_training_samples_gives_back_the_fit():
    truth, holes = rank_three()
    rows = np.where(holes, np.nan, truth)
    values, observed = softimpute._cells(rows, ~holes)
    start, _ = softimpute._start(rows, ~holes, softimpute.Config(), 0)
    factors, _, _ = softimpute.converge(values, observed, start, 10.0, 0.0, 1000)
    state = {"columns": softimpute._balanced_columns(factors), "penalty": np.array(10.0)}
    fitted = np.asarray(factors.rows @ factors.columns.T)
    np.testing.assert_allclose(softimpute.complete(state, rows), fitted, atol=2e-2)


def test_hidden_blocks_are_whole_views_and_leave_one():
    observed = np.ones((200, 5), bool)
    observed[:50, 3:] = False
    layout = Layout({"a": slice(0, 3), "b": slice(3, 5)}, np.zeros(5), np.ones(5))
    hidden = softimpute.hide(observed, layout, "blocks", 0.5, np.random.default_rng(0))
    assert not (hidden & ~observed).any()
    for columns in layout.slices.values():
        part = hidden[:, columns]
        assert (part.all(axis=1) | ~part.any(axis=1)).all()
    assert (observed & ~hidden).any(axis=1).all()
    assert hidden.any()
