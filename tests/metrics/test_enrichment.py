import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact

from jaxomics.errors import InputError
from jaxomics.metrics.enrichment import enrichment, nearest_genes, parse_gene_sets


def test_p_values_are_those_of_fisher():
    tested = [f"g{i}" for i in range(50)]
    called, members = tested[:10], [*tested[6:20], "elsewhere"]
    row = enrichment([*called, "untested"], tested, {"set": members}).iloc[0]
    assert (row["genes"], row["called"]) == (14, 4)
    expected = fisher_exact([[4, 10], [6, 30]], alternative="greater")
    assert row["p"] == pytest.approx(expected.pvalue)
    with pytest.raises(InputError, match="found none of 1 sets"):
        enrichment(called, tested, {"set": ["elsewhere", "g1"]})


def test_sets_are_read_from_gmt_lines():
    assert parse_gene_sets(["A\tx\tg1\tg2\n", "\n", "B\t\tg3"]) == {"A": ["g1", "g2"], "B": ["g3"]}
    for lines, said in ((["A g1 g2"], "in line 1"), ([], "found none")):
        with pytest.raises(InputError, match=said):
            parse_gene_sets(lines)


def test_peaks_go_to_the_nearest_start_within_reach():
    peaks = pd.DataFrame(
        {
            "chrom": ["1", "1", "1", "2", "3"],
            "start": [0, 900, 400_000, 50, 5],
            "end": [100, 1100, 400_500, 60, 9],
        },
        index=list("abcde"),
    )
    genes = pd.DataFrame(
        {"chrom": ["1", "2", "1"], "tss": [800, 100_050, 90]}, index=["far", "two", "near"]
    )
    found = nearest_genes(peaks, genes)
    assert found["a"] == "near"
    assert found["b"] == "far"
    assert found["d"] == "two"
    assert found[["c", "e"]].isna().all()
    with pytest.raises(InputError, match="no 'tss'"):
        nearest_genes(peaks, genes[["chrom"]])
    assert np.isnan(nearest_genes(peaks, genes, reach=10)["b"])
