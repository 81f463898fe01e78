import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.gene_activity import activity_weights, gene_activity
from jaxomics.data.io import read_cohort
from jaxomics.data.matching import match_samples
from jaxomics.errors import InputError


def genome(seed=0, peaks=300, genes=40):
    random = np.random.default_rng(seed)
    start = random.integers(0, 2_000_000, peaks)
    table = pd.DataFrame(
        {"chrom": random.choice(["chr1", "chrX"], peaks), "start": start, "end": start + 501}
    )
    places = {"chrom": random.choice(["1", "X", "7"], genes)}
    places["tss"] = random.integers(0, 2_000_000, genes).astype(float)
    names = [f"p{i}" for i in range(peaks)], [f"g{i}" for i in range(genes)]
    return table.set_axis(names[0], axis=0), pd.DataFrame(places, names[1])


def test_weights_are_those_of_the_formula():
    peaks, genes = genome()
    genes.loc["g3", "tss"] = np.nan
    found = activity_weights(peaks, genes).toarray()
    middle = (peaks["start"] + peaks["end"]).to_numpy() / 2
    distance = np.abs(middle[:, None] - genes["tss"].to_numpy())
    same = peaks["chrom"].str[3:].to_numpy()[:, None] == genes["chrom"].to_numpy()
    expected = np.where(same & (distance <= 100_000), np.exp(-distance / 5000), 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (found[:, 3] == 0).all()


def test_activity_is_the_logarithm_of_the_weighted_sum():
    peaks, genes = genome()
    counts = np.random.default_rng(1).poisson(3, (5, len(peaks))).astype(np.float32)
    atac = pd.DataFrame(counts, list("abcde"), peaks.index)
    weights = activity_weights(peaks, genes).toarray()
    near = weights.sum(axis=0) > 0
    found = gene_activity(atac, peaks.iloc[::-1], genes)
    assert found.columns.tolist() == genes.index[near].tolist()
    np.testing.assert_allclose(found, np.log2(1 + counts @ weights[:, near]), rtol=1e-5)
    holed = atac.mask(atac > 4)
    np.testing.assert_array_equal(
        gene_activity(holed, peaks, genes), gene_activity(holed.fillna(0), peaks, genes)
    )


def test_what_cannot_be_meant_is_named():
    peaks, genes = genome()
    atac = pd.DataFrame(-np.ones((1, len(peaks))), ["a"], peaks.index)
    with pytest.raises(InputError, match="0 or more for gene activity, found -1"):
        gene_activity(atac, peaks, genes)
    with pytest.raises(InputError, match="none with 'tss'"):
        activity_weights(peaks, genes[["chrom"]])
    with pytest.raises(InputError, match="found none of 40; take both from one genome"):
        activity_weights(peaks, genes.assign(chrom="7"))


@pytest.mark.real
@pytest.mark.skipif("JAXOMICS_DATA" not in os.environ, reason="JAXOMICS_DATA is not set")
def test_blood_cells_are_matched_by_what_is_accessible_near_their_genes():
    """Promoter peaks of these populations correlate 0.42 with their genes, says their README."""
    cohort = read_cohort(Path(os.environ["JAXOMICS_DATA"]) / "atac_hematopoiesis")
    peaks = cohort.features["atac"]
    start = (peaks["start"] + peaks["end"]) // 2 - peaks["distance_to_tss"]
    nearest = peaks["distance_to_tss"].abs().sort_values(kind="stable").index
    genes = peaks.assign(tss=start).loc[nearest, ["nearest_gene", "chr", "tss"]]
    genes = genes.drop_duplicates("nearest_gene").set_index("nearest_gene")
    signal = np.exp2(cohort.view("atac").to_numpy()) - 1
    atac = pd.DataFrame(signal, cohort.view("atac").index, cohort.view("atac").columns)
    activity, rna = gene_activity(atac, peaks, genes), cohort.view("rna")
    shared = activity.columns.intersection(rna.columns)
    both = activity.index.intersection(rna.index)
    pairs = [(activity.loc[both, g], rna.loc[both, g]) for g in shared]
    r = [np.corrcoef(a, b)[0, 1] for a, b in pairs if a.std() > 0 and b.std() > 0]
    assert len(r) > 900
    assert np.mean(r) == pytest.approx(0.40, abs=0.02)
    views = {"atac": atac.add_prefix("a:", axis=0), "rna": rna.add_prefix("r:", axis=0)}
    found = match_samples(
        MultiOmics.from_tables(views), top=1, expression=views["rna"],
        activity=activity.add_prefix("a:", axis=0),
    ).table  # fmt: skip
    found = found[found["rule"] == "correlation"]
    assert (found["atac"].str[2:] == found["rna"].str[2:]).mean() >= 0.5  # chance: 1 of 16
