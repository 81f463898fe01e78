import numpy as np
import pandas as pd
import pytest

from jaxomics.errors import InputError
from jaxomics.metrics.intervals import calibration, evaluate_intervals
from jaxomics.metrics.tables import SCORE_COLUMNS


def test_honest_deviations_are_found_honest():
    random = np.random.default_rng(0)
    sd = random.uniform(0.5, 2, 20_000)
    truth = 3 + sd * random.normal(size=20_000)
    scores = calibration(truth, np.full(20_000, 3.0), sd)
    assert scores["calibration_error"] < 0.01
    assert scores["z_sd"] == pytest.approx(1, abs=0.02)
    assert scores["nll"] == pytest.approx(
        np.mean(np.log(sd)) + 0.5 * np.log(2 * np.pi * np.e), abs=0.02
    )


def test_halved_deviations_are_too_sure():
    truth = np.random.default_rng(1).normal(size=20_000)
    scores = calibration(truth, np.zeros(20_000), np.full(20_000, 0.5))
    assert scores["z_sd"] == pytest.approx(2, abs=0.05)
    assert scores["coverage_95"] == pytest.approx(0.673, abs=0.01)


def test_tables_are_aligned_and_empty_cells_left_out():
    truth = pd.DataFrame({"x": [0.0, np.nan, 1.0]}, index=pd.Index(["a", "b", "c"]))
    mean = pd.DataFrame({"x": [1.0, 0.0, 0.0]}, index=pd.Index(["c", "b", "a"]))
    scores = evaluate_intervals(truth, mean, mean * 0 + 1, "toy", "m", "rna")
    got = scores.set_index("metric").value
    assert list(scores.columns) == SCORE_COLUMNS
    assert got["n_cells"] == 2
    assert got["coverage_50"] == 1


@pytest.mark.parametrize(("sd", "levels"), [(0.0, (0.5,)), (np.nan, (0.5,)), (1.0, (95,))])
def test_impossible_input_is_named(sd, levels):
    with pytest.raises(InputError, match="expected"):
        calibration(np.zeros(2), np.zeros(2), np.full(2, sd), levels)
