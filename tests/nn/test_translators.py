"""Fully connected generators and discriminators: published sizes, groups, latents, noise."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.models.base import count_parameters
from jaxomics.nn.initial import start_by
from jaxomics.nn.translators import Bottleneck, GroupJudge, Judge, Shallow, split_groups

CPGS, GENES = 39_464, 60_483
WIDE = (4096, 1024, 512)


def parameters(module, *features: int) -> int:
    """Number of parameters for so many features, without allocating them."""
    inputs = [jax.ShapeDtypeStruct((2, n), jnp.float32) for n in features]

    def run(key, *inputs):
        return module.init(key, *inputs, jnp.ones(2), 0.1, key, True)["params"]

    return count_parameters(jax.eval_shape(run, jax.random.key(0), *inputs))


def test_published_parameters():
    assert parameters(Bottleneck(GENES, 256, WIDE, WIDE[::-1]), CPGS) == 419_154_243
    assert parameters(Judge(), CPGS, GENES) == 12_804_208


def test_parameters_by_hand():
    # 5 -> 7 sigmoid units -> 3; and 5 -> 3
    assert parameters(Shallow(3, hidden=7), 5) == 5 * 7 + 7 + 7 * 3 + 3
    assert parameters(Shallow(3, hidden=0), 5) == 5 * 3 + 3
    # groups of 4 and 6 -> 16 each -> 64; target 3 -> 128 -> 64; 128 -> 32 -> 16
    expected = (4 + 6) * 16 + 32 + 32 * 64 + 64
    expected += 3 * 128 + 128 + 128 * 64 + 64 + 128 * 32 + 32 + 32 * 16 + 16
    assert parameters(GroupJudge((4, 6)), 10, 3) == expected
    # groups -> 8 each -> 5 -> latent 4 (and its log-variance) -> with 2 noise -> 5 -> 3
    net = Bottleneck(3, 4, (5,), (5,), (4, 6), 8, variational=True, noise=2)
    assert parameters(net, 10) == 10 * 8 + 16 + 16 * 5 + 5 + 2 * (5 * 4 + 4) + 6 * 5 + 5 + 5 * 3 + 3


def test_groups_are_consecutive():
    parts = split_groups(jnp.arange(6.0)[None], (2, 1, 3))
    assert [part[0].tolist() for part in parts] == [[0, 1], [2], [3, 4, 5]]


def test_noise_changes_training_and_not_evaluation(key: jax.Array):
    net = Bottleneck(3, 4, (8,), (8,), (4, 6), 8, noise=4)
    x, weight = jax.random.normal(key, (2, 10)), jnp.ones(2)

    @jax.jit
    def values(one: jax.Array, two: jax.Array) -> list[jax.Array]:
        variables = start_by("kaiming", net, key, x, weight, 0.0, key, False)
        runs = ((one, False), (two, False), (one, True), (two, True))
        return [net.apply(variables, x, weight, 0.0, *run).values for run in runs]

    still, again, first, second = values(*jax.random.split(key))
    np.testing.assert_array_equal(still, again)
    assert float(jnp.abs(first - second).min()) > 0


def test_a_discriminator_by_groups_can_say_all_measured(key: jax.Array):
    """The published one normalises its logits, whose sum is then 0 whatever the weights are."""
    net = GroupJudge((4, 6))
    x, y, weight = jnp.ones((1, 10)), jnp.ones((1, 3)), jnp.ones(1)

    @jax.jit
    def logits() -> jax.Array:
        variables = start_by("kaiming", net, key, x, y, weight, 0.0, key, False)
        variables["params"]["out"]["bias"] += 100.0
        return net.apply(variables, x, y, weight, 0.0, key, False)

    assert float(logits().min()) > 50


def test_half_kernels_face_the_features():
    def dtypes(module, *features: int) -> dict[str, str]:
        inputs = [jax.ShapeDtypeStruct((2, n), jnp.float32) for n in features]

        def run(key, *inputs):
            return module.init(key, *inputs, jnp.ones(2), 0.1, key, True)["params"]

        found = jax.eval_shape(run, jax.random.key(0), *inputs)
        return {
            jax.tree_util.keystr(path): str(leaf.dtype)
            for path, leaf in jax.tree_util.tree_leaves_with_path(found)
            if leaf.dtype == jnp.bfloat16
        }

    generator = dtypes(Bottleneck(3, 4, (5,), (5,), half=True), 10)
    assert set(generator) == {"['trunk']['linear_0']['kernel']", "['out']['kernel']"}
    grouped = dtypes(Bottleneck(3, 4, (5,), (5,), (4, 6), 8, half=True), 10)
    assert len(grouped) == 3
    assert len(dtypes(Judge(half=True), 10, 3)) == 1
    assert len(dtypes(GroupJudge((4, 6), half=True), 10, 3)) == 3
