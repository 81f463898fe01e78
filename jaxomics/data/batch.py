"""From host tables to device arrays: `DataSpec`, `Data`, `Batch`, and the gather between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from jaxomics.data.sampling import section_end, window_number
from jaxomics.types import Array, Views

Likelihood = Literal["mean", "macro"]


@dataclass(frozen=True)
class ViewSpec:
    """Static facts of one view: what decides shapes and the loss.

    Attributes:
      name: the view.
      features: number of features that the decoder writes.
      encoded: columns that the encoder reads; None = all.
      likelihood: `mean` squared error over cells, or `macro` over the levels.
      levels: every value that a discrete view in its own units may take; `macro` needs them.
      groups: columns of each group of features that a network reads and writes apart, such as
        chromosomes; each column stands in one group. Empty = all together.
    """

    name: str
    features: int
    encoded: tuple[int, ...] | None = None
    likelihood: Likelihood = "mean"
    levels: tuple[float, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()

    @property
    def inputs(self) -> int:
        """Number of features that the encoder reads."""
        return self.features if self.encoded is None else len(self.encoded)


@dataclass(frozen=True)
class Link:
    """Features of two views that bear the same name: the same gene, measured twice.

    Attributes:
      target, source: the views.
      target_columns, source_columns: columns of the linked features, pair by pair.
    """

    target: str
    source: str
    target_columns: tuple[int, ...]
    source_columns: tuple[int, ...]


@dataclass(frozen=True)
class TargetSpec:
    """Static facts of an outcome that a model predicts beside the views and the class.

    Attributes:
      name: of the outcome.
      kind: `class` (a code), `value` (a scaled number) or `survival` (place among the intervals,
        see `losses.survival`, and 1 for an event or 0 for a right-censored time).
      column: where it stands in `Batch.targets`; survival also takes the next one.
      outputs: numbers that predict it: classes, 1, or edges between the intervals.
    """

    name: str
    kind: Literal["class", "value", "survival"]
    column: int
    outputs: int = 1


@dataclass(frozen=True)
class DataSpec:
    """Static facts of a data set: views in order, conditionals, classes, links, targets."""

    views: tuple[ViewSpec, ...]
    conditionals: int = 0
    classes: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    targets: tuple[TargetSpec, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the views, in order."""
        return tuple(view.name for view in self.views)


class Standard(struct.PyTreeNode):
    """Scaling of each view, fitted on training rows.

    Attributes:
      mean, scale: [features] per view.
      decimals: standardised values are rounded to so many decimals; None keeps them. Static.
      fill: [features] in standard units, what cells that are not measured are read as; views that
        it lacks have 0 there, which of z-scores is the mean.
    """

    mean: Views
    scale: Views
    decimals: int | None = struct.field(pytree_node=False, default=None)
    fill: Views = field(default_factory=dict)

    def apply(self, view: str, values: Array) -> Array:
        """Return values [b, features] of a view in standard units."""
        scaled = (values - self.mean[view][None]) / self.scale[view][None]
        return scaled if self.decimals is None else jnp.round(scaled, self.decimals)

    def read(self, view: str, values: Array, observed: Array) -> Array:
        """Return values [b, features] of a view in standard units, those not observed filled."""
        fill = self.fill[view][None] if view in self.fill else 0.0
        return jnp.where(observed, self.apply(view, values), fill)

    def window(self, view: str, begin: Array, width: int) -> "Standard":
        """Return the scaling of some neighbouring features of a view; beyond its end, of others.

        What is not measured is 0 in windows.

        Args:
          view: its name.
          begin: int scalar, the first feature.
          width: how many; at most as many as there are.
        """
        own = {view: _along(self.mean[view], begin, width)}
        return Standard(own, {view: _along(self.scale[view], begin, width)}, self.decimals)


