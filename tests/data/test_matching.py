import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.gene_activity import gene_activity
from jaxomics.data.matching import match_samples
from jaxomics.data.simulated_bulk import simulate_bulk
from jaxomics.errors import InputError


def cohort_of(rows):
    """Samples `a*` have ATAC, others RNA; rows: donor, cohort, subtype, sex, ethnicity, age."""
    columns = ["donor", "cohort", "subtype", "sex", "ethnicity", "age"]
    labels = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    sides = {"atac": labels.index.str.startswith("a")}
    sides["rna"] = ~sides["atac"]
    views = {view: pd.DataFrame({"x": 1.0}, labels.index[own]) for view, own in sides.items()}
    return MultiOmics.from_tables(views, labels)


def clinical(rows, **choices):
    table = match_samples(cohort_of(rows), **choices).table
    return {row.atac: (row.rna, row.level) for row in table.itertuples()}


def test_constraints_are_given_up_in_their_order():
    wanted = ("d0", "brca", "lumA", "f", "X", 50)
    other = {
        "r1": ("d1", "brca", "lumA", "f", "X", 58),
        "r2": ("d2", "brca", "lumA", "f", "X", 43),
        "r3": ("d3", "brca", "lumA", "f", "Y", 50),
        "r4": ("d4", "brca", "lumA", "m", "X", 50),
        "r5": ("d5", "brca", "lumA", "m", "X", np.nan),
        "r6": ("d6", "brca", "basal", "f", "X", 50),
        "r7": ("d7", "luad", "lumA", "f", "X", 50),
    }
    expected = [("r2", "none"), ("r1", "none"), ("r3", "ethnicity"), ("r4", "sex"), ("r5", "age"),
                ("r6", "subtype")]  # fmt: skip
    for match in expected:
        assert clinical({"a1": wanted, **other}) == {"a1": match}
        del other[match[0]]
    found = match_samples(cohort_of({"a1": wanted, "a2": ("d9", "luad", *wanted[2:]), **other}))
    assert found.table["atac"].tolist() == ["a2"]
    assert "1 of 2 samples of 'atac' have no match" in found.notes


def test_ties_go_to_the_first_name_and_what_is_unknown_is_not_asked_for():
    rows = {
        "a1": ("d0", "brca", np.nan, "f", "X", np.nan),
        "r2": ("d2", "brca", "lumA", "f", "X", 20),
        "r1": ("d1", "brca", "basal", "f", "X", 90),
        "r0": ("d3", "brca", "basal", "m", "X", 50),
    }
    assert clinical(rows) == {"a1": ("r1", "none")}
    rows["a1"] = ("d0", "brca", np.nan, "f", "X", 55)
    rows |= {"r1": (*rows["r1"][:5], 60), "r2": (*rows["r2"][:5], 50)}
    assert clinical(rows) == {"a1": ("r1", "none")}


def test_donors_come_first_unless_they_are_held_out():
    rows = {
        "a1": ("d1", "brca", "x", "f", "X", 50),
        "a2": ("d2", "brca", "x", "f", "X", 50),
        "r1": ("d1", "brca", "x", "m", "Y", 20),
        "r2": ("d2", "brca", "x", "f", "X", 51),
        "r3": ("d3", "brca", "x", "f", "X", 52),
    }
    both = match_samples(cohort_of(rows)).table
    assert both[["atac", "rna", "rule"]].to_numpy().tolist() == [
        ["a1", "r1", "donor"], ["a1", "r2", "clinical"], ["a2", "r2", "donor"],
    ]  # fmt: skip
    for gone in ("a2", "r2"):
        left = match_samples(cohort_of(rows), held_out=[gone]).table
        assert left[["atac", "rna"]].to_numpy().tolist() == [["a1", "r1"], ["a1", "r3"]]
    assert "donor" not in match_samples(cohort_of(rows), same_donor=False).table["rule"].tolist()
    with pytest.raises(InputError, match="samples of 'atac' to match that are not held out"):
        match_samples(cohort_of(rows), held_out=["r1", "r2"])


def test_correlation_takes_the_most_alike_of_the_cohort():
    random = np.random.default_rng(0)
    rows = {f"r{i}": (f"d{i}", "ab"[i % 2], "x", "f", "X", 50) for i in range(12)}
    cohort = cohort_of(
        {"a1": ("d99", "a", "x", "f", "X", 50), **rows, "a2": ("d98", "b", *"xfX", 1)}
    )
    genes = [f"g{i}" for i in range(30)]
    rna = pd.DataFrame(random.normal(size=(12, 30)), list(rows), genes)
    activity = pd.DataFrame(random.normal(size=(2, 30)), ["a1", "a2"], genes)
    scaled = [(t - t.mean()) / t.std(ddof=0) for t in (activity, rna)]
    expected = np.corrcoef(np.vstack(scaled))[:2, 2:]
    turned = activity[genes[::-1]]
    for restrict in (True, False):
        found = match_samples(
            cohort, activity=turned, expression=rna, restrict_to_cohort=restrict
        ).table
        near = pd.Series(expected[0], list(rows))
        near = near[::2] if restrict else near
        four = found[(found["atac"] == "a1") & (found["rule"] == "correlation")]
        first = found.loc[(found["atac"] == "a1") & (found["rule"] == "clinical"), "rna"].iloc[0]
        top = near.sort_values(ascending=False).index[:4]
        assert four["rna"].tolist() == [name for name in top if name != first]
        np.testing.assert_allclose(four["correlation"], near[four["rna"]], rtol=1e-6)
    ranked = match_samples(cohort, activity=turned, expression=rna, rank=True).table
    assert ranked["correlation"].notna().all()
    with pytest.raises(InputError, match="found 0 among 30 and 30"):
        match_samples(cohort, activity=activity, expression=rna.add_prefix("x"))


def test_without_labels_all_samples_are_candidates():
    cohort = cohort_of({"a1": [1] * 6, "r1": [1] * 6})
    bare = MultiOmics.from_tables(cohort.views)
    found = match_samples(bare)
    assert found.table[["atac", "rna", "level"]].to_numpy().tolist() == [["a1", "r1", "none"]]
    assert found.notes == (
        "no label column 'cohort': matched over all samples",
        *(f"no label column {name!r}: not asked for in matches"
          for name in ("subtype", "age", "sex", "ethnicity")),
        "no gene activity: no matches by correlation",
    )  # fmt: skip


def test_gene_activity_finds_donors_of_like_factors():
    cohort, truth = simulate_bulk(90, 24, genes=150, peaks=2000, cohorts=3, seed=0)
    rna, places = cohort.view("rna").apply(np.log1p), cohort.features
    activity = gene_activity(cohort.view("atac"), places["atac"], places["rna"])
    found = match_samples(cohort, activity=activity, expression=rna, restrict_to_cohort=False)
    pairs = found.table[found.table["rule"] == "correlation"]
    kind, donor = cohort.labels["cohort"], cohort.labels["donor"]
    same = (kind[pairs["atac"]].to_numpy() == kind[pairs["rna"]].to_numpy()).mean()
    assert same > 0.8
    u = truth.factors
    apart = [np.linalg.norm(u.loc[donor[a]] - u.loc[donor[r]]) for a, r in
             pairs[["atac", "rna"]].to_numpy()]  # fmt: skip
    any_two = np.linalg.norm(u.to_numpy()[:-1] - u.to_numpy()[1:], axis=1)
    assert np.mean(apart) < 0.7 * np.mean(any_two)
