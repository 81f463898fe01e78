"""Initial weights by rule, from the shapes of a network alone.

The networks of Zhang and Guo 2021 start with weights N(0, 0.02^2), biases 0, and the scales of a
batch norm N(1, 0.02^2); their code also offers the rules of Glorot and Bengio 2010 (`xavier`), of
He et al. 2015 (`kaiming`) and of Saxe et al. 2014 (`orthogonal`).
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from jaxomics.nn.start import stream
from jaxomics.types import Array, Key, Params

Rule = Literal["normal", "xavier", "kaiming", "orthogonal"]
"""`normal`: deviation 0.02; `xavier`: variance 2 / (inputs + outputs); `kaiming`: 2 / inputs;
`orthogonal`: rows or columns of length 1 at right angles."""

DEVIATION = 0.02
"""Standard deviation of weights under `normal`, and of the scales of batch norms."""


def start_by(rule: Rule, module: nn.Module, key: Key, *args: Any, **settings: Any) -> dict:
    """Return a module's variables with weights drawn by a rule; used in place of `module.init`.

    Args:
      rule: for weight matrices.
      module: its weights are named `kernel`, last axis the outputs; `scale` multiplies.
      key: PRNG key.
      *args, **settings: what the module is called with.
    """
    variables = dict(module.init(key, *args, **settings))
    return variables | {"params": draw_weights(rule, key, variables.get("params", {}))}


def draw_weights(rule: Rule, key: Key, params: Params) -> Params:
    """Return parameters of the same shapes and types: kernels and scales drawn, the rest kept.

    >>> start = {"kernel": jnp.zeros((2, 3)), "bias": jnp.zeros(3)}
    >>> found = draw_weights("orthogonal", jax.random.key(0), start)["kernel"]
    >>> bool(jnp.allclose(found @ found.T, jnp.eye(2), atol=1e-6))
    True
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(params)
    drawn = [path[-1].key in ("kernel", "scale") for path, _ in leaves]
    sizes = [leaf.size * found for (_, leaf), found in zip(leaves, drawn, strict=True)]
    pool, used, fresh = stream(key, sum(sizes), jax.random.normal), 0, []
    for (path, leaf), size in zip(leaves, sizes, strict=True):
        if size:
            noise = pool[used : used + size].reshape(leaf.shape)
            weights = 1.0 + DEVIATION * noise if path[-1].key == "scale" else _kernel(rule, noise)
            leaf = weights.astype(leaf.dtype)
        fresh.append(leaf)
        used += size
    return tree.unflatten(fresh)


def _kernel(rule: Rule, noise: Array) -> Array:
    """Return a kernel [..., inputs, outputs] made of standard normal numbers of its shape.

    The axes before the last two are those of a convolution, and count as inputs and outputs.
    """
    *window, inputs, outputs = noise.shape
    taps = int(np.prod(window))
    if rule == "orthogonal":
        matrix = noise.reshape(-1, outputs)
        tall = matrix if len(matrix) >= outputs else matrix.T
        basis, upper = jnp.linalg.qr(tall)
        basis = basis * jnp.sign(jnp.diag(upper))[None]
        return (basis if len(matrix) >= outputs else basis.T).reshape(noise.shape)
    variance = {
        "normal": DEVIATION**2,
        "xavier": 2.0 / (taps * (inputs + outputs)),
        "kaiming": 2.0 / (taps * inputs),
    }[rule]
    return noise * float(np.sqrt(variance))
