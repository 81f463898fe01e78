"""Divergences between a posterior and its prior."""

import jax.numpy as jnp

from jaxomics.losses.masked import masked_mean
from jaxomics.types import Array


def gaussian_kl(mean: Array, variance: Array, weight: Array | None = None) -> Array:
    """Return KL(N(mean, variance) || N(0, 1)), summed over dimensions, averaged over samples.

    Args:
      mean, variance: [b, latent].
      weight: [b], 0 for padding rows; all ones by default.
    """
    per_sample = 0.5 * jnp.sum(variance + mean**2 - 1.0 - jnp.log(variance + 1e-10), axis=1)
    return _average(per_sample, weight)


def between_gaussians(
    mean: Array, variance: Array, other_mean: Array, other_variance: Array, weight: Array
) -> Array:
    """Return KL(N(mean, variance) || N(other_mean, other_variance)), summed and averaged likewise.

    Args:
      mean, variance, other_mean, other_variance: [b, latent]; variances above 0.
      weight: [b], 0 for padding rows.

    >>> one = jnp.ones((1, 1))
    >>> float(between_gaussians(one, one, 3 * one, one, jnp.ones(1)))
    2.0
    """
    ratio = variance / other_variance
    apart = (mean - other_mean) ** 2 / other_variance
    return _average(0.5 * jnp.sum(ratio - 1.0 - jnp.log(ratio) + apart, axis=1), weight)


def published_kl(mean: Array, variance: Array, weight: Array | None = None) -> Array:
    """Return the divergence as MOSA's code has it: the variance passed as a log-variance.

    Its optimum is variance 0, so the variance is no uncertainty any more; for parity only.
    """
    per_sample = -0.5 * jnp.sum(1.0 + variance - mean**2 - jnp.exp(variance), axis=1)
    return _average(per_sample, weight)


def _average(per_sample: Array, weight: Array | None) -> Array:
    """Return the weighted mean over samples."""
    if weight is None:
        return jnp.mean(per_sample)
    return masked_mean(per_sample, weight)
