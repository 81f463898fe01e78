"""Survival by multi-task logistic regression, with right censoring.

Yu et al., "Learning Patient-Specific Cancer Survival Distributions as a Sequence of Dependent
Regressors", NeurIPS 2011; on a latent: Zhang et al. (OmiEmbed), Cancers 2021,
doi 10.3390/cancers13123047.

Time is cut at T edges tau_1 < ... < tau_T into T + 1 intervals, and a head gives T scores o.
Interval j has the unnormalised log-density

    phi_j = o_j + ... + o_T,  phi_{T+1} = 0            log p_j = phi_j - logsumexp(phi)
    event in interval k: log p_k
    censored a share f into interval k: log((1 - f) p_k + p_{k+1} + ... + p_{T+1})
    S(tau_j) = p_{j+1} + ... + p_{T+1}                 H(tau_j) = -log S(tau_j)

with events spread evenly over an interval. Everything stays a logarithm until the end: sums of
hundreds of scores overflow float32 when exponentiated.

Deviations: the published likelihood has f = 0, which forgets that a sample was followed through a
part of its interval; where intervals are wide and censoring is heavy, survival comes out too low.
The published code takes for the hazard of an interval the odds p_j / S(tau_j), which
overflow where survival ends; here the cumulative hazard is -log S, equal where hazards are small.
"""

import jax
import jax.numpy as jnp

from jaxomics.losses.masked import masked_mean
from jaxomics.types import Array


def log_density(scores: Array) -> Array:
    """Return the log-probability of each interval, [b, T + 1].

    Args:
      scores: o of the equations, [b, T].

    >>> jnp.exp(log_density(jnp.zeros((1, 3)))).round(3).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    sums = jnp.cumsum(scores[:, ::-1], axis=1)[:, ::-1]
    return jax.nn.log_softmax(jnp.pad(sums, ((0, 0), (0, 1))), axis=1)


def log_survival(scores: Array) -> Array:
    """Return log S at each edge, [b, T]; falls from edge to edge.

    Args:
      scores: [b, T].
    """
    return jax.lax.cumlogsumexp(log_density(scores), axis=1, reverse=True)[:, 1:]


def survival_curve(scores: Array) -> Array:
    """Return the probability of surviving each edge, [b, T].

    Args:
      scores: [b, T].
    """
    return jnp.exp(jnp.minimum(log_survival(scores), 0.0))


def mtlr_loss(scores: Array, position: Array, event: Array, weight: Array) -> Array:
    """Return the mean negative log-likelihood; 0 where there is no weight.

    Args:
      scores: [b, T].
      position: [b], number of the interval of the event or of the last observation, from 0, and
        the share of the interval that had passed by then; whole numbers are as published.
      event: [b], 1 = event, 0 = right-censored.
      weight: [b], 0 leaves a sample out, as where time or event is unknown.
    """
    log_p = log_density(scores)
    number = jnp.arange(log_p.shape[1])[None]
    interval = jnp.floor(position)
    own, later = number == interval[:, None], number > interval[:, None]
    censored = event == 0
    left = jnp.where(censored, 1.0 - (position - interval), 1.0)
    share = own * left[:, None] + (later & censored[:, None])
    possible = jnp.where(share > 0, log_p, -jnp.inf)
    likelihood = jax.nn.logsumexp(possible, axis=1, b=share)
    return -masked_mean(likelihood, weight)


def risk(scores: Array) -> Array:
    """Return a risk score [b]: the sum of the cumulative hazard over the edges.

    Larger means earlier events. Finite, and ordered, where survival itself underflows.

    Args:
      scores: [b, T].
    """
    return -jnp.sum(log_survival(scores), axis=1)
