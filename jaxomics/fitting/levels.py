"""Training a model whose first level is trained ahead and frozen: two fits, one after the other.

The first one reads the data in memory (`fit_levels`), or from disk (`fit_stored_levels`); what it
makes of them is in memory for the second. Where a model asks for it, a third fit goes on with both
together (`Tune`).
"""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Data, Standard
from jaxomics.data.store import Store
from jaxomics.data.stream import as_data, read_rows
from jaxomics.engine.drive import Recorder
from jaxomics.engine.fit import fit, floats
from jaxomics.engine.game import first_state
from jaxomics.engine.state import FitResult, Split, Train
from jaxomics.engine.streamed import fit_streamed
from jaxomics.errors import InputError
from jaxomics.models.base import Hyper, Level, Model, Tune, Variables
from jaxomics.types import Key

FIRST = "first_level"
"""Folder of its traces inside a run folder, and its name on the progress line."""

BOTH = "finetune"
"""Likewise of the fit that trains both levels together."""

READ_BYTES = 64 << 20
"""Rows of a store are read by a first level in pieces of about so many bytes."""

Made = tuple[FitResult, Data, Standard]
"""The first fit, and what the second one is made on."""


def fit_levels(
    model: Model,
    data: Data,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    *,
    key: Key,
    recorder: Recorder | None = None,
) -> FitResult:
    """Train the first level of a model, and then the rest on what it makes of the data.

    Each fit has the epochs, the stopping rule and the rows of `train` and `split`; the first one
    the rows that have its view. Arguments as for `fit`; the run folder of the first level lies in
    that of the whole.

    Raises:
      InputError: no training row, or no validation row where there are some, has the view; or
        several ensemble members.
    """
    _check_ensemble(train)
    assert model.level is not None
    level, recorder = model.level, recorder or Recorder()
    keys = jax.random.split(key)
    first, read, scaling = fit_first(
        level, data, standard, split, hyper, train, key=keys[0], recorder=recorder
    )
    rest = fit(level.rest, read, scaling, split, hyper, train, key=keys[1], recorder=recorder)
    if level.tune is not None:
        own, again = _alone(level, data), jax.random.fold_in(key, 2)
        given = own, standard, _rows(level, own, split), hyper, train
        first, rest = fit_both(level.tune, first, rest, *given, key=again, recorder=recorder)
    return joined(level, first, rest)


def fit_both(
    tune: Tune,
    first: FitResult,
    rest: FitResult,
    data: Data,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    *,
    key: Key,
    recorder: Recorder,
) -> tuple[FitResult, FitResult]:
    """Train two levels together; return their fits with the parameters that this gave them.

    Args:
      tune: how.
      first, rest: the levels, trained alone.
      data: with the view of the first level only; other arguments as for `fit`.
    """
    both = tune.begin(*(Variables(f.params, f.collections) for f in (first, rest)))
    start = first_state(tune.model, both, floats(hyper), key)
    found = fit(
        tune.model, data, standard, split, hyper, train, key=key, start=start,
        recorder=_inside(recorder, BOTH),
    )  # fmt: skip
    levels = tune.end(Variables(found.params, found.collections))
    seconds = {name: rest.seconds[name] + found.seconds[name] for name in rest.seconds}
    first, rest = (
        replace(fit, params=own.params, collections=own.collections)
        for fit, own in zip((first, rest), levels, strict=True)
    )
    return first, replace(rest, seconds=seconds)


def fit_stored_levels(
    model: Model,
    source: Store,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    *,
    key: Key,
    recorder: Recorder | None = None,
) -> FitResult:
    """Train as `fit_levels` does, the first level on windows that are read from a store.

    What it makes of the samples is held in memory: of each as many numbers as all windows have.
    Arguments as for `fit_streamed`.

    Raises:
      InputError: as `fit_levels` and `fit_streamed`, or there is a view beside that of windows.
    """
    _check_ensemble(train)
    assert model.level is not None
    level, recorder = model.level, recorder or Recorder()
    if list(source.features) != [level.view]:
        raise InputError(
            f"expected view {level.view} alone, found {', '.join(source.features)}: a model of "
            "windows and another view needs both in memory; train it without --stream"
        )
    if level.tune is not None:
        raise InputError(
            "expected levels that are trained one after the other, found finetune, which reads "
            "whole rows; leave it out, or train without --stream"
        )
    keys = jax.random.split(key)
    seen = np.concatenate(
        [
            np.isfinite(part).any(axis=1)
            for part in source.chunks(level.view, np.arange(len(source)))
        ]
    )
    first = fit_streamed(
        level.model, source, standard, rows_with(seen, split, level.view), hyper, train,
        key=keys[0], recorder=_inside(recorder, FIRST),
    )  # fmt: skip
    read, scaling = read_store(level, Variables(first.params, first.collections), source, standard)
    rest = fit(level.rest, read, scaling, split, hyper, train, key=keys[1], recorder=recorder)
    return joined(level, first, rest)


