"""Orders of a two-player game, worked by hand; keys, collections and the step counter."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct

from jaxomics.engine.epoch import movement, sample_players
from jaxomics.engine.game import make_step, start_state
from jaxomics.models.base import Aux, Model, Player, Variables


class Rate(struct.PyTreeNode):
    learning_rate: float = 0.1


def game(order: Literal["sequential", "simultaneous"], updates: int) -> Model:
    """Player a minimises a b, player b minimises b^2 / 2 - a b; both by gradient descent."""

    def init(key: Any, batch: Any) -> Variables:
        return Variables({"a": jnp.float32(1), "b": jnp.float32(2)}, {"a": jnp.zeros(())})

    def loss_a(params: Any, collections: Any, batch: Any, key: Any, hyper: Any, *, train: bool):
        seen = {"loss": params["a"] * params["b"], "draw": jax.random.uniform(key)}
        return seen["loss"], Aux(seen, {"a": collections["a"] + 1})

    def loss_b(params: Any, collections: Any, batch: Any, key: Any, hyper: Any, *, train: bool):
        value = params["b"] ** 2 / 2 - params["a"] * params["b"]
        seen = {"loss": value, "draw": jax.random.uniform(key), "met": collections["a"]}
        return value, Aux(seen, {})

    def descend(hyper: Any) -> optax.GradientTransformation:
        return optax.sgd(hyper.learning_rate)

    players = (Player("a", loss_a, descend, updates), Player("b", loss_b, descend))
    return Model(init, players, order, monitor="a/loss")


# Start a = 1, b = 2, rate 0.1. The gradients are dLa/da = b and dLb/db = b - a.
#   a moves to 1 - 0.1 * 2 = 0.8, and with a second update to 0.8 - 0.1 * 2 = 0.6.
#   simultaneous: b meets a = 1   and moves to 2 - 0.1 * (2 - 1)   = 1.9
#   sequential:   b meets a = 0.8 and moves to 2 - 0.1 * (2 - 0.8) = 1.88
#                 b meets a = 0.6 and moves to 2 - 0.1 * (2 - 0.6) = 1.86
# A factor 0.5 on the rate halves each move: a = 0.9, and b = 2 - 0.05 * (2 - 1) = 1.95.
@pytest.mark.parametrize(
    ("order", "updates", "factor", "expected", "met"),
    [
        ("simultaneous", 1, 1.0, (0.8, 1.9), 0),
        ("sequential", 1, 1.0, (0.8, 1.88), 1),
        ("simultaneous", 2, 1.0, (0.6, 1.9), 0),
        ("sequential", 2, 1.0, (0.6, 1.86), 2),
        ("simultaneous", 1, 0.5, (0.9, 1.95), 0),
    ],
)
def test_orders(order: Any, updates: int, factor: float, expected: tuple, met: int):
    model, batch, hyper = game(order, updates), Any, Rate()
    state = start_state(model, batch, hyper, jax.random.key(0))  # pyright: ignore
    step = jax.jit(lambda state: make_step(model)(state, batch, hyper, jnp.float32(factor)))  # pyright: ignore
    after, metrics = step(state)
    np.testing.assert_allclose((after.params["a"], after.params["b"]), expected, rtol=1e-6)
    assert float(metrics["b/met"]) == met
    assert float(after.collections["a"]) == updates
    assert float(metrics["a/draw"]) == float(metrics["b/draw"])
    assert int(after.step) == 1
    again, more = step(after)
    assert int(again.step) == 2
    assert float(more["a/draw"]) != float(metrics["a/draw"])
    np.testing.assert_allclose(metrics["b/grad_norm"], (2 - expected[1]) / 0.1 / factor, rtol=1e-5)
    moved = movement(
        model, sample_players(model, state.params), sample_players(model, after.params)
    )
    np.testing.assert_allclose(moved["b/update_norm"], 2 - expected[1], rtol=1e-5)
    np.testing.assert_allclose(moved["b/param_norm"], expected[1], rtol=1e-6)
