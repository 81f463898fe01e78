"""The matrix of conditionals: encoding by type, defaults, new samples, storage."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.conditionals import (
    Conditionals,
    ConditionalsConfig,
    default_columns,
    fit_conditionals,
)
from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError

SAMPLES = pd.Index(list("abcdef"))


def cohort(labels=None, samples=SAMPLES, **views):
    rna = pd.DataFrame(np.arange(len(samples), dtype=float)[:, None], samples, pd.Index(["TP53"]))
    table = None if labels is None else pd.DataFrame(labels, index=samples)
    return MultiOmics.from_tables({"rna": rna, **views}, table, min_samples=1)


def matrix(labels, columns, **views):
    data = cohort(labels, **views)
    fitted = fit_conditionals(data, ConditionalsConfig(tuple(columns)))
    out = fitted.apply(data)
    assert out.dtype == np.float32
    return pd.DataFrame(out, data.samples, pd.Index(fitted.names))


def test_text_becomes_one_column_per_level():
    out = matrix({"tissue": ["Lung", "Skin", None, "Lung", "Bone", "Bone "]}, ["tissue"])
    assert list(out) == ["tissue=Bone", "tissue=Lung", "tissue=Skin"]
    assert out["tissue=Bone"].tolist() == [0, 0, 0, 0, 1, 1]
    assert out.loc["c"].sum() == 0


def test_declared_categories_stay_even_if_empty():
    tissue = pd.Categorical(["Lung"] * 6, categories=["Lung", "Vulva"])
    assert list(matrix({"tissue": tissue}, ["tissue"])) == ["tissue=Lung", "tissue=Vulva"]


@pytest.mark.parametrize("values", [[1.0, 0.0, None], [True, False, None], [True, False, False]])
def test_two_valued_columns_stay_zero_and_one(values):
    assert matrix({"msi": values * 2}, ["msi"])["msi"].tolist() == [1, 0, 0, 1, 0, 0]


def test_numbers_are_z_scored_over_known_values():
    known = np.array([20.0, 40.0, 60.0])
    out = matrix({"age": [20, 40, 60, None, None, None]}, ["age"])["age"]
    np.testing.assert_allclose(out[:3], (known - known.mean()) / known.std(ddof=0), rtol=1e-6)
    assert out[3:].tolist() == [0, 0, 0]


def test_numbers_are_scaled_on_training_samples():
    data = cohort({"age": [1.0, 3.0, 100.0, 200.0, 300.0, 400.0]})
    fitted = fit_conditionals(data, ConditionalsConfig(("age",)), pd.Index(["a", "b"]))
    np.testing.assert_allclose(fitted.apply(data)[:3, 0], [-1, 1, 98])


def test_a_constant_number_is_zero():
    assert matrix({"dose": [5.0] * 6}, ["dose"])["dose"].tolist() == [0] * 6


def test_whole_views_keep_their_feature_names():
    mutations = pd.DataFrame({"BRAF": [1.0, 0.0], "age": [0.0, 1.0]}, index=["a", "c"])
    out = matrix({"age": range(6)}, ["age", "mutations"], mutations=mutations)
    assert list(out) == ["age", "BRAF", "mutations/age"]
    assert out["BRAF"].tolist() == [1, 0, 0, 0, 0, 0]


def test_unknown_columns_name_the_nearest():
    with pytest.raises(InputError, match=r"'tisue'; did you mean 'tissue'.*rna"):
        matrix({"tissue": list("aabbcc")}, ["tisue"])


def test_dates_are_refused():
    with pytest.raises(InputError, match="found dates"):
        matrix({"day": pd.date_range("2020-01-01", periods=6)}, ["day"])


def test_new_samples_may_lack_everything():
    train = cohort({"tissue": list("xxyyzz"), "age": range(6)})
    fitted = fit_conditionals(train, ConditionalsConfig(("tissue", "age")))
    bare = cohort(samples=pd.Index(["new"]))
    assert (fitted.apply(bare) == 0).all()
    assert fitted.match(bare).name.tolist() == ["tissue=x", "tissue=y", "tissue=z", "age"]
    moon = cohort({"tissue": ["moon"], "age": [2.5]}, pd.Index(["new"]))
    assert (fitted.apply(moon) == 0).all()
    report = fitted.match(moon)
    assert report.name.tolist() == ["tissue=moon"]
    assert "1 samples" in report.reason[0]


def test_columns_do_not_depend_on_the_samples_given():
    train = cohort({"tissue": list("xxyyzz"), "age": range(6)})
    fitted = fit_conditionals(train, ConditionalsConfig(("age", "tissue")))
    some = fitted.apply(train.select_samples(["b", "e"]))
    np.testing.assert_array_equal(some, fitted.apply(train)[[1, 4]])


def test_saved_and_loaded_are_the_same(tmp_path):
    train = cohort({"tissue": list("xxyyzz"), "age": range(6)})
    fitted = fit_conditionals(train, ConditionalsConfig(("tissue", "age", "rna")))
    fitted.save(tmp_path / "conditionals.json")
    assert Conditionals.load(tmp_path / "conditionals.json") == fitted
    with pytest.raises(InputError, match="no such file"):
        Conditionals.load(tmp_path / "nothing.json")


def test_the_default_describes_and_does_not_tell_the_outcome():
    n = 60
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(
        {
            "tissue": ["Lung", "Skin"] * (n // 2),
            "age": rng.normal(size=n),
            "msi": [0.0, 1.0] * (n // 2),
            "doubling_time_hours": rng.normal(size=n),
            "er_status": ["pos", "neg"] * (n // 2),
            "os_years": rng.normal(size=n),
            "died": [0, 1] * (n // 2),
            "status": ["dead", "alive"] * (n // 2),
            "time": rng.normal(size=n),
            "treated_after": [0, 1] * (n // 2),
            "has_rna": [True, False] * (n // 2),
            "in_training": [True, False] * (n // 2),
            "name": [f"line {i}" for i in range(n)],
            "cosmic_id": np.arange(n),
            "rare": [1.0] * 17 + [np.nan] * (n - 17),
            "constant": 1.0,
        }
    )
    wanted = ("tissue", "age", "msi", "doubling_time_hours", "er_status")
    assert default_columns(labels) == wanted
    config = ConditionalsConfig(exclude=("tissue",))
    assert default_columns(labels, config) == wanted[1:]


def test_rare_levels_give_no_column_by_default():
    data = cohort({"tissue": list("xxxyyz")})
    config = ConditionalsConfig(min_per_level=2)
    assert fit_conditionals(data, config).names == ("tissue=x", "tissue=y")


def test_no_conditionals():
    data = cohort({"tissue": list("xxxyyy")})
    assert fit_conditionals(data, ConditionalsConfig(())).apply(data).shape == (6, 0)
    assert fit_conditionals(cohort()).names == ()


@pytest.mark.real
def test_the_default_on_real_sample_tables():
    root = os.environ.get("JAXOMICS_DATA")
    if not root:
        pytest.skip("JAXOMICS_DATA does not name a folder of real data sets")
    lines = pd.read_parquet(Path(root) / "cell_lines" / "labels.parquet")
    assert {"tissue", "sex", "msi", "growth_properties"} <= set(default_columns(lines))
    assert not any(name.startswith(("has_", "cosmic")) for name in default_columns(lines))
    patients = pd.read_parquet(Path(root) / "cll" / "labels.parquet")
    outcomes = {"ttt_years", "treated_after", "os_years", "died", "in_mofa_200"}
    assert not outcomes & set(default_columns(patients))
