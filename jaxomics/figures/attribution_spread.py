"""How the attribution of a feature varies: over outputs, samples, groups and ensemble members.

Figures read the tidy tables of `jaxomics explain`; the beeswarm reads sample x feature matrices.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, MaxNLocator
from scipy.cluster.hierarchy import leaves_list, linkage

from jaxomics.errors import InputError
from jaxomics.figures.style import (
    COLOURS,
    GREY,
    INK,
    LABEL_SIZE,
    PALE,
    TICK_SIZE,
    finite_rows,
    look,
    new_figure,
    only_value,
    plain,
    shorten,
    tidy_axes,
)

MAGNITUDE = "mean |attribution| (units of the output)"
LOW_TO_HIGH = LinearSegmentedColormap.from_list(
    "low_to_high", (COLOURS[0], "#C4BFB8", COLOURS[1])
).with_extremes(bad="#4D4D4D")
_LOG_RATIO = 30.0
_SWARM_BINS = 160
_HALF_ROW = 0.42


def importance_heatmap(
    top: pd.DataFrame, *, value: str = "mean_abs", n_features: int = 30, n_outputs: int = 40
) -> Figure:
    """Draw features x outputs as colours, both ordered by hierarchical clustering.

    Shown are the features with the largest sum of |value| over outputs, then the outputs with the
    largest sum over these features. Clustering is average linkage of Euclidean distances, leaves
    in optimal order. Pairs that the table does not list are grey, and count as zero for the
    order. Colours end at the 99th percentile of |value|.

    Args:
      top: columns output, view, feature and the drawn one.
      value: column to draw: `mean_abs`, or one with a sign.
      n_features: the most features.
      n_outputs: the most outputs.

    Raises:
      InputError: columns are absent, no value is a number, or there are several targets.
    """
    rows = finite_rows(top, ["output", "view", "feature", value], "table of top features")
    only_value(rows, "target")
    table = rows.pivot_table(
        index=["view", "feature"], columns="output", values=value, sort=False, observed=True
    )
    table = table.loc[table.abs().sum(axis=1).nlargest(n_features).index]
    table = table[table.abs().sum(axis=0).nlargest(n_outputs).index]
    cells = table.to_numpy(dtype=float)
    down, across = clustered(cells), clustered(cells.T)
    cells = np.ma.masked_invalid(cells[down][:, across])
    figure = new_figure(float(np.clip(4.2 + 0.19 * len(across), 5.5, 14)), 2.2 + 0.18 * len(down))
    axes = figure.subplots()
    colours, limits = _scale_of(cells)
    image = axes.imshow(cells, aspect="auto", cmap=colours, norm=limits, interpolation="nearest")
    _name_rows(axes, [_label(table.index[i]) for i in down])
    tidy_axes(axes, grid="")
    outputs = [plain(shorten(table.columns[i], 22)) for i in across]
    axes.set_xticks(np.arange(len(outputs)), outputs, rotation=90, fontsize=TICK_SIZE)
    axes.set_ylim(len(down) - 0.5, -0.5)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    name = MAGNITUDE.replace(" (", "\n(") if value == "mean_abs" else plain(value)
    _colour_bar(axes, image, name, extend="both" if cells.min() < 0 else "max")
    heading = f"Attribution of {len(across)} outputs to {len(down)} features"
    note = "\ngrey: not in the table" if np.ma.is_masked(cells) else ""
    figure.suptitle(heading + note, fontsize=12, color=INK)
    return figure


def clustered(cells: np.ndarray) -> np.ndarray:
    """Return the order of rows in which similar ones stand beside each other.

    >>> clustered(np.array([[0.0, 1.0], [5.0, 5.0], [0.1, 1.0]])).tolist() in ([0, 2, 1], [1, 2, 0])
    True
    """
    if len(cells) < 3:
        return np.arange(len(cells))
    tree = linkage(np.nan_to_num(cells), method="average", optimal_ordering=True)
    return leaves_list(tree)


def beeswarm(attributions: pd.DataFrame, values: pd.DataFrame, *, n: int = 15) -> Figure:
    """Draw each sample's attribution as a point, one row per feature, coloured by its value.

    The features of largest mean |attribution| come first. Points that would lie on each other
    move up and down, so that a row's thickness is the number of samples. Colours run from the
    5th to the 95th percentile of each feature; missing values are dark grey.

    Args:
      attributions: [samples, features]; columns are features, or pairs of view and feature.
      values: the features' values, with the same rows and columns in any order.
      n: the most features.

    Raises:
      InputError: a table is empty, samples or features have no value, or no attribution is a
        number.
    """
    for axis, name in ((0, "sample"), (1, "feature")):
        absent = attributions.axes[axis].difference(values.axes[axis])
        if attributions.empty or len(absent):
            shown = str(absent[0]) if len(absent) else "an empty table"
            raise InputError(
                f"expected attributions, and a value for each {name} of them; found {shown} "
                "without; give both tables for the same samples and features"
            )
    size = attributions.abs().mean().dropna()
    if size.empty:
        raise InputError("expected numbers as attributions, found none; draw no figure")
    shown = list(size.sort_values(ascending=False, kind="stable").index[:n])
    phi = attributions[shown].to_numpy(dtype=float)
    colour = _percentiles(values.loc[attributions.index, shown].to_numpy(dtype=float))
    figure = new_figure(7.4, 1.3 + 0.36 * len(shown))
    axes = figure.subplots()
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    width = float(np.nanmax(phi) - np.nanmin(phi)) or 1.0
    for row in range(len(shown)):
        at = np.isfinite(phi[:, row])
        axes.scatter(
            phi[at, row], row + swarm(phi[at, row], width), c=colour[at, row],
            cmap=LOW_TO_HIGH, vmin=0, vmax=1, s=9, linewidths=0, plotnonfinite=True, zorder=2,
            rasterized=len(phi) > 300,
        )  # fmt: skip
    _name_rows(axes, [_label(name) for name in shown])
    tidy_axes(axes, x="attribution (units of the output)", grid="")
    note = "; dark grey: value missing" if np.isnan(colour).any() else ""
    axes.set_title(f"{len(phi):,} samples{note}", fontsize=LABEL_SIZE, loc="right", color=INK)
    for row in range(len(shown)):
        axes.axhline(row, color=PALE, linewidth=0.5, linestyle=(0, (1, 3)), zorder=0)
    scale = ScalarMappable(Normalize(0, 1), LOW_TO_HIGH)
    ends = FixedFormatter(["low", "high"])
    _colour_bar(axes, scale, "value of the feature", ticks=[0, 1], format=ends)
    return figure


def swarm(values: np.ndarray, width: float) -> np.ndarray:
    """Return offsets that keep close points apart: alternately above and below their row.

    Args:
      values: [points], finite.
      width: extent of the axis that `values` are drawn on.

    >>> swarm(np.array([0.0, 0.0, 0.0, 5.0]), 10.0).round(3).tolist()
    [0.0, 0.07, -0.07, 0.0]
    """
    bins = np.round(values / width * _SWARM_BINS).astype(int)
    order = np.argsort(bins, kind="stable")
    starts = np.flatnonzero(np.diff(bins[order], prepend=bins[order][:1] - 1))
    turn = np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
    offsets = np.empty(len(values))
    offsets[order] = (turn + 1) // 2 * np.where(turn % 2, 1, -1)
    return offsets * min(0.07, _HALF_ROW / max(float(np.abs(offsets).max(initial=0)), 1.0))


def group_comparison(groups: pd.DataFrame, *, value: str = "mean_abs", n: int = 15) -> Figure:
    """Draw two groups of samples against each other: all features, and those that differ most.

    Left, each point is a feature; equal importance lies on the diagonal. Right, the features of
    largest difference, with standard errors. Features that one group lacks are left out.

    Args:
      groups: columns group (two of them), view, feature, stderr and the drawn one.
      value: column to draw: `mean_abs`, or `mean` for directed effects.
      n: the most features that are named.

    Raises:
      InputError: columns are absent, there are not two groups, they share no feature, or there are
        several targets.
    """
    rows = finite_rows(groups, ["group", "view", "feature", "stderr", value], "table of groups")
    only_value(rows, "target")
    names = list(rows["group"].unique())
    if len(names) != 2:
        raise InputError(f"expected two groups, found {', '.join(map(str, names))}; keep two")
    rows = rows.assign(stderr=rows["stderr"].fillna(0.0))
    table = rows.pivot_table(
        index=["view", "feature"],
        columns="group",
        values=[value, "stderr"],
        sort=False,
        observed=True,
    ).dropna()
    if table.empty:
        raise InputError("expected features that both groups have, found none; draw no figure")
    both = table[value][names].to_numpy(dtype=float)
    errors = table["stderr"][names].to_numpy(dtype=float)
    first = np.argsort(-np.abs(both[:, 1] - both[:, 0]), kind="stable")[:n]
    figure = new_figure(10.2, max(1.5 + 0.26 * len(first), 4.2))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    what = "mean |attribution|" if value == "mean_abs" else plain(value)
    _draw_pairs(left, both, first)
    short = [plain(shorten(name)) for name in names]
    tidy_axes(
        left, title=f"all {len(both):,} features", x=f"{what}: {short[0]}",
        y=f"{what}: {short[1]}", grid="both",
    )  # fmt: skip
    for place, i in enumerate(first):
        right.plot(both[i], [place, place], color=PALE, linewidth=3, zorder=1)
    for column, name in enumerate(short):
        style = look(column)
        right.errorbar(
            both[first, column], np.arange(len(first)), xerr=errors[first, column],
            fmt="os"[column], color=style.colour, markersize=5.5, elinewidth=1,
            zorder=2 + column, label=name,
        )  # fmt: skip
    _name_rows(right, [_label(table.index[i]) for i in first])
    right.xaxis.set_major_locator(MaxNLocator(5))
    tidy_axes(right, title="largest differences", x=f"{what} (units of the output)", grid="x")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=LABEL_SIZE)
    return figure


def stability(members: pd.DataFrame, *, n: int = 20, agreed: float = 0.9) -> Figure:
    """Draw how far the members of an ensemble agree on each feature's attribution.

    Left, the coefficient of variation of mean |attribution| over members, against its size;
    right, the largest features with one standard deviation over members. Hollow: members do not
    agree on the sign of the mean attribution.

    Args:
      members: columns view, feature, mean_abs, sd, cv (sd / mean_abs), same_sign (share of
        outputs on whose sign all members agree, 0 to 1), members (their number), and `target`
        with one value.
      n: the most features that are named.
      agreed: the share from which members agree.

    Raises:
      InputError: columns are absent, no value is a number, or there are several targets.
    """
    columns = ["view", "feature", "sd", "cv", "same_sign", "members", "mean_abs"]
    rows = finite_rows(members, columns, "table of stability")
    only_value(rows, "target")
    rows = rows.sort_values("mean_abs", ascending=False, kind="stable")
    agree = rows["same_sign"].to_numpy(dtype=float) >= agreed
    size = rows["mean_abs"].to_numpy(dtype=float)
    figure = new_figure(10.2, max(1.5 + 0.24 * min(n, len(rows)), 4.0))
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.15])
    for at, name, colour, face in (
        (agree, "members agree on the sign", COLOURS[0], COLOURS[0]),
        (~agree, "they do not", COLOURS[1], "white"),
    ):
        left.scatter(
            size[at], rows["cv"].to_numpy(dtype=float)[at], s=9, facecolors=face,
            edgecolors=colour, linewidths=0.6, label=f"{name} ({at.sum():,})", zorder=3,
        )  # fmt: skip
        top = np.flatnonzero(at[:n])
        right.errorbar(
            size[top], top, xerr=rows["sd"].to_numpy(dtype=float)[top], fmt="o", markersize=5.5,
            color=colour, markerfacecolor=face, elinewidth=1.1, zorder=3,
        )  # fmt: skip
    _log_if_wide(left, size)
    tidy_axes(
        left, title=f"all {len(rows):,} features", x=MAGNITUDE,
        y="coefficient of variation over members", grid="both",
    )  # fmt: skip
    left.set_ylim(bottom=0)
    pairs = zip(rows["view"].head(n), rows["feature"].head(n), strict=True)
    _name_rows(right, [_label(pair) for pair in pairs])
    tidy_axes(right, title="largest, with SD over members", x=MAGNITUDE, grid="x")
    right.set_xlim(left=0)
    figure.suptitle(f"{int(rows['members'].max())} ensemble members", fontsize=12, color=INK)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=LABEL_SIZE)
    return figure


def _label(name: object) -> str:
    """Return a feature's name for the reader, its view behind it."""
    if isinstance(name, tuple):
        view, feature = name
        return f"{plain(shorten(feature))} ({plain(shorten(view, 12))})"
    return plain(shorten(name, 30))


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write one name beside each row, from above."""
    axes.set_yticks(np.arange(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _percentiles(values: np.ndarray) -> np.ndarray:
    """Return each column on a scale from 0 (5th percentile) to 1 (95th); the middle if constant."""
    low, high = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    for column, cells in enumerate(values.T):
        known = cells[np.isfinite(cells)]
        if known.size:
            low[column], high[column] = np.quantile(known, (0.05, 0.95))
            if low[column] == high[column]:
                low[column], high[column] = known.min(), known.max()
    span = high - low
    scaled = np.clip((values - low) / np.where(span > 0, span, 1.0), 0.0, 1.0)
    return np.where((span > 0) | np.isnan(values), scaled, 0.5)


def _draw_pairs(axes: Axes, both: np.ndarray, first: np.ndarray) -> None:
    """Draw one point per feature, the first ones marked, and the diagonal."""
    marked = np.isin(np.arange(len(both)), first)
    for at, colour, size in ((~marked, GREY, 9), (marked, INK, 20)):
        axes.scatter(both[at, 0], both[at, 1], s=size, color=colour, linewidths=0, zorder=3)
    _log_if_wide(axes, both)
    ends = float(both.min()), float(both.max())
    axes.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=2)
    if axes.get_xscale() == "log":
        axes.set_yscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_aspect("equal", adjustable="box", anchor="NW")


def _log_if_wide(axes: Axes, values: np.ndarray) -> None:
    """Use a logarithmic horizontal scale where values span orders of magnitude."""
    if values.min() > 0 and values.max() > _LOG_RATIO * values.min():
        axes.set_xscale("log")


def _scale_of(cells: np.ndarray) -> tuple[Colormap, Normalize]:
    """Return the colours of a map: white to dark, or around zero where values have signs."""
    size = float(np.quantile(np.abs(np.ma.compressed(cells)), 0.99)) or 1.0
    signed = bool(cells.min() < 0)
    ends = (COLOURS[0], "#FFFFFF", COLOURS[1]) if signed else ("#FFFFFF", COLOURS[0], "#00243C")
    colours = LinearSegmentedColormap.from_list("attribution", ends).with_extremes(bad=PALE)
    return colours, Normalize(-size if signed else 0.0, size)


def _colour_bar(axes: Axes, scale: ScalarMappable, name: str, **options: Any) -> None:
    """Draw the scale of colours beside the axes."""
    bar = axes.figure.colorbar(scale, ax=axes, pad=0.02, aspect=30, shrink=0.8, **options)
    bar.set_label(name, fontsize=TICK_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    bar.outline.set_visible(False)  # type: ignore[operator]
