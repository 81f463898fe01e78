"""Variational updates of MOFA, and the bound that they raise. All of it is traced.

Argelaguet et al. 2018, Molecular Systems Biology 14:e8124, and 2020, Genome Biology 21:111:

    y_nd = sum_k z_nk w_dk + noise of precision tau_d,     z_nk ~ N(0, 1)
    w_dk = s_dk v_dk,  s_dk ~ Bernoulli(theta_mk),  v_dk ~ N(0, 1 / alpha_mk)      m: the view of d

with q(z) q(s, v) q(alpha) q(theta) q(tau). One factor after the other is renewed given all others,
which takes the residual without that factor. The residual S is kept and changed by what a factor
changed, so a pass over all K factors costs K N D, where computing it anew would cost K K N D.
Factors move in blocks: inside a block their effect on each other goes through sums of products of
factors, and S is read and written once per block.

Views of zeros and ones have a logistic likelihood under the bound of Jaakkola and Jordan 2000: each
cell becomes a Gaussian one of precision 2 lambda(xi), whose target is (y - 1/2) / (2 lambda(xi)).
So every cell has a weight: 0 where not measured, 2 lambda in such views, else 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betaln, digamma, gammaln

from jaxomics.types import Array

BLOCK = 8
"""Factors per block."""

_FIRST, _SECOND = np.triu_indices(BLOCK)
_PLACE = np.zeros((BLOCK, BLOCK), int)
_PLACE[_FIRST, _SECOND] = _PLACE[_SECOND, _FIRST] = np.arange(len(_FIRST))
"""Pairs of factors in a block, each once, and where the product of a pair stands."""

Spans = tuple[tuple[int, int], ...]
"""First column and the one behind the last, of some views. Static."""

ALPHA_PRIOR = 1e-14
TAU_PRIOR = 1e-3
"""Shape and rate of the gamma priors of alpha and tau."""


class Cells(NamedTuple):
    """The data.

    Attributes:
      target: [n, d]: the value; y - 1/2 in views of zeros and ones; 0 where not measured.
      observed: [n, d], 1 where measured, else 0.
      views: [views, d], 1 where the feature belongs to the view.
    """

    target: Array
    observed: Array
    views: Array


class Beliefs(NamedTuple):
    """Moments of q, and parameters where moments are not enough.

    Attributes:
      z, z_variance: [n, factors].
      w, w_square, slab_square: means of w, w^2 and v^2, [d, factors].
      share, slab_variance: probability of s, and the variance of v where s is 1, [d, factors].
      spike_precision: of v where s is 0, [views, factors].
      alpha_rate, theta_on, theta_off: of the gamma of alpha and the beta of theta,
        [views, factors].
      tau, tau_rate: mean and rate of tau, [d].
      active: [factors], 1, or 0 for a factor that was dropped.
    """

    z: Array
    z_variance: Array
    w: Array
    w_square: Array
    slab_square: Array
    share: Array
    slab_variance: Array
    spike_precision: Array
    alpha_rate: Array
    theta_on: Array
    theta_off: Array
    tau: Array
    tau_rate: Array
    active: Array


def first_beliefs(cells: Cells, z: Array) -> Beliefs:
    """Return the start: given factors [n, factors], no weights, unit precisions."""
    n, factors = z.shape
    views, d = cells.views.shape
    zero, half = jnp.zeros((d, factors), z.dtype), jnp.full((d, factors), 0.5, z.dtype)
    per_view, per_feature = jnp.ones((views, factors), z.dtype), jnp.ones(d, z.dtype)
    rates = _alpha_shape(cells)[:, None] * per_view
    return Beliefs(
        z, jnp.ones((n, factors), z.dtype), zero, zero, zero + 1.0, half, zero + 1.0, per_view,
        rates, per_view, per_view, per_feature, per_feature, per_view[0],
    )  # fmt: skip


def renew(cells: Cells, q: Beliefs, binary: Spans) -> tuple[Beliefs, Array]:
    """Renew all of q once; return it with the bound (ELBO), which is not lower than before.

    Args:
      cells: the data.
      q: where to start from; the number of factors is a multiple of `BLOCK`.
      binary: columns of the views of zeros and ones.
    """
    weight = cell_weights(cells, q, binary)
    residual = cells.target - weight * (q.z @ q.w.T)
    q, residual = _renew_weights(cells, weight, residual, q)
    q = _renew_priors(cells, q)
    q, residual = _renew_factors(weight, residual, q)
    expected = _expected_squares(weight, residual, q)
    q = _renew_noise(cells, q, expected, binary)
    return q, bound(cells, q, expected, binary)


def slices(spans: Spans) -> list[slice]:
    """Return spans as slices."""
    return [slice(*span) for span in spans]


def cell_weights(cells: Cells, q: Beliefs, binary: Spans) -> Array:
    """Return the weight of every cell, [n, d]; see the head of the file."""
    weight = cells.observed
    for columns in slices(binary):
        square = _second_moment(q, columns)
        weight = weight.at[:, columns].multiply(2.0 * local_precision(jnp.sqrt(square)))
    return weight


def local_precision(xi: Array) -> Array:
    """Return lambda(xi) = tanh(xi / 2) / (4 xi), 1/8 at 0.

    >>> float(local_precision(jnp.zeros(())))
    0.125
    """
    safe = jnp.maximum(xi, 1e-6)
    return jnp.where(xi > 1e-6, jnp.tanh(safe / 2.0) / (4.0 * safe), 0.125)


def explained(cells: Cells, q: Beliefs, weight: Array) -> Array:
    """Return the share of each view's variance that each factor explains, [views, factors]."""
    overlap = (cells.target.T @ q.z) * q.w
    own = (weight.T @ q.z**2) * q.w**2
    total = jnp.sum(cells.target**2 / jnp.where(weight > 0, weight, 1.0), axis=0)
    return cells.views @ (2.0 * overlap - own) / jnp.maximum(cells.views @ total, 1e-30)[:, None]


