"""Dense layers, PReLU and the two-layer stacks of encoders and decoders."""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn

from jaxomics.nn.dropout import dropout
from jaxomics.types import Array, Key

Activation = Literal["prelu_shared", "prelu", "gelu", "tanh"]
"""`prelu_shared` is one slope for a whole network, `prelu` one per layer."""

PRELU_START = 0.25
_FUNCTIONS: dict[str, Callable[[Array], Array]] = {"gelu": nn.gelu, "tanh": jnp.tanh}


def prelu(x: Array, slope: Array) -> Array:
    """Return x where positive, slope times x elsewhere (He et al. 2015)."""
    return jnp.where(x > 0, x, slope * x)


class Dense(nn.Module):
    """Linear layer, weight and bias both uniform on +-start/sqrt(inputs).

    PyTorch starts with 1; 0 starts with the zero function. Shapes: [..., inputs] ->
    [..., features].
    """

    features: int
    start: float = 1.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Return x @ kernel + bias."""
        inputs = x.shape[-1]

        def start(key: Key, shape: tuple[int, ...]) -> Array:
            bound = self.start * inputs**-0.5
            return jax.random.uniform(key, shape, jnp.float32, -bound, bound)

        kernel = self.param("kernel", start, (inputs, self.features))
        bias = self.param("bias", start, (self.features,))
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
        self, x: Array, slope: Array | None, rate: Array, key: Key, *, train: bool
    ) -> Array:
        """Map [b, inputs] to [b, features].

        Args:
          x: inputs.
          slope: the shared PReLU slope, a scalar; read for `prelu_shared` only.
          rate: dropout rate in [0, 1), traced.
          key: PRNG key of the dropout draws.
          train: False switches dropout off.
        """
        for i, width in enumerate(self.hidden):
            x = Dense(width, name=f"hidden_{i}")(x)
            if train:
                x = dropout(jax.random.fold_in(key, i), x, rate)
            x = self._activate(x, slope, f"slope_{i}")
        x = Dense(self.features, self.start_output, name="out")(x)
        return self._activate(x, slope, "slope_out") if self.activate_output else x

    def _activate(self, x: Array, slope: Array | None, name: str) -> Array:
        """Apply the activation; `prelu` makes its own parameter."""
        if self.activation in _FUNCTIONS:
            return _FUNCTIONS[self.activation](x)
        if self.activation == "prelu":
            slope = self.param(name, nn.initializers.constant(PRELU_START), ())
        assert slope is not None, "prelu_shared needs the shared slope"
        return prelu(x, slope)


def width(size: float, features: int) -> int:
    """Return a layer's width: a fraction of the features up to 1, a number of units above.

    Fractions truncate toward zero, as published; units never exceed the features; one at least.

    >>> width(0.7, 4922), width(128, 4922), width(128, 30)
    (3445, 128, 30)
    """
    units = int(size * features) if size <= 1 else min(int(size), features)
    return max(units, 1)
