import numpy as np
import pandas as pd
import pytest

from jaxomics.errors import InputError
from jaxomics.metrics.imputation import evaluate_imputation, score_imputation
from jaxomics.metrics.tables import FEATURE_COLUMNS, SCORE_COLUMNS
from jaxomics.metrics.translation import evaluate_translation


def toy(seed=0):
    """Truth of two features with unlike means, a noisy completion, and what was measured."""
    random = np.random.default_rng(seed)
    samples = pd.Index([f"s{i}" for i in range(60)])
    features = pd.Index(["low", "high"])
    truth = pd.DataFrame(
        random.normal(size=(60, 2)) + np.array([0, 50]), index=samples, columns=features
    )
    measured = pd.DataFrame(random.random((60, 2)) < 0.5, index=samples, columns=features)
    noisy = truth + 0.5 * random.normal(size=truth.shape)
    return truth, truth.where(measured, noisy), measured


def value(scores, metric, mode="imputed"):
    return scores[(scores.metric == metric) & (scores["mode"] == mode)].value.item()


def test_only_cells_that_were_not_measured_count_as_imputed():
    truth, completed, measured = toy()
    scores, features = evaluate_imputation(
        {"rna": completed}, {"rna": truth}, {"rna": measured}, "toy", "noisy"
    )
    assert list(scores.columns) == SCORE_COLUMNS
    assert list(features.columns) == FEATURE_COLUMNS
    hidden = ~measured.to_numpy()
    error = (completed - truth).to_numpy()[hidden]
    assert value(scores, "mse") == pytest.approx(np.mean(error**2))
    assert value(scores, "mse", "measured") == 0
    assert value(scores, "n_cells") == hidden.sum()
    low = hidden[:, 0]
    expected = np.corrcoef(truth.low[low], completed.low[low])[0, 1]
    row = features[
        (features.feature == "low") & (features.metric == "r") & (features["mode"] == "imputed")
    ]
    assert row.value.item() == pytest.approx(expected)
    assert row.n.item() == low.sum()


def test_the_baseline_is_the_mean_of_measured_cells():
    truth, _, measured = toy()
    means = truth.where(measured).mean()
    filled = truth.where(measured).fillna(means)
    scores, _ = evaluate_imputation({"rna": filled}, {"rna": truth}, {"rna": measured})
    assert value(scores, "mean_relative_error") == pytest.approx(1)
    assert value(scores, "pooled_r") == pytest.approx(value(scores, "baseline_pooled_r"))
    assert value(scores, "pooled_r") > 0.99
    assert np.isnan(value(scores, "mean_r"))


def test_a_truth_of_hidden_cells_gives_the_same_scores():
    truth, completed, measured = toy()
    whole, _ = evaluate_imputation({"rna": completed}, {"rna": truth}, {"rna": measured})
    hidden, _ = evaluate_imputation(
        {"rna": completed}, {"rna": truth.mask(measured)}, {"rna": measured}
    )
    whole = whole[whole["mode"] == "imputed"].reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, hidden)


def test_order_of_rows_and_columns_does_not_matter():
    truth, completed, measured = toy()
    plain, _ = evaluate_imputation({"rna": completed}, {"rna": truth}, {"rna": measured})
    turned, _ = evaluate_imputation(
        {"rna": completed.iloc[::-1, ::-1]}, {"rna": truth}, {"rna": measured.iloc[::-1]}
    )
    pd.testing.assert_frame_equal(plain, turned)


def test_what_a_tool_leaves_out_lowers_coverage():
    truth, completed, _ = toy()
    scores, _ = evaluate_imputation({"rna": completed.iloc[:30]}, {"rna": truth, "drug": truth})
    coverage = scores[scores.metric == "coverage"].set_index("view").value
    assert coverage["rna"] == 0.5
    assert coverage["drug"] == 0


def test_the_bootstrap_interval_holds_the_estimate():
    truth, completed, measured = toy()
    scores, _ = evaluate_imputation(
        {"rna": completed}, {"rna": truth}, {"rna": measured}, bootstrap=50
    )
    assert value(scores, "mean_r_low") < value(scores, "mean_r") < value(scores, "mean_r_high")


def test_tables_without_overlap_are_named():
    truth, completed, _ = toy()
    with pytest.raises(InputError, match="name the files alike"):
        evaluate_imputation({"a": completed}, {"b": truth})
    with pytest.raises(InputError, match="0 common samples"):
        evaluate_imputation({"a": completed.rename(index="x{}".format)}, {"a": truth})
    with pytest.raises(InputError, match="orientation"):
        evaluate_translation(completed.T, truth)


def test_few_cells_have_errors_but_no_correlation():
    truth, completed, _ = toy()
    table = score_imputation(
        truth.iloc[:15], completed.iloc[:15], np.ones((15, 2), bool), np.zeros(2)
    ).set_index("metric")
    assert table.loc["r", "value"].isna().all()
    assert table.loc["mse", "value"].notna().all()


def test_fewer_pairs_may_do_and_samples_have_a_baseline_too():
    random = np.random.default_rng(4)
    columns = pd.Index([f"f{i}" for i in range(30)])
    truth = pd.DataFrame(random.normal(size=(12, 30)) + 5 * np.arange(30), columns=columns)
    completed = truth + 0.5 * random.normal(size=truth.shape)
    usual, _ = evaluate_imputation({"drug": completed}, {"drug": truth})
    fewer, features = evaluate_imputation({"drug": completed}, {"drug": truth}, min_pairs=5)
    assert np.isnan(value(usual, "mean_r", "all"))
    each = [np.corrcoef(truth[f], completed[f])[0, 1] for f in columns]
    assert value(fewer, "mean_r", "all") == pytest.approx(np.mean(each))
    np.testing.assert_allclose(features[features["metric"] == "r"]["value"], each)
    own = [np.corrcoef(truth.loc[row], truth.mean())[0, 1] for row in truth.index]
    assert value(usual, "baseline_mean_sample_r", "all") == pytest.approx(np.mean(own))


def test_translation_scores_by_hand():
    truth = pd.DataFrame({"g": [0.0, 2.0]}, index=pd.Index(["a", "b"]))
    predicted = pd.DataFrame({"g": [1.0, 2.0]}, index=pd.Index(["a", "b"]))
    scores, features = evaluate_translation(predicted, truth, "toy", "m", "protein")
    got = scores.set_index("metric").value
    assert got["mae"] == 0.5
    assert got["mse"] == 0.5
    assert got["rmse"] == pytest.approx(0.5**0.5)
    assert got["r2"] == 0.5
    assert list(features.columns) == FEATURE_COLUMNS
    assert set(scores["mode"]) == {"translated"}
