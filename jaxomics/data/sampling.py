"""Epoch plans: which rows go into which step."""

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
    """

    rows: Array
    begin: Array
    width: int = struct.field(pytree_node=False)


def window_count(features: int, width: int) -> int:
    """Return how many windows cover the features, the last one perhaps in part.

    >>> window_count(562_709, 5000)
    113
    """
    return -(-features // width)


def window_begins(features: int, width: int, offset: Array | int) -> Array:
    """Return int [windows], the first feature of each window after a shift by `offset`.

    The shift leaves out the first `offset` features; where it moves the last window beyond the
    end, that window returns to them.

    >>> window_begins(12, 5, 0).tolist(), window_begins(12, 5, 3).tolist()
    ([0, 5, 10], [3, 8, 0])
    """
    begins = offset + width * jnp.arange(window_count(features, width))
    return jnp.where(begins < features, begins, 0)


def window_plan(
    key: Key, rows: Array, size: Array | int, batch: int, steps: int, begins: Array, width: int
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
    """
    rows_key, order_key = jax.random.split(key)
    keys = jax.random.split(rows_key, len(begins))
    planned = jax.vmap(lambda own: paired_plan(own, rows, size, batch, steps))(keys)
    order = jax.random.permutation(order_key, len(begins) * steps)
    return _windows(planned.reshape(-1, batch)[order], jnp.repeat(begins, steps)[order], width)


def window_evaluation(
    rows: Array, size: Array | int, batch: int, begins: Array, width: int
) -> tuple[Windows, Windows]:
    """Return every window with all rows in order, and the weights of the rows: 0 on padding.

    Args:
      rows: int [n], of which the first `size` are valid.
      size: number of valid rows.
      batch: rows per step.
      begins: int [windows], first features.
      width: of a window.
    """
    planned, weight = evaluation_plan(rows, size, batch)
    begin, windows = jnp.repeat(begins, len(planned)), len(begins)
    return tuple(_windows(jnp.tile(part, (windows, 1)), begin, width) for part in (planned, weight))  # pyright: ignore


def _windows(rows: Array, begin: Array, width: int) -> Windows:
    """Return steps [steps, batch] with the first feature of each, [steps]."""
    return Windows(rows, jnp.broadcast_to(begin[:, None], rows.shape), width)


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
