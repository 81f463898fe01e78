"""Epoch plans: which rows go into which step."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxomics.types import Array, Key


def paired_plan(key: Key, rows: Array, size: Array | int, batch: int, steps: int) -> Array:
    """Return int [steps, batch]: a shuffle of the valid rows, the incomplete batch left out.

    Args:
      key: PRNG key of this epoch.
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows; traced, so folds of unequal size share one program.
      batch: rows per step.
      steps: steps per epoch; batch * steps must not exceed the size of the smallest fold.
    """
    draws = jax.random.uniform(key, rows.shape)
    order = jnp.argsort(jnp.where(jnp.arange(len(rows)) < size, draws, 2.0))
    return rows[order[: batch * steps]].reshape(steps, batch)


def evaluation_plan(rows: Array, size: Array | int, batch: int) -> tuple[Array, Array]:
    """Return rows [steps, batch] in order, and their weights: 0 on padding.

    Args:
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step.
    """
    steps = -(-len(rows) // batch)
    padding = steps * batch - len(rows)
    padded = jnp.pad(rows, (0, padding))
    weight = (jnp.arange(steps * batch) < size).astype(jnp.float32)
    return padded.reshape(steps, batch), weight.reshape(steps, batch)


def per_view_plan(
    key: Key, rows: Array, member: Array, labels: Array, batch: int, steps: int, *, balanced: bool
) -> Array:
    """Return int [steps, batch]: rows of one view, drawn regardless of the other views.

    Every row of the view comes up once before any comes up again, in another order each time;
    of the last, incomplete pass a random part is used. So an epoch shorter than the view leaves
    out a random surplus, and a longer one starts the view anew.

    Args:
      key: PRNG key of this epoch and view.
      rows: int [n].
      member: bool [n], which of them the view has; at least one. Traced, so views and folds of
        unequal size share one program.
      labels: int [n], classes of the rows; -1 = unlabelled.
      batch: rows per step.
      steps: steps per epoch.
      balanced: draw every class that the view has equally often, in each batch and to within one
        row; rows without a label count as one class more.

    >>> plan = per_view_plan(
    ...     jax.random.key(0), jnp.arange(6), jnp.arange(6) < 3, jnp.zeros(6), 2, 3, balanced=False
    ... )
    >>> sorted(plan.ravel().tolist())
    [0, 0, 1, 1, 2, 2]
    """
    order_key, pass_key = jax.random.split(key)
    draws = jax.random.uniform(order_key, rows.shape)
    if balanced:
        return rows[_balanced(draws, member, labels, batch, steps)]
    order, count = jnp.argsort(jnp.where(member, draws, 2.0)), jnp.sum(member)
    places = jnp.arange(batch * steps)
    words = jax.random.bits(pass_key, places.shape)
    _, _, chosen = jax.lax.sort((places // count, words, places % count), num_keys=2)
    return rows[order[chosen]].reshape(steps, batch)


def _balanced(draws: Array, member: Array, labels: Array, batch: int, steps: int) -> Array:
    """Return indices [steps, batch] of rows of a view, its classes equally often.

    The rows are laid on a line, class after class, each class as long as any other, and read off
    at equal distances. Neighbours on the line go to different steps, so each step sees it all.
    """
    label = jnp.where(member, labels, jnp.iinfo(jnp.int32).max)
    order = jnp.lexsort((draws, label))
    label, member = label[order], member[order]
    size = jnp.searchsorted(label, label, side="right") - jnp.searchsorted(label, label)
    line = jnp.cumsum(jnp.where(member, 1.0 / size, 0.0))
    points = (jnp.arange(batch * steps) + draws[0]) / (batch * steps) * line[-1]
    last = jnp.sum(member) - 1
    chosen = jnp.minimum(jnp.searchsorted(line, points, side="right"), last)
    return order[chosen].reshape(batch, steps).T


def spread_plan(rows: Array, size: Array | int, batch: int) -> tuple[Array, Array]:
    """Return rows [steps, batch] and weights as `evaluation_plan` does, but mixed.

    The order is random, and the same in each call. Where views lie one after the other, so that
    neighbours have the same view only, every step then sees every view.

    Args:
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step.
    """
    planned, weight = evaluation_plan(rows, size, batch)
    order = np.random.default_rng(0).permutation(planned.size)
    return planned.ravel()[order].reshape(-1, batch), weight.ravel()[order].reshape(-1, batch)


class Windows(struct.PyTreeNode):
    """Which rows and which window of the features go into steps.

    Attributes:
      rows: int [steps, batch].
      begin: int [steps, batch], the window's first feature, the same in a whole step.
      width: features of a window; static.
      ends: of the sections of the features, see `window_begins`; static.
    """

    rows: Array
    begin: Array
    width: int = struct.field(pytree_node=False)
    ends: tuple[int, ...] = struct.field(pytree_node=False, default=())


def window_count(features: int, width: int, ends: tuple[int, ...] = ()) -> int:
    """Return how many windows cover the features, the last one of a section perhaps in part.

    >>> window_count(562_709, 5000), window_count(12, 5, (6, 12))
    (113, 4)
    """
    return len(window_begins(features, width, 0, ends))


def window_begins(
    features: int, width: int, offset: Array | int, ends: tuple[int, ...] = ()
) -> Array:
    """Return int [windows], the first feature of each window after a shift by `offset`.

    The shift leaves out the first `offset` features of a section; where it moves the last window
    beyond the end, that window returns to them.

    Args:
      features: of the view.
      width: of a window.
      offset: from 0 to below the width.
      ends: of sections that no window crosses, such as chromosomes, the last one the number of
        features; () = one section.

    >>> window_begins(12, 5, 0).tolist(), window_begins(12, 5, 3).tolist()
    ([0, 5, 10], [3, 8, 0])
    >>> window_begins(12, 5, 0, (6, 12)).tolist(), window_begins(12, 5, 3, (6, 12)).tolist()
    ([0, 5, 6, 11], [3, 0, 9, 6])
    """
    parts = [(a, b, np.arange(a, b, width)) for a, b in pairwise((0, *(ends or (features,))))]
    first, last = (
        np.concatenate([np.full(len(own), bounds[side]) for *bounds, own in parts])
        for side in (0, 1)
    )
    begins = offset + jnp.asarray(np.concatenate([own for *_, own in parts]), jnp.int32)
    return jnp.where(begins < last, begins, first.astype(np.int32))


def window_number(begin: Array, features: int, width: int, ends: tuple[int, ...] = ()) -> Array:
    """Return which window begins at a feature, perhaps shifted: int, from 0.

    >>> [int(window_number(jnp.int32(b), 12, 5, (6, 12))) for b in (3, 0, 9, 6)]
    [0, 0, 2, 2]
    """
    return jnp.searchsorted(window_begins(features, width, 0, ends), begin, side="right") - 1


def section_end(begin: Array, ends: tuple[int, ...]) -> Array:
    """Return where the section ends in which a feature lies.

    >>> section_end(jnp.array([0, 4, 5]), (5, 9)).tolist()
    [5, 5, 9]
    """
    last = jnp.asarray(ends, jnp.int32)
    return last[jnp.searchsorted(last, begin, side="right")]


def window_plan(
    key: Key,
    rows: Array,
    size: Array | int,
    batch: int,
    steps: int,
    begins: Array,
    width: int,
    ends: tuple[int, ...] = (),
) -> Windows:
    """Return every window with `steps` batches of rows, windows and batches mixed.

    Args:
      key: PRNG key of this epoch.
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step.
      steps: batches of rows per window; batch * steps must not exceed the size.
      begins: int [windows], first features.
      width: of a window.
      ends: of the sections of the features.
    """
    rows_key, order_key = jax.random.split(key)
    keys = jax.random.split(rows_key, len(begins))
    planned = jax.vmap(lambda own: paired_plan(own, rows, size, batch, steps))(keys)
    order = jax.random.permutation(order_key, len(begins) * steps)
    steps_of = planned.reshape(-1, batch)[order], jnp.repeat(begins, steps)[order]
    return _windows(*steps_of, width, ends)


def window_evaluation(
    rows: Array,
    size: Array | int,
    batch: int,
    begins: Array,
    width: int,
    ends: tuple[int, ...] = (),
) -> tuple[Windows, Windows]:
    """Return every window with all rows in order, and the weights of the rows: 0 on padding.

    Args:
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step.
      begins: int [windows], first features.
      width: of a window.
      ends: of the sections of the features.
    """
    planned, weight = evaluation_plan(rows, size, batch)
    begin, times = jnp.repeat(begins, len(planned)), (len(begins), 1)
    found, weights = (
        _windows(jnp.tile(part, times), begin, width, ends) for part in (planned, weight)
    )
    return found, weights


def _windows(rows: Array, begin: Array, width: int, ends: tuple[int, ...]) -> Windows:
    """Return steps [steps, batch] with the first feature of each, [steps]."""
    return Windows(rows, jnp.broadcast_to(begin[:, None], rows.shape), width, ends)


def match_plan(key: Key, pairs: Array, member: Array, batch: int, steps: int) -> Array:
    """Return int [steps, batch, 2]: a shuffle of the pairs whose rows are both trained on.

    Args:
      key: PRNG key of this epoch.
      pairs: int [m, 2]; -1 = padding.
      member: bool [n], which rows are trained on.
      batch: pairs per step.
      steps: steps per epoch; batch * steps must not exceed the number of such pairs.
    """
    draws = jax.random.uniform(key, (len(pairs),))
    order = jnp.argsort(jnp.where(usable(pairs, member), draws, 2.0))
    return pairs[order[: batch * steps]].reshape(steps, batch, 2)


def usable(pairs: Array, member: Array) -> Array:
    """Return bool [m]: pairs [m, 2] that are no padding and whose rows are both members."""
    return jnp.all((pairs >= 0) & member[jnp.maximum(pairs, 0)], axis=1)


def members(rows: Array, size: Array | int, total: int) -> Array:
    """Return bool [total]: is a row among the first `size` of `rows`?

    >>> members(jnp.array([2, 0, 0]), 2, 3).tolist()
    [True, False, True]
    """
    real = jnp.arange(len(rows)) < size
    return jnp.zeros(total, bool).at[rows].max(real)
