"""OmiTrans: a conditional generative adversarial network that translates omics into omics.

Zhang and Guo, "OmiTrans: generative adversarial networks based omics-to-omics translation
framework", 2021; https://github.com/zhangxiaoyu11/OmiTrans.

A generator G writes the target features of a sample from its source features; a discriminator D
sees source and target side by side and tells measured from generated targets. D moves first, and
G meets the updated D:

    L_D = [loss(D(x, y), measured) + loss(D(x, G(x)), generated)] / 2
    L_G = loss(D(x, G(x)), measured) + lambda d(G(x), y)

with `losses.gan` for loss, and for d the mean distance over observed cells (`losses.distance`).
Without d it is a conditional GAN (`distance_weight` 0), without D a plain regression (`gan` none).

Several views may be source or target; their features stand side by side. Source features that a
sample lacks are read as their mean among the training samples. Samples without any source or any
target weigh nothing, and D sees what is generated only where the sample was measured. Noise enters
beside the latent, not at the input, where a few numbers would drown among thousands.
docs/models/omitrans.md lists every deviation.
"""

from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from jaxomics.config import Choice, Float, Space
from jaxomics.data.batch import Batch, DataSpec
from jaxomics.losses.distance import distance
from jaxomics.losses.divergence import gaussian_kl
from jaxomics.losses.gan import discriminator_loss, generator_loss, gradient_penalty
from jaxomics.models.base import Aux, Model, Player, Shared, Tasks, Variables
from jaxomics.models.omitrans_networks import Config, make_discriminator, make_generator
from jaxomics.models.optimizers import adam, in_float32
from jaxomics.models.translation import Pairs, Roles, by_view, make_pairs, roles, source_groups
from jaxomics.nn.initial import start_by
from jaxomics.nn.translators import Bottleneck, Generated
from jaxomics.types import Array, Collections, Key, Params, Views

GENERATOR, DISCRIMINATOR = "generator", "discriminator"


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run; defaults are the paper's.

    Attributes:
      learning_rate: of the generator's Adam, whose betas are 0.5 and 0.999.
      discriminator_learning_rate: of the discriminator's.
      weight_decay: of the generator's weight matrices, decoupled (AdamW).
      dropout: rate in the blocks of the generator, and in a convolutional discriminator.
      distance_weight: lambda of the loss.
      adversarial_weight: factor on the generator's adversarial loss.
      penalty_weight: factor on the gradient penalty of `wgan_gp`.
      kl_weight: factor on the divergence of `fc_ved`, which is averaged over latent dimensions.
    """

    learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    weight_decay: float = 0.0
    dropout: float = 0.2
    distance_weight: float = 100.0
    adversarial_weight: float = 1.0
    penalty_weight: float = 10.0
    kl_weight: float = 1.0


SPACES: dict[str, Space] = {
    "default": {
        "learning_rate": Float(2e-4, 5e-3, log=True),
        "weight_decay": Float(1e-3, 0.1, log=True),
        "dropout": Float(0.1, 0.7),
        "latent": Choice((64, 128, 256, 512)),
        "hidden": Choice(((256,), (512,), (1024,), (1024, 512))),
    }
}
"""What a search draws from, around the preset `recommended`."""


class Networks(NamedTuple):
    """The modules of a model by player, its settings, and the views they read and write.

    `order` of source features lays those of a group side by side; None leaves them as they are.
    """

    config: Config
    views: Roles
    modules: dict[str, Any]
    order: np.ndarray | None

    def pairs(self, batch: Batch) -> Pairs:
        """Return a batch as the networks see it."""
        pairs = make_pairs(self.views, batch)
        return pairs if self.order is None else pairs._replace(x=pairs.x[:, self.order])


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return OmiTrans for data of this shape, as pure functions; the same for equal arguments.

    Raises:
      InputError: views or lengths that cannot be translated; see `translation.roles` and
        `omitrans_networks`.
    """
    views = roles(config.source, config.target, spec)
    inputs = sum(view.inputs for view in views[0])
    outputs = sum(view.features for view in views[1])
    groups = source_groups(views) if config.grouped else []
    sizes = tuple(len(group) for group in groups)
    modules: dict[str, Any] = {GENERATOR: make_generator(config, inputs, outputs, sizes)}
    if config.game != "none":
        modules[DISCRIMINATOR] = make_discriminator(config, sizes)
    networks = Networks(config, views, modules, np.concatenate(groups) if groups else None)
    players = [Player(GENERATOR, partial(_deceive, networks), _generator)]
    if config.game != "none":
        loss = partial(_tell_apart, networks)
        players.insert(0, Player(DISCRIMINATOR, loss, _discriminator, config.discriminator_updates))
    tasks = Tasks(translate=partial(_translate, networks))
    if isinstance(modules[GENERATOR], Bottleneck):
        tasks = tasks._replace(encode=partial(_encode, networks))
    monitor = "distance" if config.game == "none" else f"{GENERATOR}/distance"
    return Model(
        partial(_start, networks), tuple(players), "sequential", tasks, monitor,
        shared=Shared(GENERATOR, partial(_generate, networks)) if len(players) > 1 else None,
    )  # fmt: skip


def _generator(hyper: Hyper) -> optax.GradientTransformation:
    """Return the update rule of the generator: Adam, weight decay of matrices decoupled."""
    return in_float32(adam("decoupled", b1=0.5)(hyper))


def _discriminator(hyper: Hyper) -> optax.GradientTransformation:
    """Return the update rule of the discriminator: Adam."""
    own = hyper.replace(learning_rate=hyper.discriminator_learning_rate, weight_decay=0.0)
    return in_float32(adam("decoupled", b1=0.5)(own))


