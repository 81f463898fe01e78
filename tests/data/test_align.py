"""Features of a fitted model met by new tables, and samples under other ids."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxomics.data.align import (
    choose_views,
    feature_key,
    feature_report,
    map_samples,
    match_features,
    measured_mask,
)
from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError

GENES = ["TP53", "BRAF", "KRAS", "EGFR", "MYC"]


@given(model=st.permutations(GENES), new=st.permutations(GENES), kept=st.integers(1, 5))
def test_columns_come_in_the_order_of_the_model_and_absent_ones_are_nan(model, new, kept):
    table = pd.DataFrame([range(kept)], columns=new[:kept], index=["a"], dtype="float32")
    matched, report = match_features(table, model, "rna")
    assert list(matched.columns) == list(model)
    for gene in model:
        expected = table.loc["a", gene] if gene in table else np.nan
        np.testing.assert_equal(matched.loc["a", gene], expected)
    assert report.status.tolist().count("exact") == kept


def test_entrez_ids_in_brackets_are_looked_through_in_both_directions():
    table = pd.DataFrame({"BRAF (673)": [1.0], "TP53": [2.0]}, index=["a"])
    matched, report = match_features(table, ["TP53 (7157)", "BRAF"], "crispr")
    assert matched.to_numpy().tolist() == [[2.0, 1.0]]
    assert report.status.tolist() == ["renamed", "renamed"]
    assert report.found.tolist() == ["TP53", "BRAF (673)"]
    assert matched.dtypes.tolist() == [np.float32, np.float32]


def test_brackets_that_hold_no_number_belong_to_the_name():
    assert feature_key("Nutlin-3a (-)|1047") == "Nutlin-3a (-)|1047"
    assert feature_key(" PD0325901 ") == "PD0325901"


def test_the_report_names_exact_ambiguous_absent_and_unused():
    features = ["BRAF", "KRAS", "MYC", "EGFR (1)", "EGFR (2)"]
    available = ["BRAF", "BRAF (673)", "KRAS (1)", "KRAS (2)", "EGFR"]
    report = feature_report(features, available, "rna")
    assert report.status.tolist() == [
        *["exact", "ambiguous", "absent", "ambiguous", "ambiguous"],
        *["unused", "unused", "unused", "unused"],
    ]
    assert report.found.tolist()[5:] == ["BRAF (673)", "KRAS (1)", "KRAS (2)", "EGFR"]


def test_tables_without_any_feature_of_the_model_are_refused_with_examples():
    table = pd.DataFrame({"ENSG00000141510": [1.0]}, index=["a"])
    with pytest.raises(InputError, match=r"none of the 5 .*'TP53', 'BRAF', 'KRAS', .*'ENSG0000"):
        match_features(table, GENES, "rna")


def test_unknown_views_are_refused():
    assert choose_views(None, ["rna", "drug"]) == ["rna", "drug"]
    assert choose_views(["drug", "drug"], ["rna", "drug"]) == ["drug"]
    with pytest.raises(InputError, match="unknown view 'protein'"):
        choose_views(["protein"], ["rna", "drug"])


@pytest.fixture
def aliquots() -> MultiOmics:
    rna = pd.DataFrame(
        {"TP53": [1.0, 3.0, 5.0], "BRAF": [np.nan, 4.0, 6.0]}, index=["p1-A", "p1-B", "p2-A"]
    )
    drug = pd.DataFrame({"nutlin": [7.0, 8.0]}, index=["p1-B", "q9"])
    labels = pd.DataFrame({"sex": [None, "f", "m"]}, index=["p1-A", "p1-B", "p2-A"])
    return MultiOmics.from_tables({"rna": rna, "drug": drug}, labels)


PATIENTS = {"p1-A": "p1", "p1-B": "p1", "p2-A": "p2"}


def test_colliding_ids_are_refused_unless_decided(aliquots):
    with pytest.raises(InputError, match=r"'p1-A', 'p1-B' are all mapped to 'p1'.*duplicates="):
        map_samples(aliquots, PATIENTS)
    with pytest.raises(InputError, match="did you mean 'mean'"):
        map_samples(aliquots, PATIENTS, duplicates="means")  # pyright: ignore[reportArgumentType]


def test_the_first_of_colliding_samples_can_be_kept(aliquots):
    mapped = map_samples(aliquots, PATIENTS, duplicates="first")
    np.testing.assert_array_equal(mapped.array("rna"), np.array([[1, np.nan], [5, 6]], np.float32))
    assert mapped.labels.sex.tolist() == ["f", "m"]


def test_colliding_samples_can_be_averaged_over_their_measured_values(aliquots):
    mapped = map_samples(aliquots, PATIENTS, duplicates="mean")
    np.testing.assert_array_equal(mapped.array("rna"), np.array([[2, 4], [5, 6]], np.float32))
    assert list(mapped.samples) == ["p1", "p2"]


def test_every_decision_is_recorded(aliquots):
    dropped = map_samples(aliquots, pd.Series(PATIENTS), duplicates="mean").dropped
    assert set(dropped[["view", "name", "reason"]].itertuples(index=False, name=None)) == {
        ("rna", "p1-B", "averaged into p1"),
        ("drug", "q9", "not in the mapping"),
        ("labels", "p1-B", "another sample became p1"),
        ("labels", "q9", "not in the mapping"),
    }


def test_a_mapping_of_other_samples_is_refused(aliquots):
    with pytest.raises(InputError, match="none of the 4 samples is in the mapping"):
        map_samples(aliquots, {"x": "y", "p1-A": ""})


def test_the_mask_covers_all_samples(aliquots):
    mask = measured_mask(aliquots, "rna")
    assert mask.index.tolist() == ["p1-A", "p1-B", "p2-A", "q9"]
    assert mask.to_numpy().tolist() == [[True, False], [True, True], [True, True], [False, False]]
