"""Players to a step: each loss is differentiated in its own player's parameters."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxomics.data.batch import Batch
from jaxomics.engine.norms import sample
from jaxomics.engine.state import TrainState
from jaxomics.models.base import Aux, Hyper, Model, Player, Variables
from jaxomics.types import Array, Key, Metrics

Step = Callable[[TrainState, Batch, Hyper, Array], tuple[TrainState, Metrics]]
"""(state, batch, hyper, rate) -> (state, metrics); `rate` is a factor on the learning rate."""


def start_state(model: Model, batch: Batch, hyper: Hyper, key: Key) -> TrainState:
    """Return the state before the first step: fresh parameters and optimiser moments."""
    init_key, run_key = jax.random.split(key)
    return first_state(model, model.init(init_key, batch), hyper, run_key)


def first_state(model: Model, variables: Variables, hyper: Hyper, key: Key) -> TrainState:
    """Return the state before the first step, given fresh parameters and the run's key."""
    optimizer = {
        player.name: player.optimizer(hyper).init(variables.params[player.name])
        for player in model.players
    }
    return TrainState(
        variables.params, optimizer, variables.collections, jnp.zeros((), jnp.int32), key
    )


def make_step(model: Model, *, axis_name: str | None = None) -> Step:
    """Return the step of a game.

    In `sequential` order a player sees what the players before it have become; in
    `simultaneous` order all see the state before the step. Players share the key, so they meet
    the same random draws.

    Args:
      model: whose players move.
      axis_name: axis over which devices split the batch, where the step sees one part of it only
        (`pmap`, `shard_map`): gradients and metrics are averaged over it, and each device draws
        noise of its own. Collections are not: a batch norm has to know the axis itself
        (`losses.masked.split_axis`).
    """

    def step(
        state: TrainState, batch: Batch, hyper: Hyper, rate: Array
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)
        if axis_name is not None:
            key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
        old, metrics = state, {}
        for player in model.players:
            if player.updates == 0:
                found = _hear(player, state, batch, key, hyper, axis_name)
                metrics |= named(player, found, len(model.players))
            for i in range(player.updates):
                seen = old if model.order == "simultaneous" and i == 0 else state
                state, found = _move(player, seen, state, batch, key, hyper, rate, axis_name)
                metrics |= named(player, found, len(model.players))
        return state.replace(step=state.step + 1), metrics

    return step


def _move(
    player: Player,
    seen: TrainState,
    state: TrainState,
    batch: Batch,
    key: Key,
    hyper: Hyper,
    rate: Array,
    axis_name: str | None,
) -> tuple[TrainState, Metrics]:
    """Update one player once, from the gradient at what it has seen."""
    name = player.name

    def own_loss(own: object) -> tuple[Array, Aux]:
        params = {**seen.params, name: own}
        return player.loss(params, seen.collections, batch, key, hyper, train=True)

    (_, aux), gradient = jax.value_and_grad(own_loss, has_aux=True)(seen.params[name])
    metrics = aux.metrics
    if axis_name is not None:
        gradient, metrics = jax.lax.pmean((gradient, metrics), axis_name)
    update, moments = player.optimizer(hyper).update(
        gradient, state.optimizer[name], state.params[name]
    )
    update = jax.tree.map(lambda u: u * rate, update)
    params = optax.apply_updates(state.params[name], update)
    norm = {"grad_norm": jnp.linalg.norm(sample(gradient))}
    new = state.replace(
        params={**state.params, name: params},
        optimizer={**state.optimizer, name: moments},
        collections={**state.collections, **aux.collections},
    )
    return new, metrics | norm


def _hear(
    player: Player, state: TrainState, batch: Batch, key: Key, hyper: Hyper, axis_name: str | None
) -> Metrics:
    """Return the metrics of a player that rests; the state stays as it is."""
    _, aux = player.loss(state.params, state.collections, batch, key, hyper, train=True)
    metrics = aux.metrics if axis_name is None else jax.lax.pmean(aux.metrics, axis_name)
    return metrics | {"grad_norm": jnp.zeros(())}


def named(player: Player, metrics: Metrics, players: int) -> Metrics:
    """Return metrics under their player's name when there are several players."""
    return metrics if players == 1 else {f"{player.name}/{k}": v for k, v in metrics.items()}
