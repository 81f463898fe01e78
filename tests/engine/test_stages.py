"""A run in stages is successive runs on one state; who rests stays as it is, and is heard."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxomics.data.batch import gather
from jaxomics.engine.control import start_control
from jaxomics.engine.epoch import run_epochs
from jaxomics.engine.fit import fit
from jaxomics.engine.game import make_step, start_state
from jaxomics.engine.state import Train
from jaxomics.models.base import Model, Stage, stage_ends, stage_models

TRAIN = Train(epochs=6, batch_size=5)


@pytest.fixture(scope="module")
def staged(models: dict[str, Model]) -> Model:
    """The coder alone for a third of the run, then the critic alone, then both."""
    coder, critic = models["game"].players
    stages = (
        Stage((coder, critic._replace(updates=0)), 1 / 3),
        Stage((coder._replace(updates=0), critic), 1 / 3),
        Stage((coder, critic), 1 / 3),
    )
    return models["game"]._replace(stages=stages)


@pytest.fixture(scope="module")
def ends(staged: Model, toy: Any) -> list:
    """State and metrics after each stage, by successive runs of its model."""
    split = jax.tree.map(jnp.asarray, toy.split(list(range(10)), [15, 16, 17]))
    example = gather(toy.data, toy.standard, jnp.arange(2), jnp.ones(2))
    state = start_state(staged, example, toy.hyper, jax.random.key(0))
    found = []
    for number, stage in enumerate(stage_models(staged)):
        state, _, metrics, _ = run_epochs(
            stage, make_step(stage), state, start_control(state.params, TRAIN), toy.data,
            toy.standard, split, toy.hyper, TRAIN, (2, 5, 2), jnp.int32(2 * number), jnp.int32(2),
        )  # fmt: skip
        found.append((state, metrics))
    return found


def test_a_run_equals_successive_runs(staged: Model, ends: list, toy: Any):
    split = toy.split(list(range(10)), [15, 16, 17])
    result = fit(staged, toy.data, toy.standard, split, toy.hyper, TRAIN, key=jax.random.key(0))
    chex.assert_trees_all_close(result.params, ends[-1][0].params, atol=1e-6)
    losses = [row["coder/loss"] for row in result.history if row["split"] == "valid"]
    each = [float(x) for _, metrics in ends for x in metrics["valid"]["coder/loss"]]
    assert losses == pytest.approx(each, abs=1e-6)


def test_who_rests_stays_as_it_is(ends: list):
    (one, heard), (two, _), (three, _) = ends
    assert not bool((one.params["critic"]["w"] == three.params["critic"]["w"]).all())
    chex.assert_trees_all_equal(one.params["coder"], two.params["coder"])
    chex.assert_trees_all_equal(one.optimizer["coder"], two.optimizer["coder"])
    assert not bool((two.params["critic"]["w"] == one.params["critic"]["w"]).all())
    assert (heard["train"]["critic/grad_norm"] == 0).all()
    assert (heard["train"]["critic/update_norm"] == 0).all()
    assert (heard["train"]["critic/loss"] > 0).all()


def test_ends_of_stages(staged: Model, models: dict[str, Model]):
    assert stage_ends(staged, 6) == (2, 4)
    assert stage_ends(staged, 7) == (2, 4)
    assert stage_ends(models["game"], 7) == ()
    assert stage_models(models["game"]) == (models["game"],)
