"""`cv`: cross-validate one model beside simple methods, all its folds as one program."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from tyro.conf import arg

from jaxomics.commands.choose import Model, check_names, check_ranges, choose
from jaxomics.commands.compare import choose_comparator, comparator_settings
from jaxomics.commands.cv_parts import PARTS, Run, comparator_part, model_part
from jaxomics.commands.notes import left_out, tell
from jaxomics.commands.options import Flag
from jaxomics.commands.train import CONFIG, agree_on, clear_run, provenance, refuse_early
from jaxomics.comparator import Comparator
from jaxomics.comparators import registry
from jaxomics.crossval.modes import (
    MODES,
    Plan,
    comparator,
    hold_out,
)
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort
from jaxomics.data.normalise import as_logarithms
from jaxomics.engine.drive import Recorder
from jaxomics.engine.processes import ALONE, Processes, is_writer, seen_by_writer, together
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.methods import find, is_comparator, writes_views
from jaxomics.metrics.tables import SCORE_COLUMNS, join
from jaxomics.presets import Settings, preset
from jaxomics.presets.comparators import ComparatorSettings
from jaxomics.report.run import run_report
from jaxomics.runfolder import Fitted, describe_run, same_run, start_run


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
            if not registry.get(name).capabilities.reconstruct:
                raise InputError(
                    f"expected --comparators that complete views, found {name}; cross-validate it "
                    f"by itself with `jaxomics cv {name}`"
                )
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
    settings: Settings | ComparatorSettings | str = "recommended",
    seed: int = 0,
    views: Sequence[str] | None = None,
    max_replicas: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    csv: bool = False,
    quiet: bool = True,
) -> pd.DataFrame | None:
    """Cross-validate a model or comparator on a cohort and write a run folder.

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
    if is_comparator(model):
        settings = comparator_settings(model, settings)
    settings = preset(model, settings) if isinstance(settings, str) else settings
    check_ranges(settings, seed)
    if options.search and is_comparator(model):
        raise InputError(f"expected --search 0, found {options.search}: {model} is not searched")
    if max_replicas is not None and max_replicas < 1:
        raise InputError(f"expected --max-replicas of at least 1, found {max_replicas}; raise it")
    data, out, quiet = Path(data), Path(out), quiet or not is_writer()
    refuse_early(out, resume=resume, overwrite=overwrite)
    cohort = read_cohort(data, views=views)
    fresh = _fresh(settings, model, seed)
    record = describe_run(fresh, cohort, data) | {"command": "cv", "cv": asdict(options)}
    scored = cohort
    if isinstance(settings, Settings):
        settings, scored = _one_scale(settings, cohort, options)
    held = hold_out(scored, _plan(data.stem, cohort, model, settings, seed, options))
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
    run = Run(out, held, provenance(fresh, cohort), csv, quiet)
    tell(held.folds.notes, quiet=quiet)
    run.write("folds", held.folds.table())
    recorder = Recorder(out, resume=resume, quiet=quiet, label=f"{model}, {len(held.folds)} folds")
    with _clean_refusal(out):
        if isinstance(settings, ComparatorSettings):
            done = [comparator_part(run, settings, model)]
        else:
            done = [model_part(run, settings, model, options.search, recorder, max_replicas)]
    if not is_writer():
        return None
    beside = dict.fromkeys(options.comparators if writes_views(model) else ())
    done += [run.part(name, comparator(name)) for name in beside if name != model]
    return _finish(run, done, cohort)


def _one_scale(
    settings: Settings, cohort: MultiOmics, options: Options
) -> tuple[Settings, MultiOmics]:
    """Return settings and cohort with the logarithms of counts taken, for all methods alike.

    Raises:
      InputError: steps that give every fold values of its own to be scored against.
    """
    normalise = settings.normalise
    if normalise.fitted and options.modes:
        raise InputError(
            "expected no --quantile, --batch or --covariates in cv, found some: they change the "
            "values to score against in every fold; leave them out, or train with --hold-out"
        )
    if normalise.scale != "counts":
        return settings, cohort
    scored, left = as_logarithms(cohort, normalise)
    return replace(settings, normalise=left), scored


def _fresh(settings: Settings | ComparatorSettings, model: str, seed: int) -> Fitted:
    """Return what is to be fitted, to be described in the run folder."""
    if isinstance(settings, ComparatorSettings):
        return Comparator(model, settings, seed=seed)
    return Estimator(settings, model=model, seed=seed)


def _plan(
    dataset: str,
    cohort: MultiOmics,
    model: str,
    settings: Settings | ComparatorSettings,
    seed: int,
    options: Options,
) -> Plan:
    """Return how to hold out.

    Views of one assay, as the settings name them, go together; views that serve as conditionals
    are not scored.
    """
    holder = settings if isinstance(settings, ComparatorSettings) else settings.config
    linked = getattr(holder, "linked", ())
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
    but that. What writes no view is scored on classes alone, whatever the mode.

    Raises:
      InputError: none of the modes does.
    """
    left = list(modes)
    if not writes_views(model):
        return tuple(left)
    if "impute" not in find(model).verbs:
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


def _finish(run: Run, done: list[dict], cohort: MultiOmics) -> pd.DataFrame:
    """Put the parts of all methods together, draw, report; return the scores."""
    kinds = ("scores", "class_scores", "outcome_scores")
    found = [part[kind] for kind in kinds for part in done if kind in part]
    scores = join([table for table in found if len(table)], SCORE_COLUMNS)
    timing = [part[name] for part in done for name in ("training", "timing") if name in part]
    tell(left_out(done[0]["dropped"]), quiet=run.quiet)
    run.write("cv", scores)
    run.write("cv_features", pd.concat([part["features"] for part in done], ignore_index=True))
    for name in ("dropped", "classes", "recall", "confusion", "outcomes"):
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
    named = bool(words) and is_comparator(words[0])
    choice = choose_comparator(words) if named else choose(words, "cv")

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
