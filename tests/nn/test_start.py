"""Initial weights: from bounds to draws, for a whole network at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.nn import start as module
from jaxomics.nn.start import spread


def test_weights_are_uniform_and_independent_across_chunks(key: jax.Array, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 1000)
    bounds = {"one": {"kernel": jnp.full((60, 70), 0.5)}, "two": {"bias": jnp.full(999, 2.0)}}
    weights = spread(key, bounds)
    kernel, bias = np.asarray(weights["one"]["kernel"]), np.asarray(weights["two"]["bias"])
    assert len(np.unique(np.concatenate([kernel.ravel() / 0.5, bias / 2]))) > 5150
    for values, bound in ((kernel, 0.5), (bias, 2.0)):
        assert np.abs(values).max() == pytest.approx(bound, rel=0.01)
        assert values.var() == pytest.approx(bound**2 / 3, rel=0.1)


def test_what_layers_do_not_draw_stays(key: jax.Array):
    bounds = {"norm": {"scale": jnp.ones(3), "bias": jnp.zeros(3)}, "slope": jnp.float32(0.25)}
    weights = spread(key, bounds)
    assert weights["norm"]["scale"].tolist() == [1.0] * 3
    assert weights["norm"]["bias"].tolist() == [0.0] * 3
    assert float(weights["slope"]) == 0.25


def test_replicas_start_apart(key: jax.Array):
    bounds = {"kernel": jnp.ones((4, 4))}
    many = jax.vmap(lambda k: spread(k, bounds))(jax.random.split(key, 3))
    for i, own in enumerate(jax.random.split(key, 3)):
        np.testing.assert_array_equal(many["kernel"][i], spread(own, bounds)["kernel"])
