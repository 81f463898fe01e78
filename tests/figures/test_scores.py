import numpy as np
import pandas as pd
import pytest

from jaxomics.figures.scores import (
    better,
    feature_curve,
    over_runs,
    score_bars,
    spread_name,
)
from jaxomics.figures.style import png


def scores(values: dict[str, dict[str, list[float]]], mode: str = "view_out") -> pd.DataFrame:
    """Return a tidy table of model -> view -> value per fold."""
    rows = [
        ("demo", model, fold, 0, mode, view, "pearson", value)
        for model, views in values.items()
        for view, folds in views.items()
        for fold, value in enumerate(folds)
    ]
    names = ["dataset", "model", "fold", "seed", "mode", "view", "metric", "value"]
    return pd.DataFrame(rows, columns=pd.Index(names))


TWO = {
    "mosa": {"rna": [0.6, 0.8], "drug": [0.5, 0.5]},
    "mean": {"rna": [0.1, 0.3], "drug": [0.0, -0.2]},
}


def heights(axes) -> dict[str, list[float]]:
    return {
        bars.get_label(): [float(bar.get_height()) for bar in bars] for bars in axes.containers[::1]
        if len(getattr(bars, "patches", [])) > 0
    }  # fmt: skip


def test_bars_are_means_over_folds():
    views, mean = score_bars(scores(TWO), "pearson").axes
    assert heights(views)["mosa"] == pytest.approx([0.7, 0.5])
    assert heights(views)["mean"] == pytest.approx([0.2, -0.1])
    assert heights(mean)["mosa"] == pytest.approx([0.6])
    assert heights(mean)["mean"] == pytest.approx([0.05])
    assert [tick.get_text() for tick in views.get_xticklabels()] == ["rna", "drug"]
    assert views.get_ylabel() == "Pearson r\n(higher is better)"


def test_error_bars_are_the_standard_deviation():
    views = score_bars(scores(TWO), "pearson").axes[0]
    segments = [
        segment
        for bars in views.containers
        if not getattr(bars, "patches", [])
        for segment in bars[2][0].get_segments()
    ]
    lengths = sorted(float(np.ptp(segment[:, 1])) for segment in segments)
    deviation = np.std([0.6, 0.8], ddof=1)
    np.testing.assert_allclose(lengths, [2 * deviation] * 3)


def test_missing_score_is_written_and_leaves_the_mean_comparable():
    table = scores(
        {"mosa": {"rna": [0.6], "drug": [0.4]}, "mean": {"rna": [0.2], "drug": [np.nan]}}
    )
    views, mean = score_bars(table, "pearson").axes
    assert [text.get_text() for text in views.texts] == ["n/a"]
    assert heights(mean)["mosa"] == pytest.approx([0.6])
    assert mean.get_xticklabels()[0].get_text() == "mean of 1"


def test_no_common_view_has_no_mean():
    table = scores({"a": {"x": [0.5], "y": [np.nan]}, "b": {"x": [np.nan], "y": [0.5]}})
    figure = score_bars(table, "pearson")
    assert [text.get_text() for text in figure.axes[0].texts] == ["n/a", "n/a"]
    assert not figure.axes[1].get_visible()
    png(figure, dpi=30)


def test_a_mode_without_any_score_keeps_its_panel_and_a_plain_axis():
    rows = pd.concat([scores(TWO), scores(TWO, mode="cell_out").assign(value=np.nan)])
    figure = score_bars(rows, "pearson")
    assert figure.axes[0].get_ylim()[0] < 0
    assert figure.axes[2].get_ylim() == (0, 1)
    assert [axes.get_visible() for axes in figure.axes] == [True, True, True, False]


def test_modes_stand_below_each_other():
    table = pd.concat([scores(TWO, "reconstruct"), scores(TWO, "view_out")])
    assert len(score_bars(table, "pearson").axes) == 4


def test_one_view_has_no_second_panel():
    assert len(score_bars(scores({"mosa": {"rna": [0.5]}}), "pearson").axes) == 1


