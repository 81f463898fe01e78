"""`train`: fit one model to a cohort and leave a run folder."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from tyro.conf import arg

from jaxomics.commands.choose import Model, check_names, check_ranges, choose
from jaxomics.commands.held_out import hold_out_by, score_held_out
from jaxomics.commands.notes import left_out, tell
from jaxomics.commands.options import Flag
from jaxomics.comparator import Comparator
from jaxomics.config import config_hash
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.engine.fit import Recorder
from jaxomics.engine.processes import ALONE, Processes, agree, is_writer, seen_by_writer, together
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.methods import is_comparator
from jaxomics.presets import Settings, preset
from jaxomics.presets.comparators import ComparatorSettings
from jaxomics.report.run import run_report
from jaxomics.runfolder import (
    Fitted,
    describe_run,
    describe_start,
    finish_run,
    load_run,
    same_run,
    start_run,
)

CONFIG = "config.json"
"""The file that makes a folder a run folder."""


def train(
    model: str,
    data: str | Path,
    out: str | Path,
    *,
    settings: Settings | ComparatorSettings | str | None = None,
    seed: int = 0,
    views: Sequence[str] | None = None,
    start: str | Path | None = None,
    hold_out: str | Path | None = None,
    stream: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    csv: bool = False,
    quiet: bool = True,
) -> Estimator | Comparator | None:
    """Train a model or comparator on a cohort and write a run folder.

    Where several processes train together (`engine.processes`), process 0 writes.

    Args:
      model: registry name.
      data: folder with one table per view, or an .h5mu or .h5ad file.
      out: run folder to write.
      settings: what to train, or the name of a preset; by default `recommended`, or what the run
        to start from was trained with.
      seed: everything random follows from it.
      views: train on these views only.
      start: run folder of the same model to go on from (fine-tuning).
      hold_out: file with samples to leave out and to score; chosen and written where there is none.
      stream: read a folder of parquet tables batch by batch; see `commands.stream`.
      resume: go on with an interrupted run; start where there is none.
      overwrite: replace an existing run folder.
      csv: also write tables as CSV.
      quiet: print neither progress nor notes.

    Returns:
      The fitted estimator or comparator; None where `resume` met a finished run.

    Raises:
      InputError: unfit data or settings, a folder that must not be touched, or processes that
        differ in data, settings or versions.
    """
    if is_comparator(model):
        from jaxomics.commands.compare import train_comparator

        if start is not None or stream or hold_out is not None:
            raise InputError(f"expected no start, stream or hold-out: {model} is fitted in one go")
        return train_comparator(
            model, data, out, settings=settings or "recommended", seed=seed, views=views,
            resume=resume, overwrite=overwrite, csv=csv, quiet=quiet,
        )  # fmt: skip
    before = None if start is None else _load_start(start, model)
    settings = settings or (before.settings if before else "recommended")
    settings = preset(model, settings) if isinstance(settings, str) else settings
    assert isinstance(settings, Settings)
    check_ranges(settings, seed)
    data, out, quiet = Path(data), Path(out), quiet or not is_writer()
    if stream:
        from jaxomics.commands.stream import train_stored

        if before is not None or hold_out is not None:
            raise InputError("expected --stream alone: --start and --hold-out train in memory")
        return train_stored(
            model, data, out, settings, seed=seed, views=views,
            resume=resume, overwrite=overwrite, csv=csv, quiet=quiet,
        )  # fmt: skip
    refuse_early(out, resume=resume, overwrite=overwrite)
    cohort = read_cohort(data, views=views)
    estimator = Estimator(settings, model=model, seed=seed)
    record = describe_run(estimator, cohort, data)
    record |= {} if start is None else {"start": describe_start(Path(start))}
    held = None
    if hold_out is not None:
        held, notes = hold_out_by(Path(hold_out), data, cohort, seed)
        tell(notes, quiet=quiet)
        record["hold_out"] = config_hash(list(held))
    agree_on(record)
    check_names(settings, cohort)
    if not _begin(out, data, record, resume=resume, quiet=quiet):
        return None
    recorder = Recorder(out, resume=resume, quiet=quiet, label=model)
    fit_recorded(estimator, cohort, recorder, before, held)
    if not is_writer():
        return estimator
    finish_run(out, estimator)
    tell([*estimator.notes_, *left_out(dropped_table(estimator, cohort))], quiet=quiet)
    write_run_tables(out, estimator, cohort, csv=csv)
    write_report(out, estimator, cohort)
    return estimator


def _load_start(start: str | Path, model: str) -> Estimator:
    """Return the estimator of a run to go on from; raises `InputError` if it is a comparator's."""
    found = load_run(start)
    if isinstance(found, Comparator):
        raise InputError(f"expected a run of {model} at {start}, found one of {found.entry.name}")
    return found


