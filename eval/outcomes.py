"""Cross-validate predicted outcomes: classes, survival and values, with simple methods beside.

    python eval/outcomes.py COHORT --views rna --time os_months --event os_event --strata cohort \\
        --label None --out runs/outcomes.parquet

Trains OmiEmbed on all folds at once, by each preset, and scores its predictions of the held-out
samples. Beside it, on the principal components of the same views (30, missing values as the
mean): logistic regression, ridge regression, and a Cox regression with a ridge penalty, stratified
like the concordance. About a minute per preset and 1,000 samples on 2 cores with small networks.
Expected: docs/results/omiembed.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from scipy.optimize import minimize
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import StratifiedKFold
from tyro.conf import Positional

from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.data.outcomes import OutcomesConfig
from jaxomics.estimator import Estimator
from jaxomics.metrics.classification import ALL
from jaxomics.metrics.outcomes import OutcomeColumns, evaluate_outcomes
from jaxomics.metrics.survival import Outcome
from jaxomics.metrics.tables import SCORE_COLUMNS, join
from jaxomics.presets import Settings, preset
from jaxomics.together import fit_together

COMPONENTS = 30
"""Principal components that the simple methods read."""
PENALTY = 10.0
"""Ridge penalty of the Cox regression, on components in standard deviations."""


@dataclass(frozen=True)
class Options:
    """What to cross-validate.

    Attributes:
      data: cohort folder.
      out: table of scores to write.
      views: views to read; all by default.
      label: class column; None goes without.
      time, event: columns of survival.
      regress: columns of values.
      strata: column of groups inside which the order of events is compared.
      folds: how many.
      seed: of folds and trainings.
      presets: of OmiEmbed.
      epochs: in place of those of the presets.
    """

    data: Positional[Path]
    out: Path
    views: tuple[str, ...] | None = None
    label: str | None = None
    time: str | None = None
    event: str | None = None
    regress: tuple[str, ...] = ()
    strata: str | None = None
    folds: int = 3
    seed: int = 0
    presets: tuple[str, ...] = ("recommended",)
    epochs: int | None = None


def main(options: Options) -> None:
    """Train, score and write."""
    cohort = read_cohort(options.data, views=options.views)
    outcomes = OutcomesConfig(options.time, options.event, options.regress)
    parts = list(divide(cohort, options))
    tables = []
    for name in options.presets:
        estimators = [
            Estimator(chosen(name, outcomes, options), model="omiembed", seed=options.seed)
            for _ in parts
        ]
        fitted = fit_together(estimators, cohort, [train for train, _ in parts])
        for fold, (one, (train, test)) in enumerate(zip(fitted, parts, strict=True)):
            about = {"dataset": options.data.name, "fold": fold, "seed": options.seed}
            said = one.predict(cohort.select_samples(test))
            tables.append(score(said, cohort, train, options, model=name, **about))
            if name == options.presets[0]:
                simple = baselines(one, cohort, train, test, options)
                tables.append(score(simple, cohort, train, options, model="simple", **about))
    scores = join(tables, SCORE_COLUMNS)
    write_table(scores, options.out, {}, overwrite=True)
    print(summary(scores).to_string())


def chosen(name: str, outcomes: OutcomesConfig, options: Options) -> Settings:
    """Return a preset with these outcomes."""
    settings = preset("omiembed", name)
    bins = replace(
        outcomes,
        bins=settings.outcomes.bins,
        grid=settings.outcomes.grid,
        value_scale=settings.outcomes.value_scale,
    )
    train = replace(settings.train, epochs=options.epochs or settings.train.epochs)
    return replace(settings, outcomes=bins, label=options.label, train=train)


def divide(cohort: MultiOmics, options: Options) -> Iterator[tuple[pd.Index, pd.Index]]:
    """Yield training and test samples, balanced by class, event and stratum."""
    columns = [c for c in (options.label, options.event, options.strata) if c]
    if options.time and options.event:
        cohort = cohort.select_samples(
            cohort.samples[(cohort.labels[options.time] > 0) & cohort.labels[options.event].notna()]
        )
    kinds = cohort.labels[columns].astype(str).agg("|".join, axis=1) if columns else None
    folds = StratifiedKFold(options.folds, shuffle=True, random_state=options.seed)
    for train, test in folds.split(cohort.samples, kinds):
        yield cohort.samples[train], cohort.samples[test]


def score(
    said: pd.DataFrame, cohort: MultiOmics, train: pd.Index, options: Options, **about: str | int
) -> pd.DataFrame:
    """Return the scores of a table of predictions."""
    asked = OutcomeColumns(
        options.label, options.time, options.event, options.regress, (), options.strata
    )
    return evaluate_outcomes(said, cohort.labels, asked, cohort.labels.loc[train], **about)


def baselines(
    fitted: Estimator, cohort: MultiOmics, train: pd.Index, test: pd.Index, options: Options
) -> pd.DataFrame:
    """Return what simple methods say of the test samples, as a table of predictions."""
    z, new = components(cohort, train, test)
    truth, said = cohort.labels.loc[train], pd.DataFrame({"sample": test, "view": ALL})
    if options.label:
        known = truth[options.label].notna().to_numpy()
        model = LogisticRegression(max_iter=2000).fit(z[known], truth[options.label][known])
        shares = model.predict_proba(new)
        said["class"] = model.classes_[shares.argmax(axis=1)]
        said[[f"p_{name}" for name in model.classes_]] = shares
        for name in set(fitted.classes_) - set(model.classes_):
            said[f"p_{name}"] = 0.0
    for name in options.regress:
        known = truth[name].notna().to_numpy()
        model = RidgeCV(np.logspace(-1, 4, 20)).fit(z[known], truth[name][known])
        said[name] = model.predict(new)
    if options.time:
        seen, known = fitted.outcomes_.survival(cohort.select_samples(train))
        groups = truth[options.strata].to_numpy()[known] if options.strata else None
        said["risk"] = new @ cox(z[known], seen, groups)
    return said


def components(
    cohort: MultiOmics, train: pd.Index, test: pd.Index
) -> tuple[np.ndarray, np.ndarray]:
    """Return the principal components of all views, in standard deviations, of both sets."""
    tables = [cohort.table(view) for view in cohort.views]
    whole = pd.concat(tables, axis=1, keys=list(cohort.views))
    mean, scale = whole.loc[train].mean(), whole.loc[train].std().replace(0.0, 1.0)
    scaled = ((whole - mean) / scale.fillna(1.0)).fillna(0.0).clip(-10, 10)
    first, second = scaled.loc[train].to_numpy(), scaled.loc[test].to_numpy()
    model = PCA(min(COMPONENTS, *first.shape), random_state=0).fit(first)
    spread = model.transform(first).std(axis=0)
    return model.transform(first) / spread, model.transform(second) / spread


def cox(z: np.ndarray, seen: Outcome, groups: np.ndarray | None) -> np.ndarray:
    """Return the coefficients of a stratified Cox regression with a ridge penalty.

    Breslow's likelihood: sum over events of z b - log sum over those at risk of exp(z b).
    """
    groups = np.zeros(len(z)) if groups is None else groups
    order = [
        np.flatnonzero(groups == group)[np.argsort(-seen.time[groups == group], kind="stable")]
        for group in np.unique(groups)
    ]

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = PENALTY / 2 * b @ b, PENALTY * b
        for rows in order:
            own, event = z[rows], seen.event[rows]
            share = np.exp(own @ b)
            # Those at risk come first: times fall along the rows; equal times share the last sum.
            last = np.searchsorted(-seen.time[rows], -seen.time[rows], "right") - 1
            at_risk = np.cumsum(share)[last]
            moment = np.cumsum(share[:, None] * own, axis=0)[last]
            total -= np.sum((own @ b - np.log(at_risk))[event])
            slope = slope - np.sum((own - moment / at_risk[:, None])[event], axis=0)
        return float(total), slope

    return minimize(loss, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B").x


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Return mean and standard deviation over folds, by outcome, metric and model."""
    keys = ["view", "metric", "model"]
    return pd.DataFrame(
        scores.groupby(keys)["value"].agg(["mean", "std"]).unstack("model").round(3)
    )


if __name__ == "__main__":
    main(tyro.cli(Options))
