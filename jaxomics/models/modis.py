"""MODIS: one latent space for views that share no sample, and few of whose labels are known.

Lepe-Soltero, Artieres, Baudot and Villoutreix, "MODIS: Multi-Omics Data Integration for Small and
Unpaired Datasets", 2025, arXiv 2503.18856, version 1; what the article leaves open follows the
published code of its time.

Every view i has a variational autoencoder of its own. A discriminator reads the latents of all
views, and names the view (a) and the class (c) that each came from; h is its last hidden layer.

    mu, log s2 = E_i(x_i),  z = mu + eps s,  x^_i = D_i(z)          batch norm, leaky ReLU 0.2
    h = T(z),  a = A h,  c = C h

    L_D   = sum_i CE(a_i, i) + K + G
    L_VAE = sum_i [ |x^_i - x_i|^2 + beta KL_i + 1/(m-1) sum_{j != i} CE(a_i, j) ] + K + G
    K     = sum_i CE(c_i, label) over labelled rows
    G     = sum_i clustering(h_i, softmax c_i)                      `losses.clustering`

In each step the discriminator moves first, and reads latents of autoencoders at rest (running
statistics, nothing updated); then the autoencoders move, against the discriminator as it is now.
Batches are drawn for each view by itself. The reconstruction is a mean over cells, KL a sum over
rows and dimensions, so beta belongs to a batch size.

Deviations: biases ahead of a batch norm, which only rounding errors would move, stay as they were
drawn. docs/models/modis.md lists what the options change.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from jaxomics.config import Choice, Float, Space
from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.errors import InputError, unknown
from jaxomics.losses.adversarial import class_loss, confusion_loss, source_loss
from jaxomics.losses.clustering import clustering
from jaxomics.losses.masked import count, masked_mean
from jaxomics.losses.reconstruction import masked_mse
from jaxomics.models.base import Aux, Model, Player, Sampling, Tasks, Variables
from jaxomics.models.modis_networks import Discriminator, Vaes
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Metrics, Params, Views

DISCRIMINATOR, VAE = "discriminator", "vae"


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss; defaults are the paper's.

    Attributes:
      latent: size of z.
      hidden: units of the encoders' layers, in the decoders in reverse order.
      view_hidden: the same for single views, as `methylation=512-512-512`. Names that a cohort
        lacks are ignored.
      encoder_ratios: units of the layers as shares of a view's features, in place of the two
        above: `1.2 1.0 0.75 0.5 0.25` is what later versions of the code take.
      discriminator: units of the discriminator's layers.
      classes: how many classes there are, where labels do not name all of them.
      output_activation: of the decoders: `sigmoid` for data scaled to [0, 1], or `linear`.
      kl_reduction: `sum` over the rows of a batch, or `mean`; either sums over dimensions.
      epoch_length: an epoch ends with the smallest view (`min`) or the largest (`max`).
      balanced: draw the classes of a view equally often; unlabelled samples count as one more.
      fills: missing cells are read as the mean of their feature.
    """

    fills: ClassVar[bool] = True
    latent: int = 64
    hidden: tuple[int, ...] = (256, 256, 256)
    view_hidden: tuple[str, ...] = ()
    encoder_ratios: tuple[float, ...] = ()
    discriminator: tuple[int, ...] = (1024, 512, 256)
    classes: int = 0
    output_activation: Literal["sigmoid", "linear"] = "sigmoid"
    kl_reduction: Literal["sum", "mean"] = "sum"
    epoch_length: Literal["min", "max"] = "min"
    balanced: bool = False

    def widths(self, view: ViewSpec) -> tuple[int, ...]:
        """Return the units of a view's encoder, layer by layer.

        >>> Config(view_hidden=("rna=8-4",)).widths(ViewSpec("rna", 10))
        (8, 4)
        >>> Config(encoder_ratios=(1.2, 0.25)).widths(ViewSpec("rna", 10))
        (12, 2)

        Raises:
          InputError: an entry of `view_hidden` is not of the form `VIEW=UNITS-UNITS`.
        """
        if self.encoder_ratios:
            return tuple(max(int(view.features * ratio), 1) for ratio in self.encoder_ratios)
        return dict(_named_widths(entry) for entry in self.view_hidden).get(view.name, self.hidden)


