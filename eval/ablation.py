"""Which views help to predict another one? Forward selection, one more view at a time.

    python eval/ablation.py --data $JAXOMICS_DATA/cell_lines --target drug --out runs/ablation

Cai et al. 2024 start from drug response and add, again and again, the view that most lowers the
error of held-out drug response: with seven views that is 21 trainings of all folds. Here a set of
views is one call, whose folds are replicas of one program (`fit_many`), and the error is taken
with the target withheld (`view_out`), so that it is predicted and not copied; `--mode reconstruct`
is the article's. Sets that were scored are not trained again: a run that was cut off goes on, in a
folder of the same method, target, mode, folds and seed (`study.json`).

`--method` is a comparator, or a preset of MOSA as in `"mosa recommended"`. The table has a row per
set tried: step, the view that was added, `error` (relative squared error, 1 = the training mean),
`r`, and whether it was chosen. A step whose best set is worse than the step before is still taken,
so that the whole curve is seen.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import tyro
from benchmark_part import as_method, stay

from jaxomics.crossval.modes import Method, Plan, hold_out, predict
from jaxomics.crossval.scores import score
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, read_table, write_table
from jaxomics.errors import InputError
from jaxomics.metrics.tables import ALL_FOLDS

COLUMNS = ["step", "added", "views", "error", "r", "chosen"]
"""Columns of the table."""


@dataclass(frozen=True)
class Options:
    """What to select for.

    Attributes:
      data: folder of tables.
      target: view to predict.
      out: where the table goes.
      method: name of a method of the benchmark.
      views: candidates; all but the target by default.
      linked: views of one assay, joined by commas; those of the target's are no candidates.
      mode: how the target is held out.
      folds: number of folds.
      seed: of folds and method.
    """

    data: Path
    target: str
    out: Path
    method: str = "ridge"
    views: tuple[str, ...] = ()
    linked: tuple[str, ...] = ("rna,pathway", "crispr,crispr_call")
    mode: str = "view_out"
    folds: int = 5
    seed: int = 42


def main(options: Options) -> None:
    """Select, writing the table after every set, and print it."""
    cohort = read_cohort(options.data)
    candidates = candidates_of(cohort, options)
    path = options.out / "ablation.parquet"
    stay(options.out, study_of(options), made=path.name)
    known = read_table(path) if path.exists() else pd.DataFrame(columns=pd.Index(COLUMNS))
    table = select(cohort, as_method(options.method), candidates, options, known, path)
    print(table.to_string(index=False, float_format="{:.4f}".format))


def study_of(options: Options) -> dict[str, Any]:
    """Return what a score of a set of views depends on, beside the set."""
    named = ("target", "method", "mode", "folds", "seed")
    return {"cohort": options.data.resolve().name} | {
        name: getattr(options, name) for name in named
    }


def candidates_of(cohort: MultiOmics, options: Options) -> list[str]:
    """Return the views that may be added.

    Raises:
      InputError: an unknown view, or none left.
    """
    cohort.view(options.target)
    same = {options.target}
    for group in options.linked:
        if options.target in group.split(","):
            same |= set(group.split(","))
    views = [view for view in options.views or cohort.views if view not in same]
    for view in views:
        cohort.view(view)
    if not views:
        raise InputError(f"expected views beside {options.target!r}, found none; give --views")
    return views


def select(
    cohort: MultiOmics,
    method: Method,
    candidates: list[str],
    options: Options,
    known: pd.DataFrame,
    path: Path,
) -> pd.DataFrame:
    """Add the best view again and again, and return the table.

    Args:
      cohort: all data.
      method: what is fitted.
      candidates: views that may be added.
      options: target, folds, mode.
      known: rows of an earlier run of the same options.
      path: where the table is written after every set.
    """
    scored = {row.views: (row.error, row.r) for row in known.itertuples()}
    rows: list[tuple] = []
    chosen: list[str] = []
    for step in range(1, len(candidates) + 1):
        tried = []
        for view in (view for view in candidates if view not in chosen):
            name = " ".join(sorted([*chosen, view]))
            if name not in scored:
                scored[name] = error_of(cohort, method, [*chosen, view], options)
                print(f"{name}: {scored[name][0]:.4f}", file=sys.stderr, flush=True)
            tried.append((step, view, name, *scored[name]))
            write_table(_table([*rows, *tried], chosen), path, csv=True, overwrite=True)
        chosen.append(min(tried, key=lambda row: row[3])[1])
        rows += tried
    table = _table(rows, chosen)
    write_table(table, path, csv=True, overwrite=True)
    return table


def error_of(
    cohort: MultiOmics, method: Method, views: list[str], options: Options
) -> tuple[float, float]:
    """Return relative error and r of the target over all folds, from the target and some views.

    Folds are of the whole cohort, so that every set is scored on the same samples.
    """
    plan = Plan(
        dataset=options.data.name, folds=options.folds, seed=options.seed,
        views=(options.target,), modes=(options.mode,),
    )  # fmt: skip
    whole = hold_out(cohort, plan)
    only = {name: cohort.view(name) for name in (options.target, *views)}
    shown = type(cohort)(only, cohort.samples, cohort.labels)
    held = type(whole)(shown, plan, whole.folds, whole.views)
    scores, _ = score(held, options.method, predict(held, method))
    means = scores[scores["fold"] == ALL_FOLDS].set_index("metric")["value"]
    return float(means["relative_error"]), float(means["pearson"])


def _table(rows: list[tuple], chosen: list[str]) -> pd.DataFrame:
    """Return rows as a table that says which view each step took."""
    taken = {(step, view) for step, view in enumerate(chosen, 1)}
    full = [(*row, (row[0], row[1]) in taken) for row in rows]
    return pd.DataFrame(full, columns=pd.Index(COLUMNS))


if __name__ == "__main__":
    try:
        main(tyro.cli(Options))
    except InputError as error:
        raise SystemExit(f"error: {error}") from None
