"""Fully connected blocks `Linear -> norm -> dropout -> LeakyReLU` (Zhang and Guo 2021).

Their norm standardises each sample over the features of the layer, without learned scale or shift
and without running statistics, so training and evaluation agree (what the published code does
where it asks for a batch norm: its tensors have a channel axis).
"""

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxomics.errors import InputError
from jaxomics.nn.dropout import draw_words, dropout
from jaxomics.types import Array, Key

Norm = Literal["sample", "none"]
"""`sample` standardises each sample over a layer's features."""

SLOPE = 0.2
"""Slope of LeakyReLU below zero."""
EPSILON = 1e-5
"""What a norm adds to the variance."""
NARROWEST = 4
"""Fewest units that a per-sample norm makes sense of: of two, only a sign would be left."""


def sample_norm(x: Array) -> Array:
    """Return x [..., features] with mean 0 and variance 1 over the features of each sample.

    >>> sample_norm(jnp.array([[1.0, 3.0], [10.0, 30.0]])).round(3).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(centred**2, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + EPSILON)


def check_widths(widths: Sequence[int], norm: Norm) -> None:
    """Raise if each sample is to be normalised over too few units.

    Raises:
      InputError: a layer of fewer than `NARROWEST` units under a per-sample norm.
    """
    if norm == "sample" and min(widths, default=NARROWEST) < NARROWEST:
        raise InputError(
            f"expected at least {NARROWEST} units where each sample is normalised over them, "
            f"found {min(widths)}; widen the layer"
        )


class Linear(nn.Module):
    """Linear layer whose weights are drawn by `initial.start_by`; [..., inputs] -> [..., features].

    Its kernel may be stored in bfloat16: products then read half the memory, round the inputs as
    well, and add up in float32. The bias stays float32. A kernel that comes from a file as float32
    serves as well.
    """

    features: int
    half: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Return x @ kernel + bias, float32."""
        kind = jnp.bfloat16 if self.half else jnp.float32
        kernel = self.param("kernel", nn.initializers.zeros, (x.shape[-1], self.features), kind)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        product = jnp.matmul(
            x.astype(kind), kernel.astype(kind), preferred_element_type=jnp.float32
        )
        return product + jnp.broadcast_to(bias, product.shape)


class Blocks(nn.Module):
    """A stack of blocks `Linear -> norm -> dropout -> LeakyReLU(0.2)`.

    Attributes:
      widths: units of each block.
      norm: per sample, or none.
      half: keep the first kernel in bfloat16.
    """

    widths: tuple[int, ...]
    norm: Norm = "sample"
    half: bool = False

    def __post_init__(self) -> None:
        """Check the widths."""
        super().__post_init__()
        check_widths(self.widths, self.norm)

    @nn.compact
    def __call__(
        self, x: Array, rate: Array | float = 0.0, words: Sequence[Array] | None = None
    ) -> Array:
        """Map [b, inputs] to [b, widths[-1]].

        Args:
          x: inputs.
          rate: dropout rate in [0, 1), traced.
          words: random words [b, width] of each block (`draw_words`); None = no dropout.
        """
        for i, width in enumerate(self.widths):
            x = Linear(width, self.half and i == 0, name=f"linear_{i}")(x)
            if self.norm == "sample":
                x = sample_norm(x)
            if words is not None:
                x = dropout(words[i], x, rate)
            x = nn.leaky_relu(x, SLOPE)
        return x


def block_words(stacks: Sequence[Blocks], key: Key, samples: int) -> list[list[Array]]:
    """Return the random words of the dropout masks of several stacks, from one draw."""
    widths = [stack.widths for stack in stacks]
    drawn = iter(draw_words(key, samples, [width for own in widths for width in own]))
    return [[next(drawn) for _ in own] for own in widths]
