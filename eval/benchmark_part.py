"""One method of a benchmark on some folds, in a process of its own; started by `benchmark.py`.

So its memory is its own, and a method that fails or is killed takes nothing with it. The one
argument is JSON: the fields of `Study`, and `method` and `run`, the folds to run. Fold `whole` fits
all samples, for the latent space and the completed tables. What is said of a fold goes into a
folder, and the file `part.json`, which ends it, says what it took or why there is nothing.
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmark_cohorts import COHORTS, Cohort

from jaxomics.comparator import Comparator
from jaxomics.comparators.registry import COMPARATORS
from jaxomics.crossval.modes import (
    HeldOut,
    Method,
    Plan,
    fitted_comparator,
    hold_out,
    model,
    predict,
)
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.engine.timing import peak_gib
from jaxomics.errors import InputError, unknown
from jaxomics.estimator import Estimator
from jaxomics.methods import find, is_comparator
from jaxomics.presets import PRESETS, preset
from jaxomics.presets.comparators import comparator_preset, comparator_presets
from jaxomics.runfolder import Fitted

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
      tested: only the first so many folds are held out; 0 = all.
    """

    data: str
    out: str
    folds: int = 5
    seed: int = 42
    views: tuple[str, ...] = ()
    tested: int = 0

    @property
    def rounds(self) -> range:
        """The numbers of the folds that are held out."""
        return range(min(self.tested or self.folds, self.folds))

    @property
    def dataset(self) -> str:
        """The name of the cohort."""
        return Path(self.data).resolve().name

    @property
    def asked(self) -> Cohort:
        """What is asked of the cohort."""
        known = COHORTS.get(self.dataset, Cohort())
        return known if not self.views else known._replace(views=self.views, scored=())

    def cohort(self) -> MultiOmics:
        """Read the views that methods get."""
        return read_cohort(self.data, views=self.asked.views or None)

    def held(self, cohort: MultiOmics) -> HeldOut:
        """Return folds and hidden cells; they are the same for every method."""
        asked = self.asked
        views = tuple(view for view in asked.scored if view in cohort.views)
        plan = Plan(
            dataset=self.dataset,
            folds=self.folds,
            seed=self.seed,
            stratify=asked.stratify,
            pool_rare=True,
            views=views or tuple(cohort.views),
            linked=tuple(tuple(group.split(",")) for group in asked.linked),
        )
        return hold_out(cohort, plan)


def names() -> list[str]:
    """Return every method, `NAME PRESET`; comparators alone mean their recommended settings."""
    simple = [
        name if kind == "recommended" else f"{name} {kind}"
        for name, method in COMPARATORS.items()
        for kind in comparator_presets(method)
    ]
    ours = [f"{name} {kind}" for name in OURS for kind in PRESETS[name] if "parity" not in kind]
    return [*simple, *ours]


def verbs(name: str) -> tuple[str, ...]:
    """Return what a method can do."""
    return find(name.partition(" ")[0]).verbs


def reconstructs(name: str) -> bool:
    """Tell whether a method estimates cells."""
    return "impute" in verbs(name)


def labelled(name: str) -> bool:
    """Tell whether a method learns from the label that latents are scored against."""
    return "predict" in verbs(name)


def fresh(name: str, label: str | None = None, seed: int = 0) -> Fitted:
    """Return a method to be fitted; no conditionals, as no method has them.

    Args:
      name: of the method.
      label: column of classes, for methods that learn them.
      seed: of the fit.

    Raises:
      InputError: there is no method of this name.
    """
    if name not in names():
        raise unknown("method", name, names())
    kind, _, chosen = name.partition(" ")
    if is_comparator(kind):
        found = comparator_preset(COMPARATORS[kind], chosen or "recommended")
        return Comparator(kind, replace(found, label=label), seed=seed)
    settings = preset(kind, chosen)
    bare = replace(settings.conditionals, columns=())
    settings = replace(settings, conditionals=bare, label=None)
    return Estimator(settings, model=kind, seed=seed)


def as_method(name: str) -> Method:
    """Return a method by its name, as cross-validation takes them."""
    found = fresh(name)
    if isinstance(found, Comparator):
        return fitted_comparator(found.settings, found.entry.name)
    return model(found.settings, found.entry.name)


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
    fitted = fresh(name, study.asked.label, study.seed).fit(cohort)
    if "embed" in verbs(name):
        write_table(fitted.transform(), folder / "latent.parquet", overwrite=True)
    for view, table in fitted.impute().items() if reconstructs(name) else ():
        measured = cohort.table(view)
        whole = measured.where(measured.notna(), table).astype(np.float32)
        write_table(whole, folder / f"{view}.parquet", overwrite=True)


def main(text: str) -> None:
    """Run folds until one fails; an `InputError` ends in `part.json`, others end the process."""
    asked = json.loads(text)
    name, folds = asked.pop("method"), asked.pop("run")
    study = Study(**{**asked, "views": tuple(asked["views"])})
    for fold in folds:
        folder = Path(study.out) / "parts" / name / str(fold)
        folder.mkdir(parents=True, exist_ok=True)
        begun, reason = (time.perf_counter(), time.process_time()), ""
        try:
            if fold == WHOLE:
                run_whole(study, name, folder)
            else:
                run_fold(study, name, fold, folder)
        except InputError as error:
            reason = str(error)
        took = time.perf_counter() - begun[0], time.process_time() - begun[1]
        finish(folder, took, reason, peak_gib())
        if reason:
            return


def finish(folder: Path, took: tuple[float, float | None], reason: str, peak: float | None) -> None:
    """Say what a part took, and why there is nothing; the file appears when it is whole.

    Args:
      folder: of the part.
      took: seconds of the clock, and of the processor.
      reason: why there is nothing, or nothing.
      peak: most memory of the process so far, GiB.
    """
    folder.mkdir(parents=True, exist_ok=True)
    seconds, cpu = (None if each is None else round(each, 2) for each in took)
    about = {"seconds": seconds, "cpu_seconds": cpu, "peak_gib": peak, "reason": reason}
    unfinished = folder / "part.unfinished"
    unfinished.write_text(json.dumps(about) + "\n")
    unfinished.replace(folder / "part.json")


def stay(folder: Path, asked: dict[str, Any], made: str | None = None) -> None:
    """Write what a folder is begun with into its `study.json`, or check that it is the same.

    Args:
      folder: where results are kept, and found again by a command that is repeated.
      asked: what they depend on.
      made: name of a file of results, if a folder with it but without `study.json` is refused.

    Raises:
      InputError: what is there was made with something else.
    """
    path = folder / "study.json"
    if not path.exists() and not (made and (folder / made).exists()):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asked) + "\n")
    begun = json.loads(path.read_text()) if path.exists() else f"nobody knows: no {path.name}"
    if begun != asked:
        raise InputError(
            f"{folder}: expected the study that it was begun with, {begun}, found {asked}; "
            "choose another --out"
        )


def as_argument(study: Study, method: str, folds: Sequence[int | str]) -> str:
    """Return what the process of some parts is given."""
    return json.dumps(asdict(study) | {"method": method, "run": list(folds)})


if __name__ == "__main__":
    main(sys.argv[1])
