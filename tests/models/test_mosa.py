"""MOSA: published sizes, one training step against PyTorch, view dropout, missing views."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.models import mosa
from jaxomics.models.base import count_parameters
from jaxomics.models.withholding import Withholding, show
from jaxomics.nn.dropout import keep_mask, view_keep
from jaxomics.nn.latent import perturb

PARITY = Path(__file__).parents[1] / "parity"
CONDITIONALS = 237
PAPER_VIEWS = {
    "proteomics": (4922, 4922),
    "metabolomics": (225, 225),
    "drugresponse": (810, 810),
    "crisprcas9": (17931, 10233),
    "methylation": (14608, 6900),
    "transcriptomics": (15278, 7000),
    "copynumber": (777, 777),
}


def paper_parameters(encoded: bool) -> dict[str, Any]:
    """Shapes of the paper's model, without allocating it."""
    spec = DataSpec(
        tuple(
            ViewSpec(name, features, tuple(range(inputs)) if encoded else None)
            for name, (features, inputs) in PAPER_VIEWS.items()
        ),
        CONDITIONALS,
    )
    batch = jax.eval_shape(lambda: empty_batch(spec, 2))
    model = mosa.build(mosa.Config(), spec)
    return jax.eval_shape(model.init, jax.random.key(0), batch).params[mosa.PLAYER]


def empty_batch(spec: DataSpec, samples: int) -> Batch:
    names = spec.names
    return Batch(
        x={v.name: jnp.zeros((samples, v.features)) for v in spec.views},
        observed={v.name: jnp.ones((samples, v.features), bool) for v in spec.views},
        sample=dict.fromkeys(names, jnp.arange(samples)),
        conditionals=dict.fromkeys(names, jnp.zeros((samples, spec.conditionals))),
        labels=dict.fromkeys(names, jnp.zeros(samples, jnp.int32)),
        weight=dict.fromkeys(names, jnp.ones(samples)),
    )


def test_decoder_parameters_are_the_papers():
    params = paper_parameters(encoded=True)
    published = {
        "proteomics": 18_470_122,
        "metabolomics": 104_316,
        "drugresponse": 708_426,
        "crisprcas9": 230_567_250,
        "methylation": 153_859_958,
        "transcriptomics": 168_082_182,
        "copynumber": 660_522,
    }
    found = {name: count_parameters(params[f"decoders_{name}"]) for name in published}
    assert found == published
    assert sum(found.values()) == 572_452_776


def test_encoder_and_total_parameters_are_the_papers():
    params = paper_parameters(encoded=True)
    published = {
        "proteomics": 22_014_780,
        "drugresponse": 708_952,
        "copynumber": 656_681,
        "metabolomics": 81_539,
    }
    found = {name: count_parameters(params[f"encoders_{name}"]) for name in published}
    assert found == published
    assert count_parameters(params) == pytest.approx(779.2e6, rel=2e-3)
    assert count_parameters(paper_parameters(encoded=False)) == 1_281_584_323


def torch_case() -> tuple[dict[str, Any], DataSpec, Batch, dict[str, Any]]:
    """The small model of the fixture: raw values, spec, batch, parameters in our layout."""
    saved = json.loads((PARITY / "mosa_step.json").read_text())
    spec = DataSpec(
        tuple(
            ViewSpec(
                name,
                view["features"],
                tuple(view["encoder_columns"]),
                view["loss"],
                (-2.0, -1.0, 0.0, 1.0, 2.0) if view["loss"] == "macro" else (),
            )
            for name, view in saved["config"]["views"].items()
        ),
        saved["config"]["conditionals"],
    )
    raw, names = saved["batch"], spec.names
    samples = len(raw["tissue"])
    batch = Batch(
        x={v: jnp.array(raw["x"][v], jnp.float32) for v in names},
        observed={v: jnp.array(raw["observed"][v], bool) for v in names},
        sample=dict.fromkeys(names, jnp.arange(samples)),
        conditionals=dict.fromkeys(names, jnp.array(raw["conditionals"], jnp.float32)),
        labels=dict.fromkeys(names, jnp.array(raw["tissue"])),
        weight=dict.fromkeys(names, jnp.ones(samples)),
    )
    return saved, spec, batch, from_torch(saved["parameters"])


