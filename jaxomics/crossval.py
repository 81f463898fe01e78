"""Honest scores on a cohort with holes: three modes, the same folds for every method.

    reconstruct  the held-out sample's own measurements go in, the target view included. This is
                 what the MOSA paper reports; it is auto-encoding of unseen samples.
    view_out     the target view, and the views of the same assay, are withheld: the view is
                 predicted from the other views alone.
    cell_out     a random share of the held-out samples' measured cells is withheld.

Methods are fitted on the training samples of a fold and applied to its test samples. Predictions
of all folds are put together before correlations are taken, feature by feature.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold, StratifiedKFold

from jaxomics.comparators import registry
from jaxomics.data.conditionals import ConditionalsConfig, fit_conditionals
from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError, unknown
from jaxomics.estimator import Estimator
from jaxomics.metrics.correlation import pearson, relative_squared_error
from jaxomics.presets import Settings

MODES = ("reconstruct", "view_out", "cell_out")

Completer = Callable[[MultiOmics], dict[str, np.ndarray]]
"""Samples with holes to every cell of every view, [samples, features], original units."""

Fit = Callable[[MultiOmics, pd.Index, int], Completer]
"""(cohort, training samples, seed) -> completer."""

SCORE_COLUMNS = ["dataset", "model", "fold", "seed", "mode", "view", "metric", "value"]
FEATURE_COLUMNS = [
    "dataset", "model", "fold", "seed", "mode", "view", "feature", "metric", "value", "n",
]  # fmt: skip
POOLED = -1
"""Value of the column `fold` where the test samples of all folds are scored together."""


@dataclass(frozen=True)
class Plan:
    """How to hold out.

    Attributes:
      dataset: name for the score tables.
      folds: number of folds.
      seed: of folds, hidden cells and methods.
      stratify: label column to balance folds by; a value counts as its own stratum where it is
        frequent enough.
      views: views to score; all by default.
      linked: groups of views of one assay, withheld together.
      cell_share: share of cells that `cell_out` hides.
      modes: which modes to run.
    """

    dataset: str
    folds: int = 5
    seed: int = 42
    stratify: str | None = None
    views: tuple[str, ...] = ()
    linked: tuple[tuple[str, ...], ...] = ()
    cell_share: float = 0.15
    modes: tuple[str, ...] = field(default=MODES)


def make_folds(cohort: MultiOmics, plan: Plan) -> list[tuple[pd.Index, pd.Index]]:
    """Return training and test samples of each fold, shuffled with the plan's seed."""
    samples = len(cohort.samples)
    if not 2 <= plan.folds <= samples:
        raise InputError(f"expected 2 to {samples} folds, found {plan.folds}")
    if plan.stratify is None:
        parts = KFold(plan.folds, shuffle=True, random_state=plan.seed).split(cohort.samples)
    else:
        if plan.stratify not in cohort.labels.columns:
            raise unknown("label column", plan.stratify, cohort.labels.columns)
        strata = cohort.labels[plan.stratify].astype("string").fillna("missing")
        counts = strata.map(strata.value_counts())
        strata = strata.where(counts >= plan.folds, "rare")
        splitter = StratifiedKFold(plan.folds, shuffle=True, random_state=plan.seed)
        parts = splitter.split(cohort.samples, strata)
    return [(cohort.samples[train], cohort.samples[test]) for train, test in parts]


