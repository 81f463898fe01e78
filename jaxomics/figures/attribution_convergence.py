"""Whether attributions can be believed: do they add up, and did nodes and draws suffice?"""

from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from jaxomics.figures.style import (
    COLOURS,
    GREY,
    INK,
    LABEL_SIZE,
    TICK_SIZE,
    finite_rows,
    look,
    new_figure,
    plain,
    shorten,
    tidy_axes,
)

_FLOOR = 1e-16
"""Smaller gaps and errors are drawn at this size."""
_MARKERS = "osD^vP"
_UNITS = {"gap": "units of the output", "share": "share of the output's change"}
_MOST_POINTS = 20_000


def node_convergence(
    gaps: pd.DataFrame, *, value: Literal["gap", "share"] = "gap", tolerance: float | None = None
) -> Figure:
    """Draw how the completeness gap falls with the number of nodes of a quadrature rule.

    Lines are medians over samples, bands reach from the 10th to the 90th percentile. Grey lines
    fall as 1/n (left rule) and 1/n² (midpoint, trapezoid).

    Args:
      gaps: columns rule, n_steps and the drawn one; one row per sample, or one in all.
      value: `gap` (signs do not matter) or `share`, the gap over the change of the output.
      tolerance: the gap that is wanted, drawn as a line.

    Raises:
      InputError: columns are absent or no gap is a number.
    """
    rows = finite_rows(gaps, ["rule", "n_steps", value], "table of gaps")
    figure = new_figure(6.2, 4.2)
    axes = figure.subplots()
    _draw_convergence(axes, rows, "rule", "n_steps", value, {-1.0: "1/n", -2.0: "1/n²"})
    if tolerance is not None:
        axes.axhline(tolerance, color=INK, linewidth=0.9, linestyle=(0, (1, 2)), label="tolerance")
    tidy_axes(
        axes, title="Quadrature: gap against nodes", x="nodes on the path",
        y=f"|completeness gap|\n({_UNITS[value]})", grid="both",
    )  # fmt: skip
    figure.legend(loc="outside right upper", frameon=False, fontsize=TICK_SIZE)
    return figure


def draw_convergence(errors: pd.DataFrame) -> Figure:
    """Draw how the error of sampled attributions falls with the number of draws.

    Lines are medians over samples or repeats, bands reach from the 10th to the 90th percentile.
    The grey line falls as 1/√n, the rate of independent draws.

    Args:
      errors: columns estimator, n_draws, error; one row per sample or repeat, or one in all.

    Raises:
      InputError: columns are absent or no error is a number.
    """
    rows = finite_rows(errors, ["estimator", "n_draws", "error"], "table of errors")
    figure = new_figure(6.2, 4.2)
    axes = figure.subplots()
    _draw_convergence(axes, rows, "estimator", "n_draws", "error", {-0.5: "1/√n"})
    tidy_axes(
        axes, title="Sampling: error against draws", x="draws",
        y="error of the attributions\n(units of the output)", grid="both",
    )  # fmt: skip
    figure.legend(loc="outside right upper", frameon=False, fontsize=TICK_SIZE)
    return figure


def completeness_scatter(completeness: pd.DataFrame) -> Figure:
    """Draw the sum of attributions against the change of the output that they explain.

    One point per sample and output; on the diagonal attributions are complete. The title tells
    the median of |gap| / |change|. Of very many points, 20,000 are drawn.

    Args:
      completeness: columns output, baseline_output, sum_attribution and gap.

    Raises:
      InputError: columns are absent or no gap is a number.
    """
    columns = ["output", "baseline_output", "sum_attribution", "gap"]
    rows = finite_rows(completeness, columns, "table of completeness")
    change = (rows["output"] - rows["baseline_output"]).to_numpy(dtype=float)
    gap = np.abs(rows["gap"].to_numpy(dtype=float))
    missed = float(np.median(gap / np.where(change, np.abs(change), 1.0)))
    drawn = np.linspace(0, len(rows) - 1, min(len(rows), _MOST_POINTS)).astype(int)
    figure = new_figure(4.6, 4.6)
    axes = figure.subplots()
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.scatter(
        change[drawn], rows["sum_attribution"].to_numpy(dtype=float)[drawn], s=10,
        color=COLOURS[0], alpha=0.6 if len(drawn) < 3000 else 0.2, linewidths=0, zorder=2,
        rasterized=len(drawn) > 3000,
    )  # fmt: skip
    tidy_axes(
        axes, x="output - mean output of the background", y="sum of attributions", grid="both"
    )
    axes.set_title(
        f"Do attributions add up? ({len(rows):,} values)\nmedian gap: {missed:.1%} of the change",
        fontsize=LABEL_SIZE, loc="left", color=INK,
    )  # fmt: skip
    axes.set_aspect("equal", adjustable="datalim")
    return figure


def _draw_convergence(
    axes: Axes, rows: pd.DataFrame, by: str, x: str, y: str, slopes: dict[float, str]
) -> None:
    """Draw one line per method on logarithmic scales, and how fast a power of x falls."""
    size = np.maximum(rows[y].abs(), _FLOOR)
    rows = rows.assign(**{y: size})
    start = 0.0
    for i, name in enumerate(rows[by].unique()):
        found = rows[rows[by] == name].groupby(x)[y].quantile([0.1, 0.5, 0.9]).unstack()
        style = look(i)
        axes.plot(
            found.index, found[0.5], color=style.colour, linestyle=style.dash, linewidth=1.5,
            marker=_MARKERS[i % len(_MARKERS)], markersize=4.5, label=plain(shorten(name, 28)),
            zorder=3,
        )  # fmt: skip
        axes.fill_between(
            found.index, found[0.1], found[0.9], color=style.colour, alpha=0.12, linewidth=0
        )
        start = max(start, float(found[0.5].iloc[0]))
    axes.set(xscale="log", yscale="log")
    counts = np.unique(rows[x])
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    ends = np.array([rows[x].min(), rows[x].max()], dtype=float)
    for slope, name in slopes.items():
        line = 1.6 * start * (ends / ends[0]) ** slope
        axes.plot(ends, line, color=GREY, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1)
        axes.annotate(
            name, (ends[1], line[1]), (3, 0), textcoords="offset points", fontsize=TICK_SIZE,
            color=GREY, va="center",
        )  # fmt: skip