def read_store(
    level: Level, variables: Variables, source: Store, standard: Standard
) -> tuple[Data, Standard]:
    """Return what a trained first level makes of a store, and its scaling, as `Level.read` does.

    Args:
      level, variables: the first level, trained.
      source: the cohort on disk, read in pieces of about `READ_BYTES`.
      standard: its scaling.
    """
    count, width = len(source), len(source.features[level.view])
    size = min(max(READ_BYTES // (4 * width), 1), count)
    parts, scaling = [], standard
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        piece = as_data(read_rows(source, rows, np.ones(size, np.float32)))
        made, scaling = level.read(variables, piece, standard)
        parts.append(jax.device_get(made))
    whole = jax.tree.map(lambda *pieces: jnp.asarray(np.concatenate(pieces)[:count]), *parts)
    return whole, scaling


def joined(level: Level, first: FitResult, rest: FitResult) -> FitResult:
    """Return two fits as one of the whole model, whose history is that of the second."""
    kept = level.keep(Variables(first.params, first.collections))
    seconds = {name: rest.seconds[name] + first.seconds[name] for name in rest.seconds}
    return replace(rest, collections={**rest.collections, **kept}, state=None, seconds=seconds)


def _check_ensemble(train: Train) -> None:
    """Raise unless there is one network."""
    if train.ensemble > 1:
        raise InputError(
            f"expected an ensemble of 1, since levels are trained one after another, found "
            f"{train.ensemble}; train with several seeds instead"
        )


def fit_first(
    level: Level,
    data: Data,
    standard: Standard,
    split: Split,
    hyper: Hyper,
    train: Train,
    *,
    key: Key,
    recorder: Recorder,
) -> Made:
    """Train a first level alone; return the fit, and data and scaling as it reads them."""
    own = _alone(level, data)
    result = fit(
        level.model, own, standard, _rows(level, own, split), hyper, train, key=key,
        recorder=_inside(recorder, FIRST),
    )  # fmt: skip
    variables = Variables(result.params, result.collections)
    return result, *level.read(variables, data, standard)


def _alone(level: Level, data: Data) -> Data:
    """Return the data with the view of the first level only."""
    view = level.view
    return data.replace(x={view: data.x[view]}, observed={view: data.observed[view]}, pairs=None)


def _rows(level: Level, data: Data, split: Split) -> Split:
    """Return the rows of a split that have the view of the first level."""
    seen = np.asarray(jax.jit(partial(jnp.any, axis=1))(data.observed[level.view]))
    return rows_with(seen, split, level.view)


def rows_with(seen: np.ndarray, split: Split, view: str) -> Split:
    """Return the rows of a split that have any value of a view.

    Args:
      seen: bool [n], which rows of the cohort have.
      split: of the cohort.
      view: for messages.

    Raises:
      InputError: fewer than two training rows have, or no validation row where there are some.
    """
    train = np.asarray(split.train)[: int(split.train_size)]
    valid = np.asarray(split.valid)[: int(split.valid_size)]
    train, watched = train[seen[train]], valid[seen[valid]]
    if len(train) < 2 or (len(valid) and not len(watched)):
        raise InputError(
            f"expected training samples with view {view}, and some to watch them on, found "
            f"{len(train)} and {len(watched)}; add samples, or change the seed"
        )
    return Split(train, len(train), watched, len(watched))


def _inside(recorder: Recorder, name: str) -> Recorder:
    """Return the recorder of a part of a run, whose folder lies in that of the run."""
    if recorder.folder is None:
        return recorder._replace(label=name)
    folder = recorder.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    return recorder._replace(folder=folder, label=name)
