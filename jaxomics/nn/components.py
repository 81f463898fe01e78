"""Principal components as a frozen front of a network: found once, from rows with holes.

The axes are those of the centred view with unobserved cells at their feature's mean; the scores
of all components together are divided by one number, so that their size still tells how much of
the view each component holds (the preprocessing of JAMIE, Cohen Kalafut et al. 2023).
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxomics.types import Array

CUT = 1e-5
"""Components with less than this share of the first one's variance are left out (float32)."""


class Components(NamedTuple):
    """A view's axes.

    Attributes:
      mean: [features], over observed cells.
      axes: [features, components], orthonormal columns; 0 behind the last one that was found.
      scale: scalar, the deviation of all scores together.
      variance: scalar, what the components hold of the view, per feature.
    """

    mean: Array
    axes: Array
    scale: Array
    variance: Array

    def scores(self, x: Array, observed: Array) -> Array:
        """Return scaled scores [b, components] of a view [b, features], its holes at the mean."""
        return jnp.where(observed, x - self.mean[None], 0.0) @ self.axes / self.scale

    def restore(self, scores: Array) -> Array:
        """Return the view [b, features] that has these scaled scores."""
        return self.scale * scores @ self.axes.T + self.mean[None]


def principal(x: Array, observed: Array, components: int) -> Components:
    """Find the leading axes; by the smaller product of the matrix with itself.

    Args:
      x: [n, features]; rows without any observed cell do not count.
      observed: bool [n, features].
      components: how many; what the rows do not allow is 0.

    >>> x = jnp.array([[1.0, 1.0], [-1.0, -1.0], [3.0, 3.0], [-3.0, -3.0]])
    >>> found = principal(x, jnp.ones((4, 2), bool), 2)
    >>> [[round(abs(float(a)), 3) for a in row] for row in found.axes]
    [[0.707, 0.0], [0.707, 0.0]]
    >>> float(found.variance), bool(jnp.allclose(found.restore(found.scores(x, x != 0)), x))
    (5.0, True)
    """
    cells = observed.astype(x.dtype)
    mean = jnp.sum(cells * x, axis=0) / jnp.maximum(jnp.sum(cells, axis=0), 1.0)
    centred = jnp.where(observed, x - mean[None], 0.0)
    wide = x.shape[0] <= x.shape[1]
    square = centred @ centred.T if wide else centred.T @ centred
    found, vectors = jnp.linalg.eigh(square)
    kept = min(components, len(square))
    found, vectors = found[::-1][:kept], vectors[:, ::-1][:, :kept]
    live = found > CUT * jnp.maximum(found[0], 1e-30)
    axes = vectors
    if wide:
        axes = centred.T @ vectors / jnp.sqrt(jnp.where(live, found, 1.0))[None]
    axes = jnp.where(live[None], axes, 0.0)
    held = jnp.sum(jnp.where(live, found, 0.0))
    rows = jnp.maximum(jnp.sum(jnp.any(observed, axis=1)), 1)
    some = held > 0
    spread = jnp.sqrt(held / (rows * jnp.maximum(jnp.sum(live), 1)))
    return Components(
        mean,
        jnp.pad(axes, ((0, 0), (0, components - kept))),
        jnp.where(some, spread, 1.0),
        jnp.where(some, held / (rows * x.shape[1]), 1.0),
    )
