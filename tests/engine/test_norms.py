"""Sampled norms: exact for small arrays, close for large ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.engine.norms import ENTRIES, sample


def test_small_trees_are_exact_whatever_their_shapes(key: jax.Array):
    tree = {"a": jax.random.normal(key, (7, 5, 3)), "b": (jnp.float32(2.0), jnp.ones(4))}
    leaves = [np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)]
    expected = np.linalg.norm(np.concatenate(leaves))
    assert float(jnp.linalg.norm(sample(tree))) == pytest.approx(expected, rel=1e-6)
    assert float(jnp.linalg.norm(sample({}))) == 0.0


def test_large_arrays_are_sampled_evenly(key: jax.Array):
    # Rows grow steadily, so a sample of the first rows alone would be far too small.
    large = jax.random.normal(key, (3000, 100)) * jnp.linspace(0.0, 1.0, 3000)[:, None]
    found = sample({"kernel": large})
    assert found.size < 2 * ENTRIES
    assert float(jnp.linalg.norm(found)) == pytest.approx(float(jnp.linalg.norm(large)), rel=0.05)
