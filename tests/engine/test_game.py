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
from jaxomics.models.base import Aux, Model, Player, Shared, Variables


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


def shared_game(owner_first: bool, *, share: bool) -> tuple[Model, list[int]]:
    """Player g makes g x; player d minimises d g x, and g minimises (d - 1) g x + g^2.

    Also returns a list that grows by one whenever g x is traced.
    """
    passes: list[int] = []

    def make(params: Any, collections: Any, batch: Any, key: Any, hyper: Any, *, train: bool):
        passes.append(1)
        return params["g"] * batch, collections["g"] + 1

    def loss_d(params, collections, batch, key, hyper, *, train: bool, shared: Any = None):
        made, _ = shared or make(params, collections, batch, key, hyper, train=train)
        return params["d"] * made, Aux({"loss": params["d"] * made}, {})

    def loss_g(params, collections, batch, key, hyper, *, train: bool, shared: Any = None):
        made, moved = shared or make(params, collections, batch, key, hyper, train=train)
        value = (params["d"] - 1) * made + params["g"] ** 2
        return value, Aux({"loss": value}, {"g": moved})

    def init(key: Any, batch: Any) -> Variables:
        return Variables({"g": jnp.float32(1), "d": jnp.float32(2)}, {"g": jnp.zeros(())})

    def descend(hyper: Any) -> optax.GradientTransformation:
        return optax.sgd(hyper.learning_rate)

    players = (Player("d", loss_d, descend, 2), Player("g", loss_g, descend))
    players = players[::-1] if owner_first else players
    return Model(init, players, shared=Shared("g", make) if share else None), passes


# Start g = 1, d = 2, x = 3, rate 0.1. The gradients are dLd/dd = 3 g and dLg/dg = 3 (d - 1) + 2 g.
#   d first: d moves twice to 2 - 0.1 * 3 * 2 = 1.4; g to 1 - 0.1 * (3 * 0.4 + 2) = 0.68.
#   g first: g moves to 1 - 0.1 * (3 + 2) = 0.5; d twice to 2 - 0.1 * 1.5 * 2 = 1.7.
@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize(("owner_first", "g", "d"), [(False, 0.68, 1.4), (True, 0.5, 1.7)])
def test_a_shared_pass_changes_no_move(owner_first: bool, g: float, d: float, share: bool):
    model, passes = shared_game(owner_first, share=share)
    batch: Any = jnp.float32(3)
    state = start_state(model, batch, Rate(), jax.random.key(0))
    after, _ = jax.jit(make_step(model))(state, batch, Rate(), jnp.float32(1))
    assert float(after.params["g"]) == pytest.approx(g)
    assert float(after.params["d"]) == pytest.approx(d)
    assert float(after.collections["g"]) == 1.0
    # Once as long as its parameters stay; g moving first makes a second pass necessary.
    assert len(passes) == (3 if not share else 2 if owner_first else 1)
