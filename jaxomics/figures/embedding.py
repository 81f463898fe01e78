"""The four benchmarks of embeddings side by side, as in Figure 2 of Nagaraj et al. 2023."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxomics.figures.style import (
    GREY,
    INK,
    LABEL_SIZE,
    look,
    new_figure,
    plain,
    require,
    shorten,
    tidy_axes,
)

TREES, LINES = "xgboost", "logistic"
"""Classifiers of which the first that was scored is drawn."""


class Panel(NamedTuple):
    """One benchmark: its metric, its name, the label of its axis, and what chance gives."""

    metric: str
    title: str
    label: str
    chance: float | None


PANELS = (
    Panel("accuracy", "classes", "accuracy by {classifier}", None),
    Panel("grassmann_z", "alignment", "Grassmann z of the labels", 0.0),
    Panel("uno_c", "survival", "Uno's C", 0.5),
    Panel("differential_features", "reconstruction", "features that differ", None),
)
LOWER = ("differential_features",)
"""Metrics of which smaller values are better."""


def benchmark_panels(scores: pd.DataFrame, heading: str = "") -> Figure:
    """Draw four panels, one per benchmark, one bar per embedding.

    Bars are means over folds, error bars one standard error over folds; scores without folds have
    none. Dotted lines are chance. A benchmark that was not scored says so.

    Args:
      scores: tidy score table of one data set, of `evaluate embedding`; classifiers of several
        embeddings are named `EMBEDDING:CLASSIFIER`.
      heading: above the panels.

    Raises:
      InputError: columns are absent, or the table is empty.
    """
    require(scores, ["model", "fold", "mode", "metric", "value"], "score table")
    scores = scores[scores["mode"].isin(["latent", "reconstruct"])]
    named, classifier = _by_embedding(scores)
    models = list(dict.fromkeys(named["model"]))
    figure = new_figure(3.1 * len(PANELS), 1.5 + 0.32 * len(models))
    if heading:
        figure.suptitle(plain(heading), fontsize=LABEL_SIZE + 2, x=0.01, ha="left", color=INK)
    for number, panel in enumerate(PANELS):
        axes = figure.add_subplot(1, len(PANELS), number + 1)
        rows = named[named["metric"] == panel.metric]
        direction = "lower" if panel.metric in LOWER else "higher"
        label = f"{panel.label.format(classifier=classifier)}\n({direction} is better)"
        tidy_axes(axes, title=panel.title, x=label, grid="x")
        _draw_bars(axes, rows, models)
        axes.tick_params(labelleft=number == 0)
        if panel.chance is not None and len(rows):
            axes.axvline(panel.chance, color=GREY, linestyle=":", linewidth=1)
    return figure


def _by_embedding(scores: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return rows under the names of embeddings, those of one classifier only, and its name."""
    spaces = set(scores.loc[scores["metric"] == "grassmann_z", "model"]) - {"pca"}
    alone = next(iter(spaces)) if len(spaces) == 1 else ""
    owner, _, last = scores["model"].str.rpartition(":").T.to_numpy()
    learned = np.isin(last, [TREES, LINES, "knn"]) & (scores["metric"] == "accuracy").to_numpy()
    drawn = TREES if (learned & (last == TREES)).any() else LINES
    own = np.where(owner == "", alone, owner)
    named = scores.assign(model=np.where(learned, own, scores["model"]))
    kept = (scores["metric"] != "accuracy").to_numpy() | (learned & (last == drawn))
    wanted = named["metric"].isin([panel.metric for panel in PANELS]).to_numpy()
    return pd.DataFrame(named[kept & wanted]), drawn


def _draw_bars(axes: Axes, rows: pd.DataFrame, models: list[str]) -> None:
    """Draw a bar per embedding with its standard error, and write the mean beside."""
    axes.set_yticks(range(len(models)), [shorten(plain(name), 20) for name in models])
    axes.set_ylim(len(models) - 0.5, -0.5)
    if rows.empty:
        axes.text(0.5, 0.5, "not scored", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_xticks([])
        return
    grouped = rows.groupby("model")["value"]
    mean, count = grouped.mean(), grouped.count()
    error = (grouped.std() / np.sqrt(count)).fillna(0.0)
    for place, name in enumerate(models):
        if name not in mean.index or not np.isfinite(mean[name]):
            axes.text(0, place, " not scored", va="center", color=GREY, fontsize=LABEL_SIZE - 2)
            continue
        style = look(place)
        bar = {"color": style.colour, "hatch": style.hatch, "edgecolor": "white", "alpha": 0.85}
        whisker = {"ecolor": INK, "capsize": 2.5, "elinewidth": 1}
        axes.barh(place, mean[name], 0.7, xerr=error[name] or None, error_kw=whisker, **bar)
        text = f"{mean[name]:.3g}" + (f" ± {error[name]:.2g}" if error[name] else "")
        end = max(mean[name], 0) + error[name]
        axes.annotate(
            text, (end, place), (4, 0), textcoords="offset points",
            va="center", fontsize=LABEL_SIZE - 2, color=INK,
        )  # fmt: skip
    axes.margins(x=0.3)
    if not mean.any():
        axes.set_xlim(0, 1)
