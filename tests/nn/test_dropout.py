"""Dropout: expectations, ends of the range, traced rates, groups of views."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.nn.dropout import draw_words, dropout, keep, keep_mask, view_keep


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean_and_rescales(key: jax.Array, rate: float):
    found = dropout(jax.random.bits(key, 40_000), jnp.full(40_000, 2.0), rate)
    assert float(found.mean()) == pytest.approx(2.0, abs=0.1)
    assert float((found == 0).mean()) == pytest.approx(rate, abs=0.01)
    np.testing.assert_allclose(jnp.unique(found), [0.0, 2.0 / (1 - rate)], rtol=1e-5)


def test_rates_may_be_traced_and_vary_over_replicas(key: jax.Array):
    kept = jax.jit(jax.vmap(lambda r: keep_mask(key, (10_000,), r)))(jnp.array([0.0, 0.3, 1.0]))
    np.testing.assert_allclose(kept.mean(axis=1), [1.0, 0.7, 0.0], atol=0.02)


def test_rate_zero_is_the_identity_with_gradient_one(key: jax.Array):
    words = jax.random.bits(key, 100)
    gradient = jax.grad(lambda x: dropout(words, x, jnp.float32(0.0)).sum())(jnp.ones(100))
    assert gradient.tolist() == [1.0] * 100


def test_views_of_a_group_go_together_and_samples_on_their_own(key: jax.Array):
    kept = view_keep(key, (0, 1, 0), 2000, 0.4, per_sample=True)
    assert bool((kept[:, 0] == kept[:, 2]).all())
    np.testing.assert_allclose(kept.mean(axis=0), 0.6, atol=0.04)
    both = float((kept[:, 0] & kept[:, 1]).mean())
    assert both == pytest.approx(0.36, abs=0.04)


def test_words_of_several_layers_are_drawn_apart(key: jax.Array):
    words = draw_words(key, 500, [40, 1, 90])
    assert [part.shape for part in words] == [(500, 40), (500, 1), (500, 90)]
    kept = [keep(part, 0.25).mean() for part in words]
    np.testing.assert_allclose(kept, 0.75, atol=0.06)
    assert not bool((words[0][:, 0] == words[2][:, 0]).any())
