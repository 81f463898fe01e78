"""What a fitted model says of whole cohorts: rows in chunks, members averaged."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Batch, Data, Standard, gather
from jaxomics.errors import InputError
from jaxomics.models.base import Model
from jaxomics.nn.latent import draw
from jaxomics.types import Collections, Params, Views

ROWS = 512
"""Samples per call; the last call is padded, so everything compiles once."""

HIDDEN_SHARE = 0.15
"""Share of cells withheld to measure the residual variance of hidden cells."""


class Member(NamedTuple):
    """One trained network of an ensemble."""

    params: Params
    collections: Collections


def split_members(params: Params, collections: Collections, count: int) -> list[Member]:
    """Return trained parameters, with a leading axis if there are several, as members."""
    pairs = jax.tree.map(jnp.asarray, (params, collections))
    if count == 1:
        return [Member(*pairs)]
    return [Member(*jax.tree.map(lambda leaf, i=i: leaf[i], pairs)) for i in range(count)]


def encode(
    model: Model, member: Member, data: Data, standard: Standard
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and variance of z, both [samples, latent]."""
    run = _programs(model).encode
    parts = [run(member, batch) for batch in _batches(data, standard)]
    samples = len(data.labels)
    mean, variance = (np.concatenate([np.asarray(p[i]) for p in parts])[:samples] for i in (0, 1))
    return mean, variance


def complete(
    model: Model, members: list[Member], data: Data, standard: Standard
) -> dict[str, np.ndarray]:
    """Return the reconstruction [samples, features] per view, standardised, mean of members."""
    run = _programs(model).reconstruct
    parts = []
    for batch in _batches(data, standard):
        outputs = [run(member, batch) for member in members]
        parts.append(jax.tree.map(lambda *o: np.mean([np.asarray(x) for x in o], axis=0), *outputs))
    return _joined(parts, len(data.labels))


def spread(
    model: Model, members: list[Member], data: Data, standard: Standard, draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Return the variance of the reconstruction over draws of z and over members.

    Each view [samples, features], standardised units squared.
    """
    run = _programs(model).sample
    parts = []
    for i, batch in enumerate(_batches(data, standard)):
        total: Any = None
        square: Any = None
        for d in range(draws):
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), i), d)
            output = run(members[d % len(members)], batch, key)
            total = output if total is None else jax.tree.map(jnp.add, total, output)
            squares = jax.tree.map(jnp.square, output)
            square = squares if square is None else jax.tree.map(jnp.add, square, squares)
        variance = jax.tree.map(partial(_variance, draws), total, square)
        parts.append(variance)
    return _joined(parts, len(data.labels))


def _variance(draws: int, total: jax.Array, square: jax.Array) -> np.ndarray:
    """Return the unbiased variance from the sum and the sum of squares of the draws."""
    biased = np.asarray(square / draws - (total / draws) ** 2)
    return np.maximum(biased, 0.0) * draws / (draws - 1)


def pick(data: Data, rows: np.ndarray | jax.Array) -> Data:
    """Return some rows of the data."""
    return jax.tree.map(lambda leaf: leaf[jnp.asarray(rows)], data)


def residual_variance(
    completer: Callable[[Data], dict[str, np.ndarray]],
    data: Data,
    standard: Standard,
    assays: Sequence[Sequence[str]],
    seed: int,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return how far a model is off, per feature, for withheld views and withheld cells.

    Args:
      completer: data with holes to every cell, standardised.
      data: rows to measure on; training rows are honest only if the completer has not seen them.
      standard: scaling.
      assays: the views, grouped by the assay that they come from; withheld together.
      seed: of the choice of cells.

    Returns:
      Per view the variance [features] when the view is absent, and when some of its cells are
      hidden, in standardised units.
    """
    rng = np.random.default_rng(seed)
    found = {}
    observed = {name: np.asarray(mask) for name, mask in data.observed.items()}
    hidden = {name: (rng.random(m.shape) < HIDDEN_SHARE) & m for name, m in observed.items()}
    cells = completer(_hide(data, hidden))
    for assay in assays:
        absent = completer(_hide(data, {name: observed[name] for name in assay}))
        for name in assay:
            target = np.asarray(standard.apply(name, data.x[name]))
            found[name] = (
                _mean_square(target - absent[name], observed[name]),
                _mean_square(target - cells[name], hidden[name]),
            )
    return {name: found[name] for name in observed}


def _hide(data: Data, hidden: dict[str, np.ndarray]) -> Data:
    """Return the data with some cells counted as not measured."""
    observed = dict(data.observed)
    for name, mask in hidden.items():
        observed[name] = data.observed[name] & ~jnp.asarray(mask)
    return data.replace(observed=observed)


def _mean_square(error: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the mean square per feature over the masked cells; 1 where there are none."""
    count = mask.sum(axis=0)
    total = np.where(mask, error, 0.0).astype(np.float64)
    mean = np.where(count > 0, (total**2).sum(axis=0) / np.maximum(count, 1), 1.0)
    return mean.astype(np.float32)


class _Programs(NamedTuple):
    """The compiled functions of one model."""

    encode: Callable[[Member, Batch], Any]
    reconstruct: Callable[[Member, Batch], Views]
    sample: Callable[[Member, Batch, jax.Array], Views]


@lru_cache(maxsize=16)
def _programs(model: Model) -> _Programs:
    """Return the model's functions, jitted once."""
    encoder, decoder = model.tasks.encode, model.tasks.decode
    if encoder is None or decoder is None:
        raise InputError(
            "this model has no latent space that decodes; `jaxomics models` lists verbs"
        )

    def encode_batch(member: Member, batch: Batch):
        return encoder(member.params, member.collections, batch)

    def write(member: Member, batch: Batch, z: jax.Array) -> Views:
        output = decoder(member.params, member.collections, z, _conditionals(batch))
        if model.tasks.direct is None:
            return output
        added = model.tasks.direct(member.params, member.collections, batch)
        return output | {view: output[view] + values for view, values in added.items()}

    def reconstruct(member: Member, batch: Batch) -> Views:
        mean, _ = encode_batch(member, batch)
        return write(member, batch, mean)

    def sample(member: Member, batch: Batch, key: jax.Array) -> Views:
        return write(member, batch, draw(key, *encode_batch(member, batch)))

    return _Programs(jax.jit(encode_batch), jax.jit(reconstruct), jax.jit(sample))


def _conditionals(batch: Batch) -> jax.Array:
    """Return the conditionals of a paired batch, the same for every view."""
    return next(iter(batch.conditionals.values()))


def _batches(data: Data, standard: Standard) -> Iterator[Batch]:
    """Yield all rows in order, padded to whole chunks."""
    samples = len(data.labels)
    size = min(ROWS, samples)
    for start in range(0, samples, size):
        rows = np.arange(start, start + size)
        weight = (rows < samples).astype(np.float32)
        yield _gather(data, standard, np.minimum(rows, samples - 1), weight)


_gather = jax.jit(gather)


def _joined(parts: list[dict[str, np.ndarray]], samples: int) -> dict[str, np.ndarray]:
    """Return chunks joined along the samples, without the padding."""
    return {name: np.concatenate([part[name] for part in parts])[:samples] for name in parts[0]}
