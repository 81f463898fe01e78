"""Trainings of one model on one cohort, together: folds, seeds, settings and ensemble members."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Data, Standard, gather
from jaxomics.engine.drive import Halt, Recorder
from jaxomics.engine.fit import fit, floats
from jaxomics.engine.game import first_state
from jaxomics.engine.replicate import fit_many, stack
from jaxomics.engine.state import FitResult, Split, Train, TrainState
from jaxomics.errors import InputError
from jaxomics.fitting.levels import fit_levels
from jaxomics.inference.cohort import Member
from jaxomics.inference.crossfit import member_splits
from jaxomics.models.base import Hyper, Model, Variables
from jaxomics.types import Array, Params


class Job(NamedTuple):
    """One training, of one or more ensemble members.

    Attributes:
      standard: scaling, fitted on this job's training samples.
      conditionals: [n, conditionals] of all samples, scaled likewise.
      targets, known: [n, columns], outcomes of all samples, likewise; None = there are none.
      split: training and validation rows.
      hyper: traced settings.
      seed: of the members' keys.
      start: trained parameters to go on from; only for a single job of one member.
      pairs: int [m, 2], matched rows; None = there are none.
    """

    standard: Standard
    conditionals: Array
    split: Split
    hyper: Hyper
    seed: int
    start: Member | None = None
    targets: Array | None = None
    known: Array | None = None
    pairs: Array | None = None

    def of(self, data: Data) -> Data:
        """Return the data as this job sees them."""
        return data.replace(
            conditionals=self.conditionals,
            targets=self.targets,
            known=self.known,
            pairs=self.pairs,
        )


def train_jobs(
    model: Model,
    data: Data,
    jobs: Sequence[Job],
    train: Train,
    *,
    recorder: Recorder | None = None,
    max_replicas: int | None = None,
    halt: Halt | None = None,
) -> list[FitResult]:
    """Train all members of all jobs by one program; the data are held once.

    A job gets what it would get alone, up to the order of additions. Two things are common to
    all: the steps of an epoch and the batch are those of the smallest training set. A model with
    a first level (`Level`) is trained job by job, and heeds no `halt`.

    Args:
      model: what to train.
      data: the cohort on the device; conditionals and outcomes give way to those of the jobs.
      jobs: what to train on, each a replica per ensemble member.
      train: static settings.
      recorder: run folder, progress and resuming.
      max_replicas: most replicas at a time; see `fit_many`.
      halt: stops replicas, numbered job by job; see `fit_many`.

    Returns:
      One result per job, with a leading axis of members if there are several; without the
      training state, unless the job is the only one and has one member.

    Raises:
      InputError: some jobs have validation rows and others none.
    """
    members = train.ensemble
    if model.level is not None:
        return _train_levels(model, data, jobs, train, recorder)
    if len(jobs) * members == 1 and halt is None:
        (job,) = jobs
        key = jax.random.key(job.seed)
        return [
            fit(
                model, job.of(data), job.standard, job.split, job.hyper, train,
                key=key, recorder=recorder, start=_state(model, job, data, key),
            )
        ]  # fmt: skip
    keys = [_member_keys(job.seed, members) for job in jobs]
    whole = fit_many(
        model,
        data.replace(**_own_data(jobs, members)),
        _stacked([job.standard for job in jobs], members),
        stack(padded([own for job in jobs for own in member_splits(job.split, train, job.seed)])),
        _stacked([job.hyper for job in jobs], members),
        train,
        keys=jnp.concatenate(keys),
        recorder=recorder,
        max_replicas=max_replicas,
        halt=halt,
    )
    return [_part(whole, i * members, members) for i in range(len(jobs))]


def _train_levels(
    model: Model, data: Data, jobs: Sequence[Job], train: Train, recorder: Recorder | None
) -> list[FitResult]:
    """Train jobs one by one: what the first level makes of the data differs between them."""
    if any(job.start is not None for job in jobs):
        raise InputError(
            "expected a fresh run, found one to go on from: a model with a frozen first level is "
            "trained from the beginning; leave --start out"
        )
    results = []
    for number, job in enumerate(jobs):
        own = recorder
        if recorder is not None and recorder.folder is not None and len(jobs) > 1:
            folder = recorder.folder / f"job_{number:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            own = recorder._replace(folder=folder)
        results.append(
            fit_levels(
                model, job.of(data), job.standard, job.split, job.hyper, train,
                key=jax.random.key(job.seed), recorder=own,
            )
        )  # fmt: skip
    return results


def _state(model: Model, job: Job, data: Data, key: Array) -> TrainState | None:
    """Return the state to go on from: trained parameters, and an optimiser that knows nothing.

    Where the model has more outputs than were trained (new classes), theirs are fresh.
    """
    if job.start is None:
        return None
    rows = jnp.asarray(job.split.train)[:2]
    example = gather(job.of(data), job.standard, rows, jnp.ones(2))
    draw = partial(model.init, jax.random.split(key)[0], example)
    params, collections = job.start
    if jax.tree.map(jnp.shape, params) != jax.tree.map(jnp.shape, jax.eval_shape(draw).params):
        params = grafted(jax.jit(draw)().params, params)
    return first_state(model, Variables(params, collections), floats(job.hyper), key)


def grafted(fresh: Params, trained: Params) -> Params:
    """Return fresh parameters whose leading part, along each axis, is that of trained ones.

    Columns are outputs, so what the trained ones say of an input stays as it was.

    >>> grafted({"bias": jnp.zeros(3)}, {"bias": jnp.ones(2)})["bias"].tolist()
    [1.0, 1.0, 0.0]
    """
    return jax.tree.map(
        lambda new, old: new.at[tuple(map(slice, old.shape))].set(old), fresh, trained
    )


def padded(splits: Sequence[Split]) -> list[Split]:
    """Return splits of equal length: shorter rows repeat their last one, which does not count.

    Raises:
      InputError: some have validation rows and others none.

    >>> [split.train.tolist() for split in padded([Split(np.arange(3), 3, np.arange(0), 0),
    ...                                            Split(np.arange(2), 2, np.arange(0), 0)])]
    [[0, 1, 2], [0, 1, 1]]
    """
    if len({len(split.valid) > 0 for split in splits}) > 1:
        raise InputError(
            "expected validation samples in every fold, found a fold without; raise valid_fraction"
        )
    lengths = [max(len(getattr(s, name)) for s in splits) for name in ("train", "valid")]
    return [
        split._replace(train=_lengthened(split.train, lengths[0]),
                       valid=_lengthened(split.valid, lengths[1]))
        for split in splits
    ]  # fmt: skip


def lengthened_pairs(parts: Sequence[Array | None]) -> list[Array | None]:
    """Return tables of pairs [m, 2] of equal length: shorter ones end with -1.

    >>> [p.tolist() for p in lengthened_pairs([np.zeros((1, 2), int), np.ones((2, 2), int)])]
    [[[0, 0], [-1, -1]], [[1, 1], [1, 1]]]
    """
    most = max(0 if part is None else len(part) for part in parts)
    return [
        part
        if part is None
        else jnp.pad(jnp.asarray(part), ((0, most - len(part)), (0, 0)), constant_values=-1)
        for part in parts
    ]


def _lengthened(rows: Array | np.ndarray, length: int) -> np.ndarray:
    """Return rows repeated at the end up to a length."""
    return np.pad(np.asarray(rows), (0, length - len(rows)), "edge" if len(rows) else "constant")


def _member_keys(seed: int, members: int) -> Array:
    """Return the keys [members] of a job; a single member takes the seed's own."""
    key = jax.random.key(seed)
    return key[None] if members == 1 else jax.random.split(key, members)


