"""Figures of unpaired views: what is drawn are the numbers of the tables."""

import numpy as np
import pandas as pd
import pytest

from jaxomics.errors import InputError
from jaxomics.figures.integration import (
    confusion_panels,
    latent_by_class_and_view,
    sweep_curves,
    translation_map,
)
from jaxomics.figures.style import png

NAMES = [f"s{i}" for i in range(12)]
LATENT = pd.DataFrame(np.random.default_rng(0).normal(size=(12, 4)), NAMES, list("abcd"))


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_samples_are_drawn_by_class_and_by_view():
    classes = pd.Series(["x", "y", None] * 4, NAMES)
    views = pd.Series(["rna"] * 5 + ["protein"] * 7, NAMES)
    figure = latent_by_class_and_view(LATENT, classes, views)
    by_class, by_view = figure.axes
    assert [t.get_text() for t in by_class.get_legend().get_texts()] == [
        "x (4)", "y (4)", "not recorded (4)",
    ]  # fmt: skip
    assert [t.get_text() for t in by_view.get_legend().get_texts()] == ["protein (7)", "rna (5)"]
    assert png(figure, 40) == png(latent_by_class_and_view(LATENT, classes, views), 40)
    with pytest.raises(InputError, match="at least one row"):
        latent_by_class_and_view(LATENT[:0], classes, views)


def confusion() -> pd.DataFrame:
    counts = {("x", "x"): 3, ("x", "y"): 1, ("y", "x"): 0, ("y", "y"): 4}
    rows = [("rna", t, c, n) for (t, c), n in counts.items()]
    rows += [("protein", t, c, n * (t == "x")) for (t, c), n in counts.items()]
    return pd.DataFrame(rows, columns=["view", "truth", "class", "n"])


def test_confusions_are_shares_of_the_true_class():
    table = confusion()
    pooled = table.groupby(["truth", "class"], as_index=False)["n"].sum().assign(view="all")
    figure = confusion_panels(pd.concat([table, pooled, pooled]))
    rna, protein, both = figure.axes[:3]
    assert texts(rna) == ["0.75", "0.25", "0.00", "1.00"]
    assert texts(protein) == ["0.75", "0.25", "–", "–"]
    assert rna.get_title(loc="left") == "rna: 87.5% right"
    assert both.get_title(loc="left") == "all views: 83.3% right"
    with pytest.raises(InputError, match="column"):
        confusion_panels(table.drop(columns="n"))


def test_translations_stand_beside_their_floor():
    rows = [("rna", "rna", "mse", 0.1), ("rna", "drug", "mse", 0.3), ("drug", "rna", "mse", 0.2)]
    rows += [("drug", "drug", "mse", 0.4), ("", "rna", "within", 0.05), ("", "drug", "total", 9.0)]
    table = pd.DataFrame(rows, columns=["source", "view", "metric", "value"])
    axes = translation_map(pd.concat([table, table])).axes[0]
    assert texts(axes) == ["0.1000", "0.3000", "0.2000", "0.4000", "0.0500", "–"]
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown == ["from rna", "from drug", "class mean (floor)"]
    with pytest.raises(InputError, match="mse"):
        translation_map(table[table["metric"] == "total"])


def test_curves_are_means_over_seeds():
    rows = [("modis", s, n, "accuracy", 0.5 + 0.1 * s + n / 100) for s in (0, 1) for n in (1, 10)]
    table = pd.DataFrame(rows, columns=["model", "seed", "n", "metric", "value"])
    figure = sweep_curves(
        table, "n", ["accuracy"], x_label="labels", reference={"accuracy": {10: 0.9}}
    )
    mean, published = figure.axes[0].lines[0], figure.axes[0].lines[-1]
    np.testing.assert_allclose(mean.get_xydata(), [[1, 0.56], [10, 0.65]])
    np.testing.assert_allclose(published.get_xydata(), [[10, 0.9]])
    with pytest.raises(InputError, match="metric recall"):
        sweep_curves(table, "n", ["recall"], x_label="labels")
