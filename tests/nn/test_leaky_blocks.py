"""Both orders of a leaky block against NumPy, in training and at rest."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.nn.leaky_blocks import LeakyBlocks
from jaxomics.nn.norm_blocks import Mode
from jaxomics.nn.start import start

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
WEIGHT = np.array([1, 1, 1, 1, 1, 0], np.float32)


def normed(values: np.ndarray) -> np.ndarray:
    """By mean and variance of the rows of weight 1, as a fresh batch norm does in training."""
    rows = values[WEIGHT > 0]
    return (values - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-5)


@pytest.mark.parametrize("order", ["first", "last"])
def test_order_of_norm_and_activation(order):
    blocks = LeakyBlocks((3,), order)

    @jax.jit
    def run(key: jax.Array):
        variables = start(blocks, key, X, jnp.asarray(WEIGHT), Mode())
        found = blocks.apply(variables, X, WEIGHT, Mode(train=True), mutable=["batch_stats"])
        return variables["params"], found[0], blocks.apply(variables, X, WEIGHT, Mode())

    params, trained, rest = run(jax.random.key(0))
    layer = params["normed_0" if order == "first" else "linear_0"]
    linear = X @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])

    def leaky(values: np.ndarray) -> np.ndarray:
        return np.where(values > 0, values, 0.01 * values)

    in_training = leaky(normed(linear)) if order == "first" else normed(leaky(linear))
    np.testing.assert_allclose(trained, in_training, atol=1e-4)
    # At rest a fresh norm divides by sqrt(1 + 1e-5).
    np.testing.assert_allclose(rest, leaky(linear) / np.sqrt(1 + 1e-5), atol=1e-5)
