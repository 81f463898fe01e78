"""JAMIE: the front against NumPy, its loss by hand, neighbours, lost views, pairs of views."""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import DataSpec, ViewSpec
from jaxomics.errors import InputError
from jaxomics.models.jamie import (
    FRONT,
    Config,
    Hyper,
    Posterior,
    build,
    neighbours,
    objective,
    warm,
)


def test_loss_by_hand():
    # Two views, two samples, two dimensions; the second sample lacks the second view.
    mean = jnp.array([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 2.0], [9.0, 9.0]]])
    found = Posterior(mean, jnp.ones_like(mean), jnp.array([[1.0, 1.0], [1.0, 0.0]]))
    joint = jnp.array([[0.5, 1.0], [0.0, 0.0]])
    errors = {"a": jnp.array(0.5), "b": jnp.array(0.25)}
    hyper: Any = Hyper()
    total, terms = objective(
        errors, found, mean, joint, jnp.array(2.0), jnp.array(0.5), hyper
    )  # fmt: skip
    # KL a: (1/2 / 2 + 0) / 2 rows; b: 4/2 / 2 of its one row.
    assert float(terms["kl"]) == pytest.approx(0.125 + 1.0)
    # Pull a: ((1/4 + 1) / 2 + 0) / 2; b: (1/4 + 1) / 2.
    assert float(terms["pull"]) == pytest.approx(0.3125 + 0.625)
    assert float(total) == pytest.approx(0.75 + 0.032 * 0.5 * 1.125 + 32 * 0.9375 + 2.0)


def test_neighbours_are_of_the_second_view_and_near():
    place = jnp.array([[0.0], [1.0], [1.5], [2.0]])
    present = jnp.array([[1.0, 1, 1, 0], [1, 0, 1, 1]])
    found = np.asarray(neighbours({"a": place, "b": place}, present, 2))
    # The second sample has no view b, so it is nobody's neighbour; the last no view a, so no row.
    assert found.tolist() == [[0.5, 0, 0.5, 0], [0.5, 0, 0.5, 0], [0, 0, 0.5, 0.5], [0, 0, 0, 0]]


def test_annealing_is_half_way_at_the_midpoint():
    assert float(warm(Config(midpoint=250), jnp.array(0.0))) == pytest.approx(1 / (1 + np.exp(5)))
    assert float(warm(Config(midpoint=0), jnp.array(0.0))) == 1.0


def test_two_views_are_needed():
    three = DataSpec(tuple(ViewSpec(name, 3) for name in "abc"))
    with pytest.raises(InputError, match="joins 2 views, found 3; name two"):
        build(Config(), three)


def test_writes_a_lost_view_from_axes_of_the_training_rows(two_views: SimpleNamespace):
    model = build(Config(latent=4, components=4, nearest=0, midpoint=0), two_views.spec)
    hyper: Any = Hyper(learning_rate=1e-2, pull_weight=2.0)
    state = two_views.trained(model, hyper, 120)
    data, _ = two_views.cohort()
    # The axes are those of all training rows, their holes at the mean of what was measured.
    x = np.asarray(data.x["rna"])[: two_views.rows]
    seen = np.asarray(data.observed["rna"])[: two_views.rows]
    centre = np.where(seen, x, 0).sum(axis=0) / seen.sum(axis=0)
    axes = np.linalg.svd(np.where(seen, x - centre, 0))[2][:4]
    front = state.collections[FRONT]["rna"]
    np.testing.assert_allclose(np.abs(axes @ np.asarray(front["axes"])), np.eye(4), atol=1e-3)
    np.testing.assert_allclose(front["mean"], centre, atol=1e-5)
    batch = two_views.held_out("drug")
    output, joint = two_views.applied(model, state, batch)
    assert two_views.unexplained(output["drug"], "drug") < 0.5
    # The joint latent of a sample with one view is that view's own.
    assert model.tasks.views is not None
    alone, _ = jax.jit(model.tasks.views)(state.params, state.collections, batch)["rna"]
    np.testing.assert_allclose(joint, alone, atol=1e-5)
