"""Dense, PReLU and stacks against numpy and PyTorch's starting distribution."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.nn.dropout import draw_words
from jaxomics.nn.mlp import Dense, Mlp, prelu, width
from jaxomics.nn.start import start


def test_prelu():
    found = prelu(jnp.array([-2.0, 0.0, 3.0]), jnp.float32(0.25))
    assert found.tolist() == [-0.5, 0.0, 3.0]


def test_dense_starts_uniform_within_one_over_root_inputs(key: jax.Array):
    params = start(Dense(500), key, jnp.zeros((1, 16)))["params"]
    # Uniform on +-1/4: variance (1/2)^2 / 12.
    for leaf in params.values():
        assert float(jnp.abs(leaf).max()) <= 0.25
        assert float(jnp.abs(leaf).max()) == pytest.approx(0.25, abs=0.005)
    assert float(params["kernel"].var()) == pytest.approx(1 / 48, rel=0.05)


def test_stack_is_dense_activation_dense(key: jax.Array):
    x, slope = jax.random.normal(key, (5, 4)), jnp.float32(0.1)
    mlp = Mlp((3,), 2, activate_output=True)
    variables = start(mlp, key, x, slope, jnp.zeros(()))
    found: Any = mlp.apply(variables, x, slope, jnp.zeros(()))
    own = jax.tree.map(np.asarray, variables["params"])
    hidden = np.asarray(x) @ own["hidden_0"]["kernel"] + own["hidden_0"]["bias"]
    hidden = np.where(hidden > 0, hidden, 0.1 * hidden)
    out = hidden @ own["out"]["kernel"] + own["out"]["bias"]
    np.testing.assert_allclose(found, np.where(out > 0, out, 0.1 * out), rtol=1e-5)


@pytest.mark.parametrize(
    ("activation", "slopes"), [("prelu", {"slope_0", "slope_out"}), ("gelu", set())]
)
def test_activations_own_their_slopes(key: jax.Array, activation, slopes: set[str]):
    mlp = Mlp((3,), 2, activation, activate_output=True)
    params = start(mlp, key, jnp.zeros((1, 4)), None, jnp.zeros(()))["params"]
    assert {name for name in params if name.startswith("slope")} == slopes
    assert all(float(params[name]) == 0.25 for name in slopes)


def test_dropout_acts_where_words_are_given(key: jax.Array):
    x, mlp, rate = jnp.ones((1, 4)), Mlp((50,), 2, "tanh"), jnp.float32(0.5)
    variables = start(mlp, key, x, None, rate)
    plain: Any = mlp.apply(variables, x, None, rate)
    dropped: list[Any] = [
        mlp.apply(variables, x, None, rate, draw_words(jax.random.key(i), 1, [50])) for i in (1, 2)
    ]
    assert len({tuple(out[0].tolist()) for out in [plain, *dropped]}) == 3
    unlimited: Any = mlp.apply(variables, x, None, jnp.zeros(()), draw_words(key, 1, [50]))
    assert unlimited.tolist() == plain.tolist()


@pytest.mark.parametrize(
    ("size", "features", "expected"),
    [(0.7, 777, 543), (0.25, 225, 56), (1, 30, 30), (0.1, 3, 1), (128, 30, 30), (2.0, 30, 2)],
)
def test_width(size: float, features: int, expected: int):
    assert width(size, features) == expected
