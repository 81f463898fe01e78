"""From the tiles of a slide to a bulk profile: a network on tile embeddings, averaged.

Nagaraj et al. 2023 predict bulk RNA from the tiles of whole-slide images that a pathology encoder
has embedded, and average over tiles. Only slides have a measured profile, so by default the loss
is on the average (weak labels). With T tiles x_1 ... x_T of a slide and its profile y,

    f(x)  = W ReLU(W x + b) + b            dropout behind each ReLU; linear without hidden layers
    y^    = mean over tiles of f(x_t)
    L     = mean over slides and genes of Huber(y^ - y)             per_tile: of Huber(f(x_t) - y)

The last layer is linear, so hidden units are averaged in its place and large profiles cost no more
than one row per slide. Slides stand in one view as rows of `tiles * width` numbers; tiles that a
slide does not have are not observed. `jaxomics.slides` reads, fits and predicts.
"""

from dataclasses import dataclass
from functools import lru_cache

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from jaxomics.data.batch import Batch, DataSpec
from jaxomics.errors import InputError
from jaxomics.losses.huber import huber, huber_loss
from jaxomics.losses.masked import masked_mean
from jaxomics.models.base import Aux, Model, Player, Tasks, Variables
from jaxomics.models.optimizers import adam
from jaxomics.models.translation import by_view, make_pairs, roles
from jaxomics.nn.dropout import dropout
from jaxomics.nn.mlp import Dense
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Params, Views

NETWORK = "network"
"""The one player."""


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss.

    Attributes:
      source: the view of slides.
      target: views to predict; all others by default.
      width: numbers per tile, as the encoder gives them (HIPT: 384 for tiles of 256 pixels, 192
        for regions of 4,096).
      hidden: units of the hidden layers; none is a linear map.
      per_tile: take the loss of every tile instead of that of the average.
    """

    source: tuple[str, ...] = ("tiles",)
    target: tuple[str, ...] = ()
    width: int = 384
    hidden: tuple[int, ...] = (512,)
    per_tile: bool = False


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run.

    Attributes:
      learning_rate: of Adam.
      weight_decay: of weight matrices, decoupled (AdamW).
      dropout: rate behind each hidden layer.
      delta: of the Huber loss: larger errors count linearly.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    dropout: float = 0.2
    delta: float = 1.0


class TileNetwork(nn.Module):
    """Hidden layers on every tile, then the average or every tile's prediction.

    Shapes: tiles [b, T, width], bool [b, T] -> [b, outputs], or [b, T, outputs] per tile.
    """

    hidden: tuple[int, ...]
    outputs: int

    @nn.compact
    def __call__(
        self, tiles: Array, seen: Array, rate: Array | float, key: Key, *, each: bool = False
    ) -> Array:
        """Return predictions; random only where `rate` is above 0."""
        h = tiles
        for number, units in enumerate(self.hidden):
            h = jax.nn.relu(Dense(units, name=f"hidden_{number}")(h))
            words = jax.random.bits(jax.random.fold_in(key, number), h.shape, jnp.uint32)
            h = dropout(words, h, rate)
        if not each:
            count = jnp.maximum(jnp.sum(seen, axis=1, keepdims=True), 1)
            h = jnp.sum(jnp.where(seen[..., None], h, 0.0), axis=1) / count
        return Dense(self.outputs, name="output")(h)


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return the model for data of this shape, as pure functions; the same for equal arguments.

    Raises:
      InputError: unknown views, or slides whose numbers are no whole number of tiles.
    """
    views = roles(config.source, config.target, spec)
    numbers, outputs = (sum(view.features for view in side) for side in views)
    if numbers % config.width:
        raise InputError(
            f"expected slides of whole tiles of width {config.width}, found {numbers} numbers; "
            "give the width of the tile embeddings"
        )
    module = TileNetwork(config.hidden, outputs)

    def bag(batch: Batch) -> tuple[Array, Array]:
        x, seen = (
            jnp.hstack([part[view.name] for view in views[0]]).reshape(
                -1, numbers // config.width, config.width
            )
            for part in (batch.x, batch.observed)
        )
        return jnp.where(seen, x, 0.0), jnp.any(seen, axis=2)

    def init(key: Key, batch: Batch) -> Variables:
        drawn = start(module, key, *bag(batch), 0.0, key)
        return Variables({NETWORK: drawn["params"]}, {})

    def run(params: Params, batch: Batch, key: Key, rate: Array | float, *, each: bool) -> Array:
        made = module.apply({"params": params[NETWORK]}, *bag(batch), rate, key, each=each)
        return jnp.asarray(made)

    def loss(
        params: Params, collections: Collections, batch: Batch, key: Key, hyper: Hyper,
        *, train: bool,
    ) -> tuple[Array, Aux]:  # fmt: skip
        pairs = make_pairs(views, batch)
        rate = hyper.dropout if train else 0.0
        made = run(params, batch, key, rate, each=config.per_tile)
        if config.per_tile:
            _, seen = bag(batch)
            errors = huber(made - pairs.y[:, None], hyper.delta)
            cells = seen[..., None] & pairs.seen[:, None]
            weighted = cells * pairs.weight[:, None, None]
            # A slide counts once, however many tiles it has.
            weighted /= jnp.maximum(jnp.sum(seen, axis=1), 1)[:, None, None]
            total = masked_mean(errors, weighted)
        else:
            total = huber_loss(made, pairs.y, pairs.seen, pairs.weight, hyper.delta, "mean")
        return total, Aux({"loss": total}, collections)

    def translate(params: Params, collections: Collections, batch: Batch) -> Views:
        return by_view(views, run(params, batch, jax.random.key(0), 0.0, each=False))

    player = Player(NETWORK, loss, adam("decoupled"))
    return Model(init, (player,), tasks=Tasks(translate=translate))
