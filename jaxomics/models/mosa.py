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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import struct

from jaxomics.config import Choice, Float, Int, Space
from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.losses.contrastive import columns_margin, label_margin
from jaxomics.losses.divergence import gaussian_kl, published_kl
from jaxomics.losses.reconstruction import macro_mse, masked_mse
from jaxomics.models.base import Aux, Model, Player, Tasks, Variables
from jaxomics.models.mosa_codes import make_codes
from jaxomics.models.optimizers import Decay, adam
from jaxomics.models.withholding import Shown, Withholding, clipped, show
from jaxomics.nn.latent import GaussianHead, draw
from jaxomics.nn.mlp import PRELU_START, Activation, Dense, Mlp, stack_words, width
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Params, Views

PLAYER = "vae"
SKIP_START = 0.1
"""Scale of the initial weights of the linear paths into z."""
LINK_GAIN = 5.0
"""Factor on the weights of links, so that they learn faster than the rest."""


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
      linked: groups of views that come from one assay, as `rna,pathway`; view dropout takes them
        together. Names that a cohort lacks are ignored.
      presence: tell the joint layer which views are there, and silence absent ones.
      clip: limit of standardised inputs and targets, in standard deviations; 0 = none.
      withhold_cells: withhold single cells as well, at the rate of `Hyper.cell_dropout`.
      rescale: divide a view's input by the share of its cells that is shown (at least 0.2), so
        that samples with few cells are heard as loud as others.
      skip: add linear paths beside encoders (view to mean of z) and decoders (z to view).
      links: let a feature also be predicted from the feature of the same name in other views,
        by one weight per pair.
      zero_output: start the decoders' output layers at zero.
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
    linked: tuple[str, ...] = ()
    presence: bool = False
    clip: float = 0.0
    withhold_cells: bool = False
    rescale: bool = False
    skip: bool = False
    links: bool = False
    zero_output: bool = False
    kl: Literal["standard", "published"] = "standard"
    contrastive: Literal["label", "columns", "none"] = "label"
    contrastive_columns: int = 32
    macro_missing: Literal["ignored", "neutral"] = "ignored"
    decay: Decay = "coupled"


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run; defaults are the paper's.

    Attributes:
      learning_rate: of Adam.
      weight_decay: of Adam; see `Config.decay`.
      dropout: rate in hidden layers.
      view_dropout: rate at which views are withheld from the encoders.
      cell_dropout: each sample withholds a share of its cells drawn from U(0, cell_dropout).
      kl_weight: lambda of the loss.
      contrastive_weight: alpha of the loss.
      margin_positive: cosine similarity that samples of one class are drawn up to.
      margin_negative: cosine similarity that samples of different classes are pushed down to.
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


