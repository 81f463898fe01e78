"""Streams: the batches of the cohort in memory, in the order of the plan, in bounded memory."""

import os
import subprocess
import sys
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from grain.sharding import ShardByJaxProcess, ShardOptions
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.data.batch import Data, Standard, gather, gather_window, make_data
from jaxomics.data.plans import Cut, EpochPlan, EvaluationPlan, epoch_key
from jaxomics.data.sampling import paired_plan
from jaxomics.data.selected import select_features
from jaxomics.data.store import Store, write_arrays
from jaxomics.data.stream import Reading, RowStream, as_batch, fit_scaling, view_scaling
from jaxomics.errors import InputError

SCRIPT = Path(__file__).with_name("wide_epoch.py")
TRAIN = np.array([13, 1, 2, 3, 5, 8, 11, 7, 9, 0])
COUNT = 14


@pytest.fixture(scope="module")
def arrays() -> tuple:
    """Arguments of `make_data`: two views, one with gaps, conditionals and labels."""
    rng = np.random.default_rng(0)
    views = {name: rng.normal(4, 2, size=(COUNT, n)) for name, n in (("rna", 5), ("drug", 3))}
    views["drug"][rng.random((COUNT, 3)) < 0.4] = np.nan
    views["drug"][2] = np.nan
    return views, rng.normal(size=(COUNT, 2)), np.arange(COUNT) % 4 - 1


@pytest.fixture(scope="module")
def data(arrays: tuple) -> Data:
    return make_data(*arrays)


@pytest.fixture(scope="module")
def store(arrays: tuple, tmp_path_factory: pytest.TempPathFactory) -> Store:
    views, *rest = arrays
    return write_arrays(views, tmp_path_factory.mktemp("stream") / "store", *rest)


@pytest.fixture(scope="module")
def standard(store: Store) -> Standard:
    return fit_scaling(store, TRAIN, decimals=4)


def plan_of(epochs: int = 3, batch: int = 4, seed: int = 0) -> EpochPlan:
    return EpochPlan(jax.random.key(seed), TRAIN, 9, batch=batch, epochs=epochs)


def samples(stream: RowStream) -> list[list[int]]:
    return [rows.sample.tolist() for rows in stream]


def test_training_rows_are_those_of_the_engines_plan(store: Store):
    found = samples(RowStream(store, plan_of()))
    for epoch in range(3):
        key = epoch_key(jax.random.key(0), epoch)
        expected = paired_plan(key, jnp.asarray(TRAIN), 9, 4, 2)
        assert found[2 * epoch : 2 * epoch + 2] == expected.tolist()
    assert 0 not in np.ravel(found)  # the tenth row is padding
    assert sorted(map(tuple, found[:2])) != sorted(map(tuple, found[2:4]))


def test_batches_are_what_gather_gives(store: Store, data: Data, standard: Standard):
    for plan in (plan_of(1), EvaluationPlan(TRAIN, 9, batch=4)):
        for number, rows in enumerate(RowStream(store, plan)):
            chosen, weight = map(jnp.asarray, plan.step(number))
            expected = gather(data, standard, chosen, weight)
            chex.assert_trees_all_equal(as_batch(rows, standard), expected)
            chex.assert_trees_all_equal_dtypes(as_batch(rows, standard), expected)


def test_windows_are_what_gather_window_gives(arrays: tuple, tmp_path: Path):
    """Of a store of 7 of 9 columns, in 2 sections, windows of 3 that move by 2 between epochs."""
    values = arrays[0]["drug"].repeat(3, axis=1)
    store = write_arrays({"v": values}, tmp_path / "store")
    kept = pd.Index(["0", "1", "3", "4", "6", "7", "8"])
    part = select_features(store, {"v": kept}, np.zeros((COUNT, 0)), np.full(COUNT, -1))
    data = make_data({"v": values[:, kept.astype(int)]})
    standard, ends = fit_scaling(part, TRAIN), (4, 7)
    cut = Cut(7, 3, shift=2, ends=ends)
    given = jax.random.key(0), TRAIN, 9
    train = EpochPlan(*given, batch=4, epochs=2, cut=cut)
    held = EvaluationPlan(TRAIN, 9, batch=4, cut=cut)
    assert (len(train), train.steps, len(held)) == (12, 6, 9)
    expect = jax.jit(gather_window, static_argnums=(3, 6))
    as_one, begins = jax.jit(as_batch), {}
    for plan in (train, held):
        for number, rows in enumerate(RowStream(part, plan)):
            chosen, weight = map(jnp.asarray, plan.step(number))
            begin = jnp.int32(rows.begin[0])
            expected = expect(data, standard, begin, 3, chosen, weight, ends)
            chex.assert_trees_all_close(as_one(rows, standard), expected, rtol=1e-6)
            epoch = number // 6 if plan is train else "held out"
            begins.setdefault(epoch, set()).add(int(begin))
    assert begins == {0: {0, 3, 4}, 1: {2, 0, 6}, "held out": {0, 3, 4}}


def test_evaluation_sees_each_row_once(store: Store):
    rows = list(RowStream(store, EvaluationPlan(TRAIN, 9, batch=4)))
    assert [r.weight.tolist() for r in rows] == [[1] * 4, [1] * 4, [1, 0, 0, 0]]
    assert [s for r in rows for s, w in zip(r.sample, r.weight, strict=True) if w] == list(
        TRAIN[:9]
    )


