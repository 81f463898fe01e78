"""What a model is: a `NamedTuple` of pure functions that the engine can train.

A loss is a function of all parameters, differentiated with respect to those of its player. A
VAE has one player, a GAN two. Everything here is traced, vmappable, and free of state.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import jax
import optax

from jaxomics.data.batch import Batch
from jaxomics.types import Array, Collections, Key, Metrics, Params, Views

Hyper = Any
"""A pytree of floats: learning rates, loss weights, dropout rates. Traced, hence vmappable."""


class Variables(NamedTuple):
    """What `init` returns: parameters keyed by player, and collections such as batch statistics."""

    params: Params
    collections: Collections


class Aux(NamedTuple):
    """What a loss returns beside its value: scalars for the reader, state for the next step."""

    metrics: Metrics
    collections: Collections


class LossFn(Protocol):
    """A player's loss on one batch."""

    def __call__(
        self,
        params: Params,
        collections: Collections,
        batch: Batch,
        key: Key,
        hyper: Hyper,
        *,
        train: bool,
    ) -> tuple[Array, Aux]:
        """Return the loss to minimise, and what else came out."""
        ...


class Player(NamedTuple):
    """One side of a game.

    Attributes:
      name: `params[name]` is what the gradient of the loss updates.
      loss: the loss this player minimises.
      optimizer: builds the update rule inside the traced step, so learning rates may vary.
      updates: inner updates per step.
    """

    name: str
    loss: LossFn
    optimizer: Callable[[Hyper], optax.GradientTransformation]
    updates: int = 1


class Sampling(NamedTuple):
    """How training batches are drawn.

    Attributes:
      kind: `paired` draws one set of rows for all views; `per_view` draws rows for each view by
        itself, among those in which the view has any observed value.
      length: of an epoch under `per_view`: until the smallest view is used up (`min`), or the
        largest, while the others start again (`max`).
      balanced: under `per_view`, draw the classes of a view equally often; rows without a label
        count as one class more.
    """

    kind: Literal["paired", "per_view"] = "paired"
    length: Literal["min", "max"] = "min"
    balanced: bool = False


class Tasks(NamedTuple):
    """What a fitted model can do, in evaluation mode; None = unsupported.

    Attributes:
      encode: (params, collections, batch) -> mean and variance of z, both [b, latent]. Where
        every view has an encoder of its own, the means over the views present in the row.
      decode: (params, collections, z, conditionals) -> [b, features] per view, standardised.
      direct: (params, collections, batch) -> what is added to the decoded views without passing
        through z, [b, features] for some of the views.
      hidden: (params, collections, z, conditionals) -> what the last linear layer of each view's
        decoder reads, [b, hidden].
      readout: (params, collections) -> the weights [hidden, features] of these layers; decoded
        views are hidden @ readout and a constant.
      views: (params, collections, batch) -> {view: mean and variance of z given this view alone,
        both [b, latent]}.
      classify: (params, collections, batch) -> {view: logits [b, classes]} given each view
        alone, or given all views together as the one entry `all`.
      translate: (params, collections, batch) -> {target view: [b, features]}, standardised;
        for translators without a latent that decodes.
      risk: (params, collections, batch) -> {head: [b, outputs]} of survival and regression.
    """

    encode: Callable[[Params, Collections, Batch], tuple[Array, Array]] | None = None
    decode: Callable[[Params, Collections, Array, Array], Views] | None = None
    direct: Callable[[Params, Collections, Batch], Views] | None = None
    hidden: Callable[[Params, Collections, Array, Array], Views] | None = None
    readout: Callable[[Params, Collections], Views] | None = None
    views: Callable[[Params, Collections, Batch], dict[str, tuple[Array, Array]]] | None = None
    classify: Callable[[Params, Collections, Batch], Views] | None = None
    translate: Callable[[Params, Collections, Batch], Views] | None = None
    risk: Callable[[Params, Collections, Batch], Views] | None = None


class Model(NamedTuple):
    """A model as the engine sees it.

    Attributes:
      init: key and an example batch to variables.
      players: in the order in which they move.
      order: `sequential` lets later players meet the updated earlier ones; `simultaneous` shows
        everyone the old state.
      tasks: what the fitted model can do.
      monitor: metric that plateau and early stopping watch.
      sampling: how training batches are drawn.
    """

    init: Callable[[Key, Batch], Variables]
    players: tuple[Player, ...]
    order: Literal["sequential", "simultaneous"] = "sequential"
    tasks: Tasks = Tasks()
    monitor: str = "loss"
    sampling: Sampling = Sampling()


def count_parameters(params: Params) -> int:
    """Return the number of trainable scalars."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
