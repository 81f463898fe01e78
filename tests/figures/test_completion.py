import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from jaxomics.figures.completion import (
    CELL,
    MAX_HEIGHT,
    MAX_WIDTH,
    MEASURED,
    VIEW,
    calibration_curve,
    completion_map,
    state_image,
)
from jaxomics.figures.style import png


def mask(values: list[list[int]], samples: list[str]) -> pd.DataFrame:
    return pd.DataFrame(np.array(values, dtype=bool), index=pd.Index(samples))


def test_three_states_have_their_colours():
    cells = np.array([[True, False], [False, False]])
    image = state_image(cells, np.array([True, False]), 9, 9)
    expected = [[to_rgb(MEASURED), to_rgb(CELL)], [to_rgb(VIEW), to_rgb(VIEW)]]
    np.testing.assert_allclose(image, expected)


def test_averaging_keeps_the_mean_colour():
    cells = np.random.default_rng(0).random((40, 30)) < 0.4
    present = np.ones(40, dtype=bool)
    small = state_image(cells, present, 10, 5)
    assert small.shape == (10, 5, 3)
    whole = state_image(cells, present, 99, 99)
    np.testing.assert_allclose(small.mean((0, 1)), whole.mean((0, 1)))


def test_samples_without_a_row_lack_the_whole_view_and_stand_last():
    views = {
        "rna": mask([[1, 1], [1, 1]], ["b", "c"]),
        "drug": mask([[1, 0], [1, 1], [1, 1]], ["a", "b", "c"]),
    }
    axes = completion_map(views).axes[0]
    rna, drug = (np.asarray(image.get_array()) for image in axes.images)
    assert rna.shape == (3, 2, 3)
    np.testing.assert_allclose(rna[2], [to_rgb(VIEW)] * 2)
    np.testing.assert_allclose(drug[2], [to_rgb(MEASURED), to_rgb(CELL)])
    names = [tick.get_text() for tick in axes.get_xticklabels()]
    assert names == ["rna (2; 67%)", "drug (2; 83%)"]
    assert axes.get_ylabel() == "3 samples, sorted by measured views"


def test_large_tables_are_averaged_below_the_limit():
    rng = np.random.default_rng(0)
    views = {f"view{i}": pd.DataFrame(rng.random((500, 900)) < 0.5) for i in range(3)}
    axes = completion_map(views).axes[0]
    shapes = [np.asarray(image.get_array()).shape for image in axes.images]
    assert {height for height, _, _ in shapes} == {MAX_HEIGHT}
    assert sum(width for _, width, _ in shapes) <= MAX_WIDTH


def test_twelve_views_and_one_view_without_warning():
    views = {f"a_long_name_of_a_view_{i}": mask([[1, 0]], ["a"]) for i in range(12)}
    figure = completion_map(views)
    assert len({tick.get_text() for tick in figure.axes[0].get_xticklabels()}) == 12
    png(figure, dpi=30)
    png(completion_map({"rna": mask([[1]], ["a"])}), dpi=30)


def test_order_and_its_errors():
    views = {"rna": mask([[1]], ["a"]), "drug": mask([[1]], ["a"])}
    axes = completion_map(views, order=["drug"]).axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["drug (1; 100%)"]
    with pytest.raises(ValueError, match="absent: \\['dna'\\]"):
        completion_map(views, order=["dna"])
    with pytest.raises(ValueError, match="expected tables"):
        completion_map({})


def test_calibration_has_a_line_per_view_beside_the_diagonal():
    table = pd.DataFrame(
        {
            "view": ["rna", "rna", "drug", "drug"],
            "nominal": [0.5, 0.9] * 2,
            "observed": [0.4, 0.8, 0.5, 0.9],
        }
    )
    figure = calibration_curve(table)
    axes = figure.axes[0]
    assert [line.get_label() for line in axes.lines] == ["as stated", "rna", "drug"]
    np.testing.assert_allclose(np.asarray(axes.lines[1].get_ydata()), [0.4, 0.8])
    png(figure, dpi=30)


def test_calibration_of_one_view():
    figure = calibration_curve(pd.DataFrame({"nominal": [0.5], "observed": [0.4]}))
    assert [line.get_label() for line in figure.axes[0].lines] == ["as stated", "observed"]
