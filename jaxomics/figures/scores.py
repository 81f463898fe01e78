"""Score tables: bars per view and model, and curves over features.

Both figures read the tidy tables of the command line: dataset, model, fold, seed, mode, view,
metric, value (and feature, n).
"""

from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from jaxomics.figures.style import INK, look, new_figure, plain, require, shorten, tidy_axes

HIGHER = {
    "pearson": "Pearson r",
    "r": "Pearson r",
    "mean_r": "mean over features of Pearson r",
    "median_r": "median over features of Pearson r",
    "pooled_r": "Pearson r of all cells together",
    "ari": "adjusted Rand index",
    "nmi": "normalised mutual information",
    "knn_accuracy": "accuracy of nearest neighbours",
    "spearman": "Spearman correlation",
    "r2": "R²",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "macro_jaccard": "macro Jaccard index",
    "macro_precision": "macro precision",
    "macro_recall": "macro recall",
    "macro_auc": "macro area under the ROC curve, one class against the rest",
    "matched_accuracy": "accuracy after the best renaming",
    "target_recall": "recall of the target class",
    "missing_recall": "recall of the missing pairs",
    "auroc": "area under the ROC curve",
    "uno_c": "Uno's C",
    "harrell_c": "Harrell's C",
    "harrell_c_within": "Harrell's C inside strata",
    "silhouette": "silhouette",
    "calinski_harabasz": "Calinski-Harabasz index",
}
LOWER = {
    "mse": "mean squared error",
    "relative_error": "squared error relative to the training mean's",
    "mean_relative_error": "mean over features of squared error relative to the mean's",
    "rmse": "root mean squared error",
    "nrmse": "normalised root mean squared error",
    "mae": "mean absolute error",
    "log_loss": "log loss",
    "brier": "Brier score",
    "integrated_brier": "integrated Brier score",
    "integrated_brier_kaplan_meier": "integrated Brier score of the Kaplan-Meier curve",
    "median_ae": "median absolute error",
    "davies_bouldin": "Davies-Bouldin index",
}
MODES = {
    "reconstruct": "reconstruct: the sample's own values are fed in",
    "view_out": "view out: predicted from the other views",
    "cell_out": "cell out: hidden cells",
    "classes": "classes predicted from each view alone",
    "outcomes": "outcomes predicted from all views",
}
_RUN = ["model", "fold", "seed"]


def better(metric: str) -> Literal["higher", "lower"] | None:
    """Return which direction of a metric is better, None where it is not known.

    >>> better("pearson"), better("mse"), better("skewness")
    ('higher', 'lower', None)
    """
    return "higher" if metric in HIGHER else "lower" if metric in LOWER else None


def metric_name(metric: str) -> str:
    """Return a metric's name for the reader.

    >>> metric_name("mse"), metric_name("skewness")
    ('mean squared error', 'skewness')
    """
    return HIGHER.get(metric) or LOWER.get(metric) or plain(metric)


def metric_label(metric: str) -> str:
    """Return a metric's name for an axis, with the direction that is better.

    >>> metric_label("mse")
    'mean squared error (lower is better)'
    """
    direction = better(metric)
    name = metric_name(metric)
    return f"{name} ({direction} is better)" if direction else name


