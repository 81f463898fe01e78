"""Plans of views drawn one by one: which rows, how often, in which company."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.data.batch import Standard, gather, gather_views, make_data
from jaxomics.data.sampling import (
    match_plan,
    per_view_plan,
    spread_plan,
    window_begins,
    window_evaluation,
    window_plan,
)
from jaxomics.data.sampling import (
    members as rows_among,
)

ROWS = jnp.arange(100, 112)
LABELS = jnp.array([0, 0, 0, 0, 0, 0, 1, 1, 2, -1, -1, 7])


drawing = jax.jit(per_view_plan, static_argnames=("batch", "steps", "balanced"))


def plan(
    seed: int, member: np.ndarray, batch: int, steps: int, *, balanced: bool = False
) -> np.ndarray:
    key = jax.random.key(seed)
    return np.asarray(drawing(key, ROWS, member, LABELS, batch, steps, balanced=balanced))


members = st.lists(st.booleans(), min_size=12, max_size=12).filter(any).map(np.array)


@given(st.integers(0, 99), members)
@settings(max_examples=20, deadline=None)
def test_rows_of_the_view_come_up_once_before_any_comes_again(seed: int, member: np.ndarray):
    drawn = plan(seed, member, 4, 5).ravel()
    size, known = int(member.sum()), set(np.asarray(ROWS)[member].tolist())
    for begin in range(0, 20, size):
        turn = drawn[begin : begin + size].tolist()
        assert len(set(turn)) == len(turn)
        assert set(turn) <= known


def test_every_turn_has_its_own_order_and_every_row_its_surplus():
    member = np.arange(12) < 6
    turns = plan(0, member, 6, 4)
    assert all(sorted(turn) == sorted(turns[0]) for turn in turns)
    assert len({tuple(turn) for turn in turns.tolist()}) == 4
    last = np.concatenate([plan(seed, member, 2, 4).ravel()[6:] for seed in range(300)])
    counts = np.bincount(last - 100, minlength=6)
    assert counts.sum() == 600
    assert abs(counts - 100).max() < 50  # five standard deviations


@given(st.integers(0, 99), members, st.sampled_from([(4, 5), (9, 2), (1, 3)]))
@settings(max_examples=20, deadline=None)
def test_balanced_classes_come_equally_often(seed: int, member: np.ndarray, shape: tuple[int, int]):
    batch, steps = shape
    drawn = plan(seed, member, batch, steps, balanced=True) - 100
    assert member[drawn].all()
    labels = np.asarray(LABELS)
    present = np.unique(labels[member])
    for part in (drawn, *drawn):  # The epoch, and every step.
        counts = [np.sum(labels[part] == label) for label in present]
        assert max(counts) - min(counts) <= (1 if part is drawn else 2)
    for label in present:
        rows = np.flatnonzero(member & (labels == label))
        counts = [np.sum(drawn == row) for row in rows]
        assert max(counts) - min(counts) <= 2


def test_views_of_unequal_size_share_one_program():
    keys = jax.random.split(jax.random.key(0), 3)
    member = np.array([[True] * size + [False] * (12 - size) for size in (1, 5, 12)])
    for balanced in (False, True):
        mapped = jax.vmap(partial(drawing, batch=4, steps=5, balanced=balanced), (0, None, 0, None))
        for i, found in enumerate(mapped(keys, ROWS, member, LABELS)):
            alone = drawing(keys[i], ROWS, member[i], LABELS, 4, 5, balanced=balanced)
            np.testing.assert_array_equal(found, alone)


@pytest.mark.parametrize(("size", "batch"), [(7, 3), (5, 3), (7, 8)])
def test_spread_rows_count_once(size: int, batch: int):
    rows, weight = spread_plan(jnp.arange(20, 27), size, batch)
    assert rows.shape == weight.shape == (-(-7 // batch), batch)
    assert sorted(np.asarray(rows)[np.asarray(weight) > 0].tolist()) == list(range(20, 20 + size))


def test_batches_of_views_are_batches_of_each_view():
    draw = np.random.default_rng(0)
    arrays = {"rna": draw.normal(size=(6, 3)), "drug": draw.normal(size=(6, 2))}
    arrays["rna"][2, 1] = np.nan
    data = make_data(arrays, draw.normal(size=(6, 1)), np.array([0, 1, -1, 1, 0, 1]))
    standard = Standard(
        {"rna": jnp.ones(3), "drug": jnp.zeros(2)}, {"rna": jnp.full(3, 2.0), "drug": jnp.ones(2)}
    )
    rows = {"rna": jnp.array([2, 4, 0]), "drug": jnp.array([5, 5, 1])}
    weight = {"rna": jnp.array([1.0, 1.0, 0.0]), "drug": jnp.ones(3)}
    found = gather_views(data, standard, rows, weight)
    for view in arrays:
        expected = gather(data, standard, rows[view], weight[view])
        for name in ("x", "observed", "sample", "conditionals", "labels", "weight"):
            np.testing.assert_array_equal(
                getattr(found, name)[view], getattr(expected, name)[view], err_msg=name
            )


def test_windows_cover_all_features_in_every_pass():
    assert len(window_begins(562_709, 5000, 0)) == 113
    for features, width in ((12, 5), (10, 5), (23, 4)):
        for offset in range(width):
            begins = window_begins(features, width, offset).tolist()
            seen = {b + i for b in begins for i in range(width) if b + i < features}
            missed = set(range(features)) - seen
            assert missed <= set(range(offset)), "only what the shift leaves out"
            assert len(begins) == -(-features // width)


def test_every_window_meets_as_many_rows_in_a_mixed_order():
    begins = window_begins(12, 5, 1)
    found = window_plan(jax.random.key(0), ROWS, 7, 3, 2, begins, 5)
    assert found.rows.shape == found.begin.shape == (6, 3)
    assert (found.begin == found.begin[:, :1]).all()
    for begin in begins:
        rows = np.asarray(found.rows)[np.asarray(found.begin)[:, 0] == int(begin)]
        assert len(set(rows.ravel().tolist())) == 6
        assert set(rows.ravel().tolist()) <= set(range(100, 107))
    rows, weight = window_evaluation(ROWS, 7, 5, begins, 5)
    assert float(weight.rows.sum()) == 3 * 7
    assert rows.rows.shape == (9, 5)


def test_pairs_are_drawn_once_and_only_among_training_rows():
    pairs = jnp.array([[0, 5], [1, 6], [1, 7], [2, 5], [3, 6], [-1, -1]])
    member = rows_among(jnp.array([0, 1, 5, 6, 7, 2]), 5, 8)
    found = match_plan(jax.random.key(1), pairs, member, 3, 1)
    # Rows 2 and 3 are not trained on, and the last pair is padding.
    assert sorted(map(tuple, found[0].tolist())) == [(0, 5), (1, 6), (1, 7)]
