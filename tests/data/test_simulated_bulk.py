from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.cli import main
from jaxomics.data.io import read_cohort
from jaxomics.data.simulated_bulk import Effects, simulate_bulk
from jaxomics.errors import InputError


def small(seed):
    return simulate_bulk(200, 50, genes=150, peaks=3000, cohorts=5, seed=seed)


@pytest.fixture(scope="module")
def sim():
    return small(3)


def test_same_seed_same_cohort(sim):
    again, other = small(3), small(4)
    assert again.cohort.digest() == sim.cohort.digest() != other.cohort.digest()


def test_samples_are_replicates_of_donors_and_views_share_few_of_these(sim):
    labels = sim.cohort.labels
    rna, atac = (labels.loc[sim.cohort.view(view).index, "donor"] for view in ("rna", "atac"))
    assert len(atac) == 100
    assert (atac.value_counts() == 2).all()
    assert rna.is_unique
    assert len(set(atac) & set(rna)) == 10
    assert not sim.cohort.present("rna")[sim.cohort.present("atac")].any()
    per_donor = labels.groupby("donor").nunique()
    same = ["cohort", "subtype", "age", "sex", "ethnicity", "os_time", "os_event"]
    assert (per_donor[same] == 1).all(axis=None)
    assert per_donor["library_prep"].max() > 1
    assert labels["cohort"].loc[atac.index].nunique() == 5
    assert not labels.isna().any(axis=None)


def test_values_are_counts_and_some_features_have_none(sim):
    for table in sim.cohort.views.values():
        values = table.to_numpy()
        assert (values >= 0).all()
        assert (values == np.round(values)).all()
        assert 0 < (values.sum(axis=0) == 0).mean() < 0.1


def test_peaks_are_in_order_and_genes_start_among_them(sim):
    peaks, genes = sim.cohort.features["atac"], sim.cohort.features["rna"]
    assert (peaks["end"] - peaks["start"] == 501).all()
    for _, rows in peaks.groupby("chrom"):
        assert (rows["start"].to_numpy()[1:] > rows["end"].to_numpy()[:-1]).all()
    assert set(genes["chrom"]) <= set(peaks["chrom"])
    assert set(genes["strand"]) == {"+", "-"}


def test_three_fifths_of_the_donors_are_censored_and_hazard_shortens_life(sim):
    donors = sim.cohort.labels.drop_duplicates("donor").set_index("donor")
    assert donors["os_event"].mean() == pytest.approx(0.4, abs=0.01)
    truth = sim.truth.survival.loc[donors.index]
    known = donors["os_event"] == 1
    np.testing.assert_allclose(donors["os_time"][known], truth["os_time"][known])
    assert (donors["os_time"][~known] < truth["os_time"][~known]).all()
    weights = np.linalg.lstsq(sim.truth.factors.iloc[:, :2], truth["log_hazard"], rcond=None)[0]
    np.testing.assert_allclose(weights, [0.7, -0.5], atol=1e-9)
    assert truth["log_hazard"].corr(np.log(truth["os_time"]), method="spearman") < -0.3


def test_batches_are_confounded_with_cohorts_in_part(sim):
    for name in ("library_prep", "sequencer"):
        crossed = pd.crosstab(sim.cohort.labels["cohort"], sim.cohort.labels[name])
        top = crossed.max(axis=1).sum() / crossed.to_numpy().sum()
        assert 0.6 < top < 0.95
        assert (crossed.sum(axis=0) > 0).all()


def test_neighbours_agree_and_genes_follow_their_peaks(sim):
    atac, rna = sim.truth.loadings["atac"].to_numpy(), sim.truth.loadings["rna"].to_numpy()
    same = sim.cohort.features["atac"]["chrom"].eq("chr1").to_numpy()

    def agreement(one, two):
        return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(one, two, strict=True)])

    assert agreement(atac[same][1:], atac[same][:-1]) > 0.95
    assert abs(agreement(atac[same][120:], atac[same][:-120])) < 0.3
    peaks, genes = sim.cohort.features["atac"], sim.cohort.features["rna"]
    near = []
    for row in genes.itertuples():
        there = np.flatnonzero(peaks["chrom"] == row.chrom)
        near.append(there[np.abs(peaks["start"].to_numpy()[there] + 250 - row.tss).argmin()])
    assert agreement(rna, atac[near]) == pytest.approx(0.7, abs=0.08)


def test_effects_can_be_left_out():
    nothing = Effects(signal=0, batch=0, depth=0)
    plain = simulate_bulk(60, 20, genes=40, peaks=60, cohorts=2, effects=nothing)
    counts = plain.cohort.array("rna")[plain.cohort.present("rna")].astype(float)
    active = counts.sum(axis=0) > 0
    ratio = counts[:, active].var(axis=0, ddof=1) / counts[:, active].mean(axis=0)
    assert ratio.mean() == pytest.approx(1, abs=0.1)  # of a Poisson count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cohorts": 0}, "cohorts of 1"),
        ({"donors": 20}, "donors of 108"),
        ({"factors": 2}, "factors of 3"),
        ({"matched": 1.5}, "matched"),
        ({"censored": 1.0}, "censored"),
        ({"effects": Effects(linked=-1)}, "linked"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_simulated_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate_bulk(**arguments)


def test_the_command_writes_a_cohort_with_its_truth(tmp_path: Path):
    words = ["simulate", "bulk", "--out", str(tmp_path / "bulk"), "--donors", "30"]
    words += ["--atac-donors", "10", "--peaks", "60", "--genes", "20", "--cohorts", "3"]
    assert main(words) == 0
    cohort = read_cohort(tmp_path / "bulk")
    shapes = {view: table.shape for view, table in cohort.views.items()}
    assert shapes == {"rna": (22, 20), "atac": (20, 60)}
    assert set(cohort.features) == {"rna", "atac"}
    assert {path.stem for path in (tmp_path / "bulk" / "truth").iterdir()} == {
        "truth_factors", "truth_survival", "truth_loadings_rna", "truth_loadings_atac",
        "truth_batches_rna", "truth_batches_atac",
    }  # fmt: skip
