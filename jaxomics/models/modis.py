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
from functools import lru_cache
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.errors import InputError
from jaxomics.losses.adversarial import class_loss, confusion_loss, source_loss
from jaxomics.losses.clustering import clustering
from jaxomics.losses.masked import count, masked_mean, split_axis
from jaxomics.losses.reconstruction import masked_mse
from jaxomics.models.base import Aux, Model, Player, Sampling, Tasks, Variables
from jaxomics.nn.mlp import Dense
from jaxomics.nn.norm import NormedDense
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Metrics, Params, Views

DISCRIMINATOR, VAE = "discriminator", "vae"
EPSILON, MOMENTUM = 0.8, 0.9
"""Of the batch norms. The published code hands 0.8 over where PyTorch expects epsilon."""
SLOPE = 0.2


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
    """

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

    config: Config
    spec: DataSpec

    def setup(self) -> None:
        """Name the parts, so that parameters read encoders_VIEW, decoders_VIEW."""
        config, views = self.config, self.spec.views
        self.encoders = {v.name: Encoder(config.widths(v), config.latent) for v in views}
        self.decoders = {
            v.name: Decoder(config.widths(v)[::-1], v.features, config.output_activation)
            for v in views
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


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return MODIS for data of this shape, as pure functions; the same for equal arguments.

    Raises:
      InputError: fewer than two views or two classes, or widths that cannot be read.
    """
    classes = max(len(spec.classes), config.classes)
    _check(config, spec, classes)
    names, vaes = spec.names, Vaes(config, spec)
    critic = Discriminator(config.discriminator, len(names), classes)
    run: Callable[..., Any] = vaes.apply

    def init(key: Key, batch: Batch) -> Variables:
        keys = jax.random.split(key)
        own = start(vaes, keys[0], batch.x, batch.weight)
        z = jnp.zeros((len(names), 2, config.latent))
        params = {VAE: own["params"], DISCRIMINATOR: start(critic, keys[1], z)["params"]}
        return Variables(params, {VAE: own["batch_stats"]})

    def at_rest(params: Params, collections: Collections, *given: Any, method: Any) -> Any:
        variables = {"params": params[VAE], "batch_stats": collections[VAE]}
        return run(variables, *given, method=method)

    def discriminate(params: Params, z: Array) -> tuple[Array, Array, Array]:
        return critic.apply({"params": params[DISCRIMINATOR]}, z)  # pyright: ignore

    def discriminator_loss(
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        weight = present(spec, batch)
        mean, log_variance = at_rest(
            params, collections, batch.x, weight, False, method=Vaes.encode
        )
        z = sampled(jax.random.fold_in(key, 0), mean, log_variance) if train else mean
        hidden, source, logits = discriminate(params, z)
        rows = stacked(spec, weight)
        shared, metrics = class_terms(spec, batch, hidden, logits, rows, hyper)
        named = source_loss(source, rows)
        total = hyper.adversarial_weight * named + shared
        right = jnp.argmax(source, axis=2) == jnp.arange(len(names))[:, None]
        accuracy = masked_mean(right.astype(jnp.float32), rows)
        return total, Aux({"loss": total, "source": named, "view_accuracy": accuracy} | metrics, {})

    def vae_loss(
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        weight = present(spec, batch)
        variables = {"params": params[VAE], "batch_stats": collections[VAE]}
        (mean, log_variance), new = run(
            variables, batch.x, weight, train, method=Vaes.encode, mutable=["batch_stats"]
        )
        z = sampled(jax.random.fold_in(key, 1), mean, log_variance) if train else mean
        output, new = run(
            variables | new, z, weight, train, method=Vaes.decode, mutable=["batch_stats"]
        )
        hidden, source, logits = discriminate(params, z)
        rows = stacked(spec, weight)
        shared, metrics = class_terms(spec, batch, hidden, logits, rows, hyper)
        own, found = vae_terms(config, spec, batch, rows, mean, log_variance, output, hyper)
        confused = confusion_loss(source, rows)
        total = own + hyper.adversarial_weight * confused + shared
        metrics |= {"loss": total, "confusion": confused} | found
        return total, Aux(metrics, {VAE: new["batch_stats"]} if train else collections)

    def views(params: Params, collections: Collections, batch: Batch) -> dict:
        weight = present(spec, batch)
        mean, log_variance = at_rest(
            params, collections, batch.x, weight, False, method=Vaes.encode
        )
        return {v: (mean[i], jnp.exp(log_variance[i])) for i, v in enumerate(names)}

    def encode(params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        found, weight = views(params, collections, batch), present(spec, batch)
        rows = jnp.maximum(sum(weight[v] for v in names), 1.0)[:, None]
        mean, variance = (
            sum(weight[v][:, None] * found[v][i] for v in names) / rows for i in (0, 1)
        )
        return jnp.asarray(mean), jnp.asarray(variance)

    def decode(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        return at_rest(params, collections, z, method=Vaes.write)

    def classify(params: Params, collections: Collections, batch: Batch) -> Views:
        found = views(params, collections, batch)
        return {v: judge(params, collections, found[v][0]) for v in names}

    def judge(params: Params, collections: Collections, z: Array) -> Array:
        return discriminate(params, z)[2]

    def critic_adam(hyper: Hyper) -> Any:
        rate = hyper.learning_rate * hyper.discriminator_rate
        return optax.adam(rate)

    players = (
        Player(DISCRIMINATOR, discriminator_loss, critic_adam),
        Player(VAE, vae_loss, lambda hyper: optax.adam(hyper.learning_rate)),
    )
    return Model(
        init,
        players,
        "sequential",
        Tasks(encode, decode, views=views, classify=classify, judge=judge),
        monitor=f"{VAE}/loss",
        sampling=Sampling("per_view", config.epoch_length, config.balanced),
    )


def _check(config: Config, spec: DataSpec, classes: int) -> None:
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
    for view in spec.views:
        config.widths(view)


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
