"""The networks that OmiTrans can be made of, and the settings that choose them.

Published sizes and partners are those of Zhang and Guo 2021 and of their code.
"""

from dataclasses import dataclass
from typing import Literal

from flax import linen as nn

from jaxomics.errors import InputError
from jaxomics.losses.distance import Distance
from jaxomics.losses.gan import Mode
from jaxomics.nn.blocks import Norm
from jaxomics.nn.initial import Rule
from jaxomics.nn.translators import Bottleneck, GroupJudge, Judge, Shallow
from jaxomics.nn.unet import PUBLISHED, ConvJudge, Ratios, UNet, suggest

WIDTHS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "fc": ((4096, 1024, 512), (512, 1024, 4096)),
    "fc_sep": ((1024, 512), (512, 1024, 2048)),
    "fc_ved": ((4096, 1024, 512), (512, 1024, 4096)),
    "fc_single": ((4000,), ()),
    "linear": ((), ()),
}
"""Widths before and behind the latent, by generator."""

PARTNERS = {"fc_sep": "fc_sep", "fc_single": "fc_single", "linear": "fc_single"}
"""Published discriminator of a generator; `fc` of the other fully connected ones."""


@dataclass(frozen=True)
class Config:
    """What decides shapes and the form of the loss; defaults are the paper's.

    Attributes:
      source: views to read; by default all that are no target.
      target: views to write; by default all that are no source.
      generator: `fc` blocks through a latent; `fc_sep` reads chromosomes apart, as the feature
        table of a source tells them, the features on no known one together;
        `fc_ved` has a Gaussian latent; `fc_single` is one sigmoid layer and `linear` none; `unet`
        finds ratios that fit the lengths, `unet_in`, `unet_de` and `unet_s_de` are the published
        ones. U-Nets expect features in the order of the genome.
      discriminator: `auto` takes the published partner of the generator.
      gan: form of the adversarial loss; `none` trains the generator alone.
      distance: `l1`, `mse`, or `ce`, the cross entropy of values from 0 to 1.
      latent: size of the latent.
      hidden: units of the blocks before the latent; as published if empty.
      decoder_hidden: units of the blocks behind it; if empty, as published, or those of `hidden`
        in reverse.
      group_width: units that read a group.
      noise_dim: normal random numbers beside the latent.
      norm: of fully connected blocks: per `sample`, or `none`.
      sigmoid: squash generated values to (0, 1); for targets scaled to that (`minmax`). Always so
        with `ce`.
      initial: rule of the initial weights.
      weights: how the matrices that face features are stored: `bfloat16` takes half the memory;
        moments stay float32, and updates are rounded at random (`engine.rounding`).
      filters: channels at the first level of a U-Net.
      pools, ups, skip_ups, skip_pools: ratios of a U-Net, level by level, in place of those that
        its name stands for.
      resize: whether a U-Net crops odd lengths, or pads the source.
      discriminator_updates: updates of the discriminator per step.
    """

    source: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    generator: Literal[
        "fc", "fc_sep", "fc_ved", "fc_single", "linear", "unet", "unet_in", "unet_de", "unet_s_de"
    ] = "fc"
    discriminator: Literal["auto", "fc", "fc_sep", "fc_single", "conv"] = "auto"
    gan: Literal["vanilla", "lsgan", "wgan_gp", "wgan-gp", "none"] = "vanilla"
    distance: Distance = "l1"
    latent: int = 256
    hidden: tuple[int, ...] = ()
    decoder_hidden: tuple[int, ...] = ()
    group_width: int = 256
    noise_dim: int = 0
    norm: Norm = "sample"
    sigmoid: bool = False
    initial: Rule = "normal"
    weights: Literal["float32", "bfloat16"] = "float32"
    filters: int = 64
    pools: tuple[int, ...] = ()
    ups: tuple[int, ...] = ()
    skip_ups: tuple[int, ...] = ()
    skip_pools: tuple[int, ...] = ()
    resize: Literal["crop", "pad"] = "crop"
    discriminator_updates: int = 1

    @property
    def grouped(self) -> tuple[str, ...]:
        """Views whose groups of features are read apart from each other."""
        return self.source if "fc_sep" in (self.generator, self.discriminator) else ()

    @property
    def game(self) -> Mode | Literal["none"]:
        """Form of the adversarial loss, `wgan-gp` by its other spelling."""
        return "wgan_gp" if self.gan in ("wgan_gp", "wgan-gp") else self.gan

    @property
    def squashed(self) -> bool:
        """Whether generated values lie in (0, 1)."""
        return self.sigmoid or self.distance == "ce"


