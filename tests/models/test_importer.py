"""The importer of released MOSA weights against outputs of PyTorch with the same weights."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.errors import InputError
from jaxomics.models import mosa
from jaxomics.models.torch_weights import import_weights, read_weights

SAVED = json.loads((Path(__file__).parents[1] / "parity" / "state_dict.json").read_text())
NAMED = {name: np.array(value, np.float32) for name, value in SAVED["state_dict"].items()}
ORDER = ("rna", "protein")
CONFIG = mosa.Config(latent=2, hidden=(0.7,), view_latent=0.5)


def spec_of(*views: str) -> DataSpec:
    columns: dict[str, tuple[int, ...]] = {"rna": (0, 2, 3, 4)}
    shapes: dict[str, int] = {"rna": 5, "protein": 6}
    found = (ViewSpec(v, shapes.get(v, 4), columns.get(v)) for v in views)
    return DataSpec(tuple(found), SAVED["config"]["conditionals"])


def batch_of(spec: DataSpec) -> Batch:
    x = {v: jnp.array(a, jnp.float32) for v, a in zip(ORDER, SAVED["x"], strict=True)}
    y, rows = jnp.array(SAVED["conditionals"], jnp.float32), jnp.arange(4)
    x = {v.name: x.get(v.name, jnp.zeros((4, v.features))) for v in spec.views}
    return Batch(
        x=x,
        observed={v: jnp.ones(a.shape, bool) for v, a in x.items()},
        sample=dict.fromkeys(spec.names, rows),
        conditionals=dict.fromkeys(spec.names, y),
        labels=dict.fromkeys(spec.names, rows),
        weight=dict.fromkeys(spec.names, jnp.ones(4)),
    )


def outputs(params: Any, spec: DataSpec) -> tuple[Any, Any, Any]:
    tasks, batch = mosa.build(CONFIG, spec).tasks, batch_of(spec)
    assert tasks.encode is not None
    assert tasks.decode is not None
    mean, variance = tasks.encode(params, {}, batch)
    return mean, variance, tasks.decode(params, {}, mean, batch.conditionals[spec.names[0]])


@pytest.mark.parametrize("views", [("rna", "protein"), ("protein", "rna")])
def test_outputs_equal_torch_in_either_order(views: tuple[str, ...]):
    spec = spec_of(*views)
    mean, variance, reconstruction = outputs(import_weights(NAMED, CONFIG, spec, ORDER), spec)
    np.testing.assert_allclose(mean, SAVED["mu"], atol=1e-5)
    np.testing.assert_allclose(variance, SAVED["variance"], atol=1e-5)
    for view, expected in zip(ORDER, SAVED["reconstruction"], strict=True):
        np.testing.assert_allclose(reconstruction[view], expected, atol=1e-5)


def test_npz_round_trip_without_prefix(tmp_path: Path):
    path = tmp_path / "weights.npz"
    bare: dict[str, Any] = {name.removeprefix("module."): v for name, v in NAMED.items()}
    np.savez(path, **bare)
    spec = spec_of(*ORDER)
    plain = import_weights(read_weights(path), CONFIG, spec, ORDER)
    jax.tree.map(np.testing.assert_array_equal, plain, import_weights(NAMED, CONFIG, spec, ORDER))
    with pytest.raises(InputError, match=r"numpy\.savez"):
        read_weights(tmp_path / "weights.pth")


def test_layers_follow_the_order_of_their_numbers_not_fixed_positions():
    shifted = {}
    for name, value in NAMED.items():
        parts = name.split(".")
        if parts[1] in ("encoders", "decoders"):
            parts[3] = str(int(parts[3]) + 9)  # 2, 5 become 11, 14; as text 9 would follow 12
        shifted[".".join(parts)] = value
    spec = spec_of(*ORDER)
    found = import_weights(shifted, CONFIG, spec, ORDER)
    jax.tree.map(np.testing.assert_array_equal, found, import_weights(NAMED, CONFIG, spec, ORDER))


def test_some_of_the_views_keep_their_rows_of_the_joint_layer():
    full = import_weights(NAMED, CONFIG, spec_of(*ORDER), ORDER)[mosa.PLAYER]
    part = import_weights(NAMED, CONFIG, spec_of("protein"), ORDER)[mosa.PLAYER]
    assert "encoders_rna" not in part
    # 4 of 5 rna features enter, half of them is its latent: protein has the rows after 2.
    for head in ("mean", "variance"):
        kernel = full["joint"][head]["kernel"]
        np.testing.assert_array_equal(part["joint"][head]["kernel"], kernel[2:])


def test_views_that_were_not_released_start_from_given_parameters():
    spec = spec_of("rna", "methylation")
    start = mosa.build(CONFIG, spec).init(jax.random.key(0), batch_of(spec)).params
    found = import_weights(NAMED, CONFIG, spec, ORDER, start=start)[mosa.PLAYER]
    full = import_weights(NAMED, CONFIG, spec_of(*ORDER), ORDER)[mosa.PLAYER]
    own = start[mosa.PLAYER]
    for part in ("encoders_rna", "decoders_rna", "slope"):
        jax.tree.map(np.testing.assert_array_equal, found[part], full[part])
    for part in ("encoders_methylation", "decoders_methylation", "joint"):
        jax.tree.map(np.testing.assert_array_equal, found[part], own[part])
    with pytest.raises(InputError, match=r"methylation.*start"):
        import_weights(NAMED, CONFIG, spec, ORDER)


def without(part: str) -> dict[str, np.ndarray]:
    return {name: value for name, value in NAMED.items() if part not in name}


@pytest.mark.parametrize(
    ("named", "config", "views", "order", "message"),
    [
        (NAMED, replace(CONFIG, activation="gelu"), ORDER, ORDER, "prelu_shared"),
        (NAMED, replace(CONFIG, latent=3), ORDER, ORDER, r"expected shape \(6, 3\)"),
        (NAMED, replace(CONFIG, hidden=(0.7, 0.5)), ORDER, ORDER, "expected 3 linear layers"),
        (NAMED, CONFIG, ORDER, ("protein", "rna"), "encoders_rna/hidden_0"),
        (NAMED, CONFIG, ORDER, (*ORDER, "drug"), "numbered 0 to 2"),
        (NAMED, CONFIG, ("rnaa",), ORDER, "did you mean 'rna'"),
        (without("encoders.0.2.bias"), CONFIG, ORDER, ORDER, "encoders.0.2.bias"),
        (without("joint.var.weight"), CONFIG, ORDER, ORDER, "joint.var.weight"),
        ({k: v for k, v in NAMED.items() if v.size > 1}, CONFIG, ORDER, ORDER, "slope"),
        (
            NAMED | {"activation_function.weight": np.array([0.5])},
            CONFIG, ORDER, ORDER, "different",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(named, config, views, order, message: str):
    with pytest.raises(InputError, match=message):
        import_weights(named, config, spec_of(*views), order)
