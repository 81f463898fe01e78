"""What `integrate.py` has left, as tables: mean and deviation over seeds, beside the article's."""

from pathlib import Path

import numpy as np
import pandas as pd
from designs import EXPERIMENTS, settings

from jaxomics.data.io import read_table
from jaxomics.metrics.classification import ALL

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_jaccard",
    "matched_accuracy",
    "target_recall",
    "missing_recall",
    "other_recall",
)
KEYS = ["experiment", "setting", "run"]


def collect(out: Path, name: str) -> pd.DataFrame:
    """Return the tables of one name of all finished settings; `run` tells method and epochs."""
    files = sorted(out.glob(f"*/*/*/*/{name}.parquet"))
    tables = [read_table(path).assign(run=path.parents[1].name) for path in files]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def summary(out: Path) -> str:
    """Return all pooled scores as a table in Markdown, with the accuracy of the article.

    `reconstruction` and `translation` are squared errors as multiples of the variance within
    classes, mean over views and over pairs of views: 1 is the least that is possible.
    """
    scores = collect(out, "scores")
    if scores.empty:
        return f"nothing finished in {out}"
    pooled = scores[scores["view"] == ALL][[*KEYS, "seed", "metric", "value"]]
    long = pd.concat([pooled, _relative_errors(collect(out, "translation"))], ignore_index=True)
    wide = _spread(long).unstack("metric").reset_index()
    known = [(name, s.name, s.paper) for name in EXPERIMENTS for s in settings(name)]
    order = pd.DataFrame(known, columns=pd.Index(["experiment", "setting", "article"]))
    table = order.merge(wide, on=["experiment", "setting"])
    table["article"] = table["article"].map(lambda paper: "" if np.isnan(paper) else f"{paper:g}")
    shown = [*METRICS, "reconstruction", "translation"]
    table = table[["experiment", "setting", "run", "article", *table.columns.intersection(shown)]]
    lines = [table.columns.tolist(), ["---"] * table.shape[1], *table.fillna("").to_numpy()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _spread(long: pd.DataFrame) -> pd.Series:
    """Return mean and deviation over seeds as text."""
    found = long.groupby([*KEYS, "metric"], sort=False)["value"].agg(["mean", "std"])
    return found.apply(lambda row: f"{row['mean']:.3f} ± {row['std']:.3f}", axis=1)


def _relative_errors(table: pd.DataFrame) -> pd.DataFrame:
    """Return errors of reconstruction and translation over the variance within classes."""
    about = [*KEYS, "seed"]
    errors = table[table["metric"] == "mse"]
    floor = table.loc[table["metric"] == "within", [*about, "view", "value"]]
    both = errors.merge(floor, on=[*about, "view"], suffixes=("", "_floor"))
    same = both["source"] == both["view"]
    both = both.assign(
        value=both["value"] / both["value_floor"],
        metric=np.where(same, "reconstruction", "translation"),
    )
    return both.groupby([*about, "metric"], sort=False)["value"].mean().reset_index()
