"""scVAEIT: its loss by hand, what is hidden, a lost view with and without a told decoder."""

from types import SimpleNamespace
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from jaxomics.losses.divergence import between_gaussians
from jaxomics.models.scvaeit import (
    Config,
    Hyper,
    build,
    hide,
    log_likelihood,
    objective,
    take_turns,
)


def test_loss_by_hand():
    output = {"a": jnp.array([[0.0, 1.0, 2.0], [1.0, 1.0, 1.0]])}
    target = {"a": jnp.array([[0.5, 1.0, 9.0], [0.0, 3.0, 1.0]])}
    cells = {"a": jnp.array([[True, True, False], [True, True, True]])}
    s = np.array([1.0, 2.0, 0.5])
    each = norm.logpdf(np.asarray(target["a"]), np.asarray(output["a"]), s[None])
    by_hand = np.sum(np.where(cells["a"], each, 0.0)) / 2
    found = log_likelihood(output, {"a": jnp.asarray(s)}, target, cells, jnp.ones(2))
    assert float(found) == pytest.approx(by_hand, rel=1e-5)
    # KL of N(1, 4) from N(0, 1): ln(1/2) + (4 + 1) / 2 - 1/2, and 0 in the second row.
    kl = between_gaussians(
        jnp.array([[1.0], [3.0]]), jnp.array([[4.0], [2.0]]),
        jnp.array([[0.0], [3.0]]), jnp.array([[1.0], [2.0]]), jnp.ones(2),
    )  # fmt: skip
    assert float(kl) == pytest.approx((np.log(0.5) + 2.0) / 2, rel=1e-5)
    hyper: Any = Hyper(hidden_weight=0.3)
    total, _ = objective(jnp.array(-10.0), jnp.array(-4.0), kl, hyper)
    assert float(total) == pytest.approx(0.7 * 10 + 0.3 * 4 + 2 * float(kl), rel=1e-6)


def test_hides_measured_cells_and_never_the_last_view(two_views: SimpleNamespace):
    spec, batch = two_views.spec, two_views.held_out()
    wide = jax.tree.map(lambda leaf: np.tile(leaf, (40,) + (1,) * (leaf.ndim - 1)), batch)
    wide.observed["drug"][:400] = False
    draw: Any = jax.jit(lambda hyper: hide(spec, wide, jax.random.key(0), hyper))
    seen = wide.observed
    gone = draw(Hyper(view_rate=0.6, cell_rate=0.0))
    left = {v: seen[v] & ~np.asarray(gone[v]) for v in seen}
    whole = {v: seen[v].any(axis=1) & ~left[v].any(axis=1) for v in seen}
    # A view is hidden whole or not at all, one of two, and none of a sample with one.
    assert all(np.array_equal(left[v], seen[v] & ~whole[v][:, None]) for v in seen)
    assert not np.any(whole["rna"] & whole["drug"])
    assert not np.any(whole["rna"][:400])
    assert np.mean((whole["rna"] | whole["drug"])[400:]) == pytest.approx(0.6, abs=0.06)
    # Half of the samples lose three cells of ten, and only cells that were measured.
    gone = draw(Hyper(view_rate=0.0, cell_rate=0.3))
    assert all(not np.any(np.asarray(gone[v]) & ~seen[v]) for v in seen)
    assert np.sum(gone["rna"]) / np.sum(seen["rna"]) == pytest.approx(0.15, abs=0.02)
    turns = np.asarray(jax.jit(lambda: take_turns(spec, batch))()["rna"]).any(axis=1)
    assert np.array_equal(turns, batch.sample["rna"] % 2 == 0)


def test_writes_a_lost_view_and_repeats_itself(two_views: SimpleNamespace):
    config = Config(latent=4, hidden=(16,), block=16, embedding=2, draws=8)
    model = build(config, two_views.spec)
    hyper: Any = Hyper(learning_rate=1e-2)
    state = two_views.trained(model, hyper, 150)
    output, _ = two_views.applied(model, state, two_views.held_out("drug"))
    assert two_views.unexplained(output["drug"], "drug") < 0.5
    again = two_views.trained(model, hyper, 150)
    chex.assert_trees_all_equal(state.params, again.params)
    assert model.tasks.decode is None
    assert build(Config(tell_decoder=False), two_views.spec).tasks.decode is not None
