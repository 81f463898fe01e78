"""Training a model whose first level is trained ahead and frozen: two fits, one after the other."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Data, Standard
from jaxomics.engine.drive import Recorder
from jaxomics.engine.fit import fit
from jaxomics.engine.state import FitResult, Split, Train
from jaxomics.errors import InputError
from jaxomics.models.base import Hyper, Level, Model, Variables
from jaxomics.types import Key

FIRST = "first_level"
"""Folder of its traces inside a run folder, and its name on the progress line."""

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
    if train.ensemble > 1:
        raise InputError(
            f"expected an ensemble of 1, since levels are trained one after another, found "
            f"{train.ensemble}; train with several seeds instead"
        )
    assert model.level is not None
    level, recorder = model.level, recorder or Recorder()
    keys = jax.random.split(key)
    first, read, scaling = fit_first(
        level, data, standard, split, hyper, train, key=keys[0], recorder=recorder
    )
    rest = fit(level.rest, read, scaling, split, hyper, train, key=keys[1], recorder=recorder)
    kept = level.keep(Variables(first.params, first.collections))
    seconds = {name: rest.seconds[name] + first.seconds[name] for name in rest.seconds}
    return replace(rest, collections={**rest.collections, **kept}, state=None, seconds=seconds)


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
    own = data.replace(
        x={level.view: data.x[level.view]}, observed={level.view: data.observed[level.view]},
        pairs=None,
    )  # fmt: skip
    rows = rows_with(own, split, level.view)
    result = fit(
        level.model, own, standard, rows, hyper, train, key=key,
        recorder=_inside(recorder),
    )  # fmt: skip
    variables = Variables(result.params, result.collections)
    return result, *level.read(variables, data, standard)


def rows_with(data: Data, split: Split, view: str) -> Split:
    """Return the rows of a split that have any value of a view.

    Raises:
      InputError: fewer than two training rows have, or no validation row where there are some.
    """
    seen = np.asarray(jax.jit(partial(jnp.any, axis=1))(data.observed[view]))
    train = np.asarray(split.train)[: int(split.train_size)]
    valid = np.asarray(split.valid)[: int(split.valid_size)]
    train, watched = train[seen[train]], valid[seen[valid]]
    if len(train) < 2 or (len(valid) and not len(watched)):
        raise InputError(
            f"expected training samples with view {view}, and some to watch them on, found "
            f"{len(train)} and {len(watched)}; add samples, or change the seed"
        )
    return Split(train, len(train), watched, len(watched))


def _inside(recorder: Recorder) -> Recorder:
    """Return the recorder of the first level, whose folder lies in that of the run."""
    if recorder.folder is None:
        return recorder._replace(label=FIRST)
    folder = recorder.folder / FIRST
    folder.mkdir(parents=True, exist_ok=True)
    return recorder._replace(folder=folder, label=FIRST)
