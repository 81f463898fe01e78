from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.cli import main
from jaxomics.metrics.translation import NINE


def test_translated_tables_are_scored_by_the_nine(tmp_path: Path, capsys):
    random = np.random.default_rng(0)
    truth = pd.DataFrame(random.normal(size=(20, 4))).add_prefix("g").rename(index="s{}".format)
    truth.to_csv(tmp_path / "truth.csv")
    (truth + 0.5).to_csv(tmp_path / "predicted.csv")
    words = ["evaluate", "translation", str(tmp_path / "predicted.csv")]
    words += ["--truth", str(tmp_path / "truth.csv"), "--out", str(tmp_path / "scores.csv")]
    assert main(words) == 0
    table = capsys.readouterr().out.splitlines()
    printed = dict(zip(table[0].split()[2:], table[1].split()[2:], strict=True))
    assert set(NINE) | {"mean_r2_varying", "n_constant"} <= set(printed)
    assert float(printed["mae"]) == pytest.approx(0.5)
    scores = pd.read_csv(tmp_path / "scores.csv").set_index("metric")["value"]
    assert scores["sample_rmse"] == pytest.approx(0.5)
