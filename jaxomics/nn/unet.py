"""One-dimensional U-Nets from source to target features, and a convolutional discriminator.

Zhang and Guo 2021, supplement; they expect features in the order of the genome. Going down, each
level pools and convolves; going up, each level stretches, takes in what the same level had on the
way down (the skip), and convolves:

    x_1 = C(x),        x_{i+1} = C(pool_i(x_i))                    C: two convolutions
    y_0 = x_{n+1},     y_j = C([skip_j(x_{n+1-j}), up_j(y_{j-1})])

with dropout before C at every second level. Channels double going down. Where target and source
differ in length skips and what they join do too, so each skip is stretched or pooled.
"""

from math import ceil
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxomics.errors import InputError
from jaxomics.nn.blocks import Blocks, Linear
from jaxomics.nn.conv import ConvBlock, DoubleConv, Stretch, conv, drop, max_pool, resized
from jaxomics.nn.translators import Generated
from jaxomics.types import Array, Key


class Ratios(NamedTuple):
    """How lengths change, level by level.

    Attributes:
      pools: going down, lengths are divided by these.
      ups: going up, lengths are multiplied by these.
      skip_ups: what is taken in going up is stretched by these,
      skip_pools: and divided by these.
    """

    pools: tuple[int, ...]
    ups: tuple[int, ...]
    skip_ups: tuple[int, ...]
    skip_pools: tuple[int, ...]


PUBLISHED = {
    "unet_in": Ratios((2, 2, 2, 2), (4, 2, 2, 2), (2, 2, 2, 2), (1, 1, 1, 1)),
    "unet_de": Ratios((4, 4, 4, 4), (2, 2, 2, 5), (1, 1, 1, 1), (2, 4, 8, 6)),
    "unet_s_de": Ratios((16, 16), (4, 10), (1, 1), (4, 6)),
}
"""The three published ones: for up to twice the length, and for much less, deep and shallow."""


class Lengths(NamedTuple):
    """Lengths of all stages.

    Attributes:
      down: of x_1 to x_{n+1}.
      skips: of the skips, before they are cut off or filled up.
      up: of y_1 to y_n; the last is the most outputs that there can be.
    """

    down: tuple[int, ...]
    skips: tuple[int, ...]
    up: tuple[int, ...]