def make_generator(
    config: Config, inputs: int, outputs: int, groups: tuple[int, ...] = ()
) -> nn.Module:
    """Return the generator for so many source and target features.

    Args:
      config: which one.
      inputs, outputs: source and target features.
      groups: sizes of consecutive groups of source features.

    Raises:
      InputError: `fc_sep` without groups, noise without a latent, or lengths that a U-Net cannot
        map.
    """
    kind, half = config.generator, config.weights == "bfloat16"
    if config.noise_dim and kind not in ("fc", "fc_sep", "fc_ved"):
        raise InputError(
            f"expected a generator with a latent for noise to stand beside, found {kind}; choose "
            "fc, fc_sep or fc_ved, or noise_dim 0"
        )
    if kind not in WIDTHS:
        return UNet(
            inputs, outputs, _ratios(config, inputs, outputs), config.filters, config.resize
        )
    encoder, decoder = WIDTHS[kind]
    if config.hidden and kind != "linear":
        encoder, decoder = config.hidden, config.hidden[::-1]
    decoder = config.decoder_hidden or decoder
    if kind in ("fc_single", "linear"):
        return Shallow(outputs, encoder[0] if encoder else 0, half)
    groups = _checked(groups) if kind == "fc_sep" else ()
    return Bottleneck(
        outputs, config.latent, encoder, decoder, groups, config.group_width,
        kind == "fc_ved", config.noise_dim, config.norm, half,
    )  # fmt: skip


def make_discriminator(config: Config, groups: tuple[int, ...] = ()) -> nn.Module:
    """Return the discriminator; `groups` as for `make_generator`.

    Raises:
      InputError: `fc_sep` without groups, or `wgan_gp` with batch norm, whose penalty would mix
        samples.
    """
    kind, half = config.discriminator, config.weights == "bfloat16"
    if kind == "auto":
        kind = PARTNERS.get(config.generator, "fc" if config.generator in WIDTHS else "conv")
    if kind == "conv":
        if config.game == "wgan_gp":
            raise InputError(
                "expected a discriminator that judges each sample by itself for wgan_gp, found "
                "conv, which has batch norm; choose the discriminator fc"
            )
        return ConvJudge(config.filters)
    if kind == "fc_sep":
        return GroupJudge(_checked(groups), half=half)
    return Judge(half=half) if kind == "fc" else Judge((64,), norm="none", half=half)


def _checked(groups: tuple[int, ...]) -> tuple[int, ...]:
    """Return groups of source features, if there are some.

    Raises:
      InputError: none, and what to add.
    """
    if not groups:
        raise InputError(
            "expected groups of source features for fc_sep, found none; name the sources, and add "
            "a feature table with the column chromosome (features_VIEW), or choose fc"
        )
    return groups


def _ratios(config: Config, inputs: int, outputs: int) -> Ratios:
    """Return the ratios of a U-Net: those given, those of its name, or those that fit."""
    if config.pools or config.ups:
        ones = (1,) * len(config.pools)
        return Ratios(config.pools, config.ups, config.skip_ups or ones, config.skip_pools or ones)
    return PUBLISHED.get(config.generator) or suggest(inputs, outputs)
