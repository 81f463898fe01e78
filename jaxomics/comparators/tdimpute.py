"""TDimpute: one wide sigmoid layer from one omics to another (Zhou et al. 2020).

A reimplementation, its loss and its batches checked by hand: predictors as measured, 4,000 sigmoid
units, sigmoid outputs; the targets are divided by a constant that brings them into [0, 1]. The loss
is the root of the mean squared error of a whole batch. It was made for transfer: `METHOD.fit`
trains on all other tumours, and `tune` goes on with the few samples of the tumour of interest, in
small batches.

Zhang and Guo 2021 train it on one pooled set, which is `METHOD.fit` alone. Where targets fall
below 0 (standardised expression), their smallest training value is subtracted first. First
weights are drawn as by Glorot and Bengio 2010. A target that is constant among the training
samples is written as this constant, as all our models do: a sigmoid would only come near it.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxomics.comparators.base import Fitted, State, Views
from jaxomics.comparators.regression import Directed, Regression, as_method, own_state
from jaxomics.errors import InputError
from jaxomics.types import Array

MARGIN = 1e-3
"""Added to the largest training value, so that a sigmoid can reach it."""


@dataclass(frozen=True)
class Config(Directed):
    """Settings.

    Attributes:
      targets: views to predict, from all the others; None = every view from the rest.
      hidden: sigmoid units.
      learning_rate: of Adam.
      epochs, batch_size: of the training on the pooled samples.
      tune_epochs, tune_batch_size: of `tune`.
      scale: what targets are divided by; None = their largest value, and 0.001.
    """

    hidden: int = 4000
    learning_rate: float = 1e-4
    epochs: int = 300
    batch_size: int = 128
    tune_epochs: int = 150
    tune_batch_size: int = 16
    scale: float | None = None


class Network(NamedTuple):
    """Weights [inputs, hidden] and [hidden, targets], and what is added to their products."""

    inner: Array
    inner_bias: Array
    outer: Array
    outer_bias: Array


def learn(x: np.ndarray, y: np.ndarray, config: Config, seed: int) -> State:
    """Train on pooled samples.

    Returns:
      The fields of `Network`, `low` and `scale` (targets are scale * output + low), and `level`
      [targets]: the value of constant ones, NaN of all others.
    """
    low = min(float(np.nanmin(y)), 0.0)
    scale = config.scale or float(np.nanmax(y)) - low + MARGIN
    random = np.random.default_rng(seed)
    network = Network(
        _glorot(random, x.shape[1], config.hidden),
        jnp.zeros(config.hidden),
        _glorot(random, config.hidden, y.shape[1]),
        jnp.zeros(y.shape[1]),
    )
    plan = straddling_plan(random, len(x), config.epochs, config.batch_size)
    network = train(network, x, (y - low) / scale, plan, config.learning_rate)
    fields = {name: np.asarray(value) for name, value in network._asdict().items()}
    return fields | {"low": np.array(low), "scale": np.array(scale), "level": levels(y)}


def levels(y: np.ndarray) -> np.ndarray:
    """Return the value of each constant column, NaN of the others; NaN cells are left out.

    >>> levels(np.array([[3.0, 1.0, np.nan], [3.0, 2.0, 5.0]])).tolist()
    [3.0, nan, 5.0]
    """
    low, high = np.nanmin(y, axis=0, initial=np.inf), np.nanmax(y, axis=0, initial=-np.inf)
    return np.where(low == high, low, np.nan)


def predict(state: State, x: np.ndarray) -> np.ndarray:
    """Predict the targets from predictors [samples, predictors], in float64."""
    hidden = _sigmoid(x @ state["inner"] + state["inner_bias"])
    output = _sigmoid(hidden @ state["outer"] + state["outer_bias"])
    found = output * state["scale"] + state["low"]
    return np.where(np.isnan(state["level"]), found, state["level"])


def tune(fitted: Fitted, views: Views, seed: int = 0, config: Config = Config()) -> Fitted:
    """Go on training with the samples of interest; units stay those of the first training.

    Args:
      fitted: what `METHOD.fit` returned.
      views: as for `METHOD.fit`.
      seed: of the order of the samples.
      config: learning rate, epochs and batch size of this stage.

    Raises:
      InputError: another method's fit, or no sample with a target and a predictor.
    """
    if fitted.method.name != METHOD.name:
        raise InputError(f"expected a fit of {METHOD.name!r}, found {fitted.method.name!r}")
    layout, random = fitted.layout, np.random.default_rng(seed)
    rows = layout.stack(views)
    filled = np.where(np.isnan(rows), layout.centre, rows)
    state = dict(fitted.state)
    for view, columns in layout.slices.items():
        if f"inputs/{view}" not in state:
            continue
        own, inputs = own_state(state, view), state[f"inputs/{view}"]
        seen = ~np.isnan(rows)
        paired = seen[:, inputs].any(axis=1) & seen[:, columns].any(axis=1)
        if not paired.any():
            raise InputError(f"view {view!r}: expected samples to go on with, found none; add some")
        y = (rows[paired, columns] - own["low"]) / own["scale"]
        plan = straddling_plan(random, len(y), config.tune_epochs, config.tune_batch_size)
        first = Network(*(jnp.asarray(own[name]) for name in Network._fields))
        network = train(first, filled[paired][:, inputs], y, plan, config.learning_rate)
        state |= {f"own/{n}/{view}": np.asarray(v) for n, v in network._asdict().items()}
        new = rows[paired, columns]
        moved = np.any(~np.isnan(new) & (new != own["level"]), axis=0)
        state[f"own/level/{view}"] = np.where(moved, np.nan, own["level"])
    return replace(fitted, state=state)


def straddling_plan(
    random: np.random.Generator, samples: int, epochs: int, batch_size: int
) -> np.ndarray:
    """Return rows of each step, int [steps, batch]: all epochs' orders in one line, cut up.

    A batch may thus end one epoch and begin the next; what remains at the very end is dropped.

    >>> plan = straddling_plan(np.random.default_rng(0), samples=3, epochs=4, batch_size=2)
    >>> plan.shape, sorted(plan.ravel()[:3].tolist())
    ((6, 2), [0, 1, 2])
    """
    batch = min(batch_size, samples)
    line = np.concatenate([random.permutation(samples) for _ in range(epochs)])
    steps = len(line) // batch
    return line[: steps * batch].reshape(steps, batch)


def train(
    network: Network, x: np.ndarray, y: np.ndarray, plan: np.ndarray, learning_rate: float
) -> Network:
    """Return the network after one step per row of the plan.

    Args:
      network: where to begin.
      x: [samples, predictors].
      y: [samples, targets], divided by their scale; NaN cells have no weight.
      plan: int [steps, batch].
      learning_rate: of Adam.
    """
    return _train(
        network, jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32), plan, learning_rate
    )


@partial(jax.jit, donate_argnums=0)
def _train(network: Network, x: Array, y: Array, plan: Array, learning_rate: float) -> Network:
    """Scan over the plan."""
    optimizer = optax.adam(learning_rate)

    def step(carry: tuple, rows: Array) -> tuple[tuple, None]:
        network, memory = carry
        gradient = jax.grad(batch_rmse)(network, x[rows], y[rows])
        change, memory = optimizer.update(gradient, memory)
        return (optax.apply_updates(network, change), memory), None

    (network, _), _ = jax.lax.scan(step, (network, optimizer.init(network)), plan)
    return network


def batch_rmse(network: Network, x: Array, y: Array) -> Array:
    """Return the root of the mean squared error over the measured cells of a batch."""
    hidden = jax.nn.sigmoid(x @ network.inner + network.inner_bias[None])
    output = jax.nn.sigmoid(hidden @ network.outer + network.outer_bias[None])
    seen = ~jnp.isnan(y)
    squares = jnp.where(seen, output - jnp.where(seen, y, 0.0), 0.0) ** 2
    return jnp.sqrt(squares.sum() / jnp.maximum(seen.sum(), 1) + 1e-12)


def _glorot(random: np.random.Generator, inputs: int, outputs: int) -> Array:
    """Return uniform weights [inputs, outputs] whose variance is 2 / (inputs + outputs)."""
    reach = np.sqrt(6 / (inputs + outputs))
    return jnp.asarray(random.uniform(-reach, reach, (inputs, outputs)), jnp.float32)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-values)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * values))


METHOD = as_method(
    name="tdimpute",
    paper="Zhou et al. 2020, GigaScience 9:giaa076",
    config=Config(),
    regression=Regression(learn, predict, units="original"),
)
"""TDimpute, each view from the others."""
