"""Which views a translator reads and writes, and a batch as it sees it."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.errors import InputError, unknown
from jaxomics.types import Array, Views

Roles: TypeAlias = tuple[tuple[ViewSpec, ...], tuple[ViewSpec, ...]]
"""Views to read and views to write."""


def role_names(
    source: Sequence[str], target: Sequence[str], known: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of source and target views, in the order in which they are named.

    Args:
      source: views to read; if empty, all that are no target.
      target: views to write; if empty, all that are no source.
      known: all views.

    Raises:
      InputError: neither is named, an unknown view, a view that is both, or no view left for one.

    >>> role_names((), ("rna",), ("rna", "cn", "methylation"))
    (('cn', 'methylation'), ('rna',))
    """
    if not source and not target:
        raise InputError(
            "expected views to translate, found none named; name them with --source VIEW... and "
            f"--target VIEW... among {', '.join(known)}"
        )
    source = source or [name for name in known if name not in target]
    target = target or [name for name in known if name not in source]
    for name in (*source, *target):
        if name not in known:
            raise unknown("view", name, known)
    both = [name for name in source if name in target]
    if both or not source or not target:
        found = f"{both[0]!r} as both" if both else "no view left for one of them"
        raise InputError(f"expected different source and target views, found {found}")
    return tuple(source), tuple(target)


def roles(source: Sequence[str], target: Sequence[str], spec: DataSpec) -> Roles:
    """Return source and target views of a data set; arguments and errors as `role_names`."""
    views = {view.name: view for view in spec.views}
    read, written = role_names(source, target, spec.names)
    return tuple(views[name] for name in read), tuple(views[name] for name in written)


class Pairs(NamedTuple):
    """A batch as a translator sees it.

    Attributes:
      x: [b, source features].
      y: [b, target features]; 0 where not observed.
      seen: bool [b, target features], which of them were observed, in rows that have a source.
      weight: [b], 0 for rows without source, without target, or padding.
    """

    x: Array
    y: Array
    seen: Array
    weight: Array


def make_pairs(views: Roles, batch: Batch) -> Pairs:
    """Return a batch as the translator sees it."""
    source, target = views
    parts = [
        batch.x[v.name] if v.encoded is None else batch.x[v.name][:, np.asarray(v.encoded)]
        for v in source
    ]
    readable = jnp.any(jnp.hstack([batch.observed[v.name] for v in source]), axis=1)
    seen = jnp.hstack([batch.observed[v.name] for v in target]) & readable[:, None]
    weight = batch.weight[source[0].name] * jnp.any(seen, axis=1)
    return Pairs(jnp.hstack(parts), jnp.hstack([batch.x[v.name] for v in target]), seen, weight)


def source_groups(views: Roles) -> list[np.ndarray]:
    """Return the columns of `Pairs.x` that form each group of source features, all in some group.

    A view without groups is one by itself, but without any view that has groups there are none.
    """
    if not any(view.groups for view in views[0]):
        return []
    found, offset = [], 0
    for view in views[0]:
        read = range(view.features) if view.encoded is None else view.encoded
        place = {column: offset + i for i, column in enumerate(read)}
        for group in view.groups or (tuple(read),):
            found.append(np.array([place[column] for column in group if column in place], int))
        offset += view.inputs
    return [group for group in found if len(group)]


def by_view(views: Roles, values: Array) -> Views:
    """Return target values [b, target features] as one array per view."""
    _, target = views
    ends = np.cumsum([view.features for view in target])[:-1]
    parts = jnp.split(values, ends, axis=1)
    return {view.name: part for view, part in zip(target, parts, strict=True)}
