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


def test_logistic_regression_and_its_tables(modules, block):
    designs, integrate, joined = modules["designs"], modules["integrate"], modules["joined"]
    setting = designs.settings("fig4-a")[0]
    (said,) = joined.logistic([block], [setting.change(block.train, 0)])
    tables = integrate.scored(setting, said, block, {"seed": 0})
    scores = tables["scores"].set_index(["view", "metric"])["value"]
    assert scores["all", "missing_recall"] == 0.0  # a class that the view has never seen
    assert scores["all", "other_recall"] > 0.95
    assert scores["all", "accuracy"] == pytest.approx(14 / 15, abs=0.05)
    assert len(tables["cells"]) == 4 * 5
    assert set(tables["translation"]["metric"]) == {"within", "total", "wrong_class"}


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
