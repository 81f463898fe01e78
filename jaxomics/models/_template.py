"""A linear autoencoder with a Gaussian latent: the smallest whole model. Copy this file.

Kingma and Welling, "Auto-Encoding Variational Bayes", 2014, arXiv 1312.6114. With linear maps it
is probabilistic PCA: Lucas et al., "Don't Blame the ELBO!", 2019, arXiv 1911.02469.

    mu, s2 = W h + b, softplus(W h + b),  h = [x_1, ..., x_V, y]    unobserved entries are 0
    z      = mu + eps sqrt(s2)
    x^_v   = W_v [z, y] + b_v
    L      = sum_v mean over observed cells of (x^_v - x_v)^2 + lambda KL

Deviation: the noise variance of the data is not learned; lambda stands for it.

To add a model: replace this head by its paper, its equations and its deviations; write `Config`,
`Hyper`, the module and one loss per player; add a line to `registry.py`, the tests
`tests/models/test_<name>.py` and a page in `docs/models/`. The contract test then covers it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from jaxomics.data.batch import Batch, DataSpec
from jaxomics.losses.divergence import gaussian_kl
from jaxomics.losses.reconstruction import masked_mse
from jaxomics.models.base import Aux, Model, Player, Tasks, Variables
from jaxomics.nn.latent import GaussianHead, draw
from jaxomics.nn.mlp import Dense
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Params, Views

PLAYER = "vae"


@dataclass(frozen=True)
class Config:
    """What decides shapes.

    Attributes:
      latent: size of z.
    """

    latent: int = 16


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run.

    Attributes:
      learning_rate: of Adam.
      kl_weight: lambda of the loss.
    """

    learning_rate: float = 1e-3
    kl_weight: float = 1e-2


class LinearAutoencoder(nn.Module):
    """The network: one linear encoder over all views, one linear decoder per view."""

    config: Config
    spec: DataSpec

    def setup(self) -> None:
        """Name the parts, so that parameters read encoder, decoders_VIEW."""
        self.encoder = GaussianHead(self.config.latent)
        self.decoders = {view.name: Dense(view.features) for view in self.spec.views}

    def encode(self, x: Views, conditionals: Array) -> tuple[Array, Array]:
        """Return mean and variance of z, both [b, latent]."""
        parts = [x[name] for name in self.spec.names]
        return self.encoder(jnp.concatenate([*parts, conditionals], axis=1))

    def decode(self, z: Array, conditionals: Array) -> Views:
        """Return the reconstruction [b, features] of every view, standardised."""
        h = jnp.concatenate([z, conditionals], axis=1)
        return {name: self.decoders[name](h) for name in self.spec.names}

    def __call__(self, x: Views, conditionals: Array) -> Views:
        """Run everything once; used to make the parameters."""
        mean, _ = self.encode(x, conditionals)
        return self.decode(mean, conditionals)


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return the model for data of this shape, as pure functions; the same for equal arguments."""
    module = LinearAutoencoder(config, spec)
    apply: Callable[..., Any] = module.apply
    first = spec.names[0]

    def init(key: Key, batch: Batch) -> Variables:
        params = start(module, key, batch.x, batch.conditionals[first])["params"]
        return Variables({PLAYER: params}, {})

    def encode(params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        own = {"params": params[PLAYER]}
        return apply(own, batch.x, batch.conditionals[first], method=LinearAutoencoder.encode)

    def decode(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        own = {"params": params[PLAYER]}
        return apply(own, z, conditionals, method=LinearAutoencoder.decode)

    def loss(
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        mean, variance = encode(params, collections, batch)
        z = draw(key, mean, variance) if train else mean
        output = decode(params, collections, z, batch.conditionals[first])
        errors = [masked_mse(output[v], batch.x[v], batch.observed[v]) for v in spec.names]
        reconstruction = jnp.sum(jnp.stack(errors))
        kl = gaussian_kl(mean, variance, batch.weight[first])
        total = reconstruction + hyper.kl_weight * kl
        metrics = {"loss": total, "reconstruction": reconstruction, "kl": kl}
        return total, Aux(metrics, collections)

    player = Player(PLAYER, loss, lambda hyper: optax.adam(hyper.learning_rate))
    return Model(init, (player,), "sequential", Tasks(encode, decode), monitor="reconstruction")
