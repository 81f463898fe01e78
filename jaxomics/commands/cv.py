"""`cv`: cross-validate one model beside simple methods, all its folds as one program."""

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from tyro.conf import arg

from jaxomics.commands.choose import Model, check_names, check_ranges, choose
from jaxomics.commands.notes import left_out, tell
from jaxomics.commands.options import Flag
from jaxomics.commands.train import CONFIG, agree_on, clear_run, provenance, refuse_early
from jaxomics.comparators import registry
from jaxomics.crossval import MODES, HeldOut, Method, Plan, comparator, hold_out, model, predict
from jaxomics.crossval_classes import ClassVotes
from jaxomics.crossval_scores import score
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, read_table, write_table
from jaxomics.engine.drive import Recorder
from jaxomics.engine.log import Progress
from jaxomics.engine.processes import ALONE, Processes, is_writer, seen_by_writer, together
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.models.registry import entry
from jaxomics.presets import Settings, preset
from jaxomics.report import run_report
from jaxomics.runfolder import describe_run, same_run, start_run
from jaxomics.selection import select

PARTS = "parts"
"""Folder of a run with the tables of the methods that are done, until all are."""


@dataclass(frozen=True)
class Options:
    """How to cross-validate.

    Attributes:
      folds: number of folds.
      repeats: how often the samples are divided anew.
      stratify: label column whose values every fold gets its share of.
      pool_rare: let values of --stratify with fewer samples than folds count as one.
      group: label column whose values stay together, such as the donor of several samples.
      modes: what is withheld from a test sample: nothing (reconstruct), the scored view
        (view_out), or some of its cells (cell_out).
      comparators: simple methods to score beside the model; nothing behind the option: none.
      search: candidates to choose the model's rates and weights from, inside each fold; 0 = take
        them as given.
      bootstrap: draws behind the intervals of per-feature scores; 0 = no intervals.
    """

    folds: int = 5
    repeats: int = 1
    stratify: str | None = None
    pool_rare: Flag = False
    group: str | None = None
    modes: tuple[str, ...] = MODES
    comparators: tuple[str, ...] = ("mean", "softimpute", "knn", "ridge")
    search: int = 0
    bootstrap: int = 200

    def __post_init__(self) -> None:
        """Check names and ranges."""
        for name in self.comparators:
            registry.get(name)
        for what, least in (("search", 2), ("bootstrap", 2)):
            value = getattr(self, what)
            if value != 0 and value < least:
                raise InputError(f"expected --{what} of 0, or {least} or more, found {value}")


def cv(
    model: str,
    data: str | Path,
    out: str | Path,
    options: Options = Options(),
    *,
    settings: Settings | str = "recommended",
    seed: int = 0,
    views: Sequence[str] | None = None,
    max_replicas: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    csv: bool = False,
    quiet: bool = True,
) -> pd.DataFrame | None:
    """Cross-validate a model on a cohort and write a run folder.

    Where several processes train together (`engine.processes`), process 0 scores and writes.

    Args:
      model: registry name.
      data: folder with one table per view, or an .h5mu or .h5ad file.
      out: run folder to write.
      options: how to hold out, and what to score beside.
      settings: what to train, or the name of a preset.
      seed: everything random follows from it.
      views: use these views only.
      max_replicas: most folds and members at a time; by default what fits into memory.
      resume: go on with an interrupted run; start where there is none.
      overwrite: replace an existing run folder.
      csv: also write tables as CSV.
      quiet: print neither progress nor notes.

    Returns:
      The scores; None where `resume` met a finished run, and in processes that do not write.

    Raises:
      InputError: unfit data, settings or folds, a folder that must not be touched, or processes
        that differ in data, settings or versions.
    """
    settings = preset(model, settings) if isinstance(settings, str) else settings
    check_ranges(settings, seed)
    if max_replicas is not None and max_replicas < 1:
        raise InputError(f"expected --max-replicas of at least 1, found {max_replicas}; raise it")
    data, out, quiet = Path(data), Path(out), quiet or not is_writer()
    refuse_early(out, resume=resume, overwrite=overwrite)
    cohort = read_cohort(data, views=views)
    fresh = Estimator(settings, model=model, seed=seed)
    record = describe_run(fresh, cohort, data) | {"command": "cv", "cv": asdict(options)}
    held = hold_out(cohort, _plan(data.stem, cohort, model, settings, seed, options))
    agree_on(record)
    if resume and seen_by_writer((out / CONFIG).exists()):
        if is_writer():
            same_run(out, record)
        if seen_by_writer((out / "report.html").exists()):
            tell([f"{out} is finished: nothing to do"], quiet=quiet)
            return None
    else:
        check_names(settings, cohort)
        clear_run(out, data)
        if is_writer():
            start_run(out, record)
    run = _Run(out, held, provenance(fresh, cohort), csv, quiet)
    tell(held.folds.notes, quiet=quiet)
    run.write("folds", held.folds.table())
    recorder = Recorder(out, resume=resume, quiet=quiet, label=f"{model}, {len(held.folds)} folds")
    with _clean_refusal(out):
        done = [_model_part(run, settings, model, options.search, recorder, max_replicas)]
    if not is_writer():
        return None
    done += [run.part(name, comparator(name)) for name in dict.fromkeys(options.comparators)]
    return _finish(run, done, cohort)


