"""`train --stream`: fit one model to tables that need not fit memory.

The tables of a folder become a store inside the run folder, which stays until the run is finished;
`--resume` goes on from it.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jaxomics.commands.held_out import score_held_out
from jaxomics.commands.notes import left_out, tell
from jaxomics.commands.train import (
    CONFIG,
    agree_on,
    clear_run,
    dropped_table,
    is_finished,
    refuse_early,
)
from jaxomics.data.align import choose_views
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import TABLE_SUFFIXES, read_indexed, write_table
from jaxomics.data.parquet import view_files
from jaxomics.data.store import open_store, write_store
from jaxomics.engine.drive import Recorder
from jaxomics.engine.processes import highest, is_writer, seen_by_writer
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.presets import Settings
from jaxomics.report.run import run_report
from jaxomics.runfolder import describe_run, finish_run, same_run, start_run
from jaxomics.streaming import StoredEstimator, check_streamed, single

STORE = "store"
"""Folder of a run that holds its data until it is finished."""

COMMAND = "train --stream"


def train_stored(
    model: str,
    data: Path,
    out: Path,
    settings: Settings,
    *,
    seed: int = 0,
    views: Sequence[str] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    csv: bool = False,
    quiet: bool = True,
) -> StoredEstimator | None:
    """Train a model on tables that need not fit memory, and write a run folder.

    Where several processes train together, they share the run folder; process 0 writes.

    Args:
      model: registry name.
      data: folder with one `VIEW.parquet` per view, and `labels.*` if there are labels.
      out: run folder to write.
      settings: what to train; of an ensemble one member is.
      seed: everything random follows from it.
      views: train on these views only.
      resume: go on with an interrupted run; start where there is none.
      overwrite: replace an existing run folder.
      csv: also write tables as CSV.
      quiet: print neither progress nor notes.

    Returns:
      The fitted estimator; None where `resume` met a finished run.

    Raises:
      InputError: unfit data or settings, or a folder that must not be touched.
    """
    refuse_early(out, resume=resume, overwrite=overwrite)
    check_streamed(settings, model)
    names, digest = _digest(data, views)
    record = _record(Estimator(single(settings)[0], model=model, seed=seed), data, names, digest)
    agree_on(record)
    labels, features = _labels(data), _features(data, names)
    if resume and seen_by_writer((out / CONFIG).exists()):
        if is_writer():
            same_run(out, record)
        if seen_by_writer(is_finished(out)):
            tell([f"{out} is finished: nothing to do"], quiet=quiet)
            return None
    else:
        clear_run(out, data)
        if is_writer():
            start_run(out, record)
    try:
        if is_writer() and not (out / STORE).is_dir():
            tell([f"writing {', '.join(names)} to {out / STORE}"], quiet=quiet)
            write_store(data, out / STORE, views=names)
        highest(np.zeros(1, np.int32))  # Nobody opens what is not written yet.
        estimator = StoredEstimator(
            open_store(out / STORE), labels, settings, features=features, model=model, seed=seed
        )
        estimator.fit_store(Recorder(out, resume=resume, quiet=quiet, label=model))
    except InputError:
        if not (out / "metrics.jsonl").exists():
            clear_run(out)
        raise
    if is_writer():
        _finish(out, estimator, record, csv=csv, quiet=quiet)
    return estimator


def _digest(data: Path, views: Sequence[str] | None) -> tuple[list[str], str]:
    """Return the views to read, and a SHA-256 of the files that they and the labels lie in."""
    if not data.is_dir():
        raise InputError(
            f"{data}: expected a folder of parquet tables, found something else; --stream reads "
            "nothing else, so write the cohort as such a folder"
        )
    files = view_files(data)
    names, sha = choose_views(views, files), hashlib.sha256()
    annotations = [path for name in names for path in _named(data, f"features_{name}")]
    for path in [*(files[name] for name in names), *_named(data, "labels"), *annotations]:
        with path.open("rb") as file:
            sha.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return names, sha.hexdigest()


def _named(data: Path, name: str) -> list[Path]:
    """Return the tables of this name in a folder.

    Raises:
      InputError: there are several.
    """
    paths = [path for suffix in TABLE_SUFFIXES if (path := data / f"{name}{suffix}").is_file()]
    if len(paths) > 1:
        found = " and ".join(path.name for path in paths)
        raise InputError(f"{data}: expected one table {name}, found {found}; remove one")
    return paths


def _features(data: Path, views: list[str]) -> dict[str, pd.DataFrame]:
    """Return the feature tables of some views, where there are any."""
    return {view: read_indexed(p) for view in views for p in _named(data, f"features_{view}")}


def _labels(data: Path) -> pd.DataFrame | None:
    """Return the sample table of a folder, indexed by sample.

    Raises:
      InputError: a sample stands there twice.
    """
    paths = _named(data, "labels")
    if not paths:
        return None
    table = read_indexed(paths[0])
    table.index = pd.Index([str(name).strip() for name in table.index], name="sample")
    twice = table.index[table.index.duplicated()]
    if len(twice):
        raise InputError(f"{paths[0]}: expected each sample once, found {twice[0]!r} twice")
    return table


def _record(estimator: Estimator, data: Path, views: list[str], digest: str) -> dict[str, Any]:
    """Return what identifies the run.

    The path of the data is not among what other commands look for: they would read all of it.
    """
    nothing = MultiOmics({}, pd.Index([]), pd.DataFrame())
    streamed = {"path": None, "views": views, "sha256": digest, "streamed": str(data.resolve())}
    return describe_run(estimator, nothing, None) | {"command": COMMAND, "data": streamed}


def _finish(
    out: Path, estimator: StoredEstimator, record: dict[str, Any], *, csv: bool, quiet: bool
) -> None:
    """Write model, tables and report, and remove the store."""
    assert estimator.result_ is not None
    finish_run(out, estimator)
    dropped = dropped_table(estimator, estimator.outline_)
    tell([*estimator.notes_, *left_out(dropped)], quiet=quiet)
    seconds = pd.Series(estimator.result_.seconds, name="seconds")
    tables = {
        "latent": estimator.latent().reset_index(),
        "views": _views_table(estimator),
        "dropped": dropped,
        "timing": seconds.rename_axis("stage").reset_index(),
    }
    assert estimator.cohort_ is not None
    tables |= score_held_out(estimator, estimator.cohort_)
    about = {name: record[name] for name in ("jaxomics", "model", "seed", "settings_hash")}
    about["data_sha256"] = record["data"]["sha256"]
    for name, table in tables.items():
        write_table(table, out / "tables" / f"{name}.parquet", about, csv=csv, overwrite=True)
    column = estimator.label_
    labels = pd.Series(estimator.outline_.labels[column]) if column else None
    run_report(out, measured={}, labels=labels, overwrite=True)
    shutil.rmtree(out / STORE)


def _views_table(estimator: StoredEstimator) -> pd.DataFrame:
    """Return one row per view: kind, samples, features read, modelled and encoded, gaps."""
    rows = []
    for name, fitted in estimator.preprocess_.views.items():
        found = estimator.statistics_[name]
        missing = 1 - float(found.measured.sum()) / (found.scope * len(found.features))
        kept, seen = len(fitted.features), len(fitted.encoder)
        rows.append((name, fitted.kind, found.rows, len(found.features), kept, seen, missing))
    columns = ["view", "kind", "samples", "features", "modelled", "encoded", "missing"]
    return pd.DataFrame(rows, columns=pd.Index(columns))
