"""The inspection report: its numbers, the problems it names, and its text."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.inspect import inspect
from jaxomics.data.io import read_cohort

SAMPLES = [f"s{i:02d}" for i in range(12)]


def cohort(**changes) -> MultiOmics:
    """Return two sound views of 12 samples, with some views or labels replaced."""
    numbers = np.arange(24.0).reshape(12, 2) / 8
    tables = {
        "rna": pd.DataFrame(numbers, index=SAMPLES, columns=["TP53", "BRAF"]),
        "mut": pd.DataFrame({"TP53": [0.0, 1.0] * 5}, index=SAMPLES[:10]),
    }
    labels = changes.pop("labels", pd.DataFrame({"sex": ["f", "m"] * 6}, index=SAMPLES))
    return MultiOmics.from_tables(tables | changes, labels)


def problems(found: MultiOmics) -> list[str]:
    table = inspect(found).problems
    return [f"{row.where}: {row.problem}" for row in table.itertuples()]


def test_numbers_of_a_small_cohort():
    report = inspect(cohort(mut=pd.DataFrame({"a": [0, 1, None], "b": 1}, index=SAMPLES[:3])))
    row = report.views.set_index("view").loc["mut"].to_dict()
    assert row.pop("missing") == pytest.approx(1 / 6)
    assert list(row.values()) == [3, 2, "binary", 0, 1, 1]
    assert report.samples == 12
    assert report.overlap.to_numpy().tolist() == [[12, 3], [3, 3]]
    assert report.depth.to_dict() == {1: 9, 2: 3}
    assert report.labels.to_numpy().tolist() == [["sex", "text", 12, 2]]


def test_a_sound_cohort_has_no_problems():
    assert problems(cohort()) == []
    assert str(inspect(cohort())).endswith("no problems found")


def test_the_text_is_aligned():
    assert (
        str(inspect(cohort()))
        == """\
12 samples, 2 views

view  samples  features  missing        kind  min    max  constant
rna        12         2     0.0%  continuous    0  2.875         0
mut        10         1     0.0%      binary    0      1         0

samples by number of views measured  1: 2, 2: 10

samples shared by two views
view  rna  mut
rna    12   10
mut    10   10

labels
label  type  known  distinct
sex    text     12         2

no problems found"""
    )


def test_few_samples_constant_features_and_gaps_are_named():
    table = pd.DataFrame({"x": [1.0, 2, 3], "y": [5, None, None], "z": [None, 5, None]})
    found = problems(cohort(drug=table.set_axis(SAMPLES[:3], axis=0)))
    assert found == [
        "drug: only 3 samples; a model learns little from fewer than 10",
        "drug: 2 constant features carry no information",
    ]
    sparse = pd.DataFrame({"x": [1.0, 2.0] + [None] * 8, "y": range(10), "z": [1.0] + [None] * 9})
    found = problems(cohort(drug=sparse.set_axis(SAMPLES[:10], axis=0)))
    assert "drug: 57% of its cells are missing" in found


def test_views_without_common_samples_are_named():
    other = pd.DataFrame({"x": np.arange(12.0)}, index=[f"line {i}" for i in range(12)])
    found = problems(cohort(drug=other))
    assert sum("no sample is measured in both" in line for line in found) == 2
    assert found[0].startswith("rna, drug: ")


def test_a_transposed_view_is_named():
    turned = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 12)), columns=SAMPLES)
    found = problems(cohort(drug=turned.set_axis([f"g{i}" for i in range(12)], axis=0)))
    assert any(line.startswith("rna, drug: 100% of the columns of one") for line in found)


def test_labels_that_are_ids_constant_or_empty_are_named():
    labels = pd.DataFrame(
        {"name": [f"x{s}" for s in SAMPLES], "site": "here", "note": None, "age": range(12)},
        index=SAMPLES,
    )
    assert problems(cohort(labels=labels)) == [
        "labels, name: every sample has its own value; it looks like an id",
        "labels, site: all samples have the same value",
        "labels, note: no sample has a value",
    ]
    assert problems(cohort(labels=pd.DataFrame({"sex": ["f", "m"]}, index=SAMPLES[:2]))) == [
        "labels: 10 samples have no row in the sample table, or an empty one"
    ]


def test_what_was_left_out_on_reading_is_named():
    table = pd.DataFrame(dict.fromkeys("abcde", np.nan), index=SAMPLES)
    found = problems(cohort(drug=table.assign(x=np.arange(12.0))))
    assert found == ["drug: 5 features left out (no measured value in any sample): a, b, c, ..."]


@pytest.mark.real
@pytest.mark.skipif("JAXOMICS_DATA" not in os.environ, reason="JAXOMICS_DATA is not set")
def test_cell_lines_agree_with_their_description():
    report = inspect(read_cohort(Path(os.environ["JAXOMICS_DATA"]) / "cell_lines"))
    table = report.views.set_index("view")
    assert report.samples == 1483
    assert (table.samples["drug"], table.features["drug"]) == (930, 266)
    assert table.missing["drug"] == pytest.approx(0.311, abs=5e-4)
    assert table.missing["chromatin"] == pytest.approx(0.045, abs=5e-4)
    assert table.kind[["mut", "crispr_call", "rna"]].tolist() == ["binary", "ordinal", "continuous"]
    shared = {("rna", "rppa"): 465, ("cn", "drug"): 519, ("rna", "rnai_call"): 366}
    shared |= {("mut", "drug"): 930, ("chromatin", "metabolomics"): 859}
    assert {pair: report.overlap.loc[pair] for pair in shared} == shared
