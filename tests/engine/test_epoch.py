"""Plans and evaluation against loops; one program for every number of epochs."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.data.sampling import evaluation_plan, paired_plan
from jaxomics.engine.control import start_control
from jaxomics.engine.epoch import evaluate, run_epochs
from jaxomics.engine.game import make_step, start_state
from jaxomics.engine.state import Split, Train


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 12), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_training_plan_draws_valid_rows_once(seed: int, size: int, batch: int, padding: int):
    batch = min(batch, size)
    rows = np.concatenate([np.arange(100, 100 + size), np.zeros(padding, int)])
    plan = paired_plan(jax.random.key(seed), jnp.asarray(rows), size, batch, size // batch)
    drawn = np.ravel(plan).tolist()
    assert len(set(drawn)) == len(drawn) == size // batch * batch
    assert set(drawn) <= set(range(100, 100 + size))


def test_evaluation_plan_weighs_padding_with_zero():
    rows, weight = evaluation_plan(jnp.array([5, 6, 7, 8, 0]), 4, 3)
    assert rows.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert weight.tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(("size", "batch"), [(7, 3), (5, 3), (3, 3), (7, 7), (1, 3)])
def test_evaluation_equals_a_loop(toy, size: int, batch: int):
    # Seven slots, of which `size` hold validation rows: the last batch may be short or empty.
    rows = [2, 3, 5, 7, 11, 13, 17][:size] + [0] * (7 - size)
    split = Split(np.arange(2), 2, np.array(rows), size)
    state = start_state(toy.model, toy.data, toy.hyper, jax.random.key(0))
    found = evaluate(toy.model, state, toy.data, toy.standard, split, toy.hyper, batch)["loss"]
    x = np.where(toy.data.observed["rna"], toy.data.x["rna"], np.nan)
    squares = (x - np.asarray(state.params["own"]["w"])) ** 2
    batches = [rows[:size][i : i + batch] for i in range(0, size, batch)]
    np.testing.assert_allclose(found, np.mean([np.nanmean(squares[b]) for b in batches]), rtol=1e-6)


def test_one_trace_for_every_count_and_equal_results(toy):
    train = Train(epochs=6, batch_size=4)
    split = jax.tree.map(jnp.asarray, toy.split(list(range(10)), [15, 16, 17]))
    step = make_step(toy.model)
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def epochs(state, control, first, count):
        return run_epochs(
            toy.model, step, state, control, toy.data, toy.standard, split, toy.hyper, train,
            (2, 4, 6), first, count,
        )  # fmt: skip

    def run(*counts: int):
        state = start_state(toy.model, toy.data, toy.hyper, jax.random.key(0))
        control, done, losses = start_control(state.params, train), 0, []
        for count in counts:
            state, control, metrics, _ = epochs(state, control, jnp.int32(done), jnp.int32(count))
            losses += metrics["valid"]["loss"][:count].tolist()
            done += count
        return state, losses

    (whole, losses), (pieces, same) = run(6), run(1, 3, 2)
    chex.assert_trees_all_equal(whole.params, pieces.params)
    assert losses == same
    assert int(whole.step) == 12