def score_bars(scores: pd.DataFrame, metric: str) -> Figure:
    """Draw bars per view, one colour per model, and their mean over views beside.

    Bars are means over folds and seeds, error bars one standard deviation over them; with scores
    of all folds together, bars are these and error bars standard errors over folds. The mean takes
    the views that every model scored, so that models are compared on the same ones; there is none
    with one view, or where the models have no scored view in common. A score that does not exist
    is written as `n/a`. Modes stand one below the other.

    Args:
      scores: tidy score table of one data set.
      metric: the metric to draw.

    Raises:
      ValueError: columns are absent, the metric does not occur, or there are several data sets.
    """
    require(scores, [*_RUN, "mode", "view", "metric", "value"], "score table")
    rows = _of_metric(scores, metric)
    models, views = list(rows["model"].unique()), list(rows["view"].unique())
    modes = list(rows["mode"].unique())
    bars = len(models) * (len(views) + 1)
    width = float(np.clip(2.5 + 0.14 * bars + 0.45 * len(views), 7.0, 15.0))
    longest = max(len(str(view)) for view in views)
    figure = new_figure(width, (3.1 + 0.035 * min(longest, 24)) * len(modes) + 1.0)
    share = [len(views), 1.5] if len(views) > 1 else [1]
    grid = figure.subplots(
        len(modes), len(share), squeeze=False, sharey="row", gridspec_kw={"width_ratios": share}
    )
    for mode, panels in zip(modes, grid, strict=True):
        chosen = _only(rows, "mode", mode)
        mean, spread = over_runs(chosen, models, views)
        _draw_bars(panels[0], mean, spread)
        label = metric_label(metric).replace(" (", "\n(")
        tidy_axes(panels[0], title=plain(MODES.get(mode, mode)), y=label)
        if chosen["value"].isna().all():
            panels[0].set_ylim(0, 1)
        if len(views) == 1:
            continue
        shared = list(mean.columns[mean.notna().all(axis=0)])
        if not shared:
            panels[1].set_visible(False)
            continue
        mean, spread = over_runs(mean_of_views(chosen, shared), models, ["mean"])
        mean.columns = [f"mean of {len(shared)}"]
        _draw_bars(panels[1], mean, spread)
        tidy_axes(panels[1], title="all views")
    heading = f"{metric_name(metric)} per view\n{spread_name(rows)}".rstrip()
    figure.suptitle(heading, fontsize=12, color=INK)
    _model_legend(figure, grid[0, 0])
    return figure


