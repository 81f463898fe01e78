"""Fine-tuning: a trained network goes on with new samples.

The network keeps its features, their scaling and its classes; only its parameters change. Samples
of a class that it does not know cannot teach it that class: there is no output for it.
"""

from typing import TYPE_CHECKING

import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError
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
      InputError: another model or network, several members, views that are lacking, or a class
        that the trained network does not know.
    """
    _check(fresh, start, cohort)
    fresh.preprocess_, fresh.conditionals_ = start.preprocess_.widened(cohort), start.conditionals_
    fresh.levels_, fresh.classes_ = start.levels_, start.classes_
    fresh.outcomes_, fresh.chromosomes_ = start.outcomes_, start.chromosomes_
    wanted = fresh.settings.label
    fresh.label_ = start.label_ if wanted == "auto" else wanted
    fresh.start_ = start.members_[0]
    if fresh.label_ not in cohort.labels.columns:
        return
    found = class_text(pd.Series(cohort.labels[fresh.label_])).dropna().unique()
    strange = sorted(set(found) - set(fresh.classes_))
    if strange and fresh.classes_:
        raise InputError(
            f"expected labels among the classes of the run to start from "
            f"({', '.join(fresh.classes_)}), found {', '.join(strange[:5])}; empty these labels, "
            "or train anew on the old and the new samples together"
        )


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
