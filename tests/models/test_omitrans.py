"""OmiTrans: published sizes, the step worked by hand, one generator pass, every combination."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.engine.game import make_step, start_state
from jaxomics.errors import InputError
from jaxomics.models.base import count_parameters
from jaxomics.models.omitrans import DISCRIMINATOR, GENERATOR, Hyper, build
from jaxomics.models.omitrans_networks import Config

ROWS = 6
SMALL: dict[str, Any] = {"source": ("b",), "target": ("a",), "latent": 4, "hidden": (8,)}


def cohort(sources: int = 10, targets: int = 7, rows: int = ROWS) -> tuple[DataSpec, Batch]:
    """Random values of two views, all measured."""
    rng = np.random.default_rng(0)
    sizes = {"a": targets, "b": sources}
    x = {name: jnp.asarray(rng.normal(size=(rows, n)), jnp.float32) for name, n in sizes.items()}
    groups = {"a": (), "b": (tuple(range(0, sources, 2)), tuple(range(1, sources, 2)))}
    spec = DataSpec(tuple(ViewSpec(name, n, groups=groups[name]) for name, n in sizes.items()))
    batch = Batch(
        x=x,
        observed={name: jnp.ones(array.shape, bool) for name, array in x.items()},
        sample=dict.fromkeys(sizes, jnp.arange(rows)),
        conditionals=dict.fromkeys(sizes, jnp.zeros((rows, 0))),
        labels=dict.fromkeys(sizes, jnp.zeros(rows, jnp.int32)),
        weight=dict.fromkeys(sizes, jnp.ones(rows)),
    )
    return spec, batch


def stepped(
    config: Config, hyper: Hyper, steps: int, data: tuple[DataSpec, Batch] | None = None
) -> Any:
    """The model, its data, its state before and after some steps, and the last metrics."""
    spec, batch = data or cohort()
    model, hyper = build(config, spec), jax.tree.map(jnp.float32, hyper)

    @jax.jit
    def run(key: jax.Array) -> Any:
        state, step = start_state(model, batch, hyper, key), make_step(model)
        after, metrics = jax.lax.scan(
            lambda s, _: step(s, batch, hyper, jnp.float32(1)), state, length=steps
        )
        return state, after, jax.tree.map(lambda m: m[-1], metrics)

    return model, batch, *run(jax.random.key(0))


def test_published_parameters():
    spec = DataSpec((ViewSpec("a", 60_483), ViewSpec("b", 39_464)))
    model = build(Config(source=("b",), target=("a",)), spec)
    batch = jax.eval_shape(lambda: cohort(39_464, 60_483, 2)[1])
    params = jax.eval_shape(model.init, jax.random.key(0), batch).params
    assert count_parameters(params[GENERATOR]) == 419_154_243
    assert count_parameters(params[DISCRIMINATOR]) == 12_804_208


def test_the_generator_meets_the_updated_discriminator_through_one_pass():
    """17 products of the generator: 6 forwards, 6 of weights, 5 of inputs. 30 of the discriminator,
    which has 4 layers: in its own move 2 forwards, 2 of weights, and 3 of inputs for each of the 2;
    in the generator's 1 forward and 1 of inputs. A second pass of the generator would be 6 more.
    """
    spec, batch = cohort()
    model = build(Config(**SMALL | {"hidden": (16, 8)}), spec)
    hyper = jax.tree.map(jnp.float32, Hyper())
    state = jax.eval_shape(lambda: start_state(model, batch, hyper, jax.random.key(0)))
    lowered = jax.jit(make_step(model)).lower(state, batch, hyper, jnp.float32(1))
    assert lowered.as_text().count("stablehlo.dot_general") == 17 + 2 * (4 + 4 + 3) + 4 + 4


def test_losses_by_hand():
    """With no dropout, L_G is 100 L1 and the mean of softplus(-D); D's is the mean of halves."""
    config = Config(**SMALL)
    model, batch, state, _, metrics = stepped(config, Hyper(dropout=0.0), 1)
    values = jax.jit(model.tasks.translate)(state.params, {}, batch)["a"]
    error = np.abs(values - batch.x["a"]).mean()
    assert float(metrics["generator/distance"]) == pytest.approx(float(error), rel=1e-5)
    total = 100 * metrics["generator/distance"] + metrics["generator/adversarial"]
    assert float(metrics["generator/loss"]) == pytest.approx(float(total), rel=1e-6)
    # Weights of deviation 0.02 give logits near 0, where both halves are log 2.
    assert float(metrics["discriminator/loss"]) == pytest.approx(np.log(2), abs=0.05)


COMBINATIONS = {
    "generator alone": {"gan": "none"},
    "conditional GAN": {"gan": "lsgan"},
    "penalty": {"gan": "wgan-gp", "discriminator_updates": 2},
    "groups": {"generator": "fc_sep", "group_width": 5},
    "variational": {"generator": "fc_ved", "noise_dim": 3},
    "single": {"generator": "fc_single", "distance": "mse"},
    "linear": {"generator": "linear", "discriminator": "fc"},
    "cross entropy": {"distance": "ce", "initial": "orthogonal"},
    "half": {"weights": "bfloat16"},
    "convolutional": {"generator": "unet", "filters": 2},
}


