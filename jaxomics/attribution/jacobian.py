"""All outputs at once: sums of Jacobians along paths, by vjp or through a bottleneck.

An attribution is a weighted sum over points p of J(p) times a displacement, for each output o and
input f: phi[o, f] = sum_p w_p J_of(p) d_pf. Two ways to it give the same numbers:

- `by_outputs` pulls every output back through the whole function: as many backward passes as
  there are outputs, for any function.
- `by_latent` uses that a latent-variable model passes through a narrow z. By the chain rule
  J = (dx^/dz) (dz/dx) + what reaches the output without z, so as many backward passes through
  the encoder as z has entries, as many forward ones through the decoder, and one matrix product
  with points and latents stacked along its inner dimension. Nothing is approximated.

Neither builds points x outputs x features; what they hold at a time is set by `chunk`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.codes import Coded, coded_sums
from jaxomics.attribution.inputs import Tree, check_count
from jaxomics.types import Array, Params

Inputs = dict[str, Array]
"""One unbatched sample: an array [features] per view, conditionals among them."""
Function = Callable[[Params, Inputs], Array]
"""f(params, x): all outputs [outputs] of one sample."""


class Points(NamedTuple):
    """Where to take gradients, and what to multiply them with.

    Attributes:
      at: points [p, features] per view.
      step: displacements [p, features] per view; ones for a plain gradient.
      weight: [p].
    """

    at: Inputs
    step: Inputs
    weight: Array


class Bottleneck(NamedTuple):
    """A function of a sample that passes through a narrow latent vector.

    The outputs are decode(params, encode(params, x), side) + direct(params, x).

    Attributes:
      encode: (params, x) -> z [latent].
      decode: (params, z, side) -> [outputs]; `side` holds those views of x that `side` names.
      outputs: number of outputs.
      side: views of x that reach the outputs beside z as well.
      direct: (params, x) -> [outputs], what is added without passing through z; each output may
        depend on one feature of a view at most, the one that `partners` names.
      partners: per view the column [outputs] of that feature; -1 = none.
      hidden: (params, z, side) -> [hidden], what the decoder's last linear layer reads; None =
        do not stop there.
      readout: (params, values [hidden, k]) -> [outputs, k], that layer without its constant.
      parts: x -> independent inputs of the encoders, by part; an input that several encoders
        read stands in several parts, so that one backward pass per encoder serves it, too. None =
        each view is a part.
      encode_parts: (params, parts) -> z [latent]; with `parts`.
      coded: the same network, described as one whose views meet in linear layers; used where it
        is there, together with `hidden` and `readout`.
    """

    encode: Callable[[Params, Inputs], Array]
    decode: Callable[[Params, Array, Inputs], Array]
    outputs: int
    side: tuple[str, ...] = ()
    direct: Callable[[Params, Inputs], Array] | None = None
    partners: Mapping[str, np.ndarray] = {}
    hidden: Callable[[Params, Array, Inputs], Array] | None = None
    readout: Callable[[Params, Array], Array] | None = None
    parts: Callable[[Inputs], dict[str, Inputs]] | None = None
    encode_parts: Callable[[Params, dict[str, Inputs]], Array] | None = None
    coded: Coded | None = None

    def divided(self, x: Inputs) -> dict[str, Inputs]:
        """Return the inputs of the encoders by part."""
        return {name: {name: x[name]} for name in x} if self.parts is None else self.parts(x)

    def encode_divided(self, params: Params, parts: dict[str, Inputs]) -> Array:
        """Return z of inputs by part."""
        if self.encode_parts is not None:
            return self.encode_parts(params, parts)
        return self.encode(params, {name: part[name] for name, part in parts.items()})

    def whole(self, params: Params, x: Inputs) -> Array:
        """Return the outputs [outputs] of one sample."""
        output = self.decode(params, self.encode(params, x), self.beside(x))
        return output if self.direct is None else output + self.direct(params, x)

    def beside(self, x: Inputs) -> Inputs:
        """Return the views that reach the outputs beside z."""
        return {name: x[name] for name in self.side}


def by_outputs(f: Function, params: Params, points: Points, *, chunk: int | None = None) -> Inputs:
    """Return phi [outputs, features] per view by one backward pass per output and point.

    Args:
      f: all outputs of one sample.
      params: parameters of f.
      points: where to look.
      chunk: outputs pulled back at once; None = all.

    >>> points = Points({"x": jnp.ones((1, 2))}, {"x": jnp.ones((1, 2))}, jnp.ones(1))
    >>> by_outputs(lambda weight, x: weight @ x["x"], jnp.array([[1.0, 2.0]]), points)["x"].tolist()
    [[1.0, 2.0]]
    """
    _, pull = jax.vjp(lambda at: jax.vmap(f, (None, 0))(params, at), points.at)
    shape = jax.eval_shape(f, params, jax.tree.map(lambda leaf: leaf[0], points.at))
    outputs = shape.shape[0]

    def row(output: Array) -> Inputs:
        only = jax.nn.one_hot(output, outputs, dtype=shape.dtype)
        (slope,) = pull(jnp.outer(points.weight.astype(shape.dtype), only))
        return jax.tree.map(lambda g, d: jnp.sum(g * d, axis=0), slope, points.step)

    size = outputs if chunk is None else min(chunk, outputs)
    check_count("chunk", size, 1)
    # A view without features, such as no conditionals, has nothing that `map` could reshape.
    empty = {name: leaf for name, leaf in points.at.items() if leaf.size == 0}
    found = jax.lax.map(
        lambda output: {n: phi for n, phi in row(output).items() if n not in empty},
        jnp.arange(outputs),
        batch_size=size,
    )
    return found | {n: jnp.zeros((outputs, *leaf.shape[1:])) for n, leaf in empty.items()}


def by_latent(
    bottleneck: Bottleneck,
    params: Params,
    points: Points,
    *,
    latents: bool = False,
    active: Mapping[str, Array] | None = None,
    chunk: int | None = None,
) -> Inputs:
    """Return phi [outputs, features] per view through the latent.

    Args:
      bottleneck: the function.
      params: its parameters.
      points: where to look.
      latents: put the rows of z itself before those of the outputs, [latent + outputs, features].
      active: per part whether its inputs may matter; parts that are not active are skipped,
        unless this is vmapped.
      chunk: points at once; None = all.
    """
    size = len(points.weight) if chunk is None else min(chunk, len(points.weight))
    check_count("chunk", size, 1)
    blocks = _blocks(points, size)

    def block(part: Points) -> Inputs:
        return _one_block(bottleneck, params, part, latents, active)

    found = _summed(block, blocks)
    if bottleneck.readout is not None and bottleneck.outputs:
        z = jax.eval_shape(bottleneck.encode, params, jax.tree.map(lambda a: a[0], points.at))
        found = _read_out(bottleneck, params, found, z.shape[0] if latents else 0, active)
    for name, rows in _direct(bottleneck, params, points).items():
        found[name] = found[name].at[-bottleneck.outputs :].add(rows)
    return found


def _summed(block: Callable[[Points], Inputs], blocks: Points) -> Inputs:
    """Return the sum over blocks of points, one block after the other."""
    first = jax.tree.map(lambda leaf: leaf[0], blocks)
    if len(blocks.weight) == 1:
        return block(first)
    block = jax.jit(block)  # traced once for the shape and for the loop
    zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(block, first))

    def add(total: Inputs, part: Points) -> tuple[Inputs, None]:
        return jax.tree.map(jnp.add, total, block(part)), None

    return jax.lax.scan(add, zeros, blocks)[0]


def _one_block(
    bottleneck: Bottleneck,
    params: Params,
    points: Points,
    latents: bool,
    active: Mapping[str, Array] | None,
) -> Inputs:
    """Return phi of some points; of hidden units in place of outputs if there is a readout."""
    if bottleneck.coded is not None:
        moves = {name: step * points.weight[:, None] for name, step in points.step.items()}
        return coded_sums(
            bottleneck.coded, params, points.at, moves,
            latents=latents, choose=partial(_where, active),
        )  # fmt: skip
    at, decode = points.at, bottleneck.hidden or bottleneck.decode
    z = jax.vmap(bottleneck.encode, (None, 0))(params, at)
    written = _forward(lambda z, side: decode(params, z, side), z, bottleneck.beside(at))
    beside = _beside_latent(bottleneck, params, points, z) if bottleneck.outputs else {}

    def through(part: str) -> Inputs:
        slopes = jax.vmap(_encoder_slope(bottleneck, params, part))(at)
        found: Inputs = {}
        for name, slope in slopes.items():
            read = slope * (points.step[name] * points.weight[:, None])[:, None]
            rows = [jnp.sum(read, axis=0)] if latents else []
            if bottleneck.outputs:
                rows.append(jnp.einsum("pzo,pzf->of", written, read))
            found[name] = jnp.concatenate(rows)
        return found

    rows = (written.shape[2] if bottleneck.outputs else 0) + (z.shape[1] if latents else 0)
    found = {name: jnp.zeros((rows, leaf.shape[1]), z.dtype) for name, leaf in at.items()}
    for part in jax.eval_shape(bottleneck.divided, jax.tree.map(lambda a: a[0], at)):
        for name, more in _where(active, part, lambda part=part: through(part)).items():
            found[name] = found[name] + more
    for name, more in beside.items():
        found[name] = found[name].at[rows - len(more) :].add(more)
    return found


def _where(active: Mapping[str, Array] | None, part: str, rows: Callable[[], Any]) -> Any:
    """Return rows, or zeros without computing them where a part is not active."""
    if active is None:
        return rows()
    once = jax.jit(rows)  # traced once for the shape and for the branch
    shapes = jax.eval_shape(once)
    return jax.lax.cond(active[part], once, lambda: jax.tree.map(jnp.zeros_like, shapes))


def _read_out(
    bottleneck: Bottleneck,
    params: Params,
    found: Inputs,
    latent: int,
    active: Mapping[str, Array] | None,
) -> Inputs:
    """Return phi of outputs from that of hidden units; rows of z before them stay."""
    readout = bottleneck.readout
    assert readout is not None

    def read(name: str) -> Array:
        rows = found[name]
        return jnp.concatenate([rows[:latent], readout(params, rows[latent:])])

    return {
        name: _where(active if name in (active or ()) else None, name, lambda name=name: read(name))
        for name in found
    }


def _encoder_slope(bottleneck: Bottleneck, params: Params, part: str) -> Callable[[Inputs], Inputs]:
    """Return the function from a point to dz/dx [latent, features] of the inputs of one part."""

    def slope(at: Inputs) -> Inputs:
        parts = bottleneck.divided(at)
        encode = bottleneck.encode_divided
        return jax.jacrev(lambda own: encode(params, parts | {part: own}))(parts[part])

    return slope


def _forward(decode: Callable[[Array, Inputs], Array], z: Array, beside: Inputs) -> Array:
    """Return the decoder's slope [p, latent, outputs] at each point, latents leading.

    Tangents are the same for all points, so that the first layer is computed once.
    """
    eye = jnp.eye(z.shape[1], dtype=z.dtype)

    def slope(z: Array, side: Inputs) -> Array:
        return jax.vmap(lambda t: jax.jvp(lambda z: decode(z, side), (z,), (t,))[1])(eye)

    return jax.vmap(slope)(z, beside)


def _beside_latent(bottleneck: Bottleneck, params: Params, points: Points, z: Array) -> Inputs:
    """Return what reaches the decoder without z, [outputs or hidden, features] for some views."""
    decode = bottleneck.hidden or bottleneck.decode
    found: Inputs = {}
    for name in bottleneck.side:

        def slope(z: Array, side: Inputs, name: str = name) -> Array:
            return jax.jacfwd(lambda leaf: decode(params, z, side | {name: leaf}))(side[name])

        slopes = jax.vmap(slope)(z, bottleneck.beside(points.at))
        found[name] = jnp.einsum("poc,pc->oc", slopes, points.step[name] * points.weight[:, None])
    return found


def _direct(bottleneck: Bottleneck, params: Params, points: Points) -> Inputs:
    """Return what single features add to outputs without z, [outputs, features] for some views."""
    direct = bottleneck.direct
    if direct is None:
        return {}
    found: Inputs = {}
    for name, columns in bottleneck.partners.items():
        linked = np.flatnonzero(columns >= 0)

        def along(at: Inputs, step: Array, name: str = name) -> Array:
            return jax.jvp(lambda leaf: direct(params, at | {name: leaf}), (at[name],), (step,))[1]

        change = points.weight @ jax.vmap(along)(points.at, points.step[name])
        zeros = jnp.zeros((bottleneck.outputs, points.at[name].shape[1]), change.dtype)
        found[name] = zeros.at[linked, columns[linked]].add(change[linked])
    return found


def _blocks(points: Points, size: int) -> Points:
    """Return the points as [blocks, size, ...]; points that fill up the last one weigh nothing."""
    count = len(points.weight)
    blocks = -(-count // size)
    rows = np.minimum(np.arange(blocks * size), count - 1).reshape(blocks, size)
    real = (np.arange(blocks * size) < count).reshape(blocks, size)
    taken: Any = jax.tree.map(lambda leaf: leaf[rows], points)
    return taken._replace(weight=taken.weight * real)


def cheaper(bottleneck: Bottleneck, params: Params, x: Tree) -> bool:
    """Is the way through the latent cheaper than one backward pass per output?

    Counts multiplications at one point, from the sizes of the programs' matrix products.
    """
    encode = _flops(bottleneck.encode, params, x)
    z = jax.eval_shape(bottleneck.encode, params, x)
    side = bottleneck.beside(x)
    decode = _flops(bottleneck.decode, params, z, side) if bottleneck.outputs else 0.0
    features = sum(leaf.shape[-1] for leaf in jax.tree.leaves(x))
    latent = z.shape[0]
    product = 2.0 * bottleneck.outputs * latent * features
    return latent * (encode + decode) + product < bottleneck.outputs * (encode + decode)


def _flops(f: Callable[..., Array], *arguments: Any) -> float:
    """Return the operations of a function, as the compiler counts them before optimising."""
    counted = jax.jit(f).lower(*arguments).cost_analysis() or {}
    return float(counted.get("flops", 0.0))
