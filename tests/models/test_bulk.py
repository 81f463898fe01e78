"""The VAE of bulk RNA: numbers of parameters, its loss against NumPy, views side by side."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.errors import InputError
from jaxomics.models.base import count_parameters
from jaxomics.models.bulk import Config, Hyper, build, clipped_adam, divided, joined, vae_loss
from jaxomics.models.bulk_networks import active_units

GENES = DataSpec((ViewSpec("rna", 19_421),))


def batch_of(spec: DataSpec, rows: int = 2) -> Batch:
    x = {v.name: jnp.zeros((rows, v.features)) for v in spec.views}
    each = dict.fromkeys(spec.names, jnp.ones(rows))
    return Batch(x, {v: a == 0 for v, a in x.items()}, each, each, each, each)


def parameters(config: Config) -> int:
    init = build(config, GENES).init
    return count_parameters(jax.eval_shape(init, jax.random.key(0), batch_of(GENES)).params)


def test_parameters():
    ends = 2 * (19_421 * 1024) + 1024 + 19_421
    heads, back = 2 * (1024 * 512 + 512), 512 * 1024 + 1024
    assert parameters(Config()) == ends + heads + back
    linear = 2 * (19_421 * 512 + 512) + 512 * 19_421 + 19_421
    assert parameters(Config(linear=True)) == linear


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_loss_equals_numpy(reduction: Any):
    rng = np.random.default_rng(0)
    output, target = rng.normal(size=(2, 4, 5)) * 2
    mean, variance = rng.normal(size=(4, 3)), rng.random((4, 3)) + 0.1
    observed = rng.random((4, 5)) < 0.7
    given = [jnp.asarray(a, jnp.float32) for a in (output, target)]
    given += [jnp.asarray(observed), jnp.ones(4)]
    given += [jnp.asarray(a, jnp.float32) for a in (mean, variance)]
    found, metrics = vae_loss(*given, Hyper(kl_weight=0.5, delta=0.8), reduction)
    errors = np.where(observed, special.huber(0.8, output - target), 0.0)
    error = errors.sum() / (4 if reduction == "sum" else observed.sum())
    kl = -0.5 * np.sum(1 + np.log(variance) - mean**2 - variance) / 4
    assert float(found) == pytest.approx(error + 0.5 * kl, rel=1e-5)
    assert float(metrics["kl"]) == pytest.approx(kl, rel=1e-5)


def test_dimensions_in_use():
    mean = jnp.stack([jnp.array([0.0, 1.0, 9.0]), jnp.full(3, 2.0)], axis=1)
    assert float(active_units(mean, jnp.ones(3))) == 1.0
    assert float(active_units(mean, jnp.array([0.0, 1.0, 0.0]))) == 0.0


def test_views_lie_side_by_side():
    spec = DataSpec((ViewSpec("rna", 2), ViewSpec("mirna", 3)))
    views = {"mirna": jnp.ones((1, 3)), "rna": jnp.zeros((1, 2))}
    whole = joined(spec, views)
    assert whole.tolist() == [[0, 0, 1, 1, 1]]
    assert divided(spec, whole)["mirna"].tolist() == views["mirna"].tolist()


def test_gradients_are_clipped():
    rule = clipped_adam(Hyper(learning_rate=1.0))
    state = rule.init({"w": jnp.zeros(2)})
    _, state = rule.update({"w": jnp.array([30.0, 40.0])}, state)
    moment = state[1][0].mu["w"]  # pyright: ignore
    np.testing.assert_allclose(moment, 0.1 * np.array([0.6, 0.8]), rtol=1e-5)


def test_unknown_reduction_is_refused():
    with pytest.raises(InputError, match="reduction"):
        Config(reduction="median")  # pyright: ignore
