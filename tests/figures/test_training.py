import numpy as np
import pandas as pd
import pytest

from jaxomics.figures.style import png
from jaxomics.figures.training import training_curves


def metrics(views: list[str], epochs: int, replicas: int = 1) -> pd.DataFrame:
    rows = []
    for replica in range(replicas):
        for epoch in range(epochs):
            for split in ("train", "valid"):
                row = {"epoch": epoch, "replica": replica, "split": split, "lr": 1e-3}
                row["loss"] = 2.0 - 0.1 * epoch + replica
                row |= {f"reconstruction/{view}": 1.0 + epoch for view in views}
                rows.append(row)
    return pd.DataFrame(rows)


def panels(figure) -> dict:
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}


def test_one_panel_per_metric_in_reading_order():
    figure = training_curves(metrics(["rna", "protein"], 4))
    assert list(panels(figure)) == ["total loss", "rna", "protein", "learning rate"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["train", "valid"]


def test_lines_are_the_table():
    axes = panels(training_curves(metrics(["rna"], 4)))["total loss"]
    assert len(axes.lines) == 2
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_xdata()), [0, 1, 2, 3])
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), [2.0, 1.9, 1.8, 1.7])


def test_replicas_become_median_and_band():
    axes = panels(training_curves(metrics(["rna"], 4, replicas=3)))["total loss"]
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), [3.0, 2.9, 2.8, 2.7])
    band = axes.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == pytest.approx(1.7)
    assert band[:, 1].max() == pytest.approx(4.0)


def test_one_epoch_shows_a_marker():
    axes = panels(training_curves(metrics(["rna"], 1)))["rna"]
    assert axes.lines[0].get_marker() == "o"


def test_twelve_long_views_without_warning():
    views = [f"a_very_long_view_name_{i}" * 2 for i in range(12)]
    figure = training_curves(metrics(views, 3))
    assert len(panels(figure)) == 14
    png(figure, dpi=30)


def test_metric_without_values_is_left_out():
    table = metrics(["rna"], 2).assign(kl=np.nan)
    assert "KL divergence" not in panels(training_curves(table))


def test_loss_terms_that_are_off_have_no_panel():
    table = metrics(["rna"], 2).assign(kl=0.3, contrastive=0.0)
    assert list(panels(training_curves(table)))[3:] == ["KL divergence"]
    assert list(panels(training_curves(table, off=["kl"]))) == [
        "total loss",
        "rna",
        "learning rate",
    ]
    assert list(panels(training_curves(table, ["contrastive"]))) == ["contrastive loss"]


def test_wide_ranges_are_drawn_on_a_log_scale():
    table = metrics(["rna"], 3)
    table["loss"] = np.where(table["epoch"] == 0, 1000.0, 1.0)
    assert panels(training_curves(table))["total loss"].get_yscale() == "log"


def test_epochs_are_required():
    with pytest.raises(ValueError, match="epoch"):
        training_curves(pd.DataFrame({"split": ["train"], "loss": [1.0]}))


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match="at least one metric"):
        training_curves(pd.DataFrame({"split": ["train"], "epoch": [0]}))
