"""Parameters of InterSIM: the stand-in has the published statistics; files are read or refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.intersim_parameters import VIEWS, Parameters, read_parameters, stand_in
from jaxomics.errors import InputError

# Trace, leading eigenvalues, and share of variance of the first ten of the original covariances.
PUBLISHED = {
    "methylation": (209.5, [81.3, 11.8, 8.4, 8.0, 7.2], 0.66),
    "expression": (84.3, [6.6, 6.3, 5.4, 4.1, 3.5], 0.47),
    "protein": (49.5, [7.8, 4.3, 3.4], 0.57),
}
CPGS_PER_GENE = {1: 22, 2: 83, 3: 8, 4: 3, 5: 1, 6: 2, 7: 6, 11: 2, 13: 1, 14: 1, 16: 1, 19: 1}


def per_gene(parameters: Parameters, view: str) -> dict[int, int]:
    """How many genes have so many features of a view."""
    counts = pd.Series(np.bincount(parameters.gene[view])).value_counts()
    return {int(n): int(genes) for n, genes in counts.items() if n}


def check_published(parameters: Parameters) -> None:
    """What the stand-in and the original parameters have in common."""
    assert {view: len(parameters.features[view]) for view in VIEWS} == {
        "methylation": 367,
        "expression": 131,
        "protein": 160,
    }
    for view, (trace, leading, share) in PUBLISHED.items():
        values = np.linalg.eigvalsh(parameters.covariance[view])[::-1]
        np.testing.assert_allclose(values.sum(), trace, atol=0.06)
        np.testing.assert_allclose(values[: len(leading)], leading, atol=0.06)
        np.testing.assert_allclose(values[:10].sum() / values.sum(), share, atol=0.006)
        assert values[-1] > 0
    assert per_gene(parameters, "methylation") == CPGS_PER_GENE
    assert per_gene(parameters, "protein") == {1: 108, 2: 17, 3: 6}
    counts = np.bincount(parameters.gene["methylation"])
    assert np.mean(1 - 0.8**counts) == pytest.approx(0.40, abs=0.005)
    mapped = parameters.mean["expression"][parameters.gene["protein"]]
    np.testing.assert_allclose(parameters.regulator["protein"], mapped)


def test_the_stand_in_has_the_published_statistics():
    parameters = stand_in()
    check_published(parameters)
    spread = np.sqrt(np.diag(parameters.covariance["methylation"]))
    np.testing.assert_allclose(
        np.quantile(spread, [0.25, 0.5, 0.75]), [0.56, 0.69, 0.83], atol=0.05
    )
    for values, mean, sd in (
        (parameters.mean["methylation"], -2.13, 1.96),
        (parameters.mean["expression"], -0.22, 1.07),
        (parameters.mean["protein"], 0.02, 0.08),
        (parameters.regulator["expression"], -2.43, 1.50),
        (parameters.correlation["expression"], -0.08, 0.14),
        (parameters.correlation["protein"], 0.33, 0.26),
    ):
        assert abs(values.mean() - mean) < 3 * sd / np.sqrt(len(values))
        assert values.std() == pytest.approx(sd, rel=0.15)
    assert np.mean(parameters.mean["methylation"] > 0) == pytest.approx(0.18, abs=0.06)


@pytest.mark.real
def test_the_original_parameters_have_the_published_statistics(real_data: Path):
    parameters = read_parameters(real_data / "intersim" / "parameters.npz")
    check_published(parameters)
    logit = parameters.mean["methylation"]
    assert (logit.mean(), logit.std()) == pytest.approx((-2.13, 1.96), abs=0.005)
    quantiles = np.quantile(logit, [0.05, 0.25, 0.5, 0.75, 0.95])
    np.testing.assert_allclose(quantiles, [-4.13, -3.49, -2.97, -1.09, 1.96], atol=0.005)
    assert np.mean(logit > 0) == pytest.approx(0.18, abs=0.005)


ORIGINAL = [
    ("mean", "expression", (-0.22, 1.07), (-4.27, 2.92)),
    ("mean", "protein", (0.02, 0.08), None),
    ("regulator", "expression", (-2.43, 1.50), None),
    ("correlation", "expression", (-0.08, 0.14), (-0.91, 0.25)),
    ("correlation", "protein", (0.33, 0.26), (-0.22, 0.83)),
]
"""Field and view of the original parameters; mean and SD; least and largest value."""


@pytest.mark.real
@pytest.mark.parametrize(("field", "view", "moments", "ends"), ORIGINAL)
def test_the_original_parameters_are_distributed_as_published(
    real_data: Path, field: str, view: str, moments: tuple, ends: tuple | None
):
    parameters = read_parameters(real_data / "intersim" / "parameters.npz")
    values = getattr(parameters, field)[view]
    assert (values.mean(), values.std()) == pytest.approx(moments, abs=0.0055)
    if ends is not None:
        assert (values.min(), values.max()) == pytest.approx(ends, abs=0.0055)


@pytest.mark.real
def test_the_original_covariances_are_as_published(real_data: Path):
    parameters = read_parameters(real_data / "intersim" / "parameters.npz")
    least, first, spread, correlation = {}, {}, {}, {}
    for view, covariance in parameters.covariance.items():
        values = np.linalg.eigvalsh(covariance)[::-1]
        least[view], first[view] = values[-1], values[0] / values.sum()
        spread[view] = np.sqrt(np.diag(covariance))
        scaled = np.abs(covariance / np.outer(spread[view], spread[view]))
        correlation[view] = scaled[~np.eye(len(scaled), dtype=bool)].mean()
        if view == "methylation":
            assert values[:50].sum() / values.sum() == pytest.approx(0.88, abs=0.005)
    assert least == pytest.approx(
        {"methylation": 4.3e-5, "expression": 1.9e-2, "protein": 1.8e-3}, rel=0.02
    )
    assert first == pytest.approx(
        {"methylation": 0.39, "expression": 0.08, "protein": 0.16}, abs=0.005
    )
    quartiles = np.quantile(spread["methylation"], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [0.56, 0.69, 0.83], atol=0.005)
    assert correlation["expression"] == pytest.approx(0.10, abs=0.005)


@pytest.mark.real
def test_the_original_level_of_a_gene_is_about_the_median_of_its_cpgs(real_data: Path):
    parameters = read_parameters(real_data / "intersim" / "parameters.npz")
    cpgs = pd.Series(parameters.mean["methylation"]).groupby(parameters.gene["methylation"])
    level = parameters.regulator["expression"][cpgs.median().index]
    assert np.corrcoef(cpgs.median(), level)[0, 1] > 0.98


def arrays(parameters: Parameters) -> dict[str, np.ndarray]:
    """The arrays of a file of parameters."""
    genes = np.array(parameters.features["expression"], dtype=str)
    return {
        "mean_methylation_logit": parameters.mean["methylation"],
        "mean_expression": parameters.mean["expression"],
        "mean_protein": parameters.mean["protein"],
        "cov_methylation": parameters.covariance["methylation"],
        "cov_expression": parameters.covariance["expression"],
        "cov_protein": parameters.covariance["protein"],
        "mean_methylation_of_gene": parameters.regulator["expression"],
        "mean_expression_of_protein": parameters.regulator["protein"],
        "rho_methylation_expression": parameters.correlation["expression"],
        "rho_expression_protein": parameters.correlation["protein"],
        "cpg": np.array(parameters.features["methylation"], dtype=str),
        "gene": genes,
        "protein": np.array(parameters.features["protein"], dtype=str),
        "gene_of_cpg": genes[parameters.gene["methylation"]],
        "gene_of_protein": genes[parameters.gene["protein"]],
    }


def test_a_file_reads_back(tmp_path: Path):
    written = stand_in()
    np.savez(tmp_path / "p.npz", **arrays(written))
    read = read_parameters(tmp_path / "p.npz")
    for field in ("mean", "covariance", "regulator", "correlation", "gene"):
        for view, values in getattr(written, field).items():
            np.testing.assert_array_equal(getattr(read, field)[view], values)
    for view in VIEWS:
        assert list(read.features[view]) == list(written.features[view])


def test_unfit_files_are_refused(tmp_path: Path):
    good = arrays(stand_in())
    with pytest.raises(InputError, match="no such file"):
        read_parameters(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("mean,1,2")
    with pytest.raises(InputError, match=r"expected an \.npz file"):
        read_parameters(tmp_path / "text.npz")
    for change, message in (
        ({"cov_protein": None}, "found no cov_protein"),
        ({"mean_protein": np.zeros(3)}, "mean of protein"),
        ({"rho_expression_protein": np.full(160, 1.5)}, "from -1 to 1"),
        ({"gene_of_cpg": np.full(367, "NOGENE")}, "'NOGENE'"),
    ):
        kept = {name: values for name, values in {**good, **change}.items() if values is not None}
        np.savez(tmp_path / "bad.npz", **kept)
        with pytest.raises(InputError, match=message):
            read_parameters(tmp_path / "bad.npz")
