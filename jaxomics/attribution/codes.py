"""Sums of Jacobians for networks whose views are coded one by one and meet in linear layers.

Of such a network the Jacobian is a product of a few matrices, most of them the same at all points.
With inputs r_v, codes c_v(r_v), latent z = sum_v Q_v c_v + S_v r_v + constant, hidden units
h = act(U z + T y) of the decoders, and weighted displacements d_p, sums over points p are

    phi_z = sum_v Q_v [sum_p J_v(p) d_p] + S_v [sum_p d_p]
    phi_h = sum_v sum_p a_p (U Q_v) [J_v(p) d_p] + (U S_v) [sum_p a_p d_p]

where J_v = dc_v/dr_v, and d_p and a_p = act'(p) stretch columns and rows. As many backward passes
through a view's network as its code is wide, and one product with that inner dimension, stand for
as many as z is wide and a product with z; linear paths beside the networks are nearly free.
Nothing is approximated.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.types import Array, Params

Inputs = dict[str, Array]
Parts = dict[str, Inputs]
"""Inputs of the networks by part: each view with its own copy of what all views read."""


class Coded(NamedTuple):
    """A network as above, as functions of one sample; see `models.base.Codes`.

    Attributes:
      divided: sample -> its parts.
      read: (params, parts) -> [r] per part.
      code: (params, read of some parts) -> [k] per part.
      meet: (params, codes, read) -> z [latent].
      lift: (params, z, side) -> [h] per decoder that is asked for.
      act: (params, lifted) -> hidden units [h] per decoder.
      columns: per part, which columns of its arrays stand in [r], in their order.
      decoders: the order of the decoders among the rows; some may come twice.
      side: views that decoders read beside z.
      beside: do last layers read z and the side views, too, behind hidden units?
    """

    divided: Callable[[Inputs], Parts]
    read: Callable[[Params, Parts], Inputs]
    code: Callable[[Params, Inputs], Inputs]
    meet: Callable[[Params, Inputs, Inputs], Array]
    lift: Callable[[Params, Array, Inputs], Inputs]
    act: Callable[[Params, Inputs], Inputs]
    columns: Mapping[str, Mapping[str, np.ndarray]]
    decoders: tuple[str, ...]
    side: tuple[str, ...]
    beside: bool


class _Here(NamedTuple):
    """What is known of the network at the points; hidden units of all decoders stand together.

    Attributes:
      read: [p, r] per part.
      moved: [p, r] per part, weighted displacements.
      from_code, from_read: dz/dc [latent, k] and dz/dr [latent, r] per part.
      slope: [p, h], of the hidden units.
      from_z: dlift/dz [h, latent].
      from_side: dlift/dside [h, side] per view.
    """

    read: Inputs
    moved: Inputs
    from_code: Inputs
    from_read: Inputs
    slope: Array
    from_z: Array
    from_side: Inputs


def coded_sums(
    coded: Coded,
    params: Params,
    at: Inputs,
    moves: Inputs,
    *,
    latents: bool,
    choose: Callable[[str, Callable[[], Array]], Array],
) -> Inputs:
    """Return sums over points of what the decoders' last layers read, [rows, features] per view.

    Args:
      coded: the network; without decoders there are the rows of z alone.
      params: its parameters.
      at: points [p, features] per view.
      moves: weighted displacements, likewise.
      latents: put the rows of z first.
      choose: (part, rows) -> rows(), or zeros where a part does not matter.
    """
    here, places = _look(coded, params, at, moves)
    hidden, latent = here.from_z.shape
    found = {n: jnp.zeros((hidden + latent, a.shape[1]), a.dtype) for n, a in at.items()}
    for part, columns in coded.columns.items():
        rows = choose(part, lambda part=part: _through(coded, params, here, part))
        first = 0
        for name, own in columns.items():
            mine, first = rows[:, first : first + len(own)], first + len(own)
            whole = len(own) == found[name].shape[1]  # then columns are in order
            found[name] = found[name] + mine if whole else found[name].at[:, own].add(mine)
    for name, slopes in here.from_side.items():
        found[name] = found[name].at[:hidden].add(slopes * (here.slope.T @ moves[name]))
    arranged: Inputs = {}
    for name, rows in found.items():
        of_z = rows[hidden:]
        behind = [of_z, *_of_side(coded, moves, name)] if coded.beside else []
        parts = [of_z] if latents else []
        for decoder in coded.decoders:
            parts += [rows[places[decoder]], *behind]
        arranged[name] = jnp.concatenate(parts)
    return arranged


def _of_side(coded: Coded, moves: Inputs, name: str) -> list[Array]:
    """Return the rows of the views that decoders read beside z, over the columns of one view."""
    width, dtype = moves[name].shape[1], moves[name].dtype
    return [
        jnp.diag(jnp.sum(moves[name], axis=0))
        if view == name
        else jnp.zeros((moves[view].shape[1], width), dtype)
        for view in coded.side
    ]


def _look(
    coded: Coded, params: Params, at: Inputs, moves: Inputs
) -> tuple[_Here, dict[str, slice]]:
    """Return what is known of the network at the points, and where hidden units of decoders are."""

    def forward(at: Inputs, move: Inputs) -> tuple[Inputs, Inputs, Array]:
        read, moved = jax.jvp(lambda x: coded.read(params, coded.divided(x)), (at,), (move,))
        return read, moved, coded.meet(params, coded.code(params, read), read)

    def lifted(z: Array, side: Inputs) -> Array:
        return _joined(coded.lift(params, z, side), z)

    def slope(z: Array, side: Inputs) -> Array:
        lift = coded.lift(params, z, side)
        ones = jax.tree.map(jnp.ones_like, lift)
        return _joined(jax.jvp(lambda u: coded.act(params, u), (lift,), (ones,))[1], z)

    read, moved, z = jax.vmap(forward)(at, moves)
    side = {name: at[name] for name in coded.side}
    one = jax.tree.map(lambda leaf: leaf[0], (read, z, side))
    codes = coded.code(params, one[0])
    meeting = jax.jacrev(lambda c, r: coded.meet(params, c, r), argnums=(0, 1))
    from_code, from_read = meeting(codes, one[0])
    from_z, from_side = jax.jacrev(lifted, argnums=(0, 1))(one[1], one[2])
    shapes = jax.eval_shape(lambda z, side: coded.lift(params, z, side), *one[1:])
    places, first = {}, 0
    for name in sorted(shapes):
        places[name] = slice(first, first + shapes[name].shape[0])
        first = places[name].stop
    slopes = jax.vmap(slope)(z, side)
    return _Here(read, moved, from_code, from_read, slopes, from_z, from_side), places


def _joined(by_decoder: Inputs, like: Array) -> Array:
    """Return vectors of all decoders as one, by their names; empty without decoders."""
    return jnp.concatenate([*[by_decoder[n] for n in sorted(by_decoder)], jnp.zeros(0, like.dtype)])


def _through(coded: Coded, params: Params, here: _Here, part: str) -> Array:
    """Return the rows of hidden units and of z [h + latent, r] for the inputs of one part."""
    moved = here.moved[part]
    slopes = jax.vmap(jax.jacrev(lambda r: coded.code(params, {part: r})[part]))(here.read[part])
    moving = slopes * moved[:, None]
    straight, bent = here.from_read[part], here.from_code[part]
    stretched = here.slope[:, :, None] * (here.from_z @ bent)[None]
    hidden = jnp.einsum("phk,pkr->hr", stretched, moving)
    hidden += (here.from_z @ straight) * (here.slope.T @ moved)
    latent = bent @ jnp.sum(moving, axis=0) + straight * jnp.sum(moved, axis=0)[None]
    return jnp.concatenate([hidden, latent])
