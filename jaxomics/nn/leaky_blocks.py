"""Fully connected blocks of a linear layer, LeakyReLU, dropout and batch norm, in two orders.

first   Linear, batch norm, LeakyReLU, dropout      JAMIE, Cohen Kalafut et al. 2023
last    Linear, LeakyReLU, dropout, batch norm      MOVE, Allesoe et al. 2023; scVAEIT, Du 2022
"""

from typing import Literal

from flax import linen as nn

from jaxomics.nn.dropout import draw_words, dropout
from jaxomics.nn.mlp import Dense
from jaxomics.nn.norm import BatchNorm, NormedDense
from jaxomics.nn.norm_blocks import Mode
from jaxomics.types import Array


class LeakyBlocks(nn.Module):
    """A stack of blocks whose weights `jaxomics.nn.start.start` draws.

    Attributes:
      widths: units of each block.
      norm: `first`, right behind the linear layer, or `last`.
      slope: of LeakyReLU below zero; 0.01 is PyTorch's.
    """

    widths: tuple[int, ...]
    norm: Literal["first", "last"]
    slope: float = 0.01

    @nn.compact
    def __call__(self, x: Array, weight: Array, mode: Mode) -> Array:
        """Map [b, inputs] to [b, widths[-1]].

        Args:
          x: inputs.
          weight: [b], 0 leaves a row out of the statistics of norms.
          mode: how to run; stacks that share a key share their dropout masks.
        """
        drop = mode.train and mode.key is not None
        words = draw_words(mode.key, len(x), self.widths) if drop else []  # pyright: ignore
        running = {"train": mode.train, "axis_name": mode.axis_name}
        for i, width in enumerate(self.widths):
            if self.norm == "first":
                x = NormedDense(width, name=f"normed_{i}")(x, weight, **running)
            else:
                x = Dense(width, name=f"linear_{i}")(x)
            x = nn.leaky_relu(x, self.slope)
            if drop:
                x = dropout(words[i], x, mode.rate)
            if self.norm == "last":
                x = BatchNorm(name=f"norm_{i}")(x, weight, **running)
        return x
