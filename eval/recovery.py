"""Are known features found? Ranks of true features among all, for any scores of importance.

Scores are tables [outputs, (view, feature)], larger is more important. They come from
explanations, or from baselines that need no gradient: correlation and permutation.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from outputs import Outputs

import jaxomics
from jaxomics.attribution.targets import CONDITIONALS, Network
from jaxomics.explain.explanation import Explanation
from jaxomics.figures.style import GREY, TICK_SIZE, look, new_figure, tidy_axes
from jaxomics.types import Array, Views

LEAST_PAIRS = 10
"""Fewer samples that have both a feature and an output give no correlation."""
PERMUTED_AT_ONCE = 16


def explained_scores(found: Explanation, *, squared: bool = False) -> pd.DataFrame:
    """Return mean |attribution| [outputs, (view, feature)], or the root of the mean square.

    The root weighs a feature that matters in few samples, such as a rare mutation, more: of a
    linear model it is |slope| times the feature's standard deviation.
    """
    totals = found.totals.square if squared else found.totals.absolute
    sums = np.concatenate([np.asarray(totals[view]) for view in found.features], axis=1)
    size = sums / len(found.samples)
    names = [name for target in found.targets for name in target.names]
    return pd.DataFrame(np.sqrt(size) if squared else size, names, _pairs(found.features))


def measured(estimator: jaxomics.Estimator, cohort: jaxomics.MultiOmics) -> pd.DataFrame:
    """Return what a model reads [samples, (view, feature)], as measured; NaN where it was not."""
    views = {name: list(v.features) for name, v in estimator.preprocess_.views.items()}
    views[CONDITIONALS] = list(estimator.conditionals_.names)
    parts = [cohort.table(name)[views[name]].to_numpy() for name in views if name != CONDITIONALS]
    cells = np.concatenate([*parts, estimator.conditionals_.apply(cohort)], axis=1)
    return pd.DataFrame(cells, cohort.samples, _pairs(views))


def correlations(features: pd.DataFrame, responses: pd.DataFrame) -> pd.DataFrame:
    """Return Pearson's r [responses, features] over the samples that have both.

    0 where a feature is constant on them, or where they are fewer than `LEAST_PAIRS`.
    """
    x, y = features.to_numpy(np.float64), responses.to_numpy(np.float64)
    seen_x, seen_y = np.isfinite(x).astype(float), np.isfinite(y).astype(float)
    # Shifted to mean 0, so that the differences of sums below lose no digits.
    x, y = (np.nan_to_num(a - np.nanmean(a, axis=0)) for a in (x, y))
    count = np.maximum(seen_y.T @ seen_x, 1.0)
    sum_x, sum_y = seen_y.T @ x, y.T @ seen_x
    spread_x = seen_y.T @ x**2 - sum_x**2 / count
    spread_y = (y**2).T @ seen_x - sum_y**2 / count
    size = np.sqrt(np.maximum(spread_x, 0.0) * np.maximum(spread_y, 0.0))
    known = (size > 1e-9) & (count >= LEAST_PAIRS)
    r = np.where(known, (y.T @ x - sum_x * sum_y / count) / np.where(known, size, 1.0), 0.0)
    return pd.DataFrame(r, responses.columns, features.columns)


def permutation_scores(
    written: Outputs, features: pd.MultiIndex, rows: np.ndarray, seed: int
) -> pd.DataFrame:
    """Return the mean squared change of each output when one feature is permuted.

    A feature is permuted among those of the samples that have it, so that what is measured stays
    as it is.

    Args:
      written: outputs of a model.
      features: the columns to permute.
      rows: samples; the cost is features x samples.
      seed: of the permutations.
    """
    rng = np.random.default_rng(seed)
    x, seen = jax.tree.map(lambda leaf: jnp.asarray(leaf)[rows], (written.x, written.observed))
    whole = jax.vmap(
        lambda networks, x, seen: written.f(networks._replace(observed=seen), x), (None, 0, 0)
    )

    @partial(jax.jit, static_argnames="view")
    def changes(networks: Network, x: Views, seen: Views, shuffled: Array, view: str) -> Array:
        before = whole(networks, x, seen)

        def change(column: Array) -> Array:
            moved = x[view].at[:, column].set(shuffled[:, column])
            return ((whole(networks, x | {view: moved}, seen) - before) ** 2).mean(axis=0)

        columns = jnp.arange(shuffled.shape[1])
        return jax.lax.map(change, columns, batch_size=PERMUTED_AT_ONCE)

    parts = []
    for view in features.unique("view"):
        cells = np.array(x[view])
        known = np.asarray(seen.get(view, np.ones(cells.shape, bool)))
        for column, there in enumerate(known.T):
            cells[there, column] = rng.permutation(cells[there, column])
        parts.append(np.asarray(changes(written.networks, x, seen, cells, view)))
    return pd.DataFrame(np.concatenate(parts).T, list(written.names), features)


def ranks(
    scores: pd.DataFrame, known: pd.DataFrame, left_out: Collection[str] = ()
) -> pd.DataFrame:
    """Return where known features stand among the scores of their output.

    Args:
      scores: [outputs, (view, feature)].
      known: columns output, view, feature; rows may share an output. Rows that `scores` has no
        column for are left out.
      left_out: views that do not take part.

    Returns:
      The rows with `rank` (from 1; the mean over ties), `candidates` (features that take part),
      `view_rank` and `view_candidates`, the same within the feature's view, and `auc`, the chance
      that the feature stands before one that is not known.
    """
    kept = scores.loc[:, ~scores.columns.get_level_values("view").isin(left_out)]
    pairs = pd.MultiIndex.from_frame(known[["view", "feature"]])
    known = pd.DataFrame(known[pairs.isin(kept.columns)])
    names, rows = ["rank", "candidates", "view_rank", "view_candidates", "auc"], []
    for output, view, feature in known[["output", "view", "feature"]].itertuples(index=False):
        score = pd.Series(kept.loc[output])
        own = pd.DataFrame(known[known["output"] == output])
        true = score.index.isin(pd.MultiIndex.from_frame(own[["view", "feature"]]))
        value, others = score[view, feature], score.to_numpy()[~true]
        beside = pd.Series(score[view])
        rows.append(
            (
                score.rank(ascending=False)[view, feature],
                len(score),
                beside.rank(ascending=False)[feature],
                len(beside),
                (others < value).mean() + 0.5 * (others == value).mean(),
            )
        )
    return known.join(pd.DataFrame(rows, index=known.index, columns=pd.Index(names)))


def summary(found: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return ranks in short: mean AUC over outputs, ranks over features, share in the top 1 %.

    Chance has an AUC of 0.5, half of the features as mean rank, and 1 % in the top 1 %.

    Args:
      found: what `ranks` returned, with columns that tell tables apart.
      by: these columns.
    """
    top = found["rank"] <= np.maximum(0.01 * found["candidates"], 1.0)
    groups = found.assign(top=top).groupby(by, sort=False)
    auc = found.groupby([*by, "output"], sort=False)["auc"].mean().groupby(by, sort=False).mean()
    return pd.DataFrame(
        {
            "features": groups["candidates"].first(),
            "known": groups.size(),
            "auc": auc,
            "mean rank": groups["rank"].mean(),
            "median rank": groups["rank"].median(),
            "first": groups["rank"].agg(lambda rank: (rank == 1).mean()),
            "in top 1 %": groups["top"].mean(),
        }
    ).reset_index()


