"""Fully connected blocks: the norm against PyTorch, the order of operations, dropout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.errors import InputError
from jaxomics.nn.blocks import Blocks, Linear, block_words, sample_norm
from jaxomics.nn.initial import start_by


def test_sample_norm_is_torchs_instance_norm_of_one_channel():
    # torch.nn.functional.instance_norm of a tensor of shape 1 x 1 x 4
    found = sample_norm(jnp.array([[1.0, 2.0, 4.0, -1.0]]))
    np.testing.assert_allclose(found, [[-0.2773, 0.2773, 1.3867, -1.3867]], atol=5e-5)


def test_sample_norm_of_equal_values_is_zero_and_can_be_differentiated():
    x = jnp.full((1, 4), 3.0)
    np.testing.assert_array_equal(sample_norm(x), 0.0)
    assert bool(jnp.isfinite(jax.jacobian(sample_norm)(x)).all())


def test_a_block_normalises_then_drops_then_activates(key: jax.Array):
    blocks = Blocks((4,))
    x = jax.random.normal(key, (2, 3))
    params = start_by("xavier", blocks, key, x)["params"]
    normed = sample_norm(x @ params["linear_0"]["kernel"])
    np.testing.assert_allclose(
        blocks.apply({"params": params}, x), jnp.where(normed > 0, normed, 0.2 * normed), rtol=1e-5
    )
    words = block_words([blocks], key, 2)
    dropped = blocks.apply({"params": params}, x, 0.5, words[0])
    kept = np.asarray(words[0][0]) < 2**31
    np.testing.assert_allclose(
        dropped, jnp.where(kept, 2 * jnp.where(normed > 0, normed, 0.2 * normed), 0.0), rtol=1e-5
    )


def test_half_kernels_are_stored_in_bfloat16_and_add_up_in_float32(key: jax.Array):
    x = jax.random.normal(key, (3, 50))
    whole, half = Linear(4), Linear(4, half=True)
    params = start_by("normal", half, key, x)["params"]
    assert params["kernel"].dtype == jnp.bfloat16
    assert params["bias"].dtype == jnp.float32
    found = half.apply({"params": params}, x)
    assert found.dtype == jnp.float32
    exact = whole.apply({"params": jax.tree.map(jnp.float32, params)}, x)
    np.testing.assert_allclose(found, exact, atol=0.004 * float(jnp.abs(exact).max()) * 3)


def test_a_norm_over_three_units_is_refused():
    with pytest.raises(InputError, match="at least 4 units"):
        Blocks((8, 3))
    assert Blocks((8, 3), norm="none").widths == (8, 3)
