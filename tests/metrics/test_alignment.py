"""Scores of alignment on latents whose answer is known."""

import numpy as np
import pytest

from jaxomics.errors import InputError
from jaxomics.metrics.alignment import foscttm, label_transfer, modality_accuracy, retrieval


def test_fraction_closer_by_hand():
    first, second = np.array([[0.0], [10.0], [20.0]]), np.array([[1.0], [0.0], [20.0]])
    # From first: 0 has one closer (0), 10 has one (1); from second: 0 has one (0).
    assert foscttm(first, second) == pytest.approx((0.5 + 0.5 + 0 + 0 + 0.5 + 0) / 6)
    assert retrieval(first, second) == pytest.approx(3 / 6)


def test_noise_is_at_chance_and_copies_are_perfect():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 100, 5))
    assert foscttm(a, b) == pytest.approx(0.5, abs=0.05)
    assert retrieval(a, b, 10) == pytest.approx(0.1, abs=0.06)
    assert modality_accuracy(a, b) == pytest.approx(0.5, abs=0.1)
    assert modality_accuracy(a, b + 5) == 1.0
    assert foscttm(a, a) == 0.0


def test_labels_are_carried_over():
    z = np.repeat([[0.0], [5.0]], 10, axis=0)
    labels = np.repeat(["a", "b"], 10)
    assert label_transfer(z, labels, z + 0.1, labels) == 1.0
    assert label_transfer(z[:3], labels[:3], z, labels) == 0.5


def test_views_must_hold_the_same_samples():
    with pytest.raises(InputError, match="same 2 or more samples"):
        foscttm(np.zeros((3, 2)), np.zeros((4, 2)))
