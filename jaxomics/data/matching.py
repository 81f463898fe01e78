"""Which RNA sample stands for that of an ATAC sample, where the two were never measured together.

After Nagaraj et al. 2023, an ATAC sample is matched with an RNA sample of the same tumour type,
subtype, sex, ethnicity and about the same age, and then with the four whose expression is most like
its gene activity. Samples of one donor, where there are any, come first.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from jaxomics.data.batch_effects import UNNAMED, as_levels
from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError

COLUMNS = ["atac", "rna", "rule", "level", "correlation"]
"""Columns of the table of matches."""

RELAXED = ("none", "ethnicity", "sex", "age", "subtype")
"""Levels of the clinical rule: what was given up last, in the order in which it is."""

TOP = 4
"""RNA samples taken by correlation."""


class Matches(NamedTuple):
    """Pairs of samples.

    Attributes:
      table: columns `COLUMNS`. The rule is `donor`, `clinical` or `correlation`; the level, of the
        clinical rule, is what was given up last (see `RELAXED`), empty for others; correlation is
        that of gene activity and expression, NaN without.
      notes: what could not be asked for, in sentences.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]


def match_samples(
    cohort: MultiOmics,
    *,
    activity: pd.DataFrame | None = None,
    expression: pd.DataFrame | None = None,
    held_out: Iterable[str] = (),
    atac: str = "atac",
    rna: str = "rna",
    cohort_label: str = "cohort",
    donor_label: str = "donor",
    top: int = TOP,
    restrict_to_cohort: bool = True,
    same_donor: bool = True,
    rank: bool = False,
) -> Matches:
    """Match each ATAC sample with RNA samples.

    No held-out sample is matched, nor any other sample of its donor.

    Args:
      cohort: samples with their labels; of these `subtype`, `sex`, `ethnicity` and `age` are
        looked at, where they are.
      activity: gene activity of ATAC samples [samples, genes]; see `data.gene_activity`.
      expression: of RNA samples [samples, genes], log scale. Without both, the rule
        `correlation` is left out.
      held_out: samples.
      atac, rna: names of the views.
      cohort_label: label column of the tumour type, which is never given up.
      donor_label: label column of the donor; without it every sample has its own.
      top: so many RNA samples are taken by correlation.
      restrict_to_cohort: by correlation, take RNA samples of the same tumour type only.
      same_donor: take samples of the same donor as pairs too; without it they are never paired
        on purpose, but may be by chance.
      rank: correlate ranks (Spearman) instead of values (Pearson).

    Raises:
      InputError: no ATAC or no RNA sample is left, or no gene is common.
    """
    labels = _labels(cohort, donor_label)
    gone = labels.index.isin(pd.Index(list(held_out)))
    free = labels[~labels["donor"].isin(labels.loc[gone, "donor"])]
    sides = [free[free.index.isin(cohort.view(view).index)] for view in (atac, rna)]
    for view, side in zip((atac, rna), sides, strict=True):
        if side.empty:
            raise InputError(
                f"expected samples of {view!r} to match that are not held out, found none; hold "
                "out fewer donors"
            )
    notes, kind = [], _kinds(cohort, cohort_label)
    if kind is None:
        notes.append(f"no label column {cohort_label!r}: matched over all samples")
        kind = pd.Series("", cohort.samples)
    for name in ("subtype", "age", "sex", "ethnicity"):
        if name not in cohort.labels:
            notes.append(f"no label column {name!r}: not asked for in matches")
    correlation = _correlation(sides, activity, expression, rank)
    if correlation is None:
        notes.append("no gene activity: no matches by correlation")
    rows = []
    for place in range(len(sides[0])):
        rows += _matches(
            place, sides, kind, correlation, top if correlation is not None else 0,
            restrict_to_cohort=restrict_to_cohort, same_donor=same_donor,
        )  # fmt: skip
    table = pd.DataFrame(rows, columns=COLUMNS).drop_duplicates(["atac", "rna"], ignore_index=True)
    lonely = len(sides[0]) - table["atac"].nunique()
    if lonely:
        notes.append(f"{lonely} of {len(sides[0])} samples of {atac!r} have no match")
    return Matches(table, tuple(notes))


