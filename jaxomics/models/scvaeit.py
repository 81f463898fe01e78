"""scVAEIT: a mosaic autoencoder that learns to write hidden blocks from whatever is visible.

Du, Cai and Roeder, "Robust probabilistic modeling for single-cell multimodal mosaic integration and
imputation via scVAEIT", PNAS 2022, doi 10.1073/pnas.2214414119. A reimplementation with Gaussian
blocks, checked on hand-worked losses and simulated data with known truth; the published package was
not run beside it.

In each step every sample hides some of its measured cells, and one view of several (`hide`). With
m the mask of what is unavailable and y the conditionals,

    e      = tanh(W m + b)                                     a part e_v per view
    h_v    = LeakyReLU(W [x_v - c_v, e_v, y])                  0 where unavailable
    g      = norm(LeakyReLU(W [h_1, ...])),  mu = norm(W g),  log s2 = W g
    x^_v   = clip(c_v + W LeakyReLU(W norm(LeakyReLU(W [z, e, y]))))
    p      = N(x^, s_f^2),  s_f = min(softplus(a_f), 6) per feature
    L      = -(1 - b_u) log p(measured | z of all measured) - b_u log p(hidden | z of visible)
             + b_kl KL(q(z | visible) || q(z | all measured))

The divergence is between two posteriors; there is no prior on z. Sums over cells and dimensions,
means over samples; c_v and the clip (the largest size in the view) are those of training samples.

Deviations: a view is hidden at the rate `view_rate`, each as likely; norms follow faster (0.9) and
have a shift; layers start uniform on +-1/sqrt(inputs); deviations stay above 0.01. Without
`tell_decoder` the decoder is not shown e, so that z alone decodes and can be explained.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import struct

from jaxomics.data.batch import Batch, DataSpec
from jaxomics.losses.divergence import between_gaussians
from jaxomics.losses.masked import masked_mean, split_axis
from jaxomics.losses.reconstruction import masked_mse
from jaxomics.models.base import Aux, Model, Player, Tasks, Variables
from jaxomics.models.optimizers import adam
from jaxomics.nn.dropout import keep_mask
from jaxomics.nn.latent import bounded_exp, draw
from jaxomics.nn.leaky_blocks import LeakyBlocks
from jaxomics.nn.mlp import Dense
from jaxomics.nn.norm import NormedDense
from jaxomics.nn.norm_blocks import Mode
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Metrics, Params, Views

PLAYER, FRONT = "vae", "front"
"""The player, and the collection of each view's centre and range."""

SLOPE = 0.3
"""Of LeakyReLU, the default of Keras."""
LEAST, MOST = 0.01, 6.0
"""Bounds of the deviations of features."""


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss.

    Attributes:
      latent: size of z.
      hidden: units of the encoder's blocks behind the joined views; reversed in the decoder.
      block: units that each view is read into, and written from.
      embedding: numbers of e per view.
      tell_decoder: show e to the decoder, as published; the latent then does not decode by
        itself, and cannot be explained.
      draws: reconstruct by the mean over so many draws of z, with `tell_decoder`; 0 = mean of z.
    """

    latent: int = 100
    hidden: tuple[int, ...] = (256,)
    block: int = 256
    embedding: int = 16
    tell_decoder: bool = True
    draws: int = 50


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run; defaults are the paper's.

    Attributes:
      learning_rate: of AdamW.
      weight_decay: of weight matrices.
      cell_rate: rate at which cells are hidden, in half of the samples.
      view_rate: share of the samples with several views that hide one of them.
      hidden_weight: b_u.
      kl_weight: b_kl.
    """

    learning_rate: float = 3e-4
    weight_decay: float = 1e-4
    cell_rate: float = 0.2
    view_rate: float = 1.0
    hidden_weight: float = 0.5
    kl_weight: float = 2.0