def _begin(out: Path, data: Path, record: dict[str, Any], *, resume: bool, quiet: bool) -> bool:
    """Make a run folder, or check the one to go on with; False where its run is finished.

    Raises:
      InputError: the run to go on with differs in settings or data.
    """
    if not (resume and seen_by_writer((out / CONFIG).exists())):
        clear_run(out, data)
        if is_writer():
            start_run(out, record)
        return True
    if is_writer():
        same_run(out, record)
    if seen_by_writer(is_finished(out)):
        tell([f"{out} is finished: nothing to do"], quiet=quiet)
        return False
    return True


def command(words: Sequence[str]) -> tuple[Callable[..., Any], str]:
    """Return `train` with the options of the model that the words name, and what to call it."""
    if words and is_comparator(words[0]):
        from jaxomics.commands.compare import train_command

        return train_command(words)
    choice = choose(words, "train")

    def train_model(
        model: Model,
        *,
        data: Path,
        out: Path,
        options: Annotated[choice.options, arg(name="")],  # pyright: ignore
        start: Path | None = None,
        hold_out: Path | None = None,
        stream: Flag = False,
        resume: Flag = False,
        overwrite: Flag = False,
        csv: Flag = False,
        quiet: Flag = False,
        processes: Annotated[Processes, arg(name="")] = ALONE,
    ) -> str:
        """Train a model on a cohort and write a run folder with its report.

        Args:
          model: what to train; `jaxomics models` lists them.
          data: folder with one table per view, or an .h5mu or .h5ad file.
          out: run folder to write.
          options: what to fit.
          start: run folder of the same model to go on from, with its settings as defaults
            (fine-tuning).
          hold_out: .csv or .parquet file with samples that are left out and scored, whole donors;
            chosen, a fifth of them, and written where there is none. Use one for all models.
          stream: read a folder of parquet tables batch by batch, for data larger than memory.
          resume: go on with an interrupted run; start where there is none.
          overwrite: replace an existing run folder.
          csv: also write tables as CSV.
          quiet: print neither progress nor notes.
          processes: machines that train together.
        """
        with together(processes):
            train(
                model, data, out, settings=options.settings(), seed=options.seed,
                views=options.views, start=start, hold_out=hold_out, stream=stream,
                resume=resume, overwrite=overwrite, csv=csv, quiet=quiet,
            )  # fmt: skip
        return str(out / "report.html")

    return train_model, "jaxomics train"


def agree_on(record: dict[str, Any]) -> None:
    """Check that processes which train together have the same data, settings and versions.

    Args:
      record: what `describe_run` returns.

    Raises:
      InputError: something differs, named.
    """
    own = {name: value for name, value in record.items() if name not in ("data", "settings")}
    for name, value in {**own, **record["settings"]}.items():
        agree(json.dumps(value), f"{name} settings" if name in record["settings"] else name)
    agree(record["data"]["sha256"], "data")


def fit_recorded(
    estimator: Estimator,
    cohort: MultiOmics,
    recorder: Recorder,
    start: Estimator | None = None,
    held: pd.Index | None = None,
) -> None:
    """Fit with traces in a run folder; where data or settings are refused, none are left.

    Args:
      estimator: to fit.
      cohort: all samples.
      recorder: with the run folder.
      start: fitted, to go on from.
      held: samples to leave out, which then are those held out; None leaves out none but those
        that training is watched on.

    Raises:
      InputError: see `Estimator.fit`.
    """
    assert recorder.folder is not None
    try:
        samples = None if held is None else cohort.samples.difference(held)
        estimator.fit(cohort, samples=samples, start=start, recorder=recorder)
        estimator.held_out_ = estimator.held_out_ if held is None else held
    except InputError:
        if not (recorder.folder / "metrics.jsonl").exists():
            clear_run(recorder.folder)
        raise


