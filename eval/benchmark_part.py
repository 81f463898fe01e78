"""One method of a benchmark on some folds, in a process of its own; started by `benchmark.py`.

So its memory is its own, and a method that fails or is killed takes nothing with it. The one
argument is JSON: the fields of `Study`, and `method` and `run`, the folds to run. Fold `whole` fits
all samples, for the latent space and the completed tables. What is said of a fold goes into a
folder, and the file `part.json`, which ends it, says what it took or why there is nothing.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmark_cohorts import COHORTS, Cohort

from jaxomics.comparators import registry
from jaxomics.crossval import HeldOut, Method, Plan, comparator, hold_out, model, predict
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.engine.timing import peak_gib
from jaxomics.errors import InputError, unknown
from jaxomics.estimator import Estimator
from jaxomics.models.registry import MODELS
from jaxomics.presets import PRESETS, Settings, preset

WHOLE = "whole"
"""The fold that is all samples."""

OURS = ("mosa", "move", "jamie", "scvaeit")
"""Models of the registry that complete tables of several views."""


@dataclass(frozen=True)
class Study:
    """What is held out of which cohort.

    Attributes:
      data: folder of tables.
      out: folder of the benchmark.
      folds: number of folds.
      seed: of folds and methods.
      views: what methods read; nothing = what `COHORTS` says.
    """

    data: str
    out: str
    folds: int = 5
    seed: int = 42
    views: tuple[str, ...] = ()

    @property
    def asked(self) -> Cohort:
        """What is asked of the cohort."""
        known = COHORTS.get(Path(self.data).name, Cohort())
        return known if not self.views else known._replace(views=self.views, scored=())

    def cohort(self) -> MultiOmics:
        """Read the views that methods get."""
        return read_cohort(self.data, views=self.asked.views or None)

    def held(self, cohort: MultiOmics) -> HeldOut:
        """Return folds and hidden cells; they are the same for every method."""
        asked = self.asked
        views = tuple(view for view in asked.scored if view in cohort.views)
        plan = Plan(
            dataset=Path(self.data).name,
            folds=self.folds,
            seed=self.seed,
            stratify=asked.stratify,
            pool_rare=True,
            views=views or tuple(cohort.views),
            linked=tuple(tuple(group.split(",")) for group in asked.linked),
        )
        return hold_out(cohort, plan)


def names() -> list[str]:
    """Return every method: the comparators, and the presets of our models."""
    ours = [f"{name} {kind}" for name in OURS if name in MODELS for kind in PRESETS[name]]
    return [*registry.COMPARATORS, *(name for name in ours if "parity" not in name)]


def reconstructs(name: str) -> bool:
    """Tell whether a method estimates cells."""
    known = registry.COMPARATORS.get(name)
    return known is None or known.capabilities.reconstruct


def labelled(name: str) -> bool:
    """Tell whether a method learns from the label that latents are scored against."""
    known = registry.COMPARATORS.get(name)
    return known is not None and known.capabilities.predict


def settings_of(name: str) -> tuple[str, Settings]:
    """Return the model and settings of `MODEL PRESET`; no conditionals, as no method has them.

    Raises:
      InputError: there is no method of this name.
    """
    kind, _, chosen = name.partition(" ")
    if name not in names():
        raise unknown("method", name, names())
    settings = preset(kind, chosen)
    conditionals = replace(settings.conditionals, columns=())
    return kind, replace(settings, conditionals=conditionals, label=None)


def as_method(name: str) -> Method:
    """Return a method by its name."""
    if name in registry.COMPARATORS:
        return comparator(name)
    kind, settings = settings_of(name)
    return model(settings, kind)


def run_fold(study: Study, name: str, fold: int, folder: Path) -> None:
    """Fit one fold, ask it all questions, and write its answers."""
    held = study.held(study.cohort())
    said = predict(held, as_method(name), only=fold)
    rows = [held.cohort.samples.get_indexer(one.test) for one in held.folds][fold]
    arrays: dict[str, Any] = {f"{mode}/{view}": a[0, rows] for (mode, view), a in said.items()}
    with (folder / "said.npz").open("wb") as file:
        np.savez_compressed(file, **arrays)


def run_whole(study: Study, name: str, folder: Path) -> None:
    """Fit all samples; write their latent, and the tables with every hole filled."""
    cohort = study.cohort()
    latent, filled = fit_whole(cohort, study, name)
    if latent is not None:
        write_table(latent, folder / "latent.parquet", overwrite=True)
    for view, values in filled:
        table = cohort.table(view)
        values = table.where(table.notna(), pd.DataFrame(values, table.index, table.columns))
        write_table(values.astype(np.float32), folder / f"{view}.parquet", overwrite=True)


def fit_whole(
    cohort: MultiOmics, study: Study, name: str
) -> tuple[pd.DataFrame | None, Iterator[tuple[str, np.ndarray]]]:
    """Return the latent [samples, dimensions] and the estimates of every view, if there are any."""
    if name in registry.COMPARATORS:
        method = registry.get(name)
        views = {view: cohort.array(view) for view in cohort.views}
        labels = cohort.labels[study.asked.label].to_numpy() if labelled(name) else None
        fitted = method.fit(views, study.seed, labels=labels)
        latent = None if not method.embed else fitted.transform(views)
        found = fitted.reconstruct(views) if reconstructs(name) else {}
        table = None if latent is None else _latent(latent, cohort)
        return table, iter(found.items())
    kind, settings = settings_of(name)
    estimator = Estimator(settings, model=kind, seed=study.seed).fit(cohort)
    tables = estimator.reconstruct(cohort)
    latent = estimator.transform(cohort) if "embed" in estimator.entry.verbs else None
    return latent, (
        (view, table.reindex(columns=cohort.view(view).columns).to_numpy())
        for view, table in tables.items()
    )


def _latent(values: np.ndarray, cohort: MultiOmics) -> pd.DataFrame:
    """Return a latent space as a table."""
    return pd.DataFrame(values, cohort.samples, pd.Index(f"z{i}" for i in range(values.shape[1])))


def main(text: str) -> None:
    """Run folds until one fails; an `InputError` ends in `part.json`, others end the process."""
    asked = json.loads(text)
    name, folds = asked.pop("method"), asked.pop("run")
    study = Study(**{**asked, "views": tuple(asked["views"])})
    for fold in folds:
        folder = Path(study.out) / "parts" / name / str(fold)
        folder.mkdir(parents=True, exist_ok=True)
        begun, reason = time.perf_counter(), ""
        try:
            if fold == WHOLE:
                run_whole(study, name, folder)
            else:
                run_fold(study, name, fold, folder)
        except InputError as error:
            reason = str(error)
        finish(folder, time.perf_counter() - begun, reason, peak_gib())
        if reason:
            return


def finish(folder: Path, seconds: float, reason: str, peak: float | None) -> None:
    """Say what a part took, and why there is nothing; the file appears when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"seconds": round(seconds, 2), "peak_gib": peak, "reason": reason}
    unfinished = folder / "part.unfinished"
    unfinished.write_text(json.dumps(about) + "\n")
    unfinished.replace(folder / "part.json")


def as_argument(study: Study, method: str, folds: Sequence[int | str]) -> str:
    """Return what the process of some parts is given."""
    return json.dumps(asdict(study) | {"method": method, "run": list(folds)})


if __name__ == "__main__":
    main(sys.argv[1])
