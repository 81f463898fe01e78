"""Gene activity: accessibility around the start of a gene, as a guess of its expression.

Of sample i and gene j, g_ij = sum over peaks p within 100 kb of a_ip exp(-d_pj / 5000), with d the
distance from the middle of the peak to the start of the gene in base pairs; given as log2(1 + g).
"""

import numpy as np
import pandas as pd
from scipy.sparse import csc_matrix

from jaxomics.data.peaks import check_peaks, name_chrom
from jaxomics.errors import InputError

DECAY = 5000.0
"""Base pairs over which the weight of a peak falls to 1/e."""

REACH = 100_000
"""Farthest peak that counts, in base pairs."""


def activity_weights(
    peaks: pd.DataFrame, genes: pd.DataFrame, decay: float = DECAY, reach: int = REACH
) -> csc_matrix:
    """Return the weight of each peak for each gene, float32 [peaks, genes], sparse.

    Args:
      peaks: columns chrom, start, end; see `peaks.check_peaks`.
      genes: columns chrom, tss. Genes without a place, or on a sequence without peaks, get no
        weight.
      decay, reach: in base pairs.

    Raises:
      InputError: a column is absent, or no gene has a peak within reach: genomes or names of
        chromosomes differ.

    >>> peaks = pd.DataFrame({"chrom": ["1"], "start": [900], "end": [1100]}, index=["p"])
    >>> genes = pd.DataFrame({"chrom": ["chr1"], "tss": [6000]}, index=["g"])
    >>> activity_weights(peaks, genes).toarray().round(2).astype(str).tolist()
    [['0.37']]
    """
    genes = name_chrom(genes)
    for name in ("chrom", "tss"):
        if name not in genes:
            raise InputError(
                f"expected a feature table of genes with the columns chrom and tss, found none "
                f"with {name!r}; add it: gene activity needs to know where genes start"
            )
    places = check_peaks(peaks.index, peaks)
    middle = (places["start"].to_numpy() + places["end"].to_numpy()) / 2
    tss = pd.to_numeric(genes["tss"], errors="coerce").to_numpy(np.float64)
    of_peaks, of_genes = _sequences(places["chrom"]), _sequences(pd.Series(genes["chrom"]))
    rows, columns = [], []
    for sequence in of_peaks.unique():
        there = np.flatnonzero(of_peaks == sequence)
        there = there[np.argsort(middle[there], kind="stable")]
        here = np.flatnonzero((of_genes == sequence).to_numpy() & np.isfinite(tss))
        first = np.searchsorted(middle[there], tss[here] - reach, "left")
        count = np.searchsorted(middle[there], tss[here] + reach, "right") - first
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        rows.append(there[np.repeat(first, count) + within])
        columns.append(np.repeat(here, count))
    row, column = np.concatenate(rows), np.concatenate(columns)
    if not len(row):
        raise InputError(
            f"expected genes with a peak within {reach} base pairs, found none of {len(genes)}; "
            "take both from one genome, with the same names of chromosomes"
        )
    weight = np.exp(-np.abs(middle[row] - tss[column]) / decay).astype(np.float32)
    return csc_matrix((weight, (row, column)), shape=(len(peaks), len(genes)))


def gene_activity(atac: pd.DataFrame, peaks: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """Return log2(1 + g), float32 [samples, genes that have a peak within reach].

    Args:
      atac: accessibility [samples, peaks], 0 or more, such as counts; a missing cell counts as 0.
      peaks: feature table of these peaks.
      genes: feature table of genes.

    Raises:
      InputError: negative values; see also `activity_weights`.
    """
    weights = activity_weights(peaks.reindex(atac.columns), genes)
    values = np.nan_to_num(atac.to_numpy(np.float32))
    if values.size and values.min() < 0:
        raise InputError(
            f"expected accessibility of 0 or more for gene activity, found {values.min():g}; give "
            "counts, not standardised values"
        )
    near = np.flatnonzero(np.diff(weights.indptr))
    activity = np.log2(1.0 + (weights[:, near].T @ values.T).T)
    return pd.DataFrame(activity, atac.index, genes.index[near])


def _sequences(names: pd.Series) -> pd.Series:
    """Return names of chromosomes without `chr` in front, as text."""
    text = names.astype("string").str.strip().str.removesuffix(".0")
    return text.str.replace("^chr", "", case=False, regex=True).str.upper()
