"""Players to a step: each loss is differentiated in its own player's parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxomics.data.batch import Batch
from jaxomics.engine.norms import sample
from jaxomics.engine.rounding import apply_updates
from jaxomics.engine.state import TrainState
from jaxomics.models.base import Aux, Hyper, Model, Player, Shared, Variables
from jaxomics.types import Array, Key, Metrics, Params

Step = Callable[[TrainState, Batch, Hyper, Array], tuple[TrainState, Metrics]]
"""(state, batch, hyper, rate) -> (state, metrics); `rate` is a factor on the learning rate."""

ROUNDING = 2**31 - 2
"""What the step's key is folded with for the rounding of parameters in half precision."""


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
    the same random draws, and what a model calls `shared` is computed once for all of them, as
    long as the parameters that it reads stay the same.

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
        old, metrics, passed = state, {}, None
        for player in model.players:
            if player.updates == 0:
                found = _hear(player, state, batch, key, hyper, axis_name)
                metrics |= named(player, found, len(model.players))
            for i in range(player.updates):
                seen = old if model.order == "simultaneous" and i == 0 else state
                passed = _pass(model.shared, passed, seen, batch, key, hyper)
                state, found = _move(
                    player, seen, state, batch, key, hyper, rate, axis_name, passed
                )
                metrics |= named(player, found, len(model.players))
        return state.replace(step=state.step + 1), metrics

    return step


class Passed(NamedTuple):
    """A shared pass that has been done.

    Attributes:
      owner: the player whose parameters it read, and these; while they last it need not be
        done again.
      result: what losses are given.
      pullback: from the gradient in the first part of the result to that in the parameters.
    """

    owner: str
    params: Params
    result: tuple[Any, Any]
    pullback: Callable[[Any], tuple[Params]]


def _pass(
    shared: Shared | None,
    done: Passed | None,
    seen: TrainState,
    batch: Batch,
    key: Key,
    hyper: Hyper,
) -> Passed | None:
    """Return the pass that losses share, done now unless it was done with these parameters."""
    if shared is None:
        return None
    own = seen.params[shared.owner]
    if done is not None and done.params is own:
        return done

    def run(own: Params) -> tuple[Any, Any]:
        params = {**seen.params, shared.owner: own}
        return shared.run(params, seen.collections, batch, key, hyper, train=True)

    value, pullback, rest = jax.vjp(run, own, has_aux=True)
    return Passed(shared.owner, own, (value, rest), pullback)


def _gradient(
    player: Player,
    seen: TrainState,
    batch: Batch,
    key: Key,
    hyper: Hyper,
    passed: Passed | None,
) -> tuple[Params, Aux]:
    """Return the gradient of a player's loss in its own parameters, and what else came out."""
    name = player.name
    given = (seen.collections, batch, key, hyper)

    def own_loss(own: object, value: Any = None) -> tuple[Array, Aux]:
        params = {**seen.params, name: own}
        more = {} if passed is None else {"shared": (value, passed.result[1])}
        return player.loss(params, *given, train=True, **more)

    own = seen.params[name]
    if passed is None or passed.owner != name:
        value = passed and passed.result[0]
        (_, aux), gradient = jax.value_and_grad(own_loss, has_aux=True)(own, value)
        return gradient, aux
    slopes = jax.value_and_grad(own_loss, argnums=(0, 1), has_aux=True)
    (_, aux), (direct, through) = slopes(own, passed.result[0])
    return jax.tree.map(jnp.add, direct, passed.pullback(through)[0]), aux


def _move(
    player: Player,
    seen: TrainState,
    state: TrainState,
    batch: Batch,
    key: Key,
    hyper: Hyper,
    rate: Array,
    axis_name: str | None,
    passed: Passed | None,
) -> tuple[TrainState, Metrics]:
    """Update one player once, from the gradient at what it has seen."""
    name = player.name
    gradient, aux = _gradient(player, seen, batch, key, hyper, passed)
    metrics = aux.metrics
    if axis_name is not None:
        gradient, metrics = jax.lax.pmean((gradient, metrics), axis_name)
    update, moments = player.optimizer(hyper).update(
        gradient, state.optimizer[name], state.params[name]
    )
    update = jax.tree.map(lambda u: u * rate, update)
    params = apply_updates(state.params[name], update, jax.random.fold_in(key, ROUNDING))
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
