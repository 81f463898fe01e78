"""The MODIS study: designs remove what they say, tables hold what they promise."""

import sys
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.intersim import LABEL
from jaxomics.data.intersim_parameters import VIEWS

EVAL = str(Path(__file__).parents[2] / "eval")


@pytest.fixture(scope="module")
def modules():
    """The scripts, which import each other by name."""
    sys.path.insert(0, EVAL)
    try:
        yield {name: import_module(name) for name in ("designs", "integrate", "joined")}
    finally:
        sys.path.remove(EVAL)


@pytest.fixture(scope="module")
def block(modules):
    """A small cohort: 60 training and 15 test samples of each class and view."""
    return modules["designs"].cohorts(None, 1125, 0)


def cells(cohort: MultiOmics) -> dict[tuple[str, str], int]:
    """Labelled samples by view and class; cells without any are left out."""
    counts = {}
    for view in VIEWS:
        found = cohort.labels[LABEL].loc[cohort.view(view).index].value_counts()
        counts |= {(view, name): int(n) for name, n in found.items()}
    return counts


def changed(modules, block, experiment: str, name: str) -> dict[tuple[str, str], int]:
    """Cells of the training cohort of a setting."""
    known = {setting.name: setting for setting in modules["designs"].settings(experiment)}
    return cells(known[name].change(block.train, 3))


def test_the_cohort_is_divided(modules, block):
    classes = modules["designs"].CLASSES
    assert cells(block.train) == dict.fromkeys(product(VIEWS, classes), 60)
    assert cells(block.test) == dict.fromkeys(product(VIEWS, classes), 15)
    assert not set(block.train.samples) & set(block.test.samples)
    assert len(block.complete.samples) == 1125


def test_designs_remove_what_they_say(modules, block):
    full = cells(block.train)
    assert changed(modules, block, "fig2-a", "100 %") == full
    assert changed(modules, block, "fig2-e", "0 %") == {}
    uniform = changed(modules, block, "fig2-b", "5.0% uniform")
    assert sum(uniform.values()) == 3 * 15
    assert changed(modules, block, "fig2-b", "5.0% stratified") == dict.fromkeys(full, 3)
    rare = {(view, "class4"): 5 for view in VIEWS}
    assert changed(modules, block, "fig3a", "n = 5") == full | rare
    few = dict.fromkeys(full, 6) | {(view, "class4"): 20 for view in VIEWS}
    assert changed(modules, block, "fig3c", "r = 0.1") == few
    pairs = {("methylation", "class0"): 2, ("expression", "class1"): 2}
    assert changed(modules, block, "fig4-d", "k = 2") == full | pairs
    gone = changed(modules, block, "fig4-c", "k = 0")
    assert gone == {cell: n for cell, n in full.items() if cell not in pairs}
    silent = changed(modules, block, "silent-view", "protein")
    assert silent == {cell: n for cell, n in full.items() if cell[0] != "protein"}


def test_every_pair_is_removed_once_and_doubles_differ(modules):
    singles = [s.missing for s in modules["designs"].settings("fig4-singles")]
    assert sorted(pair for (pair,) in singles) == sorted(product(VIEWS, modules["designs"].CLASSES))
    doubles = {s.missing for s in modules["designs"].settings("fig4-doubles")}
    assert len(doubles) == 30
    for one, other in doubles:
        assert one[0] != other[0]
        assert one[1] != other[1]


@pytest.mark.parametrize(
    ("method", "found"), [("logistic", 0.0), ("logistic-balanced", 0.0), ("means-novelty", 1.0)]
)
def test_methods_of_one_view_and_their_tables(modules, block, method: str, found: float):
    designs, integrate, joined = modules["designs"], modules["integrate"], modules["joined"]
    setting = designs.settings("fig4-a")[0]
    (said,) = joined.alone([block], [setting.change(block.train, 0)], [0], method)
    tables = integrate.scored(setting, said, block, {"seed": 0})
    scores = tables["scores"].set_index(["view", "metric"])["value"]
    # Nothing but novelty finds a class that the view has never seen.
    assert scores["all", "missing_recall"] == pytest.approx(found, abs=0.1)
    assert scores["all", "other_recall"] > 0.95
    assert scores["all", "accuracy"] == pytest.approx((14 + found) / 15, abs=0.05)
    assert len(tables["cells"]) == 4 * 5
    assert set(tables["translation"]["metric"]) == {"within", "total", "wrong_class"}
    assert "latent" not in tables


