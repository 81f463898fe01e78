"""The demonstration from end to end, on the tiny cohort."""

from pathlib import Path

import numpy as np
import pytest

from jaxomics.cli import main
from jaxomics.commands.demo import HEADLINES
from jaxomics.comparators.registry import QUICK
from jaxomics.data.io import read_indexed, read_table


@pytest.mark.slow
def test_demo_scores_every_method_on_the_same_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--quick", "--quiet", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.endswith(f"report: {out / 'report.html'}\n")
    scores = read_table(out / "tables" / "scores.parquet")
    assert set(scores["model"]) == {"mosa", *QUICK}
    assert set(scores["metric"]) == set(HEADLINES)
    methods = scores.groupby(["mode", "view", "metric"])["model"].nunique()
    assert set(methods) == {1 + len(QUICK)}
    mean = scores[(scores["model"] == "mean") & (scores["metric"] == "mean_relative_error")]
    np.testing.assert_allclose(mean["value"], 1.0, rtol=1e-5)
    for completed_file in sorted((out / "completed").glob("*.parquet")):
        completed = read_indexed(completed_file)
        given = read_indexed(out / "data" / completed_file.name)
        kept = given.reindex(index=completed.index, columns=completed.columns)
        known = kept.notna().to_numpy()
        np.testing.assert_array_equal(completed.to_numpy()[known], kept.to_numpy()[known])
    explained = {path.stem for path in (out / "explained").iterdir()}
    assert explained == {"importance", "views", "completeness", "top", "biomarkers"}
    importance = read_table(out / "explained" / "importance.parquet")
    assert set(importance["target"]) == {"latent", "view:drugresponse"}
    known = read_table(out / "explained" / "biomarkers.parquet")
    assert len(known)
    assert known["rank"].between(1, known["candidates"]).all()
    assert set(known["output"].str.partition("/")[0]) == {"drugresponse"}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What drives the outputs" in page
    for feature in known["feature"]:
        assert feature in page
