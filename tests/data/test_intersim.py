"""The InterSIM simulator: means, covariance and linked shifts in closed form; published floors."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.cli import main
from jaxomics.data.intersim import LABEL, InterSim, simulate_intersim
from jaxomics.data.intersim_parameters import VIEWS, Parameters, read_parameters, stand_in
from jaxomics.data.io import read_cohort, read_table
from jaxomics.errors import InputError

FLOORS = {"methylation": 0.0133, "expression": 0.0106, "protein": 0.0080}
TOTALS = {"methylation": 0.0254, "expression": 0.0263, "protein": 0.0428}
EQUAL = (0.2,) * 5


def values(sim: InterSim, view: str) -> np.ndarray:
    """Values on the scale that is normal."""
    x = sim.cohort.view(view).loc[sim.cohort.samples].to_numpy(np.float64)
    return np.log(x / (1 - x)) if view == "methylation" else x


@pytest.fixture(scope="module")
def two() -> InterSim:
    """Two classes, the first of 4000 samples."""
    return simulate_intersim(n=8000, proportions=(0.5, 0.5), seed=3)


@pytest.mark.parametrize("view", VIEWS)
def test_a_class_has_the_mean_and_covariance_it_is_drawn_from(two: InterSim, view: str):
    of_class = (two.cohort.labels[LABEL] == "class0").to_numpy()
    x, n = values(two, view)[of_class], of_class.sum()
    covariance = stand_in().covariance[view]
    error = np.sqrt(np.diag(covariance) / n)
    z = (x.mean(axis=0) - two.means[view]["class0"].to_numpy()) / error
    assert np.abs(z).max() < 4.5
    assert z.std() < 1.5
    scale = np.sqrt(np.diag(covariance))
    found = np.cov(x.T) / np.outer(scale, scale)
    assert np.abs(found - covariance / np.outer(scale, scale)).max() < 5.5 * np.sqrt(2 / n)


def test_means_are_the_published_mixtures():
    p, delta = stand_in(), (1.5, 2.0, 3.0)
    sim = simulate_intersim(p, 20, (0.5, 0.5), delta, seed=1)
    rho, shift = p.correlation, {v: sim.shifted[v]["class1"].to_numpy() for v in VIEWS}
    expected = {
        "methylation": p.mean["methylation"] + 1.5 * shift["methylation"],
        "expression": rho["expression"] * p.regulator["expression"]
        + np.sqrt(1 - rho["expression"] ** 2) * p.mean["expression"]
        + 2.0 * shift["expression"],
        "protein": rho["protein"] * p.regulator["protein"]
        + np.sqrt(1 - rho["protein"] ** 2) * p.mean["protein"]
        + 3.0 * shift["protein"],
    }
    for view in VIEWS:
        np.testing.assert_allclose(sim.means[view]["class1"], expected[view])


def test_without_shift_a_view_does_not_mix():
    p = stand_in()
    sim = simulate_intersim(p, 10, (0.5, 0.5), delta=(2, 0, 0))
    for view in VIEWS[1:]:
        np.testing.assert_allclose(sim.means[view]["class0"], p.mean[view])


def test_shifts_follow_the_map_from_cpg_to_gene_to_protein():
    p, sim = stand_in(), simulate_intersim(n=100, proportions=(0.1,) * 10, seed=2)
    for k in range(10):
        cpgs, genes, proteins = (sim.shifted[view][f"class{k}"].to_numpy() for view in VIEWS)
        assert set(np.flatnonzero(genes)) == set(p.gene["methylation"][cpgs])
        np.testing.assert_array_equal(proteins, genes[p.gene["protein"]])


def test_shares_of_differential_features():
    many = simulate_intersim(n=400, proportions=(1 / 200,) * 200, seed=0)
    assert many.shifted["methylation"].to_numpy().mean() == pytest.approx(0.2, abs=0.005)
    assert many.shifted["expression"].to_numpy().mean() == pytest.approx(0.40, abs=0.01)
    assert many.shifted["protein"].to_numpy().mean() == pytest.approx(0.40, abs=0.02)
    free = simulate_intersim(n=400, proportions=(1 / 200,) * 200, p_dmp=0, p_deg=0.3, p_dep=0.1)
    assert not free.shifted["methylation"].to_numpy().any()
    assert free.shifted["expression"].to_numpy().mean() == pytest.approx(0.3, abs=0.01)
    assert free.shifted["protein"].to_numpy().mean() == pytest.approx(0.1, abs=0.01)


def test_views_of_a_sample_are_independent_given_the_class(two: InterSim):
    of_class = (two.cohort.labels[LABEL] == "class1").to_numpy()
    left, right = (values(two, view)[of_class] for view in ("expression", "protein"))
    left, right = ((x - x.mean(0)) / x.std(0) for x in (left, right))
    correlation = left.T @ right / len(left)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(left))


def test_covariance_and_correlations_can_be_given():
    p = stand_in()
    flat = simulate_intersim(n=4000, proportions=(1.0,), covariance="independent", seed=4)
    correlation = np.corrcoef(values(flat, "protein").T)
    assert np.abs(correlation - np.eye(160)).max() < 5 / np.sqrt(4000)
    given = simulate_intersim(
        p, 3000, (1.0,), covariance={"protein": np.eye(160) * 0.01}, correlations={"protein": 0.0}
    )
    assert values(given, "protein").std(axis=0) == pytest.approx(0.1, rel=0.1)
    shifted = given.shifted["protein"]["class0"].to_numpy()
    np.testing.assert_allclose(given.means["protein"]["class0"], p.mean["protein"] + 2 * shifted)


@given(
    n=st.integers(20, 300),
    weights=st.lists(st.integers(1, 5), min_size=1, max_size=6),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=15, deadline=None)
def test_sizes_and_names(n: int, weights: list[int], seed: int):
    shares = [weight / sum(weights) for weight in weights]
    sim = simulate_intersim(SMALL, n, shares, seed=seed)
    counts = sim.cohort.labels[LABEL].value_counts()
    expected = [round(share * n) for share in shares[:-1]]
    assert [counts[f"class{k}"] for k in range(len(shares))] == [*expected, n - sum(expected)]
    assert set(sim.cohort.samples) == {f"subject{i + 1}" for i in range(n)}
    x = sim.cohort.view("methylation").to_numpy()
    assert 0 <= x.min() < x.max() <= 1


SMALL = Parameters(
    features={v: stand_in().features[v][:3] for v in VIEWS},
    mean={v: np.zeros(3) for v in VIEWS},
    covariance={v: np.eye(3) for v in VIEWS},
    regulator={v: np.zeros(3) for v in VIEWS[1:]},
    correlation={v: np.zeros(3) for v in VIEWS[1:]},
    gene={v: np.arange(3) for v in ("methylation", "protein")},
)


def test_the_seed_decides_every_byte():
    first, again, other = (simulate_intersim(SMALL, 50, EQUAL, seed=s) for s in (5, 5, 6))
    assert first.cohort.digest() == again.cohort.digest() != other.cohort.digest()
    assert first.truth().equals(again.truth())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"proportions": (0.5, 0.4)}, "sum to 1"),
        ({"proportions": (1.2, -0.2)}, "above 0"),
        ({"n": 3, "proportions": EQUAL}, "raise n"),
        ({"delta": (1.0, 2.0)}, "3 finite shifts"),
        ({"p_dmp": 1.5}, "p_dmp from 0 to 1"),
        ({"p_deg": -0.1}, "p_deg from 0 to 1"),
        ({"seed": -1}, "seed"),
        ({"covariance": "indep"}, "independent"),
        ({"covariance": {"rna": np.eye(3)}}, "view of covariance"),
        ({"covariance": {"protein": np.eye(4)}}, r"shape \(3, 3\)"),
        ({"covariance": {"protein": -np.eye(3)}}, "positive definite"),
        ({"correlations": {"methylation": 0.1}}, "view of correlations"),
        ({"correlations": {"protein": 1.1}}, "from -1 to 1"),
    ],
)
def test_nonsense_is_refused(arguments: dict, message: str):
    with pytest.raises(InputError, match=message):
        simulate_intersim(SMALL, **{"n": 30, **arguments})


def variances(sim: InterSim) -> tuple[dict[str, float], dict[str, float]]:
    """Variance within classes and in total of each view, features scaled to [0, 1]."""
    labels, within, total = sim.cohort.labels[LABEL], {}, {}
    for view, table in sim.cohort.views.items():
        x = table.astype(np.float64)
        x = (x - x.min()) / (x.max() - x.min())
        means = x.groupby(labels.loc[x.index]).transform("mean")
        within[view] = float(((x - means) ** 2).to_numpy().mean())
        total[view] = float(((x - x.mean()) ** 2).to_numpy().mean())
    return within, total


@pytest.mark.real
def test_floors_with_the_original_parameters(real_data: Path):
    parameters = read_parameters(real_data / "intersim" / "parameters.npz")
    within, total = variances(simulate_intersim(parameters, 11_500, EQUAL, seed=0))
    # Ranges rest on extreme values, and totals on what is shifted: both differ from draw to draw.
    assert within == pytest.approx(FLOORS, rel=0.1)
    assert total == pytest.approx(TOTALS, rel=0.1)


def test_the_command_writes_a_cohort_and_its_truth(tmp_path: Path, capsys):
    out = str(tmp_path / "sim")
    words = ["simulate", "intersim", "--out", out, "--n", "60", "--classes", "2", "--unpaired"]
    assert main([*words, "--label-share", "0.2", "--seed", "4"]) == 0
    cohort = read_cohort(out)
    assert sorted(cohort.views) == sorted(VIEWS)
    assert sum(len(table) for table in cohort.views.values()) == 60 == len(cohort.samples)
    assert cohort.labels[LABEL].notna().sum() == 12
    truth = read_cohort(tmp_path / "sim" / "truth")
    assert all(len(truth.view(view)) == 60 for view in VIEWS)
    assert truth.labels[LABEL].notna().all()
    classes = read_table(tmp_path / "sim" / "truth" / "truth_classes.parquet")
    assert len(classes) == 2 * (367 + 131 + 160)
    assert main([*words, "--classes", "0"]) == 2
    assert main(words) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_the_command_shrinks_classes_and_removes_pairs(tmp_path: Path, capsys):
    words = ["simulate", "intersim", "--out", str(tmp_path / "sim"), "--n", "60", "--unpaired"]
    more = ["--proportions", "0.5", "0.3", "0.2", "--shrink", "class2=2"]
    assert main([*words, *more, "--remove", "protein=class0", "expression=class1=1"]) == 0
    cohort = read_cohort(tmp_path / "sim")
    counts = {
        view: cohort.labels[LABEL].loc[table.index].value_counts().to_dict()
        for view, table in cohort.views.items()
    }
    assert counts == {
        "methylation": {"class0": 10, "class1": 6, "class2": 2},
        "expression": {"class0": 10, "class1": 1, "class2": 2},
        "protein": {"class1": 6, "class2": 2},
    }
    assert len(read_cohort(tmp_path / "sim" / "truth").samples) == 60
    capsys.readouterr()
    for wrong, message in (
        (["--shrink", "class2"], "entries like class4=20, found 'class2'"),
        (["--remove", "protein"], "entries like methylation=class0=2"),
        (["--remove", "rna=class0"], "unknown view 'rna'"),
        (["--shrink", "class9=1"], "unknown class 'class9'"),
    ):
        assert main([*words[:3], str(tmp_path / "bad"), *words[4:], *wrong]) == 2
        assert message in capsys.readouterr().err
