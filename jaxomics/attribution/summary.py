"""Explaining many samples in a stream: totals over samples, without keeping what they sum.

For each sample the attributions phi [outputs, features] of all outputs are estimated from a few
groups of points (`Plan`); what is kept of them are sums over samples (`Totals`) and a few numbers
per sample and output (`Account`). Groups give the sampling error, members of an ensemble take
turns at the draws, and samples draw independently, each with a key of its own: the result does
not depend on which device explains which sample.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.inputs import check_count
from jaxomics.attribution.jacobian import Bottleneck, Inputs, Points, by_latent, by_outputs
from jaxomics.attribution.quadrature import draws, nodes
from jaxomics.attribution.targets import Network
from jaxomics.errors import InputError, unknown
from jaxomics.types import Array, Key, Views

Method = Literal["expected", "integrated", "smooth", "gradient"]
METHODS: tuple[Method, ...] = ("expected", "integrated", "smooth", "gradient")
GROUPS = 8
"""Groups of draws that give the sampling error, over all members."""
Way = Literal["latent", "outputs"]


@dataclass(frozen=True)
class Plan:
    """How the attributions of one sample are taken.

    Attributes:
      method: `expected` gradients from a background; `integrated` gradients from the background's
        mean; `smooth` gradients; or the `gradient` at the sample.
      draws: points per sample, over all members of an ensemble together; nodes of `integrated`.
      stratified, antithetic: how `expected` draws (`quadrature.draws`).
      rule: nodes of `integrated` (`quadrature.nodes`).
      noise: standard deviation of `smooth`, in standard units.
      members: networks of the ensemble.
    """

    method: Method = "expected"
    draws: int = 256
    stratified: bool = True
    antithetic: bool = False
    rule: str = "gauss"
    noise: float = 0.2
    members: int = 1

    def __post_init__(self) -> None:
        """Check the settings."""
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        least = 2 * self.members if self.sampled else 1
        if self.method != "gradient":
            check_count(f"draws for {self.members} members", self.draws, least)
        if self.noise <= 0:
            raise InputError(f"expected noise above 0, found {self.noise}")

    @property
    def sampled(self) -> bool:
        """Are there draws, and a sampling error?"""
        return self.method in ("expected", "smooth")

    @property
    def paired(self) -> bool:
        """Do draws come in pairs?"""
        return self.antithetic and self.method == "expected"

    @property
    def groups(self) -> int:
        """Number of groups per member; 1 where nothing is drawn."""
        if not self.sampled:
            return 1
        most = max(2, -(-GROUPS // self.members))
        each = -(-self.draws // self.members) // (2 if self.paired else 1)
        return max(g for g in range(1, most + 1) if g == 1 or each >= g)

    @property
    def points(self) -> int:
        """Number of points per group: draws are rounded up to whole groups, and pairs."""
        if self.method == "gradient":
            return 1
        if self.method == "integrated":
            return self.draws
        unit = self.members * self.groups * (2 if self.paired else 1)
        return -(-self.draws // unit) * (2 if self.paired else 1)


class Question(NamedTuple):
    """What is explained: outputs in blocks, one block per target, latents first.

    Attributes:
      bottleneck: writes the outputs of targets that a decoder writes.
      latents: int [k], entries of z that are outputs; by_latent needs all of them, or none.
      blocks: (first, behind last) output of each target.
      way: through the latent, or output by output.
    """

    bottleneck: Bottleneck
    latents: np.ndarray
    blocks: tuple[tuple[int, int], ...]
    way: Way

    @property
    def outputs(self) -> int:
        """Number of outputs."""
        return self.blocks[-1][1]

    def whole(self, network: Network, x: Inputs) -> Array:
        """Return all outputs of a sample."""
        parts = []
        if len(self.latents):
            parts.append(self.bottleneck.encode(network, x)[self.latents])
        if self.bottleneck.outputs:
            parts.append(self.bottleneck.whole(network, x))
        return jnp.concatenate(parts)


class Samples(NamedTuple):
    """The samples at hand, as a target's function reads them.

    Attributes:
      x: [n, features] per view, conditionals among them.
      observed: bool [n, features] per view; one row where all samples count as measured whole.
      background: int [b], rows of x that are baselines.
    """

    x: Inputs
    observed: Views
    background: Array


class Totals(NamedTuple):
    """Sums over samples, per view; they add up over devices and groups of samples.

    Attributes:
      absolute: sum of |phi| [outputs, features].
      signed: sum of phi [outputs, features].
      variance: sum of the sampling variances of phi [outputs, features].
      square: sum of phi^2 [outputs, features].
      product: sum of each member's phi x [members, outputs, features]. Correlation of phi with x
        tells the direction: phi itself averages to about 0 where samples are explained against
        each other.
      by_member: sum over samples and a block's outputs of each member's |phi|,
        [members, blocks, features].
      block_variance: sampling variance of the sum over samples and a block's outputs of |phi|,
        [blocks, features], to first order.
    """

    absolute: Inputs
    signed: Inputs
    variance: Inputs
    square: Inputs
    product: Inputs
    by_member: Inputs
    block_variance: Inputs


class Account(NamedTuple):
    """Of each sample and output [n, outputs]: what is explained, and how much of it is.

    Attributes:
      output: the mean over members.
      baseline_output: mean over the baselines drawn.
      total: sum of phi over all features.
      values: phi [n, features] per view, for a question with one output; else None.
    """

    output: Array
    baseline_output: Array
    total: Array
    values: Inputs | None


def draw_points(plan: Plan, key: Key, x: Inputs, background: Inputs) -> tuple[Points, Inputs]:
    """Return the points [members, groups, points, ...] of one sample, and the baselines drawn.

    Args:
      plan: how.
      key: of the sample.
      x: the sample.
      background: [b, features] per view.

    Returns:
      Points whose weights sum to 1 in each group; baselines [members, groups, points, features].
    """
    shape = (plan.members, plan.groups, plan.points)
    count = plan.groups * plan.points
    dtype = jnp.result_type(*jax.tree.leaves(x))
    ones = jax.tree.map(lambda leaf: jnp.ones((*shape, *leaf.shape), leaf.dtype), x)
    here = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (*shape, *leaf.shape)), x)
    weight = jnp.full(shape, 1.0 / plan.points, dtype)
    if plan.method == "gradient":
        return Points(here, ones, weight), here
    if plan.method == "smooth":
        names = list(x)
        keys = dict(zip(names, jax.random.split(key, len(names)), strict=True))
        noisy = {
            n: v + plan.noise * jax.random.normal(keys[n], v.shape, dtype) for n, v in here.items()
        }
        return Points(noisy, ones, weight), here
    if plan.method == "integrated":
        t, w = (jnp.asarray(values, dtype) for values in nodes(plan.rule, plan.points))
        start = jax.tree.map(
            lambda leaf: jnp.broadcast_to(jnp.mean(leaf, 0), (*shape, leaf.shape[1])), background
        )
        t, weight = jnp.broadcast_to(t, shape), jnp.broadcast_to(w, shape)
    else:
        size = len(next(iter(background.values())))
        rows, t = jax.vmap(
            lambda k: draws(k, count, size, stratified=plan.stratified, antithetic=plan.paired)[:2]
        )(jax.random.split(key, plan.members))
        rows, t = rows.reshape(shape), t.reshape(shape).astype(dtype)
        start = jax.tree.map(lambda leaf: leaf[rows], background)
    step = jax.tree.map(jnp.subtract, here, start)
    at = jax.tree.map(lambda b, d: b + t[..., None] * d, start, step)
    return Points(at, step, weight), start


def explain_one(
    asked: Question,
    plan: Plan,
    networks: Network,
    x: Inputs,
    background: Inputs,
    key: Key,
    active: Views | None,
    chunk: int | None,
) -> tuple[Totals, Account]:
    """Return what one sample adds to the totals, and its account [1, outputs].

    Args:
      asked: the question.
      plan: how to take attributions.
      networks: members along the leading axis of the parameters; this sample's measured entries.
      x: the sample.
      background: baselines [b, features] per view.
      key: of the sample.
      active: per part of the inputs whether it may matter; None = all may.
      chunk: points, or outputs, at once.
    """
    points, start = draw_points(plan, key, x, background)

    def member(number: Array) -> Network:
        params, collections = jax.tree.map(
            lambda leaf: leaf[number], (networks.params, networks.collections)
        )
        return Network(params, collections, networks.observed)

    def group(item: tuple[Array, Points, Inputs]) -> tuple[Inputs, Array]:
        number, part, baselines = item
        network = member(number)
        if asked.way == "latent":
            found = by_latent(
                asked.bottleneck, network, part,
                latents=len(asked.latents) > 0, active=active, chunk=chunk,
            )  # fmt: skip
        else:
            found = by_outputs(asked.whole, network, part, chunk=chunk)
        at_start = jax.vmap(asked.whole, (None, 0))(network, baselines)
        return found, part.weight @ at_start

    numbers = jnp.repeat(jnp.arange(plan.members), plan.groups)
    flat = jax.tree.map(
        lambda leaf: leaf.reshape(leaf.shape[0] * leaf.shape[1], *leaf.shape[2:]), (points, start)
    )
    phi, at_start = jax.lax.map(group, (numbers, *flat))
    split = (plan.members, plan.groups)
    phi = jax.tree.map(lambda leaf: leaf.reshape(*split, *leaf.shape[1:]), phi)
    output = jnp.mean(
        jax.vmap(lambda number: asked.whole(member(number), x))(jnp.arange(plan.members)), axis=0
    )
    own = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=1), phi)
    mean = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), own)
    totals = Totals(
        absolute=jax.tree.map(jnp.abs, mean),
        signed=mean,
        variance=jax.tree.map(lambda leaf: _variance(leaf, plan), phi),
        square=jax.tree.map(jnp.square, mean),
        product=jax.tree.map(lambda leaf, value: leaf * value[None, None], own, x),
        by_member=jax.tree.map(lambda leaf: _by_block(asked, jnp.abs(leaf)), own),
        block_variance=jax.tree.map(
            lambda leaf, center: _variance(
                _by_block(asked, leaf * jnp.sign(center)[None, None]), plan
            ),
            phi,
            mean,
        ),
    )
    total = sum((jnp.sum(leaf, axis=1) for leaf in mean.values()), jnp.zeros(asked.outputs))
    values = jax.tree.map(lambda leaf: leaf, mean) if asked.outputs == 1 else None
    account = Account(output[None], jnp.mean(at_start, axis=0)[None], total[None], values)
    return totals, account


def _by_block(asked: Question, values: Array) -> Array:
    """Return sums over the outputs of each block: [..., outputs, f] to [..., blocks, f]."""
    parts = [jnp.sum(values[..., a:b, :], axis=-2, keepdims=True) for a, b in asked.blocks]
    return jnp.concatenate(parts, axis=-2)


def _variance(values: Array, plan: Plan) -> Array:
    """Return the sampling variance of the mean over members and groups of [members, groups, ...].

    Members are strata: what differs between networks is no sampling error. NaN without draws.
    """
    if plan.groups < 2:
        return jnp.full(values.shape[2:], jnp.nan, values.dtype)
    within = jnp.var(values, axis=1, ddof=1) / plan.groups
    return jnp.sum(within, axis=0) / plan.members**2


def make_strip(
    asked: Question, plan: Plan, *, absent: bool, silent: bool = False, chunk: int | None
) -> Callable[..., tuple[Totals, Account]]:
    """Return the function that explains some samples one after the other.

    It maps (networks, samples, rows [k], key) to totals and accounts [k, outputs]; a row of -1
    is skipped.

    Args:
      asked: the question.
      plan: how.
      absent: unobserved entries stay unobserved and count for nothing; otherwise they are zeros
        like others.
      silent: encoders of views without any observed entry say nothing, so that, with `absent`,
        these views are skipped.
      chunk: see `explain_one`.
    """

    def strip(networks: Network, samples: Samples, rows: Array, key: Key):
        background = jax.tree.map(lambda leaf: leaf[samples.background], samples.x)

        def one(row: Array) -> tuple[Totals, Account]:
            x = jax.tree.map(lambda leaf: leaf[row], samples.x)
            at = jnp.where(absent, row, 0)
            observed = {name: mask[at] for name, mask in samples.observed.items()}
            active = None
            if absent and silent:
                active = {name: jnp.any(mask) for name, mask in observed.items()}
            return explain_one(
                asked, plan, networks._replace(observed=observed), x, background,
                jax.random.fold_in(key, row), active, chunk,
            )  # fmt: skip

        one = jax.jit(one)  # traced once for the shape and for the loop
        shapes = jax.eval_shape(one, rows[0])
        nothing = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def add(totals: Totals, row: Array) -> tuple[Totals, Account]:
            found, account = jax.lax.cond(row >= 0, one, lambda _: nothing, row)
            return jax.tree.map(jnp.add, totals, found), account

        totals, accounts = jax.lax.scan(add, nothing[0], rows)
        return totals, jax.tree.map(lambda leaf: leaf.reshape(len(rows), -1), accounts)

    return strip
