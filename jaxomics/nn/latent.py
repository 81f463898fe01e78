"""The Gaussian latent: heads that give mean and variance, and draws from it."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxomics.nn.mlp import Dense
from jaxomics.types import Array, Key

LOG_VARIANCE_LIMIT = 20.0
"""Bound of the logarithm of a variance, so that its exponential stays finite."""


class GaussianHead(nn.Module):
    """Mean and softplus variance of z given a hidden vector (Cai et al. 2024)."""

    latent: int

    @nn.compact
    def __call__(self, h: Array) -> tuple[Array, Array]:
        """Map [b, inputs] to mean and variance, both [b, latent]."""
        mean = Dense(self.latent, name="mean")(h)
        return mean, nn.softplus(Dense(self.latent, name="variance")(h))


def bounded_exp(log_variance: Array) -> Array:
    """Return a variance from its logarithm, which is cut at +-20.

    >>> bounded_exp(jnp.array([0.0, 1e9])).tolist()
    [1.0, 485165184.0]
    """
    return jnp.exp(jnp.clip(log_variance, -LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT))


def draw(key: Key, mean: Array, variance: Array) -> Array:
    """Return one draw of z, differentiable in both arguments (Kingma and Welling 2014)."""
    return perturb(mean, variance, jax.random.normal(key, mean.shape, mean.dtype))


def perturb(mean: Array, variance: Array, noise: Array) -> Array:
    """Return mean + noise * sqrt(variance + 1e-10)."""
    return mean + noise * jnp.sqrt(variance + 1e-10)
