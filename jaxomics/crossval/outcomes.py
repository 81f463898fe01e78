"""Predicted survival, values and further classes of held-out samples, beside simple methods.

A head that does no better than a regression on principal components says nothing of the network,
so both learn from the same samples and are asked for the same.
"""

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV

from jaxomics.crossval.classes import class_chances
from jaxomics.crossval.modes import HeldOut
from jaxomics.data.container import MultiOmics
from jaxomics.data.split import Fold
from jaxomics.estimator import Estimator
from jaxomics.inference.outcomes import Outcomes
from jaxomics.metrics.classification import ALL, PROBABILITY, class_text
from jaxomics.metrics.components import fit_components
from jaxomics.metrics.cox import fit_cox
from jaxomics.metrics.outcomes import (
    SURVIVAL,
    NothingScoredError,
    OutcomeColumns,
    evaluate_outcomes,
    numbers,
)
from jaxomics.metrics.tables import SCORE_COLUMNS, join, with_means

SIMPLE = "components"
"""Name of the regressions that stand beside a model."""

COMPONENTS = 30
"""Principal components that they read."""

PENALTY = 10.0
"""Ridge penalty of the Cox regression, on components in standard deviations."""

PENALTIES = np.logspace(-1, 4, 20)
"""Ridge penalties of the regression of values, of which one is chosen by leave-one-out."""


class OutcomeVotes:
    """Collects what the model of each fold says of the outcomes of its test samples.

    Args:
      held: the cohort and its folds.
    """

    def __init__(self, held: HeldOut):
        self._held = held
        self._folds = iter(held.folds)
        self._said: list[pd.DataFrame] = []
        self._scores: list[pd.DataFrame] = []

    def add(self, estimator: Estimator) -> None:
        """Ask and score the model of the next fold, if it predicts outcomes."""
        if not estimator.outcomes_.specs:
            return
        fold, plan = next(self._folds), self._held.plan
        cohort, outcomes = self._held.cohort, estimator.outcomes_
        said = estimator.predict(cohort.select_samples(fold.test))
        beside = simple_predictions(outcomes, cohort, fold)
        beside = beside[beside["sample"].isin(said["sample"])]
        for model, table in {estimator.entry.name: said, SIMPLE: beside}.items():
            about = {"dataset": plan.dataset, "model": model, "fold": fold.fold}
            about |= {"seed": plan.seed + fold.repeat}
            found = _evaluated(table, cohort, outcomes, fold.train, plan.stratify, **about)
            self._scores += [] if found is None else [found]
            kept = table.drop(
                columns=list(table.filter(regex=f"^{SURVIVAL}_|^class$|^{PROBABILITY}"))
            )
            self._said.append(kept.assign(model=model, fold=fold.fold, repeat=fold.repeat))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return `outcome_scores` and predictions (`outcomes`); nothing without any.

        Scores stand per fold, and their means under `fold` -1: risks of different folds have no
        common scale. Curves of survival have other times in every fold, and are not kept.
        """
        if not self._scores:
            return {}
        scores = with_means(join(self._scores, SCORE_COLUMNS))
        return {"outcome_scores": scores, "outcomes": pd.concat(self._said, ignore_index=True)}


def score_outcomes(
    estimator: Estimator, cohort: MultiOmics, held: pd.Index, **about: str | int
) -> pd.DataFrame | None:
    """Return how well outcomes of held-out samples are predicted; None where nothing is scored.

    Args:
      estimator: fitted.
      cohort: all samples; those not held out weight the scores of survival.
      held: samples to score.
      about: columns of the score table.
    """
    if not estimator.outcomes_.specs:
        return None
    said = estimator.predict(cohort.select_samples(held))
    seen = cohort.samples.difference(held)
    return _evaluated(said, cohort, estimator.outcomes_, seen, None, **about)


def _evaluated(
    said: pd.DataFrame,
    cohort: MultiOmics,
    outcomes: Outcomes,
    seen: pd.Index,
    strata: str | None,
    **about: str | int,
) -> pd.DataFrame | None:
    """Return the scores of predictions; None where no outcome is known of any sample."""
    config = outcomes.config
    columns = OutcomeColumns(
        None, config.time, config.event, config.regress, config.classify, strata
    )
    train = pd.DataFrame(cohort.labels.loc[seen])
    try:
        return evaluate_outcomes(said, cohort.labels, columns, train, **about)
    except NothingScoredError:
        return None


def simple_predictions(outcomes: Outcomes, cohort: MultiOmics, fold: Fold) -> pd.DataFrame:
    """Return what regressions on principal components say of the test samples of a fold.

    Ridge regression for values, logistic regression for classes, and for survival a Cox
    regression with a ridge, which has no curves.

    Args:
      outcomes: what is predicted.
      cohort: all samples.
      fold: whose training samples are learned from.

    Returns:
      A table as `predict` gives it.
    """
    z, asked = view_components(cohort, fold)
    labels, said = cohort.labels.loc[fold.train], {"sample": fold.test, "view": ALL}
    for name in outcomes.scales:
        values = numbers(labels, name)
        known = ~np.isnan(values)
        said[name] = RidgeCV(PENALTIES).fit(z[known], values[known]).predict(asked)
    for name, classes in outcomes.classes.items():
        chances = class_chances(z, class_text(pd.Series(labels[name])), asked, classes)
        said[name] = np.asarray(classes)[chances.argmax(axis=1)]
        said |= {f"{name}_{PROBABILITY}{own}": chances[:, i] for i, own in enumerate(classes)}
    if outcomes.edges:
        seen, known = outcomes.survival(cohort.select_samples(fold.train))
        fitted = fit_cox(z[known], seen, ridge=PENALTY / int(known.sum()))
        said["risk"] = asked @ fitted.coefficients
    return pd.DataFrame(said)


def view_components(cohort: MultiOmics, fold: Fold) -> tuple[np.ndarray, np.ndarray]:
    """Return principal components of all views side by side, in standard deviations.

    Args:
      cohort: all samples; missing cells count as the mean of their feature.
      fold: the components are fitted to its training samples.

    Returns:
      Those of the training and of the test samples, [samples, `COMPONENTS` or fewer].
    """
    whole = np.concatenate([cohort.array(view) for view in cohort.views], axis=1)
    train, test = (whole[cohort.samples.get_indexer(names)] for names in (fold.train, fold.test))
    found = fit_components(train, COMPONENTS, scale=True)
    spread = np.maximum(found.scores.std(axis=0), 1e-12)
    return found.scores / spread, found.place(test) / spread
