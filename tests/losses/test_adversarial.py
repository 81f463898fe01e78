"""Terms of the discriminator against values worked by hand and NumPy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from jaxomics.losses.adversarial import class_loss, confusion_loss, source_loss

VIEWS, ROWS, CLASSES = 3, 5, 4


def logits(last: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(VIEWS, ROWS, last)) * 3


WEIGHT = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 1], [0, 0, 0, 0, 0]], float)


def by_rows(source: np.ndarray, targets: dict[int, list[int]]) -> float:
    """Sum over views of the mean over rows of the mean cross-entropy with each target."""
    total = 0.0
    for i, named in targets.items():
        errors = [
            np.mean([-log_softmax(source[i, row])[j] for j in named])
            for row in range(ROWS)
            if WEIGHT[i, row]
        ]
        total += float(np.mean(errors)) if errors else 0.0
    return total


def test_terms_on_views_equal_loops_over_rows():
    source = logits(VIEWS)
    own = by_rows(source, {i: [i] for i in range(VIEWS)})
    flipped = by_rows(source, {i: [j for j in range(VIEWS) if j != i] for i in range(VIEWS)})
    np.testing.assert_allclose(
        source_loss(jnp.asarray(source), jnp.asarray(WEIGHT)), own, rtol=1e-5
    )
    found = confusion_loss(jnp.asarray(source), jnp.asarray(WEIGHT))
    np.testing.assert_allclose(found, flipped, rtol=1e-5)


def test_confusion_at_its_landmarks():
    weight = jnp.ones((VIEWS, ROWS))
    unsure = confusion_loss(jnp.zeros((VIEWS, ROWS, VIEWS)), weight)
    assert float(unsure) == pytest.approx(3 * np.log(3), rel=1e-6)
    excluded = jnp.broadcast_to(-40.0 * jnp.eye(VIEWS)[:, None], (VIEWS, ROWS, VIEWS))
    assert float(confusion_loss(excluded, weight)) == pytest.approx(3 * np.log(2), rel=1e-5)
    # The mean of the two wrong targets, each log(1 + 1 + e) less its logit 0.
    known = jnp.broadcast_to(jnp.eye(VIEWS)[:, None], (VIEWS, ROWS, VIEWS))
    assert float(confusion_loss(known, weight)) == pytest.approx(3 * np.log(2 + np.e), rel=1e-6)
    assert float(source_loss(known, weight)) == pytest.approx(3 * (np.log(2 + np.e) - 1), rel=1e-6)


def test_classes_are_averaged_over_labelled_rows():
    scores = logits(CLASSES, 1)
    labels = np.array([[0, -1, 3, -1, 2], [-1, -1, -1, -1, 1], [-1] * 5])
    weights = np.array([0.2, 1.0, 3.0, 0.1])
    for chosen in (None, weights):
        expected = 0.0
        for i in range(VIEWS):
            known = [row for row in range(ROWS) if labels[i, row] >= 0]
            importance = [
                (weights if chosen is not None else np.ones(4))[labels[i, r]] for r in known
            ]
            errors = [-log_softmax(scores[i, r])[labels[i, r]] for r in known]
            expected += np.average(errors, weights=importance) if known else 0.0
        given = None if chosen is None else jnp.asarray(chosen)
        found = class_loss(jnp.asarray(scores), jnp.asarray(labels), given)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_no_labelled_row_gives_zero_and_no_gradient():
    scores = jnp.asarray(logits(CLASSES))
    labels = jnp.full((VIEWS, ROWS), -1)
    value, gradient = jax.value_and_grad(class_loss)(scores, labels)
    assert float(value) == 0.0
    assert not np.asarray(gradient).any()