class Vae(nn.Module):
    """The network: embedding of masks, encoder, decoder, and deviations of features."""

    config: Config
    spec: DataSpec

    def setup(self) -> None:
        """Name the parts, so that parameters read readers_VIEW, writers_VIEW, outputs_VIEW."""
        config, names = self.config, self.spec.names
        self.embed = Dense(config.embedding * len(names))
        self.readers = {v: Dense(config.block) for v in names}
        self.trunk = LeakyBlocks(config.hidden, "last", SLOPE)
        self.mean = NormedDense(config.latent, name="normed_0")
        self.log_variance = Dense(config.latent)
        self.branch = LeakyBlocks(config.hidden[::-1], "last", SLOPE)
        self.writers = {v: Dense(config.block) for v in names}
        self.outputs = {view.name: Dense(view.features) for view in self.spec.views}
        self.raw = {
            view.name: self.param(f"deviation_{view.name}", nn.initializers.zeros, (view.features,))
            for view in self.spec.views
        }

    def told(self, shown: Views) -> Array:
        """Return e [b, embedding x views] of what is available, [b, inputs] per view."""
        lacking = [1.0 - shown[v] for v in self.spec.names]
        return jnp.tanh(self.embed(jnp.concatenate(lacking, axis=1)))

    def encode(
        self, x: Views, shown: Views, y: Array, weight: Array, mode: Mode
    ) -> tuple[Array, Array]:
        """Return mean and variance of z, both [b, latent].

        Args:
          x: [b, inputs] per view, centred.
          shown: the same, 1 where available.
          y: conditionals.
          weight: [b], 0 = padding.
          mode: how to run.
        """
        parts = jnp.split(self.told(shown), len(self.spec.names), axis=1)
        read = []
        for name, e in zip(self.spec.names, parts, strict=True):
            given = jnp.concatenate([x[name] * shown[name], e, y], axis=1)
            read.append(nn.leaky_relu(self.readers[name](given), SLOPE))
        g = self.trunk(jnp.concatenate(read, axis=1), weight, mode)
        mean = self.mean(g, weight, train=mode.train, axis_name=mode.axis_name)
        return mean, bounded_exp(self.log_variance(g))

    def decode(self, z: Array, e: Array | None, y: Array, weight: Array, mode: Mode) -> Views:
        """Return the centred means [b, features] of every view; `e` None where it is not read."""
        given = [z, y] if e is None else [z, e, y]
        g = self.branch(jnp.concatenate(given, axis=1), weight, mode)
        return {
            name: self.outputs[name](nn.leaky_relu(self.writers[name](g), SLOPE))
            for name in self.spec.names
        }

    def deviations(self) -> Views:
        """Return s_f [features] of each view."""
        return {v: jnp.clip(nn.softplus(raw), LEAST, MOST) for v, raw in self.raw.items()}

    def __call__(self, x: Views, shown: Views, y: Array, weight: Array) -> tuple[Views, Views]:
        """Run everything once; used to make the parameters."""
        z, _ = self.encode(x, shown, y, weight, Mode())
        e = self.told(shown) if self.config.tell_decoder else None
        return self.decode(z, e, y, weight, Mode()), self.deviations()


class Pass(NamedTuple):
    """What came of one look at the data.

    Attributes:
      mean, variance: of z.
      output: means of the cells, [b, features] per view.
      statistics: of batch norms afterwards.
    """

    mean: Array
    variance: Array
    output: Views
    statistics: Any