def _renew_weights(
    cells: Cells, weight: Array, residual: Array, q: Beliefs
) -> tuple[Beliefs, Array]:
    """Renew q(s, v), all features at once, one factor after the other."""
    z_square = _z_square(q)
    per_view = _alpha_shape(cells)[:, None] / q.alpha_rate
    alpha = cells.views.T @ per_view
    odds = cells.views.T @ (digamma(q.theta_on) - digamma(q.theta_off))
    precision = q.tau[:, None] * (weight.T @ z_square)
    given = {
        "alpha": alpha,
        "odds": odds,
        "precision": precision,
        "tau": jnp.broadcast_to(q.tau[:, None], odds.shape),
    }

    def mean(pull: Array, own: Any) -> Array:
        share, _, slab = _spike_and_slab(pull, own)
        return share * slab

    w, pull, residual = _sweep(residual, weight, q.w, q.z, q.z, given, mean, axis=0)
    share, variance, slab = _spike_and_slab(pull, given)
    second = share * (slab**2 + variance)
    new = q._replace(
        w=w,
        w_square=second * q.active[None],
        slab_square=second + (1.0 - share) / alpha,
        share=share,
        slab_variance=variance,
        spike_precision=per_view,
    )
    return new, residual


def _spike_and_slab(pull: Array, own: Any) -> tuple[Array, Array, Array]:
    """Return the probability of s, and variance and mean of v where s is 1."""
    variance = 1.0 / (own["precision"] + own["alpha"])
    mean = variance * own["tau"] * pull
    log_odds = own["odds"] + 0.5 * jnp.log(own["alpha"] * variance) + 0.5 * mean**2 / variance
    return jax.nn.sigmoid(log_odds), variance, mean


def _renew_priors(cells: Cells, q: Beliefs) -> Beliefs:
    """Renew q(alpha) and q(theta)."""
    on = cells.views @ q.share
    return q._replace(
        alpha_rate=ALPHA_PRIOR + 0.5 * cells.views @ q.slab_square,
        theta_on=1.0 + on,
        theta_off=1.0 + jnp.sum(cells.views, axis=1)[:, None] - on,
    )


