"""Principal components of all views together, unmeasured cells at their mean.

The plainest latent space there is: the rows of the standardised, concatenated views projected on
the leading right singular vectors. A cell that was not measured counts as its feature's mean, which
draws estimates towards the mean; softImpute does not do that. A reimplementation, checked on
scikit-learn.
"""

from dataclasses import dataclass

import numpy as np

from jaxomics.comparators.base import Capabilities, Layout, Method, State


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
      components: how many; at most as many as samples and features allow.
    """

    components: int = 50


def learn(rows: np.ndarray, layout: Layout, config: Config, seed: int) -> State:
    """Return the `loadings` [features, components], orthonormal columns."""
    _, _, loadings = leading(np.nan_to_num(rows), config.components)
    return {"loadings": loadings}


def leading(filled: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the leading left vectors, singular values and right vectors (as columns).

    By the eigenvectors of the smaller product of the matrix with itself, which costs little where
    one side is short; singular values below 1e-7 of the first are left out.
    """
    wide = filled.shape[0] <= filled.shape[1]
    short = filled if wide else filled.T
    squares, vectors = np.linalg.eigh(short @ short.T)
    singular = np.sqrt(np.maximum(squares[::-1], 0.0))
    count = int((singular > 1e-7 * max(singular[0], 1e-300)).sum())
    count = max(1, min(components, count))
    own, singular = vectors[:, ::-1][:, :count], singular[:count]
    other = short.T @ own / np.where(singular > 0, singular, 1.0)
    return (own, singular, other) if wide else (other, singular, own)


def embed(state: State, rows: np.ndarray) -> np.ndarray:
    """Return the scores [samples, components]."""
    return np.nan_to_num(rows) @ state["loadings"]


def complete(state: State, rows: np.ndarray) -> np.ndarray:
    """Return the projection of the rows on the components."""
    return embed(state, rows) @ state["loadings"].T


METHOD = Method(
    name="pca",
    paper="Jolliffe 2002, Principal Component Analysis, 2nd edition",
    capabilities=Capabilities(latent=True, transform=True),
    config=Config(),
    learn=learn,
    complete=complete,
    embed=embed,
    weights="loadings",
)
"""Principal components."""
