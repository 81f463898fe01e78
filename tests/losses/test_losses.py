"""Loss terms against golden numbers worked by hand, PyTorch values, and properties."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.losses.contrastive import columns_margin, label_margin
from jaxomics.losses.divergence import gaussian_kl, published_kl
from jaxomics.losses.reconstruction import macro_mse, masked_mse

PARITY = Path(__file__).parents[1] / "parity"
Z = jnp.array([[1.0, 0], [0, 1], [1, 1], [-1, 0], [2, 1]])
TISSUE = jnp.array([0, 0, 1, 1, 2])
LEVELS = (-2.0, -1.0, 0.0, 1.0, 2.0)


def test_label_margin_golden():
    assert float(label_margin(Z, TISSUE, 0.85, 0.15)) == pytest.approx(1.794461, abs=2e-6)


def test_columns_margin_golden():
    columns = jax.nn.one_hot(TISSUE, 3)
    each = [
        float(columns_margin(Z, columns[:, i : i + 1], jnp.ones(5), 0.85, 0.15)) for i in range(3)
    ]
    np.testing.assert_allclose(each, [1.922808, 1.574263, 1.512257], atol=2e-6)
    total = columns_margin(Z, columns, jnp.ones(5), 0.85, 0.15)
    assert float(total) == pytest.approx(5.009329, abs=5e-6)


def test_kl_golden():
    mean = jnp.array([[1.0, 0], [0, 2]])
    variance = jax.nn.softplus(jnp.array([[0.0, 1], [-1, 0.5]]))
    assert float(gaussian_kl(mean, variance)) == pytest.approx(1.393682, abs=2e-6)
    assert float(published_kl(mean, variance)) == pytest.approx(1.860284, abs=2e-6)


def test_reconstruction_golden():
    target = jnp.array([[0.0, 1, -2], [0, 0, 2], [1, 0, 0]])
    observed = jnp.array([[1, 1, 1], [0, 0, 0], [1, 1, 0]], bool)
    predicted = jnp.array([[0.5, 0.5, -1], [3, 3, 3], [0, 0.2, 0.4]])
    assert float(masked_mse(predicted, target, observed)) == pytest.approx(0.508, abs=1e-6)
    macro = macro_mse(predicted, target, observed, LEVELS)
    assert float(macro) == pytest.approx(0.59, abs=1e-6)
    published = macro_mse(predicted, target, observed, LEVELS, missing_as_zero=True)
    assert float(published) == pytest.approx(0.557778, abs=2e-6)


def test_contrastive_equals_torch_with_gradients():
    saved = json.loads((PARITY / "contrastive.json").read_text())
    z = jnp.array(saved["mu"])
    tissue = jnp.array(saved["tissue"])
    columns = jnp.array(saved["columns"], jnp.float32)
    weight = jnp.ones(len(z))
    cases = {
        "labels": lambda z: label_margin(z, tissue, 0.85, 0.15),
        "per_column": lambda z: columns_margin(z, columns, weight, 0.85, 0.15),
    }
    for name, loss in cases.items():
        value, gradient = jax.value_and_grad(loss)(z)
        assert float(value) == pytest.approx(saved[name]["value"], rel=1e-5)
        np.testing.assert_allclose(gradient, saved[name]["gradient"], atol=2e-6)


def test_no_pair_and_no_observed_cell_give_zero():
    assert float(label_margin(Z, jnp.full(5, -1), 0.85, 0.15)) == 0.0
    nothing = jnp.zeros((2, 3), bool)
    assert float(masked_mse(jnp.ones((2, 3)), jnp.zeros((2, 3)), nothing)) == 0.0
    assert float(macro_mse(jnp.ones((2, 3)), jnp.zeros((2, 3)), nothing, LEVELS)) == 0.0


def test_zero_latent_has_finite_gradient():
    gradient = jax.grad(lambda z: label_margin(z, TISSUE, 0.85, 0.15))(Z.at[0].set(0.0))
    assert bool(jnp.isfinite(gradient).all())


@given(st.integers(0, 1000), st.integers(2, 12))
@settings(max_examples=15, deadline=None)
def test_label_margin_equals_pair_loop(seed: int, samples: int):
    rng = np.random.default_rng(seed)
    z, labels = rng.normal(size=(samples, 3)), rng.integers(-1, 3, samples)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    near, far = [], []
    for i in range(samples):
        for j in range(samples):
            if i == j or labels[i] < 0 or labels[j] < 0:
                continue
            s = unit[i] @ unit[j]
            (near if labels[i] == labels[j] else far).append(
                max(0.0, 0.85 - s) if labels[i] == labels[j] else max(0.0, s - 0.15)
            )
    expected = sum(np.mean([v for v in part if v > 0] or [0.0]) for part in (near, far))
    found = label_margin(jnp.array(z), jnp.array(labels), 0.85, 0.15)
    assert float(found) == pytest.approx(expected, rel=1e-4, abs=1e-5)
