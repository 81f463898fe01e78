"""Which samples train together: training samples only, of one type, by gene, activity or chance."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.simulated_bulk import simulate_bulk
from jaxomics.engine.state import Split
from jaxomics.fitting.pairing import Pairing, gene_space, pair_rows
from jaxomics.presets import preset

SETTINGS = preset("coembed", "recommended")


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    return simulate_bulk(donors=40, atac_donors=12, genes=30, peaks=200, cohorts=3, seed=1).cohort


def paired(cohort: MultiOmics, label: str | None = "cohort") -> tuple[Pairing, np.ndarray]:
    rows = np.arange(len(cohort.samples))[::-1][: len(cohort.samples) - 8]
    return pair_rows(cohort, SETTINGS, Split(rows, len(rows), rows[:0], 0), label), rows


def test_pairs_are_training_samples_of_one_type_with_either_view(cohort: MultiOmics):
    found, rows = paired(cohort)
    assert np.isin(found.rows, rows).all()
    types = cohort.labels["cohort"].to_numpy()
    assert (types[found.rows[:, 0]] == types[found.rows[:, 1]]).all()
    for side, view in enumerate(("atac", "rna")):
        assert cohort.present(view)[found.rows[:, side]].all()
    assert {"clinical", "correlation"} <= set(found.table["rule"])
    assert found.table.groupby("atac").size().max() <= 6


def test_without_places_samples_of_the_type_are_drawn(cohort: MultiOmics):
    bare = replace(cohort, features={})
    found, _ = paired(bare)
    assert "random" in set(found.table["rule"])
    assert any("random samples" in note for note in found.notes)
    again, _ = paired(bare)
    pd.testing.assert_frame_equal(found.table, again.table)


def test_without_a_type_all_samples_match(cohort: MultiOmics):
    found, _ = paired(cohort, None)
    assert any("over all samples" in note for note in found.notes)


def test_motifs_stand_for_genes_by_name():
    genes = [f"G{i}" for i in range(60)]
    rng = np.random.default_rng(0)
    names = pd.Index([f"s{i}" for i in range(4)], name="sample")
    motifs = pd.DataFrame(
        rng.normal(size=(4, 61)), names, pd.Index([f"{g}|1" for g in genes] + ["G0|2"])
    )
    rna = pd.DataFrame(rng.normal(size=(4, 60)), names, pd.Index(genes))
    activity, expression = gene_space(MultiOmics.from_tables({"a": motifs, "r": rna}), "a", "r")
    assert activity is not None
    assert expression is not None
    assert activity.shape == (4, 60)
    np.testing.assert_allclose(activity["G0"], motifs[["G0|1", "G0|2"]].mean(axis=1), rtol=1e-5)
