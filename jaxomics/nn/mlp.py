"""Dense layers, PReLU and the two-layer stacks of encoders and decoders."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn

from jaxomics.nn.dropout import draw_words, dropout
from jaxomics.types import Array, Key

Activation = Literal["prelu_shared", "prelu", "gelu", "tanh"]
"""`prelu_shared` is one slope for a whole network, `prelu` one per layer."""

PRELU_START = 0.25
_FUNCTIONS: dict[str, Callable[[Array], Array]] = {"gelu": nn.gelu, "tanh": jnp.tanh}


def prelu(x: Array, slope: Array) -> Array:
    """Return x where positive, slope times x elsewhere (He et al. 2015)."""
    return jnp.where(x > 0, x, slope * x)


def activate(x: Array, activation: Activation, slope: Array | None = None) -> Array:
    """Return the activation of x; `slope`, a scalar, is that of the two PReLUs."""
    if activation in _FUNCTIONS:
        return _FUNCTIONS[activation](x)
    assert slope is not None, "a PReLU needs its slope"
    return prelu(x, slope)


class Dense(nn.Module):
    """Linear layer, weight and bias both uniform on +-start/sqrt(inputs).

    Its own `init` gives these bounds, and `jaxomics.nn.start.start` draws. PyTorch starts with
    1; 0 starts with the zero function. Shapes: [..., inputs] -> [..., features].
    """

    features: int
    start: float = 1.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Return x @ kernel + bias."""
        inputs = x.shape[-1]
        bound = nn.initializers.constant(self.start * inputs**-0.5)
        kernel = self.param("kernel", bound, (inputs, self.features))
        bias = self.param("bias", bound, (self.features,))
        # A vector is not broadcast silently: tests run with rank promotion forbidden.
        return x @ kernel + jnp.broadcast_to(bias, (*x.shape[:-1], self.features))


class Mlp(nn.Module):
    """Hidden layers `Dense -> dropout -> activation`, then `Dense`, optionally activated.

    Dropout stands before the activation, and the output has none (Cai et al. 2024, Methods).
    """

    hidden: tuple[int, ...]
    features: int
    activation: Activation = "prelu_shared"
    activate_output: bool = False
    start_output: float = 1.0

    @nn.compact
    def __call__(
        self,
        x: Array,
        slope: Array | None,
        rate: Array,
        words: Sequence[Array] | None = None,
        *,
        hidden: bool = False,
    ) -> Array:
        """Map [b, inputs] to [b, features].

        Args:
          x: inputs.
          slope: the shared PReLU slope, a scalar; read for `prelu_shared` only.
          rate: dropout rate in [0, 1), traced.
          words: random words [b, width] of each hidden layer (`draw_words`); None = no dropout.
          hidden: return the last hidden layer, [b, width], instead.
        """
        for i, width in enumerate(self.hidden):
            x = Dense(width, name=f"hidden_{i}")(x)
            if words is not None:
                x = dropout(words[i], x, rate)
            x = self._activate(x, slope, f"slope_{i}")
        if hidden:
            return x
        x = Dense(self.features, self.start_output, name="out")(x)
        return self._activate(x, slope, "slope_out") if self.activate_output else x

    def _activate(self, x: Array, slope: Array | None, name: str) -> Array:
        """Apply the activation; `prelu` makes its own parameter."""
        if self.activation == "prelu":
            slope = self.param(name, nn.initializers.constant(PRELU_START), ())
        return activate(x, self.activation, slope)


def stack_words(stacks: Mapping[str, Mlp], key: Key, samples: int) -> dict[str, list[Array]]:
    """Return the random words of the dropout masks of several stacks, by name, from one draw."""
    layers = [(name, units) for name, stack in stacks.items() for units in stack.hidden]
    drawn = draw_words(key, samples, [units for _, units in layers])
    words: dict[str, list[Array]] = {name: [] for name in stacks}
    for (name, _), part in zip(layers, drawn, strict=True):
        words[name].append(part)
    return words


def width(size: float, features: int) -> int:
    """Return a layer's width: a fraction of the features up to 1, a number of units above.

    Fractions truncate toward zero, as published; units never exceed the features; one at least.

    >>> width(0.7, 4922), width(128, 4922), width(128, 30)
    (3445, 128, 30)
    """
    units = int(size * features) if size <= 1 else min(int(size), features)
    return max(units, 1)
