"""A search of settings: how it went, which settings matter, and which values do well.

All figures read the tables of `jaxomics sweep`: trials (trial, group, state, value, one column
per setting, epochs) and importance (field, importance).
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxomics.figures.style import (
    COLOURS,
    GREY,
    INK,
    PALE,
    TICK_SIZE,
    new_figure,
    plain,
    require,
    shorten,
    tidy_axes,
)

NOT_SETTINGS = ("trial", "group", "state", "value", "epochs")
"""Columns of the trials table that are no settings."""
_LOG_RATIO = 30.0
_COLOURMAP = "viridis"
_BEST = 2.6


def optimisation_history(trials: pd.DataFrame, metric: str = "value") -> Figure:
    """Draw the value of every trial, and the best so far.

    Pruned trials stand at the value at which they were stopped; failed ones are marked at the
    lower edge.

    Args:
      trials: table of trials.
      metric: name of the value, lower is better.

    Raises:
      ValueError: columns are absent, or there is no trial.
    """
    require(trials, ["trial", "state", "value"], "trials table")
    figure = new_figure(7.2, 3.8)
    axes = figure.subplots()
    complete = trials[trials["state"] == "complete"]
    for state, colour, marker, face in (
        ("complete", COLOURS[0], "o", COLOURS[0]),
        ("pruned", GREY, "o", "none"),
    ):
        rows = trials[trials["state"] == state]
        if rows.empty:
            continue
        axes.scatter(
            rows["trial"], rows["value"], s=26, marker=marker, edgecolors=colour, facecolors=face,
            linewidths=1.1, label=f"{state} ({len(rows)})", zorder=3,
        )  # fmt: skip
    best = complete["value"].cummin().tolist()
    # The last step gets a width, so that a best trial at the end is seen to be better.
    places = [*complete["trial"].tolist(), trials["trial"].max() + 0.5] if best else []
    axes.step(
        places, best + best[-1:], where="post", color=COLOURS[1], linewidth=1.8, label="best so far"
    )
    _log_if_wide(axes, trials["value"])
    failed = trials.loc[trials["state"] == "failed", "trial"]
    if len(failed):
        axes.scatter(
            failed, np.full(len(failed), 0.02), marker="x", color=COLOURS[1], s=30, clip_on=False,
            transform=axes.get_xaxis_transform(), label=f"failed ({len(failed)})", zorder=4,
        )  # fmt: skip
    tidy_axes(axes, title="Search, trial by trial", x="trial", y=f"{metric}\n(lower is better)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure


def setting_importance(importance: pd.DataFrame) -> Figure:
    """Draw the share of the variance of the value that each setting explains, largest first.

    Args:
      importance: columns field and importance.

    Raises:
      ValueError: columns are absent, or there is no setting.
    """
    require(importance, ["field", "importance"], "importance table")
    rows = importance.sort_values("importance", ascending=True, kind="stable")
    figure = new_figure(6.4, 1.4 + 0.32 * len(rows))
    axes = figure.subplots()
    bars = axes.barh(
        np.arange(len(rows)), rows["importance"], height=0.62, color=COLOURS[0], zorder=3
    )
    axes.bar_label(bars, fmt=lambda share: f"{share:.0%}", padding=3, fontsize=TICK_SIZE, color=INK)
    axes.set_yticks(np.arange(len(rows)), [shorten(plain(name)) for name in rows["field"]])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlim(0, max(float(rows["importance"].max()) * 1.12, 0.05))
    tidy_axes(axes, title="Which settings matter", x="share of the variance of the value", grid="x")
    return figure


def parallel_coordinates(trials: pd.DataFrame, metric: str = "value") -> Figure:
    """Draw each trial as a line through the values of its settings, coloured by its result.

    Numbers are drawn on a scale of their own, logarithmic where they span more than a factor of
    30; words stand at equal distances. Colours end at the 80th percentile, so that a few bad
    trials do not make all others look alike; pruned trials are pale, the best one is thick.
    Settings that were the same in all trials are left out.

    Args:
      trials: table of trials.
      metric: name of the value, lower is better.

    Raises:
      ValueError: columns are absent, no trial is complete, or all settings are the same.
    """
    require(trials, ["trial", "state", "value"], "trials table")
    shown = [c for c in trials.columns if c not in NOT_SETTINGS and trials[c].nunique() > 1]
    complete = pd.DataFrame(trials[trials["state"] == "complete"]).sort_values("value")
    if not shown or complete.empty:
        raise ValueError(
            "expected complete trials that differ in a setting, found none; draw no figure"
        )
    places = pd.DataFrame({column: _places(trials[column]) for column in shown})
    values = complete["value"].to_numpy(dtype=float)
    scale = Normalize(values[0], max(float(np.quantile(values, 0.8)), np.nextafter(values[0], 1e9)))
    colours = ScalarMappable(scale, _COLOURMAP)
    figure = new_figure(max(5.5, 1.25 * len(shown) + 1.6), 4.2)
    axes = figure.subplots()
    x = np.arange(len(shown))
    for row in trials.index[trials["state"] == "pruned"]:
        axes.plot(x, places.loc[row], color=PALE, linewidth=0.8, zorder=1)
    for rank, row in reversed(list(enumerate(complete.index))):
        axes.plot(x, places.loc[row], color=colours.to_rgba(values[rank]), linewidth=1.0, zorder=2)
    best = places.loc[complete.index[0]]
    axes.plot(x, best, color=COLOURS[1], linewidth=_BEST, marker="o", zorder=3)
    _draw_scales(axes, trials, shown)
    bar = figure.colorbar(colours, ax=axes, extend="max", pad=0.02)
    bar.set_label(f"{plain(metric)} (lower is better)", fontsize=TICK_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    number = int(complete["trial"].iloc[0])
    title = f"Settings of {len(complete)} complete trials; thick: the best, trial {number}"
    figure.suptitle(title, fontsize=11, color=INK)
    return figure


def _draw_scales(axes: Axes, trials: pd.DataFrame, shown: list[str]) -> None:
    """Draw one vertical scale per setting, with its ends or its words beside it."""
    for x, column in enumerate(shown):
        axes.axvline(x, color=GREY, linewidth=0.8, zorder=1.5)
        values = trials[column]
        if pd.api.types.is_numeric_dtype(values):
            marks = {0.0: f"{values.min():.3g}", 1.0: f"{values.max():.3g}"}
        else:
            marks = dict(zip(_places(values), map(str, values), strict=True))
        for place, text in marks.items():
            axes.annotate(
                shorten(plain(text), 12), (x, place), (4, 0), textcoords="offset points",
                fontsize=7.5, color=INK, va="center", zorder=4,
                bbox={"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
            )  # fmt: skip
    axes.set_xticks(
        np.arange(len(shown)),
        [shorten(plain(name), 20) for name in shown],
        rotation=20, ha="right", rotation_mode="anchor", fontsize=TICK_SIZE,
    )  # fmt: skip
    axes.set_yticks([])
    axes.set_xlim(-0.15, len(shown) - 0.6)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _places(values: pd.Series) -> pd.Series:
    """Return where values stand on a scale from 0 to 1."""
    if not pd.api.types.is_numeric_dtype(values):
        words = sorted(values.unique())
        place = {word: i / max(len(words) - 1, 1) for i, word in enumerate(words)}
        return values.map(place).astype(float)
    numbers = values.astype(float)
    if numbers.min() > 0 and numbers.max() > _LOG_RATIO * numbers.min():
        numbers = pd.Series(np.log(numbers.to_numpy()), index=numbers.index)
    span = numbers.max() - numbers.min()
    return (numbers - numbers.min()) / (span or 1.0)


def _log_if_wide(axes: Axes, values: pd.Series) -> None:
    """Use a logarithmic scale where values span orders of magnitude."""
    finite = values.to_numpy(dtype=float)
    finite = finite[np.isfinite(finite)]
    if finite.size and finite.min() > 0 and finite.max() > _LOG_RATIO * finite.min():
        axes.set_yscale("log")
