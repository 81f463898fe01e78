"""What `cv` writes of each method: its tables, kept one by one so that a run can go on."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from jaxomics.commands.notes import tell
from jaxomics.comparator import Comparator
from jaxomics.crossval.classes import ClassVotes
from jaxomics.crossval.modes import HeldOut, Method, fitted_comparator, model, predict
from jaxomics.crossval.outcomes import OutcomeVotes
from jaxomics.crossval.scores import score
from jaxomics.crossval.selection import select
from jaxomics.data.io import read_table, write_table
from jaxomics.engine.drive import Recorder
from jaxomics.engine.log import Progress
from jaxomics.engine.processes import is_writer, seen_by_writer
from jaxomics.estimator import Estimator
from jaxomics.presets import Settings
from jaxomics.presets.comparators import ComparatorSettings

PARTS = "parts"
"""Folder of a run with the tables of the methods that are done, until all are."""


@dataclass(frozen=True)
class Run:
    """A cross-validation that is being written.

    Attributes:
      out: run folder.
      held: the cohort and its folds.
      about: metadata of the tables.
      csv: also write CSV.
      quiet: print nothing.
    """

    out: Path
    held: HeldOut
    about: dict[str, Any]
    csv: bool
    quiet: bool

    def write(self, name: str, table: pd.DataFrame) -> None:
        """Write a table of the run, in the process that writes."""
        if not is_writer():
            return
        path = self.out / "tables" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_table(table, path, self.about, csv=self.csv, overwrite=True)

    def part(
        self, name: str, method: Method, more: Callable[[], dict[str, pd.DataFrame]] | None = None
    ) -> dict[str, pd.DataFrame]:
        """Return the tables of a method: from an earlier start of the run, or made now.

        Args:
          name: of the method.
          method: how to fit it.
          more: gives further tables, when the method is done. Predictions of a method that has
            them are kept.

        Returns:
          `scores`, `features`, `timing`, and what `more` gives; nothing in a process that only
          helps to train.
        """
        folder = self.out / PARTS / name
        if not folder.is_dir():
            started = time.perf_counter()
            progress = Progress(name, len(self.held.folds), quiet=self.quiet)
            said = predict(self.held, method, lambda done: progress.update(done, "folds predicted"))
            progress.close()
            if not is_writer():
                return {}
            if more is not None:
                self._write_predictions(said)
            scores, features = score(self.held, name, said)
            spent = pd.DataFrame({"stage": [name], "seconds": [time.perf_counter() - started]})
            unfinished = folder.with_name(f".{name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            tables = {"scores": scores, "features": features, "timing": spent}
            tables |= {} if more is None else more()
            for what, table in tables.items():
                write_table(table, unfinished / f"{what}.parquet")
            unfinished.replace(folder)
        return {path.stem: read_table(path) for path in sorted(folder.glob("*.parquet"))}

    def _write_predictions(self, said: dict) -> None:
        """Write out-of-fold predictions, one table per mode and view, and folder per repeat."""
        for (mode, view), values in said.items():
            columns = self.held.cohort.view(view).columns
            for repeat, table in enumerate(values):
                folder = "predictions" if repeat == 0 else f"predictions/repeat_{repeat}"
                frame = pd.DataFrame(table, self.held.cohort.samples, columns)
                self.write(f"{folder}/{mode}_{view}", frame)


def model_part(
    run: Run,
    settings: Settings,
    name: str,
    candidates: int,
    recorder: Recorder,
    max_replicas: int | None,
) -> dict[str, pd.DataFrame]:
    """Return the tables of the model; its predictions are written besides."""
    dropped: list[pd.DataFrame] = [run.held.cohort.dropped]
    timing: dict[str, float] = {}
    each: Settings | list[Settings] = settings
    done = seen_by_writer((run.out / PARTS / name).is_dir())
    if done and not is_writer():
        return {}
    if candidates and not done:
        inner = recorder._replace(
            folder=run.out / "search", label=f"{name}, {candidates} candidates in each fold"
        )
        if is_writer():
            (run.out / "search").mkdir(exist_ok=True)
        started = time.perf_counter()
        found = select(
            run.held, settings, name, candidates, recorder=inner, max_replicas=max_replicas
        )
        timing[f"{name} search"] = time.perf_counter() - started
        run.write("chosen", found.table)
        each = found.settings

    votes, outcomes = ClassVotes(run.held), OutcomeVotes(run.held)

    def fitted(estimator: Estimator) -> None:
        assert estimator.result_ is not None
        votes.add(estimator)
        outcomes.add(estimator)
        if len(dropped) == 1:
            tell(estimator.notes_, quiet=run.quiet)
        dropped.append(estimator.preprocess_.report)
        timing.update({f"{name} {k}": v for k, v in estimator.result_.seconds.items()})

    def more() -> dict[str, pd.DataFrame]:
        left = pd.concat(dropped, ignore_index=True).drop_duplicates(ignore_index=True)
        rows = pd.DataFrame({"stage": list(timing), "seconds": list(timing.values())})
        return {"dropped": left, "training": rows, **votes.tables(), **outcomes.tables()}

    method = model(each, name, recorder=recorder, max_replicas=max_replicas, fitted=fitted)
    return run.part(name, method, more)


def comparator_part(run: Run, settings: ComparatorSettings, name: str) -> dict[str, pd.DataFrame]:
    """Return the tables of a comparator; its predictions are written besides."""
    dropped: list[pd.DataFrame] = [run.held.cohort.dropped]
    votes = ClassVotes(run.held)

    def fitted(found: Comparator) -> None:
        votes.add(found)
        if len(dropped) == 1:
            tell(found.notes_, quiet=run.quiet)
        dropped.append(found.preprocess_.report)

    def more() -> dict[str, pd.DataFrame]:
        left = pd.concat(dropped, ignore_index=True).drop_duplicates(ignore_index=True)
        return {"dropped": left, **votes.tables()}

    return run.part(name, fitted_comparator(settings, name, fitted=fitted), more)
