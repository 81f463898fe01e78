import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg

from jaxomics.errors import InputError
from jaxomics.figures.attribution_spread import (
    LOW_TO_HIGH,
    beeswarm,
    clustered,
    group_comparison,
    importance_heatmap,
    stability,
    swarm,
)
from jaxomics.figures.style import png

ENDLESS = "a_feature_whose_name_" + "goes_on_and_" * 12 + "on"


def row_names(axes) -> list[str]:
    return [text.get_text() for text in axes.get_yticklabels()]


def assert_inside(figure) -> None:
    """Check that nothing that is drawn leaves the figure."""
    FigureCanvasAgg(figure).draw()
    drawn, page = figure.get_tightbbox(), figure.bbox_inches
    np.testing.assert_array_less(page.min - 0.02, drawn.min)
    np.testing.assert_array_less(drawn.max, page.max + 0.02)


def pairs(cells: np.ndarray) -> pd.DataFrame:
    """Return the tidy table of a matrix of features f0, f1, ... x outputs o0, o1, ..."""
    rows = [
        (f"o{o}", "rna", f"f{f}", value)
        for f, row in enumerate(cells)
        for o, value in enumerate(row)
        if not np.isnan(value)
    ]
    return pd.DataFrame(rows, columns=pd.Index(["output", "view", "feature", "mean_abs"]))


def test_heat_map_shows_each_pair_under_its_names():
    cells = np.random.default_rng(0).uniform(size=(5, 4))
    figure = importance_heatmap(pairs(cells))
    axes = figure.axes[0]
    down = [int(name[1]) for name in row_names(axes)]
    across = [int(text.get_text()[1]) for text in axes.get_xticklabels()]
    np.testing.assert_allclose(axes.images[0].get_array(), cells[down][:, across])
    assert row_names(axes)[0].endswith("(rna)")
    assert figure.get_suptitle() == "Attribution of 4 outputs to 5 features"


def test_heat_map_takes_the_largest_features_then_outputs():
    cells = np.outer([3.0, 1.0, 5.0, 2.0], [1.0, 4.0, 2.0])
    axes = importance_heatmap(pairs(cells), n_features=2, n_outputs=1).axes[0]
    assert sorted(row_names(axes)) == ["f0 (rna)", "f2 (rna)"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["o1"]


def test_pairs_that_are_not_listed_are_grey_and_said():
    cells = np.array([[1.0, np.nan], [2.0, 3.0]])
    figure = importance_heatmap(pairs(cells))
    assert np.ma.count_masked(figure.axes[0].images[0].get_array()) == 1
    assert "grey: not in the table" in figure.get_suptitle()


def test_signed_values_have_their_zero_in_the_middle_of_the_colours():
    table = pairs(np.array([[1.0, -3.0], [2.0, 0.5]]))
    image = importance_heatmap(table).axes[0].images[0]
    assert image.norm(0.0) == 0.5
    positive = importance_heatmap(pairs(np.array([[1.0, 3.0], [2.0, 0.5]]))).axes[0].images[0]
    assert positive.norm(0.0) == 0.0


def test_similar_rows_stand_together():
    kinds = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 30.0]])
    cells = centres[kinds] + 0.1 * np.random.default_rng(0).standard_normal((9, 2))
    order = clustered(cells)
    assert sorted(order) == list(range(9))
    assert np.count_nonzero(np.diff(kinds[order])) == 2


