"""Triplets: who may be an anchor, a positive and a negative, and the loss against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.losses.triplet import Triplets, draw_triplets, triplet_loss

LABELS = jnp.array([0, 0, 0, 1, 1, 2, -1, 0])
SAMPLE = jnp.array([7, 7, 8, 9, 10, 11, 12, 13])
WEIGHT = jnp.array([1.0, 1, 1, 1, 1, 1, 1, 0])


def test_triplets_obey_cohorts_and_samples():
    draw = jax.jit(jax.vmap(lambda key: draw_triplets(key, LABELS, SAMPLE, WEIGHT, 4)))
    found = draw(jax.random.split(jax.random.key(0), 200))
    # A cohort of one member, a row without a label, and padding are no anchors.
    assert found.valid[0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0]
    chosen = {row: set(np.asarray(found.positive)[:, row].tolist()) for row in range(5)}
    assert chosen == {0: {2}, 1: {2}, 2: {0, 1}, 3: {4}, 4: {3}}
    negative = np.asarray(found.negative)[:, 0]
    assert set(negative.tolist()) == {3, 4, 5}
    # The cohort is drawn first: the one member of 2 as often as both of 1 together.
    assert abs(np.mean(negative == 5) - 0.5) < 0.12


def test_loss_equals_numpy_and_has_a_gradient_at_zero():
    z = np.random.default_rng(0).normal(size=(4, 3))
    rows = Triplets(
        jnp.array([1, 0, 3, 2]), jnp.array([2, 3, 0, 1]), jnp.array([1.0, 1.0, 0.0, 1.0])
    )
    near = np.linalg.norm(z - z[np.asarray(rows.positive)], axis=1)
    far = np.linalg.norm(z - z[np.asarray(rows.negative)], axis=1)
    expected = np.maximum(near - far + 1, 0)[[0, 1, 3]].mean()
    np.testing.assert_allclose(triplet_loss(jnp.asarray(z), rows), expected, rtol=1e-5)
    slope = jax.grad(triplet_loss)(jnp.zeros((4, 3)), rows)
    assert bool(jnp.isfinite(slope).all())
