"""What every model promises the engine; a new line of the registry is tested without a new test."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Batch, Data, DataSpec, Standard, ViewSpec, gather, make_data
from jaxomics.engine.checkpoint import load_model, save_model
from jaxomics.engine.game import make_step, start_state
from jaxomics.engine.replicate import repeat
from jaxomics.engine.state import TrainState
from jaxomics.models import _template
from jaxomics.models.base import Model
from jaxomics.models.registry import MODELS

SAMPLES, BATCH = 24, 8
CONFIGS = {name: (entry.config, entry.hyper, entry.build) for name, entry in MODELS.items()} | {
    "template": (_template.Config, _template.Hyper, _template.build)
}
SMALL = {
    "latent": 3,
    "hidden": (6,),
    "view_latent": 4,
    "discriminator": (8, 5),
    "output_activation": "linear",
    "joint": (4,),
    "class_hidden": (4,),
    # At its default, gradients of the VAE alone drown in the rounding of those of the heads.
    "embed_weight": 1.0,
}
"""Settings for the tests, where a model's config has fields of these names."""
OWN: dict[str, dict[str, Any]] = {
    "omitrans": {
        "source": ("rna",), "target": ("drug",), "latent": 4, "hidden": (16,),
        "discriminator": "auto",
    },
    # At its default the divergence of z stays.
    "rna-vae": {"kl_weight": 1e-3},
    "atac-vae": {
        "atac": "rna", "window": 4, "first_hidden": (5,), "first_latent": 3, "channels": 4,
        "norm": "layer", "kl_weight": 1e-3,
    },
    # Encoders are constants to the cycle, which therefore stays where nothing aligns latents.
    "coembed": {
        "atac": "drug", "rna_hidden": (6,), "norm": "layer", "kl_weight": 1e-3,
        "cycle_weight": 1e-3,
    },
}  # fmt: skip
"""Settings that a model cannot do without, or that mean something else there."""
STILL = re.compile(r"\['normed_\d+'\]\['bias'\]$")
"""Parameters that a batch norm takes away again, so that they have no gradient."""
ROUNDED = re.compile(r"\['linear_\d+'\]\['bias'\]$")
"""Biases ahead of a leaky unit and a batch norm: where all rows are on one side of the kink, their
gradient is rounding, which Adam blows up to a full step."""

HINDRANCES = ("dropout", "class_dropout", "view_dropout", "weight_decay", "adversarial_weight")
"""What keeps a model from learning its training samples by heart."""


class Case(NamedTuple):
    """A small model, data for it, and its compiled step."""

    model: Model
    hyper: Any
    data: Data
    standard: Standard
    batch: Batch
    state: TrainState
    step: Any
    after: TrainState
    metrics: Any


def small_data() -> tuple[DataSpec, Data, Standard]:
    """Two views of rank one, one with holes, a tissue that both follow, one conditional."""
    rng = np.random.default_rng(0)
    labels = np.arange(SAMPLES) % 2
    factor = rng.normal(size=(SAMPLES, 1)) + 2 * labels[:, None]
    views = {
        name: (factor @ rng.normal(size=(1, width))).astype(np.float32)
        for name, width in (("rna", 6), ("drug", 4))
    }
    views["drug"][rng.random((SAMPLES, 4)) < 0.3] = np.nan
    views["drug"][:3] = np.nan
    spec = DataSpec((ViewSpec("rna", 6, (0, 2, 3, 5)), ViewSpec("drug", 4)), 1, ("a", "b"))
    data = make_data(views, labels[:, None].astype(np.float32), labels)
    mean = {name: jnp.asarray(np.nanmean(values, axis=0)) for name, values in views.items()}
    scale = {name: jnp.asarray(np.nanstd(values, axis=0)) for name, values in views.items()}
    return spec, data, Standard(mean, scale)


@pytest.fixture(scope="module", params=list(CONFIGS))
def case(request: pytest.FixtureRequest) -> Case:
    config_type, hyper_type, build = CONFIGS[request.param]
    spec, data, standard = small_data()
    small = SMALL | OWN.get(request.param, {})
    config, hyper = (
        kind(**{k: v for k, v in small.items() if k in kind.__dataclass_fields__})
        for kind in (config_type, hyper_type)
    )
    model, hyper = build(config, spec), jax.tree.map(jnp.float32, hyper)
    batch = gather(data, standard, jnp.arange(BATCH), jnp.ones(BATCH))
    state = jax.jit(lambda key: start_state(model, batch, hyper, key))(jax.random.key(1))
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(make_step(model), n=1))
    after, metrics = step(state, batch, hyper, jnp.float32(1.0))
    return Case(model, hyper, data, standard, batch, state, step, after, metrics)


def assert_finite(tree: Any) -> None:
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree))


def test_step_traces_once_and_keeps_shapes(case: Case):
    other = gather(case.data, case.standard, jnp.arange(BATCH) + BATCH, jnp.ones(BATCH))
    state, metrics = case.step(case.after, other, case.hyper, jnp.float32(0.5))
    chex.assert_trees_all_equal_shapes_and_dtypes(case.state, case.after, state)
    chex.assert_trees_all_equal_shapes_and_dtypes(case.metrics, metrics)
    assert int(state.step) == 2
    assert_finite(metrics)


