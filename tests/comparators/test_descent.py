import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Lasso

from jaxomics.comparators import descent
from jaxomics.comparators.descent import largest_alpha, lasso, lasso_path
from jaxomics.errors import InputError


def problem(seed=0, samples=60, features=30, targets=12, noise=0.5):
    """Correlated predictors off centre, sparse truth, targets in unlike units."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(samples, 3)) @ random.normal(size=(3, features))
    x = 2 + shared + random.normal(size=(samples, features))
    truth = random.normal(size=(features, targets)) * (random.random((features, targets)) < 0.2)
    y = x @ truth + noise * random.normal(size=(samples, targets))
    return x, y / y.std(axis=0) + np.arange(targets)


def objective(x, y, fit):
    residual = y - fit.predict(x)
    norm = abs(fit.weights).sum(axis=1)
    return (residual**2).sum(axis=0) / (2 * len(y)) + fit.alpha * norm


@pytest.mark.parametrize("alpha", [0.3, 0.05, 0.01])
def test_weights_and_gap_equal_scikit_learn(alpha):
    x, y = problem()
    fit = lasso(x, y, alpha, tolerance=1e-9, double=True)
    for target in range(y.shape[1]):
        other = Lasso(alpha, tol=1e-9, max_iter=100_000).fit(x, y[:, target])
        weights = fit.weights[[target]].toarray()[0]
        np.testing.assert_allclose(weights, other.coef_, atol=1e-4)
        np.testing.assert_allclose(fit.intercept[target], other.intercept_, atol=1e-4)


def test_the_gap_is_that_of_scikit_learn_at_the_same_weights():
    x, y = problem(targets=3)
    y -= y.mean(axis=0)
    x -= x.mean(axis=0)
    for target in range(3):
        early = Lasso(0.05, tol=0.3, max_iter=100).fit(x, y[:, target])
        coefficients = np.asarray(early.coef_)
        correlation = y[:, [target]].T @ x / len(x)
        targets = descent.Targets(correlation, (y[:, [target]] ** 2).mean(axis=0))
        with jax.enable_x64(True):
            shared = descent.Problem(jax.numpy.asarray(x), jax.numpy.asarray(60.0), None)
            _, gap = descent.certify(shared, targets, coefficients[None], 0.05)
        assert float(gap[0]) == pytest.approx(early.dual_gap_, rel=1e-6)


def test_single_precision_reaches_the_tolerance():
    x, y = problem()
    fit = lasso(x, y, 0.05)
    assert (fit.gap <= 1e-4 * y.var(axis=0)).all()
    exact = lasso(x, y, 0.05, tolerance=1e-9, double=True)
    assert (objective(x, y, fit) - objective(x, y, exact) <= fit.gap + 1e-6).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.02, 1.2))
def test_the_conditions_of_karush_kuhn_and_tucker_hold(seed, share):
    x, y = problem(seed, samples=40, features=20, targets=4)
    alpha = share * largest_alpha(x, y)
    fit = lasso(x, y, alpha, tolerance=1e-10, double=True)
    slope = (x - x.mean(axis=0)).T @ (y - fit.predict(x)) / len(x)
    weights = fit.weights.toarray().T
    used = weights != 0
    np.testing.assert_allclose(slope[used], alpha * np.sign(weights[used]), atol=2e-4)
    assert (np.abs(slope[~used]) <= alpha + 2e-4).all()
    np.testing.assert_allclose((y - fit.predict(x)).mean(axis=0), 0, atol=1e-9)
    if share >= 1:
        assert not used.any()


def test_along_the_path_fit_improves_norm_grows_and_objective_falls():
    x, y = problem()
    alphas = np.geomspace(1, 0.01, 8) * largest_alpha(x, y)
    fits = list(lasso_path(x, y, alphas, tolerance=1e-6))
    losses = np.array([((y - fit.predict(x)) ** 2).sum(axis=0) for fit in fits])
    norms = np.array([abs(fit.weights).sum(axis=1) for fit in fits])
    objectives = np.array([objective(x, y, fit) for fit in fits])
    assert (np.diff(losses, axis=0) <= 1e-3).all()
    assert (np.diff(norms, axis=0) >= -1e-3).all()
    assert (np.diff(objectives, axis=0) <= 1e-6).all()
    assert fits[0].weights.nnz <= 1
    alone = lasso(x, y, float(alphas[-1]), tolerance=1e-6)
    np.testing.assert_allclose(fits[-1].weights.toarray(), alone.weights.toarray(), atol=2e-2)


def test_working_sets_that_have_to_grow_end_at_the_same_weights(monkeypatch):
    x, y = problem()
    whole = lasso(x, y, 0.01, tolerance=1e-9, double=True).weights.toarray()
    monkeypatch.setattr(descent, "FIRST_SET", 4)
    monkeypatch.setattr(descent, "BATCH_CELLS", 64)
    monkeypatch.setattr(descent, "CHUNK_CELLS", 90)
    grown = lasso(x, y, 0.01, tolerance=1e-9, double=True).weights.toarray()
    np.testing.assert_allclose(grown, whole, atol=1e-4)
    monkeypatch.setattr(descent, "GRAM_CELLS", 0)
    jax.clear_caches()
    without = lasso(x, y, 0.01, tolerance=1e-9, double=True).weights.toarray()
    np.testing.assert_allclose(without, whole, atol=1e-4)


def test_a_target_is_fitted_on_the_samples_that_have_it():
    x, y = problem(targets=3)
    y[:20, 1] = np.nan
    y[:, 2] = np.nan
    fit = lasso(x, y, 0.05, tolerance=1e-9, double=True)
    alone = lasso(x[20:], y[20:, [1]], 0.05, tolerance=1e-9, double=True)
    weights = fit.weights.toarray()
    np.testing.assert_allclose(weights[[1]], alone.weights.toarray(), atol=1e-6)
    np.testing.assert_allclose(fit.intercept[[1]], alone.intercept, atol=1e-6)
    assert not weights[2].any()


def test_constant_predictors_and_targets_get_no_weight():
    x, y = problem(targets=2)
    x[:, 0], y[:, 0] = 3.0, 7.0
    fit = lasso(x, y, 0.05)
    assert not fit.weights.toarray()[:, 0].any()
    np.testing.assert_allclose(fit.predict(x)[:, 0], 7.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 0.0}, "above 0"),
        ({"tolerance": 1e-9}, "double=True"),
        ({"y": np.zeros((5, 2))}, "found"),
        ({"y": np.full((60, 2), np.inf)}, "finite"),
    ],
)
def test_wrong_input_is_named(change, message):
    x, y = problem()
    with pytest.raises(InputError, match=message):
        lasso(**({"x": x, "y": y, "alpha": 0.1} | change))
