"""Before training: which views and samples are trained on, and what a user is told about them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.hold_out import DONOR, donors
from jaxomics.data.preprocess import Preprocess
from jaxomics.engine.state import Split
from jaxomics.errors import InputError
from jaxomics.models.base import Model
from jaxomics.models.translation import role_names
from jaxomics.presets.settings import Settings

FEW_STEPS = 200
"""Below so many steps of the optimiser a network has hardly begun to learn."""

UNIT_SLACK = 1e-4
"""How far values may lie outside 0 to 1, for the sake of rounding."""


class Rows(NamedTuple):
    """Who is trained on.

    Attributes:
      split: training and validation rows.
      notes: who was left out, and which views are read as one, in sentences.
    """

    split: Split
    notes: list[str]


def translated_views(
    settings: Settings, views: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the views that a translator reads and those that it writes; None for other models.

    Raises:
      InputError: see `models.translation.role_names`.
    """
    config = settings.config
    if not (hasattr(config, "source") and hasattr(config, "target")):
        return None
    return role_names(config.source, config.target, views)


def filled_views(settings: Settings, views: Sequence[str]) -> tuple[str, ...]:
    """Return the views in which a missing cell is read as the mean of its feature.

    Those that a translator reads, and all of a model whose config says `fills`. To others a
    missing cell is 0 in standard units.
    """
    roles = translated_views(settings, views)
    if roles is not None:
        return roles[0]
    return tuple(views) if getattr(settings.config, "fills", False) else ()


def modelled_views(cohort: MultiOmics, settings: Settings) -> MultiOmics:
    """Return the cohort with the views that are modelled, all samples kept.

    Views that serve as conditionals are not modelled as well, and a translator models what it
    reads or writes.

    Raises:
      InputError: no view is left, or views that cannot be translated.
    """
    conditions = set(settings.conditionals.columns or ()) - set(cohort.labels.columns)
    views = {name: table for name, table in cohort.views.items() if name not in conditions}
    if not views:
        raise InputError(
            "expected a view to model, found only views that serve as conditionals; name "
            "fewer of them in --conditionals"
        )
    if hasattr(settings.config, "modelled"):
        views = {name: views[name] for name in settings.config.modelled(list(views))}
    roles = translated_views(settings, list(views))
    if roles is not None:
        views = {name: views[name] for name in views if name in {*roles[0], *roles[1]}}
    return replace(cohort, views=views)


def check_unit_values(settings: Settings, preprocess: Preprocess) -> None:
    """Raise if a cross entropy is asked for, and values that are written are not from 0 to 1.

    Args:
      settings: `config.distance` of a translator, or `config.reconstruction`.
      preprocess: fitted.

    Raises:
      InputError: they are not.
    """
    kinds = {name: getattr(settings.config, name, None) for name in ("distance", "reconstruction")}
    options = [name for name, kind in kinds.items() if kind == "ce"]
    if not options:
        return
    roles = translated_views(settings, list(preprocess.views))
    for name in preprocess.views if roles is None else roles[1]:
        low, high = preprocess.views[name].reach
        if low < -UNIT_SLACK or high > 1 + UNIT_SLACK:
            raise InputError(
                f"view {name!r}: expected values from 0 to 1 for the cross entropy, found "
                f"{low:g} to {high:g}; scale them with --preprocess.scaling minmax, or give "
                f"--{options[0]} mse"
            )


def constant_notes(settings: Settings, preprocess: Preprocess) -> list[str]:
    """Return what has to be said about views that a translator writes and that do not vary."""
    roles = translated_views(settings, list(preprocess.views))
    views = {} if roles is None else {name: preprocess.views[name] for name in roles[1]}
    return [
        f"view {name!r}: every feature is constant among the training samples; there is nothing to "
        "learn, and the constants are what is written"
        for name, view in views.items()
        if view.low is not None and np.array_equal(view.low, np.asarray(view.high))
    ]


