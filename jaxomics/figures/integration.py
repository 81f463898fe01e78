"""Views without shared samples in one latent space: points, confusions, translations, sweeps.

The tables are those of `predict` and `evaluate_classes`, and of studies of MODIS (Lepe-Soltero et
al. 2025, Figures 2 to 4).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from jaxomics.figures.latent import draw_groups, two_dimensions
from jaxomics.figures.scores import metric_label
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

ALL = "all"
"""`view` of what is pooled over views."""

FLOORS = {"within": "class mean (floor)", "wrong_class": "mean of a wrong class"}
"""Errors without a source, and how they are called."""

MOST_CLASSES = 12
"""The most classes whose cells are written out and coloured."""


def latent_by_class_and_view(
    latent: pd.DataFrame, classes: pd.Series, views: pd.Series, heading: str = ""
) -> Figure:
    """Draw samples in the latent space twice: coloured by class, and by the view they come from.

    Where views are aligned, the left picture falls apart into colours and the right one does not.

    Args:
      latent: [samples, dimensions]; more than two are projected on two principal components.
      classes: of each sample, indexed like `latent`; samples without one are pale.
      views: that each sample was measured in.
      heading: what is shown.

    Raises:
      InputError: the table has no row or no column.
    """
    require(latent, [], "latent table")
    points, names = two_dimensions(latent)
    figure = new_figure(11.0, 4.6)
    for axes, labels, title in zip(
        figure.subplots(1, 2), (classes, views), ("by class", "by view"), strict=True
    ):
        draw_groups(axes, points, labels.reindex(latent.index), MOST_CLASSES)
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8.5,
            alignment="left",
        )  # fmt: skip
        tidy_axes(axes, title=title, x=names[0], y=names[1])
        axes.grid(visible=False)
    figure.suptitle(heading or f"Latent space of {len(latent):,} samples", fontsize=12, color=INK)
    return figure


def confusion_panels(confusion: pd.DataFrame, heading: str = "") -> Figure:
    """Draw the confusion matrix of each view, and of all together: shares of each true class.

    Args:
      confusion: columns view, truth, class (predicted) and n, as `evaluate_classes` gives them;
        further rows of the same cell are added up (folds, seeds).
      heading: what is shown.

    Raises:
      InputError: columns are absent or there is no row.
    """
    require(confusion, ["view", "truth", "class", "n"], "confusion table")
    names = [name for name in confusion["view"].unique() if name != ALL]
    pooled = ALL in set(confusion["view"])
    panels = [*names, ALL] if pooled and len(names) != 1 else names or [ALL]
    classes = list(dict.fromkeys(confusion["truth"]))
    side = float(np.clip(0.42 * len(classes) + 1.0, 2.4, 6.0))
    across = min(len(panels), 4)
    down = -(-len(panels) // across)
    figure = new_figure(across * side + 0.8, down * (side + 0.4) + 0.5)
    grid = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for place, (axes, view) in enumerate(zip(grid.flat, panels, strict=False)):
        rows = confusion[confusion["view"] == view]
        counts = rows.pivot_table(index="truth", columns="class", values="n", aggfunc="sum")
        counts = counts.reindex(index=classes, columns=classes).fillna(0).to_numpy(float)
        size = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, size, out=np.full_like(counts, np.nan), where=size > 0)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        _write_cells(axes, shares, "{:.2f}")
        right = np.trace(counts) / max(counts.sum(), 1)
        title = "all views" if view == ALL else shorten(plain(view))
        tidy_axes(
            axes,
            title=f"{title}: {right:.1%} right",
            x="predicted class" if place >= (down - 1) * across else "",
            y="true class" if place % across == 0 else "",
            grid="",
        )
        _name_ticks(axes, classes, classes)
    image = next(iter(grid[0, 0].get_images()))
    figure.colorbar(image, ax=grid, shrink=0.7, label="share of the true class")
    figure.suptitle(heading or "Predicted classes", fontsize=12, color=INK)
    return figure


def translation_map(table: pd.DataFrame, heading: str = "") -> Figure:
    """Draw the squared error of each view predicted from each view, beside what can be reached.

    Means over seeds. The diagonal is reconstruction. Colours compare within a column with the
    smallest number there, since views differ in scale.

    Args:
      table: columns source, view (the target), metric (`mse`; rows without source may have those
        of `FLOORS`) and value.
      heading: what is shown.

    Raises:
      InputError: columns are absent or no row has the metric `mse`.
    """
    require(table, ["source", "view", "metric", "value"], "translation table")
    errors = table[table["metric"] == "mse"]
    require(errors, [], "translation table with metric mse")
    wide = errors.pivot_table(index="source", columns="view", values="value", sort=False)
    views = [name for name in wide.columns if name in wide.index]
    wide = wide.reindex(index=[*views, *(s for s in wide.index if s not in views)])
    beside = table[table["metric"].isin(FLOORS)].pivot_table(
        index="metric", columns="view", values="value"
    )
    beside = beside.reindex(index=[name for name in FLOORS if name in beside.index])
    whole = pd.concat([wide, beside]).reindex(columns=wide.columns)
    values = whole.to_numpy(float)
    figure = new_figure(1.25 * whole.shape[1] + 3.2, 0.5 * len(whole) + 1.8)
    axes = figure.subplots()
    relative = values / np.nanmin(values, axis=0, keepdims=True)
    most = max(3.0, float(np.nanmax(relative)))
    image = axes.imshow(relative, cmap="YlOrBr", vmin=1, vmax=most, aspect="auto")
    _write_cells(axes, values, "{:.4f}", relative > 0.65 * most)
    named = [f"from {shorten(plain(source))}" for source in wide.index]
    rows = [*named, *(FLOORS[str(metric)] for metric in beside.index)]
    _name_ticks(axes, rows, list(wide.columns))
    axes.axhline(len(wide) - 0.5, color=INK, linewidth=1.2)
    tidy_axes(axes, x="predicted view", grid="")
    figure.colorbar(image, ax=axes, shrink=0.8, label="relative to the least in the column")
    figure.suptitle(heading or "Mean squared error of translated views", fontsize=12, color=INK)
    return figure


def sweep_curves(
    table: pd.DataFrame,
    x: str,
    metrics: Sequence[str],
    *,
    x_label: str,
    reference: Mapping[str, Mapping[float, float]] | None = None,
    heading: str = "",
) -> Figure:
    """Draw scores over a swept quantity, one panel per metric: mean and SD over seeds.

    Args:
      table: columns model, seed, metric, value and `x`, above 0.
      x: column that is swept; drawn on a logarithmic axis.
      metrics: one panel each.
      x_label: what is swept, with its unit.
      reference: published values by metric, as a mapping from x; drawn as crosses.
      heading: what is shown.

    Raises:
      InputError: columns are absent, or no row has one of the metrics.
    """
    require(table, ["model", "metric", "value", x], "table of a sweep")
    figure = new_figure(3.9 * len(metrics) + 0.4, 3.7)
    grid = figure.subplots(1, len(metrics), squeeze=False)[0]
    places = sorted(table[x].unique())
    for axes, metric in zip(grid, metrics, strict=True):
        rows = table[table["metric"] == metric]
        require(rows, [], f"table of a sweep with metric {metric}")
        for i, model in enumerate(table["model"].unique()):
            runs = rows[rows["model"] == model].groupby(x)["value"]
            mean, spread = runs.mean(), runs.std().fillna(0.0)
            style = look(i)
            axes.errorbar(
                mean.index, mean, spread, color=style.colour, linestyle=style.dash,
                marker=style.marker, markersize=5, capsize=2.5, linewidth=1.6,
                label=shorten(plain(model)),
            )  # fmt: skip
        published = (reference or {}).get(metric, {})
        if published:
            axes.plot(
                list(published), list(published.values()), "x", color=INK, markersize=8,
                label="published", zorder=4,
            )  # fmt: skip
        tidy_axes(axes, title=metric_label(metric), x=x_label, grid="both")
        axes.set_xscale("log")
        axes.set_xticks(places)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", labelrotation=40 if len(places) > 5 else 0)
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    seeds = table["seed"].nunique() if "seed" in table else 1
    spread = f" (mean and SD over {seeds} seeds)" * (seeds > 1)
    figure.suptitle(f"{heading or 'Scores'}{spread}", fontsize=12, color=INK)
    return figure


def _write_cells(axes: Axes, values: np.ndarray, form: str, dark: np.ndarray | None = None) -> None:
    """Write numbers into the cells of an image, white where it is dark."""
    if max(values.shape) > MOST_CLASSES:
        return
    dark = values > 0.6 if dark is None else dark
    for (row, column), value in np.ndenumerate(values):
        text, colour = ("–", GREY) if np.isnan(value) else (form.format(value), INK)
        colour = "white" if dark[row, column] else colour
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)


def _name_ticks(axes: Axes, rows: Sequence[str], columns: Sequence[str]) -> None:
    """Name the rows and columns of an image."""
    long = max(len(str(name)) for name in columns) > 7
    turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axes.set_xticks(range(len(columns)), [shorten(plain(n), 16) for n in columns], **turned)
    axes.set_yticks(range(len(rows)), [shorten(plain(name)) for name in rows])
    axes.tick_params(labelsize=LABEL_SIZE - 1.5, length=0)
    for side in axes.spines.values():
        side.set_visible(False)
