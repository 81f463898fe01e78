"""Shapley values, the yardstick: exact for a few features or groups, sampled beyond.

The players of the game are features or groups of features. A coalition S is worth

    v(S) = mean over background rows b of f(x where S, b elsewhere),

the interventional value function: features outside are drawn together from the background, without
looking at those inside. A player gets the mean of what it adds to v over all orders in which the
players can enter. Values sum to v(all) - v(none) = f(x) - mean f(b).
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.attribution.inputs import (
    Function,
    Tree,
    check_background,
    check_count,
    check_sample,
    element_numbers,
    named_leaves,
)
from jaxomics.attribution.path import Attribution, attribution, take
from jaxomics.attribution.quadrature import (
    balanced_rows,
    group_weights,
    grouped,
    mean_and_error,
    weighted_sums,
)
from jaxomics.errors import InputError
from jaxomics.types import Array, Key, Params

MAX_GROUPS = 16
"""Most players of an exact computation by default: 65,536 coalitions."""


class Players(NamedTuple):
    """Who plays.

    Attributes:
      labels: pytree like x of NumPy int arrays, the player of each feature.
      names: one per player where groups were named; empty otherwise.
      count: number of players.
      like_x: is each feature a player, so that values are shaped like x?
    """

    labels: Tree
    names: tuple[str, ...]
    count: int
    like_x: bool

    def values(self, flat: Array) -> Tree:
        """Return values [count] in the form of the question: like x, by name, or [count]."""
        if self.like_x:
            return jax.tree.map(lambda label: flat[label], self.labels)
        if self.names:
            return {name: flat[number] for number, name in enumerate(self.names)}
        return flat


def players_of(x: Tree, groups: Any = None) -> Players:
    """Return the players among the features of x.

    Args:
      x: sample.
      groups: None, each feature is a player; a mapping of names to masks, pytrees like x of bool;
        or labels, a pytree like x of int from 0.

    Raises:
      InputError: groups unlike x; a feature in no group or in several; a label without features.
    """
    if groups is None:
        labels, count = element_numbers(x)
        return Players(labels, (), count, like_x=True)
    if _are_named_masks(x, groups):
        return _named_players(x, groups)
    _check_like(x, groups, "groups")
    labels = jax.tree.map(lambda leaf: np.asarray(leaf), groups)
    found = np.unique(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(labels)]))
    if not np.issubdtype(found.dtype, np.integer) or not np.array_equal(
        found, np.arange(len(found))
    ):
        raise InputError(
            f"expected groups as labels 0, 1, 2, ... of every feature, found {found.tolist()[:20]}"
        )
    return Players(labels, (), len(found), like_x=False)


def exact_shapley(
    f: Function,
    params: Params,
    x: Tree,
    background: Tree,
    groups: Any = None,
    *,
    max_groups: int = MAX_GROUPS,
    chunk: int | None = 256,
) -> Attribution:
    """Return exact Shapley values (Shapley 1953) from all 2^players coalitions.

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      background: like x with a leading axis; at least two samples, all of which are used.
      groups: who plays, see `players_of`; None = every feature.
      max_groups: most players.
      chunk: coalitions at once, each of which takes as many evaluations as the background has
        samples; None = all.

    Returns:
      Values like x; with groups by name, or [players]. The gap is rounding.

    Raises:
      InputError: as `players_of`; too many players; x or background that cannot be explained.

    >>> found = exact_shapley(
    ...     lambda params, x: x[0] * x[1], None, jnp.array([2.0, 4.0]), jnp.zeros((2, 2))
    ... )
    >>> found.values.tolist()
    [4.0, 4.0]
    """
    x = check_sample(f, params, x)
    background, _ = check_background(x, background)
    players = players_of(x, groups)
    if players.count > max_groups:
        raise InputError(
            f"{players.count} players have 2^{players.count} coalitions; expected at most "
            f"{max_groups}: join features by `groups`, or take sampled_shapley"
        )
    coalitions = np.arange(2**players.count)[:, None] >> np.arange(players.count) & 1 == 1

    def worth(coalition: Array) -> Array:
        mixed = jax.vmap(lambda b: _mix(players, coalition, x, b))(background)
        return jnp.mean(jax.vmap(f, in_axes=(None, 0))(params, mixed))

    flat = weighted_sums(worth, coalitions, _shapley_weights(coalitions), chunk=chunk)
    baseline_output = worth(jnp.zeros(players.count, bool))
    return attribution(players.values(flat), f(params, x), baseline_output)


def sampled_shapley(
    f: Function,
    params: Params,
    x: Tree,
    background: Tree,
    groups: Any = None,
    *,
    key: Key,
    n_permutations: int = 256,
    antithetic: bool = True,
    chunk: int | None = 16,
) -> Attribution:
    """Return an unbiased estimate of Shapley values from random orders (Castro et al. 2009).

    In each order the players of one background row become those of x one by one; what the output
    changes is the player's. Rows are used equally often, as in `quadrature.draws`.

    Args:
      f: one output of one sample.
      params: parameters of f.
      x: sample.
      background: like x with a leading axis; at least two samples.
      groups: who plays, see `players_of`; None = every feature.
      key: of orders and rows.
      n_permutations: number of orders; even if antithetic.
      antithetic: each order is followed by its reverse (Mitchell et al. 2022), on the same row.
      chunk: orders at once, each of which takes players + 1 evaluations; None = all.

    Returns:
      Values as `exact_shapley`, with their standard errors. They sum to the difference from the
      rows drawn, so that the gap is rounding.

    Raises:
      InputError: as `exact_shapley`; too few orders, or an odd number of antithetic ones.
    """
    x = check_sample(f, params, x)
    background, size = check_background(x, background)
    players = players_of(x, groups)
    check_count("n_permutations", n_permutations, 2)
    if antithetic and n_permutations % 2:
        raise InputError(
            f"antithetic orders come in pairs: expected an even number, found {n_permutations}"
        )
    copies = 2 if antithetic else 1
    group = grouped(n_permutations // copies)
    row_key, order_key = jax.random.split(key)
    rows = balanced_rows(row_key, len(group), size)

    def term(draw: tuple[Array, Key]) -> tuple[Array, Array]:
        row, one = draw
        rank = jax.random.permutation(one, players.count)
        ranks = [rank, players.count - 1 - rank][:copies]
        start = take(background, row)
        steps = [_contributions(f, params, players, x, start, rank) for rank in ranks]
        return jnp.mean(jnp.stack(steps), axis=0), f(params, start)

    keys = jax.random.split(order_key, len(group))
    pairs = None if chunk is None else max(chunk // copies, 1)
    sums = weighted_sums(term, (rows, keys), group_weights(group), chunk=pairs)
    (flat, baseline_output), (stderr, _) = mean_and_error(sums, group)
    return attribution(players.values(flat), f(params, x), baseline_output, players.values(stderr))


def _contributions(
    f: Function, params: Params, players: Players, x: Tree, start: Tree, rank: Array
) -> Array:
    """Return what each player [count] adds when they enter in the order of their ranks."""
    entered = jnp.arange(players.count + 1)[:, None] > rank[None]
    outputs = jax.vmap(lambda coalition: f(params, _mix(players, coalition, x, start)))(entered)
    return jnp.diff(outputs)[rank]


def _mix(players: Players, coalition: Array, x: Tree, b: Tree) -> Tree:
    """Return x where the coalition, bool [count], plays and b elsewhere."""
    return jax.tree.map(
        lambda label, end, start: jnp.where(coalition[label], end, start), players.labels, x, b
    )


def _shapley_weights(coalitions: np.ndarray) -> np.ndarray:
    """Return the weight [coalitions, players] of every worth in every player's value.

    A coalition S of s out of n players adds (s-1)! (n-s)! / n! of its worth to its members, and
    takes s! (n-s-1)! / n! of it from the others.
    """
    n = coalitions.shape[1]
    size = coalitions.sum(axis=1)
    inside = np.array([0.0, *[1.0 / (s * math.comb(n, s)) for s in range(1, n + 1)]])
    outside = np.array([*[1.0 / ((n - s) * math.comb(n, s)) for s in range(n)], 0.0])
    return np.where(coalitions, inside[size][:, None], -outside[size][:, None])


def _are_named_masks(x: Tree, groups: Any) -> bool:
    """Is this a mapping of names to masks, and not labels of a sample that is a mapping itself?"""
    if not isinstance(groups, Mapping):
        return False
    return all(
        jax.tree.structure(mask) == jax.tree.structure(x)
        and all(np.asarray(leaf).dtype == bool for leaf in jax.tree.leaves(mask))
        for mask in groups.values()
    )


def _named_players(x: Tree, groups: Mapping[str, Tree]) -> Players:
    """Return players from masks that divide the features among them."""
    for name, mask in groups.items():
        _check_like(x, mask, f"group {name!r}")
    masks = [jax.tree.map(lambda leaf: np.asarray(leaf), mask) for mask in groups.values()]
    members = jax.tree.map(lambda *leaves: np.sum(leaves, axis=0), *masks)
    for leaf, count in named_leaves(members).items():
        if (count != 1).any():
            raise InputError(
                f"expected every feature in one group; of {leaf!r}, {int((count == 0).sum())} "
                f"are in none and {int((count > 1).sum())} in several"
            )
    labels = jax.tree.map(lambda *leaves: np.argmax(leaves, axis=0), *masks)
    return Players(labels, tuple(groups), len(masks), like_x=False)


def _check_like(x: Tree, groups: Tree, what: str) -> None:
    """Raise InputError unless groups have the leaves and shapes of x."""
    expected = {name: np.shape(leaf) for name, leaf in named_leaves(x).items()}
    found = {name: np.shape(leaf) for name, leaf in named_leaves(groups).items()}
    if expected != found:
        raise InputError(f"{what}: expected arrays like x, {expected}; found {found}")