def from_torch(named: dict[str, Any]) -> dict[str, Any]:
    """Fixture names and [out, in] weights to nested dicts with [in, out] kernels."""
    out: dict[str, Any] = {}
    for name, value in named.items():
        if name == "activation":
            out["slope"] = jnp.float32(value)
            continue
        *path, kind = name.split(".")
        if path[0] == "joint":
            keys = ["joint", {"mu": "mean", "var": "variance"}[path[1]]]
        else:
            layer = "out" if path[2] == "out" else f"hidden_{path[3]}"
            keys = [f"{path[0]}_{path[1]}", layer]
        array = jnp.array(value, jnp.float32)
        branch = out
        for k in keys:
            branch = branch.setdefault(k, {})
        branch["kernel" if kind == "weight" else "bias"] = array.T if kind == "weight" else array
    return out


CONFIGS = {
    "paper": mosa.Config(latent=3, hidden=(0.7,), view_latent=0.5),
    "reference_parity": mosa.Config(
        latent=3,
        hidden=(0.7,),
        view_latent=0.5,
        kl="published",
        contrastive="columns",
        contrastive_columns=3,
        macro_missing="neutral",
    ),
}


@pytest.mark.parametrize("preset", list(CONFIGS))
def test_three_steps_equal_torch(preset: str, monkeypatch: pytest.MonkeyPatch):
    saved, spec, batch, params = torch_case()
    noise = jnp.array(saved["batch"]["eps"], jnp.float32)
    monkeypatch.setattr(mosa, "draw", lambda _, mean, variance: perturb(mean, variance, noise))
    hyper = mosa.Hyper(dropout=0.0, view_dropout=0.0)
    model = mosa.build(CONFIGS[preset], spec)
    player = model.players[0]
    optimizer = player.optimizer(hyper)
    expected = saved["presets"][preset]

    def loss(own):
        total, aux = player.loss(
            {mosa.PLAYER: own}, {}, batch, jax.random.key(0), hyper, train=True
        )
        return total, aux.metrics

    state = optimizer.init(params)
    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    for i in range(3):
        (total, metrics), gradient = step(params)
        if i == 0:
            assert float(total) == pytest.approx(expected["loss"]["total"], rel=1e-5)
            assert float(metrics["kl"]) == pytest.approx(expected["loss"]["kl"], rel=1e-5)
            chex_close(gradient, from_torch(expected["gradients"]), 2e-6)
        update, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, update)
        if i == 0:
            chex_close(params, from_torch(expected["after_1_step"]), 2e-6)
    chex_close(params, from_torch(expected["after_3_steps"]), 5e-6)


def chex_close(found: Any, expected: Any, tolerance: float) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for path, value in jax.tree_util.tree_leaves_with_path(expected):
        mine = found
        for k in path:
            mine = mine[k.key]
        np.testing.assert_allclose(mine, value, atol=tolerance, err_msg=str(path))


def test_view_dropout_statistics(key: jax.Array):
    per_batch = view_keep(key, (0, 1, 2), 50, 0.3, per_sample=False)
    assert bool((per_batch == per_batch[:1]).all())
    keys = jax.random.split(key, 4000)
    kept = jax.vmap(lambda k: view_keep(k, (0, 1, 2), 1, 0.3, per_sample=False))(keys)
    assert float(kept.mean()) == pytest.approx(0.7, abs=0.015)
    linked = view_keep(key, (0, 0, 1), 400, 0.5, per_sample=True)
    assert bool((linked[:, 0] == linked[:, 1]).all())
    assert not bool((linked[:, 0] == linked[:, 2]).all())


def test_dropout_rates_are_exact_at_the_ends(key: jax.Array):
    assert bool(keep_mask(key, (1000,), 0.0).all())
    assert float(keep_mask(key, (100_000,), 0.4).mean()) == pytest.approx(0.6, abs=0.01)


def test_dropped_view_loses_its_conditionals_too(key: jax.Array):
    _, spec, batch, _ = torch_case()
    everything = Withholding(key, 1.0 - 1e-7, None, False, ())
    shown = show(spec, batch, 0.0, everything)
    inputs = shown.inputs(spec, batch, rescale=False)
    assert all(not bool(array.any()) for array in inputs.values())
    assert not bool(shown.present.any())


def test_evaluation_is_deterministic_and_ignores_unobserved_cells():
    _, spec, batch, params = torch_case()
    model = mosa.build(CONFIGS["paper"], spec)
    encode = model.tasks.encode
    assert encode is not None
    mean, _ = encode({mosa.PLAYER: params}, {}, batch)
    again, _ = encode({mosa.PLAYER: params}, {}, batch)
    np.testing.assert_array_equal(mean, again)
