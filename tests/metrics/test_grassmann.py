"""Subspaces of labels and embeddings: closed forms, and what chance gives."""

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from jaxomics.errors import InputError
from jaxomics.metrics.grassmann import (
    basis,
    distance,
    grassmann_scores,
    one_hot,
    principal_angles,
    usable_components,
)


def test_angles_of_a_small_embedding():
    z = np.array([[2, 0.1], [1.9, -0.2], [-1, 1.2], [-1.1, 0.8], [-0.8, -1.9]])
    y = np.array([0, 0, 1, 1, 2])
    angles = principal_angles(basis(one_hot(y)), basis(z))
    np.testing.assert_allclose(angles, [0.0042400, 0.1550060], atol=5e-8)
    assert grassmann_scores(z, y, permutations=5)["grassmann"] == pytest.approx(0.1550640, abs=5e-8)


def test_angles_equal_those_of_scipy_also_when_tiny():
    random = np.random.default_rng(0)
    a = basis(random.normal(size=(30, 4)))
    b = basis(a[:, :3] + 1e-9 * random.normal(size=(30, 3)))
    np.testing.assert_allclose(principal_angles(a, b), np.sort(subspace_angles(a, b)), atol=1e-14)
    assert 0 < distance(a, b) < 1e-7
    c = basis(random.normal(size=(30, 6)))
    np.testing.assert_allclose(principal_angles(a, c), np.sort(subspace_angles(a, c)), atol=1e-12)


@pytest.mark.parametrize(
    ("components", "expected"), [(20, 5.66), (50, 4.56), (100, 2.99), (150, 1.20), (159, 0.0)]
)
def test_chance_depends_on_the_number_of_components(components: int, expected: float):
    noise = np.random.default_rng(components).normal(size=(160, 170))
    found = grassmann_scores(noise, np.arange(160) % 21, components, permutations=10)
    assert found["grassmann"] == pytest.approx(expected, abs=0.2)  # one draw; its SD is 0.07
    assert found["grassmann_null"] == pytest.approx(expected, abs=0.14)
    assert found["grassmann_components"] == components


def test_noise_is_no_nearer_than_permuted_labels_and_signal_is():
    random = np.random.default_rng(0)
    y = np.arange(120) % 5
    noise = random.normal(size=(120, 64))
    assert abs(grassmann_scores(noise, y)["grassmann_z"]) < 2
    signal = noise.copy()
    signal[:, :5] += 4 * one_hot(y)
    assert grassmann_scores(signal, y)["grassmann_z"] > 10


def test_the_spaces_are_never_forced_to_meet():
    assert usable_components(samples=12, directions=2, dimensions=64) == 9
    found = grassmann_scores(np.random.default_rng(0).normal(size=(12, 64)), np.arange(12) % 3)
    assert found["grassmann"] > 0.5


def test_an_embedding_that_does_not_vary_is_refused():
    with pytest.raises(InputError, match="an embedding that varies"):
        grassmann_scores(np.ones((6, 2)), np.arange(6) % 2)
