"""The tables and figures of a benchmark, in words."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from benchmark_facts import recovered
from benchmark_part import WHOLE, labelled, names, reconstructs, verbs

from jaxomics.crossval.modes import MODES, Plan
from jaxomics.data.io import write_table
from jaxomics.figures.critical import critical_difference
from jaxomics.figures.style import png
from jaxomics.metrics.comparison import compare_folds, compare_samples
from jaxomics.metrics.tables import ALL_FOLDS

WORDS = {
    "reconstruct": "A: nothing withheld",
    "view_out": "B: a whole view withheld",
    "cell_out": "C: single cells withheld",
}
"""Modes by the letters of the article."""

ORIGIN = (
    "Every method is a reimplementation of this package, checked as docs/comparators.md and the "
    "pages of the models say; none is the original software. `r`: mean over features and views of "
    "Pearson's r. `relative error`: squared error over that of the training mean. `best nearer`: "
    "share of samples in which the method of the best mean rank has the smaller error."
)
"""What stands above all tables."""

CLUSTERS = ("calinski_harabasz", "davies_bouldin", "silhouette", "ari", "nmi", "knn_accuracy")


class Found(NamedTuple):
    """All tables of a benchmark.

    Attributes:
      dataset: name of the cohort.
      label: what latents were scored against.
      plan: how samples were held out.
      rounds: folds that each method is to be scored on.
      scores, features: as `crossval.scores.score` gives them.
      errors: of each sample: model, mode, view, sample, value.
      clusters: as `evaluate_embedding` gives them.
      cost: seconds and memory of each part, and why there is nothing.
      facts: see `benchmark_facts`.
    """

    dataset: str
    label: str | None
    plan: Plan
    rounds: int
    scores: pd.DataFrame
    features: pd.DataFrame
    errors: pd.DataFrame
    clusters: pd.DataFrame
    cost: pd.DataFrame
    facts: pd.DataFrame


def report(found: Found, out: Path) -> str:
    """Return the report as markdown; write the tests and the figures beside the tables."""
    parts = [f"# {found.dataset}", ORIGIN, *_reconstruction(found, out)]
    parts += _latents(found) if len(found.clusters) else []
    if len(found.facts):
        known = recovered(found.facts)
        tables = [markdown(known)] if len(known) else []
        parts += ["## What is known", *tables, *_planted(found.facts)]
    parts += ["## Cost", markdown(cost(found.cost))]
    return "\n\n".join([*parts, *_absent(found)]) + "\n"


def _absent(found: Found) -> list[str]:
    """Return what methods have no row of: they cannot, failed, are not done or were not run."""
    ran = list(found.cost["model"].unique())
    failed = found.cost[found.cost["reason"] != ""]
    rows = list(failed[["model", "fold", "reason"]].itertuples(index=False, name=None))
    good = found.cost[found.cost["reason"] == ""]
    for name in ran:
        own = set(good.loc[good["model"] == name, "fold"])
        there = sum(str(fold) in own for fold in range(found.rounds))
        if not reconstructs(name):
            rows.append((name, "cells", "estimates none"))
        elif there < found.rounds:
            rows.append((name, "cells", f"{there} of {found.rounds} folds; all are needed"))
        if "embed" not in verbs(name):
            rows.append((name, "latent space", "has none"))
        elif WHOLE not in own:
            rows.append((name, "latent space", "all samples together were not fitted"))
    table = pd.DataFrame(rows, columns=pd.Index(["method", "what", "why"]))
    others = [name for name in names() if name not in ran]
    return [
        "## Not there, and why",
        *([markdown(table)] if len(table) else []),
        f"Not run: {', '.join(others) or 'nothing'}.",
    ]


def _reconstruction(found: Found, out: Path) -> list[str]:
    """Return scores and tests of every mode."""
    parts, pairs = [], []
    for mode in (mode for mode in MODES if len(found.errors)):
        table = by_sample(found.errors, mode)
        if table.shape[1] < 2:
            continue
        compared = compare_samples(table)
        means = by_fold(found.scores, mode)
        folds = compared.pairs.assign(difference=np.nan, p=np.nan, p_holm=np.nan)
        if len(means) > 1:
            folds = compare_folds(means, 1 / found.plan.folds)
        merged = compared.pairs.merge(
            folds[["a", "b", "difference", "p", "p_holm"]], on=["a", "b"], suffixes=("", "_folds")
        )
        pairs.append(merged.assign(mode=mode))
        title = f"{found.dataset}: {WORDS[mode]}, {compared.n:,} samples"
        figure = critical_difference(compared.ranks, compared.pairs, title=title)
        (out / f"critical_{mode}.png").write_bytes(png(figure))
        told = summary(found, mode, compared.ranks, merged)
        told["best nearer"] = nearer(table, compared.ranks).to_numpy()
        parts += [f"## {WORDS[mode]}", markdown(told)]
        parts += [markdown(per_view(found.scores, mode, compared.ranks))]
    if pairs:
        joined = pd.concat(pairs, ignore_index=True)
        write_table(joined, out / "pairs.parquet", csv=True, overwrite=True)
    return parts


def by_sample(errors: pd.DataFrame, mode: str) -> pd.DataFrame:
    """Return the error of each sample, mean over its views: [samples, methods]."""
    rows = errors[errors["mode"] == mode]
    means = rows.groupby(["sample", "model"], sort=False)["value"].mean()
    return pd.DataFrame(means.unstack("model")).reindex(columns=rows["model"].unique())


def nearer(errors: pd.DataFrame, ranks: pd.Series) -> pd.Series:
    """Return the share of samples in which the best method has the smaller error, by method.

    Args:
      errors: [samples, methods], of `by_sample`.
      ranks: mean ranks, best first; the share of the best method itself is NaN.

    >>> errors = pd.DataFrame({"a": [1.0, 1, 1, 9], "b": [2.0, 2, 0, 9]})
    >>> nearer(errors, pd.Series({"a": 1.4, "b": 1.6})).tolist()
    [nan, 0.5]
    """
    whole = errors.dropna()
    best = ranks.index[0]
    share = pd.Series({name: float((whole[best] < whole[name]).mean()) for name in ranks.index})
    share[best] = np.nan
    return share


def by_fold(scores: pd.DataFrame, mode: str) -> pd.DataFrame:
    """Return the relative error of each fold, mean over views: [folds, methods]."""
    rows = scores[
        (scores["mode"] == mode)
        & (scores["metric"] == "relative_error")
        & (scores["fold"] != ALL_FOLDS)
    ]
    return rows.pivot_table(index="fold", columns="model", values="value", sort=False)


def summary(found: Found, mode: str, ranks: pd.Series, pairs: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method, best rank first: r, relative error, rank, tests against the best.

    `p_best` is of samples and `p_best_folds` of folds, of which two are needed; both after Holm's
    correction for all pairs.
    """
    rows = found.scores[(found.scores["mode"] == mode) & (found.scores["fold"] == ALL_FOLDS)]
    means = rows.pivot_table(index="model", columns="metric", values="value", dropna=False)
    best = ranks.index[0]
    columns = ["p_holm", "p_holm_folds"]
    tested = {
        frozenset((a, b)): p
        for a, b, *p in pairs[["a", "b", *columns]].itertuples(index=False, name=None)
    }
    against = [tested.get(frozenset((best, name)), [float("nan")] * 2) for name in ranks.index]
    table = pd.DataFrame(against, ranks.index, pd.Index(["p_best", "p_best_folds"]))
    table.insert(0, "r", means["pearson"].reindex(ranks.index))
    table.insert(1, "relative error", means["relative_error"].reindex(ranks.index))
    table.insert(2, "mean rank", ranks)
    return table.rename_axis("method").reset_index()


