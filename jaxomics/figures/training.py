"""Training curves: what `metrics.jsonl` holds, over epochs."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxomics.figures.style import INK, look, new_figure, plain, require, shorten, tidy_axes

RECONSTRUCTION = "reconstruction/"
_ORDER = ("train", "valid")
_NAMES = {
    "loss": "total loss",
    "kl": "KL divergence",
    "contrastive": "contrastive loss",
    "lr": "learning rate",
    "grad_norm": "gradient norm",
}
_UNITS = {
    "loss": "loss",
    "kl": "loss term",
    "contrastive": "loss term",
    "lr": "step size",
    "grad_norm": "L2 norm",
}
_LOG_RATIO = 30.0


def training_curves(
    metrics: pd.DataFrame, columns: Sequence[str] | None = None, *, off: Collection[str] = ()
) -> Figure:
    """Draw one panel per metric over epochs, training beside validation.

    Small panels instead of one crowded plot: twelve views stay readable. With several replicas
    the line is their median and the band their range.

    Args:
      metrics: one row per epoch, replica and split, as in `metrics.jsonl`; columns `epoch`,
        `split`, metrics, and `replica` (optional).
      columns: metrics to draw; by default the loss, `reconstruction/VIEW` of every view, the
        learning rate, KL, contrastive loss and gradient norm, as far as they exist; loss terms
        that are 0 throughout, because the model leaves them out, have no panel.
      off: names of loss terms that have no weight in the loss, hence no panel either.

    Raises:
      ValueError: a column is absent, or no metric has any value.
    """
    require(metrics, ["epoch", "split", *(columns or ())], "training metrics")
    shown = list(columns) if columns is not None else _default_columns(metrics, off)
    shown = [column for column in shown if metrics[column].count() > 0]
    if not shown:
        raise ValueError(
            "expected at least one metric with values, such as loss; "
            f"found the columns {', '.join(map(str, metrics.columns))}"
        )
    width = min(4, len(shown)) if len(shown) != 5 else 3
    height = -(-len(shown) // width)
    figure = new_figure(max(3.1 * width, 4.6), 2.4 * height + 0.9)
    grid = figure.subplots(height, width, squeeze=False, sharex=True)
    for axes in grid.flat[len(shown) :]:
        axes.set_visible(False)
    for place, (axes, column) in enumerate(zip(grid.flat, shown, strict=False)):
        _draw_metric(axes, metrics, column)
        below = place + width >= len(shown)
        axes.tick_params(labelbottom=below)
        axes.set_xlabel("epoch" if below else "")
    replicas = metrics["replica"].nunique() if "replica" in metrics else 1
    spread = f"\nline: median of {replicas} replicas, band: their range" if replicas > 1 else ""
    figure.suptitle(f"Training progress{spread}", fontsize=12, color=INK)
    handles, names = _legend(list(grid.flat)[: len(shown)])
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    return figure


def _default_columns(metrics: pd.DataFrame, off: Collection[str]) -> list[str]:
    """Return the metrics that exist, in reading order, without the loss terms that are off."""
    views = [name for name in metrics.columns if str(name).startswith(RECONSTRUCTION)]
    views = views or ["reconstruction"]
    terms = ["kl", "contrastive"]
    absent = {name for name in terms if name in metrics and not metrics[name].fillna(0).any()}
    wanted = ["loss", *views, "lr", *terms, "grad_norm"]
    return [name for name in wanted if name in metrics.columns and name not in {*off, *absent}]


def _draw_metric(axes: Axes, metrics: pd.DataFrame, column: str) -> None:
    """Draw one metric: a line per split, and a band where there are several replicas."""
    splits = sorted(metrics["split"].unique(), key=lambda name: (name not in _ORDER, str(name)))
    for place, split in enumerate(splits):
        rows = metrics.loc[(metrics["split"] == split) & metrics[column].notna(), ["epoch", column]]
        if rows.empty:
            continue
        groups = rows.astype(float).groupby("epoch")[column]
        middle, low, high = groups.median(), groups.min(), groups.max()
        style = look(place)
        axes.plot(
            middle.index,
            middle,
            color=style.colour,
            linewidth=2.4 if place == 0 else 1.3,
            label=str(split),
            marker=style.marker if len(middle) < 3 else "",
        )
        if not np.array_equal(low, high, equal_nan=True):
            axes.fill_between(
                middle.index, low, high, color=style.colour, alpha=0.2, linewidth=0, zorder=1
            )
    view = column.removeprefix(RECONSTRUCTION)
    is_view = view != column
    title = shorten(plain(view), 26) if is_view else _NAMES.get(column, plain(column))
    tidy_axes(axes, title=title, y="reconstruction loss" if is_view else _UNITS.get(column, ""))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    values = metrics[column].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > _LOG_RATIO * values.min():
        axes.set_yscale("log")


def _legend(panels: Sequence[Axes]) -> tuple[list, list[str]]:
    """Return one handle and name per split over all panels."""
    found = {}
    for axes in panels:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    return list(found.values()), list(found)