def _start(networks: Networks, key: Key, batch: Batch) -> Variables:
    """Return fresh parameters and batch statistics, by player."""
    pairs = networks.pairs(batch)
    read = {GENERATOR: (pairs.x,), DISCRIMINATOR: (pairs.x, pairs.y)}
    found = {
        name: start_by(
            networks.config.initial, module, jax.random.fold_in(key, i),
            *read[name], pairs.weight, 0.0, key, False,
        )
        for i, (name, module) in enumerate(networks.modules.items())
    }  # fmt: skip
    stats = {name: v["batch_stats"] for name, v in found.items() if "batch_stats" in v}
    return Variables({name: v["params"] for name, v in found.items()}, stats)


def _run(
    networks: Networks, player: str, params: Params, collections: Collections, *args: Any
) -> tuple[Any, Collections]:
    """Return what a player's network gives, and its statistics where it has some, moved."""
    own = {"params": params[player], "batch_stats": collections.get(player, {})}
    result, moved = networks.modules[player].apply(own, *args, mutable=["batch_stats"])
    return result, {player: moved["batch_stats"]} if moved.get("batch_stats") else {}


def _generate(
    networks: Networks,
    params: Params,
    collections: Collections,
    batch: Batch,
    key: Key,
    hyper: Hyper,
    *,
    train: bool,
) -> tuple[Generated, Collections]:
    """Return what is generated of a batch, and the statistics of the generator, moved."""
    pairs = networks.pairs(batch)
    own = jax.random.fold_in(key, 0)
    args = (pairs.x, pairs.weight, hyper.dropout, own, train)
    return _run(networks, GENERATOR, params, collections, *args)


def _values(config: Config, output: Array) -> Array:
    """Return generated values, standardised, of what a generator's last layer gives."""
    return jax.nn.sigmoid(output) if config.squashed else output


def _shown(config: Config, pairs: Pairs, made: Generated) -> Array:
    """Return what a discriminator sees of generated samples: 0 where nothing was measured."""
    return jnp.where(pairs.seen, _values(config, made.values), 0.0)


def _deceive(
    networks: Networks,
    params: Params,
    collections: Collections,
    batch: Batch,
    key: Key,
    hyper: Hyper,
    *,
    train: bool,
    shared: tuple[Generated, Collections] | None = None,
) -> tuple[Array, Aux]:
    """Return L_G and its terms."""
    config, pairs = networks.config, networks.pairs(batch)
    made, moved = shared or _generate(networks, params, collections, batch, key, hyper, train=train)
    error = distance(config.distance, made.values, pairs.y, pairs.seen)
    total, metrics = hyper.distance_weight * error, {"distance": error}
    if config.game != "none":
        shown, own = _shown(config, pairs, made), jax.random.fold_in(key, 1)
        args = (pairs.x, shown, pairs.weight, hyper.dropout, own, train)
        logits, _ = _run(networks, DISCRIMINATOR, params, collections, *args)
        metrics["adversarial"] = generator_loss(config.game, logits, pairs.weight)
        total += hyper.adversarial_weight * metrics["adversarial"]
    if made.mean is not None and made.variance is not None:
        metrics["kl"] = gaussian_kl(made.mean, made.variance, pairs.weight) / config.latent
        total += hyper.kl_weight * metrics["kl"]
    return total, Aux({"loss": total} | metrics, moved)


def _tell_apart(
    networks: Networks,
    params: Params,
    collections: Collections,
    batch: Batch,
    key: Key,
    hyper: Hyper,
    *,
    train: bool,
    shared: tuple[Generated, Collections] | None = None,
) -> tuple[Array, Aux]:
    """Return L_D and its terms; batch statistics see measured samples, then generated ones."""
    config, pairs = networks.config, networks.pairs(batch)
    assert config.game != "none", "no discriminator without a GAN"
    made, _ = shared or _generate(networks, params, collections, batch, key, hyper, train=train)
    shown = _shown(config, pairs, made)

    def judge(y: Array, collections: Collections, number: int) -> tuple[Array, Collections]:
        own = jax.random.fold_in(key, number)
        args = (pairs.x, y, pairs.weight, hyper.dropout, own, train)
        return _run(networks, DISCRIMINATOR, params, collections, *args)

    real, moved = judge(pairs.y, collections, 2)
    fake, moved = judge(shown, {**collections, **moved}, 3)
    total, metrics = discriminator_loss(config.game, real, fake, pairs.weight), {}
    if config.game == "wgan_gp":
        share = jnp.full(len(pairs.x), 0.5)
        if train:
            share = jax.random.uniform(jax.random.fold_in(key, 4), share.shape)
        metrics["penalty"] = gradient_penalty(
            lambda y: judge(y, collections, 5)[0], pairs.y, shown, share, pairs.weight
        )
        total += hyper.penalty_weight * metrics["penalty"]
    return total, Aux({"loss": total} | metrics, moved)


def _translate(networks: Networks, params: Params, collections: Collections, batch: Batch) -> Views:
    """Return the target views [b, features], standardised."""
    pairs = networks.pairs(batch)
    args = (pairs.x, pairs.weight, 0.0, jax.random.key(0), False)
    made, _ = _run(networks, GENERATOR, params, collections, *args)
    return by_view(networks.views, _values(networks.config, made.values))


def _encode(
    networks: Networks, params: Params, collections: Collections, batch: Batch
) -> tuple[Array, Array]:
    """Return the latent and its variance, which is 0 unless it is random, both [b, latent]."""
    own = {"params": params[GENERATOR]}
    x = networks.pairs(batch).x
    mean, variance = networks.modules[GENERATOR].apply(own, x, method=Bottleneck.encode)
    return mean, jnp.zeros_like(mean) if variance is None else variance
