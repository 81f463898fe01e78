"""U-Nets: published sizes and lengths, ratios refused and suggested, pooling, stretching."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.errors import InputError
from jaxomics.models.base import count_parameters
from jaxomics.nn.conv import Stretch, max_pool, resized
from jaxomics.nn.initial import start_by
from jaxomics.nn.unet import PUBLISHED, ConvJudge, Ratios, UNet, lengths, suggest

CPGS, GENES = 39_464, 60_483


def shapes(module, *features: int, train: bool = True):
    """Variables and output of a network for two samples, without allocating anything."""
    inputs = [jax.ShapeDtypeStruct((2, n), jnp.float32) for n in features]
    weight = jax.ShapeDtypeStruct((2,), jnp.float32)

    def run(key, weight, *inputs):
        return module.init_with_output(key, *inputs, weight, 0.1, key, train)

    output, variables = jax.eval_shape(run, jax.random.key(0), weight, *inputs)
    return variables["params"], output


def test_lengths_of_the_published_table():
    found = lengths(CPGS, PUBLISHED["unet_in"])
    assert found.down == (39_464, 19_732, 9_866, 4_933, 2_466)
    assert found.skips == (9_866, 19_732, 39_464, 78_928)
    assert found.up == (9_864, 19_728, 39_456, 78_912)


def test_published_parameters():
    params, output = shapes(UNet(CPGS, GENES, PUBLISHED["unet_in"]), CPGS)
    assert count_parameters(params) == 31_389_697
    assert output.values.shape == (2, GENES)
    params, logits = shapes(ConvJudge(), CPGS, GENES)
    assert count_parameters(params) == 25_040_705
    assert logits.shape == (2, 64)


@pytest.mark.parametrize(("name", "most"), [("unet_de", (20_000 // 256) * 40), ("unet_s_de", 3120)])
def test_shortening_nets_reach_their_longest_output(name: str, most: int):
    assert lengths(20_000, PUBLISHED[name]).up[-1] == most
    _, output = shapes(UNet(20_000, most, PUBLISHED[name], filters=2), 20_000)
    assert output.values.shape == (2, most)


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        (PUBLISHED["unet_in"], "reaches 3000 target features, found one that maps 706 to 1408"),
        (Ratios((2, 2), (2,), (1, 1), (1, 1)), "for the same levels, found 2, 1, 2, 2"),
        (Ratios((), (), (), ()), "for the same levels, found 0"),
        (Ratios((2,), (0,), (1,), (1,)), "ratios of 1 or more"),
        (Ratios((2, 2), (8, 4), (1, 1), (1, 1)), "skips at least as long as what they join"),
    ],
)
def test_impossible_ratios_are_refused_with_some_that_work(ratios: Ratios, message: str):
    with pytest.raises(InputError, match=message) as caught:
        UNet(706, 3000, ratios)
    assert "pools 2 2 2 2, ups 10 2 2 2, skip_ups 5 5 5 5" in str(caught.value)


@settings(deadline=None, max_examples=200)
@given(st.integers(2, 50_000), st.integers(1, 50_000))
def test_suggested_ratios_always_work(inputs: int, outputs: int):
    for resize in ("crop", "pad"):
        net = UNet(inputs, outputs, suggest(inputs, outputs), resize=resize)
        assert lengths(net.padded, net.ratios).up[-1] >= outputs


def test_padding_fills_the_source_up_to_whole_stretches():
    ratios = Ratios((4,), (4,), (1,), (1,))
    net = UNet(7, 8, ratios, filters=2, resize="pad")
    assert net.padded == 8
    assert shapes(net, 7)[1].values.shape == (2, 8)
    with pytest.raises(InputError, match="maps 7 to 4 at most"):
        UNet(7, 8, ratios)


def test_padding_rows_do_not_move_batch_statistics(key: jax.Array):
    net = UNet(8, 8, Ratios((2,), (2,), (1,), (1,)), filters=2)
    x = jax.random.normal(key, (4, 8))
    weight = jnp.array([1.0, 1.0, 0.0, 0.0])

    @jax.jit
    def statistics(x: jax.Array) -> jax.Array:
        variables = start_by("normal", net, key, x, weight, 0.0, key, True)
        return net.apply(variables, x, weight, 0.0, key, True, mutable=["batch_stats"])[1]

    whole, half = statistics(x), statistics(x.at[2:].set(99.0))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(half), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_pooling_and_resizing_by_hand():
    x = jnp.arange(7.0)[None, :, None]
    np.testing.assert_array_equal(max_pool(x, 3)[0, :, 0], [2, 5])
    np.testing.assert_array_equal(resized(x, 3)[0, :, 0], [0, 1, 2])
    np.testing.assert_array_equal(resized(x, 9)[0, :, 0], [0, 1, 2, 3, 4, 5, 6, 0, 0])


def test_stretching_is_a_transposed_convolution():
    """One channel in, one out, ratio 2: each position gives x * k0 + b, x * k1 + b."""
    params = {"kernel": jnp.array([[3.0, 5.0]]), "bias": jnp.array([1.0])}
    found = Stretch(1, 2).apply({"params": params}, jnp.array([[[1.0], [2.0]]]))
    np.testing.assert_array_equal(found[0, :, 0], [4, 6, 7, 11])


def test_few_targets_are_too_few_for_the_convolutional_discriminator():
    with pytest.raises(InputError, match="at least 64 target features"):
        shapes(ConvJudge(), 100, 63)
