"""Is what is known of a cohort seen in measured, completed and withheld values?

Each fact (`benchmark_cohorts.KNOWN`) is asked of

    measured    the values as they are
    completed   tables whose holes a method filled, with all samples; n grows with the holes, so
                read the effect, not the p value
    predicted   what a method said of the values while their view was withheld, out of fold

and counts as recovered if it goes the right way with p < 0.05. The effect of a group is the area
under the ROC curve, the chance that a member has the higher value; of two numbers it is r.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
from benchmark_cohorts import KNOWN, PLANTED
from scipy import stats
from sklearn.metrics import average_precision_score

from jaxomics.crossval.modes import HeldOut, Predictions
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_table

FACT_COLUMNS = ["model", "kind", "fact", "n", "effect", "p", "recovered"]
"""Columns of a table of facts."""

FEWEST = 8
"""Samples, or members of the smaller group, below which a fact is not asked."""


def ask(cohort: MultiOmics, measured: MultiOmics, name: str, kind: str, model: str) -> pd.DataFrame:
    """Ask all facts of a cohort.

    Args:
      cohort: values and labels.
      measured: the cohort as it was measured; groups of samples come from it.
      name: of the cohort.
      kind: measured, completed or predicted.
      model: what filled or predicted.

    Returns:
      One row per fact that can be asked, `FACT_COLUMNS`.
    """
    rows = []
    for fact in KNOWN.get(name, ()):
        value, beside = _column(cohort, fact.value), _column(measured, fact.beside)
        if value is None or beside is None:
            continue
        if fact.equals is not None:
            beside = (beside == fact.equals).astype(float).where(beside.notna())
        elif not beside.dropna().isin((0.0, 1.0)).all():
            beside = cohort.views[fact.beside[0]][fact.beside[1]]
        if fact.within is not None:
            column, only = fact.within
            value = value[(cohort.labels[column] == only).reindex(value.index, fill_value=False)]
        found = answer(value, beside, fact.sign)
        if found is not None:
            rows.append((model, kind, str(fact), *found))
    return pd.DataFrame(rows, columns=pd.Index(FACT_COLUMNS))


def answer(value: pd.Series, beside: pd.Series, sign: int) -> tuple[int, float, float, bool] | None:
    """Return n, effect, p and whether the fact is recovered; None with too few samples.

    Args:
      value: numbers by sample.
      beside: numbers by sample; zeros and ones make groups.
      sign: 1 or -1, the way that the effect should go.

    >>> group = pd.Series([0.0, 1.0] * 10)
    >>> answer(group + np.arange(20) / 100, group, 1)[1]
    1.0
    """
    pair = pd.concat([value, beside.reindex(value.index)], axis=1).dropna().astype(float)
    x, g = pair.iloc[:, 0].to_numpy(), pair.iloc[:, 1].to_numpy()
    if set(np.unique(g)) <= {0.0, 1.0}:
        inside, outside = x[g == 1], x[g == 0]
        if min(len(inside), len(outside)) < FEWEST:
            return None
        test = stats.mannwhitneyu(inside, outside)
        effect, p = float(test.statistic) / (len(inside) * len(outside)), float(test.pvalue)
        right = (effect - 0.5) * sign > 0
    elif len(x) < FEWEST or not (np.ptp(x) > 0 and np.ptp(g) > 0):
        return None
    else:
        effect, p = map(float, stats.pearsonr(x, g))  # type: ignore[arg-type]
        right = effect * sign > 0
    return len(x), effect, p, bool(right and p < 0.05)


def planted(cohort: MultiOmics, folder: str, name: str, kind: str, model: str) -> pd.DataFrame:
    """Look for planted pairs among all pairs of two views, by correlation.

    Args:
      cohort: values.
      folder: where the table of the planted pairs is.
      name: of the cohort.
      kind, model: as for `ask`.

    Returns:
      A row of the average precision by p value, and one of the true pairs among those with
      p < 0.05 after Bonferroni's correction, of whom `n` are there; `effect` holds the number.
    """
    source, target, table = PLANTED[name]
    true = read_table(f"{folder}/{table}")
    pairs = set(zip(true["drug_feature"], true["dataset_feature"], strict=True))
    a, b = cohort.table(source), cohort.table(target)
    p = np.array([[stats.pearsonr(*_both(a[i], b[j]))[1] for j in b.columns] for i in a.columns])
    is_true = np.array([[(i, j) in pairs for j in b.columns] for i in a.columns])
    found = p < 0.05 / p.size
    precision = float(average_precision_score(is_true.ravel(), -np.log10(p.ravel() + 1e-300)))
    rows = [
        (model, kind, "planted pairs: average precision", is_true.sum(), precision, np.nan, True),
        (
            model, kind, "planted pairs: true among found", int(found.sum()),
            float((found & is_true).sum()), np.nan, True,
        ),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=pd.Index(FACT_COLUMNS))


def ask_predicted(held: HeldOut, said: Predictions, name: str, model: str) -> list[pd.DataFrame]:
    """Ask the facts of each view of what was said of it while it was withheld.

    Values stand only where they were measured, so that facts are asked of the same samples.
    """
    found = []
    for view in held.views:
        if ("view_out", view) not in said:
            continue
        measured = held.cohort.table(view)
        values = pd.DataFrame(said["view_out", view][0], measured.index, measured.columns)
        values = values.where(measured.notna())
        cohort = replace(held.cohort, views={**held.cohort.views, view: values})
        facts = ask(cohort, held.cohort, name, "predicted", model)
        own = [str(fact) for fact in KNOWN.get(name, ()) if fact.value[0] == view]
        found.append(pd.DataFrame(facts[facts["fact"].isin(own)]))
    return found


def recovered(facts: pd.DataFrame) -> pd.DataFrame:
    """Return how many facts of how many are recovered, by method and kind."""
    asked = facts[~facts["fact"].str.startswith("planted")]
    groups = asked.groupby(["model", "kind"], sort=False)["recovered"]
    return pd.DataFrame({"recovered": groups.sum(), "asked": groups.size()}).reset_index()


def _column(cohort: MultiOmics, where: tuple[str, str]) -> pd.Series | None:
    """Return a feature or a label of all samples, if it is there."""
    view, name = where
    table = cohort.labels if view == "labels" else cohort.views.get(view)
    return None if table is None or name not in table else pd.Series(table[name])


def _both(a: pd.Series, b: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of samples that have both."""
    x, y = a.to_numpy(np.float64), b.to_numpy(np.float64)
    seen = ~np.isnan(x) & ~np.isnan(y)
    return x[seen], y[seen]