def recovery_curves(found: pd.DataFrame, by: str = "method") -> Figure:
    """Draw which share of the known features stands among the first k of their output.

    Args:
      found: what `ranks` returned, with a column that tells curves apart.
      by: this column.
    """
    figure = new_figure(7.0, 4.2)
    axes = figure.subplots()
    most = float(found["candidates"].max())
    for i, (name, own) in enumerate(found.groupby(by, sort=False)):
        place = np.sort(own["rank"].to_numpy(dtype=float))
        shares = np.array([0, *range(1, len(place) + 1), len(place)]) / len(place)
        style = look(i)
        axes.step(
            [1.0, *place, most], shares, where="post",
            color=style.colour, linestyle=style.dash, linewidth=1.6, label=str(name),
        )  # fmt: skip
    chance = np.geomspace(1.0, most, 100)
    axes.plot(
        chance, chance / most, color=GREY, linewidth=0.9, linestyle=(0, (1, 2)), label="chance"
    )  # fmt: skip
    axes.set(xscale="log", xlim=(1, most), ylim=(0, 1.02))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    tidy_axes(
        axes, title=f"Recovery of {len(own)} known features", x="first features of an output",
        y="share of known features among them", grid="both",
    )  # fmt: skip
    figure.legend(loc="outside right upper", frameon=False, fontsize=TICK_SIZE)
    return figure


def cells(table: pd.DataFrame, known: pd.DataFrame) -> np.ndarray:
    """Return one cell of a table [outputs, (view, feature)] per row of known features."""
    columns = table.columns.get_indexer(pd.MultiIndex.from_frame(known[["view", "feature"]]))
    rows = table.index.get_indexer(pd.Index(known["output"]))
    return table.to_numpy()[rows, columns]


def markdown(table: pd.DataFrame) -> str:
    """Return a table as Markdown with three digits, its index first where it has a name."""
    flat = table.reset_index() if table.index.names[0] else table
    lines = [[str(name) for name in flat.columns], ["---"] * flat.shape[1]]
    for row in flat.itertuples(index=False):
        texts = [f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row]
        lines.append([text.replace("|", r"\|") for text in texts])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _pairs(views: Mapping[str, Sequence[str]]) -> pd.MultiIndex:
    """Return columns (view, feature)."""
    pairs = [(view, name) for view, names in views.items() for name in names]
    return pd.MultiIndex.from_tuples(pairs, names=["view", "feature"])
