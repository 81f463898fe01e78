"""The networks of MODIS: an autoencoder per view, and the discriminator of all.

Lepe-Soltero et al. 2025, arXiv 2503.18856; `modis.py` has the equations and the losses.
"""

from typing import Literal

import jax.numpy as jnp
from flax import linen as nn

from jaxomics.data.batch import DataSpec
from jaxomics.losses.masked import split_axis
from jaxomics.nn.mlp import Dense
from jaxomics.nn.norm import NormedDense
from jaxomics.types import Array, Views

EPSILON, MOMENTUM = 0.8, 0.9
"""Of the batch norms. The published code hands 0.8 over where PyTorch expects epsilon."""
SLOPE = 0.2


class Encoder(nn.Module):
    """Mean and log-variance of z given one view."""

    widths: tuple[int, ...]
    latent: int

    @nn.compact
    def __call__(self, x: Array, weight: Array, train: bool) -> tuple[Array, Array]:
        """Map [b, features], rows of weight 0 aside, to two arrays [b, latent]."""
        for i, units in enumerate(self.widths[:-1]):
            x = _hidden_layer(i, units, x, weight, train)
        x = Dense(self.widths[-1], name="linear")(x)
        mean, log_variance = jnp.split(Dense(2 * self.latent, name="heads")(x), 2, axis=1)
        return mean, log_variance


class Decoder(nn.Module):
    """One view given z."""

    widths: tuple[int, ...]
    features: int
    activation: Literal["sigmoid", "linear"]

    @nn.compact
    def __call__(self, x: Array, weight: Array, train: bool) -> Array:
        """Map [b, latent], rows of weight 0 aside, to [b, features]."""
        for i, units in enumerate(self.widths):
            x = _hidden_layer(i, units, x, weight, train)
        x = Dense(self.features, name="out")(x)
        return nn.sigmoid(x) if self.activation == "sigmoid" else x


def _hidden_layer(i: int, units: int, x: Array, weight: Array, train: bool) -> Array:
    """Return leaky ReLU of a normed linear layer, [b, units]."""
    layer = NormedDense(units, EPSILON, MOMENTUM, name=f"normed_{i}")
    return nn.leaky_relu(layer(x, weight, train=train, axis_name=split_axis()), SLOPE)


class Vaes(nn.Module):
    """The autoencoders of all views."""

    spec: DataSpec
    widths: tuple[tuple[int, ...], ...]
    latent: int
    activation: Literal["sigmoid", "linear"]

    def setup(self) -> None:
        """Name the parts, so that parameters read encoders_VIEW, decoders_VIEW."""
        sized = list(zip(self.spec.views, self.widths, strict=True))
        self.encoders = {view.name: Encoder(units, self.latent) for view, units in sized}
        self.decoders = {
            view.name: Decoder(units[::-1], view.features, self.activation) for view, units in sized
        }

    def encode(self, x: Views, weight: Views, train: bool) -> tuple[Array, Array]:
        """Return means and log-variances, both [views, b, latent]."""
        found = [self.encoders[v](x[v], weight[v], train) for v in self.spec.names]
        means, log_variances = zip(*found, strict=True)
        return jnp.stack(means), jnp.stack(log_variances)

    def decode(self, z: Array, weight: Views, train: bool) -> Views:
        """Return the views [b, features] of latents [views, b, latent]."""
        return {v: self.decoders[v](z[i], weight[v], train) for i, v in enumerate(self.spec.names)}

    def write(self, z: Array) -> Views:
        """Return all views [b, features] of the same latents [b, latent], at rest."""
        rows = jnp.ones(len(z))
        return {v: self.decoders[v](z, rows, False) for v in self.spec.names}

    def __call__(self, x: Views, weight: Views) -> Views:
        """Run everything once; used to make the parameters."""
        return self.decode(self.encode(x, weight, False)[0], weight, False)


class Discriminator(nn.Module):
    """Trunk, and heads for the view and the class."""

    widths: tuple[int, ...]
    views: int
    classes: int

    @nn.compact
    def __call__(self, z: Array) -> tuple[Array, Array, Array]:
        """Map [views, b, latent] to h, a, c: [views, b, units], and logits of views and classes."""
        x = z.reshape(-1, z.shape[-1])
        for i, units in enumerate(self.widths):
            x = nn.leaky_relu(Dense(units, name=f"hidden_{i}")(x), SLOPE)
        parts = x, Dense(self.views, name="view")(x), Dense(self.classes, name="class")(x)
        hidden, source, classes = (part.reshape(*z.shape[:-1], -1) for part in parts)
        return hidden, source, classes
