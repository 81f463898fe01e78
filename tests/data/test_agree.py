"""Folds that keep other features agree on those of all."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.agree import agree
from jaxomics.data.container import DROPPED_COLUMNS
from jaxomics.data.preprocess import Preprocess, PreprocessConfig, ViewPreprocess
from jaxomics.errors import InputError


def fitted(features: str, encoder: str, level: float) -> Preprocess:
    """One view `rna`: its features and those the encoder sees, scaled around `level`."""
    names = pd.Index(list(features))
    count = np.arange(len(names), dtype=np.float32)
    view = ViewPreprocess(
        names, names.get_indexer(pd.Index(list(encoder))), level + count, 1 + count, "continuous"
    )
    rows = [("rna", "feature", "Z", "missing")]
    report = pd.DataFrame(rows, columns=pd.Index(DROPPED_COLUMNS))
    return Preprocess({"rna": view}, PreprocessConfig(), report)


def test_common_features_stay_with_each_folds_own_scaling():
    first, second = agree([fitted("ABCD", "BCD", 0.0), fitted("BDCE", "BCE", 10.0)])
    a, b = first.views["rna"], second.views["rna"]
    assert list(a.features) == list(b.features) == ["B", "C", "D"]
    assert list(a.features[a.encoder]) == list(b.features[b.encoder]) == ["B", "C"]
    assert a.mean.tolist() == [1, 2, 3]
    assert b.mean.tolist() == [10, 12, 11]
    assert b.scale.tolist() == [1, 3, 2]
    lost = [tuple(row)[1:3] for row in first.report.to_numpy()]
    assert lost == [("feature", "Z"), ("feature", "A"), ("encoder", "D")]
    assert second.report["reason"].tolist() == ["missing", "left out in another one of 2 folds"]


def test_what_fills_gaps_and_the_range_go_with_their_feature():
    one, other = fitted("ABCD", "ABCD", 0.0), fitted("BDC", "BDC", 0.0)
    numbers = np.arange(4.0)
    one.views["rna"] = replace(one.views["rna"], fill=numbers, low=numbers - 9, high=numbers + 9)
    found = agree([one, other])[0].views["rna"]
    for field, shift in {"low": -9, "fill": 0, "high": 9}.items():
        np.testing.assert_array_equal(getattr(found, field) - shift, [1, 2, 3])


def test_equal_folds_change_nothing():
    one = fitted("ABC", "AB", 0.0)
    for same in agree([one, fitted("ABC", "AB", 0.0)]):
        pd.testing.assert_frame_equal(same.report, one.report)
        np.testing.assert_array_equal(same.views["rna"].encoder, one.views["rna"].encoder)


@pytest.mark.parametrize(
    ("other", "message"),
    [(("DEF", "DEF"), "a feature that every fold"), (("ABC", "C"), "a feature for the encoder")],
)
def test_nothing_in_common_is_an_error(other: tuple[str, str], message: str):
    with pytest.raises(InputError, match=message):
        agree([fitted("ABC", "AB", 0.0), fitted(*other, 0.0)])
