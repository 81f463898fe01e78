"""JAMIE: two variational autoencoders whose latents are drawn together where samples are paired.

Cohen Kalafut, Huang and Wang, "Joint variational autoencoders for multimodal imputation and
embedding", Nature Machine Intelligence 2023, doi 10.1038/s42256-023-00663-z. A reimplementation,
checked on hand-worked losses and simulated data with known truth; the published package, which
does not run on current NumPy, was not run beside it.

    s_i    = scaled principal scores of view i                   found once, `nn.components`
    h_i    = dropout(LeakyReLU(norm(W ...)))                     d to 2d to d
    z_i    = mu_i + eps s,   mu_i = W h_i,  log s2 = W h_i
    z~_i   = (sigma_1 z_1 + sigma_2 z_2) / (sigma_1 + sigma_2)   in pairs; z_i in single samples
    x^_i   = the view with the scores decoder_i(z~_i)            latent to d to 2d to d
    L      = sum_i R_i + 0.032 k(epoch) sum_i KL_i + 32 sum_i |z_i - z~_i|^2 / K + |z~_1 - F z~_2|^2
    k      = 1 / (1 + exp(-5 (epoch - c) / c))

R_i is the squared error over measured cells in units of the variance that the scores hold, which
for a complete view is the published error of the scores plus a constant. KL_i is a mean over
dimensions. What a sample lacks is written by decoder_j(mu_i).

Deviations: KL is that of each view's own variance (the published code takes one view's for both);
F is the mean of the nearest neighbours in the batch in place of UnionCom's correspondence, or left
out; batches are rows of samples with any view, not 80 % pairs; sigma is positive by construction;
d is min(512, features), and axes that the rows do not allow are silent. docs/models/jamie.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from jaxomics.data.batch import Batch, DataSpec
from jaxomics.errors import InputError
from jaxomics.losses.masked import masked_mean, split_axis
from jaxomics.losses.reconstruction import masked_mse
from jaxomics.models.base import Aux, Model, Player, Tasks, Variables
from jaxomics.models.clock import CLOCK, epoch, start_clock, tick
from jaxomics.nn.components import Components, principal
from jaxomics.nn.latent import bounded_exp, perturb
from jaxomics.nn.leaky_blocks import LeakyBlocks
from jaxomics.nn.mlp import Dense
from jaxomics.nn.norm_blocks import Mode
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Metrics, Params, Views

PLAYER, FRONT = "vae", "front"
"""The player, and the collection of principal axes by view."""

NARROW = 64
"""Where no view has more components, there is no dropout."""


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss; defaults are those of the MOSA benchmark.

    Attributes:
      latent: size of z.
      components: most principal components of a view; layers have as many units, and twice.
      nearest: over how many neighbours F takes the mean; 0 leaves its term out.
      midpoint: c, the epoch in which the weight of the divergence is half its last; 0 = all on.
    """

    latent: int = 200
    components: int = 512
    nearest: int = 5
    midpoint: int = 250


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run.

    Attributes:
      learning_rate: of Adam.
      weight_decay: of weight matrices (AdamW).
      gradient_norm: longer gradients are shortened to it.
      dropout: rate in hidden layers; 0 where no view has more than 64 components, as published.
      kl_weight: of the divergence.
      pull_weight: of the distance between a view's latent and the joint one.
      neighbour_weight: of the term with F.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    gradient_norm: float = 1.0
    dropout: float = 0.6
    kl_weight: float = 0.032
    pull_weight: float = 32.0
    neighbour_weight: float = 1.0


class Posterior(NamedTuple):
    """Latents of both views, each field [views, b, ...].

    Attributes:
      mean, variance: of z given one view, [views, b, latent].
      present: [views, b], 1 where a sample has the view.
    """

    mean: Array
    variance: Array
    present: Array


