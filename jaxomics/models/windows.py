"""A view in windows of neighbouring features, read by a network that is trained ahead and frozen.

`with_windows` puts such a network in front of a model. What comes of it trains on rows as they
are, or, much faster, in two fits one after another (`Level`): the network on windows, then the
model on the means that it gives.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Batch, Data, Standard, gather_window
from jaxomics.models.atac_networks import PlacedVae
from jaxomics.models.base import (
    Aux,
    Hyper,
    Level,
    LossFn,
    Model,
    Player,
    Stage,
    Tasks,
    Tune,
    Variables,
)
from jaxomics.models.bulk import VAE
from jaxomics.models.bulk_networks import StackVae
from jaxomics.types import Array, Collections, Key, Params, Views

WINDOWS = "windows"
"""The collection of the frozen network."""


class Window(NamedTuple):
    """How a view is cut into windows, and the network that reads them.

    Attributes:
      view: its name.
      features: of the view.
      width: features of a window.
      latent: numbers that the network makes of a window.
      network: a VAE of `width` features.
      ends: of sections of the features that no window crosses, such as chromosomes, the last one
        their number; () = one section.
    """

    view: str
    features: int
    width: int
    latent: int
    network: StackVae
    ends: tuple[int, ...] = ()

    @property
    def sections(self) -> tuple[tuple[int, int], ...]:
        """First feature and end of each section."""
        return tuple(pairwise((0, *(self.ends or (self.features,)))))

    @property
    def begins(self) -> np.ndarray:
        """First feature of each window, int [windows]."""
        return np.concatenate([np.arange(first, end, self.width) for first, end in self.sections])

    @property
    def count(self) -> int:
        """Number of windows, the last one of a section perhaps not full."""
        return len(self.begins)

    def read(self, variables: Variables, part: Array, number: Array) -> Array:
        """Return the means [b, latent] of one window [b, width], and of its number."""
        given = part, jnp.ones(len(part)), False, *self._told(number, len(part))
        return self.network.apply(_own(variables), *given, method=type(self.network).encode)[0]  # pyright: ignore

    def means(self, variables: Variables, x: Array) -> Array:
        """Return the means of all windows, [b, windows * latent], of a view [b, features]."""
        padded = [
            jnp.pad(x[:, first:end], ((0, 0), (0, (first - end) % self.width)))
            for first, end in self.sections
        ]
        parts = jnp.concatenate(padded, axis=1).reshape(len(x), self.count, self.width)
        numbered = parts.swapaxes(0, 1), jnp.arange(self.count)
        found = jax.lax.map(lambda given: self.read(variables, *given), numbered)
        return found.swapaxes(0, 1).reshape(len(x), -1)

    def write(self, variables: Variables, means: Array) -> Array:
        """Return the view [b, features] that the network writes of the means of windows."""
        own, weight, kind = _own(variables), jnp.ones(len(means)), type(self.network)

        def one(given: tuple[Array, Array]) -> Array:
            part, number = given
            told = self._told(number, len(means))
            return self.network.apply(own, part, weight, False, *told, method=kind.decode)  # pyright: ignore

        parts = means.reshape(len(means), self.count, self.latent).swapaxes(0, 1)
        found = jax.lax.map(one, (parts, jnp.arange(self.count)))
        laid = found.swapaxes(0, 1).reshape(len(means), -1)
        places = np.searchsorted(self.begins, [first for first, _ in self.sections]) * self.width
        written = [
            laid[:, place : place + end - first]
            for place, (first, end) in zip(places.tolist(), self.sections, strict=True)
        ]
        return jnp.concatenate(written, axis=1)

    def _told(self, number: Array, rows: int) -> tuple[Array, ...]:
        """Return what the network is told beside values: the number of the window [rows]."""
        placed = isinstance(self.network, PlacedVae)
        return (jnp.broadcast_to(number, (rows,)),) if placed else ()


def _own(variables: Variables) -> dict[str, Any]:
    """Return the variables of the network as Flax takes them."""
    return {"params": variables.params[VAE], "batch_stats": variables.collections.get(VAE, {})}


def kept(variables: Variables) -> Collections:
    """Return the collection of a model in which a frozen network lies."""
    return {WINDOWS: {name: part for name, part in variables._asdict().items() if part}}


def frozen(collections: Collections) -> Variables:
    """Return the variables of the frozen network of a model."""
    return Variables(**{"params": {}, "collections": {}} | collections[WINDOWS])


def read_data(
    window: Window, variables: Variables, data: Data, standard: Standard
) -> tuple[Data, Standard]:
    """Return the data with a view as the means of its windows, and their scaling: none.

    Window by window, so that the peaks of one at a time are in memory beside the matrix.

    Args:
      window: how the view is cut.
      variables: of the trained network.
      data, standard: the cohort; other views stay as they are.
    """
    means = jax.jit(_read_all, static_argnums=0)(window, variables, data, standard)
    view, shape = window.view, means.shape
    seen = jnp.any(data.observed[view], axis=1, keepdims=True)
    x = data.x | {view: jnp.where(seen, means, 0.0)}
    observed = data.observed | {view: jnp.broadcast_to(seen, shape)}
    mean = standard.mean | {view: jnp.zeros(shape[1])}
    scale = standard.scale | {view: jnp.ones(shape[1])}
    return data.replace(x=x, observed=observed), Standard(mean, scale, standard.decimals)


def _read_all(window: Window, variables: Variables, data: Data, standard: Standard) -> Array:
    """Return the means of all windows of all rows, [n, windows * latent]."""
    own = only(data, window.view)
    rows = jnp.arange(len(data.labels))
    weight = jnp.ones(len(rows))

    def one(given: tuple[Array, Array]) -> Array:
        begin, number = given
        batch = gather_window(own, standard, begin, window.width, rows, weight, window.ends)
        return window.read(variables, batch.x[window.view], number)

    begins = jnp.asarray(window.begins, jnp.int32)
    found = jax.lax.map(one, (begins, jnp.arange(window.count)))
    return found.swapaxes(0, 1).reshape(len(rows), -1)


def only(data: Data, view: str) -> Data:
    """Return the data with one view."""
    return data.replace(x={view: data.x[view]}, observed={view: data.observed[view]}, pairs=None)


def with_windows(window: Window, first: Model, rest: Model, tune: Tune | None = None) -> Model:
    """Return a model with a frozen network in front, which makes means of the windows of a view.

    Args:
      window: the network and its view.
      first: how the network is trained.
      rest: a model of the means in place of the view, and of other views.
      tune: how both are trained together in the end; None = they are not.
    """
    view = window.view

    def read(collections: Collections, batch: Batch) -> Batch:
        seen = jnp.any(batch.observed[view], axis=1, keepdims=True)
        means = jnp.where(seen, window.means(frozen(collections), batch.x[view]), 0.0)
        return batch.replace(
            x=batch.x | {view: means},
            observed=batch.observed | {view: jnp.broadcast_to(seen, means.shape)},
        )

    def init(key: Key, batch: Batch) -> Variables:
        keys = jax.random.split(key)
        ahead = kept(first.init(keys[0], batch))
        own = rest.init(keys[1], read(ahead, batch))
        return Variables(own.params, {**own.collections, **ahead})

    def behind(loss: LossFn) -> LossFn:
        def read_first(
            params: Params,
            collections: Collections,
            batch: Batch,
            key: Key,
            hyper: Hyper,
            *,
            train: bool,
        ) -> tuple[Array, Aux]:
            seen = read(collections, batch)
            return loss(params, collections, seen, key, hyper, train=train)

        return read_first

    def moved(players: tuple[Player, ...]) -> tuple[Player, ...]:
        return tuple(player._replace(loss=behind(player.loss)) for player in players)

    stages = tuple(Stage(moved(s.players), s.share, s.sampling) for s in rest.stages)
    level = Level(view, first, lambda *given: read_data(window, *given), kept, rest, tune)
    return rest._replace(
        init=init,
        players=moved(rest.players),
        tasks=_tasks(window, rest.tasks, read),
        stages=stages,
        level=level,
    )


def _tasks(window: Window, own: Tasks, read: Any) -> Tasks:
    """Return what a model can do on means of windows as what it can do on the view itself."""
    assert own.encode is not None
    assert own.decode is not None
    encoder, decoder, by_view = own.encode, own.decode, own.views

    def encode(params: Params, collections: Collections, batch: Batch) -> tuple[Array, Array]:
        return encoder(params, collections, read(collections, batch))

    def decode(params: Params, collections: Collections, z: Array, conditionals: Array) -> Views:
        written = decoder(params, collections, z, conditionals)
        peaks = window.write(frozen(collections), written[window.view])
        return written | {window.view: peaks}

    def views(
        params: Params, collections: Collections, batch: Batch
    ) -> dict[str, tuple[Array, Array]]:
        assert by_view is not None
        return by_view(params, collections, read(collections, batch))

    return Tasks(encode, decode, views=None if by_view is None else views)
