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
      updates: inner updates per step; at 0 the player rests, and only its metrics are taken.
    """

    name: str
    loss: LossFn
    optimizer: Callable[[Hyper], optax.GradientTransformation]
    updates: int = 1


class Sampling(NamedTuple):
    """How training batches are drawn.

    Attributes:
      kind: `paired` draws one set of rows for all views; `per_view` draws rows for each view by
        itself, among those in which the view has any observed value; `matched` draws the pairs
        of `Data.pairs`; `windows` draws rows and a window of neighbouring features.
      length: of an epoch under `per_view`: until the smallest view is used up (`min`), or the
        largest, while the others start again (`max`).
      balanced: under `per_view`, draw the classes of a view equally often; rows without a label
        count as one class more.
      views: under `matched`, the views of the first and the second row of a pair.
      window: features of a window; an epoch sees every window with all rows.
      shift: in epoch e = 0, 1, ... windows begin (shift e) mod window later.
      ends: of sections of the features that no window crosses, the last one their number; () = one
        section.
    """

    kind: Literal["paired", "per_view", "matched", "windows"] = "paired"
    length: Literal["min", "max"] = "min"
    balanced: bool = False
    views: tuple[str, str] = ("", "")
    window: int = 0
    shift: int = 0
    ends: tuple[int, ...] = ()


class Codes(NamedTuple):
    """How views meet in z and leave it, in models that are linear there.

    Each view is coded by a network of its own; codes, and what was read, meet in z linearly.
    Decoders have one hidden layer, whose units act one by one on linear functions of z and the
    conditionals. Explanations are much cheaper for it (`attribution.codes`).

    Attributes:
      read: (params, collections, batch) -> [b, inputs + conditionals] per view, what networks
        read: the view's encoded features, then the conditionals, each a function of itself.
      code: (params, collections, batch, read) -> [b, code] for the views of `read`, each from its
        own. Of the batch counts what was measured, here and in `meet`.
      meet: (params, collections, batch, codes, read) -> mean of z [b, latent], linear in both.
      lift: (params, collections, z, conditionals) -> [b, hidden] per view, linear in both.
      act: (params, collections, lifted) -> the hidden units [b, hidden] per view, one by one.
      width: of the widest code.
      beside: do the decoders' last layers read z and the conditionals, too, behind hidden units?
    """

    read: Callable[[Params, Collections, Batch], Views]
    code: Callable[[Params, Collections, Batch, Views], Views]
    meet: Callable[[Params, Collections, Batch, Views, Views], Array]
    lift: Callable[[Params, Collections, Array, Array], Views]
    act: Callable[[Params, Collections, Views], Views]
    width: int
    beside: bool


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
      judge: (params, collections, z) -> logits [b, classes] of latents [b, latent], whichever
        view they come from.
      translate: (params, collections, batch) -> {target view: [b, features]}, standardised;
        for translators without a latent that decodes.
      risk: (params, collections, batch) -> {head: [b, outputs]} of survival and regression.
      codes: the parts of `encode` and `hidden`, where they are linear in between.
    """

    encode: Callable[[Params, Collections, Batch], tuple[Array, Array]] | None = None
    decode: Callable[[Params, Collections, Array, Array], Views] | None = None
    direct: Callable[[Params, Collections, Batch], Views] | None = None
    hidden: Callable[[Params, Collections, Array, Array], Views] | None = None
    readout: Callable[[Params, Collections], Views] | None = None
    views: Callable[[Params, Collections, Batch], dict[str, tuple[Array, Array]]] | None = None
    classify: Callable[[Params, Collections, Batch], Views] | None = None
    judge: Callable[[Params, Collections, Array], Array] | None = None
    translate: Callable[[Params, Collections, Batch], Views] | None = None
    risk: Callable[[Params, Collections, Batch], Views] | None = None
    codes: Codes | None = None