def _named_widths(entry: str) -> tuple[str, tuple[int, ...]]:
    """Return view and units of an entry of `view_hidden`."""
    name, _, units = entry.rpartition("=")
    if not (name and all(part.isdigit() and int(part) for part in units.split("-"))):
        raise InputError(
            f"expected view_hidden entries like methylation=512-512-512, found {entry!r}"
        )
    return name, tuple(int(part) for part in units.split("-"))


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run; defaults are the paper's.

    Attributes:
      learning_rate: of Adam.
      discriminator_rate: learning rate of the discriminator, as a multiple of the above.
      kl_weight: beta of the loss.
      view_kl_weight: beta of single views, by name.
      view_weight: weight of a view's reconstruction, by name; 1 where not named.
      adversarial_weight: of the terms on a, for both players.
      classification_weight: of K.
      clustering_weight: of G.
      entropy_weight: within G, of the term that wants classes used equally.
      orthogonality_weight: within G, of the mean product of two rows' assignments.
      class_weight: weight of a class in K, by name; 1 where not named.
    """

    learning_rate: float = 1e-4
    discriminator_rate: float = 1.0
    kl_weight: float = 5e-4
    view_kl_weight: dict[str, float] = field(default_factory=dict)
    view_weight: dict[str, float] = field(default_factory=dict)
    adversarial_weight: float = 1.0
    classification_weight: float = 1.0
    clustering_weight: float = 1.0
    entropy_weight: float = 1.0
    orthogonality_weight: float = 0.0
    class_weight: dict[str, float] = field(default_factory=dict)


SPACES: dict[str, Space] = {
    "default": {
        "learning_rate": Float(1e-4, 3e-3, log=True),
        "latent": Choice((16, 32, 64, 128)),
        "hidden": Choice(((128,), (256, 256), (256, 256, 256))),
    }
}
"""What a search draws from. Weights of the loss are not among it, since trials are judged by it."""


class Game(NamedTuple):
    """The two players on data of one shape, as pure functions of parameters and batches.

    Attributes:
      config: sizes and forms.
      spec: views and classes.
      vaes: the autoencoders, whose parameters and running statistics are those of one player.
      critic: the discriminator.
    """

    config: Config
    spec: DataSpec
    vaes: Vaes
    critic: Discriminator

    def init(self, key: Key, batch: Batch) -> Variables:
        """Return fresh parameters of both players, and running statistics."""
        keys = jax.random.split(key)
        own = start(self.vaes, keys[0], batch.x, batch.weight)
        z = jnp.zeros((len(self.spec.views), 2, self.config.latent))
        params = {VAE: own["params"], DISCRIMINATOR: start(self.critic, keys[1], z)["params"]}
        return Variables(params, {VAE: own["batch_stats"]})

    def posteriors(
        self, params: Params, collections: Collections, batch: Batch, weight: Views
    ) -> tuple[Array, Array]:
        """Return means and log-variances of z at rest, both [views, b, latent]."""
        variables = {"params": params[VAE], "batch_stats": collections[VAE]}
        return self.vaes.apply(variables, batch.x, weight, False, method=Vaes.encode)  # pyright: ignore

    def discriminate(self, params: Params, z: Array) -> tuple[Array, Array, Array]:
        """Return h, a and c of latents [..., latent]."""
        return self.critic.apply({"params": params[DISCRIMINATOR]}, z)  # pyright: ignore

    def discriminator_loss(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        """Return L_D; the autoencoders are at rest."""
        weight = present(self.spec, batch)
        mean, log_variance = self.posteriors(params, collections, batch, weight)
        z = sampled(jax.random.fold_in(key, 0), mean, log_variance) if train else mean
        hidden, source, logits = self.discriminate(params, z)
        rows = stacked(self.spec, weight)
        shared, metrics = class_terms(self.spec, batch, hidden, logits, rows, hyper)
        named = source_loss(source, rows)
        total = hyper.adversarial_weight * named + shared
        right = jnp.argmax(source, axis=2) == jnp.arange(len(rows))[:, None]
        accuracy = masked_mean(right.astype(jnp.float32), rows)
        metrics |= {"loss": total, "source": named, "view_accuracy": accuracy}
        return total, Aux(metrics, {})

    def vae_loss(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        """Return L_VAE; in training, on the statistics of the batch.

        Raises:
          InputError: a weight is given for a view or a class that there is not.
        """
        _check_names(self.spec, hyper)
        weight = present(self.spec, batch)
        run: Callable[..., Any] = partial(self.vaes.apply, mutable=["batch_stats"])
        variables: Any = {"params": params[VAE], "batch_stats": collections[VAE]}
        (mean, log_variance), new = run(variables, batch.x, weight, train, method=Vaes.encode)
        z = sampled(jax.random.fold_in(key, 1), mean, log_variance) if train else mean
        output, new = run(variables | new, z, weight, train, method=Vaes.decode)
        hidden, source, logits = self.discriminate(params, z)
        rows = stacked(self.spec, weight)
        shared, metrics = class_terms(self.spec, batch, hidden, logits, rows, hyper)
        own, found = vae_terms(
            self.config, self.spec, batch, rows, mean, log_variance, output, hyper
        )
        confused = confusion_loss(source, rows)
        total = own + hyper.adversarial_weight * confused + shared
        metrics |= {"loss": total, "confusion": confused} | found
        return total, Aux(metrics, {VAE: new["batch_stats"]} if train else collections)

    def views(
        self, params: Params, collections: Collections, batch: Batch
    ) -> dict[str, tuple[Array, Array]]:
        """Return mean and variance of z given each view alone."""
        weight = present(self.spec, batch)
        mean, log_variance = self.posteriors(params, collections, batch, weight)
        return {v: (mean[i], jnp.exp(log_variance[i])) for i, v in enumerate(self.spec.names)}

    def encode(self, params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        """Return mean and variance of z, means over the views that a row has."""
        found = self.views(params, collections, batch)
        rows = stacked(self.spec, present(self.spec, batch))[:, :, None]
        share = rows / jnp.maximum(jnp.sum(rows, axis=0, keepdims=True), 1.0)
        mean, variance = (
            jnp.sum(share * jnp.stack([found[v][i] for v in self.spec.names]), axis=0)
            for i in (0, 1)
        )
        return mean, variance

    def decode(
        self, params: Params, collections: Collections, z: Array, conditionals: Array
    ) -> Views:
        """Return all views [b, features] of latents; there are no conditionals to heed."""
        variables = {"params": params[VAE], "batch_stats": collections[VAE]}
        return self.vaes.apply(variables, z, method=Vaes.write)  # pyright: ignore

    def judge(self, params: Params, collections: Collections, z: Array) -> Array:
        """Return logits of classes of latents, whichever view they come from."""
        return self.discriminate(params, z)[2]

    def classify(self, params: Params, collections: Collections, batch: Batch) -> Views:
        """Return logits of classes given each view alone."""
        found = self.views(params, collections, batch)
        return {v: self.judge(params, collections, z) for v, (z, _) in found.items()}


def discriminator_adam(hyper: Hyper) -> optax.GradientTransformation:
    """Return the discriminator's update rule."""
    return optax.adam(hyper.learning_rate * hyper.discriminator_rate)


