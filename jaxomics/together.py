"""Several estimators fitted by one program: the folds, seeds and settings of one model."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax.numpy as jnp

from jaxomics.data.agree import agree
from jaxomics.data.batch import Data, with_targets
from jaxomics.data.container import MultiOmics
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.engine.drive import Halt, Recorder
from jaxomics.engine.state import FitResult
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator, Names
from jaxomics.fitting.training import Job, train_jobs


class Trained(NamedTuple):
    """Trainings done together, before what follows them.

    Attributes:
      data: the cohort as the models read it.
      jobs, results: one per estimator.
    """

    data: Data
    jobs: list[Job]
    results: list[FitResult]


def fit_together(
    estimators: Sequence[Estimator],
    cohort: MultiOmics,
    samples: Sequence[Names | None],
    valid: Sequence[Names | None] | None = None,
    *,
    recorder: Recorder | None = None,
    max_replicas: int | None = None,
) -> Iterator[Estimator]:
    """Fit estimators of one model that differ in training samples, seed or `Hyper`.

    Scaling and conditionals are fitted on each estimator's own training samples. The features
    are those that every one of them keeps (see `data.agree`), since one program has one shape.
    With the fit scope `all` of the preprocessing everything but training sees all samples.
    Where values are normalised by what was fitted to the training samples, estimators with
    different ones do not read the same values, and are fitted one after the other.

    Args:
      estimators: with equal settings but for `hyper`.
      cohort: the data of all.
      samples: training samples of each; None means all.
      valid: samples to watch the training of each on; see `Estimator.fit`.
      recorder: run folder, progress and resuming.
      max_replicas: most replicas at a time; see `engine.replicate.fit_many`.

    Yields:
      The estimators, fitted, in order: what follows training is done when the next one is asked
      for.

    Raises:
      InputError: settings that differ in more than `hyper`; see also `Estimator.fit`.
    """
    if estimators and _read_differently(estimators[0], samples):
        for one, own, watched in zip(
            estimators, samples, valid or [None] * len(estimators), strict=True
        ):
            yield one.fit(cohort, samples=own, valid=watched)
        return
    data, jobs, results = train_together(
        estimators, cohort, samples, valid, recorder=recorder, max_replicas=max_replicas
    )
    for one, job in zip(estimators, jobs, strict=True):
        one.finish(cohort, job.of(data), results.pop(0))
        yield one


def train_together(
    estimators: Sequence[Estimator],
    cohort: MultiOmics,
    samples: Sequence[Names | None],
    valid: Sequence[Names | None] | None = None,
    *,
    recorder: Recorder | None = None,
    max_replicas: int | None = None,
    halt: Halt | None = None,
) -> Trained:
    """Prepare and train, but leave out what follows; arguments as for `fit_together`.

    Args:
      estimators: with equal settings but for `hyper`.
      cohort: the data of all.
      samples: training samples of each.
      valid: samples to watch the training of each on.
      recorder: run folder, progress and resuming.
      max_replicas: most replicas at a time.
      halt: stops replicas; see `fit_many`.
    """
    _check_alike(estimators)
    if _read_differently(estimators[0], samples):
        raise InputError(
            "expected one set of training samples where values are normalised by what is fitted "
            "to them, found several; leave out quantile, batch and covariates, or fit one by one"
        )
    use_compilation_cache()
    _prepare(estimators, cohort, samples, valid or [None] * len(estimators))
    first = estimators[0]
    data = first.data(cohort)
    jobs = [
        one.job(
            data.replace(
                conditionals=jnp.asarray(one.conditionals_.apply(cohort)),
                **with_targets(one.outcomes_.arrays(cohort)),
            )
        )
        for one in estimators
    ]
    results = train_jobs(
        first.model_, data, jobs, first.settings.train,
        recorder=recorder, max_replicas=max_replicas, halt=halt,
    )  # fmt: skip
    return Trained(data, jobs, results)


def _prepare(
    estimators: Sequence[Estimator],
    cohort: MultiOmics,
    samples: Sequence[Names | None],
    valid: Sequence[Names | None],
) -> None:
    """Prepare each estimator on its samples, and let all have the same features and model.

    Estimators on the same samples are prepared once: `hyper` changes nothing in this.
    """
    prepared: dict[tuple, Estimator] = {}
    for one, own, watched in zip(estimators, samples, valid, strict=True):
        same = (one.seed, *(None if names is None else tuple(names) for names in (own, watched)))
        if same in prepared:
            one.prepare_like(prepared[same])
        else:
            one.prepare(cohort, own, watched)
            prepared[same] = one
    agreed = agree([one.preprocess_ for one in estimators])
    for one, preprocess in zip(estimators, agreed, strict=True):
        one.preprocess_ = preprocess
        one.describe(None if one is estimators[0] else estimators[0])


def _read_differently(one: Estimator, samples: Sequence[Names | None]) -> bool:
    """Tell whether normalisation gives estimators on these samples different values to read."""
    settings = one.settings
    if not settings.normalise.fitted or settings.preprocess.fit_scope == "all":
        return False
    return len({None if own is None else tuple(own) for own in samples}) > 1


def _check_alike(estimators: Sequence[Estimator]) -> None:
    """Raise if estimators cannot share a program."""
    if not estimators:
        raise InputError("expected at least one estimator, found none")
    first = estimators[0]
    for one in estimators[1:]:
        for what in (
            "config", "train", "preprocess", "normalise", "conditionals", "label",
            "outcomes", "residual_factors", "novelty",
        ):  # fmt: skip
            if getattr(one.settings, what) != getattr(first.settings, what):
                raise InputError(
                    f"expected estimators that differ in samples, seed or hyper, found another "
                    f"{what}; fit them one after the other"
                )
        if one.entry != first.entry:
            raise InputError("expected estimators of one model, found several; fit one at a time")
