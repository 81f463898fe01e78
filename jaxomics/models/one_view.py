"""A VAE of one view as pure functions of parameters and batches: of peaks, windows, or RNA."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from jaxomics.data.batch import Batch
from jaxomics.losses.huber import Reduction
from jaxomics.models.atac_networks import ConvVae, PlacedVae
from jaxomics.models.base import Aux, Model, Player, Tasks, Variables
from jaxomics.models.bulk import VAE, clipped_adam, vae_loss
from jaxomics.models.bulk_networks import StackVae
from jaxomics.nn.latent import draw
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Params, Views

Network = StackVae | ConvVae
"""A VAE of one profile per sample."""


def present(batch: Batch, view: str) -> Array:
    """Return float [b]: 1 where a row is no padding and has any value of the view."""
    return batch.weight[view] * jnp.any(batch.observed[view], axis=1).astype(jnp.float32)


class OneView(NamedTuple):
    """A VAE of one view as pure functions of parameters and batches.

    Attributes:
      name: of the view.
      network: the module.
      reduction: of the error.
    """

    name: str
    network: Any
    reduction: Reduction

    def init(self, key: Key, batch: Batch) -> Variables:
        """Return fresh parameters, and running statistics if there are any."""
        features = getattr(self.network, "features", batch.x[self.name].shape[1])
        drawn = start(self.network, key, jnp.zeros((2, features)), jnp.ones(2))
        return Variables({VAE: drawn["params"]}, kept_statistics(drawn.get("batch_stats", {})))

    def run(self, params: Params, statistics: Any, *given: Any, method: Any) -> tuple[Any, Any]:
        """Return what a method gives, and the statistics after it."""
        variables = {"params": params, "batch_stats": statistics}
        output, new = self.network.apply(variables, *given, method=method, mutable=["batch_stats"])
        return output, new.get("batch_stats", {})

    def loss(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Any,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        """Return Huber + beta KL of the view."""
        x, weight = batch.x[self.name], present(batch, self.name)
        told = (batch.place[self.name],) if isinstance(self.network, PlacedVae) else ()
        statistics = collections.get(VAE, {})
        output, posterior, statistics = self.through(
            params[VAE], statistics, x, weight, key, *told, train=train
        )
        observed = batch.observed[self.name]
        total, metrics = vae_loss(output, x, observed, weight, *posterior, hyper, self.reduction)
        return total, Aux(metrics, kept_statistics(statistics) if train else {})

    def through(
        self,
        own: Params,
        statistics: Any,
        x: Array,
        weight: Array,
        key: Key,
        *told: Array,
        train: bool,
    ) -> tuple[Array, tuple[Array, Array], Any]:
        """Return what the network makes of x [b, features], mean and variance of z, and statistics.

        In training it goes through a draw of z, else through its mean.

        Args:
          own, statistics: of the network.
          x: [b, features]; `weight` [b] leaves rows of weight 0 out of statistics.
          key: of the draw.
          *told: numbers of windows [b], for networks that take them.
          train: whether this is training.
        """
        kind = type(self.network)
        posterior, statistics = self.run(
            own, statistics, x, weight, train, *told, method=kind.encode
        )
        z = draw(key, *posterior) if train else posterior[0]
        output, statistics = self.run(own, statistics, z, weight, train, *told, method=kind.decode)
        return output, posterior, statistics

    def encode(self, params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        """Return mean and variance of z."""
        given = batch.x[self.name], batch.weight[self.name], False
        statistics = collections.get(VAE, {})
        return self.run(params[VAE], statistics, *given, method=type(self.network).encode)[0]

    def decode(
        self, params: Params, collections: Collections, z: Array, conditionals: Array
    ) -> Views:
        """Return the view [b, features] of latents."""
        given = z, jnp.ones(len(z)), False
        statistics = collections.get(VAE, {})
        output, _ = self.run(params[VAE], statistics, *given, method=type(self.network).decode)
        return {self.name: output}


def kept_statistics(statistics: Any) -> Collections:
    """Return running statistics as a collection; none where there are none."""
    return {VAE: statistics} if statistics else {}


def one_view_model(name: str, network: Network, config: Any) -> Model:
    """Return a VAE of one view as a model."""
    own = OneView(name, network, config.reduction)
    player = Player(VAE, own.loss, clipped_adam)
    return Model(own.init, (player,), tasks=Tasks(own.encode, own.decode))
