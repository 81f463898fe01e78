"""Steps and their order against closed forms, scikit-learn and the rules of Cai et al. 2024."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from jaxomics.data.container import MultiOmics
from jaxomics.data.filters import (
    enough_measured,
    ever_essential,
    gmm_threshold,
    intersection,
    variable_features,
)
from jaxomics.data.preprocess import Preprocess, PreprocessConfig, enough_views, fit_preprocess
from jaxomics.data.scaling import (
    apply_standard,
    invert_standard,
    ordinal_copy_number,
    scale_crispr,
)
from jaxomics.data.statistics import Piece, ViewStatistics, view_statistics
from jaxomics.errors import InputError


def statistics(values: np.ndarray, size: int | None = None) -> ViewStatistics:
    """Of all rows, taken in pieces of `size`."""
    size, every = size or len(values), np.ones(len(values), bool)
    pieces = [values[i : i + size] for i in range(0, len(values), size)]
    names = pd.Index([f"f{i}" for i in range(values.shape[1])])
    return view_statistics(names, [Piece(p, every[: len(p)], every[: len(p)]) for p in pieces])


def table(values, prefix="f", start=0):
    values = np.asarray(values, float)
    index = pd.Index([f"s{start + i:02}" for i in range(len(values))])
    return pd.DataFrame(values, index, pd.Index([f"{prefix}{j}" for j in range(values.shape[1])]))


def cohort(seed=0):
    rng = np.random.default_rng(seed)
    spread = np.r_[np.linspace(0.1, 0.2, 20), np.linspace(1.0, 3.0, 20)]
    proteins = rng.normal(5, 2, (30, 6))
    proteins[3:, 3] = np.nan
    return MultiOmics.from_tables(
        {
            "proteomics": table(proteins, "p"),
            "crisprcas9": table(
                np.where(np.arange(4) < 2, -1.0, 0.2) + rng.normal(0, 0.05, (30, 4))
            ),
            "transcriptomics": table(rng.normal(0, spread, (30, 40)), "t"),
            "copynumber": table(rng.integers(-2, 3, (30, 5)), "c"),
        }
    )


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(float, (5, 6), elements=st.floats(-2, 2).map(lambda x: round(x, 3))),
    st.floats(0.1, 3),
)
def test_scaled_gene_effects_have_the_reference_medians(values, gap):
    values[:, :3] = -np.abs(values[:, :3]) - gap
    values[:, 3:] = np.abs(values[:, 3:])
    scaled = scale_crispr(table(values), ["f0", "f1", "f2"], ["f3", "f4", "f5"])
    np.testing.assert_allclose(scaled.iloc[:, :3].median(axis=1), -1, atol=1e-9)
    np.testing.assert_allclose(scaled.iloc[:, 3:].median(axis=1), 0, atol=1e-9)


def test_genes_with_a_gap_leave_the_reference_sets():
    effects = table([[-2.0, -9.0, 0.0, 1.0], [-2.0, np.nan, 0.0, 1.0]])
    scaled = scale_crispr(effects, ["f0", "f1"], ["f2"])
    assert scaled.loc["s00"].tolist() == [-1.0, -4.5, 0.0, 0.5]


@pytest.mark.parametrize(("essential", "nonessential"), [(["f1"], ["f2"]), (["f0"], ["nope"])])
def test_an_empty_reference_set_is_an_error(essential, nonessential):
    effects = table([[-2.0, np.nan, 0.0]])
    with pytest.raises(InputError, match="essential genes measured in all"):
        scale_crispr(effects, essential, nonessential)


def test_a_screen_without_separation_is_an_error():
    with pytest.raises(InputError, match="'s01'"):
        scale_crispr(table([[-1.0, 0.0], [0.0, 0.0]]), ["f0"], ["f1"])


def test_the_missing_filter_is_strict():
    assert enough_measured(np.array([3, 4]), 20, 0.85).tolist() == [False, True]


def test_ever_essential_is_strict_and_ignores_missing_cells():
    values = np.array([[-0.5, -0.51, np.nan], [0.0, np.nan, np.nan]])
    assert ever_essential(statistics(values).low).tolist() == [False, True, False]


@settings(max_examples=50, deadline=None)
@given(st.floats(-3, 3), st.floats(0.1, 2), st.floats(-3, 3), st.floats(0.1, 2))
def test_densities_are_equal_at_the_intersection(mean1, sd1, mean2, sd2):
    if abs(sd1 - sd2) < 0.05:
        return
    point = intersection(mean1, sd1, mean2, sd2)
    first, second = norm.logpdf(point, mean1, sd1), norm.logpdf(point, mean2, sd2)
    np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)
    beyond = point + np.array([0.01, 5.0])
    order = np.sign(norm.logpdf(beyond, mean1, sd1) - norm.logpdf(beyond, mean2, sd2))
    assert (order == np.sign(sd1 - sd2)).all()  # beyond the larger root the wide one wins


def test_equal_components_do_not_cross():
    with pytest.raises(InputError, match="cross"):
        intersection(1.0, 0.5, 1.0, 0.5)


def test_the_threshold_of_a_planted_mixture():
    rng = np.random.default_rng(0)
    sd = np.r_[rng.normal(0.5, 0.1, 6000), rng.normal(2.0, 0.4, 2000)]
    expected = intersection(0.5, 0.1, 2.0, 0.4)
    assert gmm_threshold(sd) == pytest.approx(expected, abs=0.02)
    assert gmm_threshold(sd) == gmm_threshold(sd)


def test_a_constant_spread_has_no_threshold():
    with pytest.raises(InputError, match="distinct standard deviations"):
        gmm_threshold(np.ones(9))


def test_variable_features_count_measured_cells_only():
    values = cohort().table("transcriptomics").to_numpy(float, copy=True)
    values[0, :] = np.nan
    values[1:, 39] = np.nan
    values[0, 39] = 1.0  # a single value: no deviation
    mask, threshold = variable_features(statistics(values).deviation())
    assert mask.tolist() == [False] * 20 + [True] * 19 + [False]
    assert 0.2 < threshold < 1.0


def test_standard_is_that_of_scikit_learn():
    values = np.random.default_rng(1).normal(3, 2, (12, 4))
    values[3:7, 1] = np.nan
    values[:, 2] = 7.3
    reference = StandardScaler().fit(values)
    standard = statistics(values).zscore()
    np.testing.assert_allclose(standard.mean, reference.mean_, rtol=1e-12)
    np.testing.assert_allclose(standard.scale, reference.scale_, rtol=1e-12)
    np.testing.assert_allclose(apply_standard(values, standard), reference.transform(values))
    np.testing.assert_allclose(
        apply_standard(values, standard, 4), reference.transform(values), atol=5.1e-5
    )


def test_range_is_that_of_scikit_learn():
    values = np.random.default_rng(1).normal(3, 2, (12, 4))
    values[3:7, 1] = np.nan
    values[:, 2] = 7.3
    standard = statistics(values).minmax()
    np.testing.assert_allclose(
        apply_standard(values, standard), MinMaxScaler().fit_transform(values), atol=1e-12
    )
    assert standard.scale[2] == 1


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(float, (6, 3), elements=st.floats(-1e3, 1e3) | st.just(float("nan"))),
    st.sampled_from([ViewStatistics.zscore, ViewStatistics.minmax]),
)
def test_standard_is_invertible(values, fit):
    standard = fit(statistics(values))
    assert (standard.scale > 0).all()
    back = invert_standard(apply_standard(values, standard), standard)
    np.testing.assert_allclose(back, values, atol=1e-6)


def test_neutral_wins_then_deletion():
    calls = pd.DataFrame(
        [
            ("a", "G1", "Amplification"), ("a", "G1", "Neutral"), ("a", "G2", "Gain"),
            ("a", "G2", "Loss"), ("a", "G2", "Deletion"), ("b", "G1", "Gain"), ("b", "G1", "Gain"),
        ],
        columns=["model_id", "symbol", "cn_category"],
    )  # fmt: skip
    values = ordinal_copy_number(calls)
    assert values.loc["a"].tolist() == [0.0, -2.0]
    assert values.loc["b", "G1"] == 1.0
    assert np.isnan(values.loc["b", "G2"])
    with pytest.raises(InputError, match="'Gains'; did you mean 'Gain'"):
        ordinal_copy_number(calls.assign(cn_category="Gains"))


def test_paper_filters_touch_encoder_or_features():
    fitted = fit_preprocess(cohort())
    assert "p3" not in fitted.views["proteomics"].features
    assert fitted.views["crisprcas9"].encoder.tolist() == [0, 1]
    assert len(fitted.views["crisprcas9"].features) == 4
    assert fitted.views["transcriptomics"].encoder.tolist() == list(range(20, 40))
    assert fitted.report.item.value_counts().to_dict() == {"encoder": 22, "feature": 1}
    everything = fit_preprocess(cohort(), PreprocessConfig(encoder_filter="none"))
    assert len(everything.views["transcriptomics"].encoder) == 40


def test_copy_number_keeps_its_units():
    fitted = fit_preprocess(cohort()).views["copynumber"]
    assert fitted.kind == "ordinal"
    assert (fitted.mean == 0).all()
    assert (fitted.scale == 1).all()


def test_ranges_are_those_of_the_training_samples_and_invert():
    data = cohort()
    config = PreprocessConfig(scaling="minmax", unscaled=(), encoder_filter="none", decimals=None)
    fitted = fit_preprocess(data, config, data.samples[:20])
    raw = fitted.arrays(data)
    for name, view in fitted.views.items():
        scaled = (raw[name] - view.mean) / view.scale
        trained = scaled[:20][:, np.nanmax(scaled[:20], axis=0) > 0]  # constant features are 0
        np.testing.assert_allclose(np.nanmin(trained, axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(np.nanmax(trained, axis=0), 1, atol=1e-6)
        np.testing.assert_allclose(fitted.invert(name, scaled), raw[name], rtol=1e-5, atol=1e-5)
    low = fitted.views["proteomics"].mean
    beyond = (raw["proteomics"][20:] - low) / fitted.views["proteomics"].scale
    assert np.nanmin(beyond) < 0  # held-out values may lie outside


def test_train_scope_does_not_see_held_out_samples():
    data = cohort()
    held_out = data.samples[20:]
    changed = {n: t.copy() for n, t in data.views.items()}
    changed["proteomics"].loc[held_out] *= 100
    other = MultiOmics.from_tables(changed)
    config = PreprocessConfig()
    one, two = (fit_preprocess(c, config, data.samples[:20]) for c in (data, other))
    np.testing.assert_array_equal(one.views["proteomics"].mean, two.views["proteomics"].mean)
    leaking = replace(config, fit_scope="all")
    three = fit_preprocess(other, leaking, data.samples[:20])
    assert not np.allclose(one.views["proteomics"].mean, three.views["proteomics"].mean)


def test_absent_lines_do_not_count_as_missing_cells():
    views = {"proteomics": table(np.eye(3) + 1), "rna": table(np.arange(80.0).reshape(40, 2))}
    fitted = fit_preprocess(MultiOmics.from_tables(views))
    assert len(fitted.views["proteomics"].features) == 3  # 37 of 40 lines have no proteomics


def test_arrays_accept_any_subset_of_views_and_features():
    fitted = fit_preprocess(cohort())
    new = MultiOmics.from_tables(
        {"proteomics": table([[1.0, 2.0]], "p")[["p1", "p0"]], "moon": table([[1.0]])},
        min_samples=1,
    )
    arrays = fitted.arrays(new)
    assert arrays["proteomics"].dtype == np.float32
    np.testing.assert_array_equal(arrays["proteomics"], [[1, 2, np.nan, np.nan, np.nan]])
    assert np.isnan(arrays["transcriptomics"]).all()
    status = fitted.match(new).groupby(["view", "status"]).size()
    assert status["proteomics", "exact"] == 2
    assert status["moon", "unused"] == 1
    strangers = MultiOmics.from_tables({"moon": new.views["moon"]}, min_samples=1)
    with pytest.raises(InputError, match="unknown view 'moon'"):
        fitted.arrays(strangers)


def test_invert_restores_original_units():
    data, fitted = cohort(), fit_preprocess(cohort())
    raw = fitted.arrays(data)["proteomics"]
    view = fitted.views["proteomics"]
    np.testing.assert_allclose(
        fitted.invert("proteomics", (raw - view.mean) / view.scale), raw, rtol=1e-5
    )


def test_saved_and_loaded_are_the_same(tmp_path):
    fitted = fit_preprocess(cohort(), PreprocessConfig(missing_filtered="all", decimals=None))
    fitted.save(tmp_path)
    loaded = Preprocess.load(tmp_path)
    assert loaded.config == fitted.config
    pd.testing.assert_frame_equal(loaded.report, fitted.report)
    for name, view in fitted.views.items():
        other = loaded.views[name]
        assert other.features.equals(view.features)
        assert other.kind == view.kind
        for field in ("encoder", "mean", "scale"):
            np.testing.assert_array_equal(getattr(other, field), getattr(view, field))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["preprocess.json", "preprocess.npz"]
    with pytest.raises(InputError, match=r"preprocess\.json"):
        Preprocess.load(tmp_path / "elsewhere")


def test_lines_need_two_views():
    views = {"rna": table(np.eye(3)), "drug": table(np.eye(3), start=2)}
    data = enough_views(MultiOmics.from_tables(views))
    assert list(data.samples) == ["s02"]
    assert data.dropped.name.tolist() == ["s00", "s01", "s03", "s04"]
    one = enough_views(MultiOmics.from_tables({"rna": views["rna"]}))
    assert len(one.samples) == 3


def test_views_without_a_usable_sample_are_an_error():
    apart = MultiOmics.from_tables({"rna": table(np.eye(3)), "drug": table(np.eye(3), start=3)})
    with pytest.raises(InputError, match=r"'rna'.*found none among the 3.*lower min_views"):
        fit_preprocess(apart)
    assert len(fit_preprocess(apart, PreprocessConfig(min_views=1)).views) == 2
    with pytest.raises(InputError, match=r"'drug'.*found none, although 3 .*leave the view out"):
        fit_preprocess(apart, PreprocessConfig(min_views=1), pd.Index(["s00", "s01"]))


def test_errors_say_what_to_do():
    with pytest.raises(InputError, match="unknown scaling 'log'"):
        PreprocessConfig(scaling="log")  # pyright: ignore[reportArgumentType]
    hollow = MultiOmics.from_tables({"crisprcas9": table([[0.1, 0.2], [0.3, -0.4]])})
    with pytest.raises(InputError, match="encoder_filter='none'"):
        fit_preprocess(hollow)
    with pytest.raises(InputError, match="unknown training sample"):
        fit_preprocess(hollow, PreprocessConfig(), pd.Index(["nobody"]))


def test_what_no_training_sample_measures_is_left_out():
    table = pd.DataFrame({"A": [1.0, 2, 3, 4], "B": [np.nan, np.nan, 3, 4]}, index=list("abcd"))
    cohort = MultiOmics.from_tables({"rna": table})
    config = PreprocessConfig(encoder_filter="none", min_views=1, missing_filtered=())
    fitted = fit_preprocess(cohort, config, pd.Index(["a", "b"]))
    assert list(fitted.views["rna"].features) == ["A"]
    expected = [("rna", "feature", "B", "no measured value in any training sample")]
    assert [tuple(row) for row in fitted.report.to_numpy()] == expected
    whole = fit_preprocess(cohort, replace(config, fit_scope="all"), pd.Index(["a", "b"]))
    assert list(whole.views["rna"].features) == ["A", "B"]