class Stage(NamedTuple):
    """A part of a run in which other players move, or by other losses; the state goes on.

    Attributes:
      players: all players of the model by their names, in its order; who rests has 0 `updates`.
        All stages give the same metrics.
      share: of the epochs of the run; the shares of all stages add up to 1.
      sampling: how its batches are drawn, where not as the model's; an epoch has as many steps.
    """

    players: tuple[Player, ...]
    share: float
    sampling: Sampling | None = None


class Shared(NamedTuple):
    """A forward pass that the losses of several players need; done once per step.

    The compiler merges equal passes only as long as it simplifies them alike, which depends on
    what follows them. Losses take the result as the keyword `shared`, and run it themselves where
    they are not given it.

    Attributes:
      owner: the player whose parameters it reads; only this player's gradient goes through it.
      run: (params, collections, batch, key, hyper, *, train) -> float arrays to differentiate in,
        and what else losses need of it; both any pytree.
    """

    owner: str
    run: Callable[..., tuple[Any, Any]]


class Tune(NamedTuple):
    """How a first level and the rest of a model are trained together, after each alone.

    Attributes:
      model: both, of data as they are; it is never started afresh.
      begin: (variables of the first level, of the rest) -> variables of both.
      end: variables of both -> (of the first level, of the rest).
    """

    model: "Model"
    begin: Callable[[Variables, Variables], Variables]
    end: Callable[[Variables], tuple[Variables, Variables]]


class Level(NamedTuple):
    """A network that is trained alone, ahead of the rest of a model, and then frozen.

    Attributes:
      view: the only one that the network reads.
      model: the network as a model of its own, of this view.
      read: (variables of the network, data, standard) -> data and scaling that the rest of the
        model is trained on.
      keep: variables of the network -> collections of the whole model, beside those of the rest.
      rest: what is trained then; the whole model does the same on data as they are.
      tune: how both are trained together in the end; None = they are not.
    """

    view: str
    model: "Model"
    read: Callable[..., tuple[Any, Any]]
    keep: Callable[[Variables], Collections]
    rest: "Model"
    tune: Tune | None = None


class Model(NamedTuple):
    """A model as the engine sees it.

    Attributes:
      init: key and an example batch to variables.
      players: in the order in which they move; of the last stage, if there are stages.
      order: `sequential` lets later players meet the updated earlier ones; `simultaneous` shows
        everyone the old state.
      tasks: what the fitted model can do.
      monitor: metric that plateau and early stopping watch.
      sampling: how training batches are drawn.
      stages: of a run, one after another; empty = one, of these players. Stopping and the plateau
        watch the last one.
      shared: a forward pass that several losses need; None = they have nothing in common.
      survey: (collections, batch) -> collections with what is taken from the data once, before the
        first step, such as principal axes; the batch holds all training rows, padding among them
        at weight 0. None = nothing is.
      level: what is trained ahead of the model, and frozen in it; None = nothing is.
    """

    init: Callable[[Key, Batch], Variables]
    players: tuple[Player, ...]
    order: Literal["sequential", "simultaneous"] = "sequential"
    tasks: Tasks = Tasks()
    monitor: str = "loss"
    sampling: Sampling = Sampling()
    stages: tuple[Stage, ...] = ()
    shared: Shared | None = None
    survey: Callable[[Collections, Batch], Collections] | None = None
    level: Level | None = None


def stage_models(model: Model) -> tuple[Model, ...]:
    """Return each stage as a model; successive fits of these on one state are what a run does."""
    if not model.stages:
        return (model,)
    return tuple(
        model._replace(players=stage.players, stages=(), sampling=stage.sampling or model.sampling)
        for stage in model.stages
    )


def stage_ends(model: Model, epochs: int) -> tuple[int, ...]:
    """Return the number of epochs after which each stage but the last one ends.

    >>> halves = tuple(Stage((), share) for share in (0.25, 0.25, 0.5))
    >>> stage_ends(Model(lambda key, batch: Variables({}, {}), (), stages=halves), 10)
    (2, 5)
    """
    shares = [stage.share for stage in model.stages[:-1]]
    return tuple(int(epochs * sum(shares[: i + 1]) + 1e-6) for i in range(len(shares)))


def count_parameters(params: Params) -> int:
    """Return the number of trainable scalars."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
