"""The co-embedding as a game: both VAEs, the discriminator, and every term of their losses.

Nagaraj et al. 2023; `coembed.py` has the equations.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxomics.data.batch import Batch
from jaxomics.losses.masked import masked_mean
from jaxomics.losses.triplet import draw_triplets, triplet_loss
from jaxomics.models.base import Aux, Hyper, Variables
from jaxomics.models.bulk import VAE, vae_loss
from jaxomics.models.one_view import OneView, present
from jaxomics.nn.latent import draw
from jaxomics.nn.mlp import Dense
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Metrics, Params, Views

CRITIC = "critic"
"""The player that tells modalities apart."""

SLOPE = 0.2
"""Of its leaky ReLUs."""

ENCODING = ("reader", "read_norm", "encoder", "posterior")
"""Parts of a VAE's parameters that belong to its encoder."""


class Critic(nn.Module):
    """Tells latents of ATAC from those of RNA."""

    widths: tuple[int, ...] = (256, 128)

    @nn.compact
    def __call__(self, z: Array) -> Array:
        """Map [b, latent] to logits [b], large for ATAC."""
        for i, units in enumerate(self.widths):
            z = nn.leaky_relu(Dense(units, name=f"hidden_{i}")(z), SLOPE)
        return Dense(1, name="out")(z)[:, 0]


class Passed(NamedTuple):
    """What the VAE of one modality makes of a batch.

    Attributes:
      total: its loss.
      metrics: what that is made of.
      mean: of z, [b, latent].
      statistics: of its norms afterwards.
    """

    total: Array
    metrics: Metrics
    mean: Array
    statistics: Any


