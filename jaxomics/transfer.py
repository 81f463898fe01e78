"""Fine-tuning: a trained network goes on with new samples.

The network keeps its features, their scaling and its classes; only its parameters change. A class
that it does not know takes the place of a spare one, which no label named when it was trained, or
else an output of its own behind the others (`fitting.training` draws its weights).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError
from jaxomics.inference.labels import class_named
from jaxomics.metrics.classification import class_text

if TYPE_CHECKING:
    from jaxomics.estimator import Estimator


def take_over(fresh: "Estimator", start: "Estimator", cohort: MultiOmics) -> None:
    """Let an estimator begin where another one ended: preprocessing, classes and parameters.

    Args:
      fresh: changed in place.
      start: fitted; of an ensemble the first member is taken.
      cohort: what the fresh one is about to be fitted to.

    Raises:
      InputError: another model or network, several members, or views that are lacking.
    """
    _check(fresh, start, cohort)
    fresh.preprocess_, fresh.conditionals_ = start.preprocess_.widened(cohort), start.conditionals_
    fresh.levels_, fresh.classes_ = start.levels_, start.classes_
    fresh.outcomes_, fresh.chromosomes_ = start.outcomes_, start.chromosomes_
    fresh.spare_, fresh.seen_ = start.spare_, dict(start.seen_)
    wanted = fresh.settings.label
    fresh.label_ = start.label_ if wanted == "auto" else wanted
    fresh.start_ = start.members_[0]
    if fresh.classes_ and fresh.label_ in cohort.labels.columns:
        found = class_text(pd.Series(cohort.labels[fresh.label_])).dropna().unique()
        _take_classes(fresh, sorted(found))


def _take_classes(fresh: "Estimator", found: Sequence[str]) -> None:
    """Add the classes of a cohort to those of the trained network, and say what follows."""
    new = [name for name in found if name not in fresh.classes_]
    if new:
        known = [name for name in fresh.classes_ if name not in fresh.spare_]
        beside = f" beside {', '.join(known)}" if known else ""
        fresh.notes_.append(f"learns {class_named(new)}{beside}, which it goes on with")
    fresh.classes_ = widened(fresh.classes_, fresh.spare_, new)
    kept = [name for name in fresh.spare_ if name not in found]
    fresh.spare_ = tuple(kept[len(new) :])
    absent = [name for name in fresh.classes_ if name not in (*found, *fresh.spare_)]
    if found and absent:
        fresh.notes_.append(
            f"no new sample is of {class_named(absent)}: what the run to start from knows of it "
            "may fade; add some of the samples that it was trained on"
        )


def widened(classes: Sequence[str], spare: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    """Return classes with new ones in the places of spare ones, the others behind.

    >>> widened(("a", "b", "class 1"), ("class 1",), ("c", "d"))
    ('a', 'b', 'c', 'd')
    """
    places = dict(zip(spare, new, strict=False))
    return (*(places.get(name, name) for name in classes), *new[len(spare) :])


def _check(fresh: "Estimator", start: "Estimator", cohort: MultiOmics) -> None:
    """Raise if one network cannot go on where the other one ended."""
    if fresh.entry.name != start.entry.name:
        raise InputError(
            f"expected a run of {fresh.entry.name} to start from, found one of "
            f"{start.entry.name}; name another run"
        )
    if fresh.settings.config != start.settings.config:
        raise InputError(
            "expected the sizes of the run to start from, found others; leave out the options "
            "that change the network"
        )
    if fresh.settings.train.ensemble > 1:
        raise InputError(
            f"expected one network to go on with, found an ensemble of "
            f"{fresh.settings.train.ensemble}; give --ensemble 1"
        )
    lacking = [view for view in start.preprocess_.views if view not in cohort.views]
    if lacking:
        raise InputError(
            f"expected all views of the run to start from, found no {', '.join(lacking)}; add "
            "samples of it, such as some that the run was trained on"
        )
