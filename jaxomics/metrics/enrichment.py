"""Are called features enriched in gene sets? Hypergeometric tests with false discovery rates.

Among N tested genes, n of them called, a set with K tested genes holds k called ones by chance with
P(X >= k), X hypergeometric. The background is what was tested, not the genome. Peaks take the part
of the gene whose transcription starts nearest, within 100 kb.
"""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, hypergeom

from jaxomics.errors import InputError

REACH = 100_000
"""Farthest transcription start, in bases, that a peak is counted to."""

MIN_GENES = 2
"""Fewest tested genes of a set that is tested."""


def enrichment(
    called: Collection[str], tested: Collection[str], sets: Mapping[str, Collection[str]]
) -> pd.DataFrame:
    """Test every gene set.

    Args:
      called: genes in question; those that were not tested are ignored.
      tested: the background.
      sets: genes by name of the set.

    Returns:
      A row per set with two tested genes or more, smallest p first: set, genes (tested ones),
      called, expected, p, fdr.

    Raises:
      InputError: no set has two tested genes.

    >>> table = enrichment("ab", "abcdefgh", {"first": "abc", "last": "fgh"})
    >>> table[["set", "genes", "called", "expected"]].values.tolist()
    [['first', 3, 2, 0.75], ['last', 3, 0, 0.75]]
    >>> table["p"].round(4).tolist()
    [0.1071, 1.0]
    """
    background = set(tested)
    hits = set(called) & background
    rows = []
    for name, members in sets.items():
        own = set(members) & background
        if len(own) < MIN_GENES:
            continue
        k = len(own & hits)
        p = float(hypergeom.sf(k - 1, len(background), len(own), len(hits)))
        rows.append((name, len(own), k, len(own) * len(hits) / len(background), p))
    if not rows:
        raise InputError(
            f"expected a gene set with {MIN_GENES} tested genes or more, found none of "
            f"{len(sets)} sets; check that sets and features use the same gene names"
        )
    table = pd.DataFrame(rows, columns=pd.Index(["set", "genes", "called", "expected", "p"]))
    table["fdr"] = false_discovery_control(table["p"].to_numpy())
    return table.sort_values("p", kind="stable", ignore_index=True)


def parse_gene_sets(lines: Iterable[str]) -> dict[str, list[str]]:
    """Return gene sets by name from the lines of a GMT file: name, description, genes, by tabs.

    Raises:
      InputError: a line without genes, or none at all.

    >>> parse_gene_sets(["CYCLE\\tof cells\\tCDK1\\tCCNB1"])
    {'CYCLE': ['CDK1', 'CCNB1']}
    """
    sets = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, *rest = line.rstrip("\r\n").split("\t")
        genes = [gene for gene in rest[1:] if gene]
        if not genes:
            raise InputError(
                f"expected a name, a description and genes, divided by tabs, found {line[:40]!r} "
                f"in line {number}; give the sets as a GMT file"
            )
        sets[name] = genes
    if not sets:
        raise InputError("expected gene sets, one per line, found none; give a GMT file")
    return sets


def nearest_genes(peaks: pd.DataFrame, genes: pd.DataFrame, reach: int = REACH) -> pd.Series:
    """Return the gene of each peak: the one whose start is nearest to its middle.

    Args:
      peaks: index = peak; columns chrom, start, end.
      genes: index = gene; columns chrom, tss.
      reach: farthest start, in bases; peaks without one have no gene (NaN).

    Raises:
      InputError: columns are absent.
    """
    for table, columns in ((peaks, ("chrom", "start", "end")), (genes, ("chrom", "tss"))):
        absent = [name for name in columns if name not in table]
        if absent:
            raise InputError(f"expected the columns {', '.join(columns)}, found no {absent[0]!r}")
    found = np.full(len(peaks), np.nan, dtype=object)
    middle = (peaks["start"].to_numpy(float) + peaks["end"].to_numpy(float)) / 2
    chromosomes = peaks["chrom"].astype(str).to_numpy()
    for chromosome, own in genes.groupby(genes["chrom"].astype(str)):
        rows = np.flatnonzero(chromosomes == chromosome)
        own = own.sort_values("tss", kind="stable")
        starts = own["tss"].to_numpy(float)
        after = np.searchsorted(starts, middle[rows])
        sides = np.stack([np.maximum(after - 1, 0), np.minimum(after, len(starts) - 1)])
        gaps = np.abs(starts[sides] - middle[rows])
        best = gaps.argmin(axis=0)
        near = gaps.min(axis=0) <= reach
        names = own.index.to_numpy()[sides[best, np.arange(len(rows))]]
        found[rows[near]] = names[near]
    return pd.Series(found, index=peaks.index)
