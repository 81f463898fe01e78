"""Which rows of two views train together: matches of samples, for models that need them."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.gene_activity import gene_activity
from jaxomics.data.matching import TOP, match_samples
from jaxomics.data.normalise import on_scale
from jaxomics.engine.state import Split
from jaxomics.presets.settings import Settings

NAMED = 50
"""Fewest features that must bear a gene's name to stand for gene activity."""


class Pairing(NamedTuple):
    """Matched rows of a cohort.

    Attributes:
      rows: int32 [m, 2], rows of the views of ATAC and RNA.
      table: the matches as `data.matching` has them.
      notes: what could not be asked for, in sentences.
    """

    rows: np.ndarray
    table: pd.DataFrame
    notes: list[str]


def needs_pairs(settings: Settings) -> bool:
    """Tell whether a model trains on matched samples."""
    return hasattr(settings.config, "alignment")


def pair_rows(cohort: MultiOmics, settings: Settings, split: Split, label: str | None) -> Pairing:
    """Match the training samples that have ATAC with those that have RNA.

    Same tumour type, then as much else as is known; and by what both views say of the same genes
    (`gene_space`), or in place of this at random. Samples that have both views pair with
    themselves.

    Args:
      cohort: all samples, with their labels and feature tables.
      settings: of a model that names its views (`coembed.Config.modelled`).
      split: only its training samples are matched, and only they decide what is alike.
      label: column of the tumour type; None matches over all samples.

    Raises:
      InputError: no training sample of either view, or places that cannot be read.
    """
    atac, rna = settings.config.modelled(list(cohort.views))
    rows = np.asarray(split.train)[: int(split.train_size)]
    trained = cohort.select_samples(cohort.samples[rows])
    activity, expression = gene_space(trained, atac, rna)
    if expression is not None:
        scale = settings.normalise.of(rna).scale
        values = on_scale(expression, scale, rna)
        expression = pd.DataFrame(values, expression.index, expression.columns)
    found = match_samples(
        trained, activity=activity, expression=expression, atac=atac, rna=rna,
        cohort_label=label or "",
    )  # fmt: skip
    table, notes = found.table, [note for note in found.notes if "''" not in note]
    if not label:
        notes.append("no column of tumour types (--label): matched over all samples")
    if activity is None:
        table = with_random(table, trained, atac, rna, label, settings.preprocess.seed)
        notes.append(f"matched with {TOP} random samples of the same type besides")
    sides = [cohort.samples.get_indexer(pd.Index(table[name])) for name in ("atac", "rna")]
    return Pairing(np.stack(sides, axis=1).astype(np.int32), table, notes)


def gene_space(
    cohort: MultiOmics, atac: str, rna: str
) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
    """Return ATAC and RNA samples in the space of genes, or None twice.

    Gene activity where both views have places on the genome; else features of ATAC that bear the
    name of a gene ahead of a bar, such as the motifs of a factor, averaged by gene.

    Args:
      cohort: the samples.
      atac, rna: names of the views.
    """
    table, expression = cohort.view(atac), cohort.view(rna)
    peaks, genes = (cohort.features.get(view) for view in (atac, rna))
    if peaks is not None and genes is not None:
        return gene_activity(table, peaks, genes), expression
    names = table.columns.astype(str).str.split("|").str[0]
    if names.isin(expression.columns).sum() < NAMED:
        return None, None
    return table.T.groupby(names).mean().T, expression


def with_random(
    table: pd.DataFrame, cohort: MultiOmics, atac: str, rna: str, label: str | None, seed: int
) -> pd.DataFrame:
    """Return matches with some random RNA samples of the same type for each ATAC sample.

    Args:
      table: matches as `data.matching` has them.
      cohort: the samples.
      atac, rna: names of the views.
      label: column of the type; None takes all samples as one.
      seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    kind = cohort.labels[label].astype(str) if label else pd.Series("", cohort.samples)
    there = cohort.view(rna).index
    rows = []
    for sample in cohort.view(atac).index:
        alike = there[(kind[there] == kind[sample]).to_numpy()]
        chosen = rng.choice(len(alike), min(TOP, len(alike)), replace=False)
        rows += [(sample, alike[i], "random", "", np.nan) for i in chosen]
    more = pd.DataFrame(rows, columns=table.columns)
    return pd.concat([table, more]).drop_duplicates(["atac", "rna"], ignore_index=True)
