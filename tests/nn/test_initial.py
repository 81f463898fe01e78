"""Rules of initial weights: the deviations that they promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.nn.initial import draw_weights

SHAPES = {
    "dense": {"kernel": jnp.ones((300, 200)), "bias": jnp.zeros(200)},
    "conv": {"kernel": jnp.ones((9, 40, 50))},
    "norm": {"scale": jnp.ones(5000), "bias": jnp.zeros(5000)},
}


@pytest.mark.parametrize(
    ("rule", "dense", "conv"),
    [
        ("normal", 0.02, 0.02),
        ("xavier", np.sqrt(2 / 500), np.sqrt(2 / (9 * 90))),
        ("kaiming", np.sqrt(2 / 300), np.sqrt(2 / 360)),
    ],
)
def test_deviation_of_weights(rule, dense: float, conv: float, key: jax.Array):
    found = draw_weights(rule, key, SHAPES)
    assert float(found["dense"]["kernel"].std()) == pytest.approx(dense, rel=0.02)
    assert float(found["conv"]["kernel"].std()) == pytest.approx(conv, rel=0.02)
    assert float(found["norm"]["scale"].std()) == pytest.approx(0.02, rel=0.05)
    assert float(found["norm"]["scale"].mean()) == pytest.approx(1.0, abs=0.001)
    assert not found["dense"]["bias"].any()
    assert not found["norm"]["bias"].any()


def test_orthogonal_convolutions(key: jax.Array):
    kernel = draw_weights("orthogonal", key, SHAPES)["conv"]["kernel"].reshape(360, 50)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(50), atol=1e-5)


def test_types_are_kept(key: jax.Array):
    found = draw_weights("normal", key, {"a": {"kernel": jnp.ones((4, 4), jnp.bfloat16)}})
    assert found["a"]["kernel"].dtype == jnp.bfloat16
