"""Before training: which samples are trained on, and what a user is told about them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.engine.state import Split
from jaxomics.models.base import Model
from jaxomics.presets.settings import Settings


class Rows(NamedTuple):
    """Who is trained on.

    Attributes:
      split: training and validation rows.
      notes: who was left out, in sentences.
    """

    split: Split
    notes: list[str]


def choose_rows(
    cohort: MultiOmics,
    settings: Settings,
    trained: pd.Index,
    valid: pd.Index | None,
    seed: int,
) -> Rows:
    """Return training rows and validation rows; samples with too few views are neither.

    Args:
      cohort: all samples.
      settings: `min_views` and `valid_fraction` decide.
      trained: the samples that may be trained on.
      valid: samples to watch training on; None takes a share of `trained`.
      seed: of that share.
    """
    views = sum(cohort.present(name).astype(int) for name in cohort.views)
    least = min(settings.preprocess.min_views, len(cohort.views))
    enough = np.asarray(views) >= least
    rows = np.flatnonzero(cohort.samples.isin(trained) & enough)
    notes = []
    if len(rows) < len(trained):
        notes.append(
            f"{len(trained) - len(rows)} samples have fewer than {least} views: "
            "completed, not trained on"
        )
    if valid is not None:
        held = np.flatnonzero(cohort.samples.isin(valid) & enough)
        return Rows(Split(rows, len(rows), held, len(held)), notes)
    rows = np.random.default_rng(seed).permutation(rows)
    count = round(settings.train.valid_fraction * len(rows))
    train, held = np.sort(rows[count:]), np.sort(rows[:count])
    return Rows(Split(train, len(train), held, len(held)), notes)


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
    if model.sampling.kind == "paired":
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
