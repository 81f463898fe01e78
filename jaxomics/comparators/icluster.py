"""iCluster: one Gaussian latent space behind all views, with sparse loadings, by exact EM.

Shen, Olshen and Ladanyi 2009, Bioinformatics 25:2906. A reimplementation, checked on closed forms:

    z_n ~ N(0, I),   x_n = B z_n + noise,   noise_d ~ N(0, psi_d)
    penalised log-likelihood = sum_n log p(x_n) - n penalty sum_dk |b_dk| / psi_d

Expectation: S_n = (I + B' Psi^-1 B)^-1 over the measured features, <z_n> = S_n B' Psi^-1 x_n.
Maximisation: per feature, b is renewed coordinate by coordinate on sums of x <z> and <z z'> over
the samples that measure it, with a soft threshold; psi is then the variance left over. Cells that
were not measured drop out. iClusterPlus (Mo et al. 2013) replaces the expectation by 300 small
steps of a random walk, which do not mix in many dimensions; this is the exact version for
continuous views.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.comparators.base import Capabilities, Layout, Method, State
from jaxomics.comparators.pca import leading
from jaxomics.errors import InputError
from jaxomics.types import Array

_AT_ONCE = 64
"""Samples, and features, whose [components, components] matrices are dealt with together."""

LEAST_NOISE = 1e-3
"""Least noise variance, in units of the feature's own variance."""


@dataclass(frozen=True)
class Config:
    """Settings.

    Attributes:
      components: size of z; at most as many as samples and features allow.
      penalty: weight of the absolute loadings.
      iterations: most EM iterations.
      tolerance: change of the loadings, relative to their largest, at which EM ends.
      sweeps: passes over the coordinates of the loadings per iteration.
    """

    components: int = 20
    penalty: float = 0.03
    iterations: int = 200
    tolerance: float = 1e-4
    sweeps: int = 2


def learn(rows: np.ndarray, layout: Layout, config: Config, seed: int) -> State:
    """Fit by EM from principal components.

    Returns:
      Loadings `b` [features, components] and noise variances `psi` [features].
    """
    if config.penalty < 0:
        raise InputError(f"expected a penalty of 0 or more, found {config.penalty}")
    observed = ~np.isnan(rows)
    x = np.where(observed, rows, 0.0)
    _, singular, vectors = leading(x, config.components)
    b = vectors * singular / np.sqrt(len(rows))
    psi = np.maximum(1.0 - (b**2).sum(axis=1), 0.1)
    x, observed, b, psi = (jnp.asarray(a, jnp.float32) for a in (x, observed, b, psi))
    b, psi = _fit(x, observed, b, psi, config)
    return {"b": np.asarray(b, np.float64), "psi": np.asarray(psi, np.float64)}


@partial(jax.jit, static_argnames=("config",))
def _fit(x: Array, observed: Array, b: Array, psi: Array, config: Config) -> tuple[Array, Array]:
    """Iterate until the loadings rest."""

    def unfinished(carry: tuple[Array, Array, Array, Array]) -> Array:
        *_, change, i = carry
        return (i < config.iterations) & (change > config.tolerance)

    def iterate(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        b, psi, _, i = carry
        z, covariance = expect(x, observed, b, psi)
        new, psi = maximise(x, observed, z, covariance, b, psi, config)
        change = jnp.max(jnp.abs(new - b)) / jnp.maximum(jnp.max(jnp.abs(b)), 1e-6)
        return new, psi, change, i + 1

    first = (b, psi, jnp.asarray(jnp.inf, b.dtype), jnp.asarray(0))
    b, psi, _, _ = jax.lax.while_loop(unfinished, iterate, first)
    return b, psi


def expect(x: Array, observed: Array, b: Array, psi: Array) -> tuple[Array, Array]:
    """Return means [n, components] and covariances [n, components, components] of z given x.

    Args:
      x: [n, features], 0 where not measured.
      observed: [n, features], 1 where measured, else 0.
      b, psi: loadings [features, components] and noise variances [features].
    """
    scaled = b / psi[:, None]
    identity = jnp.eye(b.shape[1], dtype=b.dtype)

    def one(seen: Array) -> Array:
        return jnp.linalg.inv(identity + (b * seen[:, None]).T @ scaled)

    covariance = jax.lax.map(one, observed, batch_size=_AT_ONCE)
    return jnp.einsum("nij,nj->ni", covariance, x @ scaled), covariance


def maximise(
    x: Array, observed: Array, z: Array, covariance: Array, b: Array, psi: Array, config: Config
) -> tuple[Array, Array]:
    """Return loadings and noise variances that raise the penalised expected likelihood.

    Args:
      x, observed: as for `expect`.
      z, covariance: what it returned.
      b, psi: where to start from.
      config: penalty and number of sweeps.
    """
    components = b.shape[1]
    second = (covariance + z[:, :, None] * z[:, None, :]).reshape(len(z), -1)

    def one(own: tuple[Array, Array, Array, Array]) -> tuple[Array, Array]:
        values, seen, loadings, noise = own
        count = jnp.maximum(jnp.sum(seen), 1.0)
        squares = (seen @ second).reshape(components, components)
        products = values @ z
        threshold = config.penalty * count

        def coordinate(i: Array, loadings: Array) -> Array:
            k = i % components
            rest = products[k] - squares[k] @ loadings + squares[k, k] * loadings[k]
            small = jnp.sign(rest) * jnp.maximum(jnp.abs(rest) - threshold, 0.0)
            return loadings.at[k].set(small / jnp.maximum(squares[k, k], 1e-12))

        loadings = jax.lax.fori_loop(0, config.sweeps * components, coordinate, loadings)
        left = jnp.sum(values**2) - 2.0 * products @ loadings + loadings @ squares @ loadings
        return loadings, jnp.where(jnp.sum(seen) > 0, jnp.maximum(left / count, LEAST_NOISE), noise)

    return jax.lax.map(one, (x.T, observed.T, b, psi), batch_size=_AT_ONCE)


def embed(state: State, rows: np.ndarray) -> np.ndarray:
    """Return the posterior mean of z, [samples, components]."""
    observed = ~np.isnan(rows)
    parts = (np.where(observed, rows, 0.0), observed, state["b"], state["psi"])
    with jax.enable_x64(True):
        z, _ = expect(*(jnp.asarray(part, jnp.float64) for part in parts))
        return np.asarray(z)


def complete(state: State, rows: np.ndarray) -> np.ndarray:
    """Return B z in standard units."""
    return embed(state, rows) @ state["b"].T


METHOD = Method(
    name="icluster",
    paper="Shen et al. 2009, Bioinformatics 25:2906 (reimplementation, exact EM)",
    capabilities=Capabilities(latent=True, transform=True),
    config=Config(),
    learn=learn,
    complete=complete,
    embed=embed,
    published=Config(components=200),
    weights="b",
)
"""iCluster."""
