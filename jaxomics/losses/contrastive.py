"""Label-margin contrastive terms on the cosine similarity of latents, in closed form.

Building block for a label vector t over the batch, pairs i != j, similarity s_ij (Cai et al.
2024): the positives max(0, m_pos - s_ij) over t_i = t_j and the negatives max(0, s_ij - m_neg)
over t_i != t_j, each averaged over its strictly positive entries. No pair lists are built: one
product gives S, and masks or quadratic forms give every sum and count.

Pairs are those of the batch at hand. Under `pmap` that is one device's part of it, so pairs
between devices are not seen and the terms differ from those of the whole batch.
"""

import jax.numpy as jnp

from jaxomics.types import Array


def label_margin(
    z: Array, labels: Array, positive: Array | float, negative: Array | float
) -> Array:
    """Return the term for one class label.

    Args:
      z: latents [b, latent].
      labels: int [b]; -1 = unlabelled, such samples form no pair.
      positive, negative: margins m_pos and m_neg.
    """
    labelled = labels >= 0
    pair = labelled[:, None] & labelled[None, :] & ~jnp.eye(len(labels), dtype=bool)
    same = labels[:, None] == labels[None, :]
    attract, repel = _hinges(z, positive, negative)
    return _active_mean(attract, pair & same) + _active_mean(repel, pair & ~same)


def columns_margin(
    z: Array, columns: Array, weight: Array, positive: Array | float, negative: Array | float
) -> Array:
    """Return the sum of the term over binary columns, each taken as a label (published code).

    Two samples that are both 0 in a column count as a positive pair. Sums and counts of the
    pairs of all columns come from the quadratic forms y'Py + (1-y)'P(1-y).

    Args:
      z: latents [b, latent].
      columns: 0/1 [b, columns].
      weight: [b], 0 for padding rows, which form no pair.
      positive, negative: margins m_pos and m_neg.
    """
    pair = weight[:, None] * weight[None, :] * (1.0 - jnp.eye(len(z), dtype=z.dtype))
    attract, repel = _hinges(z, positive, negative)
    ones, zeros = columns, 1.0 - columns

    def same(matrix: Array) -> Array:
        return jnp.sum(ones * (matrix @ ones) + zeros * (matrix @ zeros), axis=0)

    def differ(matrix: Array) -> Array:
        return 2.0 * jnp.sum(ones * (matrix @ zeros), axis=0)

    near = same(pair * attract) / jnp.maximum(same(pair * (attract > 0)), 1.0)
    far = differ(pair * repel) / jnp.maximum(differ(pair * (repel > 0)), 1.0)
    return jnp.sum(near + far)


def _hinges(z: Array, positive: Array | float, negative: Array | float) -> tuple[Array, Array]:
    """Return max(0, m_pos - S) and max(0, S - m_neg), both [b, b]."""
    norm = jnp.sqrt(jnp.maximum(jnp.sum(z**2, axis=1, keepdims=True), 1e-16))
    unit = z / norm
    similarity = unit @ unit.T
    return jnp.maximum(positive - similarity, 0.0), jnp.maximum(similarity - negative, 0.0)


def _active_mean(values: Array, pairs: Array) -> Array:
    """Return the mean of the strictly positive values among the pairs; 0 when there are none."""
    active = pairs & (values > 0)
    return jnp.sum(jnp.where(active, values, 0.0)) / jnp.maximum(jnp.sum(active), 1)