class Game(NamedTuple):
    """Both VAEs and the discriminator, as pure functions of parameters and batches.

    Attributes:
      config: `coembed.Config`.
      cohorts: how many there are.
      sides: the VAEs of ATAC and of RNA.
      critic: the discriminator.
    """

    config: Any
    cohorts: int
    sides: tuple[OneView, OneView]
    critic: Critic

    def init(self, key: Key, batch: Batch) -> Variables:
        """Return fresh parameters of both players, and running statistics."""
        keys = jax.random.split(key, 3)
        drawn = {
            side.name: side.init(own, batch) for side, own in zip(self.sides, keys[:2], strict=True)
        }
        params: Params = {VAE: {name: own.params[VAE] for name, own in drawn.items()}}
        if self.config.alignment == "adversarial":
            z = jnp.zeros((2, self.config.latent))
            params[CRITIC] = start(self.critic, keys[2], z)["params"]
        return Variables(
            params, _kept({n: own.collections.get(VAE, {}) for n, own in drawn.items()})
        )

    def pass_side(
        self,
        side: OneView,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        train: bool,
    ) -> Passed:
        """Return the loss of one VAE, and the latent."""
        view, kind = side.name, type(side.network)
        own, statistics = params[VAE][view], collections.get(VAE, {}).get(view, {})
        x, weight = batch.x[view], present(batch, view)
        (mean, variance), statistics = side.run(
            own, statistics, x, weight, train, method=kind.encode
        )
        z = draw(key, mean, variance) if train else mean
        output, statistics = side.run(own, statistics, z, weight, train, method=kind.decode)
        total, metrics = vae_loss(
            output, x, batch.observed[view], weight, mean, variance, hyper, side.reduction
        )
        return Passed(total, metrics, mean, statistics)

    def passed(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        train: bool,
    ) -> tuple[Passed, Passed]:
        """Return what both VAEs make of a batch."""
        keys = jax.random.split(key)
        atac, rna = (
            self.pass_side(side, params, collections, batch, own, hyper, train)
            for side, own in zip(self.sides, keys, strict=True)
        )
        return atac, rna

    def means(
        self, params: Params, collections: Collections, batch: Batch, train: bool
    ) -> tuple[Array, Array]:
        """Return the means of both latents, as `passed` has them."""
        statistics = collections.get(VAE, {})
        atac, rna = (
            side.run(
                params[VAE][side.name], statistics.get(side.name, {}), batch.x[side.name],
                present(batch, side.name), train, method=type(side.network).encode,
            )[0][0]
            for side in self.sides
        )  # fmt: skip
        return atac, rna

    def cycle(self, params: Params, collections: Collections, batch: Batch) -> Array:
        """Return L_cyc, whose gradient in parameters of encoders is 0."""
        frozen = {view: still(own) for view, own in params[VAE].items()}
        statistics = collections.get(VAE, {})
        total = jnp.zeros(())
        for here, there in (self.sides, self.sides[::-1]):
            weight = present(batch, here.name)

            def run(side: OneView, given: Array, method: Any, weight: Array = weight) -> Any:
                own = frozen[side.name], statistics.get(side.name, {})
                return side.run(*own, given, weight, False, method=method)[0]

            z = run(here, batch.x[here.name], type(here.network).encode)[0]
            written = run(there, z, type(there.network).decode)
            back = run(there, written, type(there.network).encode)[0]
            total += masked_mean(jnp.mean((z - back) ** 2, axis=1), weight)
        return total

    def judged(
        self, params: Params, batch: Batch, z: tuple[Array, Array], *, flipped: bool = False
    ) -> tuple[Array, Array]:
        """Return BCE(C(z_a), 1) + BCE(C(z_r), 0), or of the other labels, and the accuracy."""
        own = {"params": params[CRITIC]}
        total, right, rows = jnp.zeros(()), jnp.zeros(()), jnp.zeros(())
        for side, mean, sign in zip(self.sides, z, (1.0, -1.0), strict=True):
            weight = present(batch, side.name)
            logits = sign * self.critic.apply(own, mean)  # pyright: ignore
            wrong = logits if flipped else -logits
            total += masked_mean(jax.nn.softplus(wrong), weight)
            right += jnp.sum(weight * (logits > 0))
            rows += jnp.sum(weight)
        return total, right / jnp.maximum(rows, 1.0)

    def contrast(
        self, batch: Batch, z: tuple[Array, Array], key: Key, hyper: Hyper, train: bool
    ) -> Array:
        """Return L_con of one modality, drawn from the key; at rest the mean of both."""
        terms = []
        for i, (side, mean) in enumerate(zip(self.sides, z, strict=True)):
            view = side.name
            rows = draw_triplets(
                jax.random.fold_in(key, i), batch.labels[view], batch.sample[view],
                present(batch, view), self.cohorts,
            )  # fmt: skip
            terms.append(triplet_loss(mean, rows, hyper.margin))
        first = jax.random.uniform(jax.random.fold_in(key, 2)) <= 0.5
        share = jnp.where(first, 1.0, 0.0) if train else 0.5
        return share * terms[0] + (1.0 - share) * terms[1]

    def pair(self, batch: Batch, z: tuple[Array, Array]) -> Array:
        """Return the mean squared distance of the latents of matched samples."""
        atac, rna = (present(batch, side.name) for side in self.sides)
        return masked_mean(jnp.mean((z[0] - z[1]) ** 2, axis=1), atac * rna)

    def critic_loss(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        """Return L_D."""
        z = self.means(params, collections, batch, train)
        total, accuracy = self.judged(params, batch, z)
        return total, Aux({"loss": total, "accuracy": accuracy}, {})

    def vae_loss(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
        aligned: bool,
    ) -> tuple[Array, Aux]:
        """Return L, or before the alignment L_VAE,a + L_VAE,r."""
        both = self.passed(params, collections, batch, key, hyper, train)
        z, fit = (both[0].mean, both[1].mean), both[0].total + both[1].total
        align = cycle = pair = jnp.zeros(())
        if aligned:
            cycle, pair = self.cycle(params, collections, batch), self.pair(batch, z)
            align = self.alignment(params, batch, z, key, hyper, train)
        watched = fit + hyper.cycle_weight * cycle + hyper.pair_weight * pair
        total = watched + align
        metrics = {"loss": total, "watched": watched, "cycle": cycle, "alignment": align}
        metrics["pair"] = pair
        for side, found in zip(self.sides, both, strict=True):
            metrics |= {f"{name}/{side.name}": value for name, value in found.metrics.items()}
        statistics = {s.name: found.statistics for s, found in zip(self.sides, both, strict=True)}
        return total, Aux(metrics, _kept(statistics) if train else {})

    def alignment(
        self,
        params: Params,
        batch: Batch,
        z: tuple[Array, Array],
        key: Key,
        hyper: Hyper,
        train: bool,
    ) -> Array:
        """Return the weighted term that brings both latents, or their cohorts, together."""
        if self.config.alignment == "contrastive":
            term = self.contrast(batch, z, jax.random.fold_in(key, 3), hyper, train)
            return hyper.contrastive_weight * term
        flipped = self.config.generator == "flipped"
        term, _ = self.judged(params, batch, z, flipped=flipped)
        return hyper.adversarial_weight * (term if flipped else -term)

    def views(
        self, params: Params, collections: Collections, batch: Batch
    ) -> dict[str, tuple[Array, Array]]:
        """Return mean and variance of z given each modality alone."""
        return {
            side.name: side.encode(*_own(side, params, collections), batch) for side in self.sides
        }

    def encode(self, params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        """Return mean and variance of z, means over the modalities that a row has."""
        found = self.views(params, collections, batch)
        rows = jnp.stack([present(batch, side.name) for side in self.sides])[:, :, None]
        share = rows / jnp.maximum(jnp.sum(rows, axis=0, keepdims=True), 1.0)
        mean, variance = (
            jnp.sum(share * jnp.stack([found[side.name][i] for side in self.sides]), axis=0)
            for i in (0, 1)
        )
        return mean, variance

    def decode(
        self, params: Params, collections: Collections, z: Array, conditionals: Array
    ) -> Views:
        """Return both views [b, features] of latents."""
        written: Views = {}
        for side in self.sides:
            written |= side.decode(*_own(side, params, collections), z, conditionals)
        return written


def still(params: Params) -> Params:
    """Return the parameters of a VAE, those of its encoder without a gradient."""
    return {
        name: jax.lax.stop_gradient(part) if name in ENCODING else part
        for name, part in params.items()
    }


def _kept(statistics: dict[str, Any]) -> Collections:
    """Return running statistics by view as a collection; none where there are none."""
    found = {name: own for name, own in statistics.items() if own}
    return {VAE: found} if found else {}


def _own(side: OneView, params: Params, collections: Collections) -> tuple[Params, Collections]:
    """Return parameters and statistics of one VAE as a model of its own has them."""
    return {VAE: params[VAE][side.name]}, {VAE: collections.get(VAE, {}).get(side.name, {})}
