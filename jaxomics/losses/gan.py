"""Adversarial losses on logits: a discriminator tells generated from measured, until it cannot.

With r the logits of measured and f those of generated samples (several per sample are averaged):

    vanilla   L_D = [mean softplus(-r) + mean softplus(f)] / 2     L_G = mean softplus(-f)
    lsgan     L_D = [mean (r - 1)^2 + mean f^2] / 2                L_G = mean (f - 1)^2
    wgan_gp   L_D = mean f - mean r + lambda penalty               L_G = -mean f

vanilla: Goodfellow et al. 2014, with the non-saturating generator loss; lsgan: Mao et al. 2017;
wgan_gp: Gulrajani et al. 2017, arXiv 1704.00028. The halves are those of Isola et al. 2017.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from jaxomics.losses.masked import masked_mean
from jaxomics.types import Array

Mode = Literal["vanilla", "lsgan", "wgan_gp"]


def discriminator_loss(mode: Mode, real: Array, fake: Array, weight: Array) -> Array:
    """Return L_D without the gradient penalty.

    Args:
      mode: which loss.
      real, fake: logits [b, k] of measured and of generated samples.
      weight: [b], 0 leaves a sample out.

    >>> zero, one = jnp.zeros((1, 2)), jnp.ones(1)
    >>> round(float(discriminator_loss("vanilla", zero, zero, one)), 4)  # log 2
    0.6931
    """
    if mode == "wgan_gp":
        return _mean(fake, weight) - _mean(real, weight)
    return 0.5 * (_miss(mode, real, 1.0, weight) + _miss(mode, fake, 0.0, weight))


def generator_loss(mode: Mode, fake: Array, weight: Array) -> Array:
    """Return L_G; arguments as for `discriminator_loss`."""
    if mode == "wgan_gp":
        return -_mean(fake, weight)
    return _miss(mode, fake, 1.0, weight)


def gradient_penalty(
    critic: Callable[[Array], Array], real: Array, fake: Array, share: Array, weight: Array
) -> Array:
    """Return the mean of (|gradient of the critic| - 1)^2 between measured and generated samples.

    Args:
      critic: [b, features] -> logits [b, k], each sample judged by itself.
      real, fake: [b, features].
      share: [b] from U(0, 1): where between them the gradient is taken.
      weight: [b], 0 leaves a sample out.
    """
    between = share[:, None] * real + (1.0 - share[:, None]) * fake
    slope = jax.grad(lambda x: jnp.sum(jnp.mean(critic(x), axis=1)))(between)
    norm = jnp.sqrt(jnp.sum(slope**2, axis=1) + 1e-12)
    return masked_mean((norm - 1.0) ** 2, weight)


def _miss(mode: Mode, logits: Array, label: float, weight: Array) -> Array:
    """Return how far logits miss a label, averaged."""
    if mode == "lsgan":
        return _mean((logits - label) ** 2, weight)
    return _mean(jax.nn.softplus(-logits if label else logits), weight)


def _mean(values: Array, weight: Array) -> Array:
    """Return the mean over logits and weighted samples."""
    return masked_mean(jnp.mean(values, axis=1), weight)
