import numpy as np
import pandas as pd
import pytest

from jaxomics.figures.search import optimisation_history, parallel_coordinates, setting_importance
from jaxomics.figures.style import png


def trials(count: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    states = np.array(["complete"] * count, dtype=object)
    states[3], states[5] = "pruned", "failed"
    value = 2.0 + rng.random(count)
    value[5] = np.nan
    return pd.DataFrame(
        {
            "trial": np.arange(count),
            "group": np.arange(count) // 4,
            "state": states,
            "value": value,
            "learning_rate": 10 ** rng.uniform(-5, -2, count),
            "latent": rng.integers(16, 64, count),
            "hidden": rng.choice(["0.7", "0.7/0.4"], count),
            "schedule": ["plateau"] * count,
            "epochs": [10] * count,
        }
    )


def test_history_shows_every_trial_and_the_best_so_far():
    table = trials()
    axes = optimisation_history(table, "reconstruction").axes[0]
    complete, pruned, failed = axes.collections
    assert (len(complete.get_offsets()), len(pruned.get_offsets())) == (10, 1)
    assert len(failed.get_offsets()) == 1
    line = np.asarray(axes.lines[0].get_ydata(), float)
    good = table.loc[table["state"] == "complete", "value"].to_numpy()
    np.testing.assert_allclose(line[:-1], np.minimum.accumulate(good))
    assert axes.get_ylabel().startswith("reconstruction")


def test_history_of_one_failed_trial_can_be_drawn():
    table = trials().iloc[[5]]
    figure = optimisation_history(table)
    assert len(np.asarray(figure.axes[0].lines[0].get_ydata())) == 0  # there is no best
    assert png(figure, dpi=30)


def test_wide_ranges_get_a_logarithmic_scale():
    table = trials()
    table.loc[0, "value"] = 1e4
    assert optimisation_history(table).axes[0].get_yscale() == "log"
    assert optimisation_history(trials()).axes[0].get_yscale() == "linear"


def test_importance_has_the_largest_on_top():
    table = pd.DataFrame({"field": ["latent", "rate"], "importance": [0.2, 0.8]})
    axes = setting_importance(table).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.2, 0.8]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["latent", "rate"]
    assert [text.get_text() for text in axes.texts] == ["20%", "80%"]


def test_lines_run_through_the_settings_that_differ():
    table = trials()
    figure = parallel_coordinates(table)
    axes = figure.axes[0]
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["learning_rate", "latent", "hidden"]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert len(lines) == 12  # one failed, and the best is drawn twice
    best = max(lines, key=lambda line: line.get_linewidth())
    row = table.loc[table["value"][table["state"] == "complete"].idxmin()]
    rate = np.log(table["learning_rate"])
    expected = (np.log(row["learning_rate"]) - rate.min()) / (rate.max() - rate.min())
    assert np.asarray(best.get_ydata())[0] == pytest.approx(expected)
    assert str(row["trial"]) in figure.get_suptitle()


def test_equal_values_and_many_settings_without_warning():
    table = trials().assign(value=1.0, **{f"setting_number_{i}": range(12) for i in range(9)})
    png(parallel_coordinates(table), dpi=30)


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="expected complete trials that differ"):
        parallel_coordinates(trials().assign(state="pruned"))
    with pytest.raises(ValueError, match="at least one row in the importance table"):
        setting_importance(pd.DataFrame({"field": [], "importance": []}))
    with pytest.raises(ValueError, match="column"):
        optimisation_history(pd.DataFrame({"trial": [1]}))
