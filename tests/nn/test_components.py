"""Principal components with holes against NumPy's singular vectors, wide and tall."""

import jax
import numpy as np
import pytest

from jaxomics.nn.components import principal


@pytest.mark.parametrize("shape", [(12, 5), (5, 12)])
def test_equal_singular_vectors_and_restore(shape: tuple[int, int]):
    rng = np.random.default_rng(1)
    x = (rng.normal(size=shape) * np.linspace(1, 2, shape[1]) + 3.0).astype(np.float32)
    seen = rng.random(shape) > 0.15
    seen[0] = False
    x = np.where(seen, x, 0).astype(np.float32)
    found, back = jax.jit(lambda: (f := principal(x, seen, 6), f.restore(f.scores(x, seen))))()
    mean = x.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    filled = np.where(seen, x - mean, 0)
    _, s, vt = np.linalg.svd(filled, full_matrices=False)
    rank = int((s > 1e-3).sum())
    axes = np.asarray(found.axes)
    kept = min(rank, 6)
    np.testing.assert_allclose(np.abs(axes.T[:kept] @ vt[:kept].T), np.eye(kept), atol=2e-3)
    assert not axes[:, kept:].any()
    held = (s[:kept] ** 2).sum()
    assert float(found.variance) == pytest.approx(held / (shape[0] - 1) / shape[1], rel=1e-3)
    assert float(found.scale) == pytest.approx(np.sqrt(held / (shape[0] - 1) / kept), rel=1e-3)
    projected = filled @ vt[:kept].T @ vt[:kept] + mean
    np.testing.assert_allclose(back, projected, atol=1e-3)