def cross_validate(
    cohort: MultiOmics,
    methods: Mapping[str, Fit],
    plan: Plan,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score methods on held-out samples.

    Args:
      cohort: all data.
      methods: fit functions by name; `comparator` and `model` make them.
      plan: how to hold out.
      progress: told what is being done.

    Returns:
      Scores per view (`pearson`: mean over features of r; `relative_error`: mean over features
      of the squared error relative to the training mean's), and scores per feature.
    """
    views = plan.views or tuple(cohort.views)
    truth = {view: cohort.array(view) for view in views}
    means = {view: np.full(truth[view].shape, np.nan, np.float32) for view in views}
    predictions: dict[tuple[str, str, str], np.ndarray] = {}
    scored = {("cell_out", view): np.zeros(truth[view].shape, bool) for view in views}
    for number, (train, test) in enumerate(make_folds(cohort, plan)):
        rows = cohort.samples.get_indexer(test)
        inside = cohort.samples.isin(train)
        for view in views:
            means[view][rows] = _column_means(truth[view][inside])
        hidden = _hidden_cells(cohort, test, views, plan, number)
        for view in views:
            scored["cell_out", view][rows] = hidden[view]
        questions = list(_questions(cohort.select_samples(test), views, hidden, plan))
        for name, fit in methods.items():
            progress(f"fold {number + 1} of {plan.folds}: {name}")
            completer = fit(cohort, train, plan.seed + number)
            for mode, answered, asked in questions:
                output = completer(asked)
                for view in answered:
                    key = (name, mode, view)
                    kept = predictions.setdefault(
                        key, np.full(truth[view].shape, np.nan, np.float32)
                    )
                    kept[rows] = output[view]
    tables = [
        _score(plan, key, cohort.view(key[2]).columns, truth, means, predictions[key], scored)
        for key in predictions
    ]
    features = pd.concat(tables, ignore_index=True)
    return summarise(features), features


def summarise(features: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over features of per-feature scores, one row per view and metric."""
    keys = ["dataset", "model", "fold", "seed", "mode", "view", "metric"]
    return features.groupby(keys, sort=False)["value"].mean().reset_index()[SCORE_COLUMNS]


def comparator(name: str, conditionals: ConditionalsConfig | None = None, clip: float = 0.0) -> Fit:
    """Return the fit function of a simple method.

    Args:
      name: registry name of the comparator.
      conditionals: also give it these conditionals, as one more view; None = views only.
      clip: cut its inputs at so many standard deviations, as MOSA's recommended preset does;
        0 = leave them alone. Scores are always taken on uncut values.
    """
    method = registry.get(name)

    def fit(cohort: MultiOmics, train: pd.Index, seed: int) -> Completer:
        encoded = None if conditionals is None else fit_conditionals(cohort, conditionals, train)

        inside = cohort.select_samples(train)
        limits = {view: _limits(inside.array(view), clip) for view in cohort.views}

        def arrays(samples: MultiOmics) -> dict[str, np.ndarray]:
            tables = {view: np.clip(samples.array(view), *limits[view]) for view in cohort.views}
            return tables if encoded is None else tables | {"conditionals": encoded.apply(samples)}

        fitted = method.fit(arrays(inside), seed)
        return lambda samples: fitted.reconstruct(arrays(samples))

    return fit


def model(settings: Settings, name: str = "mosa") -> Fit:
    """Return the fit function of a model of the registry."""

    def fit(cohort: MultiOmics, train: pd.Index, seed: int) -> Completer:
        estimator = Estimator(settings, model=name, seed=seed).fit(cohort, samples=list(train))

        def complete(samples: MultiOmics) -> dict[str, np.ndarray]:
            tables = estimator.impute(samples, full=True)
            return {
                view: table.reindex(columns=cohort.view(view).columns).to_numpy(np.float32)
                for view, table in tables.items()
            }

        return complete

    return fit


def _questions(
    test: MultiOmics, views: Iterable[str], hidden: Mapping[str, np.ndarray], plan: Plan
) -> Iterator[tuple[str, list[str], MultiOmics]]:
    """Yield mode, views to score, and the test samples with the holes of that mode."""
    views = list(views)
    if "reconstruct" in plan.modes:
        yield "reconstruct", views, test
    if "cell_out" in plan.modes:
        holed = test
        for view in views:
            holed = holed.without_cells(view, hidden[view])
        yield "cell_out", views, holed
    if "view_out" in plan.modes:
        for group in _groups(test, views, plan):
            holed = test
            for view in group:
                holed = holed.without_samples(view, test.samples)
            yield "view_out", [view for view in views if view in group], holed


def _groups(test: MultiOmics, views: list[str], plan: Plan) -> list[tuple[str, ...]]:
    """Return the groups of views to withhold so that each scored view is withheld once."""
    groups: list[tuple[str, ...]] = []
    for view in views:
        group = next((g for g in plan.linked if view in g), (view,))
        group = tuple(member for member in group if member in test.views)
        if group not in groups:
            groups.append(group)
    return groups


def _hidden_cells(
    cohort: MultiOmics, test: pd.Index, views: Iterable[str], plan: Plan, fold: int
) -> dict[str, np.ndarray]:
    """Draw the measured cells of the test samples that `cell_out` hides; the same for everyone.

    At least one cell of a sample stays in each view.
    """
    rng = np.random.default_rng([plan.seed, fold])
    hidden = {}
    part = cohort.select_samples(test)
    for view in views:
        observed = ~np.isnan(part.array(view))
        chosen = (rng.random(observed.shape) < plan.cell_share) & observed
        everything = (chosen == observed).all(axis=1)
        chosen[everything] = False
        hidden[view] = chosen
    return hidden


def _limits(values: np.ndarray, clip: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and largest value allowed per feature: mean +- clip standard deviations."""
    mean = _column_means(values)
    spread = np.sqrt(_column_means((values - mean) ** 2)) if clip else np.full(len(mean), np.inf)
    reach = (clip or 1.0) * np.where(spread > 0, spread, np.inf)
    return mean - reach, mean + reach


def _column_means(values: np.ndarray) -> np.ndarray:
    """Return the mean of the measured cells per feature; 0 where there are none."""
    observed = ~np.isnan(values)
    total = np.where(observed, values, 0.0).sum(axis=0, dtype=np.float64)
    return total / np.maximum(observed.sum(axis=0), 1)


def _score(
    plan: Plan,
    key: tuple[str, str, str],
    columns: pd.Index,
    truth: Mapping[str, np.ndarray],
    means: Mapping[str, np.ndarray],
    predicted: np.ndarray,
    scored: Mapping[tuple[str, str], np.ndarray],
) -> pd.DataFrame:
    """Return r and relative squared error of each feature, in float64."""
    name, mode, view = key
    cells = ~np.isnan(truth[view]) & ~np.isnan(predicted)
    if mode == "cell_out":
        cells &= scored["cell_out", view]
    target = np.where(cells, truth[view], np.nan).astype(np.float64)
    r = pearson(target, predicted.astype(np.float64))
    relative = relative_squared_error(target, predicted.astype(np.float64), means[view])
    head = {"dataset": plan.dataset, "model": name, "fold": POOLED, "seed": plan.seed}
    parts = [
        pd.DataFrame({"feature": columns, "metric": metric, "value": value, "n": cells.sum(axis=0)})
        for metric, value in (("pearson", r), ("relative_error", relative))
    ]
    table = pd.concat(parts, ignore_index=True).assign(**head, mode=mode, view=view)
    return table[FEATURE_COLUMNS]