def test_balance_speaks_for_a_class_of_few_samples_and_silence_is_the_first_class(modules, block):
    designs, joined = modules["designs"], modules["joined"]
    rare = {s.name: s for s in designs.settings("fig3a")}["n = 2"].change(block.train, 0)
    of_target = (block.test.labels[LABEL] == designs.TARGET).to_numpy()
    chances = {}
    for method in ("logistic", "logistic-balanced"):
        (said,) = joined.alone([block], [rare], [0], method)
        chances[method] = said.predictions[f"p_{designs.TARGET}"][of_target].mean()
    assert chances["logistic-balanced"] > chances["logistic"] + 0.05
    silent = designs.settings("fig2-e")[0].change(block.train, 0)
    (said,) = joined.alone([block], [silent], [0], "means-novelty")
    assert set(said.predictions["class"]) == {"class0"}


def results(out: Path, experiment: str, setting: str, run: str, seed: int, accuracy: float) -> None:
    """Write what a finished task leaves, with made-up numbers."""
    about = {"experiment": experiment, "setting": setting, "x": 5.0, "model": run, "seed": seed}
    about["x"] = float("".join(c for c in setting if c.isdigit()) or "nan")
    folder = out / experiment / setting.replace(" ", "_") / run / f"seed{seed}"
    folder.mkdir(parents=True)
    scores = [("all", "accuracy", accuracy), ("rna", "accuracy", 0.5), ("all", "ari", 0.1)]
    errors = [("rna", "rna", "mse", 2.0), ("", "rna", "within", 1.0)]
    latent = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 3)), columns=["z0", "z1", "z2"])
    tables = {
        "scores": pd.DataFrame(scores, columns=["view", "metric", "value"]),  # pyright: ignore
        "translation": pd.DataFrame(errors, columns=["source", "view", "metric", "value"]),  # pyright: ignore
        "confusion": pd.DataFrame({"view": "all", "truth": ["a"], "class": ["a"], "n": [3]}),
        "latent": latent.assign(sample=list("wxyz"), view="rna", **{LABEL: "a"}),
    }
    for name, table in tables.items():
        table.assign(**about).to_parquet(folder / f"{name}.parquet")


def test_summary_and_figures_show_what_there_is(modules, tmp_path: Path):
    integrated = import_module("integrated")
    assert "nothing finished" in integrated.summary(tmp_path)
    for seed, accuracy in enumerate((0.8, 0.9)):
        results(tmp_path, "fig3a", "n = 5", "paper_10", seed, accuracy)
        results(tmp_path, "fig3a", "n = 20", "paper_10", seed, 1.0)
    results(tmp_path, "fig4-singles", "rna class0", "paper_10", 0, 0.6)
    results(tmp_path, "fig4-singles", "rna class1", "paper_10", 1, 0.8)
    lines = integrated.summary(tmp_path).splitlines()
    assert "| fig3a | n = 5 | paper_10 | 2 | 0.8 | 0.850 ± 0.071 |" in lines
    assert "| fig4-singles | mean over pairs | paper_10 | 2 |  | 0.700 ± 0.141 |" in lines
    assert lines[2] == "| fig3a | n = 5 | paper_10 | 2 | 0.8 | 0.850 ± 0.071 |"
    assert "| fig3a | n = 5 | paper_10 | 2 | 2.000 ± 0.000 |" in lines
    integrated.draw_figures(tmp_path, ["n = 5"])
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {
        "sweep_fig3a.png", "confusion_fig3a_n_5_paper_10.png",
        "translation_fig3a_n_5_paper_10.png", "latent_fig3a_n_5_paper_10.png",
    }  # fmt: skip


def test_errors_of_translation_in_closed_form(modules, block):
    classes = block.test.labels[LABEL].to_numpy()
    rng = np.random.default_rng(0)
    own = {name: rng.normal(size=3) for name in modules["designs"].CLASSES}
    means = np.stack([own[name] for name in classes])
    truth = {view: means + rng.normal(size=means.shape) for view in VIEWS}
    written = {view: np.roll(means, 1, axis=0) for view in VIEWS}
    source = np.array(VIEWS)[rng.integers(3, size=len(classes))]
    said = modules["joined"].Said(pd.DataFrame(), written, truth, source, None)
    table = modules["integrate"].translation_table(said, block)
    found = table.set_index(["source", "view", "metric"])["value"]
    for view in VIEWS:
        groups = pd.DataFrame(truth[view]).groupby(classes)
        within = groups.transform(lambda x: (x - x.mean()) ** 2).to_numpy().mean()
        assert found["", view, "within"] == pytest.approx(within)
        assert found["", view, "wrong_class"] > found["", view, "total"] > within
        pairs = (truth[view][:, None] - written[view][None]) ** 2
        assert found["", view, "all_pairs"] == pytest.approx(pairs.mean())
        for name in VIEWS:
            seen = source == name
            error = np.mean((truth[view][seen] - written[view][seen]) ** 2)
            assert found[name, view, "mse"] == pytest.approx(error)