class Data(struct.PyTreeNode):
    """A whole cohort on the device, in original units.

    Attributes:
      x: [n, features] per view; unobserved entries are 0.
      observed: bool [n, features] per view.
      conditionals: [n, conditionals], ready for use.
      labels: int [n], -1 = unlabelled.
      targets: [n, columns] of outcomes, 0 where unknown; see `TargetSpec`. None = there are none.
      known: bool [n, columns], which of them are known.
      pairs: int [m, 2], rows of two views that are matched, for models that train on matches;
        -1 = padding. None = there are none.

    Where replicas differ in them, all but the views have a leading replica axis (`own`).
    """

    x: Views
    observed: Views
    conditionals: Array
    labels: Array
    targets: Array | None = None
    known: Array | None = None
    pairs: Array | None = None

    @property
    def own(self) -> tuple[str, ...]:
        """Names of the fields that have a leading replica axis."""
        plain = {"conditionals": 2, "labels": 1, "targets": 2, "known": 2, "pairs": 2}
        present = {name: getattr(self, name) for name in plain}
        return tuple(
            n for n, array in present.items() if array is not None and array.ndim > plain[n]
        )


class Batch(struct.PyTreeNode):
    """Rows of a cohort as a model sees them; every field is a dict keyed by view.

    Attributes:
      x: [b, features], standardised; unobserved entries are 0, or `Standard.fill`.
      observed: bool [b, features].
      sample: int [b], row ids; equal ids are the same sample.
      conditionals: [b, conditionals].
      labels: int [b], -1 = unlabelled.
      weight: [b], 0 = padding.
      targets: [b, columns] of outcomes, 0 where unknown; see `TargetSpec`. Empty = there are none.
      known: bool [b, columns], which of them are known.
      place: int [b], number of the window of the view that `x` holds. Empty = the whole view.
    """

    x: Views
    observed: Views
    sample: Views
    conditionals: Views
    labels: Views
    weight: Views
    targets: Views = field(default_factory=dict)
    known: Views = field(default_factory=dict)
    place: Views = field(default_factory=dict)


def make_data(
    arrays: Mapping[str, np.ndarray],
    conditionals: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    targets: np.ndarray | None = None,
) -> Data:
    """Put host arrays on the device.

    Args:
      arrays: [n, features] per view, original units, NaN = not measured.
      conditionals: [n, c]; none by default.
      labels: int [n]; all unlabelled by default.
      targets: [n, columns] of outcomes, NaN = unknown; none by default.
    """
    samples = len(next(iter(arrays.values())))
    return Data(
        x={name: jnp.asarray(np.nan_to_num(a, nan=0.0), jnp.float32) for name, a in arrays.items()},
        observed={name: jnp.asarray(~np.isnan(a)) for name, a in arrays.items()},
        conditionals=jnp.asarray(
            np.zeros((samples, 0)) if conditionals is None else conditionals, jnp.float32
        ),
        labels=jnp.asarray(np.full(samples, -1) if labels is None else labels, jnp.int32),
        **with_targets(targets),
    )


def with_targets(targets: np.ndarray | None) -> dict[str, Array]:
    """Return the fields `targets` and `known` of `Data` from outcomes with gaps; none from None.

    Args:
      targets: [..., n, columns], NaN = unknown.
    """
    if targets is None:
        return {}
    filled = jnp.asarray(np.nan_to_num(targets, nan=0.0), jnp.float32)
    return {"targets": filled, "known": jnp.asarray(~np.isnan(targets))}


def gather(data: Data, standard: Standard, rows: Array, weight: Array) -> Batch:
    """Return the same rows of every view, standardised: the paired batch.

    Args:
      data: the cohort.
      standard: scaling; applied here, so folds with different scaling share one `Data`.
      rows: int [b].
      weight: [b], 0 = padding; padding rows count as unobserved.
    """
    names = list(data.x)
    observed = {v: data.observed[v][rows] & (weight > 0)[:, None] for v in names}
    x = {v: standard.read(v, data.x[v][rows], observed[v]) for v in names}
    labels = jnp.where(weight > 0, data.labels[rows], -1)
    return Batch(
        x=x,
        observed=observed,
        sample=dict.fromkeys(names, rows),
        conditionals=dict.fromkeys(names, data.conditionals[rows]),
        labels=dict.fromkeys(names, labels),
        weight=dict.fromkeys(names, weight),
        **_outcomes(data, dict.fromkeys(names, rows), dict.fromkeys(names, weight)),
    )


