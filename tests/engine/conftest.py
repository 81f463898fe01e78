"""A model small enough to compile in an instant: it learns the mean of each feature."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
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
