import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from jaxomics.errors import InputError
from jaxomics.figures.style import png
from jaxomics.figures.translation import best_features, embedded_panels, r2_histogram

GENES = pd.Index([f"g{i}" for i in range(5)])


def test_histogram_tells_mean_and_median_of_all_and_draws_what_is_above_zero():
    r2 = pd.Series([-3.0, 0.1, 0.2, 0.5, np.nan], GENES)
    figure = r2_histogram(r2, "genes", positive=True, heading="OmiTrans")
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "OmiTrans: 3 of 4 genes above 0"
    assert sum(patch.get_height() for patch in axes.patches) == 3
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert told == ["mean -0.550", "median 0.150"]
    whole = r2_histogram(r2, "genes").axes[0]
    assert sum(patch.get_height() for patch in whole.patches) == 4
    with pytest.raises(
        InputError, match="expected an R2 above 0 to draw, found none among 1 genes"
    ):
        r2_histogram(r2[:1], "genes", positive=True)


def test_best_features_come_in_order_and_unused_panels_vanish():
    values = np.random.default_rng(0).standard_normal((8, 5))
    truth = pd.DataFrame(values, columns=GENES)
    r2 = pd.Series([0.1, np.nan, 0.9, 0.5, -1.0], GENES)
    figure = best_features(truth, truth * 0.5, r2, count=4)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    titles = [axes.get_title(loc="left") for axes in shown]
    assert titles == ["g2, R² 0.90", "g3, R² 0.50", "g0, R² 0.10", "g4, R² -1.00"]
    assert png(figure)


def test_parts_of_one_embedding_share_limits_and_colours():
    rng = np.random.default_rng(0)
    classes = pd.Series(["x", "y"] * 3, name="class")
    more = pd.Series(["y"] * 5 + ["x"], name="class")
    panels = {
        "measured": (pd.DataFrame(rng.normal(size=(6, 2)), columns=["a", "b"]), classes),
        "translated": (pd.DataFrame(rng.normal(size=(6, 2)) * 5, columns=["a", "b"]), more),
    }
    one, two = embedded_panels(panels, shared=True).axes
    assert one.get_xlim() == two.get_xlim()
    assert colours(one) == colours(two)
    one, two = embedded_panels(panels).axes
    assert one.get_xlim() != two.get_xlim()
    with pytest.raises(InputError, match="expected an embedding to draw, found none"):
        embedded_panels({})


def colours(axes) -> dict[str, str]:
    """Colour of each class in a panel, by the name without its number of samples."""
    return {
        str(points.get_label()).split(" ")[0]: to_hex(points.get_facecolor()[0])
        for points in axes.collections
    }


def test_markers_tell_a_second_label():
    points = pd.DataFrame(np.arange(12.0).reshape(6, 2), columns=["a", "b"])
    classes = pd.Series(["x", "y", "x", "y", "x", None], name="class")
    kind = pd.Series(["measured"] * 3 + ["translated"] * 3)
    (axes,) = embedded_panels({"both": (points, classes)}, kinds={"both": kind}).axes
    drawn = {}
    for group in axes.collections:
        for place in np.asarray(group.get_offsets()).tolist():
            drawn[place[0] / 2] = (len(group.get_paths()[0]), tuple(group.get_facecolor()[0]))
    shape, colour = zip(*(drawn[sample] for sample in range(6)), strict=True)
    assert len(set(shape[:3])) == len(set(shape[3:])) == 1 != len(set(shape))
    assert colour[0] == colour[2] == colour[4] != colour[1] == colour[3]
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert told == ["x (3)", "y (2)", "not recorded (1)", "measured", "translated"]