def lengths(inputs: int, ratios: Ratios) -> Lengths:
    """Return the lengths of all stages for so many source features.

    >>> lengths(39_464, PUBLISHED["unet_in"]).up
    (9864, 19728, 39456, 78912)
    """
    down = [inputs]
    for pool in ratios.pools:
        down.append(down[-1] // pool)
    up, at = [], down[-1]
    for ratio in ratios.ups:
        at *= ratio
        up.append(at)
    taken = zip(reversed(down[:-1]), ratios.skip_ups, ratios.skip_pools, strict=True)
    skips = [length * stretch // pool for length, stretch, pool in taken]
    return Lengths(tuple(down), tuple(skips), tuple(up))


def suggest(inputs: int, outputs: int, levels: int = 4) -> Ratios:
    """Return ratios that lead from so many source features to at least so many target features.

    Target features that are far fewer are reached by pooling more at the first level, those that
    are more by stretching more at the last.

    >>> suggest(706, 1500)
    Ratios(pools=(2, 2, 2, 2), ups=(6, 2, 2, 2), skip_ups=(3, 3, 3, 3), skip_pools=(1, 1, 1, 1))
    >>> suggest(4000, 500)
    Ratios(pools=(14, 2, 2, 2), ups=(2, 2, 2, 2), skip_ups=(1, 1, 1, 1), skip_pools=(1, 1, 1, 7))
    """
    levels = max(1, min(levels, inputs.bit_length() - 1))
    ones, twos = (1,) * levels, (2,) * levels
    for factor in range(max(inputs // outputs, 1), 1, -1):
        found = Ratios((2 * factor, *twos[1:]), twos, ones, (*ones[1:], factor))
        if lengths(inputs, found).up[-1] >= outputs:
            return found
    factor = max(1, ceil(outputs / ((inputs >> levels) << levels)))
    return Ratios(twos, (2 * factor, *twos[1:]), (factor,) * levels, ones)


class UNet(nn.Module):
    """Generator: a U-Net with batch norm; see the head of this file.

    Attributes:
      inputs, outputs: source and target features.
      ratios: of the levels.
      filters: channels of the first level.
      resize: `crop` loses what pooling leaves over, and cuts skips off on the right, as published;
        `pad` fills the source with zeros up to whole stretches, and short skips too. Either way
        the output is the first `outputs` positions.

    Raises:
      InputError: ratios that do not lead from inputs to outputs, with some that do.
    """

    inputs: int
    outputs: int
    ratios: Ratios
    filters: int = 64
    resize: Literal["crop", "pad"] = "crop"

    def __post_init__(self) -> None:
        """Check the lengths."""
        super().__post_init__()
        advice = f"take `unet`, which finds ratios by itself, or {_text(self.inputs, self.outputs)}"
        sizes = {len(ratios) for ratios in self.ratios}
        if len(sizes) > 1 or 0 in sizes:
            raise InputError(
                "expected pools, ups, skip_ups and skip_pools for the same levels, found "
                f"{', '.join(str(len(ratios)) for ratios in self.ratios)}; {advice}"
            )
        if min(min(ratios) for ratios in self.ratios) < 1:
            raise InputError(f"expected ratios of 1 or more, found 0 or less; {advice}")
        at = lengths(self.padded, self.ratios)
        if at.up[-1] < self.outputs:
            raise InputError(
                f"expected a U-Net that reaches {self.outputs} target features, found one that "
                f"maps {self.inputs} to {at.up[-1]} at most; {advice}"
            )
        short = [i for i, (skip, up) in enumerate(zip(at.skips, at.up, strict=True)) if skip < up]
        if short and self.resize == "crop":
            i = short[0]
            raise InputError(
                f"expected skips at least as long as what they join, found {at.skips[i]} and "
                f"{at.up[i]} at level {i + 1} going up; {advice}, or resize by pad"
            )

    @property
    def padded(self) -> int:
        """Length of the source, filled up where `resize` says so."""
        if self.resize == "crop":
            return self.inputs
        whole = 1
        for pool in self.ratios.pools:
            whole *= pool
        return ceil(self.inputs / whole) * whole

    @nn.compact
    def __call__(self, x: Array, weight: Array, rate: Array, key: Key, train: bool) -> Generated:
        """Translate [b, inputs] to [b, outputs]; arguments as in `translators`."""
        keys = iter(jax.random.split(key, 2 * len(self.ratios.pools)))

        def dropped(h: Array, level: int) -> Array:
            mask = next(keys)
            return drop(mask, h, rate) if train and level % 2 else h

        at = lengths(self.padded, self.ratios)
        x = resized(x[:, :, None], self.padded)
        down = [DoubleConv(self.filters, name="down_0")(x, weight, train)]
        for i, pool in enumerate(self.ratios.pools):
            h = dropped(max_pool(down[-1], pool), i)
            channels = self.filters * 2 ** (i + 1)
            down.append(DoubleConv(channels, name=f"down_{i + 1}")(h, weight, train))
        y = down.pop()
        for j, (_, up, stretch, pool) in enumerate(zip(*self.ratios, strict=True)):
            taken = down.pop()
            channels = taken.shape[2]
            y = Stretch(channels, up, name=f"stretch_{j}")(y)
            if stretch > 1:
                taken = Stretch(channels, stretch, name=f"skip_{j}")(taken)
            taken = max_pool(taken, pool)
            joined = jnp.concatenate([resized(taken, at.up[j]), y], axis=2)
            y = DoubleConv(channels, name=f"up_{j}")(dropped(joined, j), weight, train)
        values = Linear(1, name="out")(y[:, : self.outputs])
        return Generated(values[:, :, 0])


def _text(inputs: int, outputs: int) -> str:
    """Return suggested ratios as on the command line; those that are all 1 need no mention."""
    named = suggest(inputs, outputs)._asdict().items()
    told = [(name, ratios) for name, ratios in named if max(ratios) > 1]
    return ", ".join(f"{name} {' '.join(map(str, ratios))}" for name, ratios in told)


class ConvJudge(nn.Module):
    """Convolutional discriminator: source and target side by side as channels, then pooled.

    The source is stretched to the target's length or beyond, and cut off; the published one
    stretches by 2 whatever the lengths are.

    Attributes:
      filters: channels of each side.
      hidden: units of the block before the logits.
      logits: how many there are.
    """

    filters: int = 64
    hidden: int = 64
    logits: int = 64

    @nn.compact
    def __call__(
        self, x: Array, y: Array, weight: Array, rate: Array, key: Key, train: bool
    ) -> Array:
        """Judge; see `translators`.

        Raises:
          InputError: fewer than 64 target features, of which pooling would leave none.
        """
        f, outputs = self.filters, y.shape[1]
        if outputs < 64:
            raise InputError(
                f"expected at least 64 target features for the convolutional discriminator, found "
                f"{outputs}; choose the discriminator fc"
            )
        keys = jax.random.split(key, 4)
        target = DoubleConv(f, name="target")(y[:, :, None], weight, train)
        target = conv(f, "target_out")(target)
        source = DoubleConv(f, name="source")(x[:, :, None], weight, train)
        source = Stretch(f, max(2, ceil(outputs / x.shape[1])), name="source_out")(source)
        h = jnp.concatenate([target, resized(source, outputs)], axis=2)
        for i, channels in enumerate((4 * f, 8 * f, 16 * f)):
            h = max_pool(h, 4)
            h = drop(keys[i], h, rate) if train else h
            h = DoubleConv(channels, name=f"down_{i}")(h, weight, train)
        for i, channels in enumerate((8 * f, 4 * f, 2 * f, f)):
            h = ConvBlock(channels, name=f"narrow_{i}")(h, weight, train)
        flat = Linear(1, name="flat")(h)[:, :, 0]
        words = [jax.random.bits(keys[3], (len(x), self.hidden), jnp.uint32)] if train else None
        joint = Blocks((self.hidden,), name="joint")(flat, rate, words)
        return Linear(self.logits, name="out")(joint)
