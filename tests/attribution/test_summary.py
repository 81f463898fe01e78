"""What one sample adds to the totals: the estimator of `path`, in groups, members as strata."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.attribution.jacobian import Bottleneck
from jaxomics.attribution.path import (
    expected_gradients,
    expected_gradients_at,
    gradient,
    integrated_gradients,
)
from jaxomics.attribution.quadrature import Draws, draws
from jaxomics.attribution.summary import (
    Plan,
    Question,
    Samples,
    draw_points,
    explain_one,
    make_strip,
)
from jaxomics.attribution.targets import Network
from jaxomics.engine.devices import make_layout
from jaxomics.errors import InputError

SIZES = {"rna": 4, "conditionals": 2}
LATENT, OUTPUTS = 2, 3


def encode(network: Network, x: Any) -> jax.Array:
    return jnp.tanh(sum(x[name] @ network.params[name] for name in SIZES))


def decode(network: Network, z: Any, side: Any) -> jax.Array:
    beside = side["conditionals"] @ network.params["side"]
    return jnp.tanh(z @ network.params["write"]) + beside * z[0]


BOTTLE = Bottleneck(encode, decode, OUTPUTS, ("conditionals",))
ASKED = Question(BOTTLE, np.arange(LATENT), ((0, 2), (2, 5)), "latent")
"""Both latents, and all that the decoder writes."""


def networks(*seeds: int) -> Network:
    """Members stacked."""
    shapes = {"rna": (4, 2), "conditionals": (2, 2), "write": (2, 3), "side": (2, 3)}
    members = []
    for seed in seeds:
        draw = np.random.default_rng(seed)
        members.append(
            {n: jnp.asarray(draw.normal(size=s), jnp.float32) for n, s in shapes.items()}
        )
    return Network(jax.tree.map(lambda *leaves: jnp.stack(leaves), *members), {}, {})


def member(members: Network, number: int = 0) -> Network:
    return members._replace(params=jax.tree.map(lambda leaf: leaf[number], members.params))


def samples(count: int, seed: int = 0) -> Any:
    draw = np.random.default_rng(seed)
    return {n: jnp.asarray(draw.normal(size=(count, k)), jnp.float32) for n, k in SIZES.items()}


X = {name: leaf[0] for name, leaf in samples(1, seed=9).items()}
BACKGROUND = samples(6)
KEY = jax.random.key(5)


def host(tree: Any) -> Any:
    """A pytree of NumPy arrays, which broadcast."""
    return jax.tree.map(np.asarray, tree)


def explained(plan: Plan, members: Network, asked: Question = ASKED, x: Any = X) -> Any:
    run = jax.jit(
        lambda members, x: explain_one(asked, plan, members, x, BACKGROUND, KEY, None, None)
    )
    return run(members, x)


def output(number: int) -> Any:
    """One output as a function."""
    return lambda network, x: ASKED.whole(network, x)[number]


# The plan


@pytest.mark.parametrize(
    ("settings", "groups", "points"),
    [
        ({"draws": 256}, 8, 32),
        ({"draws": 250, "antithetic": True}, 8, 32),  # whole pairs in all groups
        ({"draws": 10, "antithetic": True}, 5, 2),
        ({"draws": 2, "antithetic": True}, 1, 2),  # one pair has no scatter
        ({"draws": 2}, 2, 1),
        ({"draws": 50, "stratified": False}, 8, 7),
        ({"draws": 240, "members": 5}, 2, 24),
        ({"draws": 240, "members": 20}, 2, 6),
        ({"draws": 40, "method": "smooth"}, 8, 5),
        ({"draws": 32, "method": "integrated"}, 1, 32),
        ({"draws": 32, "method": "gradient"}, 1, 1),
    ],
)
def test_draws_are_rounded_up_to_groups_of_pairs(settings: Any, groups: int, points: int):
    plan = Plan(**settings)
    assert (plan.groups, plan.points) == (groups, points)
    if plan.sampled:
        assert plan.members * plan.groups * plan.points >= plan.draws


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "expectd"}, "unknown method 'expectd'; did you mean 'expected'"),
        ({"draws": 1}, "expected draws for 1 members of 2 or more, found 1"),
        ({"draws": 9, "members": 5}, "expected draws for 5 members of 10 or more, found 9"),
        ({"draws": 0, "method": "integrated"}, "of 1 or more, found 0"),
        ({"method": "smooth", "noise": 0.0}, "expected noise above 0, found 0"),
    ],
)
def test_wrong_plans_are_refused(settings: Any, message: str):
    with pytest.raises(InputError) as error:
        Plan(**settings)
    assert message in str(error.value)


# Points


def draw(plan: Plan) -> Any:
    return jax.jit(lambda key: draw_points(plan, key, X, BACKGROUND))(KEY)


@pytest.mark.parametrize("method", ["expected", "integrated", "smooth", "gradient"])
def test_weights_of_a_group_sum_to_one(method: Any):
    plan = Plan(method, draws=24, members=2)
    points, start = draw(plan)
    shape = (2, plan.groups, plan.points)
    assert points.weight.shape == shape
    np.testing.assert_allclose(points.weight.sum(axis=2), np.ones(shape[:2]), rtol=1e-6)
    for leaves in (points.at, points.step, start):
        assert {n: leaf.shape for n, leaf in leaves.items()} == {
            n: (*shape, k) for n, k in SIZES.items()
        }


def test_a_pair_shares_its_row_and_mirrors_its_position():
    points, start = draw(Plan(draws=32, antithetic=True))
    at, step, start = host((points.at, points.step, start))
    for name, x in host(X).items():
        first, second = start[name][:, :, 0::2], start[name][:, :, 1::2]
        np.testing.assert_array_equal(first, second)
        known = {tuple(row) for row in np.asarray(BACKGROUND[name]).tolist()}
        assert {tuple(row) for row in first.reshape(-1, SIZES[name]).tolist()} <= known
        middle = (at[name][:, :, 0::2] + at[name][:, :, 1::2]) / 2
        np.testing.assert_allclose(middle, (first + x) / 2, atol=1e-6)
        np.testing.assert_allclose(step[name], x - start[name], atol=1e-6)
    plain, _ = draw(Plan(draws=32))
    assert not np.allclose(plain.step["rna"][:, :, 0::2], plain.step["rna"][:, :, 1::2])


def test_members_take_draws_of_their_own():
    points, _ = draw(Plan(draws=32, members=2))
    assert not np.allclose(points.at["rna"][0], points.at["rna"][1])


def test_integrated_starts_at_the_mean_of_the_background():
    _, start = draw(Plan("integrated", draws=4))
    for name, leaf in start.items():
        mean = np.broadcast_to(np.asarray(BACKGROUND[name]).mean(axis=0), leaf.shape)
        np.testing.assert_allclose(leaf, mean, atol=1e-6)


def test_smooth_scatters_around_the_sample():
    points, _ = draw(Plan("smooth", draws=4000, noise=0.5))
    for name, leaf in host(points.at).items():
        spread = np.std(leaf - np.asarray(X[name]), axis=(0, 1, 2))
        np.testing.assert_allclose(spread, np.full(SIZES[name], 0.5), rtol=0.1)


# One sample


@pytest.mark.parametrize("way", ["latent", "outputs"])
@pytest.mark.parametrize("reduced", [True, False])
def test_one_member_gives_the_estimate_of_path(way: Any, reduced: bool):
    plan = Plan(draws=32, stratified=reduced, antithetic=reduced)
    members = networks(1)
    totals, account = explained(plan, members, ASKED._replace(way=way))
    (key,) = jax.random.split(KEY, 1)

    @jax.jit
    @partial(jax.vmap, in_axes=((None, 0),))
    def estimate(network_and_choice: Any) -> Any:
        return expected_gradients(
            lambda p, x: ASKED.whole(p[0], x) @ p[1], network_and_choice, X, BACKGROUND,
            key=key, n_draws=32, stratified=reduced, antithetic=reduced,
        )  # fmt: skip

    found = estimate((member(members), jnp.eye(LATENT + OUTPUTS)))
    near = {"rtol": 1e-4, "atol": 1e-6}
    for name, value in found.values.items():
        np.testing.assert_allclose(totals.signed[name], value, **near)
        np.testing.assert_allclose(totals.absolute[name], np.abs(value), **near)
        np.testing.assert_allclose(totals.square[name], value**2, **near)
        np.testing.assert_allclose(totals.product[name][0], value * X[name][None], **near)
        np.testing.assert_allclose(np.sqrt(totals.variance[name]), found.stderr[name], **near)
    np.testing.assert_allclose(account.output[0], found.output, **near)
    np.testing.assert_allclose(account.baseline_output[0], found.baseline_output, **near)
    gap = account.output - account.baseline_output - account.total
    np.testing.assert_allclose(gap[0], found.gap, atol=1e-5)
    assert account.values is None


def test_blocks_sum_absolute_values_and_their_errors():
    plan, members = Plan(draws=32), networks(1)
    totals, _ = explained(plan, members)
    (key,) = jax.random.split(KEY, 1)
    drawn, network = draws(key, 32, 6), member(members)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0, None))
    @partial(jax.vmap, in_axes=(None, None, 0))
    def estimate(rows: Any, t: Any, choice: Any) -> Any:
        part = Draws(rows, t, np.zeros(4, int))
        whole = lambda p, x: ASKED.whole(p, x) @ choice  # noqa: E731
        return expected_gradients_at(whole, network, X, BACKGROUND, part).values["rna"]

    every = jnp.eye(LATENT + OUTPUTS)
    groups = np.asarray(estimate(drawn.rows.reshape(8, 4), drawn.t.reshape(8, 4), every))
    for block, (first, last) in enumerate(ASKED.blocks):
        phi = groups[:, first:last]  # group, output, feature
        sign = np.sign(phi.mean(axis=0))
        expected = (phi * sign).sum(axis=1).var(axis=0, ddof=1) / 8
        np.testing.assert_allclose(totals.block_variance["rna"][block], expected, rtol=1e-3)
        size = np.abs(phi.mean(axis=0)).sum(axis=0)
        np.testing.assert_allclose(totals.by_member["rna"][0, block], size, rtol=1e-4)


def test_members_are_strata_and_their_differences_no_sampling_error():
    # Of a linear function every noisy gradient is the same, whatever was drawn.
    bottle = BOTTLE._replace(encode=lambda w, x: x["rna"] @ w.params["rna"], outputs=0)
    asked = Question(bottle, np.arange(LATENT), ((0, LATENT),), "latent")
    members = networks(1, 2)
    totals, account = explained(Plan("smooth", draws=16, members=2), members, asked)
    matrix = np.asarray(members.params["rna"])
    mean = matrix.mean(axis=0).T
    np.testing.assert_allclose(totals.signed["rna"], mean, rtol=1e-5)
    np.testing.assert_allclose(totals.variance["rna"], np.zeros((2, 4)), atol=1e-12)
    np.testing.assert_allclose(totals.by_member["rna"][:, 0], np.abs(matrix).sum(axis=2), rtol=1e-5)
    product = np.swapaxes(matrix, 1, 2) * np.asarray(X["rna"])
    np.testing.assert_allclose(totals.product["rna"], product, rtol=1e-5)
    outputs = [np.asarray(X["rna"]) @ w for w in matrix]
    np.testing.assert_allclose(account.output[0], np.mean(outputs, axis=0), rtol=1e-5)


def test_the_error_of_an_ensemble_is_that_of_its_members_combined():
    members, plan = networks(1, 2), Plan(draws=32, members=2)
    totals, _ = explained(plan, members)
    estimates = []
    for number, key in enumerate(jax.random.split(KEY, 2)):
        drawn = draws(key, 16, 6)._replace(group=np.repeat(np.arange(4), 4))
        one = jax.jit(
            lambda w, drawn=drawn: expected_gradients_at(output(3), w, X, BACKGROUND, drawn)
        )
        estimates.append(one(member(members, number)))
    first, second = estimates
    for name in SIZES:
        mean = (first.values[name] + second.values[name]) / 2
        np.testing.assert_allclose(totals.signed[name][3], mean, rtol=1e-4, atol=1e-6)
        error = np.hypot(first.stderr[name], second.stderr[name]) / 2
        np.testing.assert_allclose(np.sqrt(totals.variance[name][3]), error, rtol=1e-3, atol=1e-6)


def test_other_methods_are_those_of_path_and_have_no_error():
    members = networks(1)
    mean = {n: leaf.mean(axis=0) for n, leaf in BACKGROUND.items()}
    along = jax.jit(
        lambda w: integrated_gradients(output(4), w, X, mean, n_steps=16)
    )(member(members))  # fmt: skip
    here = gradient(output(4), member(members), X)
    for plan, expected in ((Plan("integrated", draws=16), along), (Plan("gradient"), here)):
        totals, account = explained(plan, members)
        for name, value in expected.values.items():
            np.testing.assert_allclose(totals.signed[name][4], value, rtol=1e-4, atol=1e-5)
            assert np.isnan(totals.variance[name]).all()
        if plan.method == "integrated":
            change = account.output - account.baseline_output
            np.testing.assert_allclose(account.total, change, atol=1e-5)


def test_a_single_output_keeps_its_values():
    asked = Question(BOTTLE._replace(outputs=0), np.array([1]), ((0, 1),), "outputs")
    totals, account = explained(Plan(draws=16), networks(1), asked)
    assert account.values is not None
    for name in SIZES:
        np.testing.assert_allclose(account.values[name], totals.signed[name], rtol=1e-6)


# Many samples


def strip_case(plan: Plan) -> tuple[Any, Any, Any]:
    """A function of a strip of samples, the networks and the samples."""
    data = Samples(samples(10), {"rna": jnp.ones((1, 4), bool)}, jnp.array([0, 2, 4, 6]))
    members = networks(1, 2)._replace(observed={})
    return make_strip(ASKED, plan, absent=False, chunk=3), members, data


def test_a_strip_sums_over_its_samples_and_skips_fillers():
    plan = Plan(draws=16, members=2)
    strip, members, data = strip_case(plan)
    rows = np.array([3, -1, 7])
    totals, account = jax.jit(strip)(members, data, rows, KEY)
    background = {n: leaf[data.background] for n, leaf in data.x.items()}
    one = jax.jit(
        lambda x, key: explain_one(ASKED, plan, members, x, background, key, None, None)
    )  # fmt: skip
    parts = [
        one({n: leaf[row] for n, leaf in data.x.items()}, jax.random.fold_in(KEY, row))
        for row in (3, 7)
    ]
    expected = jax.tree.map(jnp.add, parts[0][0], parts[1][0])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), totals, expected
    )
    for i, part in ((0, parts[0]), (2, parts[1])):
        np.testing.assert_allclose(account.output[i], part[1].output[0], rtol=1e-5)
        np.testing.assert_allclose(account.total[i], part[1].total[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(account.output[1], np.zeros(LATENT + OUTPUTS))


def test_four_devices_give_the_numbers_of_one():
    plan = Plan(draws=16, members=2)
    strip, members, data = strip_case(plan)
    rows = np.r_[np.arange(10), -1, -1]

    def run(devices: int) -> Any:
        layout = make_layout(devices, jax.devices()[:devices])
        program = layout.strips(lambda shared, own: strip(*shared, own, KEY))
        shared = layout.share((members, data))
        totals, account = layout.home(program(shared, layout.spread(rows.reshape(devices, -1))))
        summed = jax.tree.map(lambda leaf: np.asarray(leaf).sum(axis=0), totals)
        flat = [np.asarray(leaf).reshape(12, -1) for leaf in account[:3]]
        return summed, flat

    (one, alone), (four, together) = run(1), run(4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), four, one)
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
