"""Score completed views of held-out samples: MOSA beside simple methods, in three modes.

    python eval/impute.py --data $JAXOMICS_DATA/cell_lines --out runs/impute_cell_lines

takes about an hour on 2 cores (5 folds; the ensemble of the recommended preset is most of it)
and writes `scores.parquet` and `features.parquet` in the column order of every score table, the
table that docs/results/mosa.md shows, and the per-feature curve. Comparators stand there twice:
with the views alone, and with what MOSA has besides: its conditionals as one more view, and
inputs cut at the same number of standard deviations (`+ conditionals`).

Expected on cell_lines (mode view_out, mean r over seven views): see docs/results/mosa.md.
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd
import tyro

from jaxomics.crossval.modes import MODES, Plan, comparator, model
from jaxomics.crossval.scores import cross_validate
from jaxomics.data.io import read_cohort, write_table
from jaxomics.figures.scores import feature_curve, score_bars
from jaxomics.metrics.tables import ALL_FOLDS
from jaxomics.presets import preset

CELL_LINES = ("rna", "cn", "methylation", "rppa", "metabolomics", "drug", "crispr_call")


@dataclass(frozen=True)
class Options:
    """What to score.

    Attributes:
      data: folder of tables.
      out: where tables and figures go.
      presets: presets of MOSA.
      comparators: simple methods.
      views: views to score; those of the cell-line benchmark by default, if they are there.
      linked: views of one assay, joined by commas; withheld together.
      folds: number of folds.
      stratify: label column to balance folds by; its rare values count as one.
      modes: which of the three modes.
      seed: of folds and methods.
      mosa: False scores the comparators alone.
      conditionals: label columns that the methods are told; None takes those of the preset,
        nothing behind the option takes none.
    """

    data: Path
    out: Path
    presets: tuple[str, ...] = ("recommended",)
    comparators: tuple[str, ...] = ("mean", "softimpute", "knn", "ridge")
    views: tuple[str, ...] = ()
    linked: tuple[str, ...] = ("rna,pathway", "crispr,crispr_call")
    folds: int = 5
    stratify: str | None = None
    modes: tuple[str, ...] = field(default=MODES)
    seed: int = 42
    mosa: bool = True
    conditionals: tuple[str, ...] | None = None


def main(options: Options) -> None:
    """Cross-validate, write the tables, draw the figures."""
    cohort = read_cohort(options.data)
    known = tuple(view for view in CELL_LINES if view in cohort.views)
    plan = Plan(
        dataset=options.data.name,
        folds=options.folds,
        seed=options.seed,
        stratify=options.stratify,
        pool_rare=True,
        views=options.views or known or tuple(cohort.views),
        linked=tuple(tuple(group.split(",")) for group in options.linked),
        modes=options.modes,
    )
    methods = {name: comparator(name) for name in options.comparators}
    for name in options.presets:
        settings = preset("mosa", name)
        if options.conditionals is not None:
            chosen = replace(settings.conditionals, columns=options.conditionals)
            settings = replace(settings, conditionals=chosen)
        for other in options.comparators:
            if other not in ("mean", "knn") and settings.conditionals.columns != ():
                methods[f"{other} + conditionals"] = comparator(
                    other, settings.conditionals, settings.config.clip
                )
        if options.mosa:
            methods[f"mosa {name}"] = model(settings)
    scores, features = cross_validate(
        cohort, methods, plan, lambda text: print(text, file=sys.stderr, flush=True)
    )
    options.out.mkdir(parents=True, exist_ok=True)
    write_table(scores, options.out / "scores.parquet", csv=True, overwrite=True)
    write_table(features, options.out / "features.parquet", overwrite=True)
    for mode in options.modes:
        part = scores[(scores["mode"] == mode) & (scores["metric"] == "pearson")]
        score_bars(part, "pearson").savefig(options.out / f"scores_{mode}.png", dpi=150)
        curve = features[(features["mode"] == mode) & (features["metric"] == "pearson")]
        feature_curve(curve).savefig(options.out / f"features_{mode}.png", dpi=150)
    print(wide(scores))


def wide(scores: pd.DataFrame) -> str:
    """Return scores of all folds as text: a row per mode, metric and method, a column per view."""
    table = scores[scores["fold"] == ALL_FOLDS].pivot_table(
        index=["mode", "metric", "model"], columns="view", values="value", sort=False
    )
    table["mean"] = table.mean(axis=1)
    return table.round(3).to_string()


if __name__ == "__main__":
    main(tyro.cli(Options))
