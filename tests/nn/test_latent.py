"""The Gaussian head and draws from it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.nn.latent import GaussianHead, draw, perturb
from jaxomics.nn.start import start


def test_variance_is_softplus_of_a_linear_map(key: jax.Array):
    h = jax.random.normal(key, (5, 4))
    head = GaussianHead(3)
    variables = start(head, key, h)
    found: Any = head.apply(variables, h)
    mean, variance = found
    own = jax.tree.map(np.asarray, variables["params"])
    linear = {k: np.asarray(h) @ own[k]["kernel"] + own[k]["bias"] for k in ("mean", "variance")}
    np.testing.assert_allclose(mean, linear["mean"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(variance, np.log1p(np.exp(linear["variance"])), rtol=1e-5)


def test_draws_have_the_moments(key: jax.Array):
    mean = jnp.broadcast_to(jnp.array([[1.0, -2.0]]), (20_000, 2))
    variance = jnp.broadcast_to(jnp.array([[0.25, 4.0]]), (20_000, 2))
    z = draw(key, mean, variance)
    np.testing.assert_allclose(z.mean(axis=0), [1.0, -2.0], atol=0.06)
    np.testing.assert_allclose(z.var(axis=0), [0.25, 4.0], rtol=0.05)


def test_gradient_of_a_draw_is_finite_at_variance_zero():
    found = jax.grad(lambda v: perturb(jnp.zeros(2), v, jnp.ones(2)).sum())(jnp.zeros(2))
    assert bool(jnp.isfinite(found).all())