def refuse_early(out: Path, *, resume: bool, overwrite: bool) -> None:
    """Raise if a run must not be written to a folder; a process that does not write never does.

    Raises:
      InputError: it is a file, holds something else than a run, or holds a run and neither
        `resume` nor `overwrite` is given, or both are.
    """
    if not is_writer():
        return
    if resume and overwrite:
        raise InputError("expected --resume or --overwrite, found both; choose one")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder to write to, found a file; choose another name")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not _is_run(out):
        raise InputError(
            f"{out} holds files but is no run folder (no {CONFIG} of a run); choose another name"
        )
    if not (resume or overwrite):
        raise InputError(
            f"{out} exists; choose another name, go on with --resume, or replace it with "
            "--overwrite"
        )


def clear_run(out: Path, data: Path | None = None) -> None:
    """Remove a run folder; what is no run folder, or holds the data, stays.

    Of several processes that train together one does.

    Raises:
      InputError: the data lie in the folder.
    """
    if not is_writer() or not _is_run(out):
        return
    if data is not None and data.resolve().is_relative_to(out.resolve()):
        raise InputError(f"{data} lies in {out}, which would be removed; choose another --out")
    shutil.rmtree(out)


def is_finished(out: Path) -> bool:
    """Tell whether a run went to its end: the report is its last file."""
    stored = (out / "checkpoints" / name for name in ("model.npz", "comparator.npz"))
    return any(path.exists() for path in stored) and (out / "report.html").exists()


def provenance(estimator: Fitted, cohort: MultiOmics) -> dict[str, Any]:
    """Return what stands in the metadata of tables: model, seed, settings, data, version."""
    record = describe_run(estimator, cohort, None)
    return {
        "jaxomics": record["jaxomics"],
        "model": record["model"],
        "seed": record["seed"],
        "settings_hash": record["settings_hash"],
        "data_sha256": record["data"]["sha256"],
    }


def write_run_tables(out: Path, estimator: Estimator, cohort: MultiOmics, csv: bool) -> None:
    """Write `tables/` of a finished run: latent, views, dropped, timing, and scores if any."""
    assert estimator.result_ is not None
    seconds = pd.Series(estimator.result_.seconds, name="seconds")
    embeds = "embed" in estimator.entry.verbs and estimator.model_.tasks.encode is not None
    tables = {
        **({"latent": estimator.transform().reset_index()} if embeds else {}),
        "views": views_table(estimator, cohort),
        "dropped": dropped_table(estimator, cohort),
        "timing": seconds.rename_axis("stage").reset_index(),
    }
    tables |= score_held_out(estimator, cohort)
    about = provenance(estimator, cohort)
    for name, table in tables.items():
        write_table(table, out / "tables" / f"{name}.parquet", about, csv=csv, overwrite=True)


def write_report(out: Path, estimator: Fitted, cohort: MultiOmics) -> Path:
    """Write the report of a finished run, drawn from its files and the data."""
    measured = {name: cohort.views[name].notna() for name in estimator.preprocess_.views}
    column = estimator.label_
    labels = pd.Series(cohort.labels[column]) if column else None
    return run_report(out, measured=measured, labels=labels, overwrite=True)


def views_table(estimator: Fitted, cohort: MultiOmics) -> pd.DataFrame:
    """Return one row per view: kind, samples, features read, modelled and encoded, gaps."""
    rows = []
    for name, fitted in estimator.preprocess_.views.items():
        table = cohort.views[name]
        missing = float(table.isna().to_numpy().mean())
        kept, seen = len(fitted.features), len(fitted.encoder)
        rows.append((name, fitted.kind, len(table), table.shape[1], kept, seen, missing))
    columns = ["view", "kind", "samples", "features", "modelled", "encoded", "missing"]
    return pd.DataFrame(rows, columns=pd.Index(columns))


def dropped_table(estimator: Fitted, cohort: MultiOmics) -> pd.DataFrame:
    """Return what was left out on reading and by the filters."""
    return pd.concat([cohort.dropped, estimator.preprocess_.report], ignore_index=True)


def _is_run(folder: Path) -> bool:
    """Tell whether a folder is recognisably a run folder."""
    path = folder / CONFIG
    return path.is_file() and '"jaxomics"' in path.read_text(encoding="utf-8", errors="replace")
