"""MOVE: one variational autoencoder over the concatenation of all views.

Allesoe et al., "Discovery of drug-omics associations in type 2 diabetes with generative
deep-learning models", Nature Biotechnology 2023, doi 10.1038/s41587-022-01520-x. A
reimplementation, checked on hand-worked losses and simulated data with known truth; results of the
package move-dl were not compared with it.

    x      = [one-hot blocks of discrete views, continuous views, conditionals], 0 where unmeasured
    h      = norm(dropout(LeakyReLU(W x))),  mu = W h,  log s2 = W h,  z = mu + eps s
    x^     = W norm(dropout(LeakyReLU(W z)))                 softmax over the classes of a feature
    L      = sum_v w_v R_v + beta w(epoch) KL
    R_v    = sum of squared errors / (rows x features)       cross entropy for discrete views
    w      = 0 at first, and 1 / (number of steps) more at each epoch of the warm-up

A view that keeps its units (`unscaled`) and holds 0 and 1, or whole numbers from -2 to 2, is
discrete; its cells are decoded to the expected value. All sums run over measured cells.

Deviations: a measured zero counts, the last feature of a view counts, and weights may be left out
(`parity` restores these three quirks of the published code); without warm-up steps the divergence
is on; Adam keeps its moments from epoch to epoch; batches do not grow. `withhold` hides views and
cells from the encoder in training, which the article does not do. docs/models/move.md has more.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax import struct

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.errors import InputError, unknown
from jaxomics.losses.divergence import gaussian_kl
from jaxomics.losses.masked import masked_mean, split_axis
from jaxomics.models.base import Aux, Model, Player, Tasks, Variables
from jaxomics.models.clock import CLOCK, epoch, start_clock, tick
from jaxomics.models.optimizers import adam
from jaxomics.models.withholding import Withholding, show
from jaxomics.nn.latent import bounded_exp, draw
from jaxomics.nn.leaky_blocks import LeakyBlocks
from jaxomics.nn.mlp import Dense
from jaxomics.nn.norm_blocks import Mode
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Metrics, Params, Views

PLAYER = "vae"
BESIDE = "conditionals"
"""Name of the block of conditionals among the blocks."""


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss; defaults are those of the MOSA benchmark.

    Attributes:
      latent: size of z.
      hidden: units of the encoder's blocks, in the decoder in reverse order.
      kl_warmup: epochs (the first is 1) at which the weight of the divergence grows.
      withhold: hide views and cells from the encoder, at the rates of `Hyper`.
      parity: do as the published code does: measured zeros and the last feature of each
        continuous view have no part in the loss, every view needs a weight, and without warm-up
        steps there is no divergence.
    """

    latent: int = 200
    hidden: tuple[int, ...] = (1000,)
    kl_warmup: tuple[int, ...] = (25, 50, 75, 100)
    withhold: bool = False
    parity: bool = False


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas of one compiled run.

    Attributes:
      learning_rate: of Adam.
      weight_decay: of weight matrices (AdamW).
      dropout: rate in hidden layers.
      view_dropout: rate at which views are withheld, with `Config.withhold`.
      cell_dropout: each sample withholds a share of its cells drawn from U(0, cell_dropout).
      kl_weight: beta of the loss.
      view_weight: w_v by name; 1 where not named.
    """

    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    dropout: float = 0.1
    view_dropout: float = 0.0
    cell_dropout: float = 0.0
    kl_weight: float = 1e-4
    view_weight: dict[str, float] = field(default_factory=dict)


class Vae(nn.Module):
    """The network: blocks, two heads, blocks in reverse order, one output layer for all views."""

    config: Config
    outputs: int

    def setup(self) -> None:
        """Name the parts."""
        config = self.config
        self.reader = LeakyBlocks(config.hidden, "last")
        self.mean, self.log_variance = Dense(config.latent), Dense(config.latent)
        self.writer = LeakyBlocks(config.hidden[::-1], "last")
        self.output = Dense(self.outputs)

    def encode(self, read: Array, weight: Array, mode: Mode) -> tuple[Array, Array]:
        """Return mean and variance of z, both [b, latent], of what is read, [b, inputs]."""
        h = self.reader(read, weight, mode)
        return self.mean(h), bounded_exp(self.log_variance(h))

    def decode(self, z: Array, weight: Array, mode: Mode) -> Array:
        """Return everything that is written, [b, outputs]."""
        return self.output(self.writer(z, weight, mode))

    def __call__(self, read: Array, weight: Array) -> Array:
        """Run everything once; used to make the parameters."""
        return self.decode(self.encode(read, weight, Mode())[0], weight, Mode())


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return MOVE for data of this shape, as pure functions; the same for equal arguments."""
    module = Vae(config, sum(view.features * classes(view) for view in blocks(spec)))
    first = spec.names[0]
    run: Callable[..., Any] = module.apply

    def init(key: Key, batch: Batch) -> Variables:
        weight = batch.weight[first]
        drawn = start(module, key, inputs(spec, batch, seen(spec, batch)), weight)
        stats = {PLAYER: drawn["batch_stats"], CLOCK: start_clock(weight)}
        return Variables({PLAYER: drawn["params"]}, stats)

    def survey(collections: Collections, batch: Batch) -> Collections:
        return {**collections, CLOCK: start_clock(batch.weight[first])}

    def variables(params: Params, collections: Collections) -> dict[str, Any]:
        return {"params": params[PLAYER], "batch_stats": collections[PLAYER]}

    def encode(params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        read = inputs(spec, batch, seen(spec, batch))
        own = variables(params, collections)
        return run(own, read, batch.weight[first], Mode(), method=Vae.encode)

    def decode(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        own = variables(params, collections)
        flat = run(own, z, jnp.ones(len(z)), Mode(), method=Vae.decode)
        parts = divided(spec, flat)
        return {view.name: expected(view, parts[view.name]) for view in spec.views}

    def loss(
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        _check_weights(config, spec, hyper)
        keys, weight = jax.random.split(key, 4), batch.weight[first]
        modes = [Mode(train, hyper.dropout, k if train else None, split_axis()) for k in keys[:2]]
        how = Withholding(keys[3], hyper.view_dropout, hyper.cell_dropout, True, ())
        shown = seen(spec, batch, how if config.withhold and train else None)
        own, read = variables(params, collections), inputs(spec, batch, shown)
        given: Any = {"mutable": ["batch_stats"]}
        (mean, variance), new = run(own, read, weight, modes[0], method=Vae.encode, **given)
        z = draw(keys[2], mean, variance) if train else mean
        flat, new = run(own | new, z, weight, modes[1], method=Vae.decode, **given)
        warmth = warm(config, epoch(collections[CLOCK], len(weight)))
        errors = view_errors(config, spec, batch, divided(spec, flat))
        total, metrics = objective(errors, mean, variance, weight, warmth, hyper)
        after = {PLAYER: new["batch_stats"], CLOCK: tick(collections[CLOCK])}
        return total, Aux(metrics, after if train else collections)

    player = Player(PLAYER, loss, adam("decoupled"))
    tasks = Tasks(encode, decode)
    return Model(init, (player,), tasks=tasks, monitor="reconstruction", survey=survey)


def blocks(spec: DataSpec) -> tuple[ViewSpec, ...]:
    """Return what is written: the views, and the conditionals as one more if there are any."""
    beside = (ViewSpec(BESIDE, spec.conditionals),) if spec.conditionals else ()
    return spec.views + beside


def classes(view: ViewSpec) -> int:
    """Return the outputs of a feature: its classes, or 1."""
    return max(len(view.levels), 1)


def seen(spec: DataSpec, batch: Batch, withholding: Withholding | None = None) -> Views:
    """Return [b, features] per view, 1 where a cell was measured and is not withheld."""
    ones = {name: jnp.ones_like(batch.x[name]) for name in spec.names}
    return show(spec, batch.replace(x=ones), 0.0, withholding).x


def inputs(spec: DataSpec, batch: Batch, shown: Views) -> Array:
    """Return what the encoder reads, [b, inputs]: the blocks side by side, 0 where not shown."""
    parts = []
    for view in spec.views:
        x, cells = batch.x[view.name], shown[view.name]
        if view.encoded is not None:
            x, cells = (part[:, np.asarray(view.encoded)] for part in (x, cells))
        read = one_hot(x, view.levels) * cells[..., None] if view.levels else x * cells
        parts.append(read.reshape(len(x), -1))
    return jnp.concatenate([*parts, batch.conditionals[spec.names[0]]], axis=1)


def one_hot(x: Array, levels: tuple[float, ...]) -> Array:
    """Return [..., classes], 1 for the level that a value has.

    Between two levels both rise and fall linearly, so that explanations have a slope to go by.

    >>> one_hot(jnp.array([0.0, 1.0, 0.25]), (0.0, 1.0)).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.75, 0.25]]
    """
    places = np.asarray(levels, np.float32).reshape((1,) * x.ndim + (-1,))
    gap = float(np.min(np.diff(np.sort(np.asarray(levels)))))
    return jnp.maximum(1.0 - jnp.abs(x[..., None] - places) / gap, 0.0)


def divided(spec: DataSpec, flat: Array) -> Views:
    """Return outputs [b, outputs] by block: [b, features], or logits [b, features, classes]."""
    sizes = [view.features * classes(view) for view in blocks(spec)]
    parts = jnp.split(flat, np.cumsum(sizes)[:-1], axis=1)
    return {
        view.name: part.reshape(len(part), view.features, -1) if view.levels else part
        for view, part in zip(blocks(spec), parts, strict=True)
    }


def expected(view: ViewSpec, output: Array) -> Array:
    """Return the values [b, features] that outputs of a view stand for, means over classes."""
    if not view.levels:
        return output
    return jax.nn.softmax(output) @ jnp.asarray(view.levels, output.dtype)


def view_errors(config: Config, spec: DataSpec, batch: Batch, output: Views) -> Views:
    """Return R_v by block.

    Args:
      config: for `parity`.
      spec: the data's views.
      batch: targets.
      output: by block, as `divided` gives them.
    """
    first = spec.names[0]
    errors = {}
    for view in spec.views:
        name = view.name
        kept = batch.observed[name].astype(jnp.float32)
        if view.levels:
            errors[name] = cross_entropy(
                output[name], batch.x[name], kept, view.levels, batch.weight[first]
            )
            continue
        if config.parity:
            kept = kept * (batch.x[name] != 0)
            kept = kept * (np.arange(view.features) < view.features - 1)[None]
        errors[name] = squared_error(output[name], batch.x[name], kept, batch.weight[first])
    if spec.conditionals:
        y = batch.conditionals[first]
        errors[BESIDE] = squared_error(output[BESIDE], y, jnp.ones_like(y), batch.weight[first])
    return errors


def squared_error(output: Array, target: Array, kept: Array, rows: Array) -> Array:
    """Return the sum of squared errors over kept cells, by rows and features.

    Args:
      output, target, kept: [b, features].
      rows: [b], 0 = padding.

    >>> found = squared_error(jnp.zeros((2, 3)), jnp.full((2, 3), 2.0),
    ...                       jnp.array([[1.0, 0, 0], [1, 1, 0]]), jnp.ones(2))
    >>> float(found)
    2.0
    """
    return _shared_out(kept * (output - target) ** 2, rows)


def cross_entropy(
    logits: Array, target: Array, kept: Array, levels: tuple[float, ...], rows: Array
) -> Array:
    """Return the negative log-likelihood of kept cells, by rows and features.

    Args:
      logits: [b, features, classes].
      target, kept: [b, features]; a target that is no level does not count.
      levels: values of the classes.
      rows: [b], 0 = padding.
    """
    hot = target[..., None] == jnp.asarray(levels, target.dtype)[None, None]
    likelihood = jnp.sum(jnp.where(hot, jax.nn.log_softmax(logits), 0.0), axis=2)
    return _shared_out(-kept * likelihood, rows)


def _shared_out(values: Array, rows: Array) -> Array:
    """Return the sum of values [b, features], divided by rows and features."""
    return masked_mean(values, jnp.broadcast_to(rows[:, None], values.shape))


def warm(config: Config, done: Array) -> Array:
    """Return w, from the number of epochs that are over.

    >>> [float(warm(Config(kl_warmup=(2, 4)), jnp.array(done))) for done in (0.0, 1.0, 3.0)]
    [0.0, 0.5, 1.0]
    """
    if not config.kl_warmup:
        return jnp.zeros(()) if config.parity else jnp.ones(())
    return jnp.mean(done + 1.0 >= jnp.asarray(config.kl_warmup, jnp.float32))


def objective(
    errors: Views, mean: Array, variance: Array, weight: Array, warmth: Array, hyper: Hyper
) -> tuple[Array, Metrics]:
    """Return L and its terms by name.

    Args:
      errors: R_v by block.
      mean, variance: of z, [b, latent].
      weight: [b], 0 = padding.
      warmth: w.
      hyper: weights.
    """
    reconstruction = jnp.zeros(())
    for name, error in errors.items():
        reconstruction += hyper.view_weight.get(name, 1.0) * error
    kl = gaussian_kl(mean, variance, weight)
    total = reconstruction + hyper.kl_weight * warmth * kl
    metrics = {"loss": total, "reconstruction": reconstruction, "kl": kl, "warmth": warmth}
    return total, metrics | {f"reconstruction/{name}": error for name, error in errors.items()}


def _check_weights(config: Config, spec: DataSpec, hyper: Hyper) -> None:
    """Raise if a weight is for no block, or one is lacking where the published code needs it."""
    names = [view.name for view in blocks(spec)]
    for name in hyper.view_weight:
        if name not in names:
            raise unknown("view of view_weight", name, names)
    lacking = [name for name in spec.names if name not in hyper.view_weight]
    if config.parity and lacking:
        raise InputError(
            f"expected a weight of every view, as the published code does, found none for "
            f"{', '.join(lacking)}; name them in view_weight, or leave out parity"
        )