def _renew_factors(weight: Array, residual: Array, q: Beliefs) -> tuple[Beliefs, Array]:
    """Renew q(z), all samples at once, one factor after the other."""
    precision = 1.0 + weight @ (q.tau[:, None] * q.w_square)
    z, _, residual = _sweep(
        residual, weight, q.z, q.w, q.tau[:, None] * q.w, precision,
        lambda pull, own: pull / own, axis=1,
    )  # fmt: skip
    return q._replace(z=z, z_variance=1.0 / precision), residual


def _sweep(
    residual: Array,
    weight: Array,
    moving: Array,
    fixed: Array,
    scaled: Array,
    given: Any,
    renewed: Callable[[Array, Any], Array],
    *,
    axis: int,
) -> tuple[Array, Array, Array]:
    """Renew the means of one side, one factor after the other, and the residual with them.

    Args:
      residual: S, weighted, [n, d].
      weight: of the cells, [n, d].
      moving: [m, factors], m = d for axis 0 and n for axis 1.
      fixed: the other side, [o, factors].
      scaled: what the residual is projected on, [o, factors]: `fixed`, times the noise precision
        where the sum is over features.
      given: arrays [m, factors] that `renewed` reads.
      renewed: (pull of the residual without the factor [m], entries of `given` [m]) -> [m].
      axis: of S that the pull sums over.

    Returns:
      The new means, the pulls that they came from, and the new S.
    """

    def over(factors: Array, matrix: Array) -> Array:
        return jax.lax.dot_general(factors, matrix, (((1,), (axis,)), ((), ())))

    def block(residual: Array, own: Any) -> tuple[Array, Any]:
        old, fixed, scaled, given = own
        cross = over(fixed[_FIRST] * scaled[_SECOND], weight)[_PLACE]

        def one(pull: Array, own: Any) -> tuple[Array, Any]:
            k, old, cross, given = own
            alone = pull[k] + old * cross[k]
            value = renewed(alone, given)
            return pull - (value - old)[None] * cross, (value, alone)

        steps = (jnp.arange(BLOCK), old, cross, given)
        _, (new, pulls) = jax.lax.scan(one, over(scaled, residual), steps)
        change = fixed.T @ (new - old) if axis == 0 else (new - old).T @ fixed
        return residual - weight * change, (new, pulls)

    blocks = jax.tree.map(_in_blocks, (moving, fixed, scaled, given))
    residual, (new, pulls) = jax.lax.scan(block, residual, blocks)
    return _whole(new), _whole(pulls), residual


def _in_blocks(columns: Array) -> Array:
    """Return [m, factors] as [blocks, BLOCK, m]."""
    return columns.T.reshape(-1, BLOCK, len(columns))


def _whole(blocks: Array) -> Array:
    """Return [blocks, BLOCK, m] as [m, factors]."""
    return blocks.reshape(-1, blocks.shape[2]).T


def _renew_noise(cells: Cells, q: Beliefs, expected: Array, binary: Spans) -> Beliefs:
    """Renew q(tau); in views of zeros and ones the precision is in the weights, and tau is 1."""
    rate = TAU_PRIOR + 0.5 * expected
    tau = (TAU_PRIOR + 0.5 * jnp.sum(cells.observed, axis=0)) / rate
    for columns in slices(binary):
        tau = tau.at[columns].set(1.0)
    return q._replace(tau=tau, tau_rate=rate)


def _expected_squares(weight: Array, residual: Array, q: Beliefs) -> Array:
    """Return the weighted sum over samples of <(y - z w)^2>, [d], for weights of 0 and 1."""
    spread = (weight.T @ _z_square(q)) * q.w_square - (weight.T @ q.z**2) * q.w**2
    return jnp.sum(residual**2, axis=0) + jnp.sum(spread, axis=1)


