"""Models that draw each view by itself: shapes of an epoch, batches, evaluation, refusals."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct

from jaxomics.data.batch import Data, Standard, gather, make_data
from jaxomics.data.store import write_arrays
from jaxomics.engine.epoch import evaluate
from jaxomics.engine.fit import fit, rows_per_view, run_shape
from jaxomics.engine.game import start_state
from jaxomics.engine.replicate import stack
from jaxomics.engine.state import Split, Train
from jaxomics.engine.streamed import fit_streamed
from jaxomics.errors import InputError
from jaxomics.models.base import Aux, Model, Player, Sampling, Variables

ROWS = 24
SIZES = {"rna": 13, "drug": 7}
"""Samples 0 to 12 have `rna`, 13 to 19 have `drug`; the last four have nothing."""


class Rate(struct.PyTreeNode):
    """Hyper-parameters of the toy."""

    learning_rate: float = 0.1


def counting(sampling: Sampling) -> Model:
    """Counts the rows of a batch that have each view, and sums their sample numbers."""

    def init(key: Any, batch: Any) -> Variables:
        return Variables({"own": {"w": jnp.ones(())}}, {})

    def loss(params: Any, collections: Any, batch: Any, key: Any, hyper: Any, *, train: bool):
        metrics = {"loss": params["own"]["w"] ** 2}
        for view in SIZES:
            has = batch.weight[view] * jnp.any(batch.observed[view], axis=1)
            metrics[f"rows/{view}"] = jnp.sum(has)
            metrics[f"sum/{view}"] = jnp.sum(has * batch.sample[view])
        return metrics["loss"], Aux(metrics, collections)

    player = Player("own", loss, lambda hyper: optax.sgd(hyper.learning_rate))
    return Model(init, (player,), sampling=sampling)


@pytest.fixture(scope="module")
def data() -> Data:
    arrays = {view: np.full((ROWS, 2), np.nan) for view in SIZES}
    arrays["rna"][:13], arrays["drug"][13:20] = 1.0, 2.0
    return make_data(arrays, labels=np.arange(ROWS) % 2)


@pytest.fixture(scope="module")
def standard() -> Standard:
    ones = {view: jnp.ones(2) for view in SIZES}
    return Standard(jax.tree.map(jnp.zeros_like, ones), ones)


def split_of(train: np.ndarray, size: int | None = None) -> Split:
    valid = np.concatenate([np.arange(20), [0, 0, 0]])
    return Split(train, len(train) if size is None else size, valid, 20)


WHOLE = split_of(np.arange(ROWS))


def test_steps_follow_the_smallest_or_the_largest_view(data: Data):
    train = Train(epochs=5, batch_size=4)
    assert {v: n.tolist() for v, n in rows_per_view(data, WHOLE).items()} == {
        "rna": [13],
        "drug": [7],
    }
    shortest, longest = (counting(Sampling("per_view", end)) for end in ("min", "max"))
    assert run_shape(shortest, train, data, WHOLE) == (1, 4, 5)
    assert run_shape(longest, train, data, WHOLE) == (3, 4, 5)
    # No view has 32 rows: the batch shrinks to the smallest view.
    assert run_shape(longest, Train(epochs=5, batch_size=32), data, WHOLE) == (1, 7, 5)
    # Replicas share one program: of two folds the smaller decides; padding does not count.
    folds = stack([WHOLE, split_of(np.r_[0:6, 13:19, [0] * 12], 12)])
    assert rows_per_view(data, folds)["rna"].tolist() == [13, 6]
    assert run_shape(longest, train, data, folds) == (1, 4, 5)


def test_a_view_without_rows_is_named(data: Data):
    model = counting(Sampling("per_view"))
    with pytest.raises(InputError, match="2 training samples with view drug, found 1; add samples"):
        run_shape(model, Train(), data, split_of(np.arange(14)))


@pytest.mark.parametrize("length", ["min", "max"])
@pytest.mark.parametrize("balanced", [False, True])
def test_training_batches_are_full_of_each_view(
    data: Data, standard: Standard, length: Any, balanced: bool
):
    model = counting(Sampling("per_view", length, balanced))
    result = fit(
        model, data, standard, WHOLE, Rate(), Train(epochs=2, batch_size=6),
        key=jax.random.key(0),
    )  # fmt: skip
    rows = [row for row in result.history if row["split"] == "train"]
    assert [row[f"rows/{view}"] for row in rows for view in SIZES] == [6.0] * 4
    assert all(13 <= row["sum/drug"] / 6 < 20 for row in rows)
    assert all(row["sum/rna"] / 6 < 13 for row in rows)


def test_evaluation_counts_every_sample_once(data: Data, standard: Standard):
    model = counting(Sampling("per_view"))
    hyper = Rate()
    state = start_state(
        model, gather(data, standard, jnp.arange(2), jnp.ones(2)), hyper, jax.random.key(0)
    )
    found = evaluate(model, state, data, standard, WHOLE, hyper, 3)
    batches = 4  # of 3 rows per view, two views: 23 places, of which 20 are samples
    for view, samples in (("rna", range(13)), ("drug", range(13, 20))):
        assert float(found[f"rows/{view}"]) * batches == pytest.approx(len(samples))
        assert float(found[f"sum/{view}"]) * batches == pytest.approx(sum(samples))


def test_streaming_is_refused(standard: Standard, tmp_path: Any):
    store = write_arrays({view: np.ones((4, 2)) for view in SIZES}, tmp_path / "store")
    split = Split(np.arange(4), 4, np.arange(0), 0)
    with pytest.raises(InputError, match="or each view by itself; train it in memory"):
        fit_streamed(
            counting(Sampling("per_view")), store, standard, split, Rate(),
            Train(), key=jax.random.key(0),
        )  # fmt: skip
