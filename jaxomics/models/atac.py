"""Hierarchical VAE of bulk ATAC peaks: one network for all windows, then one along them.

Nagaraj et al., "Machine learning derived embeddings of bulk multi-omics data enable clinically
significant representations in a pan-cancer cohort", 2023.

The peaks lie in the order of the genome. A first VAE reads a window of 5,000 neighbours; the same
network serves all windows (113 of 562,709 peaks). Batches are rows of one window, windows mixed;
in pass e windows begin (1,000 e) mod 5,000 peaks later. Then it is frozen, and the means of all
windows (113 x 512) are what the second VAE reads, a convolution along the windows first.

    L = mean over samples of (sum over observed features of Huber(x^ - x) + beta KL)     both

The second loss is one of first-level means; peaks come back through the frozen first decoder. In
layers, linear is followed by leaky ReLU and a norm. Batch norms have one set of statistics for all
windows (`norm=layer` has none at all). Ours: widths, the axis of the convolution, padding of the
last window with unobserved peaks, and that a window shifted beyond the last peak returns to the
first ones. Where one window would hold all peaks, one VAE of peaks stands for both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.errors import InputError, unknown
from jaxomics.losses.huber import Reduction
from jaxomics.models.atac_networks import ConvVae
from jaxomics.models.base import Aux, Model, Player, Sampling, Tasks, Variables
from jaxomics.models.bulk import VAE, clipped_adam, vae_loss
from jaxomics.models.bulk_networks import Norm, StackVae
from jaxomics.models.windows import Window, with_windows
from jaxomics.nn.latent import draw
from jaxomics.nn.start import start
from jaxomics.types import Array, Collections, Key, Params, Views

Network = StackVae | ConvVae
"""A VAE of one profile per sample."""


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss.

    Attributes:
      atac: view of the peaks, the only one that is modelled; by default the one called `atac`,
        or the only one.
      window: peaks of a window; 0 reads all peaks at once.
      shift: peaks by which windows move from pass to pass.
      first_hidden: units of the first network's encoder, in its decoder in reverse order.
      first_latent: size of the latent of a window.
      channels: that the convolution makes of it.
      hidden: layers between the convolution and z.
      latent: size of z.
      norm: `batch` or `layer`.
      reduction: of the error over features, see `bulk.Config`.
    """

    atac: str = ""
    window: int = 5000
    shift: int = 1000
    first_hidden: tuple[int, ...] = (2048, 1024, 512)
    first_latent: int = 512
    channels: int = 64
    hidden: tuple[int, ...] = (1024, 512)
    latent: int = 512
    norm: Norm = "batch"
    reduction: Reduction = "sum"

    def __post_init__(self) -> None:
        """Check names."""
        if self.norm not in ("batch", "layer"):
            raise unknown("norm", self.norm, ("batch", "layer"))
        if self.reduction not in ("sum", "mean"):
            raise unknown("reduction", self.reduction, ("sum", "mean"))

    def modelled(self, views: Sequence[str]) -> tuple[str, ...]:
        """Return which of the views are modelled."""
        return (peaks_view(self.atac, views),)


class Hyper(struct.PyTreeNode):
    """Settings that may vary between replicas; fields as of `bulk.Hyper`, for both networks."""

    learning_rate: float = 1e-3
    kl_weight: float = 1.0
    delta: float = 1.0
    clip: float = 1.0


def peaks_view(name: str, views: Sequence[str]) -> str:
    """Return the view of the peaks.

    Args:
      name: as set; empty = not set.
      views: all there are.

    Raises:
      InputError: an unknown name, or none and several views.

    >>> peaks_view("", ["motifs"]), peaks_view("", ["rna", "atac"])
    ('motifs', 'atac')
    """
    if name:
        if name not in views:
            raise unknown("view of peaks", name, views)
        return name
    if len(views) > 1 and "atac" not in views:
        raise InputError(
            f"expected a view called atac, found {', '.join(views)}; name the view of the peaks "
            "with --atac, or all to read with --views"
        )
    return "atac" if "atac" in views else views[0]


def present(batch: Batch, view: str) -> Array:
    """Return float [b]: 1 where a row is no padding and has any value of the view."""
    return batch.weight[view] * jnp.any(batch.observed[view], axis=1).astype(jnp.float32)