class Vaes(nn.Module):
    """The networks: an encoder and a decoder of principal scores per view, and sigma.

    Attributes:
      names: of the views.
      sizes: components of each view.
      latent: size of z.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    latent: int

    def setup(self) -> None:
        """Name the parts, so that parameters read readers_VIEW, means_VIEW, writers_VIEW."""
        sized = list(zip(self.names, self.sizes, strict=True))
        self.readers = {v: LeakyBlocks((2 * d, d), "first") for v, d in sized}
        self.means = {v: Dense(self.latent) for v in self.names}
        self.log_variances = {v: Dense(self.latent) for v in self.names}
        self.writers = {v: LeakyBlocks((d, 2 * d), "first") for v, d in sized}
        self.outputs = {v: Dense(d) for v, d in sized}
        self.log_sigma = self.param("log_sigma", nn.initializers.zeros, (len(self.names),))

    def encode(self, scores: Views, present: Array, modes: list[Mode]) -> tuple[Array, Array]:
        """Return means and variances of z given each view, both [views, b, latent]."""
        means, variances = [], []
        for i, name in enumerate(self.names):
            h = self.readers[name](scores[name], present[i], modes[i])
            means.append(self.means[name](h))
            variances.append(bounded_exp(self.log_variances[name](h)))
        return jnp.stack(means), jnp.stack(variances)

    def decode(self, z: Array, present: Array, modes: list[Mode]) -> Views:
        """Return the scores of each view of latents [views, b, latent]."""
        return {
            name: self.outputs[name](self.writers[name](z[i], present[i], modes[i]))
            for i, name in enumerate(self.names)
        }

    def shares(self, present: Array) -> Array:
        """Return what each view's latent counts for in the joint one, [views, b]."""
        weight = present * jnp.exp(self.log_sigma)[:, None]
        return weight / jnp.maximum(jnp.sum(weight, axis=0, keepdims=True), 1e-12)

    def __call__(self, scores: Views, present: Array) -> Views:
        """Run everything once; used to make the parameters."""
        modes = [Mode()] * len(self.names)
        z, _ = self.encode(scores, present, modes)
        joint = jnp.sum(self.shares(present)[:, :, None] * z, axis=0)
        return self.decode(jnp.stack([joint] * len(self.names)), present, modes)


