"""Checkpoints: whole states with keys, the model file, and what does not fit."""

from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxomics.engine.checkpoint import (
    Checkpoints,
    chunk_folders,
    latest_epoch,
    load_model,
    save_model,
    store_size,
    stored_size,
)
from jaxomics.engine.control import start_control
from jaxomics.engine.state import Train, TrainState
from jaxomics.errors import InputError


def carry(width: int = 3):
    """A state after an update, with two replicas' keys, and its control."""
    params = {"vae": {"kernel": jnp.arange(2.0 * width).reshape(2, width)}}
    optimizer = optax.adam(1e-3)
    _, moments = optimizer.update(params["vae"], optimizer.init(params["vae"]))
    keys = jax.random.split(jax.random.key(3), 2)
    state = TrainState(params, {"vae": moments}, {"bn": jnp.ones(2)}, jnp.int32(7), keys)
    return state, start_control(params, Train(restore_best=True))


def numbers(tree):
    """Keys as their words, so that trees can be compared."""

    def raw(leaf):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.key_data(leaf) if is_key else leaf

    return jax.tree.map(raw, tree)


def test_round_trip_with_keys_and_moments(tmp_path: Path):
    tree = carry()
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() is None
        for epoch in (1, 2, 3):
            state = tree[0].replace(step=jnp.int32(epoch))
            checkpoints.save(epoch, (state, tree[1]), wait=True)
        assert checkpoints.latest() == 3
        found = checkpoints.restore(3, jax.tree.map(jnp.copy, tree))
    assert int(found[0].step) == 3
    expected = (tree[0].replace(step=jnp.int32(3)), tree[1])
    chex.assert_trees_all_equal(numbers(found), numbers(expected))
    chex.assert_trees_all_equal_shapes_and_dtypes(found, expected)
    draws = [jax.random.normal(t[0].key[1], (3,)).tolist() for t in (found, expected)]
    assert draws[0] == draws[1]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.isdigit()) == ["2", "3"]


def test_saved_state_may_be_overwritten_at_once(tmp_path: Path):
    values = np.zeros(1000, np.float32)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"a": values})
        values += 1
    with Checkpoints(tmp_path) as checkpoints:
        found = checkpoints.restore(1, {"a": values})
    assert float(found["a"].max()) == 0.0


@pytest.mark.parametrize("other", ["width", "leaves"])
def test_other_settings_are_refused(tmp_path: Path, other: str):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, carry(), wait=True)
    like = carry(4) if other == "width" else carry()[0]
    with Checkpoints(tmp_path) as checkpoints, pytest.raises(InputError, match="does not fit"):
        checkpoints.restore(1, like)


def test_shapes_are_enough_to_restore(tmp_path: Path):
    expected = carry()
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, expected, wait=True)
        found = checkpoints.restore(1, jax.eval_shape(carry))
    chex.assert_trees_all_equal(numbers(found), numbers(expected))
    chex.assert_trees_all_equal_shapes_and_dtypes(found, expected)


def saved(folder: Path, epoch: int) -> None:
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(epoch, {"a": np.zeros(2)}, wait=True)


def test_a_folder_tells_how_its_replicas_are_divided(tmp_path: Path):
    assert stored_size(None, 5, resume=True) is None
    assert stored_size(tmp_path, 5, resume=True) is None
    store_size(tmp_path, 5, 2)
    assert stored_size(tmp_path, 5, resume=True) == 2
    assert stored_size(tmp_path, 5, resume=False) is None  # nothing is lost by starting anew
    first, second = chunk_folders(tmp_path / "checkpoints", 3)[:2]
    saved(first, 7)
    saved(second, 4)
    assert (latest_epoch(first), latest_epoch(second)) == (7, 4)
    assert stored_size(tmp_path, 5, resume=True) == 2
    with pytest.raises(InputError, match="a run of 7 epochs: resume it"):
        stored_size(tmp_path, 5, resume=False)
    for other in (1, 4):
        with pytest.raises(InputError, match=f"5 replicas, not of {other}"):
            stored_size(tmp_path, other, resume=True)


def test_a_folder_of_one_chunk_needs_no_plan(tmp_path: Path):
    store_size(tmp_path, 5, 2)
    store_size(tmp_path, 5, 5)  # this time there was room for all
    assert list((tmp_path / "checkpoints").iterdir()) == []
    saved(tmp_path / "checkpoints", 3)
    assert stored_size(tmp_path, 5, resume=True) == 5
    assert latest_epoch(tmp_path / "nowhere") is None
    with pytest.raises(InputError, match="a run of 3 epochs: resume it"):
        stored_size(tmp_path, 5, resume=False)


def test_model_file_round_trips(tmp_path: Path):
    tree = {"members": {"0": {"params": {"vae": {"kernel": jnp.ones((2, 3)), "slope": 0.25}}}}}
    save_model(tmp_path / "deep" / "model.npz", tree)
    chex.assert_trees_all_equal(load_model(tmp_path / "deep" / "model.npz"), tree)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["model.npz"]
    with pytest.raises(InputError, match="train first"):
        load_model(tmp_path / "model.npz")


def test_half_precision_is_stored_exactly(tmp_path: Path):
    third = jnp.arange(5, dtype=jnp.bfloat16) / 3
    save_model(tmp_path / "model.npz", {"w": third})
    found = load_model(tmp_path / "model.npz")["w"]
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, third.astype(jnp.float32))
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(1, third, wait=True)
        again = checkpoints.restore(1, jax.eval_shape(lambda: third))
    assert again.dtype == jnp.bfloat16
    np.testing.assert_array_equal(again, third)