def window_of(config: Any, view: ViewSpec) -> Window | None:
    """Return how a view is cut into windows; None = it is read as a whole."""
    if not config.window or view.features <= config.window:
        return None
    network = StackVae(config.window, config.first_hidden, config.first_latent, config.norm)
    return Window(view.name, view.features, config.window, config.first_latent, network)


def network_of(config: Any, view: ViewSpec, window: Window | None) -> Network:
    """Return the network between z and the peaks, or between z and the means of windows."""
    if window is None:
        return StackVae(view.features, config.hidden, config.latent, config.norm, view.encoded)
    return ConvVae(
        window.count, window.latent, config.channels, config.hidden, config.latent, config.norm
    )


class OneView(NamedTuple):
    """A VAE of one view as pure functions of parameters and batches.

    Attributes:
      name: of the view.
      network: the module.
      reduction: of the error.
    """

    name: str
    network: Any
    reduction: Reduction

    def init(self, key: Key, batch: Batch) -> Variables:
        """Return fresh parameters, and running statistics if there are any."""
        features = getattr(self.network, "features", batch.x[self.name].shape[1])
        drawn = start(self.network, key, jnp.zeros((2, features)), jnp.ones(2))
        return Variables({VAE: drawn["params"]}, _kept(drawn.get("batch_stats", {})))

    def run(self, params: Params, statistics: Any, *given: Any, method: Any) -> tuple[Any, Any]:
        """Return what a method gives, and the statistics after it."""
        variables = {"params": params, "batch_stats": statistics}
        output, new = self.network.apply(variables, *given, method=method, mutable=["batch_stats"])
        return output, new.get("batch_stats", {})

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
        """Return Huber + beta KL of the view."""
        kind, view = type(self.network), self.name
        own, x, weight = params[VAE], batch.x[view], present(batch, view)
        (mean, variance), statistics = self.run(
            own, collections.get(VAE, {}), x, weight, train, method=kind.encode
        )
        z = draw(key, mean, variance) if train else mean
        output, statistics = self.run(own, statistics, z, weight, train, method=kind.decode)
        total, metrics = vae_loss(
            output, x, batch.observed[view], weight, mean, variance, hyper, self.reduction
        )
        return total, Aux(metrics, _kept(statistics) if train else {})

    def encode(self, params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        """Return mean and variance of z."""
        given = batch.x[self.name], batch.weight[self.name], False
        statistics = collections.get(VAE, {})
        return self.run(params[VAE], statistics, *given, method=type(self.network).encode)[0]

    def decode(
        self, params: Params, collections: Collections, z: Array, conditionals: Array
    ) -> Views:
        """Return the view [b, features] of latents."""
        given = z, jnp.ones(len(z)), False
        statistics = collections.get(VAE, {})
        output, _ = self.run(params[VAE], statistics, *given, method=type(self.network).decode)
        return {self.name: output}


def _kept(statistics: Any) -> Collections:
    """Return running statistics as a collection; none where there are none."""
    return {VAE: statistics} if statistics else {}


def one_view_model(name: str, network: Network, config: Any) -> Model:
    """Return a VAE of one view as a model."""
    own = OneView(name, network, config.reduction)
    player = Player(VAE, own.loss, clipped_adam)
    return Model(own.init, (player,), tasks=Tasks(own.encode, own.decode))


def first_level(config: Any, window: Window) -> Model:
    """Return the VAE of windows as a model of a batch that holds one window."""
    model = one_view_model(window.view, window.network, config)
    return model._replace(
        sampling=Sampling("windows", window=window.width, shift=config.shift % window.width)
    )


@lru_cache(maxsize=32)
def build(config: Config, spec: DataSpec) -> Model:
    """Return the model for data of this shape, as pure functions; the same for equal arguments.

    Raises:
      InputError: no view of peaks (see `peaks_view`).
    """
    (name,) = config.modelled(spec.names)
    (view,) = (view for view in spec.views if view.name == name)
    window = window_of(config, view)
    rest = one_view_model(name, network_of(config, view, window), config)
    return rest if window is None else with_windows(window, first_level(config, window), rest)


def export_windows(window: Window, variables: Variables, x: Array) -> Array:
    """Return the means of all windows at offset 0, [n, windows * latent], of peaks [n, features].

    Args:
      window: how peaks are cut.
      variables: of the first level, trained.
      x: standardised.
    """
    return jax.jit(window.means)(variables, x)