SPACES: dict[str, Space] = {
    "default": {
        "learning_rate": Float(2e-4, 5e-3, log=True),
        "weight_decay": Float(1e-3, 0.1, log=True),
        "dropout": Float(0.2, 0.7),
        "view_dropout": Float(0.2, 0.7),
        "cell_dropout": Float(0.1, 0.8),
        "kl_weight": Float(1e-3, 0.1, log=True),
        "latent": Choice((64, 128, 256, 512)),
        "hidden": Choice(((128.0,), (256.0,), (512.0,))),
    },
    "published": {
        "learning_rate": Float(1e-7, 5e-3, log=True),
        "dropout": Float(0.1, 0.6),
        "contrastive_weight": Float(0.0, 0.05),
        "latent": Int(16, 256),
        "hidden": Choice(((0.3,), (0.4,), (0.5,), (0.6,), (0.7,), (0.7, 0.4), (0.6, 0.3))),
        "view_latent": Float(0.01, 0.2),
        "batch_size": Int(32, 256),
        "plateau_factor": Float(0.3, 0.85),
        "schedule": Choice(("plateau",)),
        "stop_patience": Choice((10,)),
        "view_dropout": Choice((0.5,)),
    },
}
"""What a search draws from: `default` lies around the preset `recommended`; `published` is the
space of the published code, for the preset `paper` (the article's view latent lies outside it)."""


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
        begin = 0.0 if config.zero_output else 1.0
        self.decoders = {
            view.name: Mlp(
                tuple(width(h, view.features) for h in reversed(config.hidden)),
                view.features,
                config.activation,
                start_output=begin,
            )
            for view in self.spec.views
        }
        if config.skip:
            self.readers = {v: Dense(config.latent, SKIP_START) for v in self.spec.names}
            self.writers = {v.name: Dense(v.features, begin) for v in self.spec.views}
        if config.links:
            widths = {view.name: view.features for view in self.spec.views}
            self.link_weights = [
                self.param(
                    f"link_{link.target}_{link.source}",
                    nn.initializers.zeros,
                    (widths[link.target],),
                )
                for link in self.spec.links
            ]
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
        words = stack_words(self.encoders, key, len(present)) if train else {}
        return self.meet(self.code(inputs, present, rate, words), inputs, present)

    def code(
        self,
        inputs: Views,
        present: Array,
        rate: Array,
        words: Mapping[str, Sequence[Array]] = MappingProxyType({}),
    ) -> Views:
        """Return the latent [b, view latent] of each view that is given; see `encode`."""
        codes = {}
        for name, read in inputs.items():
            h = self.encoders[name](read, self.slope, rate, words.get(name))
            if self.config.presence:
                h = jnp.where(present[:, self.spec.names.index(name), None], h, 0.0)
            codes[name] = h
        return codes

    def meet(self, codes: Views, inputs: Views, present: Array) -> tuple[Array, Array]:
        """Return mean and variance of z from the latents of all views; see `encode`.

        The mean is linear in latents and inputs.
        """
        skipped = 0.0
        for i, name in enumerate(self.spec.names if self.config.skip else ()):
            skipped += jnp.where(present[:, i, None], self.readers[name](inputs[name]), 0.0)
        latents = [codes[name] for name in self.spec.names]
        if self.config.presence:
            latents.append(present.astype(jnp.float32))
        mean, variance = self.joint(jnp.concatenate(latents, axis=1))
        return mean + skipped, variance

    def decode(self, z: Array, conditionals: Array, rate: Array, key: Key, train: bool) -> Views:
        """Return the reconstruction [b, features] of every view, standardised."""
        h = jnp.concatenate([z, conditionals], axis=1)
        words = stack_words(self.decoders, key, len(z)) if train else {}
        output = {
            name: self.decoders[name](h, self.slope, rate, words.get(name))
            for name in self.spec.names
        }
        if self.config.skip:
            output = {name: value + self.writers[name](h) for name, value in output.items()}
        return output

    def hidden(self, z: Array, conditionals: Array) -> Views:
        """Return what the last layer of each decoder reads, [b, hidden]."""
        h, rate = jnp.concatenate([z, conditionals], axis=1), jnp.zeros(())
        output = {
            name: self.decoders[name](h, self.slope, rate, hidden=True) for name in self.spec.names
        }
        if self.config.skip:
            output = {name: jnp.concatenate([x, h], axis=1) for name, x in output.items()}
        return output

    def direct(self, shown: Views) -> Views:
        """Return what linked features add to each other's views, [b, features].

        Args:
          shown: [b, features] per view: what the encoders were shown, before rescaling.
        """
        added: Views = {}
        for link, weight in zip(self.spec.links, self.link_weights, strict=True):
            # Every target reads one source column, and those without a partner weigh nothing:
            # a gather is cheap forwards and backwards, a scatter is not.
            column, linked = np.zeros(len(weight), np.int32), np.zeros(len(weight), np.float32)
            column[list(link.target_columns)] = link.source_columns
            linked[list(link.target_columns)] = LINK_GAIN
            part = shown[link.source][:, column] * (linked * weight)[None]
            added[link.target] = added.get(link.target, 0.0) + part
        return added

    def __call__(self, inputs: Views, present: Array, conditionals: Array, key: Key) -> Views:
        """Run everything once; used to make the parameters."""
        rate = jnp.zeros(())
        mean, _ = self.encode(inputs, present, rate, key, False)
        return self.decode(mean, conditionals, rate, key, False)


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return MOSA for data of this shape, as pure functions; the same for equal arguments."""
    module = Mosa(config, spec)
    apply: Callable[..., Any] = module.apply
    first = spec.names[0]
    still, no_key = jnp.zeros(()), jax.random.key(0)

    linked = config.links and bool(spec.links)

    def withhold(key: Key, hyper: Hyper) -> Withholding:
        cell_rate = hyper.cell_dropout if config.withhold_cells else None
        per_sample = config.view_dropout_per == "sample"
        return Withholding(key, hyper.view_dropout, cell_rate, per_sample, config.linked)

    def init(key: Key, batch: Batch) -> Variables:
        shown = show(spec, batch, config.clip)
        inputs = shown.inputs(spec, batch, rescale=config.rescale)
        variables = start(module, key, inputs, shown.present, batch.conditionals[first], key)
        return Variables({PLAYER: variables["params"]}, {})

    def run(own: Params, batch: Batch, shown: Shown, rate: Array | float, keys: Key, train: bool):
        variables, y = {"params": own}, batch.conditionals[first]
        inputs = shown.inputs(spec, batch, rescale=config.rescale)
        mean, variance = apply(
            variables, inputs, shown.present, rate, keys[0], train, method=Mosa.encode
        )
        z = draw(keys[1], mean, variance) if train else mean
        output = apply(variables, z, y, rate, keys[2], train, method=Mosa.decode)
        if linked:
            added = apply(variables, shown.x, method=Mosa.direct)
            output |= {name: output[name] + value for name, value in added.items()}
        return mean, variance, output

    def loss(
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        keys = jax.random.split(key, 4)
        withholding = withhold(keys[3], hyper) if train else None
        shown = show(spec, batch, config.clip, withholding)
        mean, variance, output = run(params[PLAYER], batch, shown, hyper.dropout, keys, train)
        total, metrics = objective(config, spec, batch, mean, variance, output, hyper)
        return total, Aux(metrics, collections)

    def encode(params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        own, shown = {"params": params[PLAYER]}, show(spec, batch, config.clip)
        inputs = shown.inputs(spec, batch, rescale=config.rescale)
        return apply(own, inputs, shown.present, still, no_key, False, method=Mosa.encode)

    def decode(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        own = {"params": params[PLAYER]}
        return apply(own, z, conditionals, still, no_key, False, method=Mosa.decode)

    def direct(params: Params, collections: Collections, batch: Batch) -> Views:
        return apply(
            {"params": params[PLAYER]}, show(spec, batch, config.clip).x, method=Mosa.direct
        )

    def hidden(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        return apply({"params": params[PLAYER]}, z, conditionals, method=Mosa.hidden)

    def readout(params: Params, collections: Collections) -> Views:
        own, parts = params[PLAYER], ("decoders", "writers") if config.skip else ("decoders",)
        return {v: jnp.concatenate([_kernel(own[f"{p}_{v}"]) for p in parts]) for v in spec.names}

    def meet(variables: Params, codes: Views, inputs: Views, present: Array) -> Array:
        return apply(variables, codes, inputs, present, method=Mosa.meet)[0]

    player = Player(PLAYER, loss, adam(config.decay))
    codes = make_codes(config, spec, PLAYER, partial(apply, method=Mosa.code), meet)
    tasks = Tasks(encode, decode, direct if linked else None, hidden, readout, codes=codes)
    return Model(init, (player,), "sequential", tasks, monitor="reconstruction")


def _kernel(layer: Params) -> Array:
    """Return the weights of a linear layer, or of the output layer of a stack."""
    return layer["out"]["kernel"] if "out" in layer else layer["kernel"]


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
    target, observed = clipped(batch.x[view.name], config.clip), batch.observed[view.name]
    if view.likelihood == "mean":
        return masked_mse(predicted, target, observed)
    neutral = config.macro_missing == "neutral"
    return macro_mse(predicted, target, observed, view.levels, missing_as_zero=neutral)