def bound(cells: Cells, q: Beliefs, expected: Array, binary: Spans) -> Array:
    """Return the ELBO, a scalar.

    Args:
      cells, q: data and beliefs.
      expected: what `_expected_squares` returns.
      binary: columns of the views of zeros and ones.
    """
    count = jnp.sum(cells.observed, axis=0)
    shape = TAU_PRIOR + 0.5 * count
    log_tau = digamma(shape) - jnp.log(q.tau_rate)
    gaussian = 0.5 * count * (log_tau - jnp.log(2 * jnp.pi)) - 0.5 * q.tau * expected
    gaussian -= _gamma_divergence(shape, q.tau_rate, TAU_PRIOR)
    counted = jnp.ones_like(gaussian)
    for columns in slices(binary):
        counted = counted.at[columns].set(0.0)
    logistic = sum(
        (_logistic_bound(cells, q, columns) for columns in slices(binary)), jnp.zeros(())
    )
    factors = 0.5 * jnp.sum(q.active[None] * (1.0 + jnp.log(q.z_variance) - _z_square(q)))
    return jnp.sum(counted * gaussian) + logistic + factors + _weights_bound(cells, q)


def _weights_bound(cells: Cells, q: Beliefs) -> Array:
    """Return the terms of s, v, alpha and theta."""
    shape = _alpha_shape(cells)[:, None]
    log_alpha = cells.views.T @ (digamma(shape) - jnp.log(q.alpha_rate))
    alpha = cells.views.T @ (shape / q.alpha_rate)
    log_spike = cells.views.T @ jnp.log(q.spike_precision)
    both = digamma(q.theta_on + q.theta_off)
    log_on = cells.views.T @ (digamma(q.theta_on) - both)
    log_off = cells.views.T @ (digamma(q.theta_off) - both)
    off = 1.0 - q.share
    slab = 0.5 * (log_alpha - alpha * q.slab_square + 1.0)
    slab += 0.5 * (q.share * jnp.log(q.slab_variance) - off * log_spike)
    switch = q.share * (log_on - _safe_log(q.share)) + off * (log_off - _safe_log(off))
    divergence = _gamma_divergence(shape, q.alpha_rate, ALPHA_PRIOR)
    divergence += _beta_divergence(q.theta_on, q.theta_off)
    return jnp.sum(q.active[None] * (slab + switch)) - jnp.sum(q.active[None] * divergence)


def _logistic_bound(cells: Cells, q: Beliefs, columns: slice) -> Array:
    """Return the bound on the log-likelihood of a view of zeros and ones, at its best xi."""
    observed, target = cells.observed[:, columns], cells.target[:, columns]
    xi = jnp.sqrt(_second_moment(q, columns))
    best = jax.nn.log_sigmoid(xi) - 0.5 * xi
    return jnp.sum(observed * best) + jnp.sum(target * (q.z @ q.w[columns].T))


def _second_moment(q: Beliefs, columns: slice) -> Array:
    """Return <(z w)^2> of some features, [n, columns]."""
    w, square = q.w[columns], q.w_square[columns]
    return (q.z @ w.T) ** 2 + _z_square(q) @ square.T - q.z**2 @ (w**2).T


def _z_square(q: Beliefs) -> Array:
    """Return <z^2>, [n, factors], 0 for factors that were dropped."""
    return (q.z**2 + q.z_variance) * q.active[None]


def _alpha_shape(cells: Cells) -> Array:
    """Return the shape of q(alpha), [views]."""
    return ALPHA_PRIOR + 0.5 * jnp.sum(cells.views, axis=1)


def _safe_log(x: Array) -> Array:
    """Return log x, 0 for x = 0."""
    return jnp.log(jnp.where(x > 0, x, 1.0))


def _gamma_divergence(shape: Array, rate: Array, prior: float) -> Array:
    """Return KL(Gamma(shape, rate), Gamma(prior, prior))."""
    return (
        (shape - prior) * digamma(shape) - gammaln(shape) + gammaln(prior)
        + prior * (jnp.log(rate) - jnp.log(prior)) + shape * (prior - rate) / rate
    )  # fmt: skip


def _beta_divergence(on: Array, off: Array) -> Array:
    """Return KL(Beta(on, off), Beta(1, 1))."""
    return (
        -betaln(on, off) + (on - 1.0) * digamma(on) + (off - 1.0) * digamma(off)
        - (on + off - 2.0) * digamma(on + off)
    )  # fmt: skip
