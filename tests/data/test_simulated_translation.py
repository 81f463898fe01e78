from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jaxomics.cli import main
from jaxomics.comparators import lasso, registry, ridge
from jaxomics.comparators.regression import Directed
from jaxomics.data.io import read_cohort
from jaxomics.data.locations import location_order
from jaxomics.data.simulated_translation import LABEL, Shares, simulate_translation
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.metrics.translation import feature_r2, translation_scores
from jaxomics.presets import preset


@pytest.fixture(scope="module")
def sim():
    return simulate_translation(samples=300, cpgs=900, genes=120, classes=12, factors=8, seed=2)


def test_same_seed_same_cohort(sim):
    again = simulate_translation(samples=300, cpgs=900, genes=120, classes=12, factors=8, seed=2)
    other = simulate_translation(samples=300, cpgs=900, genes=120, classes=12, factors=8, seed=3)
    assert again.cohort.digest() == sim.cohort.digest() != other.cohort.digest()


def test_ranges_of_both_views(sim):
    beta, rna = (sim.cohort.array(view) for view in ("methylation", "rna"))
    assert beta.min() > 0
    assert beta.max() < 1
    assert rna.min() == 0
    assert np.isfinite(rna).all()


def test_kinds_of_genes_come_in_their_shares(sim):
    kind = sim.cohort.features["rna"]["kind"]
    assert kind.value_counts().to_dict() == {"active": 96, "constant": 12, "silent": 12}
    variance = sim.cohort.view("rna").to_numpy(np.float64).var(axis=0)
    assert (variance[kind == "constant"] == 0).all()
    assert (variance[kind == "silent"] > 0).all()
    assert (variance[kind == "silent"] < 1e-4).all()
    assert (variance[kind == "active"] > 1e-3).all()
    scores = translation_scores(sim.cohort.array("rna"), sim.signal.to_numpy())
    assert scores["n_constant"] == 12


def test_features_lie_in_the_order_of_the_genome(sim):
    for view, table in sim.cohort.features.items():
        order = location_order(sim.cohort.view(view).columns, table, view)
        np.testing.assert_array_equal(order, np.arange(len(table)))


def test_silencing_is_by_the_nearest_cpgs_and_negative(sim):
    probes, genes = (sim.cohort.features[view] for view in ("methylation", "rna"))
    assert (sim.cis["effect"] < 0).all()
    for gene, cpg in sim.cis[["gene", "cpg"]].itertuples(index=False):
        same = probes[probes["chromosome"] == genes.loc[gene, "chromosome"]]
        distance = (same["position"] - genes.loc[gene, "position"]).abs()
        assert distance[cpg] <= distance.nsmallest(2).iloc[-1]
    beta, rna = (sim.cohort.view(view) for view in ("methylation", "rna"))
    r = [np.corrcoef(beta[c], rna[g])[0, 1] for g, c in sim.cis[["gene", "cpg"]].to_numpy()]
    assert np.mean(r) < -0.2


def test_views_are_dependent_within_classes(sim):
    """InterSIM's are not: there no R2 can exceed the share between classes."""
    rna, beta = sim.cohort.view("rna"), sim.cohort.view("methylation")
    labels = sim.cohort.labels[LABEL]
    active = sim.cohort.features["rna"]["kind"] == "active"
    within_rna = rna - rna.groupby(labels).transform("mean")
    within_beta = beta - beta.groupby(labels).transform("mean")
    half = np.arange(300) % 2 == 0
    config = ridge.Config(("rna",), components=None)
    views = {"methylation": within_beta.to_numpy(), "rna": within_rna.to_numpy()}
    fit = registry.get("ridge").fit({v: t[half] for v, t in views.items()}, config=config)
    predicted = fit.reconstruct({"methylation": views["methylation"][~half]})["rna"]
    assert np.median(feature_r2(views["rna"][~half], predicted)[active]) > 0.2


def test_simple_methods_come_in_the_order_to_be_expected(sim):
    x, y = (sim.cohort.array(view) for view in ("methylation", "rna"))
    train = np.arange(300) < 240
    configs = {
        "mean": None,
        "linear": Directed(("rna",)),
        "ridge": ridge.Config(("rna",), components=None),
        "lasso": lasso.Config(("rna",)),
    }
    found = {}
    for name, config in configs.items():
        fit = registry.get(name).fit({"methylation": x[train], "rna": y[train]}, config=config)
        predicted = fit.reconstruct({"methylation": x[~train]})["rna"]
        found[name] = translation_scores(y[~train], predicted)["median_r2"]
    best = translation_scores(y[~train], sim.signal.to_numpy()[~train])["median_r2"]
    assert found["mean"] < 0.05 < found["linear"] < min(found["ridge"], found["lasso"])
    assert max(found["ridge"], found["lasso"]) < best


@pytest.mark.slow
def test_a_distance_beats_a_conditional_gan(sim):
    """With equal networks and steps; docs/results/omitrans.md has trainings to the end."""
    cohort, plain = sim.cohort, preset("omitrans", "recommended")
    test = cohort.select_samples(cohort.samples[240:])
    found = {}
    for weight in (100.0, 0.0):
        settings = replace(
            plain,
            config=replace(
                plain.config, source=("methylation",), target=("rna",), gan="vanilla", hidden=(64,)
            ),
            hyper=plain.hyper.replace(distance_weight=weight),
            train=replace(plain.train, epochs=100, ensemble=1),
        )
        fitted = Estimator(settings, model="omitrans").fit(cohort, samples=cohort.samples[:240])
        made = fitted.translate(test, source=("methylation",), target="rna")
        truth = test.table("rna")[made.columns].to_numpy()
        found[weight] = translation_scores(truth, made.to_numpy())["median_r2"]
    assert found[100.0] > max(found[0.0], 0) + 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 700}, "no more classes"),
        ({"cpgs": 3}, "cpgs of 10"),
        ({"noise": -1.0}, "noise"),
        ({"shares": Shares(constant=0.6, silent=0.5)}, "active genes"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_simulated_is_named(arguments, message):
    with pytest.raises(InputError, match=message):
        simulate_translation(**arguments)


def test_the_command_writes_a_cohort_with_its_truth(tmp_path: Path):
    words = ["simulate", "translation", "--out", str(tmp_path / "twin"), "--n", "40"]
    assert main([*words, "--cpgs", "30", "--genes", "20", "--classes", "3"]) == 0
    cohort = read_cohort(tmp_path / "twin")
    assert {view: table.shape for view, table in cohort.views.items()} == {
        "methylation": (40, 30),
        "rna": (40, 20),
    }
    assert set(cohort.features) == {"methylation", "rna"}
    assert {path.stem for path in (tmp_path / "twin" / "truth").iterdir()} == {
        "methylation", "rna", "truth_signal", "truth_factors", "truth_cis",
    }  # fmt: skip
