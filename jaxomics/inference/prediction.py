"""Classes and other outcomes of samples, as one table."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from jaxomics.data.batch import Data, Standard
from jaxomics.errors import InputError
from jaxomics.inference.cohort import Member, assess, classify
from jaxomics.inference.novelty import Novelty
from jaxomics.inference.outcomes import Outcomes
from jaxomics.metrics.classification import ALL, PROBABILITY
from jaxomics.models.base import Model


def predict(
    model: Model,
    members: list[Member],
    data: Data,
    standard: Standard,
    samples: pd.Index,
    classes: tuple[str, ...],
    outcomes: Outcomes,
    novelty: Mapping[str, Novelty],
    seed: int | None = None,
) -> pd.DataFrame:
    """Return what a model predicts of samples, from each view by itself or from all together.

    Args:
      model, members, standard: as trained.
      data: the samples.
      samples: their names.
      classes: names of the classes.
      outcomes: what is predicted beside them.
      novelty: of views that look for classes they have not seen.
      seed: of a draw of z per sample; None takes the mean of z.

    Returns:
      Columns sample, view, and what the model has: class and p_CLASS, the probability of each
      class; and the columns of further outcomes (`Outcomes.columns`). A row per sample and view
      that measures it, sorted by sample; the view is `all` where the model reads all together.

    Raises:
      InputError: the model was trained with nothing to predict.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    if model.tasks.classify is not None:
        for view, values in classify(model, members, data, standard, seed).items():
            if view in novelty:
                x = np.asarray(standard.apply(view, data.x[view]))
                new = novelty[view].degree(x, np.asarray(data.observed[view]))
                values = novelty[view].share(values, new)
            named = {f"{PROBABILITY}{name}": values[:, i] for i, name in enumerate(classes)}
            best = np.asarray(classes)[values.argmax(axis=1)]
            found.setdefault(view, {}).update({"class": best, **named})
    if model.tasks.risk is not None:
        for head, values in assess(model, members, data, standard).items():
            found.setdefault(ALL, {}).update(outcomes.columns(head, values))
    if not found:
        raise InputError(
            "expected a run that was trained with classes or other outcomes, found none of them; "
            "train with a label column"
        )
    tables = []
    for view in (name for name in [*data.x, ALL] if name in found):
        masks = data.observed.values() if view == ALL else [data.observed[view]]
        here = np.any([np.asarray(mask).any(axis=1) for mask in masks], axis=0)
        table = pd.DataFrame({"sample": samples, "view": view, **found[view]})
        tables.append(table[here])
    whole = pd.concat(tables, ignore_index=True)
    return whole.sort_values("sample", kind="stable", ignore_index=True)
