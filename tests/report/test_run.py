import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.errors import InputError
from jaxomics.figures.style import new_figure
from jaxomics.report.run import Picture, Section, Table, run_report, score_table, write_report

NASTY = "<script>alert('x')</script> & \"quoted\""


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    VOID = frozenset({"meta", "img"})

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    assert reader.open == []
    return reader


def section() -> Section:
    figure = new_figure(1, 1)
    figure.subplots().plot([0, 1], [0, 1])
    table = pd.DataFrame({NASTY: [NASTY, "b"], "n": [1234567, 2], "x": [np.nan, 0.123456]})
    bold = np.array([[False, True, False], [False, False, False]])
    pictures = (Picture("line", NASTY, figure),)
    return Section(NASTY, f"one\n\n{NASTY}", (Table(NASTY, table, bold),), pictures, (NASTY,))


def scores(models: dict[str, list[float]], metric: str = "pearson") -> pd.DataFrame:
    rows = [
        ("demo", model, 0, 0, "view_out", f"view{i}", metric, value)
        for model, values in models.items()
        for i, value in enumerate(values)
    ]
    names = ["dataset", "model", "fold", "seed", "mode", "view", "metric", "value"]
    return pd.DataFrame(rows, columns=pd.Index(names))


def run_folder(path: Path) -> Path:
    """Return a folder with every file that a report reads."""
    tables = path / "tables"
    tables.mkdir(parents=True)
    config = {"model": "mosa", "seed": 7, "data": {"sha256": "abc"}, "versions": {"jax": NASTY}}
    (path / "config.json").write_text(json.dumps(config))
    lines = [
        {"epoch": epoch, "replica": 0, "split": split, "loss": 1.5, "lr": 1e-3}
        for epoch in range(3)
        for split in ("train", "valid")
    ]
    (path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"epoch": 3, "sp')
    views = pd.DataFrame({"view": ["view0", "view 1"], "samples": [5, 4]})
    views.to_parquet(tables / "views.parquet")
    names = pd.Index(["view", "item", "name", "reason"])
    dropped = [("view0", "feature", f"g{i}", "constant") for i in range(5)]
    pd.DataFrame(dropped, columns=names).to_parquet(tables / "dropped.parquet")
    table = scores({"mosa": [0.7, 0.5], "mean": [0.1, np.nan]})
    table.to_parquet(tables / "scores.parquet")
    table.assign(feature="f", n=9).to_parquet(tables / "features.parquet")
    pd.DataFrame({"nominal": [0.5], "observed": [0.4]}).to_parquet(tables / "calibration.parquet")
    samples = pd.Index([f"s{i}" for i in range(5)], name="sample")
    latent = pd.DataFrame(np.eye(5)[:, :3], index=samples).add_prefix("z").assign(tissue="lung")
    latent.to_parquet(tables / "latent.parquet")
    mask = pd.DataFrame({"a": [True, False, True, True, True]}, index=samples)
    for view in views["view"]:
        mask.to_parquet(tables / f"measured_{view}.parquet")
    return path


def test_page_is_self_contained_and_escaped(tmp_path):
    path = write_report(tmp_path / "r.html", title=NASTY, sections=[section()])
    page, reader = path.read_text(encoding="utf-8"), read(path)
    assert "script" not in reader.tags
    # title, heading, link, section, paragraph, command, caption, column, cell, figure caption
    assert reader.text.count(NASTY) == 10
    assert not re.search(r"https?:", page)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in reader.sources)
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_are_readable_and_the_marked_cell_is_bold(tmp_path):
    page = write_report(tmp_path / "r.html", title="t", sections=[section()]).read_text("utf-8")
    assert '<td class="number"><strong>1,234,567</strong></td>' in page
    assert '<td class="number">0.1235</td>' in page
    assert '<td class="number">–</td>' in page
    assert page.count("<strong>") == 1


def test_long_tables_are_cut_and_counted(tmp_path):
    part = Section("s", tables=(Table("numbers", pd.DataFrame({"a": range(1234)})),))
    path = write_report(tmp_path / "r.html", title="t", sections=[part])
    assert "numbers (first 200; 1,034 more)" in read(path).text


def test_nothing_is_overwritten_unasked(tmp_path):
    path = write_report(tmp_path / "r.html", title="a", sections=[])
    with pytest.raises(InputError, match="--overwrite"):
        write_report(path, title="b", sections=[])
    write_report(path, title="b", sections=[], overwrite=True)
    assert "<h1>b</h1>" in path.read_text()


