"""Translated tables beside measured ones: R2 per sample and feature, best features, both embedded.

The figures are those of Zhang and Guo 2021 (OmiTrans): histograms of R2 (6 and 7), measured
against translated values of the best genes (supplement), samples of both kinds in one embedding (8
and 9).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxomics.errors import InputError
from jaxomics.figures.latent import draw_groups, largest_groups, two_dimensions
from jaxomics.figures.style import GREY, INK, look, new_figure, plain, require, shorten, tidy_axes

BINS = 40
"""Bars of a histogram."""


def r2_histogram(r2: pd.Series, what: str, *, positive: bool = False, heading: str = "") -> Figure:
    """Draw how R2 is distributed over samples or features, with its mean and median.

    Args:
      r2: of each sample or feature; entries that are not finite are left out.
      what: of what it is, in the plural, such as `genes`.
      positive: draw only what is above 0, as the article does for genes; how many that is stands
        in the title, and mean and median are still those of all.
      heading: what is shown.

    Raises:
      InputError: no finite value to draw.
    """
    known = r2[np.isfinite(r2.to_numpy(float))].to_numpy(float)
    drawn = known[known > 0] if positive else known
    if not len(drawn):
        raise InputError(
            f"expected an R2 {'above 0 ' if positive else ''}to draw, found none among {len(r2):,} "
            f"{what}; draw no figure"
        )
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    axes.hist(drawn, bins=BINS, color=look(0).colour, edgecolor="white", linewidth=0.4)
    for name, value, dash in (("mean", known.mean(), "-"), ("median", np.median(known), "--")):
        if drawn.min() <= value <= drawn.max():
            axes.axvline(value, color=look(1).colour, linestyle=dash, linewidth=1.4)
        axes.plot([], [], color=look(1).colour, linestyle=dash, label=f"{name} {value:.3f}")
    axes.legend(frameon=False, fontsize=8.5)
    title = f"{len(known):,} {what}"
    if positive:
        title = f"{len(drawn):,} of {title} above 0"
    tidy_axes(
        axes, title=f"{heading}: {title}" if heading else title, x="R²", y=f"number of {what}"
    )
    return figure


def best_features(
    truth: pd.DataFrame, predicted: pd.DataFrame, r2: pd.Series, count: int = 6
) -> Figure:
    """Draw measured against translated values of the features with the largest R2.

    Args:
      truth: [samples, features], measured.
      predicted: the same samples and features, translated.
      r2: of each feature.
      count: how many features.

    Raises:
      InputError: a table without rows, or no feature with a finite R2.
    """
    require(truth, [], "measured table")
    finite = r2[np.isfinite(r2.to_numpy(float))]
    if finite.empty:
        raise InputError("expected features with an R2, found none; draw no figure")
    best = finite.sort_values(ascending=False, kind="stable").index[:count]
    across = min(3, len(best))
    down = -(-len(best) // across)
    figure = new_figure(3.1 * across, 3.0 * down)
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, feature in zip(grid, best, strict=False):
        _against(axes, truth[feature], predicted[feature])
        title = f"{shorten(plain(feature), 18)}, R² {r2[feature]:.2f}"
        tidy_axes(axes, title=title, x="measured", y="translated", grid="both")
    for axes in grid[len(best) :]:
        axes.set_visible(False)
    return figure


def _against(axes: Axes, truth: pd.Series, predicted: pd.Series) -> None:
    """Draw one feature's values, and the line where both agree."""
    axes.scatter(truth, predicted, s=10, color=look(0).colour, linewidths=0.2, edgecolors="white")
    both = np.concatenate([truth.to_numpy(float), predicted.to_numpy(float)])
    ends = [np.nanmin(both), np.nanmax(both)]
    axes.plot(ends, ends, color=GREY, linewidth=0.9)


def embedded_panels(
    panels: Mapping[str, tuple[pd.DataFrame, pd.Series]],
    *,
    shared: bool = False,
    max_groups: int = 12,
    kinds: Mapping[str, pd.Series] | None = None,
    heading: str = "",
) -> Figure:
    """Draw embeddings side by side, coloured by a label of their own.

    Args:
      panels: by title, coordinates [samples, dimensions] and a label of each sample; more than two
        dimensions are projected on two principal components, samples without a label are pale.
        A group has one colour in all panels whose labels have the same name.
      shared: give all panels the same limits, as parts of one embedding.
      max_groups: the most groups of a label that get a colour.
      kinds: by title, a second label of each sample, which its marker tells.
      heading: what is shown.

    Raises:
      InputError: no panel, or one without rows.
    """
    if not panels:
        raise InputError("expected an embedding to draw, found none; draw no figure")
    found: dict[str, list[pd.Series]] = {}
    for _, labels in panels.values():
        found.setdefault(str(labels.name), []).append(labels)
    groups = {name: largest_groups(pd.concat(parts), max_groups) for name, parts in found.items()}
    figure = new_figure(5.2 * len(panels), 4.4)
    grid = figure.subplots(1, len(panels), squeeze=False, sharex=shared, sharey=shared)[0]
    for axes, (title, (table, labels)) in zip(grid, panels.items(), strict=True):
        require(table, [], "embedding")
        points, names = two_dimensions(table)
        own = labels.reindex(table.index)
        marks = (kinds or {}).get(title)
        marks = None if marks is None else marks.reindex(table.index)
        draw_groups(axes, points, own, max_groups, groups[str(labels.name)], marks)
        tidy_axes(axes, title=plain(title), x=names[0], y=names[1])
        axes.grid(visible=False)
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=7.5,
            alignment="left",
        )  # fmt: skip
    if heading:
        figure.suptitle(plain(heading), fontsize=12, color=INK)
    return figure