def _stacked(trees: Sequence, members: int):
    """Return trees along a leading replica axis, each as often as it has members."""
    return jax.tree.map(lambda leaf: jnp.repeat(leaf, members, axis=0), stack(list(trees)))


def _own_data(jobs: Sequence[Job], members: int) -> dict[str, Array | None]:
    """Return what jobs may have of their own: one for all where they agree, else per replica."""
    found: dict[str, Array | None] = {}
    for name in ("conditionals", "targets", "known", "pairs"):
        parts: list[Any] = [getattr(job, name) for job in jobs]
        if name == "pairs":
            parts = lengthened_pairs(parts)
        same = all(part is parts[0] or np.array_equal(part, parts[0]) for part in parts[1:])
        found[name] = parts[0] if same else _stacked(parts, members)
    return found


def _part(result: FitResult, start: int, members: int) -> FitResult:
    """Return the replicas of one job, without the replica axis where it has one member.

    Training states are left behind: they are most of the memory, and nobody goes on from a fold.
    """
    own = slice(start, start + members) if members > 1 else start
    trees = (result.params, result.collections, result.control)
    params, collections, control = jax.tree.map(lambda leaf: np.asarray(leaf)[own], trees)
    history = [
        row | {"replica": row["replica"] - start}
        for row in result.history
        if start <= row["replica"] < start + members
    ]
    return FitResult(params, collections, None, control, history, result.seconds)
