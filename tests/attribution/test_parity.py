"""The same numbers as captum and shap, which computed them for the same network and draws."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.attribution.path import (
    expected_gradients_at,
    gradient,
    input_x_gradient,
    integrated_gradients,
)
from jaxomics.attribution.precision import double
from jaxomics.attribution.quadrature import Draws, grouped
from jaxomics.attribution.shapley import exact_shapley

SAVED = json.loads((Path(__file__).parents[1] / "parity" / "attribution.json").read_text())
CASES = [(sample, output) for sample in range(2) for output in range(2)]


def network(w: Any, x: Any) -> Any:
    hidden = jnp.tanh(w["A"] @ x["a"] + w["C"] @ x["c"])
    return w["V"] @ jax.nn.softplus(w["U"] @ hidden + w["D"] @ x["c"])


def output(number: int) -> Any:
    return lambda w, x: network(w, x)[number]


def arrays(tree: Any, dtype: Any = np.float64) -> Any:
    return {name: np.asarray(value, dtype) for name, value in tree.items()}


def sample(name: str, row: int, dtype: Any = np.float64) -> Any:
    return {leaf: value[row] for leaf, value in arrays(SAVED[name], dtype).items()}


def assert_same(found: Any, expected: Any, tolerance: float = 1e-7) -> None:
    for leaf in ("a", "c"):
        np.testing.assert_allclose(found[leaf], expected[leaf], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("rule", ["left", "midpoint", "gauss"])
@pytest.mark.parametrize(("row", "number"), CASES)
def test_integrated_gradients_are_those_of_captum(rule: str, row: int, number: int):
    expected = SAVED["captum"]["integrated_gradients"][rule][row][number]
    with double():
        found = integrated_gradients(
            output(number),
            arrays(SAVED["weights"]),
            sample("x", row),
            sample("baseline", 0),
            n_steps=SAVED["n_steps"],
            rule=rule,
        )
        assert_same(found.values, expected["values"], 1e-6)  # captum's positions are float32
        np.testing.assert_allclose(found.gap, -expected["delta"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "method"), [("gradient", gradient), ("input_x_gradient", input_x_gradient)]
)
@pytest.mark.parametrize(("row", "number"), CASES)
def test_gradients_are_those_of_captum(name: str, method: Any, row: int, number: int):
    with double():
        found = method(output(number), arrays(SAVED["weights"]), sample("x", row))
        assert_same(found.values, SAVED["captum"][name][row][number])


@pytest.mark.parametrize(("row", "number"), CASES)
def test_expected_gradients_are_those_of_the_gradient_explainer_with_its_draws(
    row: int, number: int
):
    saved = SAVED["gradient_explainer"]
    rows, t = np.array(saved["rows"][row]), np.array(saved["t"][row], np.float32)
    found = expected_gradients_at(
        output(number),
        arrays(SAVED["weights"], np.float32),
        sample("x", row, np.float32),
        arrays(SAVED["background"], np.float32),
        Draws(jnp.asarray(rows), jnp.asarray(t), grouped(len(rows))),
    )
    expected = {leaf: np.array(saved["values"][leaf])[row, :, number] for leaf in ("a", "c")}
    assert_same(found.values, expected, 1e-5)


@pytest.mark.parametrize(("row", "number"), CASES)
def test_exact_shapley_values_are_those_of_the_exact_explainer(row: int, number: int):
    with double():
        found = exact_shapley(
            output(number),
            arrays(SAVED["weights"]),
            sample("x", row),
            arrays(SAVED["background"]),
        )
        flat = np.concatenate([found.values["a"], found.values["c"]])
        expected = np.array(SAVED["exact_explainer"])[row, :, number]
        np.testing.assert_allclose(flat, expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("row", "number"), CASES)
def test_shapley_values_of_groups_are_those_of_captum(row: int, number: int):
    twice = {leaf: np.repeat(rows, 2, axis=0) for leaf, rows in arrays(SAVED["baseline"]).items()}
    groups = {leaf: np.array(labels) for leaf, labels in SAVED["groups"].items()}
    with double():
        found = exact_shapley(
            output(number), arrays(SAVED["weights"]), sample("x", row), twice, groups
        )
        expected = SAVED["captum"]["shapley"][row][number]  # summed in float32
        np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-6)
