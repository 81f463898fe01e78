"""What drives a model's outputs: rankings of views, features and outputs by attribution.

All figures read the tidy tables of `jaxomics explain`, one row per view and feature (and
output): target, output, view, feature, mean_abs, mean, stderr. An optional column `direction`
holds the correlation between a feature's attribution and its value, -1 to 1. It is preferred to
the sign of `mean`: where a set of samples is explained against itself, attributions average to
about zero whatever the effect.

Views keep their colour and hatch in all figures of the same views; conditionals are grey.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxomics.errors import unknown
from jaxomics.figures.style import (
    COLOURS,
    GREY,
    INK,
    LABEL_SIZE,
    TICK_SIZE,
    TITLE_SIZE,
    Look,
    finite_rows,
    look,
    new_figure,
    only_value,
    plain,
    shorten,
    tidy_axes,
)

MAGNITUDE = "mean |attribution|\n(units of the output)"
_CONDITIONALS = "conditionals"
_GREY_LOOK = look(0)._replace(colour="#6B6B6B")
_ROW = 0.21
_CLEAR = 0.2
_SIGN_LOOKS = {0: (GREY, "o"), 1: (COLOURS[1], "^"), -1: (COLOURS[0], "v")}


def importance_bars(importance: pd.DataFrame, *, n: int = 12, shared_scale: bool = True) -> Figure:
    """Draw the features of largest mean |attribution| as bars, one panel per view.

    The number behind a view is that of its features. Error bars are one standard error
    (after Figure 4a of Cai et al. 2024).

    Args:
      importance: columns view, feature, mean_abs, stderr, and `target` with one value.
      n: the most features per view.
      shared_scale: one scale for all panels, so that views can be compared; else each its own.

    Raises:
      InputError: columns are absent, no value is a number, or there are several targets.
    """
    rows = finite_rows(importance, ["view", "feature", "stderr", "mean_abs"], "importance table")
    target = only_value(rows, "target")
    looks = _view_looks(rows)
    views = list(rows["view"].unique())
    columns = min(4, int(np.ceil(np.sqrt(len(views)))))
    lines = -(-len(views) // columns)
    slots = min(n, int(rows["view"].value_counts().max()))
    figure = new_figure(max(3.2 * columns, 4.6), (_ROW * slots + 0.55) * lines + 1.1)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=shared_scale)
    for axes in grid.flat[len(views) :]:
        axes.set_visible(False)
    for place, (axes, view) in enumerate(zip(grid.flat, views, strict=False)):
        chosen = pd.DataFrame(rows[rows["view"] == view])
        top = _largest(chosen, n)
        _draw_bars(axes, top, [looks[view]] * len(top), slots)
        _name_rows(axes, [_short(name) for name in top["feature"]], slots)
        tidy_axes(axes, grid="x")
        title = f"{_short(view)} ({len(chosen):,})"
        axes.set_title(title, fontsize=TITLE_SIZE, loc="right", color=INK)
        axes.tick_params(labelbottom=not shared_scale or place + columns >= len(views))
        axes.xaxis.set_major_locator(MaxNLocator(3))
    figure.supxlabel(MAGNITUDE.replace("\n", " "), fontsize=LABEL_SIZE, color=INK)
    figure.suptitle(
        _heading("Most important features of each view", target), fontsize=12, color=INK
    )
    return figure


def view_totals(views: pd.DataFrame) -> Figure:
    """Draw each view's share of all |attribution|, and its mean per feature beside.

    A view may weigh much because it has many features, or because each of them does.

    Args:
      views: columns view, mean_abs (mean over features), share (0 to 1) and `target` with one
        value.

    Raises:
      InputError: columns are absent, no value is a number, or there are several targets.
    """
    rows = finite_rows(views, ["view", "mean_abs", "share"], "table of views")
    target = only_value(rows, "target")
    looks = _view_looks(rows)
    rows = rows.sort_values("share", ascending=False, kind="stable")
    figure = new_figure(7.6, 1.7 + 0.3 * len(rows))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, column, title, x in (
        (panels[0], "share", "all features together", "share of the sum of |attribution|"),
        (panels[1], "mean_abs", "one feature, on average", MAGNITUDE.replace("\n", " ")),
    ):
        styles = [looks[view] for view in rows["view"]]
        _draw_bars(axes, rows.assign(mean_abs=rows[column], stderr=0.0), styles, len(rows))
        tidy_axes(axes, title=title, x=x, grid="x")
        axes.xaxis.set_major_locator(MaxNLocator(5))
    panels[0].xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _name_rows(panels[0], [_short(view) for view in rows["view"]], len(rows))
    figure.suptitle(_heading("Importance of views", target), fontsize=12, color=INK)
    return figure


def view_shares(views: pd.DataFrame) -> Figure:
    """Draw which share of |attribution| each view has, one stacked bar per target.

    Args:
      views: columns target, view and share (0 to 1; adds up to 1 per target).

    Raises:
      InputError: columns are absent or no share is a number.
    """
    rows = finite_rows(views, ["target", "view", "share"], "table of views")
    looks = _view_looks(rows)
    table = rows.pivot_table(
        index="target", columns="view", values="share", sort=False, observed=True
    )
    table = table.fillna(0.0)[table.sum().sort_values(ascending=False).index]
    figure = new_figure(7.6, 1.9 + 0.32 * len(table))
    axes = figure.subplots()
    left = np.zeros(len(table))
    for view in table.columns:
        style, width = looks[view], table[view].to_numpy(dtype=float)
        axes.barh(
            np.arange(len(table)), width, left=left, height=0.72, color=style.colour,
            hatch=style.hatch, edgecolor="white", linewidth=0.6, label=_short(view),
        )  # fmt: skip
        left = left + width
    _name_rows(axes, [_short(target, 30) for target in table.index], len(table))
    tidy_axes(
        axes, title="Which views the outputs rest on", x="share of the sum of |attribution|",
        grid="",
    )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    columns = min(4, len(table.columns))
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=TICK_SIZE)
    return figure


def output_ranking(effects: pd.DataFrame, *, n: int = 10, outputs: str = "outputs") -> Figure:
    """Draw all outputs in the order of how much one feature moves them, the first ones named.

    Colour and marker tell whether the output rises or falls with the feature; error bars of the
    named outputs are one standard error (after Figure 4b of Cai et al. 2024).

    Args:
      effects: columns output, view, feature (one), mean_abs, stderr, mean, and optionally
        direction.
      n: how many outputs are named.
      outputs: what the outputs are, for the axis: `drugs`.

    Raises:
      InputError: columns are absent, no value is a number, or there are several features.
    """
    columns = ["output", "view", "feature", "mean", "stderr", "mean_abs"]
    rows = finite_rows(effects, columns, "table of effects")
    feature, view = only_value(rows, "feature"), only_value(rows, "view")
    rows = _largest(rows, len(rows))
    signs, words = _signs(rows)
    rank = np.arange(1, len(rows) + 1)
    height = rows["mean_abs"].to_numpy(dtype=float)
    named = min(n, len(rows))
    figure = new_figure(6.8, 4.4)
    axes = figure.subplots()
    errors = rows["stderr"].fillna(0.0).to_numpy(dtype=float)[:named]
    axes.errorbar(
        rank[:named], height[:named], errors, fmt="none", ecolor=GREY, elinewidth=0.8, zorder=2
    )
    for sign, (colour, marker) in _SIGN_LOOKS.items():
        at = signs == sign
        if at.any():
            axes.scatter(
                rank[at], height[at], s=20 if len(rows) < 1000 else 6, color=colour, marker=marker,
                linewidths=0, zorder=3,
                label=f"{words[sign]} ({at.sum():,})",
            )  # fmt: skip
    _name_points(axes, rank, height, [_short(name, 30) for name in rows["output"][:named]])
    tidy_axes(axes, x=f"{outputs}, most affected first", y=MAGNITUDE)
    axes.set_title(
        f"Effect of {_short(feature)} ({_short(view, 12)}) on {len(rows):,} {plain(outputs)}",
        fontsize=11, loc="left", color=INK,
    )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=TICK_SIZE)
    return figure


def output_features(top: pd.DataFrame, output: str | None = None, *, n: int = 20) -> Figure:
    """Draw the features of all views that move one output most, coloured by view.

    An arrow behind a bar tells whether the output rises or falls with the feature; error bars are
    one standard error (after Figure 4c of Cai et al. 2024).

    Args:
      top: columns output, view, feature, mean_abs, stderr, mean, and optionally direction.
      output: which output; may be left out where the table holds one.
      n: the most features.

    Raises:
      InputError: columns are absent, no value is a number, the output is unknown or left open, or
        outputs of several targets have this name.
    """
    columns = ["output", "view", "feature", "mean", "stderr", "mean_abs"]
    rows = finite_rows(top, columns, "table of top features")
    looks = _view_looks(rows)
    if output is not None and output not in set(rows["output"]):
        raise unknown("output", output, rows["output"])
    if output is not None:
        rows = pd.DataFrame(rows[rows["output"] == output])
    name, _ = only_value(rows, "output"), only_value(rows, "target")
    rows = _largest(rows, n)
    signs, words = _signs(rows)
    figure = new_figure(6.8, 1.9 + 0.23 * len(rows))
    axes = figure.subplots()
    _draw_bars(axes, rows, [looks[view] for view in rows["view"]], len(rows))
    ends = (rows["mean_abs"] + rows["stderr"].fillna(0.0)).to_numpy(dtype=float)
    for place, (end, sign) in enumerate(zip(ends, signs, strict=True)):
        axes.annotate(
            {1: "↑", -1: "↓", 0: "·"}[int(sign)], (end, place), (4, 0),
            textcoords="offset points", va="center", color=INK, fontsize=LABEL_SIZE,
        )  # fmt: skip
    _name_rows(axes, [_short(feature, 30) for feature in rows["feature"]], len(rows))
    tidy_axes(
        axes, title=f"Features that matter for {_short(name, 26)}",
        x=f"{MAGNITUDE.replace(chr(10), ' ')}\noutput: ↑ {words[1]}   ↓ {words[-1]}", grid="x",
    )  # fmt: skip
    axes.margins(x=0.08)
    axes.autoscale(axis="x")
    axes.set_xlim(left=0)
    _view_legend(figure, {view: looks[view] for view in sorted(rows["view"].unique())})
    return figure


def _largest(rows: pd.DataFrame, n: int) -> pd.DataFrame:
    """Return the n rows of largest mean |attribution|, the largest first."""
    return rows.sort_values("mean_abs", ascending=False, kind="stable").head(n)


def _view_looks(rows: pd.DataFrame) -> dict[str, Look]:
    """Return one look per view, by the order of their names; conditionals are grey."""
    views = sorted(set(rows["view"]) - {_CONDITIONALS})
    return {_CONDITIONALS: _GREY_LOOK} | {view: look(i) for i, view in enumerate(views)}


def _short(name: object, width: int = 24) -> str:
    """Return a name for the reader, cut in its middle."""
    return plain(shorten(name, width))


def _heading(text: str, target: str) -> str:
    """Return the heading of a figure about one target."""
    return f"{text}\n{_short(target, 40)}" if target else text


def _signs(rows: pd.DataFrame) -> tuple[np.ndarray, dict[int, str]]:
    """Return -1, 0 or 1 per row, and what these mean."""
    if "direction" not in rows:
        signs = np.sign(rows["mean"].fillna(0.0).to_numpy(dtype=float))
        return signs, {1: "mean above zero", -1: "mean below zero", 0: "mean zero"}
    strength = rows["direction"].fillna(0.0).to_numpy(dtype=float)
    signs = np.where(np.abs(strength) >= _CLEAR, np.sign(strength), 0)
    return signs, {
        1: "rises with the feature",
        -1: "falls with the feature",
        0: "no clear direction",
    }


def _draw_bars(axes: Axes, rows: pd.DataFrame, styles: Sequence[Look], slots: int) -> None:
    """Draw mean |attribution| with standard errors as horizontal bars, from above."""
    widths = rows["mean_abs"].to_numpy(dtype=float)
    errors = rows["stderr"].fillna(0.0).to_numpy(dtype=float)
    for place, (width, error, style) in enumerate(zip(widths, errors, styles, strict=True)):
        axes.barh(
            place, width, height=0.72, color=style.colour, hatch=style.hatch, edgecolor="white",
            linewidth=0.4, zorder=2, xerr=error or None,
            error_kw={"ecolor": INK, "elinewidth": 0.8, "zorder": 3},
        )  # fmt: skip
    axes.set_ylim(slots - 0.4, -0.6)
    if widths.max() == 0:
        axes.text(0.5, 0.5, "all are zero", transform=axes.transAxes, ha="center", color=GREY)


def _name_rows(axes: Axes, names: Sequence[str], slots: int) -> None:
    """Write one name beside each row, from above."""
    axes.set_yticks(np.arange(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(slots - 0.4, -0.6)


def _name_points(axes: Axes, rank: np.ndarray, height: np.ndarray, names: Sequence[str]) -> None:
    """Write the names of the first points in a column right of them and above the curve."""
    place = len(names) + 0.06 * len(rank)
    right = max(len(rank) * 1.03, place * 1.9)
    below = float(np.interp(place, rank, height, right=0.0))
    top = float(height.max()) or 1.0
    levels = np.zeros(0)
    for _ in range(8):
        levels = _spread(height[: len(names)], below + 0.05 * top, 0.055 * top)
        top = max(float(levels[0]) * 1.04, top)
    line = {
        "arrowstyle": "-",
        "color": "#B0B0B0",
        "linewidth": 0.7,
        "shrinkB": 3,
        "relpos": (0, 0.5),
    }
    for i, name in enumerate(names):
        axes.annotate(
            name, (rank[i], height[i]), (place, levels[i]), va="center", fontsize=TICK_SIZE,
            color=INK, arrowprops=line,
        )  # fmt: skip
    ticks = MaxNLocator(6, integer=True).tick_values(1, len(rank))
    axes.set_xticks([1, *(tick for tick in ticks if 1 < tick <= len(rank))])
    axes.set_xlim(-0.02 * right, right)
    axes.set_ylim(0, top * 1.03)


def _spread(wanted: np.ndarray, lowest: float, gap: float) -> np.ndarray:
    """Return falling heights, each at least as wanted, at least `gap` apart."""
    levels = np.maximum(wanted, lowest).astype(float)
    for i in range(len(levels) - 2, -1, -1):
        levels[i] = max(levels[i], levels[i + 1] + gap)
    return levels


def _view_legend(figure: Figure, looks: dict[str, Look]) -> None:
    """Write which colour each view has below the figure."""
    keys = [
        Patch(facecolor=style.colour, hatch=style.hatch, edgecolor="white", label=_short(view))
        for view, style in looks.items()
    ]
    figure.legend(
        handles=keys, loc="outside lower center", ncols=min(4, len(keys)), frameon=False,
        fontsize=TICK_SIZE,
    )  # fmt: skip
