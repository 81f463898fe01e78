"""Convolutional building blocks along the feature axis (Zhang and Guo 2021, supplement).

Arrays are [b, length, channels]. Convolutions have 9 taps, keep the length, and have no bias where
a batch norm follows.
"""

from functools import reduce

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxomics.losses.masked import split_axis
from jaxomics.nn.blocks import SLOPE
from jaxomics.nn.dropout import dropout
from jaxomics.nn.norm import BatchNorm
from jaxomics.types import Array, Key

TAPS = 9


def max_pool(x: Array, ratio: int) -> Array:
    """Return the maxima of consecutive stretches of `ratio` positions; a rest on the right is lost.

    In pairs: the gradient of `jnp.max` divides by how often the maximum occurs, which is 0 times
    where the compiler computes x twice with different rounding.

    >>> max_pool(jnp.array([[[1.0], [3.0], [2.0]]]), 2).tolist()
    [[[3.0]]]
    """
    samples, length, channels = x.shape
    kept = x[:, : length // ratio * ratio].reshape(samples, length // ratio, ratio, channels)
    return reduce(jnp.maximum, (kept[:, :, i] for i in range(ratio)))


def resized(x: Array, length: int) -> Array:
    """Return x cut off, or filled up with zeros, on the right to a length."""
    return jnp.pad(x[:, :length], ((0, 0), (0, max(length - x.shape[1], 0)), (0, 0)))


def drop(key: Key, x: Array, rate: Array | float) -> Array:
    """Zero each entry with probability `rate`, traced, and divide the others by 1 - rate."""
    return dropout(jax.random.bits(key, x.shape, jnp.uint32), x, rate)


class Stretch(nn.Module):
    """Transposed convolution whose taps and stride are one ratio: [b, l, c] -> [b, l ratio, c'].

    As its windows do not overlap, it is a linear layer whose outputs are laid side by side; the
    bias is one per channel.
    """

    channels: int
    ratio: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Return x stretched."""
        samples, length, inputs = x.shape
        shape = (inputs, self.ratio * self.channels)
        kernel = self.param("kernel", nn.initializers.zeros, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.channels,))
        long = (x @ kernel).reshape(samples, length * self.ratio, self.channels)
        return long + jnp.broadcast_to(bias, long.shape)


class ConvBlock(nn.Module):
    """Convolution, batch norm over samples and positions, LeakyReLU(0.2)."""

    channels: int

    @nn.compact
    def __call__(self, x: Array, weight: Array, train: bool) -> Array:
        """Map [b, length, c] to [b, length, channels]; rows of weight 0 leave no statistics."""
        x = conv(self.channels, "conv")(x)
        flat = x.reshape(-1, self.channels)
        rows = jnp.repeat(weight, x.shape[1])
        normed = BatchNorm(name="norm")(flat, rows, train=train, axis_name=split_axis())
        return nn.leaky_relu(normed.reshape(x.shape), SLOPE)


class DoubleConv(nn.Module):
    """Two convolutions, each with batch norm and LeakyReLU."""

    channels: int

    @nn.compact
    def __call__(self, x: Array, weight: Array, train: bool) -> Array:
        """Map [b, length, c] to [b, length, channels]."""
        for name in ("first", "second"):
            x = ConvBlock(self.channels, name=name)(x, weight, train)
        return x


def conv(channels: int, name: str) -> nn.Conv:
    """Return a convolution that keeps the length, without bias."""
    return nn.Conv(
        channels, (TAPS,), padding=TAPS // 2, use_bias=False, kernel_init=nn.initializers.zeros,
        name=name,
    )  # fmt: skip