def per_view(scores: pd.DataFrame, mode: str, ranks: pd.Series) -> pd.DataFrame:
    """Return the relative error of every view, a row per method, best rank first."""
    rows = scores[
        (scores["mode"] == mode)
        & (scores["fold"] == ALL_FOLDS)
        & (scores["metric"] == "relative_error")
    ]
    table = rows.pivot_table(index="model", columns="view", values="value", sort=False)
    return table.reindex(ranks.index).rename_axis("relative error").reset_index()


def _latents(found: Found) -> list[str]:
    """Return clustering scores of all dimensions, and of 50 components."""
    parts = [
        f"## Latent spaces against `{found.label}`",
        "All dimensions, each standardised:",
        markdown(clusters(found, "latent")),
    ]
    reduced = clusters(found, "pc50")
    if len(reduced):
        parts += [
            "The first 50 principal components, or all there are, not standardised:",
            markdown(reduced),
        ]
    return parts


def clusters(found: Found, mode: str) -> pd.DataFrame:
    """Return clustering scores of all dimensions (`latent`) or of 50 components (`pc50`).

    Methods that saw the label say so.
    """
    rows = found.clusters
    rows = rows[rows["metric"].isin(CLUSTERS) & (rows["mode"] == mode)]
    table = rows.pivot_table(index="model", columns="metric", values="value", sort=False)
    seen = [f"{name} (saw the label)" if labelled(str(name)) else name for name in table.index]
    table = table.reindex(columns=list(CLUSTERS)).set_axis(seen)
    return table.rename_axis("method").reset_index()


def cost(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean seconds of a fold and the most memory, of methods that ended well.

    Seconds of the processor count those of all its cores, and depend less on what else runs.
    """
    rows = table[(table["reason"] == "") & (table["fold"] != WHOLE)]
    groups = rows.groupby("model", sort=False)
    return pd.DataFrame(
        {
            "seconds a fold": groups["seconds"].mean(),
            "of the processor": groups["cpu_seconds"].mean(),
            "peak GiB": groups["peak_gib"].max(),
            "folds": groups.size(),
        }
    ).reset_index()


def _planted(facts: pd.DataFrame) -> list[str]:
    """Return what was found of planted pairs, if there are any."""
    rows = facts[facts["fact"].str.startswith("planted")]
    if rows.empty:
        return []
    table = rows.pivot_table(
        index=["model", "kind"], columns="fact", values=["effect", "n"], sort=False
    )
    wide = pd.DataFrame(
        {
            "average precision": table["effect", "planted pairs: average precision"],
            "found": table["n", "planted pairs: true among found"],
            "true": table["effect", "planted pairs: true among found"],
        }
    )
    return [markdown(wide.reset_index())]


def markdown(table: pd.DataFrame) -> str:
    """Return a table as markdown, numbers short.

    >>> print(markdown(pd.DataFrame({"name": ["a"], "r": [0.51234], "n": [3]})))
    | name | r | n |
    |---|---|---|
    | a | 0.512 | 3 |
    """

    def short(value: object) -> str:
        if not isinstance(value, float):
            return str(value)
        if value != value:
            return "-"
        if 0 < abs(value) < 0.001:
            return f"{value:.0e}"
        return f"{value:.0f}" if value.is_integer() and abs(value) > 1 else f"{value:.3f}"

    lines = [[str(name) for name in table.columns], ["---"] * table.shape[1]]
    lines += [[short(value) for value in row] for row in table.itertuples(index=False)]
    text = ["| " + " | ".join(line) + " |" for line in lines]
    text[1] = "|" + "|".join(lines[1]) + "|"
    return "\n".join(text)
