"""Fully connected blocks `Linear -> batch norm -> dropout -> activation` (Zhang et al. 2021)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
from flax import linen as nn

from jaxomics.nn.blocks import SLOPE
from jaxomics.nn.dropout import draw_words, dropout
from jaxomics.nn.norm import BatchNorm
from jaxomics.types import Array, Key


class Mode(NamedTuple):
    """How a network runs.

    Attributes:
      train: batch norms take the batch's statistics and move the running ones; dropout is on.
      rate: of dropout, in [0, 1), traced.
      key: PRNG key of dropout; None = no dropout.
      axis_name: axis over which devices split the batch, if they do.
    """

    train: bool = False
    rate: Array | float = 0.0
    key: Key | None = None
    axis_name: str | None = None


class NormBlocks(nn.Module):
    """A stack of blocks; a layer that a norm follows has no bias, which the norm would remove.

    Weights start at zero here: `initial.start_by` draws them.

    Attributes:
      widths: units of each block.
      norm: with batch norms.
      activation: `leaky` (ReLU, slope 0.2) or `tanh`.
    """

    widths: tuple[int, ...]
    norm: bool = True
    activation: Literal["leaky", "tanh"] = "leaky"

    @nn.compact
    def __call__(
        self, x: Array, weight: Array, mode: Mode, words: Sequence[Array] | None = None
    ) -> Array:
        """Map [b, inputs] to [b, widths[-1]].

        Args:
          x: inputs.
          weight: [b], 0 leaves a row out of the statistics of norms.
          mode: how to run.
          words: random words [b, width] of each block (`words_of`); None = no dropout.
        """
        for i, width in enumerate(self.widths):
            x = linear(width, bias=not self.norm, name=f"linear_{i}")(x)
            if self.norm:
                norm = BatchNorm(name=f"norm_{i}")
                x = norm(x, weight, train=mode.train, axis_name=mode.axis_name)
            if words is not None:
                x = dropout(words[i], x, mode.rate)
            x = jnp.tanh(x) if self.activation == "tanh" else nn.leaky_relu(x, SLOPE)
        return x


def linear(
    features: int, *, bias: bool = True, last: float = 0.0, name: str | None = None
) -> nn.Dense:
    """Return a linear layer whose weights `initial.start_by` draws.

    Args:
      features: outputs.
      bias: with biases, which start at 0.
      last: where that of the last output starts.
      name: of the layer.
    """

    def start(key: Key, shape: tuple[int, ...], kind: Any = jnp.float32) -> Array:
        return jnp.zeros(shape, kind).at[-1].set(last)

    return nn.Dense(
        features, use_bias=bias, kernel_init=nn.initializers.zeros, bias_init=start, name=name
    )


def words_of(
    stacks: Mapping[str, NormBlocks], key: Key | None, samples: int
) -> dict[str, list[Array] | None]:
    """Return the random words of the dropout masks of stacks, by name, from one draw.

    Without a key there are none.
    """
    if key is None:
        return dict.fromkeys(stacks)
    widths = [width for stack in stacks.values() for width in stack.widths]
    drawn = iter(draw_words(key, samples, widths))
    return {name: [next(drawn) for _ in stack.widths] for name, stack in stacks.items()}
