"""Terms of an adversarial classifier that tells views apart and names classes (AC-GAN).

Odena, Olah and Shlens, "Conditional image synthesis with auxiliary classifier GANs", 2017, arXiv
1610.09585; as used by Lepe-Soltero et al. 2025, arXiv 2503.18856. A discriminator reads latents
and gives logits of the view that a latent comes from, and of its class.
"""

import jax
import jax.numpy as jnp

from jaxomics.losses.masked import count, devices_sharing
from jaxomics.types import Array


def source_loss(logits: Array, weight: Array) -> Array:
    """Return sum_i CE(a_i, i): the discriminator's error in naming the view of each latent.

    Args:
      logits: a, [views, b, views], row i from the latents of view i.
      weight: [views, b], 0 leaves a row out; a view without rows adds 0.

    >>> float(source_loss(jnp.zeros((2, 3, 2)), jnp.ones((2, 3))))  # 2 log 2
    1.3862943649291992
    """
    own = jnp.diagonal(jax.nn.log_softmax(logits), axis1=0, axis2=2).T
    return _summed_means(-own, weight)


def confusion_loss(logits: Array, weight: Array) -> Array:
    """Return sum_i mean over j != i of CE(a_i, j): the encoders' error in passing for other views.

    Labels flipped to every wrong view. It is least, m log(m - 1) for m views, where the
    discriminator excludes the true view and cannot choose among the others, and m log m where
    it knows nothing.

    Args:
      logits, weight: as for `source_loss`, of at least two views.
    """
    views = len(logits)
    log_share = jax.nn.log_softmax(logits)
    own = jnp.diagonal(log_share, axis1=0, axis2=2).T
    return _summed_means((own - jnp.sum(log_share, axis=2)) / (views - 1), weight)


def class_loss(logits: Array, labels: Array, weights: Array | None = None) -> Array:
    """Return sum_i of the mean cross-entropy of view i over its labelled rows.

    Args:
      logits: c, [views, b, classes].
      labels: int [views, b]; -1 = unlabelled. A view without labelled rows adds 0.
      weights: [classes]; the mean is then weighted by the class of the row. All ones by default.
    """
    one_hot = jax.nn.one_hot(labels, logits.shape[2], dtype=logits.dtype)
    errors = -jnp.sum(one_hot * jax.nn.log_softmax(logits), axis=2)
    weight = jnp.sum(one_hot if weights is None else one_hot * weights[None, None], axis=2)
    return _summed_means(errors, weight)


def _summed_means(values: Array, weight: Array) -> Array:
    """Return the sum over views of the weighted means of [views, b]."""
    total = jax.vmap(count)(weight)
    means = jnp.sum(weight * values, axis=1) / jnp.where(total > 0, total, 1.0)
    return jnp.sum(means) * max(devices_sharing(), 1)
