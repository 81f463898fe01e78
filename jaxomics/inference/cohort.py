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
"""Most samples per call; the last call is padded, so everything compiles once."""

BLOCK_BYTES = 128 << 20
"""Values of all views that a call reads at most: of wide views fewer samples than `ROWS`."""

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
    run = _encoder(model)
    parts = [run(member, batch) for batch in _batches(data, standard)]
    samples = len(data.labels)
    mean, variance = (np.concatenate([np.asarray(p[i]) for p in parts])[:samples] for i in (0, 1))
    return mean, variance


def complete(
    model: Model, members: list[Member], data: Data, standard: Standard
) -> dict[str, np.ndarray]:
    """Return the reconstruction [samples, features] per view, standardised, mean of members.

    A translator returns the views that it writes.
    """
    run = _reconstructor(model)
    parts = [
        _mean([run(member, batch) for member in members]) for batch in _batches(data, standard)
    ]
    return _joined(parts, len(data.labels))


def classify(
    model: Model,
    members: list[Member],
    data: Data,
    standard: Standard,
    seed: int | None = None,
) -> dict[str, np.ndarray]:
    """Return the probabilities of classes [samples, classes] from each view, mean of members.

    Rows of samples that a view does not measure mean nothing. A model that reads all views
    together returns the one entry `all`.

    Args:
      model, members, standard: as trained.
      data: the samples.
      seed: of a draw of z per sample; None takes the mean of z.
    """
    parts = []
    for number, batch in enumerate(_batches(data, standard)):
        if seed is None:
            run = _classifier(model)
        else:
            key = jax.random.fold_in(jax.random.key(seed), number)
            run = partial(_drawn_classifier(model), key=key)
        parts.append(_mean([run(member, batch) for member in members]))
    return _joined(parts, len(data.labels))


def assess(
    model: Model, members: list[Member], data: Data, standard: Standard
) -> dict[str, np.ndarray]:
    """Return survival and regression heads [samples, outputs] by name, mean of members."""
    run = _assessor(model)
    parts = [
        _mean([run(member, batch) for member in members]) for batch in _batches(data, standard)
    ]
    return _joined(parts, len(data.labels))


def spread(
    model: Model, members: list[Member], data: Data, standard: Standard, draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Return the variance of the reconstruction over draws of z and over members.

    Each view [samples, features], standardised units squared.
    """
    run = _sampler(model)
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


def _mean(outputs: list[Views]) -> dict[str, np.ndarray]:
    """Return the mean of what the members say, on the host."""
    return jax.tree.map(lambda *o: np.mean([np.asarray(x) for x in o], axis=0), *outputs)


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


Program = Callable[..., Any]
"""A jitted function of a member and a batch."""


@lru_cache(maxsize=16)
def _encoder(model: Model) -> Program:
    """Return (member, batch) -> mean and variance of z."""
    encoder = _task(model, "encode")
    return jax.jit(lambda member, batch: encoder(member.params, member.collections, batch))


@lru_cache(maxsize=16)
def _reconstructor(model: Model) -> Program:
    """Return (member, batch) -> views, from the mean of z, or as a translator writes them."""
    if model.tasks.decode is None:
        translator = _task(model, "translate")
        return jax.jit(lambda member, batch: translator(member.params, member.collections, batch))

    encoder = _task(model, "encode")

    def reconstruct(member: Member, batch: Batch) -> Views:
        mean, _ = encoder(member.params, member.collections, batch)
        return _write(model, member, batch, mean)

    return jax.jit(reconstruct)


@lru_cache(maxsize=16)
def _sampler(model: Model) -> Program:
    """Return (member, batch, key) -> views, from a draw of z."""
    encoder = _task(model, "encode")

    def sample(member: Member, batch: Batch, key: jax.Array) -> Views:
        posterior = encoder(member.params, member.collections, batch)
        return _write(model, member, batch, draw(key, *posterior))

    return jax.jit(sample)


@lru_cache(maxsize=16)
def _classifier(model: Model) -> Program:
    """Return (member, batch) -> probabilities of classes by view."""
    classifier = _task(model, "classify")

    def classify(member: Member, batch: Batch) -> Views:
        logits = classifier(member.params, member.collections, batch)
        return {view: jax.nn.softmax(values) for view, values in logits.items()}

    return jax.jit(classify)


@lru_cache(maxsize=16)
def _assessor(model: Model) -> Program:
    """Return (member, batch) -> outputs by head."""
    heads = _task(model, "risk")
    return jax.jit(lambda member, batch: heads(member.params, member.collections, batch))


@lru_cache(maxsize=16)
def _drawn_classifier(model: Model) -> Program:
    """Return (member, batch, key) -> probabilities of classes by view, from draws of z."""
    posteriors, judge = _task(model, "views"), _task(model, "judge")

    def classify(member: Member, batch: Batch, key: jax.Array) -> Views:
        found = posteriors(member.params, member.collections, batch)
        keys = dict(zip(found, jax.random.split(key, len(found)), strict=True))
        drawn = {view: draw(keys[view], *posterior) for view, posterior in found.items()}
        return {
            view: jax.nn.softmax(judge(member.params, member.collections, z))
            for view, z in drawn.items()
        }

    return jax.jit(classify)


def _write(model: Model, member: Member, batch: Batch, z: jax.Array) -> Views:
    """Return the views that are decoded from z, with what is added to them directly."""
    decoder = _task(model, "decode")
    output = decoder(member.params, member.collections, z, _conditionals(batch))
    if model.tasks.direct is None:
        return output
    added = model.tasks.direct(member.params, member.collections, batch)
    return output | {view: output[view] + values for view, values in added.items()}


def _task(model: Model, name: str) -> Program:
    """Return what a fitted model can do, or say that this one cannot."""
    task = getattr(model.tasks, name)
    if task is None:
        raise InputError(f"this model has no task {name}; `jaxomics models` lists verbs")
    return task


def _conditionals(batch: Batch) -> jax.Array:
    """Return the conditionals of a paired batch, the same for every view."""
    return next(iter(batch.conditionals.values()))


def rows_per_call(data: Data) -> int:
    """Return how many samples go through a network at a time: fewer, the wider the views are.

    >>> values = {"atac": jnp.zeros((1, 562_709))}
    >>> rows_per_call(Data(values, values, jnp.zeros((1, 0)), jnp.zeros(1)))
    59
    """
    width = sum(values.shape[1] for values in data.x.values())
    return max(1, min(ROWS, BLOCK_BYTES // (4 * max(width, 1))))


def _batches(data: Data, standard: Standard) -> Iterator[Batch]:
    """Yield all rows in order, padded to whole chunks."""
    samples = len(data.labels)
    size = min(rows_per_call(data), samples)
    for start in range(0, samples, size):
        rows = np.arange(start, start + size)
        weight = (rows < samples).astype(np.float32)
        yield _gather(data, standard, np.minimum(rows, samples - 1), weight)


_gather = jax.jit(gather)


def _joined(parts: list[dict[str, np.ndarray]], samples: int) -> dict[str, np.ndarray]:
    """Return chunks joined along the samples, without the padding."""
    return {name: np.concatenate([part[name] for part in parts])[:samples] for name in parts[0]}
