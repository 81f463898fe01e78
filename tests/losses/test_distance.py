"""Distances by hand, masked; the cross entropy against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.losses.distance import distance

OUTPUT = jnp.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1e6]])
TARGET = jnp.array([[0.0, 1.0, 0.25], [1.0, 0.5, 0.0]])
OBSERVED = jnp.array([[True, True, True], [True, True, False]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("l1", (1 + 3 + 0.25 + 1 + 2.5) / 5),
        ("mse", (1 + 9 + 0.0625 + 1 + 6.25) / 5),
    ],
)
def test_mean_over_observed_cells(kind, expected: float):
    assert float(distance(kind, OUTPUT, TARGET, OBSERVED)) == pytest.approx(expected)


def test_cross_entropy_is_its_definition_and_least_at_the_target():
    p = jax.nn.sigmoid(OUTPUT)
    cells = -(TARGET * jnp.log(p) + (1 - TARGET) * jnp.log1p(-p))
    expected = float(jnp.mean(cells[OBSERVED]))
    assert float(distance("ce", OUTPUT, TARGET, OBSERVED)) == pytest.approx(expected, rel=1e-5)
    target = jnp.array([[0.3]])
    slope = jax.grad(lambda o: distance("ce", o, target, jnp.ones((1, 1))))
    np.testing.assert_allclose(slope(jnp.log(target / (1 - target))), 0.0, atol=1e-6)


def test_targets_beyond_the_unit_interval_count_as_its_ends():
    beyond, ends = jnp.array([[1.5, -0.5]]), jnp.array([[1.0, 0.0]])
    output, seen = jnp.array([[0.3, 0.3]]), jnp.ones((1, 2))
    assert float(distance("ce", output, beyond, seen)) == float(distance("ce", output, ends, seen))


@pytest.mark.parametrize("kind", ["l1", "mse", "ce"])
def test_nothing_observed_is_zero(kind):
    assert float(distance(kind, OUTPUT, TARGET, jnp.zeros_like(OBSERVED))) == 0.0