def _plan(
    dataset: str, cohort: MultiOmics, model: str, settings: Settings, seed: int, options: Options
) -> Plan:
    """Return how to hold out.

    Views of one assay, as the settings name them, go together; views that serve as conditionals
    are not scored.
    """
    linked = getattr(settings.config, "linked", ())
    conditions = set(settings.conditionals.columns or ()) - set(cohort.labels.columns)
    return Plan(
        dataset=dataset,
        folds=options.folds,
        repeats=options.repeats,
        seed=seed,
        stratify=options.stratify,
        pool_rare=options.pool_rare,
        group=options.group,
        views=tuple(view for view in cohort.views if view not in conditions),
        linked=tuple(tuple(group.split(",")) for group in linked),
        modes=_sensible(options.modes, model, cohort),
        bootstrap=options.bootstrap,
    )


def _sensible(modes: Sequence[str], model: str, cohort: MultiOmics) -> tuple[str, ...]:
    """Return the modes that mean something for a model and a cohort.

    A view cannot be predicted from others where no sample has two, and a translator does nothing
    but that.

    Raises:
      InputError: none of the modes does.
    """
    left = list(modes)
    if "impute" not in entry(model).verbs:
        left = [mode for mode in left if mode == "view_out"]
    several = sum(cohort.present(view).astype(int) for view in cohort.views)
    if np.max(several) < 2:
        left = [mode for mode in left if mode != "view_out"]
    if modes and not left:
        raise InputError(
            f"expected a mode that says something of {model} on these samples, found "
            f"{', '.join(modes)}: view_out needs samples with two views, the others a model that "
            f"completes views; choose from {', '.join(MODES)}"
        )
    return tuple(left)


@dataclass(frozen=True)
class _Run:
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


def _model_part(
    run: _Run,
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

    votes = ClassVotes(run.held)

    def fitted(estimator: Estimator) -> None:
        assert estimator.result_ is not None
        votes.add(estimator)
        if len(dropped) == 1:
            tell(estimator.notes_, quiet=run.quiet)
        dropped.append(estimator.preprocess_.report)
        timing.update({f"{name} {k}": v for k, v in estimator.result_.seconds.items()})

    def more() -> dict[str, pd.DataFrame]:
        left = pd.concat(dropped, ignore_index=True).drop_duplicates(ignore_index=True)
        rows = pd.DataFrame({"stage": list(timing), "seconds": list(timing.values())})
        return {"dropped": left, "training": rows, **votes.tables()}

    method = model(each, name, recorder=recorder, max_replicas=max_replicas, fitted=fitted)
    return run.part(name, method, more)


def _finish(run: _Run, done: list[dict], cohort: MultiOmics) -> pd.DataFrame:
    """Put the parts of all methods together, draw, report; return the scores."""
    of_classes = [part["class_scores"] for part in done if "class_scores" in part]
    scores = pd.concat([*(part["scores"] for part in done), *of_classes], ignore_index=True)
    timing = [part[name] for part in done for name in ("training", "timing") if name in part]
    tell(left_out(done[0]["dropped"]), quiet=run.quiet)
    run.write("cv", scores)
    run.write("cv_features", pd.concat([part["features"] for part in done], ignore_index=True))
    for name in ("dropped", "classes", "recall", "confusion"):
        if name in done[0]:
            run.write(name, done[0][name])
    run.write("timing", pd.concat(timing, ignore_index=True))
    measured = {view: cohort.view(view).notna() for view in run.held.views}
    run_report(run.out, measured=measured, overwrite=True)
    shutil.rmtree(run.out / PARTS)
    return scores


@contextmanager
def _clean_refusal(out: Path) -> Iterator[None]:
    """Leave no folder where data or settings are refused before anything was trained."""
    try:
        yield
    except InputError:
        if not any(out.rglob("metrics.jsonl")):
            clear_run(out)
        raise


def command(words: Sequence[str]) -> tuple[Callable[..., Any], str]:
    """Return `cv` with the options of the model that the words name, and what to call it."""
    choice = choose(words, "cv")

    def cross_validate_model(
        model: Model,
        *,
        data: Path,
        out: Path,
        how: Annotated[Options, arg(name="")],
        options: Annotated[choice.options, arg(name="")],  # pyright: ignore
        max_replicas: int | None = None,
        resume: Flag = False,
        overwrite: Flag = False,
        csv: Flag = False,
        quiet: Flag = False,
        processes: Annotated[Processes, arg(name="")] = ALONE,
    ) -> str:
        """Cross-validate a model beside simple methods and write a run folder with its report.

        Args:
          model: what to train; `jaxomics models` lists them.
          data: folder with one table per view, or an .h5mu or .h5ad file.
          out: run folder to write.
          how: folds, and what is scored.
          options: what to fit.
          max_replicas: most folds and ensemble members at a time; by default what fits into
            memory. Results do not depend on it.
          resume: go on with an interrupted run; start where there is none.
          overwrite: replace an existing run folder.
          csv: also write tables as CSV.
          quiet: print neither progress nor notes.
          processes: machines that train together.
        """
        with together(processes):
            cv(
                model, data, out, how, settings=options.settings(), seed=options.seed,
                views=options.views, max_replicas=max_replicas, resume=resume,
                overwrite=overwrite, csv=csv, quiet=quiet,
            )  # fmt: skip
        return str(out / "report.html")

    return cross_validate_model, "jaxomics cv"