def test_many_views_and_models_without_warning():
    views = {f"view_with_a_long_name_{i}": [0.1 * i] for i in range(12)}
    figure = score_bars(scores({f"model{j}": views for j in range(9)}), "pearson")
    named = {t.get_text() for a in figure.axes for t in a.get_xticklabels() + a.get_yticklabels()}
    assert sum(name.startswith("view_with") for name in named) == 12
    png(figure, dpi=30)


def test_unknown_metric_names_what_exists():
    with pytest.raises(ValueError, match="'mse' in the table, found pearson"):
        score_bars(scores(TWO), "mse")


def test_two_data_sets_are_not_mixed():
    table = scores(TWO)
    with pytest.raises(ValueError, match="one data set, found demo, other"):
        score_bars(pd.concat([table, table.assign(dataset="other")]), "pearson")


def test_directions():
    assert [better(metric) for metric in ("spearman", "rmse", "new")] == ["higher", "lower", None]


def features(models: list[str], views: list[str], values: list[float]) -> pd.DataFrame:
    rows = [
        ("demo", model, 0, 0, "view_out", view, f"f{i}", "pearson", value, 30)
        for model in models
        for view in views
        for i, value in enumerate(values)
    ]
    names = ["dataset", "model", "fold", "seed", "mode", "view", "feature", "metric", "value", "n"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def test_curve_is_sorted_and_without_missing_features():
    figure = feature_curve(features(["mosa", "mean"], ["rna"], [0.1, np.nan, 0.9, 0.5]))
    axes = figure.axes[0]
    line = axes.lines[0]
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [0.9, 0.5, 0.1])
    np.testing.assert_allclose(np.asarray(line.get_xdata()), [1 / 6, 3 / 6, 5 / 6])
    assert axes.get_title(loc="left") == "rna (3)"
    assert axes.get_xlabel() == "share of features"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mosa", "mean"]


def test_folds_are_averaged_per_feature():
    table = features(["mosa"], ["rna"], [0.2, 0.4])
    other = table.assign(fold=1, value=table["value"] + 0.2)
    line = feature_curve(pd.concat([table, other])).axes[0].lines[0]
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [0.5, 0.3])


def test_open_mode_is_an_error_and_a_named_one_is_not():
    table = features(["mosa"], ["rna"], [0.2, 0.4])
    both = pd.concat([table, table.assign(mode="reconstruct")])
    with pytest.raises(ValueError, match="one mode, found view_out, reconstruct"):
        feature_curve(both)
    with pytest.raises(ValueError, match="mode 'cell_out' in the table"):
        feature_curve(both, mode="cell_out")
    png(feature_curve(both, mode="reconstruct"), dpi=30)


def test_all_missing_view_and_twelve_views_without_warning():
    views = [f"view{i}" for i in range(12)]
    table = features(["mosa"], views, [0.2, 0.4])
    table.loc[table["view"] == "view3", "value"] = np.nan
    figure = feature_curve(table)
    assert figure.axes[3].get_title(loc="left") == "view3 (0)"
    png(figure, dpi=30)


def test_scores_of_all_folds_are_drawn_with_the_standard_error_over_folds() -> None:
    values = {-1: 0.5, 0: 0.2, 1: 0.4, 2: 0.9}
    rows = pd.DataFrame(
        {
            "model": "mosa",
            "view": "rna",
            "fold": list(values),
            "seed": 0,
            "value": list(values.values()),
        }
    )
    found = [table.to_numpy().item() for table in over_runs(rows, ["mosa"], ["rna"])]
    np.testing.assert_allclose(found, [0.5, float(np.std([0.2, 0.4, 0.9], ddof=1)) / 3**0.5])
    assert spread_name(rows) == "all folds together, and standard error over 3 folds"
    single = pd.DataFrame(rows[rows["fold"] >= 0])
    found = [table.to_numpy().item() for table in over_runs(single, ["mosa"], ["rna"])]
    np.testing.assert_allclose(found, [0.5, float(np.std([0.2, 0.4, 0.9], ddof=1))])
    assert spread_name(single) == "mean and SD over 3 runs (folds and seeds)"
