"""MOVE: its loss by hand, the quirks, discrete views, warm-up, a lost view, the same seed."""

from types import SimpleNamespace
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Batch, DataSpec, ViewSpec
from jaxomics.errors import InputError
from jaxomics.models.base import count_parameters
from jaxomics.models.move import (
    Config,
    Hyper,
    blocks,
    build,
    cross_entropy,
    divided,
    expected,
    inputs,
    objective,
    seen,
    view_errors,
    warm,
)

ONE = DataSpec((ViewSpec("a", 3),))
MIXED = DataSpec((ViewSpec("rna", 3), ViewSpec("mut", 2, levels=(0.0, 1.0))), conditionals=1)


def batch_of(spec: DataSpec, **views: Any) -> Batch:
    """A batch of these values in their own units, NaN = not measured; conditionals are 1."""
    arrays = {name: np.asarray(values, np.float32) for name, values in views.items()}
    rows = len(arrays[spec.names[0]])
    each: dict[str, Any] = {
        "sample": np.arange(rows),
        "conditionals": np.ones((rows, spec.conditionals), np.float32),
        "labels": np.full(rows, -1),
        "weight": np.ones(rows, np.float32),
    }
    x: Any = {name: np.nan_to_num(values) for name, values in arrays.items()}
    observed: Any = {name: ~np.isnan(values) for name, values in arrays.items()}
    return Batch(x, observed, **{part: dict.fromkeys(spec.names, a) for part, a in each.items()})


def test_loss_by_hand():
    batch = batch_of(ONE, a=[[1.0, 0.0, np.nan], [2.0, np.nan, -1.0]])
    output = {"a": jnp.array([[0.0, 1.0, 5.0], [1.0, 7.0, 1.0]])}
    # Errors 1, 1, -, 1, -, 4 over 2 rows x 3 features.
    errors = view_errors(Config(), ONE, batch, output)
    assert float(errors["a"]) == pytest.approx(7 / 6)
    # Published: the measured zero and the last feature are left out, which leaves 1 and 1.
    quirks = view_errors(Config(parity=True), ONE, batch, output)
    assert float(quirks["a"]) == pytest.approx(2 / 6)
    mean, variance = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([[1.0, 1.0], [np.e, 1.0]])
    kl = (0.5 + 0.5 * (np.e - 2) + 2.0) / 2
    hyper: Any = Hyper(kl_weight=0.1, view_weight={"a": 3.0})
    total, terms = objective(errors, mean, variance, jnp.ones(2), jnp.array(0.5), hyper)
    assert float(terms["kl"]) == pytest.approx(kl, rel=1e-6)
    assert float(total) == pytest.approx(3 * 7 / 6 + 0.1 * 0.5 * kl, rel=1e-6)


def test_classes_by_hand():
    # Two classes as likely as 1 : e, 1 : 1; the second row's first cell was not measured.
    logits = jnp.array([[[0.0, 1.0], [0.0, 0.0]], [[9.0, 0.0], [2.0, 0.0]]])
    target, kept = jnp.array([[1.0, 0.0], [1.0, 1.0]]), jnp.array([[1.0, 1.0], [0.0, 1.0]])
    found = cross_entropy(logits, target, kept, (0.0, 1.0), jnp.ones(2))
    by_hand = np.log(1 + np.exp(-1)) + np.log(2) + np.log(1 + np.exp(2))
    assert float(found) == pytest.approx(by_hand / 4, rel=1e-6)
    values = expected(ViewSpec("mut", 2, levels=(0.0, 1.0)), logits)
    assert float(values[0, 0]) == pytest.approx(np.e / (1 + np.e), rel=1e-6)
    assert float(values[0, 1]) == pytest.approx(0.5)


def test_blocks_stand_side_by_side():
    batch = batch_of(MIXED, rna=[[1.0, np.nan, 2.0]], mut=[[1.0, np.nan]])
    read = inputs(MIXED, batch, seen(MIXED, batch))
    assert read.tolist() == [[1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 0.0, 1.0]]
    assert [view.name for view in blocks(MIXED)] == ["rna", "mut", "conditionals"]
    parts = divided(MIXED, jnp.arange(8.0)[None])
    assert {name: part.shape for name, part in parts.items()} == {
        "rna": (1, 3), "mut": (1, 2, 2), "conditionals": (1, 1),
    }  # fmt: skip
    assert parts["mut"].tolist() == [[[3.0, 4.0], [5.0, 6.0]]]


def test_warm_up_grows_at_the_epochs_named():
    found = [float(warm(Config(), jnp.float32(done))) for done in (23, 24, 98, 99)]
    assert found == [0.0, 0.25, 0.75, 1.0]
    assert float(warm(Config(kl_warmup=()), jnp.float32(0))) == 1.0
    assert float(warm(Config(kl_warmup=(), parity=True), jnp.float32(0))) == 0.0


def test_sizes_are_closed_forms():
    spec = DataSpec((ViewSpec("rna", 30), ViewSpec("drug", 12)))
    batch = batch_of(spec, rna=np.zeros((2, 30)), drug=np.zeros((2, 12)))
    found = jax.eval_shape(build(Config(), spec).init, jax.random.key(0), batch)
    hidden, latent, total = 1000, 200, 42
    ends = total * hidden + hidden + 2 * (hidden * latent + latent)
    ends += latent * hidden + hidden + hidden * total + total
    assert count_parameters(found.params) == ends + 2 * 2 * hidden


def test_weights_are_checked():
    loss: Any = build(Config(parity=True), ONE).players[0].loss
    with pytest.raises(InputError, match="a weight of every view"):
        loss({}, {}, None, None, Hyper(), train=True)
    named: Any = Hyper(view_weight={"b": 1.0})
    with pytest.raises(InputError, match="unknown view of view_weight 'b'"):
        loss({}, {}, None, None, named, train=True)


def test_writes_a_lost_view_and_repeats_itself(two_views: SimpleNamespace):
    model = build(Config(latent=4, hidden=(16,), kl_warmup=(), withhold=True), two_views.spec)
    hyper: Any = Hyper(learning_rate=1e-2, view_dropout=0.4)
    state = two_views.trained(model, hyper, 120)
    output, _ = two_views.applied(model, state, two_views.held_out("drug"))
    assert two_views.unexplained(output["drug"], "drug") < 0.5
    again = two_views.trained(model, hyper, 120)
    chex.assert_trees_all_equal(state.params, again.params)
