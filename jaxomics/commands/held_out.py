"""Samples that a training held out: who they are, and scores of values, classes, outcomes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from jaxomics.crossval.outcomes import score_outcomes
from jaxomics.data.container import MultiOmics
from jaxomics.data.hold_out import choose_hold_out, read_hold_out, write_hold_out
from jaxomics.data.io import read_cohort
from jaxomics.engine.processes import highest, is_writer
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.metrics.classification import CLASSES, ClassScores, evaluate_classes
from jaxomics.metrics.imputation import evaluate_imputation
from jaxomics.metrics.tables import FEATURE_COLUMNS, SCORE_COLUMNS, join


def hold_out_by(
    path: Path, data: Path, cohort: MultiOmics, seed: int
) -> tuple[pd.Index, list[str]]:
    """Return the samples that a hold-out file names, and notes; without the file, choose and write.

    The choice is made over all views of the data, so that one file serves models of any of them.

    Args:
      path: of the file.
      data: folder or file that the cohort was read from.
      cohort: what is trained on, perhaps some views of the data.
      seed: of the choice.

    Raises:
      InputError: a file that does not fit the data; see `read_hold_out`.
    """
    notes = []
    if is_writer() and not path.exists():
        chosen = choose_hold_out(read_cohort(data), seed=seed)
        write_hold_out(chosen, path)
        count = len(chosen.samples)
        notes = [f"{count} of {len(chosen.table)} samples held out, in {path}", *chosen.notes]
    highest(np.zeros(1, np.int32))  # Nobody reads what is not written yet.
    return read_hold_out(path, cohort), notes


def score_held_out(estimator: Estimator, cohort: MultiOmics) -> dict[str, pd.DataFrame]:
    """Score the samples that training held out; no tables without any.

    Mode `view_out` withholds the scored view, mode `reconstruct` shows the sample's own values,
    mode `classes` is about predicted classes, mode `outcomes` about survival, values and further
    classes.

    Args:
      estimator: fitted.
      cohort: what it was fitted to.

    Returns:
      `scores` and `features`, and for classes `recall` by view and class, and `confusion`.
    """
    if not len(estimator.held_out_):
        return {}
    held = cohort.select_samples(estimator.held_out_)
    name, seed = estimator.entry.name, estimator.seed
    comparable = estimator.preprocess_.normalised(held)
    known = {view: table for view, table in comparable.views.items() if len(table)}
    scores, features, tables = [], [], {}
    for mode, written in _written(estimator, held):
        truth = {view: table for view, table in known.items() if view in written}
        for parts, found in zip(
            (scores, features), evaluate_imputation(written, truth, model=name), strict=True
        ):
            parts.append(found.assign(mode=mode, seed=seed))
    classes = score_classes(estimator, held, mode=CLASSES, model=name, seed=seed)
    if classes is not None:
        scores.append(classes.scores)
        tables = {"recall": classes.cells, "confusion": classes.confusion}
    outcomes = score_outcomes(estimator, cohort, estimator.held_out_, model=name, seed=seed)
    scores += [] if outcomes is None else [outcomes]
    return {
        "scores": join(scores, SCORE_COLUMNS),
        "features": join(features, FEATURE_COLUMNS),
        **tables,
    }


def score_classes(
    estimator: Estimator, samples: MultiOmics, **about: str | int
) -> ClassScores | None:
    """Return how well the classes of samples are predicted; None where nothing can be scored.

    Args:
      estimator: fitted.
      samples: with labels.
      about: columns of the score table.
    """
    if not estimator.classes_ or "predict" not in estimator.entry.verbs:
        return None
    if estimator.label_ not in samples.labels.columns:
        return None
    try:
        labels = pd.Series(samples.labels[estimator.label_])
        return evaluate_classes(estimator.predict(samples), labels, **about)
    except InputError:  # none of the samples has a label that the model knows
        return None


def _written(
    estimator: Estimator, held: MultiOmics
) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Yield mode and the views that the model writes of samples, in that mode."""
    present = pd.DataFrame({view: held.present(view) for view in held.views})
    decodes = estimator.model_.tasks.decode is not None
    if decodes:
        yield "reconstruct", estimator.reconstruct(held)
    if not (present.sum(axis=1) > 1).any():
        return
    out = {}
    for view, here in present.items():
        if not here.any():
            continue
        written = estimator.reconstruct(held.without_samples(str(view), held.samples))
        if view in written:
            out[str(view)] = written[str(view)]
    yield "view_out", out
