"""The MTLR likelihood by hand, against NumPy in double precision, and where exp overflows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.losses.survival import (
    log_density,
    log_survival,
    mtlr_loss,
    risk,
    survival_curve,
)

LOSS = jax.jit(mtlr_loss)


def published(scores: np.ndarray, interval: np.ndarray, event: np.ndarray) -> float:
    """The likelihood as published: matrices of ones, exponentials, in float64."""
    n, edges = scores.shape
    triangle = np.tril(np.ones((edges, edges + 1)))
    phi = np.exp(scores.astype(np.float64) @ triangle)
    target = np.zeros((n, edges + 1))
    for i, k in enumerate(interval):
        if event[i]:
            target[i, k] = 1.0
        else:
            target[i, k:] = 1.0
    return float(-np.mean(np.log((phi * target).sum(1)) - np.log(phi.sum(1))))


def test_by_hand():
    # o = (log 2, log 3): phi = (2 * 3, 3, 1), so p = (0.6, 0.3, 0.1).
    scores = jnp.log(jnp.array([[2.0, 3.0]]))
    np.testing.assert_allclose(jnp.exp(log_density(scores)), [[0.6, 0.3, 0.1]], rtol=1e-6)
    np.testing.assert_allclose(survival_curve(scores), [[0.4, 0.1]], rtol=1e-6)
    np.testing.assert_allclose(risk(scores), [-np.log(0.4) - np.log(0.1)], rtol=1e-6)


@pytest.mark.parametrize(
    ("interval", "event", "likelihood"),
    [(0, 1, 0.6), (1, 1, 0.3), (2, 1, 0.1), (0, 0, 1.0), (1, 0, 0.4), (2, 0, 0.1)],
)
def test_one_sample_by_hand(interval: int, event: int, likelihood: float):
    scores = jnp.log(jnp.array([[2.0, 3.0]]))
    found = LOSS(scores, jnp.array([interval]), jnp.array([event]), jnp.ones(1))
    assert float(found) == pytest.approx(-np.log(likelihood), abs=1e-6)


def test_a_part_of_an_interval_that_was_survived_counts():
    # p = (0.6, 0.3, 0.1): a third into the second interval 0.2 of it are left, and 0.1 behind.
    scores = jnp.log(jnp.array([[2.0, 3.0]]))
    position, weight = jnp.array([4 / 3]), jnp.ones(1)
    censored = LOSS(scores, position, jnp.zeros(1), weight)
    assert float(censored) == pytest.approx(-np.log(0.3), abs=1e-6)
    assert float(LOSS(scores, position, jnp.ones(1), weight)) == pytest.approx(-np.log(0.3))


def test_survival_is_that_of_the_actuarial_estimate():
    # 100 samples of one kind; by the one edge 20 have had the event, and 40 were censored half
    # way. With events spread evenly the likelihood is p^20 (1 - p / 2)^40 (1 - p)^40.
    position = jnp.concatenate([jnp.zeros(20), jnp.full(40, 0.5), jnp.ones(40)])
    event = jnp.concatenate([jnp.ones(20), jnp.zeros(80)])
    score = jnp.zeros((1, 1))
    slope = jax.jit(
        jax.grad(lambda s: mtlr_loss(jnp.tile(s, (100, 1)), position, event, jnp.ones(100)))
    )
    for _ in range(200):
        score = score - 4.0 * slope(score)
    p = np.linspace(0.001, 0.999, 9999)
    best = p[np.argmax(20 * np.log(p) + 40 * np.log(1 - p / 2) + 40 * np.log(1 - p))]
    assert float(survival_curve(score)[0, 0]) == pytest.approx(1 - best, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(0.01, 2.0))
def test_equals_the_published_likelihood(seed: int, spread: float):
    rng = np.random.default_rng(seed)
    scores = spread * rng.normal(size=(7, 20)).astype(np.float32)
    interval, event = rng.integers(0, 21, 7), rng.integers(0, 2, 7)
    found = LOSS(scores, jnp.asarray(interval), jnp.asarray(event), jnp.ones(7))
    assert float(found) == pytest.approx(published(scores, interval, event), rel=2e-5, abs=2e-6)


def test_samples_without_weight_do_not_count():
    scores = jnp.array([[1.0, -1.0], [0.3, 0.2]])
    both = LOSS(scores, jnp.array([1, 2]), jnp.array([1, 0]), jnp.array([1.0, 0.0]))
    one = LOSS(scores[:1], jnp.array([1]), jnp.array([1]), jnp.ones(1))
    assert float(both) == pytest.approx(float(one), rel=1e-6)
    assert float(LOSS(scores, jnp.zeros(2, int), jnp.zeros(2), jnp.zeros(2))) == 0.0


@pytest.mark.parametrize("size", [-5.0, 5.0])
def test_256_large_scores_stay_finite(size: float):
    # exp(256 * 5) is far beyond float32, and beyond float64 as well.
    scores = jnp.full((2, 256), size)
    interval, event = jnp.array([200, 3]), jnp.array([1, 0])
    value, gradient = jax.value_and_grad(mtlr_loss)(scores, interval, event, jnp.ones(2))
    assert bool(jnp.isfinite(value))
    assert bool(jnp.isfinite(gradient).all())
    assert bool(jnp.isfinite(risk(scores)).all())
    assert bool(jnp.isfinite(log_survival(scores)).all())


def test_a_step_of_wrong_certainty_costs_what_the_scores_say():
    # phi_1 = 500 against an event in the last interval, phi = 0: the loss is 500.
    scores = jnp.full((1, 100), 5.0)
    found = LOSS(scores, jnp.array([100]), jnp.ones(1), jnp.ones(1))
    assert float(found) == pytest.approx(500.0, abs=0.01)


def test_gradient_pulls_towards_the_event():
    # d loss / d o_k = P(interval <= k) - [event interval <= k], as in logistic regression.
    scores = jnp.log(jnp.array([[2.0, 3.0]]))
    gradient = jax.grad(mtlr_loss)(scores, jnp.array([1]), jnp.ones(1), jnp.ones(1))
    np.testing.assert_allclose(gradient, [[0.6, 0.9 - 1.0]], atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_survival_falls_and_risk_orders_it(seed: int):
    scores = jnp.asarray(np.random.default_rng(seed).normal(size=(4, 10)), jnp.float32)
    curve = np.asarray(survival_curve(scores))
    assert ((curve >= 0) & (curve <= 1)).all()
    assert (np.diff(curve, axis=1) <= 1e-6).all()
    # Raising every score moves the event forward.
    assert bool((risk(scores + 1.0) > risk(scores)).all())