def feature_curve(
    per_feature: pd.DataFrame, metric: str = "pearson", mode: str | None = None
) -> Figure:
    """Draw each view's per-feature scores, sorted from best to worst, one line per model.

    A mean hides whether a few features or all are predicted; the curve shows it. Scores are
    averaged over folds and seeds; features without a score are left out and not counted
    (after Figure 2a of Cai et al. 2024).

    Args:
      per_feature: tidy per-feature score table of one data set.
      metric: the metric to draw.
      mode: the evaluation mode; needed where the table holds several.

    Raises:
      ValueError: columns are absent, the metric or mode does not occur, or the mode is open.
    """
    require(
        per_feature, ["model", "mode", "view", "feature", "metric", "value"], "per-feature table"
    )
    rows = _of_metric(per_feature, metric)
    modes = list(rows["mode"].unique())
    if mode is None and len(modes) > 1:
        raise ValueError(f"expected one mode, found {', '.join(modes)}; name one with mode=")
    shown = modes[0] if mode is None else mode
    rows = _only(rows, "mode", shown)
    if rows.empty:
        raise ValueError(f"expected mode {shown!r} in the table, found {', '.join(modes)}")
    models, views = list(rows["model"].unique()), list(rows["view"].unique())
    width = min(4, len(views)) if len(views) != 5 else 3
    height = -(-len(views) // width)
    figure = new_figure(max(2.9 * width, 5.2), 2.5 * height + 1.1)
    grid = figure.subplots(height, width, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(views) :]:
        axes.set_visible(False)
    for place, (axes, view) in enumerate(zip(grid.flat, views, strict=False)):
        features = _draw_curves(axes, _only(rows, "view", view), models)
        title = f"{shorten(plain(view), 20)} ({features:,})"
        below = place + width >= len(views)
        tidy_axes(axes, title=title, x="share of features" if below else "", grid="both")
        axes.tick_params(labelbottom=below)
    name = metric_name(metric)
    figure.supylabel(name, fontsize=9.5, color=INK)
    heading = f"{name} of every feature, best first (number scored)"
    figure.suptitle(f"{heading}\n{plain(MODES.get(shown, shown))}", fontsize=12, color=INK)
    _model_legend(figure, grid[0, 0])
    return figure


def _of_metric(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of one metric, after checking that they exist and are of one data set."""
    rows = _only(table, "metric", metric)
    if rows.empty:
        found = ", ".join(map(str, table["metric"].unique()))
        raise ValueError(f"expected metric {metric!r} in the table, found {found}; name one")
    if "dataset" in rows and rows["dataset"].nunique() > 1:
        found = ", ".join(map(str, rows["dataset"].unique()))
        raise ValueError(f"expected one data set, found {found}; keep the rows of one")
    return rows


def _only(table: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    """Return the rows whose column has this value."""
    return pd.DataFrame(table[table[column] == value])


def over_runs(rows: pd.DataFrame, models: list, views: list) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return scores and their spread, each [models, views].

    Scores are means over folds and seeds, and the spread is the standard deviation over them.
    Where scores of all folds together (`fold` -1) stand beside those of single folds, the means
    are of the former, and the spread is the standard error over the latter.
    """
    single = rows["fold"] >= 0
    pooled = _has_both(rows)
    table = partial(pd.pivot_table, index="model", columns="view", values="value")
    mean = table(rows[~single] if pooled else rows, aggfunc="mean")
    spread = table(rows[single] if pooled else rows, aggfunc="sem" if pooled else "std")
    return (
        mean.reindex(index=models, columns=views),
        spread.reindex(index=models, columns=views),
    )


def spread_name(rows: pd.DataFrame) -> str:
    """Return in words what `over_runs` gives for these scores; empty for a single run."""
    runs = len(rows[["fold", "seed"]].drop_duplicates())
    if _has_both(rows):
        single = rows[(rows["fold"] >= 0) & rows["value"].notna()]
        folds = len(single[["fold", "seed"]].drop_duplicates())
        if folds < 2:
            return "all folds together"
        return f"all folds together, and standard error over {folds} folds"
    return f"mean and SD over {runs} runs (folds and seeds)" if runs > 1 else ""


def _has_both(rows: pd.DataFrame) -> bool:
    """Tell whether scores of all folds together stand beside those of single folds."""
    single = rows["fold"] >= 0
    return bool(single.any() and not single.all())


def mean_of_views(rows: pd.DataFrame, views: list) -> pd.DataFrame:
    """Return one row per model, fold and seed: the mean over the given views."""
    kept = rows[rows["view"].isin(views)]
    return kept.groupby(_RUN, sort=False)["value"].mean().reset_index().assign(view="mean")


def _draw_bars(axes: Axes, mean: pd.DataFrame, spread: pd.DataFrame) -> None:
    """Draw grouped bars, one group per column and one bar per row."""
    width = min(0.82 / len(mean), 0.22)
    places = np.arange(mean.shape[1])
    for i, model in enumerate(mean.index):
        values = mean.loc[model].to_numpy(dtype=float)
        errors = spread.loc[model].fillna(0.0).to_numpy(dtype=float)
        style = look(i)
        x = places + (i - (len(mean) - 1) / 2) * width
        axes.bar(
            x,
            values,
            width,
            label=shorten(plain(model)),
            color=style.colour,
            hatch=style.hatch,
            edgecolor="white",
            linewidth=0.5,
        )
        drawn = np.isfinite(values) & (errors > 0)
        axes.errorbar(x[drawn], values[drawn], errors[drawn], fmt="none", ecolor=INK, elinewidth=1)
        for place in x[~np.isfinite(values)]:
            axes.annotate(
                "n/a", (place, 0), (0, 2), textcoords="offset points", rotation=90,
                ha="center", va="bottom", fontsize=7, color=style.colour,
            )  # fmt: skip
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_xlim(-0.6, mean.shape[1] - 0.4)
    long = max(len(str(name)) for name in mean.columns) > 11 or len(mean.columns) > 7
    turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if long else {}
    axes.set_xticks(places, [shorten(plain(name)) for name in mean.columns], **turned)


def _draw_curves(axes: Axes, rows: pd.DataFrame, models: list) -> int:
    """Draw one sorted curve per model; return how many features have a score by any model."""
    for i, model in enumerate(models):
        chosen = rows[rows["model"] == model]
        values = chosen.groupby("feature")["value"].mean().dropna().to_numpy(dtype=float)
        values = np.sort(values)[::-1]
        style = look(i)
        axes.plot(
            (np.arange(len(values)) + 0.5) / max(len(values), 1),
            values,
            color=style.colour,
            linestyle=style.dash,
            linewidth=1.6,
            marker=style.marker if len(values) < 3 else "",
            label=shorten(plain(model)),
        )
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    return rows.loc[rows["value"].notna(), "feature"].nunique()


def _model_legend(figure: Figure, axes: Axes) -> None:
    """Put the names of the models below all panels."""
    handles, names = axes.get_legend_handles_labels()
    columns = min(len(names), max(2, int(figure.get_figwidth() / 1.9)))
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False)
