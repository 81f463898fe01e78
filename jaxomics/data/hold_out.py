"""One hold-out for all models: donors that none of them is trained on, in a file.

Donors are held out whole, with all of their samples in all views, and each stratum gives its share.
Where ATAC and RNA were measured in different samples, donors that have both are held out, since
only they tell whether the two embeddings of a donor agree (Nagaraj et al. 2023).
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.data.batch_effects import as_levels
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_table, write_table
from jaxomics.errors import InputError

DONOR = "donor"
"""Label column of the donor of a sample."""

STRATUM = "cohort"
"""Label column of what the hold-out is balanced by."""

COLUMNS = ["sample", "donor", "stratum", "held_out"]
"""Columns of a hold-out file."""


class HoldOut(NamedTuple):
    """Who is held out.

    Attributes:
      table: columns `COLUMNS`, one row per sample; the last is true or false.
      notes: what could not be had, in sentences.
    """

    table: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> pd.Index:
        """The samples that are held out."""
        return pd.Index(self.table.loc[self.table["held_out"], "sample"])


def choose_hold_out(
    cohort: MultiOmics,
    share: float = 0.2,
    *,
    donor: str = DONOR,
    stratify: str = STRATUM,
    paired: tuple[str, str] = ("atac", "rna"),
    seed: int = 0,
) -> HoldOut:
    """Choose donors to hold out.

    Of the first of the paired views, the share is made up by donors who have the second as well;
    of every other view it is filled up by donors who lack the first. A stratum always keeps a
    donor to train on.

    Args:
      cohort: all samples with their labels.
      share: of the samples of each view.
      donor: label column; a sample without a value is a donor of its own.
      stratify: label column; without it the hold-out is not balanced, noted.
      paired: two views; where the cohort has not both, each of its views is filled up.
      seed: the same seed gives the same donors.

    Raises:
      InputError: a share that is none, or so small that nobody is held out.
    """
    if not 0 < share < 1:
        raise InputError(f"expected a share between 0 and 1, found {share}; choose another")
    random, notes = np.random.default_rng(seed), []
    table = _people(cohort, donor, stratify, notes)
    counts = {view: table["donor"][cohort.present(view)].value_counts() for view in cohort.views}
    strata = table.drop_duplicates("donor").set_index("donor")["stratum"].sort_index()
    held: set[str] = set()
    first = paired[0] if set(paired) <= set(counts) else None
    if first is not None:
        both = counts[first].index.intersection(counts[paired[1]].index)
        if both.empty:
            notes.append(f"no donor has both {paired[0]} and {paired[1]}: others are held out")
            first = None
        else:
            held |= _pick(random, counts[first], strata, share, both, held)
    for view in counts:
        if view != first:
            own = counts[view].index
            others = own if first is None else own.difference(counts[first].index)
            held |= _pick(random, counts[view], strata, share, others, held)
    table["held_out"] = table["donor"].isin(held)
    if not held:
        raise InputError(
            f"expected donors to hold out, found none: a share of {share} of {len(strata)} donors "
            "leaves none, or each stratum has a single one; raise the share"
        )
    for view in counts:
        here = table["held_out"][cohort.present(view)]
        if abs(here.mean() - share) > max(0.02, 1 / len(here)):
            notes.append(f"{view}: {here.sum()} of {len(here)} samples are held out")
    return HoldOut(table[COLUMNS].reset_index(drop=True), tuple(notes))


def write_hold_out(hold_out: HoldOut, path: str | Path) -> None:
    """Write a hold-out as .csv or .parquet; an existing file is never replaced.

    Raises:
      InputError: the file exists, or has another ending.
    """
    write_table(hold_out.table, path)


def read_hold_out(path: str | Path, cohort: MultiOmics, donor: str = DONOR) -> pd.Index:
    """Return those samples of a cohort that a file holds out.

    Args:
      path: what `write_hold_out` wrote, or a table with the columns sample and held_out.
      cohort: the data; may lack samples of the file.
      donor: label column.

    Raises:
      InputError: no such file or column, a sample that the file does not know, or a donor with
        samples on both sides.
    """
    table = read_table(path)
    for name in ("sample", "held_out"):
        if name not in table:
            raise InputError(f"{path}: expected a column {name!r}, found none; choose anew")
    words = table["held_out"].astype(str).str.lower().str.removesuffix(".0")
    if not words.isin(["true", "false", "1", "0"]).all():
        raise InputError(f"{path}: expected true or false in the column 'held_out'; correct it")
    out = pd.Series(words.isin(["true", "1"]).to_numpy(), table["sample"].astype(str))
    strange = cohort.samples.difference(out.index)
    if len(strange):
        raise InputError(
            f"{path}: expected every sample of the data, found {len(strange)} that it does not "
            f"know, the first is {strange[0]!r}; use one file for one cohort, or choose anew under "
            "another name"
        )
    own = out[~out.index.duplicated()].reindex(cohort.samples).astype(bool)
    sides = own.groupby(donors(cohort, donor).to_numpy()).nunique()
    if (sides > 1).any():
        raise InputError(
            f"{path}: expected donors on one side, found {str(sides.index[sides > 1][0])!r} with "
            "samples held out and samples to train on; correct it"
        )
    if not own.any() or own.all():
        raise InputError(
            f"{path}: expected samples to train on and samples to hold out, found "
            f"{len(own) - own.sum()} and {own.sum()}; choose anew under another name"
        )
    return cohort.samples[own.to_numpy()]


def donors(cohort: MultiOmics, donor: str = DONOR) -> pd.Series:
    """Return the donor of each sample, as text; the sample itself where none is known."""
    own = pd.Series(cohort.samples.astype(str), cohort.samples)
    if donor not in cohort.labels:
        return own
    return as_levels(pd.Series(cohort.labels[donor])).where(cohort.labels[donor].notna(), own)


def _people(cohort: MultiOmics, donor: str, stratify: str, notes: list[str]) -> pd.DataFrame:
    """Return sample, donor and stratum of each sample; a donor has the stratum of its first."""
    table = pd.DataFrame({"donor": donors(cohort, donor)}).rename_axis("sample").reset_index()
    if donor not in cohort.labels:
        notes.append(f"no label column {donor!r}: each sample is its own donor")
    table["stratum"] = ""
    if stratify in cohort.labels:
        table["stratum"] = as_levels(pd.Series(cohort.labels[stratify])).to_numpy()
        table["stratum"] = table.groupby("donor")["stratum"].transform("first")
    else:
        notes.append(f"no label column {stratify!r}: the hold-out is not balanced")
    return table


def _pick(
    random: np.random.Generator,
    counts: pd.Series,
    strata: pd.Series,
    share: float,
    eligible: pd.Index,
    held: set[str],
) -> set[str]:
    """Return more donors to hold out, so that their samples of a view come near the share.

    What a stratum gives too little or too much, the next one makes up for.

    Args:
      random: shuffles donors.
      counts: samples of the view by donor.
      strata: by donor.
      share: of the samples of each stratum.
      eligible: donors to choose from.
      held: donors that are held out already.
    """
    chosen: set[str] = set()
    lacking = 0.0
    for _, members in strata[strata.index.isin(counts.index)].groupby(strata):
        names = members.index
        gone = names[names.isin(list(held))]
        lacking += share * counts[names].sum() - counts[gone].sum()
        free = random.permutation(np.asarray(names[names.isin(eligible) & ~names.isin(gone)], str))
        left = len(names) - len(gone)
        for name in free:
            own = int(counts[name])
            if left > 1 and abs(lacking - own) < abs(lacking):
                chosen.add(str(name))
                lacking, left = lacking - own, left - 1
    return chosen
