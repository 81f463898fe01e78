"""What was measured and what was filled in, and whether the stated uncertainty holds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxomics.figures.style import GREY, INK, look, new_figure, plain, require, shorten, tidy_axes

MEASURED, CELL, VIEW = "#1F3A5F", "#E69F00", "#E3E6EA"
"""Colours: measured value; missing cell of a measured view; view not measured in the sample."""

MAX_WIDTH, MAX_HEIGHT = 600, 400
"""The most pixels of a completion map."""

_GAP = 5


def completion_map(
    measured: Mapping[str, pd.DataFrame], order: Sequence[str] | None = None
) -> Figure:
    """Draw samples x features of all views: measured, missing cell, or missing view.

    Samples are sorted by which views they have, features by how often they were measured, so
    that blocks show. Blocks of cells are averaged to at most 600 x 400 pixels, so a pixel's
    colour is a mixture. A view's width grows with the square root of its features: narrow views
    stay visible.

    Args:
      measured: bool tables [samples, features], True = measured; a sample that a table does not
        list has nothing measured in that view.
      order: views from left to right; by default as in `measured`.

    Raises:
      ValueError: no view, an unknown view in `order`, or a table without rows or columns.
    """
    names = list(measured if order is None else order)
    absent = [name for name in names if name not in measured]
    empty = [name for name in names if name in measured and measured[name].empty]
    if not names or absent or empty:
        raise ValueError(
            f"expected tables with rows and columns for the views {names}; "
            f"absent: {absent}, empty: {empty}; leave them out"
        )
    samples = pd.Index(sorted(set().union(*(measured[name].index for name in names))))
    cells = {name: _on_union(measured[name], samples) for name in names}
    present = np.stack([cells[name].any(axis=1) for name in names], axis=1)
    rows = _row_order(present, cells, names)
    figure = new_figure(9.5, 6.0)
    axes = figure.subplots()
    left, ticks = 0, []
    for i, (name, width) in enumerate(zip(names, _widths(cells, names), strict=True)):
        image = state_image(cells[name][rows], present[rows, i], MAX_HEIGHT, width)
        extent = (left, left + width, len(samples), 0)
        axes.imshow(image, extent=extent, aspect="auto", interpolation="nearest")
        ticks.append(left + width / 2)
        left += width + _GAP
    tidy_axes(axes, y=f"{len(samples):,} samples, sorted by measured views", grid="")
    _label_views(axes, cells, names, ticks)
    axes.set_xlim(0, left - _GAP)
    axes.set_ylim(len(samples), 0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    heading = "What was measured, and what the model fills in"
    figure.suptitle(
        f"{heading}\nper view: number of features; measured share", fontsize=12, color=INK
    )
    keys = {"measured": MEASURED, "missing cell, filled": CELL, "whole view missing, filled": VIEW}
    figure.legend(
        [Patch(facecolor=colour, edgecolor=GREY, linewidth=0.5) for colour in keys.values()],
        list(keys),
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    return figure


def state_image(cells: np.ndarray, present: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the block-averaged colours of one view.

    Args:
      cells: bool [samples, features], True = measured.
      present: bool [samples], whether the view was measured in the sample at all.
      height: the most pixel rows.
      width: the most pixel columns.

    Returns:
      [min(samples, height), min(features, width), 3] colours in 0..1.

    >>> image = state_image(np.array([[True, True], [False, False]]), np.array([True, False]), 9, 9)
    >>> image.shape, bool(np.allclose(image[0, 0], to_rgb(MEASURED)))
    ((2, 2, 3), True)
    """
    cells = cells[:, np.argsort(-cells.sum(axis=0), kind="stable")]
    measured = _block_mean(_block_mean(cells, height).T, width).T
    absent = _block_mean(~present[:, None], height)
    hole = 1.0 - measured - absent
    colours = np.array([to_rgb(MEASURED), to_rgb(CELL), to_rgb(VIEW)])
    shares = np.stack([measured, hole, np.broadcast_to(absent, measured.shape)], axis=-1)
    return np.clip(shares @ colours, 0.0, 1.0)


def calibration_curve(table: pd.DataFrame) -> Figure:
    """Draw the share of true values inside the stated intervals against the stated share.

    On the diagonal the uncertainty is right; below it intervals are too narrow.

    Args:
      table: columns `nominal` and `observed` (coverage, 0 to 1), and `model` and `view` where
        there are several; one line per model and view.

    Raises:
      ValueError: columns are absent or the table is empty.
    """
    require(table, ["nominal", "observed"], "calibration table")
    figure = new_figure(6.6, 4.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (4, 3)), linewidth=1, label="as stated")
    by = [name for name in ("model", "view") if name in table and table[name].nunique() > 1]
    names = [" · ".join(map(shorten, key)) for key in table[by].to_numpy()]
    for i, name in enumerate(dict.fromkeys(names)):
        rows = table[[other == name for other in names]]
        line = rows.groupby("nominal")["observed"].mean()
        style = look(i)
        axes.plot(
            line.index,
            line,
            color=style.colour,
            marker=style.marker,
            markersize=4,
            linewidth=1.4,
            label=plain(name) or "observed",
        )
    tidy_axes(
        axes,
        title="Calibration: do intervals hold what they state?",
        x="stated coverage of the interval",
        y="observed coverage",
        grid="both",
    )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    figure.legend(loc="outside right upper", frameon=False, fontsize=8.5)
    return figure


def _on_union(table: pd.DataFrame, samples: pd.Index) -> np.ndarray:
    """Return bool [all samples, features]; samples that are not listed were not measured."""
    cells = np.zeros((len(samples), table.shape[1]), dtype=bool)
    cells[samples.get_indexer(table.index)] = table.to_numpy(dtype=bool)
    return cells


def _row_order(present: np.ndarray, cells: Mapping[str, np.ndarray], names: list) -> np.ndarray:
    """Return the order of samples: most views first, then by pattern, then by measured share."""
    share = sum(cells[name].mean(axis=1) for name in names)
    keys = [-np.asarray(share), *(~present.T[::-1]), -present.sum(axis=1)]
    return np.lexsort(keys)


def _widths(cells: Mapping[str, np.ndarray], names: list) -> list[int]:
    """Return each view's pixel columns; together, with gaps, at most `MAX_WIDTH`."""
    room = MAX_WIDTH - _GAP * (len(names) - 1)
    roots = np.sqrt([cells[name].shape[1] for name in names])
    weights = np.maximum(roots, 0.6 * roots.mean())
    return [max(1, int(width)) for width in room * weights / weights.sum()]


def _block_mean(values: np.ndarray, blocks: int) -> np.ndarray:
    """Return means over consecutive row blocks of nearly equal size, at most `blocks` of them."""
    rows = len(values)
    edges = np.linspace(0, rows, min(rows, blocks) + 1).astype(int)
    sums = np.add.reduceat(values, edges[:-1], axis=0, dtype=np.float64)
    return sums / np.diff(edges)[:, None]


def _label_views(axes: Axes, cells: Mapping[str, np.ndarray], names: list, ticks: list) -> None:
    """Write name, number of features and measured share of each view above its columns."""
    texts = [
        f"{shorten(plain(name), 22)} ({cells[name].shape[1]:,}; {cells[name].mean():.0%})"
        for name in names
    ]
    axes.xaxis.tick_top()
    turned = {"rotation": 40, "ha": "left", "rotation_mode": "anchor"} if len(names) > 3 else {}
    axes.set_xticks(ticks, texts, fontsize=8.5, **turned)
    axes.tick_params(axis="x", length=0)
    for side in axes.spines.values():
        side.set_visible(False)