def test_metrics_are_scalars_with_the_monitored_one(case: Case):
    names = set(case.metrics)
    assert case.model.monitor in names
    assert {name.rsplit("/", 1)[-1] for name in names} >= {"loss", "grad_norm"}
    assert all(value.shape == () for value in case.metrics.values())


def test_every_player_moves_all_of_its_own_and_nothing_else(case: Case):
    for player in case.model.players:
        alone = case.model._replace(players=(player,))
        optimizer = {player.name: case.state.optimizer[player.name]}
        state = case.state.replace(optimizer=optimizer)
        after = case.after
        if len(case.model.players) > 1:
            after, _ = jax.jit(make_step(alone))(state, case.batch, case.hyper, jnp.float32(1.0))
        for name, before in case.state.params.items():
            same = jax.tree.map(lambda a, b: bool((a == b).all()), before, after.params[name])
            found = {jax.tree_util.keystr(k): v for k, v in jax.tree.leaves_with_path(same)}
            if name == player.name:
                still = [k for k in found if found[k] and not STILL.search(k)]
                assert not still, f"not moved: {still}"
            else:
                assert all(found.values()), f"moved: {[k for k in found if not found[k]]}"


def test_unobserved_entries_change_nothing(case: Case):
    poisoned = {
        name: jnp.where(case.data.observed[name], x, 1e3) for name, x in case.data.x.items()
    }
    data = case.data.replace(x=poisoned)
    batch = gather(data, case.standard, jnp.arange(BATCH), jnp.ones(BATCH))
    after, metrics = case.step(case.state, batch, case.hyper, jnp.float32(1.0))
    chex.assert_trees_all_equal(metrics, case.metrics)
    chex.assert_trees_all_equal(after.params, case.after.params)


def test_padding_rows_change_no_loss(case: Case):
    rows = jnp.arange(BATCH)
    padded = gather(
        case.data, case.standard, jnp.concatenate([rows, rows * 0]),
        jnp.concatenate([jnp.ones(BATCH), jnp.zeros(BATCH)]),
    )  # fmt: skip
    params, collections, key = case.state.params, case.state.collections, jax.random.key(2)

    @jax.jit
    def both(whole: Batch, padded: Batch) -> Any:
        return [
            [
                p.loss(params, collections, b, key, case.hyper, train=False)[0]
                for b in (whole, padded)
            ]
            for p in case.model.players
        ]

    for whole, other in both(case.batch, padded):
        np.testing.assert_allclose(whole, other, rtol=1e-5)


@pytest.mark.parametrize("absent", [("rna",), ("drug",), ("rna", "drug")])
def test_missing_views_give_finite_losses_and_gradients(case: Case, absent: tuple[str, ...]):
    observed = {v: o & (v not in absent) for v, o in case.batch.observed.items()}
    x = {v: jnp.where(observed[v], a, 0.0) for v, a in case.batch.x.items()}
    batch = case.batch.replace(x=x, observed=observed)
    after, metrics = case.step(case.state, batch, case.hyper, jnp.float32(1.0))
    assert_finite((metrics, after.params))


def test_three_vmapped_replicas_equal_three_loops(case: Case):
    keys = jax.random.split(jax.random.key(3), 3)
    hypers: Any = repeat(case.hyper, 3)
    hypers = hypers.replace(learning_rate=jnp.array([1e-3, 2e-3, 4e-3]))
    step = make_step(case.model)

    @jax.jit
    @jax.vmap
    def replicas(hyper: Any, key: jax.Array) -> Any:
        state = start_state(case.model, case.batch, hyper, key)
        return state, step(state, case.batch, hyper, jnp.float32(1.0))[0]

    before, after = replicas(hypers, keys)
    for i in range(3):
        state, hyper, mine = jax.tree.map(lambda leaf, i=i: leaf[i], (before, hypers, after.params))
        one, _ = case.step(state, case.batch, hyper, jnp.float32(1.0))
        found = zip(jax.tree.leaves_with_path(mine), jax.tree.leaves(one.params), strict=True)
        for (path, leaf), expected in found:
            rounded = ROUNDED.search(jax.tree_util.keystr(path))
            np.testing.assert_allclose(leaf, expected, rtol=1e-6, atol=1e-2 if rounded else 1e-6)


def test_save_and_load_round_trips(case: Case, tmp_path: Path):
    kept = {"params": case.after.params, "collections": case.after.collections}
    save_model(tmp_path / "model.npz", kept)
    found = load_model(tmp_path / "model.npz")
    chex.assert_trees_all_equal(found["params"], case.after.params)
    chex.assert_trees_all_equal(found.get("collections", {}), case.after.collections)


def test_overfits_a_tiny_set(case: Case):
    hyper = case.hyper.replace(learning_rate=jnp.float32(0.01))
    hyper = hyper.replace(**{k: jnp.float32(0.0) for k in HINDRANCES if hasattr(hyper, k)})
    state, metrics = case.state, case.metrics
    for _ in range(400):
        state, metrics = case.step(state, case.batch, hyper, jnp.float32(1.0))
    assert float(metrics[case.model.monitor]) < 0.1 * float(case.metrics[case.model.monitor])
