"""VAE of bulk RNA profiles, and its linear form (Nagaraj et al. 2023).

Nagaraj, McCaw, Karaletsos, Koller and Shcherbina, "Machine learning derived embeddings of bulk
multi-omics data enable clinically significant representations in a pan-cancer cohort", 2023.

    h          = ReLU(W x + b)                 left out in the linear form
    mu, log s2 = W h + b,   z = mu + s eps
    x^         = W ReLU(W z + b) + b
    L          = mean over samples of (sum over observed features of Huber(x^ - x) + beta KL)

The published weights are none and widths are not told: 1,024 hidden units are ours. Several views
are read and written side by side, as one profile; cells that were not measured are 0 to the
encoder, and left out of the loss. docs/models/coembed.md has the limits.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import jax.numpy as jnp
import optax
from flax import struct

from jaxomics.config import Choice, Float, Space
from jaxomics.data.batch import Batch, DataSpec
from jaxomics.errors import unknown
from jaxomics.losses.divergence import gaussian_kl
from jaxomics.losses.huber import Reduction, huber_loss
from jaxomics.models.base import Aux, Model, Player, Tasks, Variables
from jaxomics.models.bulk_networks import StackVae, active_units
from jaxomics.nn.latent import draw
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Metrics, Params, Views

VAE = "vae"
"""The one player."""


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss.

    Attributes:
      latent: size of z.
      hidden: units of the encoder's layers; the decoder has them in reverse order.
      linear: leave the hidden layers out, so that encoder and decoder are linear maps.
      reduction: `sum` the error over features, as an ELBO does, or take the `mean`, where a KL
        weight of 1 would switch every dimension of z off.
      joins: all views are read as one profile.
    """

    joins: ClassVar[bool] = True
    latent: int = 512
    hidden: tuple[int, ...] = (1024,)
    linear: bool = False
    reduction: Reduction = "sum"

    def __post_init__(self) -> None:
        """Check the name of the reduction."""
        if self.reduction not in ("sum", "mean"):
            raise unknown("reduction", self.reduction, ("sum", "mean"))


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run.

    Attributes:
      learning_rate: of Adam.
      kl_weight: beta of the loss.
      delta: of the Huber loss: larger errors count linearly.
      clip: most norm of a gradient; longer ones are scaled down to it.
    """

    learning_rate: float = 1e-3
    kl_weight: float = 1.0
    delta: float = 1.0
    clip: float = 1.0


def clipped_adam(hyper: Any) -> optax.GradientTransformation:
    """Return Adam on gradients of bounded norm, from the hyper fields `learning_rate`, `clip`."""
    return optax.chain(optax.clip_by_global_norm(hyper.clip), optax.adam(hyper.learning_rate))


def vae_loss(
    output: Array,
    target: Array,
    observed: Array,
    weight: Array,
    mean: Array,
    variance: Array,
    hyper: Any,
    reduction: Reduction,
) -> tuple[Array, Metrics]:
    """Return Huber + beta KL of one profile per sample, and what they are made of.

    Args:
      output, target, observed: [b, features].
      weight: [b], 0 leaves a row out.
      mean, variance: of z, [b, latent].
      hyper: with `kl_weight` and `delta`.
      reduction: of the Huber loss over features.
    """
    error = huber_loss(output, target, observed, weight, hyper.delta, reduction)
    divergence = gaussian_kl(mean, variance, weight)
    total = error + hyper.kl_weight * divergence
    metrics = {"loss": total, "reconstruction": error, "kl": divergence}
    return total, metrics | {"active_units": active_units(mean, weight)}


def joined(spec: DataSpec, views: Views) -> Array:
    """Return arrays of all views [b, features] side by side."""
    return jnp.concatenate([views[name] for name in spec.names], axis=1)


def divided(spec: DataSpec, whole: Array) -> Views:
    """Return the views [b, features] that lie side by side in one array."""
    ends = [sum(view.features for view in spec.views[: i + 1]) for i in range(len(spec.views) - 1)]
    return dict(zip(spec.names, jnp.split(whole, ends, axis=1), strict=True))


def columns_read(spec: DataSpec) -> tuple[int, ...] | None:
    """Return the columns of the joined views that encoders read; None = all.

    >>> from jaxomics.data.batch import ViewSpec
    >>> columns_read(DataSpec((ViewSpec("rna", 3, (0, 2)), ViewSpec("mirna", 2))))
    (0, 2, 3, 4)
    """
    if all(view.encoded is None for view in spec.views):
        return None
    columns, begin = [], 0
    for view in spec.views:
        own = range(view.features) if view.encoded is None else view.encoded
        columns += [begin + column for column in own]
        begin += view.features
    return tuple(columns)


SPACES: dict[str, Space] = {
    "default": {
        "learning_rate": Float(1e-4, 3e-3, log=True),
        "latent": Choice((64, 128, 256, 512)),
        "hidden": Choice(((512,), (1024,), (2048,))),
    }
}
"""What a search draws from; the article searched, and does not say where. Neither beta nor the
delta of the Huber loss is among it, since trials are judged by the loss."""


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return the VAE for data of this shape, as pure functions; the same for equal arguments."""
    widths = () if config.linear else config.hidden
    features = sum(view.features for view in spec.views)
    module = StackVae(features, widths, config.latent, read=columns_read(spec))
    first = spec.names[0]

    def init(key: Key, batch: Batch) -> Variables:
        x = joined(spec, batch.x)
        return Variables({VAE: start(module, key, x, jnp.ones(len(x)))["params"]}, {})

    def encode(params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        measured = {name: batch.x[name] * batch.observed[name] for name in spec.names}
        x, weight = joined(spec, measured), batch.weight[first]
        own = {"params": params[VAE]}
        return module.apply(own, x, weight, False, method=StackVae.encode)  # pyright: ignore

    def written(params: Params, z: Array) -> Array:
        rows = jnp.ones(len(z))
        own = {"params": params[VAE]}
        return module.apply(own, z, rows, False, method=StackVae.decode)  # pyright: ignore

    def decode(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        return divided(spec, written(params, z))

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
        cells = joined(spec, batch.x), joined(spec, batch.observed), batch.weight[first]
        total, metrics = vae_loss(
            written(params, z), *cells, mean, variance, hyper, config.reduction
        )
        return total, Aux(metrics, collections)

    return Model(init, (Player(VAE, loss, clipped_adam),), tasks=Tasks(encode, decode))
