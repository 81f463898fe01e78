"""`sweep`: search the settings of a model on one cohort, in groups of trials."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from jaxomics.commands.again import changes
from jaxomics.commands.choose import Model, check_names, check_ranges, choose
from jaxomics.commands.findings import Found, write_findings
from jaxomics.commands.notes import tell
from jaxomics.commands.options import Flag
from jaxomics.commands.train import CONFIG, agree_on, clear_run, refuse_early
from jaxomics.commands.trials import bench_maker, best_settings, prepare_trials
from jaxomics.config import Range, Space, config_hash
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.engine.log import Progress
from jaxomics.engine.processes import ALONE, Processes, is_writer, together
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.models.registry import entry
from jaxomics.presets import Settings, preset
from jaxomics.runfolder import describe_run, same_run, start_run
from jaxomics.search.space import (
    SPACES,
    check_space,
    describe_space,
    ends,
    named_space,
    read_space,
    searchable,
)

if TYPE_CHECKING:
    from jaxomics.search.runner import Base
    from jaxomics.search.study import Search

JOURNAL = "study.log"
"""File in the run folder that holds the study, unless it is kept elsewhere."""


@dataclass(frozen=True)
class Plan:
    """How to search.

    Attributes:
      trials: number of trials in the whole study, whoever trains them.
      group_size: trials that share sizes and train as one program.
      storage: where the study is kept: a journal file, or a database URL such as
        sqlite:///study.db; processes that name the same one share the study. By default a journal
        in the run folder.
      study: name of the study in its storage; the model's by default.
      prune: stop trials that are worse than the median of the others.
      stratify: label column that training and validation samples are balanced by; auto takes the
        label and pools rare values, None nothing.
      pool_rare: let values of --stratify with too few samples count as one.
      group: label column whose values are never divided between training and validation.
      max_replicas: most trials at the same time; by default what fits into memory.
    """

    trials: int
    group_size: int = 8
    storage: str | None = None
    study: str | None = None
    prune: bool = True
    stratify: str | None = "auto"
    pool_rare: Flag = False
    group: str | None = None
    max_replicas: int | None = None

    def __post_init__(self) -> None:
        """Check ranges."""
        for name in ("trials", "group_size", "max_replicas"):
            value = getattr(self, name)
            if value is not None and value < 1:
                shown = name.replace("_", "-")
                raise InputError(f"expected --{shown} of at least 1, found {value}; raise it")


def sweep(
    model: str,
    data: str | Path,
    out: str | Path,
    plan: Plan,
    *,
    settings: Settings | str = "recommended",
    space: Space | str = "default",
    seed: int = 0,
    views: Sequence[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    csv: bool = False,
    quiet: bool = True,
) -> Found | None:
    """Search the settings of a model on a cohort and write a run folder.

    All trials are judged on the same validation samples, by the metric that the model monitors;
    preprocessing is fitted on the training samples. Where several processes train together
    (`engine.processes`), process 0 alone talks to the study and writes.

    Args:
      model: registry name.
      data: folder with one table per view, or an .h5mu or .h5ad file.
      out: run folder to write.
      plan: how to search.
      settings: what is not searched, or the name of a preset.
      space: ranges by field, or the name of one of the model's spaces.
      seed: everything random follows from it.
      views: train on these views only.
      resume: go on with an interrupted search; start where there is none.
      overwrite: replace an existing run folder.
      csv: also write tables as CSV.
      quiet: print neither progress nor notes.

    Returns:
      What was found; None in processes that do not write.

    Raises:
      InputError: unfit data, settings or space, a storage that cannot be reached or holds
        another study, no trial with finite training, or processes that differ in data, settings
        or versions.
    """
    settings = preset(model, settings) if isinstance(settings, str) else settings
    space = named_space(model, space) if isinstance(space, str) else space
    data, out, quiet = Path(data), Path(out), quiet or not is_writer()
    check_ranges(settings, seed)
    _check_space(model, space, settings, seed)
    _check_storage(plan.storage)
    refuse_early(out, resume=resume, overwrite=overwrite)
    cohort = read_cohort(data, views=views)
    asked = Estimator(settings, model=model, seed=seed)
    check_names(settings, cohort)
    trained = prepare_trials(
        asked, cohort, stratify=plan.stratify, group=plan.group, pool_rare=plan.pool_rare
    )
    record = describe_run(asked, cohort, data)
    _agree(record, space, trained, plan)
    if not is_writer():
        _help(trained, cohort, plan)
        return None
    started = resume and (out / CONFIG).exists()
    if started:
        same_run(out, record)
    else:
        clear_run(out, data)
        start_run(out, record | {"space": describe_space(space)})
    tell(trained.notes_, quiet=quiet)
    try:
        search = _open(plan, out, space, trained, record)
    except InputError:
        if not started:
            clear_run(out)
        raise
    judged = f"{trained.model_.monitor} on validation"
    with search:
        _run(search, trained, cohort, plan, out, quiet=quiet)
        return write_findings(out, search, asked, cohort, judged, csv=csv, quiet=quiet)


def command(words: Sequence[str]) -> tuple[Callable[..., Any], str]:
    """Return `sweep` with the options of the model that the words name, and what to call it."""
    choice = choose(words, "sweep")

    def sweep_model(
        model: Model,
        *,
        data: Path,
        out: Path,
        plan: Annotated[Plan, arg(name="")],
        options: Annotated[choice.options, arg(name="")],  # pyright: ignore
        space: tuple[str, ...] = (),
        space_preset: str = "default",
        resume: Flag = False,
        overwrite: Flag = False,
        csv: Flag = False,
        quiet: Flag = False,
        processes: Annotated[Processes, arg(name="")] = ALONE,
    ) -> str | None:
        """Search the settings of a model, in groups of trials that train as one program.

        Prints the command that trains with the best settings.

        Several machines share a search in one of two ways. Started with the same --storage, each
        with another --out, they train groups of their own: for machines that differ, or come and
        go. Started with --coordinator, they train every group together on the devices of all: for
        groups that are too large for one machine, or should end sooner; all stay to the end.

        Args:
          model: whose settings; `jaxomics models` lists the models.
          data: folder with one table per view, or an .h5mu or .h5ad file.
          out: run folder to write.
          plan: how to search.
          options: what is not searched; an option that is given fixes a setting of --space-preset.
          space: what to search beside or instead of --space-preset: FIELD=LOW:HIGH,
            FIELD=LOW:HIGH:log, FIELD=VALUE,VALUE or FIELD=VALUE; layers as in hidden=0.7,0.7/0.4.
          space_preset: named ranges: default, published, or none.
          resume: go on with an interrupted search; start where there is none.
          overwrite: replace an existing run folder.
          csv: also write tables as CSV.
          quiet: print neither progress nor notes.
          processes: machines that train together.
        """
        with together(processes):
            found = sweep(
                model, data, out, plan, settings=options.settings(),
                space=_space(model, space_preset, space, words), seed=options.seed,
                views=options.views, resume=resume, overwrite=overwrite, csv=csv, quiet=quiet,
            )  # fmt: skip
        if found is None:
            return None
        best = out.with_name(f"{out.name}-best")
        start = ["--data", str(data), "--out", str(best), "--preset", options.preset]
        start += ["--seed", str(options.seed)]
        start += ["--views", *options.views] if options.views else []
        changed = changes(found.settings, preset(model, options.preset))
        return shlex.join(["jaxomics", "train", model, *start, *changed])

    return sweep_model, "jaxomics sweep"


def _space(model: str, name: str, words: Sequence[str], command: Sequence[str]) -> dict[str, Range]:
    """Return the ranges of a named space and of `--space`, but for what an option fixes.

    Raises:
      InputError: an unknown space, an unfit range, or a setting that is searched and fixed.
    """
    named = {} if name == "none" and model in SPACES else named_space(model, name)
    own = read_space(words, searchable(entry(model).config, entry(model).hyper))
    given = {word[2:].split("=")[0].replace("-", "_") for word in command if word[:2] == "--"}
    given |= {word.removeprefix("no_") for word in given}
    if both := sorted(given & set(own)):
        raise InputError(
            f"expected {both[0]} as an option or in --space, found both; keep one of them"
        )
    return {field: r for field, r in named.items() if field not in given} | own


def _check_space(model: str, space: Space, settings: Settings, seed: int) -> None:
    """Raise if a space does not fit the model, or holds values that a setting must not have.

    Raises:
      InputError: see `search.space.check_space` and `choose.check_ranges`.
    """
    check_space(space, searchable(entry(model).config, entry(model).hyper))
    for field, limits in space.items():
        for value in ends(limits):
            check_ranges(best_settings(settings, {field: value}), seed)


def _check_storage(storage: str | None) -> None:
    """Raise before anything is read or removed if a storage cannot be used.

    A process that does not talk to the study leaves the storage alone.

    Raises:
      InputError: Optuna is not installed, or the storage cannot be reached.
    """
    try:
        from jaxomics.search.storage import close_storage, open_storage
    except ModuleNotFoundError as error:
        raise InputError(
            f"searching needs {error.name}, which is not installed; install it with "
            '`pip install "jaxomics[search]"`'
        ) from error
    if storage is not None and is_writer():
        close_storage(open_storage(storage))


def _agree(record: dict[str, Any], space: Space, trained: Estimator, plan: Plan) -> None:
    """Check that processes which train together would train the same trials on the same samples.

    Raises:
      InputError: something differs, named.
    """
    more = {
        "space": describe_space(space),
        "validation samples": list(map(str, trained.held_out_)),
        "max replicas": plan.max_replicas,
    }
    agree_on(record | more)


def _open(
    plan: Plan,
    out: Path,
    space: Space,
    trained: Estimator,
    record: dict[str, Any],
) -> "Search":
    """Open the study, or join it where it is about the same."""
    from jaxomics.search.study import Search

    known = searchable(trained.entry.config, trained.entry.hyper)
    identity = {
        "jaxomics version": record["jaxomics"],
        "model": record["model"],
        "data": record["data"]["sha256"],
        "settings": record["settings_hash"],
        "seed": record["seed"],
        "space": config_hash(describe_space(space)),
        "validation samples": config_hash(list(map(str, trained.held_out_))),
    }
    return Search(
        plan.storage or out / JOURNAL,
        plan.study or record["model"],
        space,
        [field for field in space if known[field].part != "hyper"],
        identity=identity,
        seed=record["seed"],
        epochs=trained.settings.train.epochs,
        group_size=plan.group_size,
        prune=plan.prune,
    )


def _run(
    search: "Search",
    trained: Estimator,
    cohort: MultiOmics,
    plan: Plan,
    out: Path,
    *,
    quiet: bool,
) -> None:
    """Train until the study has its trials.

    Raises:
      KeyboardInterrupt: after Ctrl-C, with what to do.
    """
    from jaxomics.search.runner import run_search
    from jaxomics.search.storage import Presence

    use_compilation_cache()
    epochs = trained.settings.train.epochs
    progress = Progress("sweep", plan.trials * epochs, quiet=quiet)
    with Presence(search.study, out) as presence:
        try:
            run_search(
                search,
                presence,
                bench_maker(trained, cohort),
                _base(trained),
                plan.trials,
                seed=trained.seed,
                max_replicas=plan.max_replicas,
                told=lambda done, message: progress.update(round(done * epochs), message),
            )
        except KeyboardInterrupt as stop:
            done = search.count().finished
            raise KeyboardInterrupt(
                f"stopped after {done} of {plan.trials} trials; --resume goes on from there"
            ) from stop
        finally:
            progress.close()


def _help(trained: Estimator, cohort: MultiOmics, plan: Plan) -> None:
    """Train what process 0 draws; all that the other processes do."""
    from jaxomics.search.runner import help_search

    use_compilation_cache()
    make, base = bench_maker(trained, cohort), _base(trained)
    help_search(make, base, seed=trained.seed, max_replicas=plan.max_replicas)


def _base(trained: Estimator) -> "Base":
    """Return the settings that trials start from."""
    from jaxomics.search.runner import Base

    return Base(trained.settings.config, trained.settings.hyper, trained.settings.train)