class Networks(NamedTuple):
    """The networks on data of one shape, as pure functions of parameters and batches.

    Attributes:
      config: settings.
      spec: the data's views.
      vaes: the networks.
    """

    config: Config
    spec: DataSpec
    vaes: Vaes

    def survey(self, collections: Collections, batch: Batch) -> Collections:
        """Return the collections with each view's principal axes, and the clock at rest."""
        found = {
            v: principal(batch.x[v], batch.observed[v], size)._asdict()
            for v, size in zip(self.spec.names, self.vaes.sizes, strict=True)
        }
        weight = batch.weight[self.spec.names[0]]
        return {**collections, FRONT: found, CLOCK: start_clock(weight)}

    def init(self, key: Key, batch: Batch) -> Variables:
        """Return parameters, and collections as of a survey of the example."""
        collections = self.survey({}, batch)
        drawn = start(self.vaes, key, self._scores(collections, batch), self.present(batch))
        return Variables({PLAYER: drawn["params"]}, {**collections, PLAYER: drawn["batch_stats"]})

    def present(self, batch: Batch) -> Array:
        """Return [views, b], 1 where a sample has any value of the view."""
        seen = [batch.weight[v] * jnp.any(batch.observed[v], axis=1) for v in self.spec.names]
        return jnp.stack(seen)

    def encode(self, params: Params, collections: Collections, batch: Batch) -> tuple:
        """Return mean and variance of the joint z, both [b, latent]."""
        found, _ = self._posterior(params, collections, batch, [Mode()] * 2)
        shares = self._shares(params, found.present)
        mean = jnp.sum(shares * found.mean, axis=0)
        return mean, jnp.sum(shares**2 * found.variance, axis=0)

    def views(
        self, params: Params, collections: Collections, batch: Batch
    ) -> dict[str, tuple[Array, Array]]:
        """Return mean and variance of z given each view alone."""
        found, _ = self._posterior(params, collections, batch, [Mode()] * 2)
        return {v: (found.mean[i], found.variance[i]) for i, v in enumerate(self.spec.names)}

    def decode(
        self, params: Params, collections: Collections, z: Array, conditionals: Array
    ) -> Views:
        """Return both views [b, features] of latents; there are no conditionals to heed."""
        present = jnp.ones((2, len(z)))
        scores, _ = self._write(params, collections, jnp.stack([z, z]), present, [Mode()] * 2)
        return self._restore(collections, scores)

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
        """Return L on a batch."""
        *keys, noise_key = jax.random.split(key, 5)
        rate = hyper.dropout if max(self.vaes.sizes) > NARROW else 0.0
        dropping = train and max(self.vaes.sizes) > NARROW
        modes = [Mode(train, rate, k if dropping else None, split_axis()) for k in keys]
        found, new = self._posterior(params, collections, batch, modes[:2])
        noise = jax.random.normal(noise_key, found.mean.shape) if train else 0.0
        z = perturb(found.mean, found.variance, noise)  # pyright: ignore[reportArgumentType]
        joint = jnp.sum(self._shares(params, found.present) * z, axis=0)
        both = jnp.stack([joint, joint])
        after = {**collections, PLAYER: new}
        scores, new = self._write(params, after, both, found.present, modes[2:])
        output = self._restore(collections, scores)
        errors = {
            v: masked_mse(output[v], batch.x[v], batch.observed[v])
            / collections[FRONT][v]["variance"]
            for v in self.spec.names
        }
        spread = jnp.zeros(())
        if self.config.nearest:
            read = self._scores(collections, batch)
            near = neighbours(read, found.present, self.config.nearest)
            rows = found.present[0] * jnp.any(near > 0, axis=1)
            spread = masked_mean(jnp.mean((joint - near @ joint) ** 2, axis=1), rows)
        warmth = warm(self.config, epoch(collections[CLOCK], len(joint)))
        total, metrics = objective(errors, found, z, joint, spread, warmth, hyper)
        after = {PLAYER: new, CLOCK: tick(collections[CLOCK])}
        return total, Aux(metrics, after if train else collections)

    def _scores(self, collections: Collections, batch: Batch) -> Views:
        """Return the scaled principal scores of both views."""
        fronts = collections[FRONT]
        return {
            v: Components(**fronts[v]).scores(batch.x[v], batch.observed[v])
            for v in self.spec.names
        }

    def _restore(self, collections: Collections, scores: Views) -> Views:
        """Return the views of scaled principal scores."""
        return {v: Components(**collections[FRONT][v]).restore(s) for v, s in scores.items()}

    def _posterior(
        self, params: Params, collections: Collections, batch: Batch, modes: list[Mode]
    ) -> tuple[Posterior, Any]:
        """Return z given each view, and new statistics."""
        present = self.present(batch)
        given = self._scores(collections, batch), present, modes
        (mean, variance), new = self._apply(params, collections, *given, method=Vaes.encode)
        return Posterior(mean, variance, present), new

    def _write(
        self,
        params: Params,
        collections: Collections,
        z: Array,
        present: Array,
        modes: list[Mode],
    ) -> tuple[Views, Any]:
        """Return scores of both views of latents [views, b, latent], and new statistics."""
        return self._apply(params, collections, z, present, modes, method=Vaes.decode)

    def _shares(self, params: Params, present: Array) -> Array:
        """Return what each view's latent counts for, [views, b, 1]."""
        run: Callable[..., Any] = self.vaes.apply
        return run({"params": params[PLAYER]}, present, method=Vaes.shares)[:, :, None]

    def _apply(self, params: Params, collections: Collections, *given: Any, **how: Any) -> tuple:
        """Run a part of the networks; return its output and the statistics afterwards."""
        variables = {"params": params[PLAYER], "batch_stats": collections[PLAYER]}
        output, new = self.vaes.apply(variables, *given, mutable=["batch_stats"], **how)
        return output, new["batch_stats"]


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return JAMIE for data of this shape, as pure functions; the same for equal arguments.

    Raises:
      InputError: not two views.
    """
    if len(spec.views) != 2:
        raise InputError(
            f"jamie joins 2 views, found {len(spec.views)}; name two of them with --views"
        )
    sizes = tuple(min(config.components, view.features) for view in spec.views)
    own = Networks(config, spec, Vaes(spec.names, sizes, config.latent))
    player = Player(PLAYER, own.loss, clipped_adam)
    tasks = Tasks(own.encode, own.decode, views=own.views)
    return Model(own.init, (player,), tasks=tasks, monitor="reconstruction", survey=own.survey)


def clipped_adam(hyper: Hyper) -> optax.GradientTransformation:
    """Return the update rule: AdamW on shortened gradients."""
    return optax.chain(
        optax.clip_by_global_norm(hyper.gradient_norm),  # pyright: ignore[reportArgumentType]
        optax.scale_by_adam(),
        optax.add_decayed_weights(
            hyper.weight_decay, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
        ),
        optax.scale(-hyper.learning_rate),
    )


def warm(config: Config, done: Array) -> Array:
    """Return k, from the number of epochs that are over.

    >>> float(warm(Config(midpoint=10), jnp.array(10.0)))
    0.5
    """
    if not config.midpoint:
        return jnp.ones(())
    return jax.nn.sigmoid(5.0 * (done - config.midpoint) / config.midpoint)


def neighbours(scores: Views, present: Array, count: int) -> Array:
    """Return F [b, b]: over samples with the second view, 1 / count for the nearest to each row.

    Near in the views that both samples have; rows without the first view, or without anything in
    common with anybody, are 0. A sample is its own nearest.

    Args:
      scores: [b, components] of both views.
      present: [views, b].
      count: how many neighbours; fewer where there are no more.

    >>> scores = {"a": jnp.array([[0.0], [1.0], [5.0]]), "b": jnp.array([[0.0], [1.0], [5.0]])}
    >>> neighbours(scores, jnp.array([[1.0, 1, 1], [1, 1, 0]]), 1).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """
    total, shared = 0.0, 0.0
    for i, own in enumerate(scores.values()):
        square = jnp.sum(own**2, axis=1)
        apart = jnp.maximum(square[:, None] + square[None] - 2.0 * own @ own.T, 0.0)
        both = present[i][:, None] * present[i][None]
        total, shared = total + both * apart / own.shape[1], shared + both
    allowed = (jnp.asarray(shared) > 0) & (present[1] > 0)[None] & (present[0] > 0)[:, None]
    near = jnp.where(allowed, -total / jnp.maximum(shared, 1.0), -jnp.inf)
    values, places = jax.lax.top_k(near, min(count, len(near)))
    weight = jnp.isfinite(values).astype(jnp.float32)
    weight = weight / jnp.maximum(jnp.sum(weight, axis=1, keepdims=True), 1.0)
    rows = jnp.broadcast_to(jnp.arange(len(near))[:, None], places.shape)
    return jnp.zeros_like(near).at[rows, places].add(weight)


def objective(
    errors: Views,
    found: Posterior,
    z: Array,
    joint: Array,
    spread: Array,
    warmth: Array,
    hyper: Hyper,
) -> tuple[Array, Metrics]:
    """Return L and its terms by name.

    Args:
      errors: R_i by view.
      found: mean and variance of z given each view.
      z: [views, b, latent].
      joint: z~ [b, latent].
      spread: the term with F.
      warmth: k.
      hyper: weights.
    """
    divergence = 0.5 * (found.variance + found.mean**2 - 1.0 - jnp.log(found.variance))
    mean = jax.vmap(masked_mean)
    kl = jnp.sum(mean(jnp.mean(divergence, axis=2), found.present))
    pull = jnp.sum(mean(jnp.mean((z - joint[None]) ** 2, axis=2), found.present))
    reconstruction = jnp.sum(jnp.stack(list(errors.values())))
    total = reconstruction + hyper.kl_weight * warmth * kl
    total += hyper.pull_weight * pull + hyper.neighbour_weight * spread
    metrics = {
        "loss": total,
        "reconstruction": reconstruction,
        "kl": kl,
        "pull": pull,
        "neighbours": spread,
        "warmth": warmth,
    }
    return total, metrics | {f"reconstruction/{name}": error for name, error in errors.items()}
