from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from jaxomics.errors import InputError
from jaxomics.figures.attribution import (
    importance_bars,
    output_features,
    output_ranking,
    view_shares,
    view_totals,
)
from jaxomics.figures.style import png

ENDLESS = "a_feature_whose_name_" + "goes_on_and_" * 12 + "on"


def importance(sizes: dict[str, list[float]], target: str = "latent") -> pd.DataFrame:
    """Return a table of view -> mean |attribution| of f0, f1, ...; standard errors a tenth."""
    rows = [
        (target, view, f"{view}{i}", size, -size / 2, size / 10)
        for view, column in sizes.items()
        for i, size in enumerate(column)
    ]
    names = ["target", "view", "feature", "mean_abs", "mean", "stderr"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def effects(sizes: list[float], direction: list[float] | None = None) -> pd.DataFrame:
    table = importance({"rna": sizes}).rename(columns={"feature": "output"})
    table = table.assign(feature="TP53")
    return table if direction is None else table.assign(direction=direction)


def widths(axes) -> list[float]:
    return [float(bar.get_width()) for bar in axes.patches]


def row_names(axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def assert_inside(figure) -> None:
    """Check that nothing that is drawn leaves the figure."""
    FigureCanvasAgg(figure).draw()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    np.testing.assert_array_less(page.min - 0.02, drawn.min)
    np.testing.assert_array_less(drawn.max, page.max + 0.02)


def test_bars_are_the_largest_first_in_one_panel_per_view():
    figure = importance_bars(importance({"rna": [0.1, 0.4, 0.3], "drug": [0.2]}), n=2)
    rna, drug = figure.axes
    assert widths(rna) == [0.4, 0.3]
    assert row_names(rna) == ["rna1", "rna2"]
    assert widths(drug) == [0.2]
    assert rna.get_title(loc="right") == "rna (3)"
    assert "latent" in figure.get_suptitle()
    low, high = rna.get_ylim()
    assert low > high  # the largest on top


def test_error_bars_reach_one_standard_error_to_each_side():
    axes = importance_bars(importance({"rna": [0.1, 0.4]})).axes[0]
    lengths = [float(np.ptp(line.get_segments()[0][:, 0])) for line in axes.collections]
    np.testing.assert_allclose(lengths, [0.08, 0.02])


def test_without_standard_errors_there_are_no_error_bars():
    table = importance({"rna": [0.1, 0.4]}).assign(stderr=np.nan)
    assert not importance_bars(table).axes[0].collections


@pytest.mark.parametrize("shared", [True, False])
def test_panels_share_their_scale_if_wanted(shared):
    figure = importance_bars(importance({"rna": [1.0], "drug": [0.01]}), shared_scale=shared)
    rna, drug = figure.axes
    assert (rna.get_xlim() == drug.get_xlim()) is shared


def test_views_keep_their_looks_and_conditionals_are_grey():
    sizes = {"rna": [0.3], "conditionals": [0.9], "cn": [0.2]}
    colours = {
        axes.get_title(loc="right").split()[0]: axes.patches[0].get_facecolor()
        for table in (importance(sizes), importance(dict(reversed(sizes.items()))))
        for axes in importance_bars(table).axes[:3]
    }
    assert len(set(colours.values())) == 3
    red, green, blue, _ = colours["conditionals"]
    assert red == green == blue


def test_bars_of_a_target_without_effect_say_so():
    figure = importance_bars(importance({"rna": [0.0, 0.0]}))
    assert [text.get_text() for text in figure.axes[0].texts] == ["all are zero"]
    png(figure, dpi=30)


def test_long_names_stay_inside():
    table = importance({ENDLESS: [0.5, 0.4], "rna": [0.3], "drug": [0.1]}, target=ENDLESS)
    table["feature"] += ENDLESS
    table["output"] = ENDLESS
    assert_inside(importance_bars(table))
    assert_inside(output_features(table))
    assert_inside(output_ranking(effects([0.5, 0.4]).assign(output=ENDLESS, feature=ENDLESS)))
    views = table.groupby(["target", "view"], as_index=False)["mean_abs"].mean()
    views["share"] = views["mean_abs"] / views["mean_abs"].sum()
    assert_inside(view_totals(views))
    assert_inside(view_shares(views))


def shares(**columns: list[float]) -> pd.DataFrame:
    rows = [
        (f"t{i}", view, share / 10, share)
        for view, column in columns.items()
        for i, share in enumerate(column)
    ]
    return pd.DataFrame(rows, columns=pd.Index(["target", "view", "mean_abs", "share"]))


def test_totals_show_share_and_mean_of_each_view():
    total, mean = view_totals(shares(rna=[0.2], drug=[0.7], cn=[0.1])).axes
    assert row_names(total) == ["drug", "rna", "cn"]
    assert widths(total) == [0.7, 0.2, 0.1]
    np.testing.assert_allclose(widths(mean), [0.07, 0.02, 0.01])


def test_shares_are_stacked_to_the_whole():
    axes = view_shares(shares(rna=[0.25, 0.5], drug=[0.75, 0.5])).axes[0]
    assert row_names(axes) == ["t0", "t1"]
    ends = [(float(bar.get_x()), float(bar.get_x() + bar.get_width())) for bar in axes.patches]
    assert ends == [(0, 0.75), (0, 0.5), (0.75, 1.0), (0.5, 1.0)]


def test_outputs_are_ranked_and_the_first_are_named():
    axes = output_ranking(effects([0.1, 0.5, 0.3, 0.2]), n=2, outputs="drugs").axes[0]
    points = np.concatenate([found.get_offsets() for found in axes.collections[1:]])
    np.testing.assert_allclose(points, [[1, 0.5], [2, 0.3], [3, 0.2], [4, 0.1]])
    assert [text.get_text() for text in axes.texts] == ["rna1", "rna2"]
    assert axes.get_title(loc="left") == "Effect of TP53 (rna) on 4 drugs"


def test_direction_is_preferred_to_the_sign_of_the_mean():
    def words(figure) -> list[str]:
        return [text.get_text() for text in figure.legends[0].get_texts()]

    sizes = [0.4, 0.3, 0.2, 0.1]
    assert words(output_ranking(effects(sizes))) == ["mean below zero (4)"]
    directed = output_ranking(effects(sizes, [0.9, -0.8, 0.7, 0.05]))
    assert words(directed) == [
        "no clear direction (1)",
        "rises with the feature (2)",
        "falls with the feature (1)",
    ]
    rises = directed.axes[0].collections[2]
    np.testing.assert_allclose(rises.get_offsets(), [[1, 0.4], [3, 0.2]])


@pytest.mark.parametrize("count", [1, 3, 40, 3000])
@pytest.mark.parametrize("shape", ["flat", "steep"])
def test_names_do_not_overlap_each_other_or_the_curve(count, shape):
    size = np.full(count, 0.3) if shape == "flat" else 1.0 / np.arange(1, count + 1) ** 2
    figure = output_ranking(effects(list(size)))
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    boxes = [Text.get_window_extent(text) for text in axes.texts]  # without their lines
    assert len(boxes) == min(10, count)
    for upper, lower in pairwise(boxes):
        assert upper.y0 >= lower.y1 - 3  # a line's box is a little taller than its letters
    curve = axes.transData.transform(np.c_[np.arange(1, count + 1), size])
    assert not any(box.contains(*point) for box in boxes for point in curve)
    assert boxes[0].y1 <= axes.get_window_extent().y1 + 6


def test_features_of_one_output_come_from_all_views_with_arrows():
    table = importance({"rna": [0.1, 0.4], "drug": [0.3]}).assign(output="Nutlin-3a (-)|1047")
    table["direction"] = [0.9, -0.9, 0.0]
    figure = output_features(table)
    axes = figure.axes[0]
    assert row_names(axes) == ["rna1", "drug0", "rna0"]
    assert widths(axes) == [0.4, 0.3, 0.1]
    assert [text.get_text() for text in axes.texts] == ["↓", "·", "↑"]
    first, second, third = (bar.get_facecolor() for bar in axes.patches)
    assert first == third != second
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["drug", "rna"]
    assert axes.get_title(loc="left") == "Features that matter for Nutlin-3a (-)|1047"


def test_one_of_several_outputs_has_to_be_named():
    table = importance({"rna": [0.1, 0.4]}).assign(output=["Nutlin", "Erlotinib"])
    assert widths(output_features(table, "Nutlin").axes[0]) == [0.1]
    with pytest.raises(InputError, match="one output, found Nutlin, Erlotinib; keep"):
        output_features(table)
    with pytest.raises(InputError, match="'nutlin'; did you mean 'Nutlin'"):
        output_features(table, "nutlin")


def test_targets_and_features_are_not_mixed():
    both = pd.concat([importance({"rna": [0.1]}), importance({"rna": [0.1]}, "z3")])
    with pytest.raises(InputError, match="one target, found latent, z3"):
        importance_bars(both)
    with pytest.raises(InputError, match="one feature, found TP53, RB1"):
        output_ranking(pd.concat([effects([0.1]), effects([0.2]).assign(feature="RB1")]))
    with pytest.raises(InputError, match="one target, found latent, z3"):
        output_features(both.assign(output="TP53"))


@pytest.mark.parametrize(
    "draw", [importance_bars, view_totals, view_shares, output_ranking, output_features]
)
def test_tables_without_numbers_are_input_errors(draw):
    table = effects([0.1, 0.2]).assign(share=0.5)
    with pytest.raises(InputError, match="at least one row"):
        draw(table.iloc[:0])
    with pytest.raises(InputError, match=r"column\(s\)"):
        draw(table[["target"]])
    with pytest.raises(InputError, match="expected numbers in column"):
        draw(table.assign(mean_abs=np.nan, share=np.nan))


def test_names_may_be_categories():
    table = importance({"rna": [0.1, 0.3], "drug": [0.2], "absent": [0.5]})
    table = table.astype({"target": "category", "view": "category", "feature": "category"})
    table = table.iloc[:3].assign(output="o", share=0.25)
    assert len(importance_bars(table).axes) == 2
    assert row_names(output_features(table).axes[0]) == ["rna1", "drug0", "rna0"]
    assert len(view_shares(table.iloc[1:]).axes[0].patches) == 2


def test_rows_without_a_number_are_left_out():
    table = importance({"rna": [0.1, np.nan, 0.3]})
    assert widths(importance_bars(table).axes[0]) == [0.3, 0.1]
