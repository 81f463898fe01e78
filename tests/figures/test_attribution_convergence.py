import numpy as np
import pandas as pd
import pytest

from jaxomics.errors import InputError
from jaxomics.figures.attribution_convergence import (
    completeness_scatter,
    draw_convergence,
    node_convergence,
)
from jaxomics.figures.style import png


def gaps(rule: str, orders: list[float]) -> pd.DataFrame:
    """Return gaps of three samples per number of nodes; the middle one is `orders`."""
    rows = [
        (rule, 2.0 ** (i + 1), sign * order)
        for i, order in enumerate(orders)
        for sign in (0.5, -1.0, 2.0)
    ]
    return pd.DataFrame(rows, columns=pd.Index(["rule", "n_steps", "gap"]))


def line(axes, number: int) -> tuple[np.ndarray, np.ndarray]:
    found = axes.lines[number]
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


def slope(axes, number: int) -> float:
    x, y = np.log(line(axes, number))
    return float((y[-1] - y[0]) / (x[-1] - x[0]))


def test_lines_are_medians_of_sizes_on_logarithmic_scales():
    table = pd.concat([gaps("left", [0.4, 0.2, 0.1]), gaps("gauss", [0.1, 1e-4, 1e-8])])
    figure = node_convergence(table)
    axes = figure.axes[0]
    nodes, left = line(axes, 0)
    np.testing.assert_allclose(nodes, [2, 4, 8])
    np.testing.assert_allclose(left, [0.4, 0.2, 0.1])
    np.testing.assert_allclose(line(axes, 1)[1], [0.1, 1e-4, 1e-8])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["left", "gauss"]


def test_bands_reach_from_the_tenth_to_the_ninetieth_percentile():
    band = node_convergence(gaps("left", [0.4, 0.2])).axes[0].collections[0]
    heights = band.get_paths()[0].vertices[:, 1]
    expected = np.quantile([0.2, 0.4, 0.8], 0.9), np.quantile([0.1, 0.2, 0.4], 0.1)
    np.testing.assert_allclose([heights.max(), heights.min()], expected)


def test_guides_fall_at_the_rates_they_name():
    axes = node_convergence(gaps("left", [0.4, 0.2, 0.1])).axes[0]
    assert [text.get_text() for text in axes.texts] == ["1/n", "1/n²"]
    np.testing.assert_allclose([slope(axes, 1), slope(axes, 2)], [-1, -2])
    table = gaps("plain", [0.4, 0.2, 0.1])
    table.columns = ["estimator", "n_draws", "error"]
    axes = draw_convergence(table).axes[0]
    assert [text.get_text() for text in axes.texts] == ["1/√n"]
    assert slope(axes, 1) == pytest.approx(-0.5)


def test_the_wanted_gap_is_drawn():
    figure = node_convergence(gaps("left", [0.4, 0.2]), tolerance=1e-3)
    np.testing.assert_allclose(line(figure.axes[0], -1)[1], 1e-3)
    assert figure.legends[0].get_texts()[-1].get_text() == "tolerance"


def test_gaps_can_be_shares_of_the_change():
    table = gaps("left", [0.4, 0.2]).assign(share=0.01)
    axes = node_convergence(table, value="share").axes[0]
    np.testing.assert_allclose(line(axes, 0)[1], 0.01)
    assert "share of the output's change" in axes.get_ylabel()


def test_gaps_of_zero_and_one_number_of_nodes_can_be_drawn():
    figure = node_convergence(gaps("gauss", [0.0]))
    assert line(figure.axes[0], 0)[1][0] > 0
    png(figure, dpi=30)


def test_sums_stand_against_changes_of_the_output():
    table = pd.DataFrame(
        {
            "output": [1.5, 2.5, -3.5, 9.0],
            "baseline_output": [0.5, 0.5, 0.5, 0.5],
            "sum_attribution": [1.1, 1.8, -4.4, np.nan],
        }
    )
    table["gap"] = table["output"] - table["baseline_output"] - table["sum_attribution"]
    axes = completeness_scatter(table).axes[0]
    np.testing.assert_allclose(axes.collections[0].get_offsets(), [[1, 1.1], [2, 1.8], [-4, -4.4]])
    title = axes.get_title(loc="left")
    assert "(3 values)" in title
    assert "10.0% of the change" in title


def test_of_very_many_points_some_are_drawn():
    gap = np.linspace(0, 1, 50_001)
    table = pd.DataFrame(
        {"output": 2.0, "baseline_output": 0.0, "sum_attribution": 2.0 - gap, "gap": gap}
    )
    axes = completeness_scatter(table).axes[0]
    assert len(axes.collections[0].get_offsets()) == 20_000
    assert "(50,001 values)\nmedian gap: 25.0%" in axes.get_title(loc="left")


def test_an_output_that_never_changes_can_be_drawn():
    names = ["output", "baseline_output", "sum_attribution", "gap"]
    table = pd.DataFrame([[1.0, 1.0, 0.0, 0.0]], columns=pd.Index(names))
    figure = completeness_scatter(table)
    assert "gap: 0.0%" in figure.axes[0].get_title(loc="left")
    png(figure, dpi=30)


@pytest.mark.parametrize(
    ("draw", "columns"),
    [
        (node_convergence, ["rule", "n_steps", "gap"]),
        (draw_convergence, ["estimator", "n_draws", "error"]),
        (completeness_scatter, ["output", "baseline_output", "sum_attribution", "gap"]),
    ],
)
def test_tables_without_numbers_are_input_errors(draw, columns):
    table = pd.DataFrame({name: [1.0] for name in columns})
    with pytest.raises(InputError, match="at least one row"):
        draw(table.iloc[:0])
    with pytest.raises(InputError, match=rf"column\(s\) {columns[0]}"):
        draw(table[columns[1:]])
    with pytest.raises(InputError, match="expected numbers in column"):
        draw(table * np.nan)