@pytest.mark.parametrize("place", [0, 1, 3, 6])
@pytest.mark.parametrize("reading", [Reading(0, 0), Reading(2, 3)], ids=["plain", "ahead"])
def test_a_state_leads_to_the_same_batches(store: Store, place: int, reading: Reading):
    stream = RowStream(store, plan_of(), reading)
    for _ in range(place):
        next(stream)
    state = stream.get_state()
    later = samples(stream)
    assert len(later) == 6 - place
    other = RowStream(store, plan_of())
    next(other)
    other.set_state(state)
    assert samples(other) == later
    assert len(state) < 256


def test_states_of_other_plans_are_refused(store: Store, tmp_path: Path):
    state = RowStream(store, plan_of()).get_state()
    other = write_arrays({"rna": np.ones((COUNT, 5))}, tmp_path / "store")
    streams = [RowStream(store, plan_of(seed=1)), RowStream(store, plan_of(batch=3))]
    for stream in [*streams, RowStream(other, plan_of())]:
        with pytest.raises(InputError, match="state belongs to other rows: resume with"):
            stream.set_state(state)


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_each_batch(store: Store, count: int):
    parts = [
        list(RowStream(store, plan_of(), Reading(shard=ShardOptions(index, count))))
        for index in range(count)
    ]
    for whole, *shares in zip(RowStream(store, plan_of()), *parts, strict=True):
        together = jax.tree.map(lambda *pieces: np.concatenate(pieces), *shares)
        chex.assert_trees_all_equal(together, whole)
        rows = [set(share.sample.tolist()) for share in shares]
        assert sum(map(len, rows)) == len(set().union(*rows)) == 4
    alone = RowStream(store, plan_of(), Reading(shard=ShardByJaxProcess()))
    assert samples(alone) == samples(RowStream(store, plan_of()))


def test_a_state_fits_another_number_of_processes(store: Store):
    stream = RowStream(store, plan_of(), Reading(shard=ShardOptions(0, 2)))
    next(stream)
    whole = RowStream(store, plan_of())
    whole.set_state(stream.get_state())
    assert [rows[:2] for rows in samples(whole)] == samples(stream)


def test_impossible_batches_are_refused(store: Store):
    with pytest.raises(InputError, match="batches of 1 to 9 rows, since there are 9, found 10"):
        plan_of(batch=10)
    with pytest.raises(InputError, match="a batch size that 3 processes can share, found 4"):
        RowStream(store, plan_of(), Reading(shard=ShardOptions(0, 3)))
    beyond = EvaluationPlan(np.array([3, COUNT]), 2, batch=2)
    with pytest.raises(InputError, match="row numbers from 0 to 13, found 3 to 14"):
        next(RowStream(store, beyond))


def test_a_file_cut_off_while_reading_is_named(tmp_path: Path):
    store = write_arrays({"rna": np.ones((COUNT, 5))}, tmp_path / "store")
    stream = RowStream(store, EvaluationPlan(np.arange(COUNT), COUNT, batch=7), Reading(0, 0))
    next(stream)
    os.truncate(store.folder / "views" / "rna.npy", 128 + 8 * 5 * 4)
    with pytest.raises(InputError, match=r"rna\.npy: .*\(the file ends too early\); write.*again$"):
        next(stream)


def test_streaming_without_grain_says_what_to_install(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(InputError, match=r'pip install "jaxomics\[stream\]"'):
        RowStream(store, plan_of())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 7), st.floats(0, 0.9), st.floats(-1e4, 1e4))
def test_scaling_in_one_pass_is_that_of_all_rows(
    tmp_path_factory, count: int, chunk: int, gaps: float, shift: float
):
    rng = np.random.default_rng(count)
    values = rng.normal(size=(count, 4)).astype(np.float32)
    values[rng.random(values.shape) < gaps] = np.nan
    values += np.float32(shift)
    values[:, 2], values[:, 3] = 0.1, np.nan
    store = write_arrays({"v": values}, tmp_path_factory.mktemp("scaling") / "store")
    rows = rng.permutation(count)[: max(1, count - 3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxomics.data.store._chunk_rows", lambda features: chunk)
        found = view_scaling(store, "v", rows)
    used = pd.DataFrame(values[rows].astype(np.float64))
    mean, scale = used.mean().fillna(0.0), used.std(ddof=0).fillna(0.0)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-12, atol=1e-9)
    flat = scale <= 1e-12 * np.maximum(mean.abs(), 1.0)
    np.testing.assert_allclose(found.scale, scale.where(~flat, 1.0), rtol=1e-9)


def test_unscaled_views_keep_their_units(store: Store):
    standard = fit_scaling(store, TRAIN, unscaled=("drug",))
    assert standard.mean["drug"].tolist() == [0.0] * 3
    assert standard.scale["drug"].tolist() == [1.0] * 3
    assert standard.scale["rna"].dtype == jnp.float32
    assert standard.decimals is None


def test_memory_stays_small(tmp_path: Path):
    """A table of 410 MB is written, scaled and read; resident memory grows by less than 150."""
    told = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        env=os.environ | {"JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    size, growth = map(int, told.stdout.split())
    (tmp_path / "store" / "views" / "wide.npy").unlink()
    assert size > 400e6
    assert growth < 150e6
