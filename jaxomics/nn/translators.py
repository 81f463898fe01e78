"""Fully connected generators and discriminators of OmiTrans (Zhang and Guo 2021).

A generator maps source features to target features; a discriminator reads both and gives several
logits. All of them are called alike, so that a model can hold any of them:

    generator(x, weight, rate, key, train) -> Generated
    discriminator(x, y, weight, rate, key, train) -> logits [b, k]

with x [b, source features], y [b, target features], weight [b] (0 = padding, which statistics of a
batch norm leave out), a traced dropout rate, and a key that only training reads.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxomics.nn.blocks import Blocks, Linear, Norm, block_words, check_widths
from jaxomics.nn.latent import draw
from jaxomics.types import Array, Key


class Generated(NamedTuple):
    """What a generator returns: values [b, outputs], and its latent [b, latent] where it has one.

    `variance` is None unless the latent is random.
    """

    values: Array
    mean: Array | None = None
    variance: Array | None = None


def split_groups(x: Array, groups: tuple[int, ...]) -> list[Array]:
    """Return consecutive columns of x [b, features] in groups of these sizes."""
    return jnp.split(x, np.cumsum(groups)[:-1], axis=1)


class Bottleneck(nn.Module):
    """Generator through a latent: blocks down to it, blocks up again, a plain linear layer.

    Attributes:
      outputs: target features.
      latent: size of the latent, a block like the others unless it is `variational`.
      encoder, decoder: widths of the blocks before and behind the latent.
      groups: sizes of consecutive groups of source features that are read apart from each other;
        empty reads all together.
      group_width: units that read a group.
      variational: the latent is Gaussian, its mean and log-variance plain linear layers.
      noise: how many standard normal numbers stand beside the latent in training; in evaluation
        they are 0.
      norm: of the blocks.
      half: keep the kernels that face the features in bfloat16.
    """

    outputs: int
    latent: int
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    groups: tuple[int, ...] = ()
    group_width: int = 256
    variational: bool = False
    noise: int = 0
    norm: Norm = "sample"
    half: bool = False

    def __post_init__(self) -> None:
        """Check the widths; layers themselves are made when they are first called."""
        super().__post_init__()
        latent = () if self.variational else (self.latent,)
        check_widths((*self.encoder, *latent, *self.decoder, self.group_width), self.norm)

    def setup(self) -> None:
        """Name the parts: readers_I, encoder, mean, log_variance, decoder, out."""
        self.readers = [Blocks((self.group_width,), self.norm, self.half) for _ in self.groups]
        inner = () if self.variational else (self.latent,)
        self.trunk = Blocks((*self.encoder, *inner), self.norm, self.half and not self.groups)
        if self.variational:
            self.mean = Linear(self.latent)
            self.log_variance = Linear(self.latent)
        self.head = Blocks(self.decoder, self.norm)
        self.out = Linear(self.outputs, self.half)

    def encode(
        self, x: Array, rate: Array | float = 0.0, words: list[list[Array]] | None = None
    ) -> tuple[Array, Array | None]:
        """Return the latent or its mean, and its variance if it is random, both [b, latent]."""
        masks = words or [None] * (len(self.groups) + 1)
        if self.groups:
            parts = zip(self.readers, split_groups(x, self.groups), masks[:-1], strict=True)
            x = jnp.concatenate([read(part, rate, mask) for read, part, mask in parts], axis=1)
        h = self.trunk(x, rate, masks[-1])
        if not self.variational:
            return h, None
        return self.mean(h), jnp.exp(self.log_variance(h))

    def decode(
        self,
        z: Array,
        rate: Array | float = 0.0,
        words: list[Array] | None = None,
        noise: Array | None = None,
    ) -> Array:
        """Return the target [b, outputs] of a latent; without noise that is 0."""
        if self.noise:
            beside = jnp.zeros((len(z), self.noise)) if noise is None else noise
            z = jnp.concatenate([z, beside], axis=1)
        return self.out(self.head(z, rate, words))

    def __call__(self, x: Array, weight: Array, rate: Array, key: Key, train: bool) -> Generated:
        """Translate; see the head of this file."""
        if not train:
            mean, variance = self.encode(x)
            return Generated(self.decode(mean), mean, variance)
        masks, chance, beside = jax.random.split(key, 3)
        words = block_words([*self.readers, self.trunk, self.head], masks, len(x))
        mean, variance = self.encode(x, rate, words[:-1])
        z = mean if variance is None else draw(chance, mean, variance)
        noise = jax.random.normal(beside, (len(x), self.noise)) if self.noise else None
        return Generated(self.decode(z, rate, words[-1], noise), mean, variance)


class Shallow(nn.Module):
    """Generator of one sigmoid layer, as in TDimpute (Zhou et al. 2020), or of none: linear.

    Attributes:
      outputs: target features.
      hidden: units of the sigmoid layer; 0 leaves it out.
      half: keep the kernels in bfloat16.
    """

    outputs: int
    hidden: int = 4000
    half: bool = False

    @nn.compact
    def __call__(self, x: Array, weight: Array, rate: Array, key: Key, train: bool) -> Generated:
        """Translate; see the head of this file."""
        if self.hidden:
            x = nn.sigmoid(Linear(self.hidden, self.half, name="hidden")(x))
        return Generated(Linear(self.outputs, self.half, name="out")(x))


class Judge(nn.Module):
    """Discriminator of blocks on source and target side by side, without dropout.

    Attributes:
      widths: of the blocks.
      logits: how many there are; the last layer is plain.
      norm: of the blocks.
      half: keep the first kernel in bfloat16.
    """

    widths: tuple[int, ...] = (128, 64, 32)
    logits: int = 16
    norm: Norm = "sample"
    half: bool = False

    @nn.compact
    def __call__(
        self, x: Array, y: Array, weight: Array, rate: Array, key: Key, train: bool
    ) -> Array:
        """Judge; see the head of this file."""
        h = Blocks(self.widths, self.norm, self.half, name="blocks")(jnp.hstack([x, y]))
        return Linear(self.logits, name="out")(h)


class GroupJudge(nn.Module):
    """Discriminator that reads groups of source features apart from each other.

    Each group goes to 16 units and all of these to 64, the target to 128 and 64, both to 32 and
    to the logits. The published one also normalises the logits, so that their sum is 0 and it
    cannot call a sample measured; here the last layer is plain.

    Attributes:
      groups: sizes of consecutive groups of source features.
      logits: how many there are.
      half: keep the kernels that face the features in bfloat16.
    """

    groups: tuple[int, ...]
    logits: int = 16
    half: bool = False

    @nn.compact
    def __call__(
        self, x: Array, y: Array, weight: Array, rate: Array, key: Key, train: bool
    ) -> Array:
        """Judge; see the head of this file."""
        parts = [
            Blocks((16,), half=self.half, name=f"group_{i}")(part)
            for i, part in enumerate(split_groups(x, self.groups))
        ]
        source = Blocks((64,), name="source")(jnp.hstack(parts))
        target = Blocks((128, 64), half=self.half, name="target")(y)
        joint = Blocks((32,), name="joint")(jnp.hstack([source, target]))
        return Linear(self.logits, name="out")(joint)
