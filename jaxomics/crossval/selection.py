"""Settings chosen inside each fold, from its training samples alone (nested cross-validation).

Every outer training set is divided once more. All candidates of all outer folds are replicas of
one training; a fold takes the candidate with the best validation loss on its inner samples. The
outer test samples are seen by nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from jaxomics.crossval.modes import HeldOut
from jaxomics.data.split import Fold, make_folds
from jaxomics.engine.drive import Recorder, Rows
from jaxomics.engine.state import FitResult
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.models.registry import entry
from jaxomics.presets import Settings
from jaxomics.search.space import draw, named_space, place
from jaxomics.together import train_together

INNER_SHARE = 0.2
"""Share of an outer training set that judges the candidates, where the settings hold none out."""


@dataclass(frozen=True)
class Selection:
    """What was chosen.

    Attributes:
      settings: of each outer fold.
      table: one row per outer fold: repeat, fold, candidate (0 = the settings given), validation
        loss, and the chosen `Hyper`.
    """

    settings: list[Settings]
    table: pd.DataFrame


def select(
    held: HeldOut,
    settings: Settings,
    name: str,
    candidates: int,
    *,
    recorder: Recorder | None = None,
    max_replicas: int | None = None,
) -> Selection:
    """Choose the `Hyper` of each outer fold among random candidates.

    The first candidate is the one given; the others are drawn from the space `default` of the
    model, the same for every fold. A candidate whose training diverges is out.

    Args:
      held: the cohort and its outer folds.
      settings: of all candidates but for `hyper`; candidates have one ensemble member each.
      name: registry name of the model.
      candidates: how many.
      recorder: where the trainings leave their traces.
      max_replicas: most replicas at a time.

    Raises:
      InputError: fewer than 2 candidates, or all of a fold diverged.
    """
    if candidates < 2:
        raise InputError(f"expected 2 or more candidates to choose from, found {candidates}")
    pool = draw_candidates(settings, name, candidates, held.plan.seed)
    outer = list(held.folds)
    parts = [_divide(held, settings, fold, number) for number, fold in enumerate(outer)]
    single = replace(settings, train=replace(settings.train, ensemble=1))
    fresh = [
        Estimator(replace(single, hyper=hyper), model=name, seed=(held.plan.seed + i) % 2**32)
        for i in range(len(outer))
        for hyper in pool
    ]
    results = train_together(
        fresh,
        held.cohort,
        [train for train, _ in parts for _ in pool],
        [valid for _, valid in parts for _ in pool],
        recorder=recorder,
        max_replicas=max_replicas,
        halt=_diverged,
    ).results
    monitor = fresh[0].model_.monitor
    loss = [validation_loss(one, monitor, settings.train.restore_best) for one in results]
    losses = np.array(loss).reshape(len(outer), candidates)
    return _choose(outer, pool, losses, settings)


def draw_candidates(settings: Settings, name: str, candidates: int, seed: int) -> list[Any]:
    """Return the settings' own `Hyper` and others from the model's space `default`."""
    own = {field.name for field in fields(entry(name).hyper)}
    space = {key: limits for key, limits in named_space(name, "default").items() if key in own}
    rng = np.random.default_rng([seed, candidates])
    drawn = [place(draw(space, rng), settings.hyper)[0] for _ in range(candidates - 1)]
    return [settings.hyper, *drawn]


def validation_loss(result: FitResult, monitor: str, restore_best: bool) -> float:
    """Return what the parameters that a training keeps score on its validation samples."""
    found = [row[monitor] for row in result.history if row["split"] == "valid"]
    if not found or not np.isfinite(found).all():
        return np.inf
    return min(found) if restore_best else found[-1]


def _divide(held: HeldOut, settings: Settings, fold: Fold, number: int) -> tuple:
    """Return training and validation samples inside an outer training set."""
    plan = held.plan
    inside = held.cohort.select_samples(fold.train)
    groups = held.folds.groups[held.cohort.samples.isin(fold.train)]
    share = settings.train.valid_fraction or INNER_SHARE
    count = min(max(round(1 / share), 2), len(np.unique(groups)))
    if count < 2:
        raise InputError(
            f"fold {fold.fold} of repeat {fold.repeat}: expected training samples of two or more "
            f"values of {plan.group!r}, to choose settings between them, found one; ask for more "
            "folds, or for no search"
        )
    # What is frequent enough for the outer folds may be rare inside one of them.
    stratify = plan.stratify
    if stratify and inside.labels[stratify].value_counts().max() < count:
        stratify = None
    inner = make_folds(
        inside, count, seed=plan.seed + number, stratify=stratify, group=plan.group, pool_rare=True
    )
    first = next(iter(inner))
    return first.train, first.test


def _diverged(rows: Rows) -> Sequence[int]:
    """Return the replicas with a metric that is not finite."""
    return sorted({row["replica"] for row in rows if not np.isfinite(_numbers(row)).all()})


def _numbers(row: dict[str, Any]) -> list[float]:
    """Return the metrics of a row."""
    return [value for value in row.values() if isinstance(value, float)]


def _choose(
    outer: list[Fold], pool: list[Any], losses: np.ndarray, settings: Settings
) -> Selection:
    """Return the candidate of the least loss [folds, candidates] of each fold."""
    chosen, rows = [], []
    for fold, own in zip(outer, losses, strict=True):
        best = int(np.argmin(own))
        if not np.isfinite(own[best]):
            raise InputError(
                f"all {len(pool)} candidates diverged in fold {fold.fold} of repeat {fold.repeat}; "
                "lower the learning rate, or look for extreme values with `jaxomics inspect`"
            )
        hyper = pool[best]
        chosen.append(replace(settings, hyper=hyper))
        about = {"repeat": fold.repeat, "fold": fold.fold, "candidate": best}
        rows.append(about | {"validation": own[best]} | _by_name(hyper))
    return Selection(chosen, pd.DataFrame(rows))


def _by_name(hyper: Any) -> dict[str, float]:
    """Return the numbers of a `Hyper`; those of a dict field are called FIELD.KEY."""
    values = {}
    for field in fields(hyper):
        value = getattr(hyper, field.name)
        parts = value if isinstance(value, dict) else {"": value}
        values |= {f"{field.name}.{key}".rstrip("."): float(v) for key, v in parts.items()}
    return values
