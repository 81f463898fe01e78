"""Encoders and decoders of bulk profiles: stacks of layers between features and a Gaussian z.

Nagaraj et al. 2023. A layer with a norm is linear, leaky ReLU (slope 0.01), then the norm; one
without is linear, then ReLU.
"""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn

from jaxomics.losses.masked import count, split_axis
from jaxomics.nn.mlp import Dense
from jaxomics.nn.norm import BatchNorm
from jaxomics.types import Array

Norm = Literal["none", "batch", "layer"]
"""What follows each layer."""

SLOPE = 0.01
"""Of the leaky ReLU ahead of a norm."""

LOG_VARIANCE_LIMIT = 20.0
"""Bound of the logarithm of the variance of z, so that its exponential stays finite."""

ACTIVE = 0.01
"""A dimension of z whose mean varies more than this over samples is in use."""


def normed(name: str, norm: Norm, x: Array, weight: Array, train: bool) -> Array:
    """Return x [b, units] activated, and normed unless there is no norm; makes parameters."""
    if norm == "none":
        return nn.relu(x)
    x = nn.leaky_relu(x, SLOPE)
    if norm == "layer":
        return nn.LayerNorm(epsilon=1e-5, name=name)(x)
    return BatchNorm(name=name)(x, weight, train=train, axis_name=split_axis())


class Stack(nn.Module):
    """Layers one after another: [b, inputs] to [b, widths[-1]]; none of them change nothing."""

    widths: tuple[int, ...]
    norm: Norm

    @nn.compact
    def __call__(self, x: Array, weight: Array, train: bool) -> Array:
        """Map [b, inputs]; rows of weight 0 [b] stay out of the statistics of batch norms."""
        for i, width in enumerate(self.widths):
            x = Dense(width, name=f"linear_{i}")(x)
            x = normed(f"norm_{i}", self.norm, x, weight, train)
        return x


class Posterior(nn.Module):
    """Mean and variance of z given a hidden vector; the second head writes log s2."""

    latent: int

    @nn.compact
    def __call__(self, h: Array) -> tuple[Array, Array]:
        """Map [b, inputs] to two arrays [b, latent]."""
        limit = LOG_VARIANCE_LIMIT
        log_variance = jnp.clip(Dense(self.latent, name="log_variance")(h), -limit, limit)
        return Dense(self.latent, name="mean")(h), jnp.exp(log_variance)


class StackVae(nn.Module):
    """A VAE whose encoder is a stack and whose decoder mirrors it.

    Attributes:
      features: columns that are read and written.
      widths: of the encoder's layers; none make it linear.
      latent: size of z.
      norm: what follows each layer.
      read: columns that the encoder reads; None = all.
    """

    features: int
    widths: tuple[int, ...]
    latent: int
    norm: Norm = "none"
    read: tuple[int, ...] | None = None

    def setup(self) -> None:
        """Name the parts, so that parameters read encoder, posterior, decoder, out."""
        self.encoder = Stack(self.widths, self.norm)
        self.posterior = Posterior(self.latent)
        self.decoder = Stack(self.widths[::-1], self.norm)
        self.out = Dense(self.features)

    def encode(self, x: Array, weight: Array, train: bool) -> tuple[Array, Array]:
        """Return mean and variance of z, both [b, latent], of x [b, features]."""
        seen = x if self.read is None else x[:, jnp.asarray(self.read, jnp.int32)]
        return self.posterior(self.encoder(seen, weight, train))

    def decode(self, z: Array, weight: Array, train: bool) -> Array:
        """Return the reconstruction [b, features] of latents [b, latent]."""
        return self.out(self.decoder(z, weight, train))

    def __call__(self, x: Array, weight: Array) -> Array:
        """Run everything once; used to make the parameters."""
        return self.decode(self.encode(x, weight, False)[0], weight, False)


def active_units(mean: Array, weight: Array) -> Array:
    """Return how many dimensions of z are in use: the variance of their mean exceeds `ACTIVE`.

    Args:
      mean: of z, [b, latent].
      weight: [b], 0 leaves a row out.

    >>> float(active_units(jnp.array([[0.0, 1.0], [2.0, 1.0]]), jnp.ones(2)))
    1.0
    """
    share = (weight / jnp.maximum(count(weight), 1.0))[:, None]
    center = jnp.sum(share * mean, axis=0, keepdims=True)
    variance = jnp.sum(share * (mean - center) ** 2, axis=0)
    return jnp.sum(variance > ACTIVE).astype(mean.dtype)