def _labels(cohort: MultiOmics, donor: str) -> pd.DataFrame:
    """Return donor and what is matched on, as text and numbers; NaN where it is not known."""
    table = pd.DataFrame(index=cohort.samples)
    own = pd.Series(cohort.samples, cohort.samples)
    if donor in cohort.labels:
        own = as_levels(pd.Series(cohort.labels[donor])).where(cohort.labels[donor].notna(), own)
    table["donor"] = own.astype(str)
    for name in ("subtype", "sex", "ethnicity"):
        if name in cohort.labels:
            levels = as_levels(pd.Series(cohort.labels[name]))
            table[name] = levels.where(levels != UNNAMED, None)
    if "age" in cohort.labels:
        table["age"] = pd.to_numeric(cohort.labels["age"], errors="coerce")
    return table


def _kinds(cohort: MultiOmics, name: str) -> pd.Series | None:
    """Return the tumour type of each sample, None without the column."""
    return as_levels(pd.Series(cohort.labels[name])) if name in cohort.labels else None


def _matches(
    place: int,
    sides: list[pd.DataFrame],
    kind: pd.Series,
    correlation: np.ndarray | None,
    top: int,
    *,
    restrict_to_cohort: bool,
    same_donor: bool,
) -> list[tuple[str, str, str, str, float]]:
    """Return the rows of one ATAC sample: its donor, the clinical match, the most correlated."""
    sample, own, others = str(sides[0].index[place]), sides[0].iloc[place], sides[1]
    alike = None if correlation is None else pd.Series(correlation[place], others.index)

    def row(other: str, rule: str, level: str = "") -> tuple[str, str, str, str, float]:
        found = np.nan if correlation is None else correlation[place, others.index.get_loc(other)]
        return sample, other, rule, level, float(found)

    rows = []
    if same_donor:
        rows += [row(str(name), "donor") for name in others.index[others["donor"] == own["donor"]]]
    fitting = others[(kind[others.index] == kind[sample]).to_numpy()]
    clinical = _closest(own, fitting)
    if clinical is not None:
        rows.append(row(clinical[0], "clinical", clinical[1]))
    if alike is not None and top:
        near = alike.reindex(fitting.index) if restrict_to_cohort else alike
        near = pd.Series(near.dropna()).sort_values(ascending=False, kind="stable")
        rows += [row(str(name), "correlation") for name in near.index[:top]]
    return rows


def _closest(own: pd.Series, candidates: pd.DataFrame) -> tuple[str, str] | None:
    """Return the RNA sample that fits best, and what had to be given up; None without any.

    Of several that fit alike, the one closest in age is taken, then the first by name. What is
    not known of the ATAC sample is not asked for.
    """
    if candidates.empty:
        return None
    asked = [name for name in ("subtype", "sex", "ethnicity", "age")
             if name in candidates and pd.notna(own[name])]  # fmt: skip
    for level in RELAXED:
        if level in asked:
            asked.remove(level)
        elif level != "none":
            continue
        fits = np.ones(len(candidates), bool)
        for name in asked:
            known = candidates[name].notna() if name == "age" else candidates[name] == own[name]
            fits &= known.to_numpy(bool)
        if fits.any():
            left = candidates[fits]
            distance = pd.Series(0.0, left.index)
            if "age" in left and pd.notna(own["age"]):
                distance = (left["age"] - own["age"]).abs().fillna(np.inf)
            order = np.lexsort((left.index.to_numpy(str), distance.to_numpy(np.float64)))
            return str(left.index[order[0]]), level
    return None


def _correlation(
    sides: list[pd.DataFrame],
    activity: pd.DataFrame | None,
    expression: pd.DataFrame | None,
    rank: bool,
) -> np.ndarray | None:
    """Return the correlation over common genes, [ATAC samples, RNA samples]; None without either.

    Genes are z-scored on the samples that may be matched.
    """
    if activity is None or expression is None:
        return None
    genes = activity.columns.intersection(expression.columns)
    if len(genes) < 2:
        raise InputError(
            f"expected genes with both activity and expression, found {len(genes)} among "
            f"{activity.shape[1]} and {expression.shape[1]}; name genes alike in both"
        )
    scaled = []
    for side, table in zip(sides, (activity, expression), strict=True):
        values = table.loc[side.index, genes].to_numpy(np.float64)
        spread = np.nanstd(values, axis=0)
        values = (values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, np.inf)
        values = np.nan_to_num(values)
        if rank:
            values = rankdata(values, axis=1)
        values = values - values.mean(axis=1, keepdims=True)
        length = np.linalg.norm(values, axis=1, keepdims=True)
        scaled.append(values / np.where(length > 0, length, np.nan))
    return scaled[0] @ scaled[1].T
