"""A search on one cohort: what its trials have in common, and what is trained in the end."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from jaxomics.data.container import MultiOmics
from jaxomics.data.split import make_folds
from jaxomics.engine.state import Train
from jaxomics.estimator import Estimator
from jaxomics.presets import Settings
from jaxomics.search.group import Bench
from jaxomics.search.space import place

VALID = 0.2
"""Share of the samples that judge the trials, where the settings hold none out."""


def prepare_trials(
    asked: Estimator,
    cohort: MultiOmics,
    *,
    stratify: str | None = "auto",
    group: str | None = None,
    pool_rare: bool = False,
) -> Estimator:
    """Return what trials start from: one member, prepared on the training samples.

    One fold of a stratified division is held out; scaling and filters see the others only.

    Args:
      asked: with the settings that are not searched.
      cohort: the data.
      stratify: label column to balance by; `auto` takes the label where it has frequent values,
        and pools the others.
      group: label column whose values are never divided.
      pool_rare: let values of `stratify` that are too rare to balance by count as one.

    Raises:
      InputError: samples that cannot be divided so.
    """
    settings = asked.settings
    share = settings.train.valid_fraction or VALID
    folds = max(2, round(1 / share))
    stratum = _stratum(cohort, settings.label, stratify, folds)
    division = make_folds(
        cohort, folds, seed=asked.seed, stratify=stratum, group=group,
        pool_rare=pool_rare or stratify == "auto",
    )  # fmt: skip
    first = next(iter(division))
    own = replace(
        settings,
        train=replace(settings.train, ensemble=1, valid_fraction=share),
        preprocess=replace(settings.preprocess, fit_scope="train"),
    )
    estimator = Estimator(own, model=asked.entry.name, seed=asked.seed)
    estimator.prepare(cohort, first.train, first.test)
    estimator.notes_ += division.notes
    estimator.describe()
    return estimator


def bench_maker(trained: Estimator, cohort: MultiOmics) -> Callable[[Any, Train], Bench]:
    """Return what makes the bench of a group of trials from its config and train.

    Only the model depends on them: data, scaling and split are made once.

    Args:
      trained: what `prepare_trials` returned.
      cohort: the data.
    """
    data = trained.data(cohort)

    def prepare(config: Any, train: Train) -> Bench:
        settings = replace(trained.settings, config=config, train=train)
        one = Estimator(settings, model=trained.entry.name, seed=trained.seed)
        one.prepare_like(trained)
        one.describe()
        return Bench(one.model_, data, one.standard_, one.split_)

    return prepare


def best_settings(settings: Settings, values: dict[str, Any]) -> Settings:
    """Return the settings asked for with the best values in them, to train on all samples with.

    Samples are held out only where the settings asked for it, or the schedule needs them.

    Args:
      settings: as asked for.
      values: of the best trial, by field.

    >>> from jaxomics.presets import preset
    >>> best_settings(preset("mosa", "paper"), {"latent": 8}).config.latent
    8
    """
    watched = replace(settings.train, valid_fraction=settings.train.valid_fraction or VALID)
    config, hyper, train = place(values, settings.config, settings.hyper, watched)
    if train.schedule != "plateau" and train.stop_patience is None:
        train = replace(train, valid_fraction=settings.train.valid_fraction)
    return replace(settings, config=config, hyper=hyper, train=train)


def _stratum(cohort: MultiOmics, label: str | None, stratify: str | None, folds: int) -> str | None:
    """Return the label column to balance by; `auto` is the label if it has frequent values."""
    if stratify != "auto":
        return stratify
    column = "tissue" if label == "auto" else label
    if column is None or column not in cohort.labels.columns:
        return None
    return column if cohort.labels[column].value_counts().max() >= folds else None
