"""How well the space of an embedding contains the space of the labels: Grassmann distance.

Nagaraj et al. 2023 compare the subspaces that two matrices span over the same samples: one-hot
classes L [n, C] and embedding E [n, d], both centred by column. With orthonormal bases U_L, U_E and
the singular values s_i of U_L' U_E,

    theta_i  = arccos(s_i),      distance = sqrt(theta_1^2 + theta_2^2 + ...)      smaller is better

Bases are left singular vectors; of the embedding only the first k, since a space of n - 1
dimensions contains any classes. Small angles are taken from sines, as arccos loses half of the
digits there (Knyazev and Argentati 2002).

The value depends on n, on the number of classes and on k by chance alone. So it stands beside the
same distance under permuted labels, and in its units:  z = (mean_null - distance) / sd_null.
Compare embeddings at equal samples and equal k.
"""

import numpy as np

from jaxomics.errors import InputError

COMPONENTS = 100
"""Most dimensions of an embedding that are compared, and most angles."""

PERMUTATIONS = 200
"""Permutations of the labels behind the null distribution."""

_NEGLIGIBLE = 1e-10


def grassmann_scores(
    z: np.ndarray,
    y: np.ndarray,
    components: int | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> dict[str, float]:
    """Return the distance between classes and embedding, and what chance gives.

    Args:
      z: [samples, dimensions], finite.
      y: int [samples], class codes, at least two.
      components: dimensions k of the embedding; by default `usable_components`.
      permutations: of the labels.
      seed: of the permutations.

    Returns:
      `grassmann`; mean and SD under permuted labels, `grassmann_null` and `grassmann_null_sd`;
      `grassmann_z`, larger is better, NaN where all permutations give the same; and
      `grassmann_components`, the k that was used.

    Raises:
      InputError: fewer than two classes, or an embedding that does not vary.
    """
    labels = basis(one_hot(y))
    k = components or usable_components(len(y), labels.shape[1], z.shape[1])
    own = basis(z)[:, :k]
    if not labels.shape[1] or not own.shape[1]:
        raise InputError(
            "expected two or more classes and an embedding that varies, found "
            f"{labels.shape[1]} directions of classes and {own.shape[1]} of the embedding"
        )
    random = np.random.default_rng(seed)
    value = distance(labels, own)
    null = [distance(labels[random.permutation(len(y))], own) for _ in range(permutations)]
    mean, spread = float(np.mean(null)), float(np.std(null, ddof=1))
    return {
        "grassmann": value,
        "grassmann_null": mean,
        "grassmann_null_sd": spread,
        "grassmann_z": (mean - value) / spread if spread > _NEGLIGIBLE else float("nan"),
        "grassmann_components": float(own.shape[1]),
    }


def usable_components(samples: int, directions: int, dimensions: int) -> int:
    """Return how many dimensions of an embedding can be compared with the classes.

    At most `COMPONENTS`; and never so many that both spaces must meet for want of room.

    Args:
      samples: rows of the embedding.
      directions: of the class space, one less than there are classes.
      dimensions: of the embedding.

    >>> usable_components(samples=160, directions=20, dimensions=512)
    100
    >>> usable_components(samples=60, directions=4, dimensions=512)
    55
    """
    return max(min(COMPONENTS, dimensions, samples - 1 - directions), 1)


def basis(table: np.ndarray) -> np.ndarray:
    """Return orthonormal directions of a centred table [n, d], those of most variance first."""
    table = np.asarray(table, np.float64)
    left, singular, _ = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)
    return left[:, singular > _NEGLIGIBLE * max(singular[0], np.finfo(float).tiny)]


def one_hot(y: np.ndarray) -> np.ndarray:
    """Return classes as a table of 0 and 1, [samples, classes].

    >>> one_hot(np.array([0, 2, 2]))
    array([[1., 0.],
           [0., 1.],
           [0., 1.]])
    """
    return (np.asarray(y)[:, None] == np.unique(y)[None]).astype(np.float64)


def principal_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the angles between two subspaces, in radians, smallest first.

    Args:
      a: [n, p], orthonormal columns.
      b: [n, q], orthonormal columns.

    >>> e = np.eye(3)
    >>> tilted = np.stack([e[0], np.cos(0.3) * e[1] + np.sin(0.3) * e[2]], axis=1)
    >>> principal_angles(e[:, :2], tilted).round(12).tolist()
    [0.0, 0.3]
    """
    small, large = (a, b) if a.shape[1] <= b.shape[1] else (b, a)
    cosines = np.linalg.svd(large.T @ small, compute_uv=False)
    angles = np.arccos(np.clip(cosines, 0.0, 1.0))
    narrow = cosines**2 > 0.5
    if narrow.any():
        outside = small - large @ (large.T @ small)
        sines = np.linalg.svd(outside, compute_uv=False)[::-1]
        angles[narrow] = np.arcsin(np.clip(sines[narrow], 0.0, 1.0))
    return angles


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the Grassmann distance of two subspaces, over their first `COMPONENTS` angles."""
    return float(np.linalg.norm(principal_angles(a, b)[:COMPONENTS]))