def matrices(samples: int = 6) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return attributions 3 x, -x and 10 x of three features, and the features x."""
    rng = np.random.default_rng(0)
    columns = pd.MultiIndex.from_tuples([("rna", "A"), ("rna", "B"), ("cn", "A")])
    index = [f"s{i}" for i in range(samples)]
    values = pd.DataFrame(rng.standard_normal((samples, 3)), index=index, columns=columns)
    return values * np.array([3.0, -1.0, 10.0]), values


def test_swarm_rows_are_the_largest_features_at_their_attributions():
    attributions, values = matrices()
    axes = beeswarm(attributions, values, n=2).axes[0]
    assert row_names(axes) == ["A (cn)", "A (rna)"]
    for row, name in enumerate([("cn", "A"), ("rna", "A")]):
        points = axes.collections[row].get_offsets()
        np.testing.assert_allclose(points[:, 0], attributions[name])
        assert np.abs(points[:, 1] - row).max() < 0.5
    assert axes.get_title(loc="right") == "6 samples"


def test_colours_follow_values_by_name_not_by_place():
    attributions, values = matrices()
    shuffled = values.iloc[::-1, [2, 0, 1]]
    points = beeswarm(attributions, shuffled).axes[0].collections[0]
    x = values[("cn", "A")]
    low, high = np.quantile(x, [0.05, 0.95])
    np.testing.assert_allclose(points.get_array(), ((x - low) / (high - low)).clip(0, 1))
    assert points.get_cmap() == LOW_TO_HIGH


def test_constant_features_get_the_middle_colour_and_rare_events_both_ends():
    attributions, values = matrices(50)
    values[("rna", "A")] = 7.0
    values[("cn", "A")] = [1.0] + [0.0] * 49
    rare, constant, _ = beeswarm(attributions, values).axes[0].collections
    np.testing.assert_allclose(constant.get_array(), 0.5)
    np.testing.assert_allclose(rare.get_array(), [1.0] + [0.0] * 49)


def test_missing_values_are_drawn_and_said_missing_attributions_are_not_drawn():
    attributions, values = matrices()
    values.iloc[0] = np.nan
    attributions.iloc[1, 2] = np.nan
    figure = beeswarm(attributions, values)
    first, second, _ = figure.axes[0].collections
    assert len(first.get_offsets()) == 5
    assert len(second.get_offsets()) == 6
    assert figure.axes[0].get_title(loc="right").endswith("dark grey: value missing")
    png(figure, dpi=30)


def test_plain_columns_one_sample_and_zero_attributions_can_be_drawn():
    attributions, values = matrices(1)
    for table in (attributions, attributions * 0):
        figure = beeswarm(table["rna"], values["rna"])
        assert sorted(row_names(figure.axes[0])) == ["A", "B"]
        png(figure, dpi=30)


def test_swarm_of_unlike_tables_is_an_error():
    attributions, values = matrices()
    with pytest.raises(InputError, match="value for each sample of them; found s0"):
        beeswarm(attributions, values.iloc[1:])
    with pytest.raises(InputError, match=r"each feature of them; found \('cn', 'A'\)"):
        beeswarm(attributions, values[["rna"]])
    with pytest.raises(InputError, match="an empty table"):
        beeswarm(attributions.iloc[:0], values)
    with pytest.raises(InputError, match="expected numbers as attributions"):
        beeswarm(attributions * np.nan, values)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_close_points_do_not_lie_on_each_other(values):
    points = np.array(values)
    offsets = swarm(points, 2.0)
    assert np.abs(offsets).max() <= 0.42
    places = set(zip(np.round(points / 2.0 * 160).tolist(), offsets.tolist(), strict=True))
    assert len(places) == len(points)


def groups() -> pd.DataFrame:
    names = pd.Index(["group", "view", "feature", "mean_abs", "mean", "stderr"])
    rows = [
        ("mutant", "rna", "A", 0.50, -0.2, 0.02),
        ("mutant", "rna", "B", 0.30, 0.3, 0.02),
        ("mutant", "cn", "A", 0.20, 0.1, 0.02),
        ("mutant", "cn", "only here", 0.9, 0.1, 0.02),
        ("wild type", "rna", "A", 0.45, 0.4, 0.01),
        ("wild type", "rna", "B", 0.10, 0.25, 0.01),
        ("wild type", "cn", "A", 0.30, 0.1, np.nan),
    ]
    return pd.DataFrame(rows, columns=names)


def test_groups_are_compared_feature_by_feature():
    figure = group_comparison(groups(), n=2)
    left, right = figure.axes
    found = np.concatenate([points.get_offsets() for points in left.collections])
    np.testing.assert_allclose(
        found[np.argsort(found[:, 0])], [[0.2, 0.3], [0.3, 0.1], [0.5, 0.45]]
    )
    assert row_names(right) == ["B (rna)", "A (cn)"]
    mutant, wild = (container.lines[0].get_xdata() for container in right.containers)
    np.testing.assert_allclose(mutant, [0.3, 0.2])
    np.testing.assert_allclose(wild, [0.1, 0.3])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["mutant", "wild type"]


def test_groups_can_be_compared_by_directed_effects():
    right = group_comparison(groups(), value="mean", n=1).axes[1]
    assert row_names(right) == ["A (rna)"]


def test_sizes_of_many_orders_get_logarithmic_scales():
    table = groups()
    table.loc[0, "mean_abs"] = 500.0
    left = group_comparison(table).axes[0]
    assert (left.get_xscale(), left.get_yscale()) == ("log", "log")
    png(left.figure, dpi=30)


def test_other_than_two_groups_are_an_error():
    table = groups()
    with pytest.raises(InputError, match="two groups, found mutant;"):
        group_comparison(table[table["group"] == "mutant"])
    with pytest.raises(InputError, match="features that both groups have"):
        group_comparison(table.iloc[[0, 5]])


def members(same_sign: list, size: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "target": "latent",
            "view": "rna",
            "feature": [f"f{i}" for i in range(len(size))],
            "mean_abs": size,
            "sd": 0.1,
            "cv": [0.1 / s for s in size],
            "same_sign": same_sign,
            "members": 10,
        }
    )


@pytest.mark.parametrize("same_sign", [[1.0, 0.6, 0.9], [1.0, np.nan, 1.0], [True, False, True]])
def test_features_whose_sign_differs_stand_apart(same_sign):
    figure = stability(members(same_sign, [0.5, 0.8, 0.2]), n=2)
    left, right = figure.axes
    same, differs = left.collections
    np.testing.assert_allclose(same.get_offsets(), [[0.5, 0.2], [0.2, 0.5]])
    np.testing.assert_allclose(differs.get_offsets(), [[0.8, 0.125]])
    assert row_names(right) == ["f1 (rna)", "f0 (rna)"]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["members agree on the sign (2)", "they do not (1)"]
    lengths = [np.ptp(bars[2][0].get_segments()[0][:, 0]) for bars in right.containers]
    np.testing.assert_allclose(lengths, 0.2)
    assert figure.get_suptitle() == "10 ensemble members"


def test_features_without_attribution_can_be_drawn():
    table = members([np.nan, np.nan], [1.0, 1.0]).assign(mean_abs=0.0, sd=0.0, cv=np.nan)
    figure = stability(table)
    assert figure.get_suptitle() == "10 ensemble members"
    assert png(figure, dpi=30)


@pytest.mark.parametrize("draw", [importance_heatmap, group_comparison, stability])
def test_targets_are_not_mixed(draw):
    table = groups().assign(output="o", sd=0.1, cv=0.1, same_sign=1.0, members=3)
    with pytest.raises(InputError, match="one target, found rna, drug;"):
        draw(pd.concat([table.assign(target="rna"), table.assign(target="drug")]))


def test_names_may_be_categories():
    table = groups().assign(output="o", sd=0.1, cv=0.1, same_sign=1.0, members=3)
    names = ["group", "view", "feature", "output"]
    table = table.astype(dict.fromkeys(names, "category"))
    assert row_names(group_comparison(table, n=1).axes[1]) == ["B (rna)"]
    assert len(row_names(importance_heatmap(table[table["view"] == "rna"]).axes[0])) == 2
    assert len(row_names(stability(table.iloc[:2]).axes[1])) == 2


def test_long_names_stay_inside():
    table = groups()
    for column in ("view", "feature", "group"):
        table[column] += ENDLESS
    assert_inside(group_comparison(table))
    assert_inside(stability(members([1.0], [0.5]).assign(feature=ENDLESS, view=ENDLESS)))
    assert_inside(importance_heatmap(table.rename(columns={"group": "output"})))
    attributions, values = matrices()
    longer = {name: name + ENDLESS for name in ("A", "B", "rna", "cn")}
    assert_inside(beeswarm(attributions.rename(columns=longer), values.rename(columns=longer)))


@pytest.mark.parametrize("draw", [importance_heatmap, group_comparison, stability])
def test_tables_without_numbers_are_input_errors(draw):
    table = groups().assign(output="o", sd=0.1, cv=0.1, same_sign=1.0, members=3)
    with pytest.raises(InputError, match="at least one row"):
        draw(table.iloc[:0])
    with pytest.raises(InputError, match=r"column\(s\)"):
        draw(table[["view"]])
    with pytest.raises(InputError, match="expected numbers in column mean_abs"):
        draw(table.assign(mean_abs=np.nan))