def choose_rows(
    cohort: MultiOmics,
    settings: Settings,
    trained: pd.Index,
    valid: pd.Index | None,
    seed: int,
) -> Rows:
    """Return training rows and validation rows; samples with too few views are neither.

    A translator also needs a view to read and one to write in each of them.

    Args:
      cohort: all samples.
      settings: `min_views` and `valid_fraction` decide; samples of one donor stay together.
      trained: the samples that may be trained on.
      valid: samples to watch training on; None takes a share of `trained`.
      seed: of that share.

    Raises:
      InputError: a translator, and fewer than 2 samples with a view to read and one to write.
    """
    views = sum(cohort.present(name).astype(int) for name in cohort.views)
    least = min(settings.preprocess.min_views, len(cohort.views))
    enough = np.asarray(views) >= least
    modelled = list(modelled_views(cohort, settings).views)
    roles = translated_views(settings, modelled)
    lacking = f"have fewer than {least} views: completed"
    if roles is not None:
        enough &= _paired(cohort, trained, *roles)
        lacking = f"lack {_either(roles[0])} or {_either(roles[1])}"
    rows = np.flatnonzero(cohort.samples.isin(trained) & enough)
    notes = _joined_notes(settings, modelled)
    if len(rows) < len(trained):
        notes.append(f"{len(trained) - len(rows)} samples {lacking}, not trained on")
    if valid is not None:
        held = np.flatnonzero(cohort.samples.isin(valid) & enough)
        return Rows(Split(rows, len(rows), held, len(held)), notes)
    train, held = _divide(cohort, rows, settings.train.valid_fraction, seed)
    return Rows(Split(train, len(train), held, len(held)), notes)


def _joined_notes(settings: Settings, views: Sequence[str]) -> list[str]:
    """Return what is said where a model reads several views as one profile."""
    if len(views) < 2 or not getattr(settings.config, "joins", False):
        return []
    return [
        f"{len(views)} views are read side by side, as one profile: {', '.join(views)}; name one "
        "with --views to model it alone"
    ]


def _divide(
    cohort: MultiOmics, rows: np.ndarray, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to train on and a share of them to watch training on, both sorted.

    Samples of one donor (label column `hold_out.DONOR`) stay on one side, so the share is met up
    to the samples of a donor.
    """
    count, random = round(share * len(rows)), np.random.default_rng(seed)
    if DONOR not in cohort.labels:
        rows = random.permutation(rows)
        return np.sort(rows[count:]), np.sort(rows[:count])
    codes, names = pd.factorize(donors(cohort).iloc[rows], sort=True)
    place = random.permutation(len(names))[codes]
    size = np.bincount(place, minlength=len(names))
    held = (np.cumsum(size) - size / 2 <= count)[place]
    return rows[~held], rows[held]


def _paired(
    cohort: MultiOmics, trained: pd.Index, source: Sequence[str], target: Sequence[str]
) -> np.ndarray:
    """Tell of each sample whether it has a view of either kind, bool [samples].

    Raises:
      InputError: fewer than two samples that may be trained on have.
    """
    has = [np.any([cohort.present(v) for v in views], axis=0) for views in (source, target)]
    both, own = has[0] & has[1], cohort.samples.isin(trained)
    pairs = int((both & own).sum())
    if pairs < 2:
        raise InputError(
            f"expected 2 samples or more with {_either(source)} and {_either(target)}, found "
            f"{int((has[0] & own).sum())} with the one and {int((has[1] & own).sum())} with the "
            f"other, {pairs or 'none'} with both; a translator learns from pairs: where there are "
            "none, train modis, which needs classes instead"
        )
    return both


def _either(views: Sequence[str]) -> str:
    """Return views as alternatives, in words."""
    return " or ".join(views)


def sampling_notes(
    cohort: MultiOmics, views: Sequence[str], model: Model, split: Split, batch_size: int
) -> list[str]:
    """Return what has to be said about batches that are drawn for each view by itself.

    Args:
      cohort: all samples.
      views: those that are modelled.
      model: how it draws batches.
      split: training rows.
      batch_size: as asked for.
    """
    if model.sampling.kind != "per_view":
        return []
    notes = []
    rows = np.asarray(split.train)
    present = {view: cohort.present(view)[rows] for view in views}
    several = int((np.sum(list(present.values()), axis=0) > 1).sum())
    if several:
        notes.append(
            f"{several} of {len(rows)} training samples have several views: the model draws each "
            "view by itself and ignores which values are of one sample"
        )
    smallest = min(present, key=lambda view: present[view].sum())
    count = int(present[smallest].sum())
    if count < batch_size:
        notes.append(
            f"batches of {count} instead of {batch_size} samples: {smallest} has no more to train "
            "on; loss terms that sum over a batch weigh less"
        )
    return notes


def step_notes(steps: int, epochs: int) -> list[str]:
    """Return what has to be said about a training that took few steps.

    Args:
      steps: of the optimiser, in all.
      epochs: that were trained.

    >>> step_notes(120, 30)
    ['trained for 120 steps in all, 30 epochs: few for a network; try more (--epochs)']
    >>> step_notes(2000, 30)
    []
    """
    if steps >= FEW_STEPS:
        return []
    return [
        f"trained for {steps} steps in all, {epochs} epochs: few for a network; try more (--epochs)"
    ]