def gather_views(data: Data, standard: Standard, rows: Views, weight: Views) -> Batch:
    """Return rows of each view that have nothing to do with those of other views, standardised.

    Args:
      data: the cohort.
      standard: scaling, as for `gather`.
      rows: int [b] per view.
      weight: [b] per view, 0 = padding; padding rows count as unobserved.
    """
    real = {v: weight[v] > 0 for v in data.x}
    observed = {v: data.observed[v][rows[v]] & real[v][:, None] for v in data.x}
    return Batch(
        x={v: standard.read(v, data.x[v][rows[v]], observed[v]) for v in data.x},
        observed=observed,
        sample={v: rows[v] for v in data.x},
        conditionals={v: data.conditionals[rows[v]] for v in data.x},
        labels={v: jnp.where(real[v], data.labels[rows[v]], -1) for v in data.x},
        weight={v: weight[v] for v in data.x},
        **_outcomes(data, rows, weight),
    )


def gather_window(
    data: Data,
    standard: Standard,
    begin: Array,
    width: int,
    rows: Array,
    weight: Array,
    ends: tuple[int, ...] = (),
) -> Batch:
    """Return neighbouring features of some rows of the one view there is, standardised.

    Only these cells are read, whatever the width of the view. Features beyond the end of the view,
    or of the section in which the window begins, count as unobserved.

    Args:
      data: a cohort of one view; its `observed` may be [n, 1], where rows are measured as a whole.
      standard: scaling, as for `gather`.
      begin: int scalar, the first feature.
      width: how many; at most as many as there are.
      rows: int [b].
      weight: [b], 0 = padding.
      ends: of the sections of the view, the last one its end; () = one section.
    """
    (view,) = data.x
    features = data.x[view].shape[1]
    inside = (begin + jnp.arange(width) < section_end(begin, ends or (features,)))[None]

    def cut(array: Array) -> Array:
        return jax.vmap(lambda row: _along(array, begin, width, row))(rows)

    seen = data.observed[view]
    seen = cut(seen) if seen.shape[1] == features else seen[rows]
    observed = seen & inside & (weight > 0)[:, None]
    own = standard.window(view, begin, width)
    x = jnp.where(observed, own.apply(view, cut(data.x[view])), 0.0)
    labels = jnp.where(weight > 0, data.labels[rows], -1)
    number = window_number(begin, features, width, ends)
    return Batch(
        x={view: x},
        observed={view: observed},
        sample={view: rows},
        conditionals={view: data.conditionals[rows]},
        labels={view: labels},
        weight={view: weight},
        place={view: jnp.broadcast_to(number, rows.shape)},
    )


def _along(array: Array, begin: Array, width: int, *row: Array) -> Array:
    """Return `width` neighbours of a vector, or of a row of a table, from `begin`.

    Where they go beyond its end, the first ones are right and others stand in for the rest.
    """
    first = jnp.minimum(begin, array.shape[-1] - width)
    part = jax.lax.dynamic_slice(array, (*row, first), (*[1] * len(row), width))
    return jnp.roll(part.reshape(width), first - begin)


def _outcomes(data: Data, rows: Views, weight: Views) -> dict[str, Views]:
    """Return the fields `targets` and `known` of a batch; padding knows nothing."""
    if data.targets is None or data.known is None:
        return {}
    known = {v: data.known[rows[v]] & (weight[v] > 0)[:, None] for v in data.x}
    return {
        "targets": {v: jnp.where(known[v], data.targets[rows[v]], 0.0) for v in data.x},
        "known": known,
    }
