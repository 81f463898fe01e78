"""The simulated cohort keeps its promises: shapes, holes, planted effects, learnable structure."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.data.container import view_kind
from jaxomics.data.io import read_cohort, read_table
from jaxomics.data.missingness import block_pattern, hide_by_feature, hide_scarce
from jaxomics.data.simulate import (
    MUTATIONS,
    SIZES,
    VIEWS,
    Simulated,
    Size,
    simulate_depmap,
    write_simulation,
)
from jaxomics.data.simulated_lines import BLOOD, TISSUES
from jaxomics.errors import InputError


@pytest.fixture(scope="module")
def small() -> Simulated:
    return simulate_depmap("small", seed=3)


def test_the_paper_size_has_the_published_counts():
    size = SIZES["paper"]
    assert size.samples == 1523
    assert size.features == {
        "proteomics": 4922,
        "metabolomics": 225,
        "drugresponse": 810,
        "crisprcas9": 17931,
        "methylation": 14608,
        "transcriptomics": 15278,
        "copynumber": 777,
    }
    assert sum(size.features.values()) == 54_551
    assert size.mutations == 203


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_tables_have_the_shapes_of_the_size(name):
    size, sim = SIZES[name], simulate_depmap(name)
    for view in VIEWS:
        shape = (size.samples, size.features[view])
        assert sim.truth[view].shape == sim.signal[view].shape == shape
        assert np.isfinite(sim.truth[view].to_numpy()).all()
        assert sim.cohort.view(view).shape[1] == size.features[view]
    assert sim.cohort.view(MUTATIONS).shape == (size.samples, size.mutations)
    assert len(sim.cohort.samples) == len(sim.factors) == size.samples
    assert len(sim.cohort.dropped) == 0


def test_the_seed_decides_every_byte():
    first, again, other = (simulate_depmap("tiny", seed) for seed in (5, 5, 6))
    assert first.cohort.digest() == again.cohort.digest() != other.cohort.digest()
    pd.testing.assert_frame_equal(first.biomarkers, again.biomarkers)
    pd.testing.assert_frame_equal(first.factors, again.factors)
    for view in VIEWS:
        assert first.signal[view].to_numpy().tobytes() == again.signal[view].to_numpy().tobytes()
        assert not first.truth[view].equals(other.truth[view])


def test_truth_equals_the_cohort_where_it_was_measured(small):
    for view, table in small.cohort.views.items():
        truth = small.truth[view].loc[table.index, table.columns].to_numpy(np.float32)
        seen = table.notna().to_numpy()
        assert truth[seen].tobytes() == table.to_numpy(np.float32)[seen].tobytes()


@given(samples=st.integers(30, 400), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_every_sample_has_two_views(samples, seed):
    pattern = block_pattern(np.random.default_rng(seed), pd.RangeIndex(samples), list(VIEWS))
    assert pattern.sum(axis=1).min() >= 2


def test_holes_come_in_blocks_at_the_published_rates():
    """Cai et al. 2024: 25.8 % of the lines have all views; 67.3 % of the pairs are measured."""
    pattern = block_pattern(np.random.default_rng(0), pd.RangeIndex(1523), list(VIEWS))
    assert pattern.to_numpy().all(axis=1).mean() == pytest.approx(0.258, abs=0.03)
    assert pattern.to_numpy().mean() == pytest.approx(0.673, abs=0.03)
    drug, beta = (pattern[view].to_numpy() for view in ("drugresponse", "methylation"))
    assert (drug & beta).mean() > drug.mean() * beta.mean() + 0.15
    broad_only = pattern[["proteomics", "drugresponse", "methylation"]].to_numpy().sum(axis=1) == 0
    assert broad_only.mean() > 0.3
    assert pattern.transcriptomics.to_numpy()[broad_only].mean() > 0.9


def test_missing_cells_have_their_share_and_reason(small):
    share = {view: table.isna().to_numpy().mean() for view, table in small.cohort.views.items()}
    assert share["proteomics"] == pytest.approx(0.32, abs=0.01)
    assert 0.18 < share["drugresponse"] < 0.32
    assert share["transcriptomics"] == share["copynumber"] == share[MUTATIONS] == 0
    hidden = small.cohort.view("proteomics").isna()
    truth = small.truth["proteomics"].loc[hidden.index].to_numpy()
    assert truth[hidden].mean() < truth[~hidden].mean() - 1.0


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_features_keep_values_when_cells_are_hidden(seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(12, 5)) - 50.0 * np.eye(5)[0]
    for hidden in (hide_scarce(rng, values, 0.6), hide_by_feature(rng, values.shape, 0.9)):
        assert ((~hidden).sum(axis=0) >= 3).all()


def test_values_have_the_ranges_of_their_kind(small):
    copies = small.truth["copynumber"].to_numpy()
    assert set(np.unique(copies)) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    assert (copies == 0).mean() > 0.6
    assert view_kind(small.cohort.view("copynumber")) == "ordinal"
    assert view_kind(small.cohort.view(MUTATIONS)) == "binary"
    beta = small.truth["methylation"].to_numpy()
    assert 0 < beta.min() < beta.max() < 1
    drug = small.truth["drugresponse"]
    assert 1.8 < drug.mean().std() < 3.2
    assert drug.mean().std() > 1.5 * drug.std().median()


def test_labels_follow_biology(small):
    labels = small.cohort.labels
    assert len(TISSUES) == 31
    assert set(labels.tissue) <= set(TISSUES)
    assert BLOOD in labels.tissue.value_counts().index[:2]
    floats = labels.growth_properties == "Suspension"
    assert floats[labels.tissue == BLOOD].mean() > 0.8 > 0.2 > floats[labels.tissue != BLOOD].mean()
    assert 0 < labels.msi.mean() < 0.1
    assert 0.2 < labels.doubling_time_hours.isna().mean() < 0.6
    assert labels.day4_day1_ratio.corr(labels.doubling_time_hours) < -0.3


def test_mutations_are_frequent_enough_to_learn_from(small):
    mutated = small.truth[MUTATIONS] == 1
    assert mutated.sum().min() >= len(mutated) // 50
    assert mutated.mean().idxmax() == "TP53"
    assert not (mutated.BRAF & mutated.KRAS).any()
    assert mutated.BRAF[small.cohort.labels.tissue == "Skin"].mean() > 2 * mutated.BRAF.mean()


def test_essential_genes_lie_at_minus_one_and_dependencies_are_skewed(small):
    kind = small.cohort.features["crisprcas9"].essentiality
    effect = small.truth["crisprcas9"]
    mean = effect.mean()
    assert mean[kind == "essential"].mean() == pytest.approx(-1.0, abs=0.05)
    assert mean[kind == "nonessential"].mean() == pytest.approx(0.0, abs=0.05)
    assert effect["KRAS"].skew() < -0.5
    assert effect.loc[:, kind == "selective"].skew().mean() < -0.5


def test_genes_agree_between_views(small):
    def agreement(left: str, right: str) -> float:
        genes = small.truth[right].columns.intersection(small.truth[left].columns)
        return float(small.truth[left][genes].corrwith(small.truth[right][genes]).median())

    assert agreement("transcriptomics", "methylation") < -0.2
    assert agreement("transcriptomics", "proteomics") > 0.2
    assert agreement("transcriptomics", "copynumber") > 0.15


def test_planted_effects_are_detectable_in_the_measured_cohort(small):
    """The slope of target on feature has the planted sign, with |t| > 3 for most."""
    tables = {**small.cohort.views, "labels": small.cohort.labels}
    statistics = []
    for row in small.biomarkers.itertuples():
        pair = pd.concat(
            [tables[row.target_view][row.target], tables[row.view][row.feature]], axis=1
        )
        pair = pair.dropna().to_numpy(float)
        r = np.corrcoef(pair.T)[0, 1]
        statistics.append(np.sign(row.effect) * r * np.sqrt((len(pair) - 2) / (1 - r**2)))
    t = pd.Series(statistics, small.biomarkers.target)
    assert (t > 0).mean() > 0.9
    assert (t > 3).mean() > 0.6
    assert t["Dabrafenib-like"] > 5
    assert t["KRAS"] > 5


def test_a_hidden_view_is_predictable_from_another(small):
    """Ridge on RNA principal components predicts the proteome of unseen lines."""
    rna, protein = (small.truth[view].to_numpy(float) for view in ("transcriptomics", "proteomics"))
    rna = (rna - rna.mean(0)) / rna.std(0)
    left, scale, _ = np.linalg.svd(rna, full_matrices=False)
    scores = (left * scale)[:, :30]
    train = np.arange(len(rna)) < 300
    gram = scores[train].T @ scores[train] + 10.0 * np.eye(30)
    offset = protein[train].mean(axis=0)
    weights = np.linalg.solve(gram, scores[train].T @ (protein[train] - offset))
    predicted = scores[~train] @ weights + offset
    r = [np.corrcoef(p, t)[0, 1] for p, t in zip(predicted.T, protein[~train].T, strict=True)]
    assert np.mean(r) > 0.3
    assert ((predicted - protein[~train]) ** 2).mean() < ((offset - protein[~train]) ** 2).mean()


def test_some_features_are_strong_and_some_pure_noise(small):
    ceiling = small.signal["transcriptomics"].std() / small.truth["transcriptomics"].std()
    assert (ceiling > 0.8).mean() > 0.4
    assert 0.03 < (ceiling < 1e-3).mean() < 0.25


def test_a_written_simulation_reads_as_cohort_with_its_truth(tmp_path):
    sim = simulate_depmap("tiny")
    write_simulation(sim, tmp_path / "cohort")
    read = read_cohort(tmp_path / "cohort")
    assert set(read.views) == {*VIEWS, MUTATIONS}
    for view in read.views:
        np.testing.assert_array_equal(read.array(view), sim.cohort.array(view))
    assert read.labels.tissue.tolist() == sim.cohort.labels.tissue.tolist()
    truth = read_table(tmp_path / "cohort" / "truth" / "proteomics.parquet")
    np.testing.assert_array_equal(truth.to_numpy(np.float32), sim.truth["proteomics"].to_numpy())
    found = {path.stem for path in (tmp_path / "cohort" / "truth").iterdir()}
    assert found == {*VIEWS, MUTATIONS, "truth_biomarkers", "truth_factors"}
    with pytest.raises(InputError, match="overwrite"):
        write_simulation(sim, tmp_path / "cohort")


def test_impossible_requests_say_what_to_do():
    with pytest.raises(InputError, match="did you mean 'tiny'"):
        simulate_depmap("tinny")
    with pytest.raises(InputError, match="at least 30 samples"):
        simulate_depmap(Size(5, SIZES["tiny"].features, 12))
    with pytest.raises(InputError, match="name all seven"):
        simulate_depmap(Size(60, {"proteomics": 20}, 12))
    with pytest.raises(InputError, match="at most 20 mutations"):
        simulate_depmap(Size(60, SIZES["tiny"].features, 30))
    with pytest.raises(InputError, match="seed"):
        simulate_depmap("tiny", seed=-1)
