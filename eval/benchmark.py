"""Compare every method on a cohort: reconstruction in three modes, clusters, facts, time, memory.

    python eval/benchmark.py --data $JAXOMICS_DATA/cll --out runs/benchmark_cll
    python eval/benchmark.py --data $JAXOMICS_DATA/cell_lines --out runs/two --views rna drug

Methods are the comparators of the registry and our models that complete tables. Each is fitted on
each of 5 folds, and once on all samples, in a process of its own. Every fold is written when it is
done, so a command that was stopped is repeated and goes on (`--minutes` ends it early), and methods
that are added later join those that are there. What fails is named with its reason; `--again` tries
it once more. No method gets conditionals. Samples, folds and hidden cells are the same for all. A
method has rows of what it can do, and the report tells why it has no others: DIABLO estimates no
cells, ridge has no latent space, JAMIE reads two views. `--methods "mofa paper"` takes the settings
of Cai et al. 2024, which large cohorts are spared unless they are named.

The second form is the benchmark of two views of Cai et al. 2024. `report.md` holds what is
printed, beside tables (`scores`, `features`, `errors`, `pairs`, `clusters`, `facts`, `cost`) and
`critical_MODE.png`. Expected: docs/results/benchmark.md.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from benchmark_cohorts import PLANTED
from benchmark_facts import ask, ask_predicted, planted
from benchmark_part import WHOLE, Study, as_argument, finish, labelled, names, reconstructs, stay
from benchmark_report import Found, report

from jaxomics.crossval.modes import HeldOut, Predictions
from jaxomics.crossval.scores import score
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_indexed, write_table
from jaxomics.errors import InputError, unknown
from jaxomics.metrics.comparison import sample_errors
from jaxomics.metrics.embedding import evaluate_embedding
from jaxomics.metrics.tables import join

LARGE = 500_000
"""Cells of a cohort from which methods that take hours are run only if they are named."""

SLOW = ("lasso", "tdimpute", "icluster")
"""Those methods, beside all published settings."""


@dataclass(frozen=True)
class Options:
    """What to compare.

    Attributes:
      data: folder of tables.
      out: where parts, tables and figures go.
      methods: names of methods; nothing = all; `none` runs nothing and shows what there is.
      views: what methods read; nothing = what is usual for the cohort.
      folds: number of folds.
      tested: hold out the first so many folds only, to have a large cohort sooner; 0 = all.
      seed: of folds and methods.
      minutes: end after so many; the fold that is being fitted is lost.
      method_minutes: a method that takes longer is stopped, and counts as failed.
      again: run again what failed.
    """

    data: Path
    out: Path
    methods: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    folds: int = 5
    tested: int = 0
    seed: int = 42
    minutes: float = float("inf")
    method_minutes: float = 120.0
    again: bool = False

    @property
    def study(self) -> Study:
        """What every part is told."""
        return Study(str(self.data), str(self.out), self.folds, self.seed, self.views, self.tested)


def main(options: Options) -> None:
    """Run what has not been run, write all tables, show the report."""
    study = options.study
    cohort = study.cohort()
    chosen = options.methods or usual(cohort)
    for name in chosen:
        if name not in (*names(), "none"):
            raise unknown("method", name, [*names(), "none"])
    remember(study)
    begun = time.monotonic()
    for name in (name for name in chosen if name != "none"):
        left = options.minutes - (time.monotonic() - begun) / 60
        if left > 0:
            run_method(study, name, left, options)
    found = collect(study, cohort)
    text = report(found, options.out)
    (options.out / "report.md").write_text(text)
    print(text)


def remember(study: Study) -> None:
    """Write what is held out, or check that it is what the parts in the folder were made with.

    Raises:
      InputError: the parts are of other folds, views or seed.
    """
    views = list(study.asked.views)
    asked = {"cohort": study.dataset, "folds": study.folds, "seed": study.seed, "views": views}
    stay(Path(study.out), asked)


def usual(cohort: MultiOmics) -> list[str]:
    """Return all methods, or on a large cohort those that do not take hours."""
    cells = sum(table.size for table in cohort.views.values())
    slow = [name for name in names() if name in SLOW or name.endswith(" paper")]
    return [name for name in names() if cells < LARGE or name not in slow]


def parts_of(name: str, study: Study) -> list[int | str]:
    """Return the folds of a method; one that does not reconstruct has its latent alone."""
    if labelled(name) and study.asked.label is None:
        return []
    return [*(study.rounds if reconstructs(name) else ()), WHOLE]


def run_method(study: Study, name: str, minutes: float, options: Options) -> None:
    """Run the folds that have not been run; a method that failed on one is not tried on others."""
    folder = Path(study.out) / "parts" / name
    ended = {path.parent.name: json.loads(path.read_text()) for path in folder.glob("*/part.json")}
    good = [fold for fold, part in ended.items() if not part["reason"]]
    failed = [fold for fold in ended if fold not in good]
    if failed and not options.again:
        return
    for fold in failed:
        (folder / fold / "part.json").unlink()
    folds = [fold for fold in parts_of(name, study) if str(fold) not in good]
    if not folds:
        return
    script = str(Path(__file__).with_name("benchmark_part.py"))
    command = [sys.executable, script, as_argument(study, name, folds)]
    begun, reason = time.perf_counter(), ""
    limit = 60 * min(options.method_minutes, minutes)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [""]
            reason = f"ended with status {done.returncode}: {lines[-1][:300]}"
    except subprocess.TimeoutExpired:
        if options.method_minutes <= minutes:
            reason = f"not finished in {options.method_minutes:g} minutes"
    seconds = time.perf_counter() - begun
    if reason:
        finish(folder / "stopped", (seconds, None), reason, None)
    print(f"{name}, {len(folds)} folds: {seconds:.0f} s {reason}", file=sys.stderr, flush=True)


def collect(study: Study, cohort: MultiOmics) -> Found:
    """Score what the parts said, write every table, and return them."""
    held, label = study.held(cohort), study.asked.label
    dataset = study.dataset
    own: dict[str, list[pd.DataFrame]] = {
        name: [] for name in ("scores", "features", "errors", "clusters", "cost")
    }
    facts = [_facts_of(cohort, cohort, study, "measured", "measured")]
    for name in names():
        folder = Path(study.out) / "parts" / name
        own["cost"] += costs(folder, name)
        said = predictions(held, folder, study.rounds)
        if said:
            _filled_by_mean(held, said, study.rounds)
            scores, features = score(held, name, said)
            own["scores"].append(scores)
            own["features"].append(features)
            own["errors"].append(errors(held, said, name))
            facts += ask_predicted(held, said, dataset, name)
        whole = folder / WHOLE
        if (whole / "latent.parquet").exists() and label is not None:
            latent = read_indexed(whole / "latent.parquet")
            classes = cohort.labels[label]
            own["clusters"].append(evaluate_embedding(latent, classes, dataset, name, narrow=True))
        tables = {view: whole / f"{view}.parquet" for view in cohort.views}
        if all(path.exists() for path in tables.values()):
            views = {view: read_indexed(path) for view, path in tables.items()}
            completed = MultiOmics.from_tables(views, cohort.labels)
            facts.append(_facts_of(completed, cohort, study, "completed", name))
    tables = {
        kind: join([part for part in parts if len(part)], [])
        for kind, parts in {**own, "facts": facts}.items()
    }
    for kind, table in tables.items():
        if len(table):
            csv = kind in ("scores", "clusters", "facts", "cost")
            write_table(table, Path(study.out) / f"{kind}.parquet", csv=csv, overwrite=True)
    return Found(dataset, label, held.plan, len(study.rounds), **tables)


def costs(folder: Path, name: str) -> list[pd.DataFrame]:
    """Return what the parts of a method took, and why there is nothing."""
    rows = [
        {"model": name, "fold": path.parent.name, **json.loads(path.read_text())}
        for path in sorted(folder.glob("*/part.json"))
    ]
    columns = pd.Index(["model", "fold", "seconds", "cpu_seconds", "peak_gib", "reason"])
    return [pd.DataFrame(rows, columns=columns).astype({"cpu_seconds": float})] if rows else []


def predictions(held: HeldOut, folder: Path, rounds: range) -> Predictions:
    """Return what a method said of the samples of some folds, or nothing if one is not there.

    The report names the methods whose folds are not all there.
    """
    said: Predictions = {}
    for number, fold in zip(rounds, held.folds, strict=False):
        path = folder / str(number) / "said.npz"
        if not path.with_name("part.json").exists() or not path.exists():
            return {}
        rows = held.cohort.samples.get_indexer(fold.test)
        with np.load(path) as arrays:
            for key in arrays.files:
                mode, _, view = key.partition("/")
                shape = (1, *held.truth[view].shape)
                whole = said.setdefault((mode, view), np.full(shape, np.nan, np.float32))
                whole[0, rows] = arrays[key]
    return said


def _filled_by_mean(held: HeldOut, said: Predictions, rounds: range) -> None:
    """Put the training mean where a method says nothing, so that all are scored on all cells."""
    for (_, view), values in said.items():
        for number, fold in zip(rounds, held.folds, strict=False):
            rows = held.cohort.samples.get_indexer(fold.test)
            own = values[0, rows]
            values[0, rows] = np.where(np.isnan(own), held.means[view][number], own)


def errors(held: HeldOut, said: Predictions, name: str) -> pd.DataFrame:
    """Return the mean error of each held-out sample: model, mode, view, sample, value."""
    parts = []
    for (mode, view), values in said.items():
        truth = held.truth[view].astype(np.float64)
        if mode == "cell_out":
            truth = np.where(held.hidden[view][0], truth, np.nan)
        reference = held.means[view][held.folds.number[0]]
        value = sample_errors(truth, values[0].astype(np.float64), reference)
        table = pd.DataFrame({"sample": held.cohort.samples, "value": value}).dropna()
        parts.append(table.assign(model=name, mode=mode, view=view))
    return pd.concat(parts, ignore_index=True)


def _facts_of(
    cohort: MultiOmics, measured: MultiOmics, study: Study, kind: str, model: str
) -> pd.DataFrame:
    """Return what is known and planted, asked of a cohort."""
    if study.dataset in PLANTED:
        return planted(cohort, study.data, study.dataset, kind, model)
    return ask(cohort, measured, study.dataset, kind, model)


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
