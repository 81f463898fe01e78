"""Scores of predicted classes in a report."""

import pandas as pd

from jaxomics.report.scores import class_section, score_table


def scores() -> pd.DataFrame:
    rows = [("modis", "rna", 0.9), ("modis", "all", 0.5), ("logistic", "rna", 0.7)]
    table = pd.DataFrame(rows, columns=["model", "view", "value"])
    return table.assign(dataset="toy", fold=-1, seed=0, mode="classes", metric="accuracy")


def test_pooled_views_are_no_view_of_the_mean():
    table = score_table(scores(), "accuracy", "classes")
    assert table.frame["view"].tolist() == ["rna", "all", "mean of 1"]
    assert table.frame["modis"].tolist() == ["0.900", "0.500", "0.900"]
    assert table.bold[0].tolist() == [False, True, False]


def test_a_section_needs_scores_of_classes():
    assert class_section(None, None) == []
    assert class_section(scores().assign(mode="view_out"), None) == []
    (section,) = class_section(scores(), None)
    assert section.title == "Classes of held-out samples"
    assert len(section.tables) == 1
    assert section.pictures == ()
