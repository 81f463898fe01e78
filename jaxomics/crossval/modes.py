"""Honest predictions on a cohort with holes: three modes, the same folds for every method.

    reconstruct  the held-out sample's own measurements go in, the target view included. This is
                 what the MOSA paper reports; it is auto-encoding of unseen samples.
    view_out     the target view, and the views of the same assay, are withheld: the view is
                 predicted from the other views alone.
    cell_out     a random share of the held-out samples' measured cells is withheld.

Methods are fitted on the training samples of a fold and applied to its test samples. A model's
folds are trained by one program. `crossval.scores` scores the predictions of all folds together.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from jaxomics.comparator import Comparator
from jaxomics.comparators import registry
from jaxomics.data.conditionals import ConditionalsConfig, fit_conditionals
from jaxomics.data.container import MultiOmics
from jaxomics.data.split import Fold, Folds, make_folds
from jaxomics.engine.drive import Recorder
from jaxomics.errors import InputError, unknown
from jaxomics.estimator import Estimator
from jaxomics.methods import writes_views
from jaxomics.presets import Settings
from jaxomics.presets.comparators import ComparatorSettings
from jaxomics.together import fit_together

MODES = ("reconstruct", "view_out", "cell_out")

Completer = Callable[[MultiOmics], dict[str, np.ndarray]]
"""Samples with holes to every cell of every view, [samples, features], original units."""

Method = Callable[[MultiOmics, Sequence[Fold], int], Iterable[Completer]]
"""(cohort, folds, seed) -> one completer per fold, fitted on its training samples; fold `i` has
the seed `seed + i`."""

Predictions = dict[tuple[str, str], np.ndarray]
"""By mode and view, float32 [repeats, samples, features]: what the fold that held a sample out
says of it; NaN where nothing was asked or answered."""


@dataclass(frozen=True)
class Plan:
    """How to hold out.

    Attributes:
      dataset: name for the score tables.
      folds: number of folds.
      repeats: how often the samples are divided anew.
      seed: of folds, hidden cells and methods.
      stratify: label column to balance folds by.
      pool_rare: let values of it with fewer samples than folds count as one.
      group: label column whose values stay together, such as the donor of several samples.
      views: views to score; all by default.
      linked: groups of views of one assay, withheld together.
      cell_share: share of cells that `cell_out` hides.
      modes: which modes to run.
      bootstrap: draws behind the intervals of per-feature scores; 0 = no intervals.
    """

    dataset: str
    folds: int = 5
    repeats: int = 1
    seed: int = 42
    stratify: str | None = None
    pool_rare: bool = False
    group: str | None = None
    views: tuple[str, ...] = ()
    linked: tuple[tuple[str, ...], ...] = ()
    cell_share: float = 0.15
    modes: tuple[str, ...] = field(default=MODES)
    bootstrap: int = 0


@dataclass(frozen=True)
class HeldOut:
    """A cohort and what is held out of it: the same for every method.

    Attributes:
      cohort: all data.
      plan: how to hold out.
      folds: who is tested when.
      views: the views to score.
    """

    cohort: MultiOmics
    plan: Plan
    folds: Folds
    views: tuple[str, ...]

    @cached_property
    def truth(self) -> dict[str, np.ndarray]:
        """Measured values, float32 [samples, features] per view."""
        return {view: self.cohort.array(view) for view in self.views}

    @cached_property
    def means(self) -> dict[str, np.ndarray]:
        """Training means, [all folds, features] per view; 0 where nothing is measured."""
        inside = [self.cohort.samples.isin(fold.train) for fold in self.folds]
        return {
            view: np.stack([column_means(truth[rows]) for rows in inside])
            for view, truth in self.truth.items()
        }

    @cached_property
    def hidden(self) -> dict[str, np.ndarray]:
        """Measured cells that `cell_out` hides, bool [repeats, samples, features] per view.

        They are the same for every method, and at least one cell of a sample stays in each view.
        """
        hidden = {
            view: np.zeros((self.plan.repeats, *truth.shape), bool)
            for view, truth in self.truth.items()
        }
        for number, fold in enumerate(self.folds):
            rng = np.random.default_rng([self.plan.seed, number])
            rows = self.cohort.samples.get_indexer(fold.test)
            for view, truth in self.truth.items():
                observed = ~np.isnan(truth[rows])
                chosen = (rng.random(observed.shape) < self.plan.cell_share) & observed
                chosen[(chosen == observed).all(axis=1)] = False
                hidden[view][fold.repeat, rows] = chosen
        return hidden


def hold_out(cohort: MultiOmics, plan: Plan) -> HeldOut:
    """Divide the samples as a plan says.

    Raises:
      InputError: an unknown mode or view, or folds that cannot be made (see `make_folds`).
    """
    for mode in plan.modes:
        if mode not in MODES:
            raise unknown("mode", mode, MODES)
    if not plan.modes:
        raise InputError(f"expected a mode, found none; name one of {', '.join(MODES)}")
    views = plan.views or tuple(cohort.views)
    for view in views:
        cohort.view(view)
    folds = make_folds(
        cohort,
        plan.folds,
        repeats=plan.repeats,
        seed=plan.seed,
        stratify=plan.stratify,
        group=plan.group,
        pool_rare=plan.pool_rare,
    )
    return HeldOut(cohort, plan, folds, views)


def predict(
    held: HeldOut,
    method: Method,
    progress: Callable[[int], None] = lambda _: None,
    only: int | None = None,
) -> Predictions:
    """Return what a method says of each sample in the fold that held it out.

    Args:
      held: the cohort and its folds.
      method: what to fit; `comparator` and `model` make one.
      progress: told how many folds are done.
      only: number of the one fold to run, with the seed that it has among all.
    """
    cohort, folds, seed = held.cohort, list(held.folds), held.plan.seed
    if only is not None:
        folds, seed = [folds[only]], seed + only
    out: Predictions = {}
    for number, (fold, completer) in enumerate(
        zip(folds, method(cohort, folds, seed), strict=True)
    ):
        rows = cohort.samples.get_indexer(fold.test)
        for mode, answered, asked in _questions(held, fold):
            output = completer(asked)
            for view in answered:
                if view in output:
                    shape = (held.plan.repeats, *held.truth[view].shape)
                    kept = out.setdefault((mode, view), np.full(shape, np.nan, np.float32))
                    kept[fold.repeat, rows] = output[view]
        progress(number + 1)
    return out


def comparator(
    name: str, conditionals: ConditionalsConfig | None = None, clip: float = 0.0
) -> Method:
    """Return a simple method, fitted fold by fold.

    Args:
      name: registry name of the comparator.
      conditionals: also give it these conditionals, as one more view; None = views only.
      clip: cut its inputs at so many standard deviations, as MOSA's recommended preset does;
        0 = leave them alone. Scores are always taken on uncut values.
    """
    method = registry.get(name)

    def fit(cohort: MultiOmics, fold: Fold, seed: int) -> Completer:
        encoded = (
            None if conditionals is None else fit_conditionals(cohort, conditionals, fold.train)
        )
        inside = cohort.select_samples(fold.train)
        limits = {view: _limits(inside.array(view), clip) for view in cohort.views}

        def arrays(samples: MultiOmics) -> dict[str, np.ndarray]:
            tables = {view: np.clip(samples.array(view), *limits[view]) for view in cohort.views}
            if encoded is None or not encoded.terms:
                return tables
            return tables | {"conditionals": encoded.apply(samples)}

        fitted = method.fit(arrays(inside), seed)
        return lambda samples: fitted.reconstruct(arrays(samples))

    def fit_each(cohort: MultiOmics, folds: Sequence[Fold], seed: int) -> Iterator[Completer]:
        for number, fold in enumerate(folds):
            yield fit(cohort, fold, seed + number)

    return fit_each


def model(
    settings: Settings | Sequence[Settings],
    name: str = "mosa",
    *,
    recorder: Recorder | None = None,
    max_replicas: int | None = None,
    fitted: Callable[[Estimator], None] = lambda _: None,
) -> Method:
    """Return a model of the registry as a method whose folds are trained by one program.

    Args:
      settings: of all folds, or of each; they may differ in `hyper`.
      name: registry name.
      recorder: run folder, progress and resuming.
      max_replicas: most replicas at a time.
      fitted: shown each fold's estimator.
    """

    def fit(cohort: MultiOmics, folds: Sequence[Fold], seed: int) -> Iterator[Completer]:
        each = [settings] * len(folds) if isinstance(settings, Settings) else settings
        fresh = [
            Estimator(own, model=name, seed=(seed + number) % 2**32)
            for number, own in enumerate(each)
        ]
        train = [fold.train for fold in folds]
        for estimator in fit_together(
            fresh, cohort, train, recorder=recorder, max_replicas=max_replicas
        ):
            fitted(estimator)
            yield _completer(estimator, cohort)

    return fit


def fitted_comparator(
    settings: ComparatorSettings,
    name: str,
    *,
    fitted: Callable[[Comparator], None] = lambda _: None,
) -> Method:
    """Return a comparator with settings of its own as a method, fitted fold by fold.

    Args:
      settings: of all folds.
      name: registry name.
      fitted: shown each fold's comparator.
    """

    def fit_each(cohort: MultiOmics, folds: Sequence[Fold], seed: int) -> Iterator[Completer]:
        for number, fold in enumerate(folds):
            found = Comparator(name, settings, seed=(seed + number) % 2**32)
            fitted(found.fit(cohort, samples=fold.train))
            yield _completer(found, cohort)

    return fit_each


def _completer(estimator: Estimator | Comparator, cohort: MultiOmics) -> Completer:
    """Return what is fitted as a function of samples with holes; it may write no view at all."""
    if not writes_views(estimator.entry.name):
        return lambda samples: {}

    def complete(samples: MultiOmics) -> dict[str, np.ndarray]:
        tables = estimator.reconstruct(samples)
        return {
            view: table.reindex(columns=cohort.view(view).columns).to_numpy(np.float32)
            for view, table in tables.items()
        }

    return complete


def _questions(held: HeldOut, fold: Fold) -> Iterator[tuple[str, list[str], MultiOmics]]:
    """Yield mode, views to score, and the test samples with the holes of that mode."""
    views, modes = list(held.views), held.plan.modes
    test = held.cohort.select_samples(fold.test)
    if "reconstruct" in modes:
        yield "reconstruct", views, test
    if "cell_out" in modes:
        holed, rows = test, held.cohort.samples.get_indexer(test.samples)
        for view in views:
            holed = holed.without_cells(view, held.hidden[view][fold.repeat, rows])
        yield "cell_out", views, holed
    if "view_out" in modes:
        for group in _groups(test.views, views, held.plan.linked):
            holed = test
            for view in group:
                holed = holed.without_samples(view, test.samples)
            yield "view_out", [view for view in views if view in group], holed


def _groups(
    known: Mapping[str, pd.DataFrame], views: list[str], linked: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """Return the groups of views to withhold so that each scored view is withheld once."""
    groups: list[tuple[str, ...]] = []
    for view in views:
        group = next((g for g in linked if view in g), (view,))
        group = tuple(member for member in group if member in known)
        if group not in groups:
            groups.append(group)
    return groups


def _limits(values: np.ndarray, clip: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and largest value allowed per feature: mean +- clip standard deviations."""
    mean = column_means(values)
    spread = np.sqrt(column_means((values - mean) ** 2)) if clip else np.full(len(mean), np.inf)
    reach = (clip or 1.0) * np.where(spread > 0, spread, np.inf)
    return mean - reach, mean + reach


def column_means(values: np.ndarray) -> np.ndarray:
    """Return the mean of the measured cells per feature; 0 where there are none."""
    observed = ~np.isnan(values)
    total = np.where(observed, values, 0.0).sum(axis=0, dtype=np.float64)
    return total / np.maximum(observed.sum(axis=0), 1)