class Network(NamedTuple):
    """The network on data of one shape, as pure functions of parameters and batches.

    Attributes:
      config: settings.
      spec: the data's views.
      vae: the network.
    """

    config: Config
    spec: DataSpec
    vae: Vae

    def survey(self, collections: Collections, batch: Batch) -> Collections:
        """Return the collections with centre and range of each view."""
        found = {}
        for v in self.spec.names:
            x, cells = batch.x[v], batch.observed[v].astype(jnp.float32)
            centre = jnp.sum(cells * x, axis=0) / jnp.maximum(jnp.sum(cells, axis=0), 1.0)
            found[v] = {"centre": centre, "range": jnp.max(jnp.abs(x * cells))}
        return {**collections, FRONT: found}

    def init(self, key: Key, batch: Batch) -> Variables:
        """Return parameters, and collections as of a survey of the example."""
        collections = self.survey({}, batch)
        drawn = start(self.vae, key, *self._read(collections, batch, batch.observed))
        return Variables({PLAYER: drawn["params"]}, {**collections, PLAYER: drawn["batch_stats"]})

    def encode(self, params: Params, collections: Collections, batch: Batch) -> tuple:
        """Return mean and variance of z, both [b, latent], given all that was measured."""
        given = self._read(collections, batch, batch.observed)
        return self._run(params, collections, *given, Mode(), method=Vae.encode)[0]

    def decode(
        self, params: Params, collections: Collections, z: Array, conditionals: Array
    ) -> Views:
        """Return all views [b, features] of latents, by a decoder that is not shown masks."""
        given = z, None, conditionals, jnp.ones(len(z)), Mode()
        output, _ = self._run(params, collections, *given, method=Vae.decode)
        return self._bounded(collections, output)

    def translate(self, params: Params, collections: Collections, batch: Batch) -> Views:
        """Return all views [b, features], by a decoder that is shown masks: mean over draws of z.

        All samples share the draws' noise, so that none depends on its place among others.
        """
        mean, variance = self.encode(params, collections, batch)
        _, shown, y, weight = self._read(collections, batch, batch.observed)
        e, _ = self._run(params, collections, shown, method=Vae.told)

        def written(z: Array) -> Views:
            given = z, e, y, weight, Mode()
            return self._bounded(collections, self._run(params, collections, *given,
                                                        method=Vae.decode)[0])  # fmt: skip

        if not self.config.draws:
            return written(mean)
        noise = jax.random.normal(jax.random.key(0), (self.config.draws, 1, mean.shape[1]))
        drawn = jax.lax.map(lambda own: written(mean + own * jnp.sqrt(variance)), noise)
        return jax.tree.map(lambda values: jnp.mean(values, axis=0), drawn)

    def loss(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        """Return L on a batch; at rest, samples take turns in which view they hide."""
        keys = jax.random.split(key, 3)
        hidden = hide(self.spec, batch, keys[0], hyper) if train else take_turns(self.spec, batch)
        visible = {v: batch.observed[v] & ~hidden[v] for v in self.spec.names}
        whole = self._look(params, collections, batch, batch.observed, keys[1], train)
        after = {**collections, PLAYER: whole.statistics}
        part = self._look(params, after, batch, visible, keys[2], train)
        deviations, _ = self._run(params, collections, method=Vae.deviations)
        weight = batch.weight[self.spec.names[0]]
        given = deviations, batch.x
        measured = log_likelihood(whole.output, *given, batch.observed, weight)
        found = log_likelihood(part.output, *given, hidden, weight)
        kl = between_gaussians(part.mean, part.variance, whole.mean, whole.variance, weight)
        total, metrics = objective(measured, found, kl, hyper)
        for name, look, cells in (
            ("reconstruction", whole, batch.observed),
            ("prediction", part, hidden),
        ):
            errors = [masked_mse(look.output[v], batch.x[v], cells[v]) for v in self.spec.names]
            metrics[name] = jnp.sum(jnp.stack(errors))
        return total, Aux(metrics, {PLAYER: part.statistics} if train else collections)

    def _look(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        shown: Views,
        key: Key,
        train: bool,
    ) -> Pass:
        """Encode and decode a batch of which some cells are shown."""
        mode = Mode(train, axis_name=split_axis())
        x, cells, y, weight = self._read(collections, batch, shown)
        given = x, cells, y, weight, mode
        (mean, variance), new = self._run(params, collections, *given, method=Vae.encode)
        z, e = draw(key, mean, variance) if train else mean, None
        if self.config.tell_decoder:
            e, _ = self._run(params, collections, cells, method=Vae.told)
        after = {**collections, PLAYER: new}
        output, new = self._run(params, after, z, e, y, weight, mode, method=Vae.decode)
        return Pass(mean, variance, self._bounded(collections, output), new)

    def _read(self, collections: Collections, batch: Batch, shown: Views) -> tuple:
        """Return what the encoder is given: centred views, what is shown, conditionals, weight."""
        x, cells = {}, {}
        for view in self.spec.views:
            columns = slice(None) if view.encoded is None else np.asarray(view.encoded)
            centre = collections[FRONT][view.name]["centre"]
            x[view.name] = (batch.x[view.name] - centre[None])[:, columns]
            cells[view.name] = shown[view.name].astype(jnp.float32)[:, columns]
        first = self.spec.names[0]
        return x, cells, batch.conditionals[first], batch.weight[first]

    def _bounded(self, collections: Collections, output: Views) -> Views:
        """Return means with their centre, cut at the range; gradients pass the cut."""
        found = {}
        for v, values in output.items():
            front = collections[FRONT][v]
            values = values + front["centre"][None]
            cut = jnp.clip(values, -front["range"], front["range"])
            found[v] = values + jax.lax.stop_gradient(cut - values)
        return found

    def _run(self, params: Params, collections: Collections, *given: Any, method: Any) -> tuple:
        """Run a part of the network; return its output and the statistics afterwards."""
        variables = {"params": params[PLAYER], "batch_stats": collections[PLAYER]}
        run: Callable[..., Any] = self.vae.apply
        output, new = run(variables, *given, mutable=["batch_stats"], method=method)
        return output, new.get("batch_stats", {})


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return scVAEIT for data of this shape, as pure functions; the same for equal arguments."""
    own = Network(config, spec, Vae(config, spec))
    player = Player(PLAYER, own.loss, adam("decoupled"))
    tasks = Tasks(own.encode, own.decode)
    if config.tell_decoder:
        tasks = Tasks(own.encode, translate=own.translate)
    return Model(own.init, (player,), tasks=tasks, monitor="prediction", survey=own.survey)


def hide(spec: DataSpec, batch: Batch, key: Key, hyper: Hyper) -> Views:
    """Draw which measured cells are hidden, bool [b, features] per view.

    Half of the samples hide each cell at `cell_rate`; and with `view_rate` a sample hides one
    view, each as likely, if another one of its views has any value.
    """
    samples = len(batch.weight[spec.names[0]])
    half_key, rate_key, view_key, cell_key = jax.random.split(key, 4)
    half = jax.random.bernoulli(half_key, shape=(samples, 1))
    some = jax.random.bernoulli(rate_key, hyper.view_rate, (samples,))
    chosen = jax.random.randint(view_key, (samples,), 0, len(spec.names))
    whole = hidden_views(spec, batch, jnp.where(some, chosen, -1))
    found = {}
    for i, v in enumerate(spec.names):
        own_key = jax.random.fold_in(cell_key, i)
        cells = half & ~keep_mask(own_key, batch.x[v].shape, hyper.cell_rate)
        found[v] = batch.observed[v] & (cells | whole[v])
    return found


def take_turns(spec: DataSpec, batch: Batch) -> Views:
    """Return one hidden view per sample, by the sample's number; bool [b, features] per view."""
    chosen = batch.sample[spec.names[0]] % len(spec.names)
    whole = hidden_views(spec, batch, chosen)
    return {v: batch.observed[v] & whole[v] for v in spec.names}


def hidden_views(spec: DataSpec, batch: Batch, chosen: Array) -> Views:
    """Return bool [b, 1] per view: chosen, and another view of the sample has any value.

    Args:
      spec: the data's views.
      batch: what was measured.
      chosen: int [b], number of a view; -1 = none.
    """
    present = jnp.stack([jnp.any(batch.observed[v], axis=1) for v in spec.names])
    count = jnp.sum(present, axis=0)
    return {
        v: ((chosen == i) & (count - present[i] > 0))[:, None] for i, v in enumerate(spec.names)
    }


def log_likelihood(
    output: Views, deviations: Views, target: Views, cells: Views, weight: Array
) -> Array:
    """Return the Gaussian log-likelihood of some cells: sum over cells, mean over samples.

    Args:
      output, target: [b, features] per view.
      deviations: [features] per view.
      cells: bool [b, features] per view, which count.
      weight: [b], 0 = padding.
    """
    total = jnp.zeros(len(weight))
    for v, mean in output.items():
        s = deviations[v][None]
        each = -0.5 * ((target[v] - mean) / s) ** 2 - jnp.log(s) - 0.5 * np.log(2 * np.pi)
        total += jnp.sum(jnp.where(cells[v], each, 0.0), axis=1)
    return masked_mean(total, weight)


def objective(measured: Array, hidden: Array, kl: Array, hyper: Hyper) -> tuple[Array, Metrics]:
    """Return L and its terms by name, from the two log-likelihoods and the divergence."""
    total = -(1.0 - hyper.hidden_weight) * measured - hyper.hidden_weight * hidden
    total += hyper.kl_weight * kl
    return total, {"loss": total, "measured": -measured, "hidden": -hidden, "kl": kl}