def vae_adam(hyper: Hyper) -> optax.GradientTransformation:
    """Return the autoencoders' update rule."""
    return optax.adam(hyper.learning_rate)


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return MODIS for data of this shape, as pure functions; the same for equal arguments.

    Raises:
      InputError: fewer than two views or two classes, or widths that cannot be read.
    """
    classes = max(len(spec.classes), config.classes)
    _check(spec, classes)
    widths = tuple(config.widths(view) for view in spec.views)
    vaes = Vaes(spec, widths, config.latent, config.output_activation)
    critic = Discriminator(config.discriminator, len(spec.views), classes)
    game = Game(config, spec, vaes, critic)
    return Model(
        game.init,
        (
            Player(DISCRIMINATOR, game.discriminator_loss, discriminator_adam),
            Player(VAE, game.vae_loss, vae_adam),
        ),
        "sequential",
        Tasks(game.encode, game.decode, views=game.views, classify=game.classify, judge=game.judge),
        monitor=f"{VAE}/loss",
        sampling=Sampling("per_view", config.epoch_length, config.balanced),
    )


def _check(spec: DataSpec, classes: int) -> None:
    """Raise if there is nothing to align or to tell apart."""
    if len(spec.views) < 2:
        raise InputError(
            f"modis aligns at least 2 views, found {len(spec.views)}; add a view, or choose "
            "another model"
        )
    if classes < 2:
        raise InputError(
            f"modis needs at least 2 classes, found {classes}; name the column of labels, or say "
            "how many classes there are (--classes)"
        )


def _check_names(spec: DataSpec, hyper: Hyper) -> None:
    """Raise if a weight is meant for something else than a view or a class of the data."""
    for what, given, known in (
        ("view of view_weight", hyper.view_weight, spec.names),
        ("view of view_kl_weight", hyper.view_kl_weight, spec.names),
        ("class of class_weight", hyper.class_weight, spec.classes),
    ):
        for name in given:
            if name not in known:
                raise unknown(what, name, known)


def present(spec: DataSpec, batch: Batch) -> Views:
    """Return float [b] per view: 1 where a row has any value of the view."""
    return {
        v: batch.weight[v] * jnp.any(batch.observed[v], axis=1).astype(jnp.float32)
        for v in spec.names
    }


def stacked(spec: DataSpec, views: Views) -> Array:
    """Return [views, b] of [b] per view."""
    return jnp.stack([views[v] for v in spec.names])


def sampled(key: Key, mean: Array, log_variance: Array) -> Array:
    """Return one draw of z per row."""
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    return mean + jnp.exp(0.5 * log_variance) * noise


def class_terms(
    spec: DataSpec, batch: Batch, hidden: Array, logits: Array, rows: Array, hyper: Hyper
) -> tuple[Array, Metrics]:
    """Return K + G, weighted, and what they are made of.

    Args:
      spec: views and classes.
      batch: for its labels.
      hidden, logits: h and c, [views, b, units] and [views, b, classes].
      rows: [views, b], 1 where a row has the view.
      hyper: weights.
    """
    labels = jnp.where(rows > 0, stacked(spec, batch.labels), -1)
    named = [hyper.class_weight.get(name, 1.0) for name in spec.classes]
    named += [1.0] * (logits.shape[2] - len(named))
    weights = (
        jnp.stack([jnp.asarray(w, jnp.float32) for w in named]) if hyper.class_weight else None
    )
    classified = class_loss(logits, labels, weights)
    parts = jax.tree.map(jnp.sum, jax.vmap(clustering)(hidden, logits, rows))
    grouped = (
        parts.compact
        + parts.corners
        + hyper.entropy_weight * parts.usage
        + hyper.orthogonality_weight * parts.orthogonal
    )
    right = (jnp.argmax(logits, axis=2) == labels).astype(jnp.float32)
    known = (labels >= 0).astype(jnp.float32)
    metrics = {
        "class": classified,
        "clustering": grouped,
        "usage": parts.usage,
        "class_accuracy": masked_mean(right, known),
    }
    total = hyper.classification_weight * classified + hyper.clustering_weight * grouped
    return total, metrics


def vae_terms(
    config: Config,
    spec: DataSpec,
    batch: Batch,
    rows: Array,
    mean: Array,
    log_variance: Array,
    output: Views,
    hyper: Hyper,
) -> tuple[Array, Metrics]:
    """Return reconstruction and KL of all views, weighted, and what they are made of."""
    errors = {v: masked_mse(output[v], batch.x[v], batch.observed[v]) for v in spec.names}
    per_row = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - 1.0 - log_variance, axis=2)
    kl = jax.vmap(masked_mean)(per_row, rows)
    if config.kl_reduction == "sum":
        kl = kl * jax.vmap(count)(rows)
    total = jnp.zeros(())
    for i, name in enumerate(spec.names):
        total += hyper.view_weight.get(name, 1.0) * errors[name]
        total += hyper.view_kl_weight.get(name, hyper.kl_weight) * kl[i]
    metrics = {"reconstruction": jnp.sum(jnp.stack(list(errors.values()))), "kl": jnp.sum(kl)}
    return total, metrics | {f"reconstruction/{name}": error for name, error in errors.items()}
