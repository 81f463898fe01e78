"""Deep divergence-based clustering: classes that are compact, apart, and all in use.

Kampffmeyer et al., "Deep divergence-based approach to clustering", 2019, arXiv 1902.04981; with
the entropy term of Tang et al. 2023 (UnitedNet), as in Lepe-Soltero et al. 2025, arXiv 2503.18856.
A network gives hidden vectors h and soft assignments to classes alpha, [b, classes].

    D_ab    = |h_a - h_b|^2,  K = exp(-D / 2 s2),  s2 = 0.15 median(D)     no gradient through s2
    d(A)    = mean over p < q of N_pq / sqrt(N_pp N_qq),  N = A' K A       Cauchy-Schwarz
    compact = d(alpha)                                    classes do not overlap in h
    corners = d(M),  M_ap = exp(-|alpha_a - e_p|^2)       assignments are close to one class each
    usage   = sum_p u_p log u_p,  u = mean_a alpha_a      least when all classes are used equally
    orthogonal = mean over a < b of <alpha_a, alpha_b>    a term of the first paper only

Pairs are those of the batch at hand. Under `pmap` that is one device's part of it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxomics.types import Array

SHARE_OF_MEDIAN = 0.15
SMALLEST = 1e-9


class Clustering(NamedTuple):
    """The terms of the loss, scalars; see the head of the file."""

    compact: Array
    corners: Array
    usage: Array
    orthogonal: Array


def clustering(hidden: Array, logits: Array, weight: Array) -> Clustering:
    """Return the terms for the rows of one view; all 0, or next to it, where there are none.

    Args:
      hidden: h, [b, units].
      logits: of alpha, [b, classes], at least two classes.
      weight: [b], 1, or 0 to leave a row out.
    """
    share = jax.nn.softmax(logits) * weight[:, None]
    corners = jnp.exp(-_to_corners(share)) * weight[:, None]
    distance = squared_distances(hidden)
    scale = SHARE_OF_MEDIAN * lower_median(jax.lax.stop_gradient(distance), weight)
    kernel = jnp.exp(-distance / (2.0 * jnp.maximum(scale, SMALLEST)))
    rows = jnp.sum(weight)
    used = jnp.maximum(jnp.sum(share, axis=0) / jnp.maximum(rows, 1.0), SMALLEST)
    together = jnp.sum(jnp.sum(share, axis=0) ** 2) - jnp.sum(share**2)
    return Clustering(
        compact=cauchy_schwarz(share, kernel),
        corners=cauchy_schwarz(corners, kernel),
        usage=jnp.sum(used * jnp.log(used)),
        orthogonal=together / jnp.maximum(rows * (rows - 1.0), 1.0),
    )


def cauchy_schwarz(assignments: Array, kernel: Array) -> Array:
    """Return d(A), in [0, 1] for a kernel matrix: 0 where no two columns share mass.

    Args:
      assignments: A, [b, classes], not negative.
      kernel: K, [b, b].

    >>> round(float(cauchy_schwarz(jnp.eye(2), jnp.array([[1.0, 0.5], [0.5, 1.0]]))), 6)
    0.5
    """
    overlap = assignments.T @ kernel @ assignments
    own, classes = jnp.diagonal(overlap), len(overlap)
    cosine = overlap * jax.lax.rsqrt(jnp.maximum(own[:, None] * own[None, :], SMALLEST))
    return (jnp.sum(cosine) - jnp.trace(cosine)) / (classes * (classes - 1))


def squared_distances(x: Array) -> Array:
    """Return |x_a - x_b|^2 of rows, [b, b], by one product of the centred rows.

    No square root is taken, so gradients are finite at distance zero.
    """
    centred = x - jnp.mean(x, axis=0, keepdims=True)
    product = centred @ centred.T
    own = jnp.diagonal(product)
    return jnp.maximum(own[:, None] + own[None, :] - 2.0 * product, 0.0)


def lower_median(distance: Array, weight: Array) -> Array:
    """Return the lower median of D over all pairs of rows with weight, the diagonal included.

    Of an even number of values PyTorch takes the lower middle one, JAX the mean of both. The
    value is found bit by bit, by counting what lies below: floats from 0 on are in the order of
    their bits. For a batch's pairs that is several times faster than sorting them.

    Args:
      distance: D, [b, b], float32, not negative.
      weight: [b], 0 leaves a row out.

    >>> distance = jnp.array([[0.0, 1, 4], [1, 0, 9], [4, 9, 0]])
    >>> float(lower_median(distance, jnp.ones(3))), float(lower_median(distance, jnp.eye(3)[0]))
    (1.0, 0.0)
    """
    real = (weight[:, None] > 0) & (weight[None, :] > 0)
    bits = jax.lax.bitcast_convert_type(distance.astype(jnp.float32), jnp.int32)
    bits = jnp.where(real, bits, jnp.iinfo(jnp.int32).max)
    below = (jnp.sum(real) - 1) // 2

    def add_bit(i: Array, found: Array) -> Array:
        tried = found | jnp.left_shift(jnp.int32(1), 30 - i)
        return jnp.where(jnp.sum(bits < tried) > below, found, tried)

    found = jax.lax.fori_loop(0, 31, add_bit, jnp.int32(0))
    return jnp.where(jnp.any(real), jax.lax.bitcast_convert_type(found, jnp.float32), 0.0)


def _to_corners(share: Array) -> Array:
    """Return |alpha_a - e_p|^2, [b, classes], e_p the corners of the simplex."""
    return jnp.sum(share**2, axis=1, keepdims=True) - 2.0 * share + 1.0