def test_best_score_is_bold_in_the_direction_of_the_metric():
    rows = scores({"a": [0.7, 0.2, np.nan], "b": [0.5, 0.2, 0.4]})
    table = score_table(rows, "pearson", "view_out")
    assert table.frame["a"].tolist() == ["0.700", "0.200", "–", "0.450"]
    assert table.frame["view"].tolist() == ["view0", "view1", "view2", "mean of 2"]
    expected = [[0, 1, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0]]
    np.testing.assert_array_equal(table.bold, np.array(expected, dtype=bool))
    low = score_table(rows.assign(metric="mse"), "mse", "view_out")
    assert low.bold is not None
    assert low.bold[0].tolist() == [False, False, True]
    open_ended = score_table(rows, "skewness", "view_out")
    assert open_ended.bold is not None
    assert not open_ended.bold.any()


def test_no_mean_over_views_that_not_all_models_scored():
    rows = scores({"a": [0.7, np.nan], "b": [np.nan, 0.4]})
    table = score_table(rows, "pearson", "view_out")
    assert table.frame["view"].tolist() == ["view0", "view1"]
    assert table.bold is not None
    assert table.bold.shape == (2, 3)


@pytest.mark.parametrize(
    ("config", "columns"),
    [
        ({"kl_weight": 0.0, "contrastive_weight": 0.1}, {"contrastive"}),
        ({"kl_weight": 1.0, "contrastive_weight": 0.0}, {"kl"}),
        ({}, {"kl", "contrastive"}),
    ],
)
def test_terms_without_weight_are_left_out(tmp_path, monkeypatch, config: dict, columns: set):
    drawn = {}
    monkeypatch.setattr(
        "jaxomics.report.run.training_curves",
        lambda _, off: drawn.update(off=off) or new_figure(1, 1),
    )
    (tmp_path / "config.json").write_text(json.dumps({"settings": {"hyper": config}}))
    row = {"epoch": 1, "split": "train", "loss": 1.5, "kl": 0.5, "contrastive": 0.25}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    text = read(run_report(tmp_path)).text
    section = text[text.index("at the last epoch") :]
    assert {name for name in ("kl", "contrastive") if name in section} == columns
    assert set(drawn["off"]) == {"kl", "contrastive"} - columns


def test_folds_become_mean_and_deviation():
    rows = scores({"a": [0.6]})
    both = pd.concat([rows, rows.assign(fold=1, value=0.8)])
    deviation = np.std([0.6, 0.8], ddof=1)
    cell = score_table(both, "pearson", "view_out").frame["a"].iloc[0]
    assert cell == f"0.700 ± {deviation:.3f}"


def test_data_sets_metrics_and_modes_stand_apart(tmp_path):
    run = run_folder(tmp_path / "run")
    rows = scores({"mosa": [0.7, 0.5], "mean": [0.1, 0.3]})
    more = [rows.assign(mode="reconstruct"), rows.assign(metric="mse"), rows.assign(dataset="b/c")]
    pd.concat([rows, *more]).to_parquet(run / "tables" / "scores.parquet")
    reader = read(run_report(run))
    assert reader.text.count("mean of 2") == 4
    names = {file.stem for file in (run / "figures").iterdir()}
    assert {"scores_demo_pearson", "scores_demo_mse", "scores_b-c_pearson"} <= names


def test_run_report_has_every_part_and_the_commands(tmp_path):
    run = run_folder(tmp_path / "my run")
    text = read(run_report(run)).text
    assert "Run report: mosa" in text
    assert "constant" in text
    assert "g0, g1, g2, …" in text
    assert f"jaxomics translate '{run.as_posix()}' --source view0 --target 'view 1'" in text
    assert "Not shown" not in text
    assert sorted(file.stem for file in (run / "figures").iterdir()) == [
        "calibration",
        "completion",
        "features_demo_view_out",
        "latent",
        "scores_demo_pearson",
        "training",
    ]


def test_run_report_is_reproducible(tmp_path):
    run = run_folder(tmp_path / "run")
    first = run_report(run).read_bytes()
    with pytest.raises(InputError, match="exists"):
        run_report(run)
    assert run_report(run, overwrite=True).read_bytes() == first


def test_empty_run_says_what_is_missing(tmp_path):
    text = read(run_report(tmp_path)).text
    for name in ("config.json", "metrics.jsonl", "scores.parquet", "latent.parquet"):
        assert name in text
    assert not (tmp_path / "figures").exists()


def test_absent_run_and_damaged_files_are_named(tmp_path):
    with pytest.raises(InputError, match="found nothing at"):
        run_report(tmp_path / "none")
    (tmp_path / "metrics.jsonl").write_text('{"epoch"\n{"epoch": 1}\n')
    with pytest.raises(InputError, match="line 1"):
        run_report(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config\.json"):
        run_report(tmp_path)


def test_masks_and_labels_can_be_given(tmp_path):
    run = run_folder(tmp_path / "run")
    samples = [f"s{i}" for i in range(5)]
    mask = pd.DataFrame({"a": [True] * 5}, index=pd.Index(samples))
    labels = pd.Series("blood", index=samples, name="tissue")
    run_report(run, measured={"rna": mask}, labels=labels)
    assert (run / "figures" / "completion.png").stat().st_size > 0
