"""Adversarial losses: values of PyTorch, closed forms of the penalty, masking."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.losses.gan import discriminator_loss, generator_loss, gradient_penalty

REAL = jnp.array([[0.5, -1.0], [2.0, 0.3]])
FAKE = jnp.array([[-0.7, 0.1], [1.5, -2.0]])
ALL = jnp.ones(2)


@pytest.mark.parametrize(
    ("mode", "discriminator", "generator"),
    [
        # binary_cross_entropy_with_logits and mse_loss of PyTorch 2.13, the halves summed
        ("vanilla", 0.6806, 1.0190),
        ("lsgan", 1.5612, 3.2375),
        # means by hand: f = -1.1 / 4, r = 1.8 / 4
        ("wgan_gp", -0.725, 0.275),
    ],
)
def test_values(mode, discriminator: float, generator: float):
    assert float(discriminator_loss(mode, REAL, FAKE, ALL)) == pytest.approx(
        discriminator, abs=5e-5
    )
    assert float(generator_loss(mode, FAKE, ALL)) == pytest.approx(generator, abs=5e-5)


@pytest.mark.parametrize("mode", ["vanilla", "lsgan", "wgan_gp"])
def test_rows_without_weight_do_not_count(mode):
    first = jnp.array([1.0, 0.0])
    alone = REAL[:1], FAKE[:1], ALL[:1]
    masked = REAL, FAKE.at[1].set(1e6), first
    np.testing.assert_allclose(
        discriminator_loss(mode, *masked), discriminator_loss(mode, *alone), rtol=1e-6
    )
    np.testing.assert_allclose(
        generator_loss(mode, *masked[1:]), generator_loss(mode, *alone[1:]), rtol=1e-6
    )
    assert float(generator_loss(mode, FAKE, jnp.zeros(2))) == 0.0


@pytest.mark.parametrize("mode", ["vanilla", "lsgan"])
def test_extreme_logits_are_finite(mode):
    far = jnp.full((1, 1), 1e4)
    loss, slope = jax.value_and_grad(lambda f: discriminator_loss(mode, -far, f, jnp.ones(1)))(far)
    assert bool(jnp.isfinite(loss))
    assert bool(jnp.isfinite(slope).all())


def test_penalty_of_a_linear_critic():
    """Logits (3 x, 5 y) averaged: gradient (1.5, 2.5) everywhere, whatever is interpolated."""
    found = gradient_penalty(
        lambda x: x * jnp.array([[3.0, 5.0]]), REAL, FAKE, jnp.array([0.2, 0.9]), ALL
    )
    assert float(found) == pytest.approx((np.hypot(1.5, 2.5) - 1) ** 2, rel=1e-5)


def test_penalty_is_taken_between_the_samples_and_by_sample():
    """Critic |x|^2 / 2 has the gradient x; the second sample does not count."""
    share = jnp.array([0.25, 0.5])
    found = gradient_penalty(
        lambda x: jnp.sum(x**2, axis=1, keepdims=True) / 2, REAL, FAKE, share, jnp.array([1.0, 0.0])
    )
    between = 0.25 * np.array([0.5, -1.0]) + 0.75 * np.array([-0.7, 0.1])
    assert float(found) == pytest.approx((np.hypot(*between) - 1) ** 2, rel=1e-5)


def test_penalty_can_be_differentiated_where_the_gradient_is_zero():
    slope = jax.grad(lambda w: gradient_penalty(lambda x: w * x, REAL, FAKE, ALL / 2, ALL))(0.0)
    assert bool(jnp.isfinite(slope))
