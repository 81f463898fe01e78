"""Models small enough to compile in an instant: a mean, and a coder alone or against a critic."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import struct

from jaxomics.data.batch import Data, Standard, make_data
from jaxomics.engine.state import Split
from jaxomics.losses.reconstruction import masked_mse
from jaxomics.models.base import Aux, Model, Player, Variables


class Rate(struct.PyTreeNode):
    """Hyper-parameters of the toy."""

    learning_rate: float = 0.05


class Toy(NamedTuple):
    """Model, data, scaling, hyper-parameters, and a maker of (padded) splits."""

    model: Model
    data: Data
    standard: Standard
    hyper: Any
    split: Callable[..., Split]


def mean_model(features: int = 3) -> Model:
    """x^ = w with noise in training, so that results depend on keys; Adam has a state."""

    def init(key: jax.Array, batch: Any) -> Variables:
        return Variables({"own": {"w": jax.random.normal(key, (features,))}}, {})

    def loss(params: Any, collections: Any, batch: Any, key: Any, hyper: Any, *, train: bool):
        x = batch.x["rna"]
        guess = jnp.broadcast_to(params["own"]["w"], x.shape)
        noise = 0.1 * jax.random.normal(key, x.shape) if train else 0.0
        value = masked_mse(guess + noise, x, batch.observed["rna"])
        return value, Aux({"loss": value}, collections)

    return Model(init, (Player("own", loss, lambda hyper: optax.adam(hyper.learning_rate)),))


class Coder(nn.Module):
    """Features and conditionals to features, with batch statistics on the way."""

    @nn.compact
    def __call__(self, batch: Any, train: bool):
        x = jnp.concatenate([batch.x["rna"], batch.conditionals["rna"]], axis=1)
        # No bias: the norm takes it away again, and Adam would blow up its rounding errors.
        hidden = nn.Dense(4, use_bias=False)(x)
        norm = nn.BatchNorm(use_running_average=not train, momentum=0.9)
        hidden = norm(hidden, mask=batch.weight["rna"][:, None] > 0)
        return nn.Dense(batch.x["rna"].shape[1])(jnp.tanh(hidden))


def coder_model(*, critic: bool) -> Model:
    """x^ = coder(x); with a critic, which tells x from x^, it is a game of two."""

    def init(key: jax.Array, batch: Any) -> Variables:
        found = Coder().init(key, batch, train=True)
        params = {"coder": found["params"]}
        if critic:
            params["critic"] = {"w": jax.random.normal(key, (batch.x["rna"].shape[1],))}
        return Variables(params, {"coder": found["batch_stats"]})

    def code(params: Any, collections: Any, batch: Any, train: bool):
        variables = {"params": params["coder"], "batch_stats": collections["coder"]}
        return Coder().apply(variables, batch, train, mutable=["batch_stats"])

    def code_loss(params: Any, collections: Any, batch: Any, key: Any, hyper: Any, *, train: bool):
        out, new = code(params, collections, batch, train)
        value = masked_mse(out, batch.x["rna"], batch.observed["rna"])
        if critic:
            value = value + 0.1 * jnp.mean(jax.nn.softplus(-out @ params["critic"]["w"]))
        return value, Aux({"loss": value}, {"coder": new["batch_stats"]})

    def judge(params: Any, collections: Any, batch: Any, key: Any, hyper: Any, *, train: bool):
        out, _ = code(params, collections, batch, train)
        real, fake = (x @ params["critic"]["w"] for x in (batch.x["rna"], out))
        value = jnp.mean(jax.nn.softplus(-real) + jax.nn.softplus(fake))
        return value, Aux({"loss": value}, {})

    def adam(hyper: Any) -> optax.GradientTransformation:
        return optax.adam(hyper.learning_rate)

    players = (Player("coder", code_loss, adam), Player("critic", judge, adam, updates=2))
    if not critic:
        return Model(init, players[:1])
    return Model(init, players, "sequential", monitor="coder/loss")


@pytest.fixture(scope="session")
def models() -> dict[str, Model]:
    """A model without collections, one with batch statistics, and a game."""
    return {
        "mean": mean_model(),
        "norm": coder_model(critic=False),
        "game": coder_model(critic=True),
    }


def split_of(train: list[int], valid: list[int] | None = None, padded: int = 0) -> Split:
    """A split; training rows padded with row 0 to length `padded`."""
    rows = train + [0] * (padded - len(train))
    return Split(np.array(rows), len(train), np.array(valid or [], int), len(valid or []))


@pytest.fixture(scope="session")
def toy() -> Toy:
    x = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32) + 1
    x[3, 1] = np.nan
    standard = Standard({"rna": jnp.zeros(3)}, {"rna": jnp.ones(3)})
    return Toy(mean_model(), make_data({"rna": x}), standard, Rate(), split_of)
