"""Clustering terms against loops in NumPy and float64, and values worked by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from jaxomics.losses.clustering import (
    cauchy_schwarz,
    clustering,
    lower_median,
    squared_distances,
)

CLASSES, ROWS = 3, 8
terms = jax.jit(clustering)


def drawn(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Hidden vectors, of which two are equal, and logits."""
    draw = np.random.default_rng(seed)
    hidden = draw.normal(size=(rows, 6))
    hidden[1] = hidden[0]
    return hidden, 2 * draw.normal(size=(rows, CLASSES))


def divergence(a: np.ndarray, kernel: np.ndarray) -> float:
    """2/(C(C-1)) sum over p < q of N_pq / sqrt(N_pp N_qq), written as sums over samples."""
    overlap = np.zeros((CLASSES, CLASSES))
    for p in range(CLASSES):
        for q in range(CLASSES):
            for i in range(len(a)):
                for j in range(len(a)):
                    overlap[p, q] += a[i, p] * kernel[i, j] * a[j, q]
    terms = [
        overlap[p, q] / np.sqrt(max(overlap[p, p] * overlap[q, q], 1e-9))
        for p in range(CLASSES)
        for q in range(p + 1, CLASSES)
    ]
    return 2 / (CLASSES * (CLASSES - 1)) * sum(terms)


def by_loops(hidden: np.ndarray, logits: np.ndarray) -> list[float]:
    """The terms, pair by pair in float64."""
    rows, alpha = len(hidden), softmax(logits, axis=1)
    distance = np.array([[np.sum((a - b) ** 2) for b in hidden] for a in hidden])
    median = np.sort(distance.ravel())[(rows**2 - 1) // 2]
    kernel = np.exp(-distance / (2 * max(0.15 * median, 1e-9)))
    corners = np.array([[np.exp(-np.sum((a - e) ** 2)) for e in np.eye(CLASSES)] for a in alpha])
    used = np.maximum(alpha.mean(axis=0), 1e-9)
    pairs = [alpha[a] @ alpha[b] for a in range(rows) for b in range(a + 1, rows)]
    usage, orthogonal = np.sum(used * np.log(used)), np.mean(pairs)
    return [
        divergence(alpha, kernel), divergence(corners, kernel), float(usage), float(orthogonal)
    ]  # fmt: skip


@pytest.mark.parametrize("rows", [5, ROWS])
def test_terms_equal_loops_and_ignore_padding(rows: int):
    hidden, logits = drawn(rows, rows)
    expected = by_loops(hidden, logits)
    padding = ((ROWS - rows, 0), (0, 0))
    found = terms(
        jnp.asarray(np.pad(hidden, padding, constant_values=9.0)),
        jnp.asarray(np.pad(logits, padding, constant_values=9.0)),
        jnp.asarray(np.arange(ROWS) >= ROWS - rows, jnp.float32),
    )
    np.testing.assert_allclose(found, expected, rtol=5e-5)


def test_two_samples_by_hand():
    # Distances 0, 0, 4, 4: the lower median is 0, so s2 is clamped, K is the identity, and the
    # certain assignments do not overlap.
    hidden, logits = jnp.array([[0.0], [2.0]]), jnp.array([[60.0, 0.0], [0.0, 60.0]])
    found = terms(hidden, logits, jnp.ones(2))
    # M has rows (1, e^-2) and (e^-2, 1); N = M'M, so d(M) = 2 e^-2 / (1 + e^-4) = 1 / cosh 2.
    expected = [0.0, 1 / np.cosh(2.0), -np.log(2.0), 0.0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_divergence_by_hand():
    kernel = jnp.array([[1.0, 0.2], [0.2, 1.0]])
    assert float(cauchy_schwarz(jnp.eye(2), kernel)) == pytest.approx(0.2, rel=1e-6)
    assert float(cauchy_schwarz(jnp.ones((2, 2)), kernel)) == pytest.approx(1.0, rel=1e-6)


distances_and_median = jax.jit(
    lambda hidden, weight: (d := squared_distances(hidden), lower_median(d, weight))
)


@given(st.integers(0, 99), st.integers(1, ROWS))
@settings(max_examples=15, deadline=None)
def test_distances_and_median_equal_numpy(seed: int, rows: int):
    hidden = drawn(seed)[0] + 100.0
    expected = ((hidden[:, None] - hidden[None]) ** 2).sum(axis=2)
    distance, median = distances_and_median(hidden, (np.arange(ROWS) < rows).astype(np.float32))
    np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=1e-4)
    real = np.asarray(distance)[:rows, :rows]
    assert float(median) == np.sort(real.ravel())[(rows**2 - 1) // 2]


@jax.jit
@partial(jax.value_and_grad, argnums=(0, 1))
def total(hidden: jax.Array, logits: jax.Array, weight: jax.Array) -> jax.Array:
    return jnp.sum(jnp.stack(clustering(hidden, logits, weight)))


@pytest.mark.parametrize(
    "case", ["equal rows", "one row", "no row", "certain", "one class is never meant"]
)
def test_awkward_batches_have_finite_terms_and_gradients(case: str):
    hidden, logits = (jnp.asarray(part, jnp.float32) for part in drawn(0))
    weight = jnp.ones(ROWS)
    if case == "equal rows":
        hidden = jnp.broadcast_to(hidden[:1], hidden.shape)
    elif case == "one row":
        weight = weight.at[1:].set(0.0)
    elif case == "no row":
        weight = jnp.zeros(ROWS)
    elif case == "certain":
        logits = 1e3 * logits
    else:
        logits = logits.at[:, 0].set(-1e3)

    value, gradients = total(hidden, logits, weight)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in (value, *gradients))
    if case == "no row":
        assert float(jnp.abs(value)) < 1e-6


def test_bandwidth_has_no_gradient():
    # If it had, scaling h would change nothing, as D / s2 keeps its value, and d/dt would be 0.
    hidden, logits = (jnp.asarray(part, jnp.float32) for part in drawn(3))

    @jax.jit
    @jax.value_and_grad
    def scaled(t: jax.Array, hidden: jax.Array, logits: jax.Array) -> jax.Array:
        return clustering(t * hidden, logits, jnp.ones(ROWS)).compact

    (one, slope), (two, _) = (scaled(jnp.float32(t), hidden, logits) for t in (1, 2))
    assert float(two) == pytest.approx(float(one), rel=1e-4)
    assert abs(float(slope)) > 1e-2
