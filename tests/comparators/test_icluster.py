"""iCluster against factor analysis, conditional normal distributions and an exact search."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import FactorAnalysis

from jaxomics.comparators import icluster
from jaxomics.errors import InputError


def table(samples: int = 300) -> np.ndarray:
    random = np.random.default_rng(0)
    z = random.normal(size=(samples, 2))
    return z @ random.normal(size=(2, 8)) + random.normal(size=(samples, 8))


def test_without_penalty_it_is_factor_analysis():
    x = table()
    config = icluster.Config(components=2, penalty=0.0, iterations=1000, tolerance=1e-6)
    state = icluster.METHOD.fit({"a": x}, config=config).state
    theirs = FactorAnalysis(2, tol=1e-8, max_iter=5000).fit((x - x.mean(0)) / x.std(0))
    np.testing.assert_allclose(state["psi"], theirs.noise_variance_, atol=0.01)
    ours, expected = state["b"] @ state["b"].T, theirs.components_.T @ theirs.components_
    np.testing.assert_allclose(ours, expected, atol=0.01)


def test_placement_is_the_conditional_normal_distribution():
    """E[z | x] = B' (B B' + Psi)^-1 x over the measured features."""
    random = np.random.default_rng(1)
    b, psi = random.normal(size=(6, 2)), random.uniform(0.5, 2, 6)
    x = random.normal(size=6)
    x[[1, 4]] = np.nan
    known = np.isfinite(x)
    within = b[known] @ b[known].T + np.diag(psi[known])
    expected = b[known].T @ np.linalg.solve(within, x[known])
    found = icluster.embed({"b": b, "psi": psi}, x[None])[0]
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_renewed_loadings_minimise_the_penalised_squares():
    random = np.random.default_rng(2)
    z = random.normal(size=(40, 3))
    x = z @ np.array([[1.0], [0.0], [-2.0]]) + 0.1 * random.normal(size=(40, 1))
    config = icluster.Config(components=3, penalty=0.1, sweeps=50)
    with jax.enable_x64(True):
        sure, start = jnp.zeros((40, 3, 3)), jnp.zeros((1, 3))
        seen = jnp.ones((40, 1))
        data, factors = jnp.asarray(x), jnp.asarray(z)
        b, _ = icluster.maximise(data, seen, factors, sure, start, jnp.ones(1), config)
    slope = z.T @ (z @ np.asarray(b)[0] - x[:, 0])
    kept = np.abs(np.asarray(b)[0]) > 0
    np.testing.assert_allclose(slope[kept], -4.0 * np.sign(np.asarray(b)[0][kept]), rtol=1e-6)
    assert (np.abs(slope[~kept]) <= 4.0 + 1e-9).all()


def test_a_large_penalty_leaves_no_loading():
    state = icluster.METHOD.fit({"a": table(60)}, config=icluster.Config(2, penalty=10.0)).state
    np.testing.assert_array_equal(state["b"], 0.0)


def test_a_negative_penalty_is_refused():
    with pytest.raises(InputError, match=r"found -1.0"):
        icluster.METHOD.fit({"a": table(20)}, config=icluster.Config(penalty=-1.0))
