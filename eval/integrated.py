"""What `integrate.py` has left, as tables and figures: mean and deviation over seeds.

Experiments that remove one pair of view and class after the other are shown as one row, mean and
deviation over pairs.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from designs import EXPERIMENTS, settings
from matplotlib.figure import Figure

from jaxomics.data.intersim import LABEL
from jaxomics.data.intersim_parameters import VIEWS
from jaxomics.data.io import read_table
from jaxomics.figures.integration import (
    confusion_panels,
    latent_by_class_and_view,
    sweep_curves,
    translation_map,
)
from jaxomics.figures.style import png
from jaxomics.metrics.classification import ALL

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "macro_jaccard",
    "target_recall",
    "missing_recall",
    "other_recall",
)
BESIDE = ("reconstruction", "translation", "matched_accuracy", *(f"accuracy {v}" for v in VIEWS))
"""Columns of the second table."""

KEYS = ["experiment", "setting", "run"]

POOLED = ("fig4-singles", "fig4-doubles")
"""Experiments whose settings are shown as one, and that one's name."""
PAIRS = "mean over pairs"

SWEPT = {
    "fig2": "share of samples with a label",
    "fig3a": "samples of the rare class per view",
    "fig3c": "share of labels of the other classes",
    "fig4-b": "samples kept of the missing pair",
    "fig4-d": "samples kept of the two missing pairs",
}
"""What experiments vary; `fig2` stands for the panels of Figure 2."""

DRAWN = 800
"""The most samples of a view in a picture of the latent space, as many as the article draws."""


def collect(out: Path, name: str) -> pd.DataFrame:
    """Return the tables of one name of all finished settings; `run` tells method and epochs."""
    files = sorted(out.glob(f"*/*/*/*/{name}.parquet"))
    tables = [
        read_table(path).assign(run=path.parents[1].name)
        for path in files
        if path.with_stem("scores").exists()
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def summary(out: Path) -> str:
    """Return all scores as two tables in Markdown, with the accuracy of the article.

    The second has what stands beside the pooled scores: `reconstruction` and `translation`,
    squared errors as multiples of the variance within classes, mean over views and over pairs of
    views (1 is the least that is possible), the accuracy after the best renaming of clusters, and
    the accuracy of each view. `n` counts seeds, or pairs where they are averaged.
    """
    scores = collect(out, "scores")
    if scores.empty:
        return f"nothing finished in {out}"
    named = scores["metric"].where(scores["view"] == ALL, scores["metric"] + " " + scores["view"])
    long = scores.assign(metric=named)[[*KEYS, "seed", "metric", "value"]]
    long = pd.concat([long, _relative_errors(collect(out, "translation"))], ignore_index=True)
    wide = _spread(long)
    known = [
        (name, PAIRS if name in POOLED else s.name, s.paper)
        for name in EXPERIMENTS
        for s in settings(name)
    ]
    order = pd.DataFrame(known, columns=pd.Index(["experiment", "setting", "article"]))
    table = order.drop_duplicates().merge(wide, on=["experiment", "setting"])
    table["article"] = table["article"].map(lambda paper: "" if np.isnan(paper) else f"{paper:g}")
    first = [*KEYS, "n", "article", *METRICS]
    return "\n\n".join(_markdown(table, names) for names in (first, [*KEYS, "n", *BESIDE]))


def _markdown(table: pd.DataFrame, names: list[str]) -> str:
    """Return those of the columns that there are."""
    table = table[[name for name in names if name in table]]
    lines = [table.columns.tolist(), ["---"] * table.shape[1], *table.fillna("").to_numpy()]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _spread(long: pd.DataFrame) -> pd.DataFrame:
    """Return mean and deviation over seeds, or pairs, as text: columns of KEYS, n and metrics."""
    pooled = long["experiment"].isin(POOLED)
    pairs = long[pooled].groupby([*KEYS, "metric"], sort=False)["value"].mean().reset_index()
    both = pd.concat([long[~pooled], pairs.assign(setting=PAIRS)])
    found = both.groupby([*KEYS, "metric"], sort=False)["value"].agg(["mean", "std", "size"])
    mean, spread = (found[name].map("{:.3f}".format) for name in ("mean", "std"))
    text = mean.where(found["size"] < 2, mean + " ± " + spread)
    counts = found["size"].groupby(KEYS, sort=False).max().rename("n")
    return text.unstack("metric").join(counts).reset_index()


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


def draw_figures(out: Path, only: Collection[str] = ()) -> None:
    """Draw what there is as PNG in the folder `figures`: settings, and sweeps over them.

    Args:
      out: what `integrate.py` has left.
      only: settings, by name; all by default. Sweeps are drawn all.
    """
    folder = out / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in _figures(out, only):
        plain = re.sub(r"[^a-z0-9.-]+", "_", name.lower()).strip("_")
        path = folder / f"{plain}.png"
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(png(figure))
        temporary.replace(path)


def _figures(out: Path, only: Collection[str]) -> Iterator[tuple[str, Figure]]:
    """Yield figures with their names."""
    yield from _sweeps(collect(out, "scores"))
    for kind, draw in (
        ("confusion", confusion_panels), ("translation", translation_map), ("latent", _latent),
    ):  # fmt: skip
        table = collect(out, kind)
        if kind == "translation" and not table.empty:  # methods of one view alone write nothing
            writes = table.groupby(KEYS)["metric"].transform(lambda m: (m == "mse").any())
            table = table[writes]
        if table.empty:
            continue
        for keys, rows in table.groupby(KEYS, sort=False):
            experiment, setting, run = map(str, keys)  # pyright: ignore
            if only and setting not in only:
                continue
            seeds = rows["seed"].nunique()
            told = f"{experiment}, {setting}, {run}" + f" ({seeds} seeds)" * (seeds > 1)
            yield f"{kind} {experiment} {setting} {run}", draw(rows, told)


def _latent(table: pd.DataFrame, heading: str) -> Figure:
    """Draw some samples of each view in the latent space, projected on two components."""
    shown = table.groupby("view", sort=False).head(DRAWN).set_index("sample")
    z = shown[[name for name in shown.columns if re.fullmatch(r"z\d+", str(name))]]
    return latent_by_class_and_view(z, shown[LABEL], shown["view"], heading)


def _sweeps(scores: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """Yield a figure for each swept quantity of which there are two values or more."""
    if scores.empty:
        return
    scores = scores[(scores["view"] == ALL) & (scores["x"] > 0)]
    table = scores.drop(columns="model").rename(columns={"run": "model"})
    for name, label in SWEPT.items():
        rows = table[table["experiment"].str.startswith(name)]
        for drawn in ("uniform", "stratified") if name == "fig2" else ("",):
            own = rows[rows["setting"].str.endswith(drawn) | (rows["setting"] == "100 %")]
            if own["x"].nunique() < 2:
                continue
            found = set(own["metric"])
            shown = [m for m in METRICS if m in found and m != "other_recall"]
            papers = {
                s.x: s.paper
                for experiment in own["experiment"].unique()
                for s in settings(experiment)
                if s.x > 0 and s.paper > 0
            }
            title = f"{name} {drawn}".strip()
            yield (
                f"sweep {title}",
                sweep_curves(
                    own, "x", shown, x_label=label, reference={"accuracy": papers}, heading=title
                ),
            )
