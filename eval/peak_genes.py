"""Does accessibility near genes follow their expression? Real peaks with coordinates, end to end.

    python eval/peak_genes.py COHORT

Reads a cohort with peaks (features_atac with chr or chrom, start, end, nearest_gene,
distance_to_tss) and expression, finds the gene of each peak again from coordinates, makes gene
activities, and correlates them with expression over the samples that have both; beside it the same
with genes shuffled. Seconds. Expected: docs/results/bulk_embedding.md.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from tyro.conf import Positional

from jaxomics.data.gene_activity import gene_activity
from jaxomics.data.io import read_cohort
from jaxomics.data.peaks import name_chrom
from jaxomics.metrics.correlation import pearson
from jaxomics.metrics.enrichment import REACH, nearest_genes


def main(data: Positional[Path], seed: int = 0) -> None:
    """Print how peaks, genes and expression agree.

    Args:
      data: cohort folder with the views atac and rna.
      seed: of the shuffled genes.
    """
    cohort = read_cohort(data, views=("atac", "rna"))
    peaks = name_chrom(cohort.features["atac"])
    genes = starts(peaks)
    found = nearest_genes(peaks, genes)
    near = (peaks["distance_to_tss"].abs() <= REACH).to_numpy()
    same = (found == peaks["nearest_gene"]).to_numpy()[near].mean()
    print(
        f"{near.sum()} of {len(peaks)} peaks within {REACH} bases of a gene; found again {same:.3f}"
    )
    activity, rna = gene_activity(cohort.view("atac"), peaks, genes), cohort.view("rna")
    samples = activity.index.intersection(rna.index)
    shared = activity.columns.intersection(rna.columns)
    x, y = (table.loc[samples, shared].to_numpy() for table in (activity, rna))
    shuffled = np.random.default_rng(seed).permutation(len(shared))
    for name, order in (("own gene", np.arange(len(shared))), ("another gene", shuffled)):
        r = pearson(x, y[:, order], min_pairs=3)
        print(
            f"{len(samples)} samples, {np.isfinite(r).sum()} genes, {name}: r {np.nanmean(r):.3f}"
        )


def starts(peaks: pd.DataFrame) -> pd.DataFrame:
    """Return where genes start, columns chrom and tss, as distances of peaks tell it."""
    middle = (peaks["start"] + peaks["end"]) / 2
    table = peaks.assign(tss=middle - peaks["distance_to_tss"])
    return pd.DataFrame(table.groupby("nearest_gene").agg({"chrom": "first", "tss": "median"}))


if __name__ == "__main__":
    tyro.cli(main)
