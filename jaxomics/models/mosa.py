"""MOSA: a conditional multi-view VAE that completes omics tables.

Cai et al., "Synthetic augmentation of cancer cell line multi-omic datasets using unsupervised
deep learning", Nature Communications 2024, doi 10.1038/s41467-024-54771-4.

For each view v an encoder reads its (filtered) features and the conditionals y; the view
latents are joined into one Gaussian z; for each view a decoder reads z and y and writes all
features of the view. Views that were not measured enter as zeros, and views are dropped at
random during training, so that the model learns to write a view from the others.

    h_v    = PReLU(W PReLU(dropout(W [x_v, y])))            encoder, hidden 0.7, output 0.25 of x_v
    mu, s2 = W h, softplus(W h),  h = [h_1, ..., h_V]       joint layer
    z      = mu + eps sqrt(s2)
    x^_v   = W PReLU(dropout(W [z, y]))                     decoder
    L      = sum_v w_v R_v + lambda KL + alpha K            R: observed cells, K: tissue contrast

Presets: `paper` follows the article; `reference_parity` follows the published code where it
departs from the article (KL of a variance taken for its logarithm, contrast over columns, missing
cells counted in the macro loss); `recommended` was chosen on validation folds of real cohorts of
some thousand samples. docs/models/mosa.md lists every deviation.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.losses.contrastive import columns_margin, label_margin
from jaxomics.losses.divergence import gaussian_kl, published_kl
from jaxomics.losses.reconstruction import macro_mse, masked_mse
from jaxomics.models.base import Aux, Model, Player, Tasks, Variables
from jaxomics.nn.dropout import keep_mask, view_keep
from jaxomics.nn.latent import GaussianHead, draw
from jaxomics.nn.mlp import PRELU_START, Activation, Mlp, width
from jaxomics.types import Array, Collections, Key, Params, Views

PLAYER = "vae"


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss; defaults are the paper's.

    Attributes:
      latent: size of z.
      hidden: hidden layers of encoders, reversed in decoders: fractions of the view's width up
        to 1, numbers of units above.
      view_latent: size of a view's latent, likewise.
      activation: `prelu_shared` has one slope for the whole network, `prelu` one per layer.
      view_dropout_per: draw view dropout once per `batch` (as published) or per `sample`.
      linked: groups of views that come from one assay; view dropout takes them together.
      presence: tell the joint layer which views are there, and silence absent ones.
      clip: limit of standardised encoder inputs, in standard deviations; 0 = none.
      kl: `standard`, or `published` (the code's formula, for parity).
      contrastive: `label` (same or other class), `columns` (the code's, over the first
        conditionals), or `none`.
      contrastive_columns: how many conditionals `columns` runs over.
      macro_missing: cells not measured are left out (`ignored`), or count as correct neutral
        cells (`neutral`, the code's).
      decay: `coupled` adds weight decay to the gradient of every parameter, as published;
        `decoupled` is AdamW on weight matrices.
    """

    latent: int = 200
    hidden: tuple[float, ...] = (0.7,)
    view_latent: float = 0.25
    activation: Activation = "prelu_shared"
    view_dropout_per: Literal["batch", "sample"] = "batch"
    linked: tuple[tuple[str, ...], ...] = ()
    presence: bool = False
    clip: float = 0.0
    kl: Literal["standard", "published"] = "standard"
    contrastive: Literal["label", "columns", "none"] = "label"
    contrastive_columns: int = 32
    macro_missing: Literal["ignored", "neutral"] = "ignored"
    decay: Literal["coupled", "decoupled"] = "coupled"


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run; defaults are the paper's.

    Attributes:
      learning_rate, weight_decay: of Adam.
      dropout: rate in hidden layers.
      view_dropout: rate at which views are withheld from the encoders.
      cell_dropout: each sample withholds a share of its cells drawn from U(0, cell_dropout).
      kl_weight, contrastive_weight: lambda and alpha of the loss.
      margin_positive, margin_negative: margins of the contrastive term.
      view_weight: weight of a view's reconstruction, by name; 1 where not named.
    """

    learning_rate: float = 3e-4
    weight_decay: float = 5e-4
    dropout: float = 0.4
    view_dropout: float = 0.3
    cell_dropout: float = 0.0
    kl_weight: float = 1e-4
    contrastive_weight: float = 0.005
    margin_positive: float = 0.85
    margin_negative: float = 0.15
    view_weight: dict[str, float] = field(default_factory=dict)


class Mosa(nn.Module):
    """The network: encoders, joint layer, decoders."""

    config: Config
    spec: DataSpec

    def setup(self) -> None:
        """Name the parts, so that parameters read encoders_VIEW, joint, decoders_VIEW."""
        config = self.config
        self.encoders = {
            view.name: Mlp(
                tuple(width(h, view.inputs) for h in config.hidden),
                width(config.view_latent, view.inputs),
                config.activation,
                activate_output=True,
            )
            for view in self.spec.views
        }
        self.decoders = {
            view.name: Mlp(
                tuple(width(h, view.features) for h in reversed(config.hidden)),
                view.features,
                config.activation,
            )
            for view in self.spec.views
        }
        self.joint = GaussianHead(config.latent)
        if config.activation == "prelu_shared":
            self.slope = self.param("slope", nn.initializers.constant(PRELU_START), ())
        else:
            self.slope = None

    def encode(
        self, inputs: Views, present: Array, rate: Array, key: Key, train: bool
    ) -> tuple[Array, Array]:
        """Return mean and variance of z, both [b, latent].

        Args:
          inputs: [b, inputs + conditionals] per view, as the encoder reads them.
          present: bool [b, views].
          rate: dropout rate.
          key: PRNG key of dropout.
          train: whether dropout is on.
        """
        latents = []
        for i, name in enumerate(self.spec.names):
            h = self.encoders[name](
                inputs[name], self.slope, rate, jax.random.fold_in(key, i), train=train
            )
            latents.append(jnp.where(present[:, i, None], h, 0.0) if self.config.presence else h)
        if self.config.presence:
            latents.append(present.astype(h.dtype))
        return self.joint(jnp.concatenate(latents, axis=1))

    def decode(self, z: Array, conditionals: Array, rate: Array, key: Key, train: bool) -> Views:
        """Return the reconstruction [b, features] of every view, standardised."""
        h = jnp.concatenate([z, conditionals], axis=1)
        return {
            name: self.decoders[name](h, self.slope, rate, jax.random.fold_in(key, i), train=train)
            for i, name in enumerate(self.spec.names)
        }

    def __call__(self, inputs: Views, present: Array, conditionals: Array, key: Key) -> Views:
        """Run everything once; used to make the parameters."""
        rate = jnp.zeros(())
        mean, _ = self.encode(inputs, present, rate, key, False)
        return self.decode(mean, conditionals, rate, key, False)


def build(config: Config, spec: DataSpec) -> Model:
    """Return MOSA for data of this shape, as pure functions."""
    module = Mosa(config, spec)
    apply: Callable[..., Any] = module.apply
    first = spec.names[0]
    still, no_key = jnp.zeros(()), jax.random.key(0)

    def init(key: Key, batch: Batch) -> Variables:
        inputs, present = encoder_inputs(config, spec, batch)
        params = module.init(key, inputs, present, batch.conditionals[first], key)["params"]
        return Variables({PLAYER: params}, {})

    def loss(
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        own = {"params": params[PLAYER]}
        drop_key, encode_key, draw_key, decode_key = jax.random.split(key, 4)
        rate, y = hyper.dropout, batch.conditionals[first]
        inputs, present = encoder_inputs(config, spec, batch, drop_key if train else None, hyper)
        mean, variance = apply(own, inputs, present, rate, encode_key, train, method=Mosa.encode)
        z = draw(draw_key, mean, variance) if train else mean
        output = apply(own, z, y, rate, decode_key, train, method=Mosa.decode)
        total, metrics = objective(config, spec, batch, mean, variance, output, hyper)
        return total, Aux(metrics, collections)

    def encode(params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        own = {"params": params[PLAYER]}
        inputs, present = encoder_inputs(config, spec, batch)
        return apply(own, inputs, present, still, no_key, False, method=Mosa.encode)

    def decode(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        own = {"params": params[PLAYER]}
        return apply(own, z, conditionals, still, no_key, False, method=Mosa.decode)

    player = Player(PLAYER, loss, _optimizer(config))
    return Model(init, (player,), "sequential", Tasks(encode, decode), monitor="reconstruction")


def encoder_inputs(
    config: Config,
    spec: DataSpec,
    batch: Batch,
    key: Key | None = None,
    hyper: Hyper | None = None,
) -> tuple[Views, Array]:
    """Return what the encoders read, and which views count as present (bool [b, views]).

    With a key, views and cells are withheld at random. A withheld view loses its conditionals
    too, because the published layer acts after they are appended; nothing is rescaled.
    """
    names = spec.names
    present = jnp.stack([jnp.any(batch.observed[name], axis=1) for name in names], axis=1)
    samples = len(present)
    x = dict(batch.x)
    shown = jnp.ones_like(present)
    if key is not None:
        assert hyper is not None, "withholding views needs the rates in hyper"
        view_key, cell_key = jax.random.split(key)
        per_sample = config.view_dropout_per == "sample"
        shown = view_keep(
            view_key, _groups(config, names), samples, hyper.view_dropout, per_sample=per_sample
        )
        if per_sample:  # a sample that would lose everything keeps everything
            left = jnp.any(shown & present, axis=1, keepdims=True)
            shown = shown | ~left
        x = _withhold_cells(cell_key, x, hyper.cell_dropout)
    if config.clip:
        x = {name: jnp.clip(x[name], -config.clip, config.clip) for name in names}
    inputs = {}
    for i, view in enumerate(spec.views):
        read = x[view.name] if view.encoded is None else x[view.name][:, jnp.asarray(view.encoded)]
        joined = jnp.concatenate([read, batch.conditionals[view.name]], axis=1)
        inputs[view.name] = jnp.where(shown[:, i, None], joined, 0.0)
    return inputs, present & shown


def objective(
    config: Config,
    spec: DataSpec,
    batch: Batch,
    mean: Array,
    variance: Array,
    output: Views,
    hyper: Hyper,
) -> tuple[Array, dict[str, Array]]:
    """Return the loss L and its terms by name, from what the network gave on a batch."""
    first = spec.names[0]
    weight, y = batch.weight[first], batch.conditionals[first]
    errors = {view.name: _view_error(config, view, batch, output[view.name]) for view in spec.views}
    reconstruction = sum(
        (hyper.view_weight.get(name, 1.0) * error for name, error in errors.items()), jnp.zeros(())
    )
    kl = (gaussian_kl if config.kl == "standard" else published_kl)(mean, variance, weight)
    margins = hyper.margin_positive, hyper.margin_negative
    if config.contrastive == "label":
        contrastive = label_margin(mean, batch.labels[first], *margins)
    elif config.contrastive == "columns":
        columns = y[:, : config.contrastive_columns]
        contrastive = columns_margin(mean, columns, weight, *margins)
    else:
        contrastive = jnp.zeros(())
    total = reconstruction + hyper.kl_weight * kl + hyper.contrastive_weight * contrastive
    metrics = {
        "loss": total,
        "reconstruction": reconstruction,
        "kl": kl,
        "contrastive": contrastive,
    }
    return total, metrics | {f"reconstruction/{name}": error for name, error in errors.items()}


def _view_error(config: Config, view: ViewSpec, batch: Batch, predicted: Array) -> Array:
    """Return R_v of one view."""
    target, observed = batch.x[view.name], batch.observed[view.name]
    if view.likelihood == "mean":
        return masked_mse(predicted, target, observed)
    neutral = config.macro_missing == "neutral"
    return macro_mse(predicted, target, observed, view.levels, missing_as_zero=neutral)


def _withhold_cells(key: Key, x: Views, most: Array | float) -> Views:
    """Zero a random share of each sample's cells; the share is drawn from U(0, most)."""
    out = {}
    for i, (name, values) in enumerate(x.items()):
        share_key, cell_key = jax.random.split(jax.random.fold_in(key, i))
        share = most * jax.random.uniform(share_key, (len(values), 1))
        out[name] = jnp.where(keep_mask(cell_key, values.shape, share), values, 0.0)
    return out


def _groups(config: Config, names: tuple[str, ...]) -> tuple[int, ...]:
    """Return a group number per view; linked views share one."""
    owner = {name: names.index(name) for name in names}
    for group in config.linked:
        members = [name for name in group if name in owner]
        owner |= dict.fromkeys(members, min((owner[m] for m in members), default=0))
    numbers = {old: new for new, old in enumerate(sorted(set(owner.values())))}
    return tuple(numbers[owner[name]] for name in names)


def _optimizer(config: Config) -> Callable[[Hyper], optax.GradientTransformation]:
    """Return the builder of Adam with coupled or decoupled weight decay."""

    def coupled(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(
            optax.add_decayed_weights(hyper.weight_decay),
            optax.scale_by_adam(),
            optax.scale(-hyper.learning_rate),
        )

    def decoupled(hyper: Hyper) -> optax.GradientTransformation:
        return optax.chain(
            optax.scale_by_adam(),
            optax.add_decayed_weights(
                hyper.weight_decay, mask=lambda params: jax.tree.map(lambda p: p.ndim > 1, params)
            ),
            optax.scale(-hyper.learning_rate),
        )

    return coupled if config.decay == "coupled" else decoupled
