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
from itertools import accumulate
from typing import Any

import jax
from flax import struct

from jaxomics.data.batch import DataSpec, ViewSpec
from jaxomics.errors import InputError, unknown
from jaxomics.losses.huber import Reduction
from jaxomics.models.atac_networks import ConvVae, PlacedVae
from jaxomics.models.atac_tune import tune_model
from jaxomics.models.base import Model, Sampling, Variables
from jaxomics.models.bulk_networks import Norm, StackVae
from jaxomics.models.one_view import Network, OneView, one_view_model
from jaxomics.models.windows import Window, with_windows
from jaxomics.types import Array


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
      by_chromosome: end windows with the chromosome, which the feature table names.
      window_embedding: numbers of a learned vector that tells the first network which window it
        has; 0 = none.
      finetune: train both networks together in the end, see `atac_tune`.
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
    by_chromosome: bool = False
    window_embedding: int = 0
    finetune: bool = False

    def __post_init__(self) -> None:
        """Check names."""
        if self.norm not in ("batch", "layer"):
            raise unknown("norm", self.norm, ("batch", "layer"))
        if self.reduction not in ("sum", "mean"):
            raise unknown("reduction", self.reduction, ("sum", "mean"))

    def modelled(self, views: Sequence[str]) -> tuple[str, ...]:
        """Return which of the views are modelled."""
        return (peaks_view(self.atac, views),)

    @property
    def grouped(self) -> tuple[str, ...]:
        """Views whose chromosomes the model wants to know."""
        return grouped_views(self)


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


def grouped_views(config: Any) -> tuple[str, ...]:
    """Return the views whose chromosomes a model of windows wants to know."""
    return (config.atac or "atac",) if config.by_chromosome else ()


def window_of(config: Any, view: ViewSpec) -> Window | None:
    """Return how a view is cut into windows; None = it is read as a whole.

    Raises:
      InputError: windows are to end with chromosomes, which are not known or not in order.
    """
    if not config.window or view.features <= config.window:
        return None
    vae = config.window, config.first_hidden, config.first_latent, config.norm
    ends = chromosome_ends(view) if config.by_chromosome else ()
    window = Window(view.name, view.features, config.window, config.first_latent,
                    StackVae(*vae), ends)  # fmt: skip
    if not config.window_embedding:
        return window
    told = {"windows": window.count, "vector": config.window_embedding}
    return window._replace(network=PlacedVae(*vae, **told))


def chromosome_ends(view: ViewSpec) -> tuple[int, ...]:
    """Return where chromosomes end among the peaks of a view.

    Raises:
      InputError: no peak has a chromosome, or they are not in the order of chromosomes.

    >>> chromosome_ends(ViewSpec("atac", 5, groups=((0, 1, 2), (3, 4))))
    (3, 5)
    """
    if not view.groups:
        raise InputError(
            f"expected chromosomes of the peaks of view {view.name}, found none; add a feature "
            f"table (features_{view.name}) with a column chrom, name the view with --atac, or "
            "leave --by-chromosome out"
        )
    columns = [column for group in view.groups for column in group]
    if columns != list(range(view.features)):
        raise InputError(
            f"expected the peaks of view {view.name} in the order of chromosomes, found another "
            "order; take --order known, which sorts them, or leave --by-chromosome out"
        )
    return tuple(accumulate(len(group) for group in view.groups))


def network_of(config: Any, view: ViewSpec, window: Window | None) -> Network:
    """Return the network between z and the peaks, or between z and the means of windows."""
    if window is None:
        return StackVae(view.features, config.hidden, config.latent, config.norm, view.encoded)
    return ConvVae(
        window.count, window.latent, config.channels, config.hidden, config.latent, config.norm
    )


def first_level(config: Any, window: Window) -> Model:
    """Return the VAE of windows as a model of a batch that holds one window."""
    model = one_view_model(window.view, window.network, config)
    return model._replace(
        sampling=Sampling(
            "windows", window=window.width, shift=config.shift % window.width, ends=window.ends
        )
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
    network = network_of(config, view, window)
    rest = one_view_model(name, network, config)
    if window is None:
        return rest
    tune = tune_model(window, OneView(name, network, config.reduction)) if config.finetune else None
    return with_windows(window, first_level(config, window), rest, tune)


def export_windows(window: Window, variables: Variables, x: Array) -> Array:
    """Return the means of all windows at offset 0, [n, windows * latent], of peaks [n, features].

    Args:
      window: how peaks are cut.
      variables: of the first level, trained.
      x: standardised.
    """
    return jax.jit(window.means)(variables, x)
