"""Which column holds the class, which classes there are, and what users are told of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError
from jaxomics.inference.labels import Classes, class_notes, find_classes


def cohort(**labels: list) -> MultiOmics:
    """Samples a to f; rna measures a to c, protein d to f."""
    table = pd.DataFrame(np.eye(6) + 1, index=list("abcdef"))
    whole = MultiOmics.from_tables({"rna": table[:3], "protein": table[3:]})
    return replace(whole, labels=pd.DataFrame(labels, index=whole.samples))


KINDS = ["x", "y", None, "y", "x", None]


@pytest.mark.parametrize("name", ["label", "class", "tissue"])
def test_auto_takes_a_usual_column(name: str):
    data = cohort(**{"age": [1, 2, 3, 4, 5, 6], name: KINDS})
    assert find_classes(data, "auto", learned=True, count=0) == Classes(name, ("x", "y"))


def test_auto_takes_the_only_column_where_classes_are_needed():
    data = cohort(stage=KINDS)
    assert find_classes(data, "auto", learned=True, count=0).column == "stage"
    assert find_classes(data, "auto", learned=True).column is None
    assert find_classes(data, "auto", learned=False).column is None


def test_whole_numbers_lose_their_point_and_empty_labels_have_no_code():
    data = cohort(label=[2.0, 10.0, None, 10.0, 2.0, None])
    classes = find_classes(data, "label", learned=True, count=0)
    assert classes.names == ("10", "2")
    assert classes.codes(data).tolist() == [1, 0, -1, 0, 1, -1]


def test_classes_that_no_label_names_get_names():
    few = cohort(label=["class 2", None, None, None, None, None])
    assert find_classes(few, "label", learned=True, count=3).names == (
        "class 2", "class 1", "class 3",
    )  # fmt: skip
    assert len(find_classes(cohort(), "auto", learned=True, count=0).names) == 5
    assert find_classes(cohort(), "auto", learned=True) == Classes(None, ())


@pytest.mark.parametrize(
    ("labels", "wanted", "count", "message"),
    [
        ({"a": KINDS, "b": KINDS}, "auto", 0, "name the class with --label"),
        ({"label": KINDS}, "lable", 0, "did you mean 'label'"),
        ({"label": ["x"] * 6}, "label", 0, "expected at least 2 classes, found 'x' alone"),
        ({"label": list("uvwxyz")}, "label", 4, "expected at most 4 classes, found 6"),
    ],
)
def test_what_cannot_be_meant_is_refused(labels: dict, wanted: str, count: int, message: str):
    with pytest.raises(InputError, match=message):
        find_classes(cohort(**labels), wanted, learned=True, count=count)


def test_a_class_that_the_model_is_told_is_not_learned():
    data = cohort(label=KINDS)
    with pytest.raises(InputError, match="among the conditionals"):
        find_classes(data, "label", learned=True, told=["label"])
    assert find_classes(data, "label", learned=False, told=["label"]).column == "label"


def notes(labels: list) -> list[str]:
    data = cohort(label=labels)
    return class_notes(data, ["rna", "protein"], Classes("label", ("x", "y", "z")), np.arange(6))


def test_partly_labelled_views_are_counted():
    told = notes(["x", "y", "z", "x", None, None])
    assert told[0].startswith("samples with a label: rna 3 of 3, protein 1 of 3;")
    assert told[1].startswith("no labelled training sample of protein is of class y, z;")
    assert len(told) == 2


def test_a_class_of_no_sample_and_no_label_at_all_are_told():
    assert notes(["x", "y", "x", "y", "x", "x"]) == ["no training sample is of class z"]
    (told,) = notes([None] * 6)
    assert "nothing can align the clusters" in told