@pytest.mark.parametrize("name", list(COMBINATIONS))
def test_every_combination_steps_and_translates(name: str):
    """Shapes and types only, which needs no compiling; `test_contract.py` and others run steps."""
    config = Config(**SMALL | COMBINATIONS[name])
    convolutional = config.generator == "unet"
    spec, batch = cohort(48, 64) if convolutional else cohort()
    model, hyper = build(config, spec), jax.tree.map(jnp.float32, Hyper())
    state = jax.eval_shape(lambda: start_state(model, batch, hyper, jax.random.key(0)))
    after, metrics = jax.eval_shape(make_step(model), state, batch, hyper, jnp.float32(1))
    assert model.monitor in metrics
    assert after == state
    assert set(state.collections) == ({GENERATOR, DISCRIMINATOR} if convolutional else set())
    values = jax.eval_shape(model.tasks.translate, state.params, state.collections, batch)
    assert values["a"].shape == batch.x["a"].shape
    latent = config.generator in ("fc", "fc_sep", "fc_ved")
    assert (model.tasks.encode is not None) == latent
    if model.tasks.encode is not None:
        found = jax.eval_shape(model.tasks.encode, state.params, state.collections, batch)
        assert [part.shape for part in found] == [(ROWS, 4)] * 2


@pytest.mark.slow
def test_a_u_net_learns():
    """Steps move it, stay finite, and bring the distance below that of zeros."""
    config = Config(**SMALL, generator="unet", filters=2, gan="none")
    hyper = Hyper(learning_rate=1e-2, dropout=0.0)
    _, batch, before, after, metrics = stepped(config, hyper, 30, cohort(48, 64))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.params))
    moved = jax.tree.map(lambda old, new: bool((old != new).any()), before.params, after.params)
    assert any(jax.tree.leaves(moved[GENERATOR]))
    assert float(metrics["distance"]) < 0.9 * float(jnp.abs(batch.x["a"]).mean())


def test_the_penalty_holds_the_discriminators_slope():
    """After training on the penalty alone, |dD/dy| is near 1 between the samples."""
    config = Config(**SMALL, gan="wgan_gp", discriminator_updates=2)
    hyper = Hyper(penalty_weight=1e4, discriminator_learning_rate=1e-2, learning_rate=0.0)
    *_, metrics = stepped(config, hyper, 100)
    assert float(metrics["discriminator/penalty"]) < 0.05


def test_half_weights_have_whole_moments_and_learn():
    config = Config(**SMALL, weights="bfloat16", gan="none")
    _, _, _, after, metrics = stepped(config, Hyper(learning_rate=1e-2, dropout=0.0), 20)
    types = {str(leaf.dtype) for leaf in jax.tree.leaves(after.params)}
    assert types == {"float32", "bfloat16"}
    moments = jax.tree.leaves(after.optimizer)
    assert {str(leaf.dtype) for leaf in moments} == {"float32", "int32"}
    assert float(metrics["distance"]) < 0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"generator": "fc_sep"}, "groups of source features for fc_sep, found none"),
        ({"generator": "unet", "gan": "wgan_gp"}, "judges each sample by itself"),
        ({"generator": "unet_in", "target": ("b",), "source": ("a",)}, "take `unet`"),
        ({"generator": "linear", "noise_dim": 2}, "a latent for noise"),
        ({"latent": 3}, "at least 4 units"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str):
    spec, _ = cohort(sources=10, targets=3) if "target" in settings else cohort()
    spec = DataSpec(tuple(replace(view, groups=()) for view in spec.views))
    with pytest.raises(InputError, match=message):
        build(Config(**SMALL | settings), spec)


def test_groups_are_read_by_layers_of_their_own():
    """Features 1 and 3 are a group: what the other layer reads does not change with them."""
    spec, batch = cohort(4, 3)
    views = tuple(replace(v, groups=((1, 3), (0, 2)) if v.name == "b" else ()) for v in spec.views)
    config = Config(**SMALL, generator="fc_sep", group_width=5, gan="none")
    model = build(config, replace(spec, views=views))
    params = jax.jit(model.init)(jax.random.key(0), batch).params
    first = params[GENERATOR]["readers_0"]["linear_0"]
    first["kernel"] = jnp.zeros_like(first["kernel"])
    encode = jax.jit(model.tasks.encode)
    before, _ = encode(params, {}, batch)
    moved = batch.x | {"b": batch.x["b"].at[:, jnp.array([1, 3])].add(7.0)}
    np.testing.assert_array_equal(encode(params, {}, batch.replace(x=moved))[0], before)
    moved = batch.x | {"b": batch.x["b"].at[:, 0].add(7.0)}
    assert not np.allclose(encode(params, {}, batch.replace(x=moved))[0], before)
