"""Streamed training ends as training in memory does, also after interruptions."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from grain.sharding import ShardOptions

from jaxomics.data.batch import DataSpec, ViewSpec, make_data
from jaxomics.data.store import Store, write_arrays
from jaxomics.data.stream import Reading, fit_scaling
from jaxomics.engine import streamed as module
from jaxomics.engine.drive import Recorder
from jaxomics.engine.fit import fit
from jaxomics.engine.log import read_lines
from jaxomics.engine.state import FitResult, Split, Train
from jaxomics.engine.streamed import fit_streamed
from jaxomics.errors import InputError, NonFiniteError
from jaxomics.models import mosa

SCRIPT = Path(__file__).with_name("killed_stream.py")
ROWS, VALID = [7, 1, 2, 3, 4, 12, 6, 0, 8, 9], [15, 16, 17, 18, 19]
TRAIN = Train(epochs=6, batch_size=4)


@pytest.fixture(scope="module")
def store(toy, tmp_path_factory: pytest.TempPathFactory) -> Store:
    x = np.where(toy.data.observed["rna"], toy.data.x["rna"], np.nan)
    return write_arrays({"rna": x}, tmp_path_factory.mktemp("data") / "store")


def memory(toy, train: Train = TRAIN, valid: list[int] = VALID) -> FitResult:
    split = toy.split(ROWS, valid, padded=13)
    return fit(toy.model, toy.data, toy.standard, split, toy.hyper, train, key=jax.random.key(0))


def streamed(
    toy, store: Store, train: Train = TRAIN, valid: list[int] = VALID, **more
) -> FitResult:
    split, key = toy.split(ROWS, valid, padded=13), jax.random.key(0)
    return fit_streamed(toy.model, store, toy.standard, split, toy.hyper, train, key=key, **more)


@pytest.fixture(scope="module")
def plain(toy, store: Store) -> FitResult:
    return streamed(toy, store)


def assert_same(one: FitResult, other: FitResult) -> None:
    assert one.state is not None
    assert other.state is not None
    key_data = jax.random.key_data
    np.testing.assert_array_equal(key_data(one.state.key), key_data(other.state.key))
    carried = [(r.params, r.state.optimizer, r.state.step, r.control) for r in (one, other)]
    chex.assert_trees_all_close(*carried, rtol=1e-5, atol=1e-6)
    assert len(one.history) == len(other.history)
    for found, expected in zip(one.history, other.history, strict=True):
        assert list(found) == list(expected)
        assert [found[k] for k in ("epoch", "replica", "split")] == [
            expected[k] for k in ("epoch", "replica", "split")
        ]
        numbers = [[v for v in r.values() if isinstance(v, float)] for r in (found, expected)]
        np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("train", "valid"),
    [
        (Train(epochs=6, batch_size=4, schedule="cosine"), []),
        (
            Train(40, 4, "plateau", plateau_patience=1, valid_fraction=0.1, stop_patience=3,
                  restore_best=True),
            VALID,
        ),
    ],
    ids=["without validation", "early stopping"],
)  # fmt: skip
def test_equals_training_in_memory(toy, store: Store, train: Train, valid: list[int]):
    expected = memory(toy, train, valid)
    assert_same(streamed(toy, store, train, valid), expected)
    ends = expected.history[-1]["epoch"]
    assert ends == 6 or (train.stop_patience is not None and 6 < ends < 40)


def test_mosa_equals_mosa_in_memory(tmp_path: Path):
    """Two views, one with gaps, conditionals, labels, rounding to 4 decimals."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(5, 3, size=(24, n)) for name, n in (("rna", 6), ("drug", 4))}
    arrays["drug"][rng.random((24, 4)) < 0.3] = np.nan
    arrays["drug"][:3] = np.nan
    labels, conditionals = np.arange(24) % 3 - 1, rng.normal(size=(24, 2))
    store = write_arrays(arrays, tmp_path / "store", conditionals, labels)
    spec = DataSpec((ViewSpec("rna", 6, (0, 2, 3, 5)), ViewSpec("drug", 4)), 2, ("a", "b"))
    model = mosa.build(mosa.Config(latent=3, hidden=(6,), view_latent=4), spec)
    split = Split(np.arange(18), 18, np.arange(18, 24), 6)
    train = Train(epochs=3, batch_size=8, schedule="plateau", valid_fraction=0.2)
    settings = fit_scaling(store, split.train, decimals=4), split, mosa.Hyper(), train
    expected = fit(model, make_data(arrays, conditionals, labels), *settings, key=jax.random.key(3))
    assert_same(fit_streamed(model, store, *settings, key=jax.random.key(3)), expected)


def test_four_devices_give_the_result_of_one(toy, store: Store, plain: FitResult, tmp_path: Path):
    recorder = Recorder(tmp_path)
    assert_same(streamed(toy, store, devices=jax.devices(), recorder=recorder), plain)
    assert read_lines(tmp_path / "metrics.jsonl")[0]["epoch"] == 1
    again = streamed(toy, store, devices=jax.devices(), recorder=recorder._replace(resume=True))
    assert_same(again, plain)


def test_reading_ahead_changes_nothing(toy, store: Store, plain: FitResult):
    result = streamed(toy, store, reading=Reading(threads=0, ahead=0))
    chex.assert_trees_all_equal(result.params, plain.params)
    assert result.history == plain.history


def test_metrics_file_equals_history_and_a_folder_holds_one_run(
    toy, store: Store, plain: FitResult, tmp_path: Path
):
    result = streamed(toy, store, recorder=Recorder(tmp_path))
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == result.history == plain.history
    assert set(result.seconds) == {"compile", "run", "pause"}
    with pytest.raises(InputError, match="holds a run of 6 epochs: resume it"):
        streamed(toy, store, recorder=Recorder(tmp_path))
    other = write_arrays({"rna": np.ones((20, 3))}, tmp_path / "store")
    with pytest.raises(InputError, match="state belongs to other rows: resume with the store"):
        streamed(toy, other, recorder=Recorder(tmp_path, resume=True))
    assert read_lines(tmp_path / "metrics.jsonl") == plain.history


def test_interrupted_again_and_again_it_ends_alike(
    toy, store: Store, plain: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An epoch has 2 steps, so after step 3 the middle of an epoch is saved."""
    save, stops, taken = module._Run._save, [3, 4, 12], []

    def interrupt_and_save(run, carry, place, interrupted, **more) -> None:
        taken.append(run.taken)
        if run.taken in stops:
            stops.remove(run.taken)
            signal.raise_signal(signal.SIGINT)
        save(run, carry, place, interrupted, **more)

    monkeypatch.setattr(module._Run, "_save", interrupt_and_save)
    for resume, told in (
        (False, "after step 1 of 2 in epoch 2 of 6"),
        (True, "after step 2 of 2 in epoch 2 of 6"),
        (True, "after step 2 of 2 in epoch 6 of 6"),
    ):
        with pytest.raises(KeyboardInterrupt, match=told):
            streamed(toy, store, recorder=Recorder(tmp_path, resume=resume))
        assert len(read_lines(tmp_path / "metrics.jsonl")) == taken[-1] // 2 * 2
    assert taken == list(range(1, 13))
    result = streamed(toy, store, recorder=Recorder(tmp_path, resume=True))
    chex.assert_trees_all_equal(result.params, plain.params)
    assert read_lines(tmp_path / "metrics.jsonl") == result.history == plain.history


def test_infinite_loss_is_named(toy, store: Store):
    scale = toy.standard.replace(scale={"rna": jnp.full(3, 1e-30)})
    with pytest.raises(NonFiniteError, match=r"found \w+ = (inf|nan) in replica 0 at epoch 1 "):
        fit_streamed(
            toy.model, store, scale, toy.split(ROWS, VALID), toy.hyper, TRAIN,
            key=jax.random.key(0),
        )  # fmt: skip


def test_what_does_not_fit_the_store_is_refused(toy, store: Store, tmp_path: Path):
    other = write_arrays({"rna": np.ones((20, 4))}, tmp_path / "store")
    with pytest.raises(InputError, match=r"per view \{'rna': 3\}, found \{'rna': 4\}; fit the"):
        streamed(toy, other)
    with pytest.raises(InputError, match="row numbers from 0 to 19, found 3 to 20"):
        fit_streamed(
            toy.model, store, toy.standard, toy.split([3, 20]), toy.hyper, TRAIN,
            key=jax.random.key(0),
        )  # fmt: skip
    with pytest.raises(InputError, match=r"a reading without a shard, .* leave it out"):
        streamed(toy, store, reading=Reading(shard=ShardOptions(0, 2)))


def start(folder: Path, cache: Path) -> subprocess.Popen:
    folder.mkdir(exist_ok=True)
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, str(SCRIPT), str(folder)]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def newest(folder: Path) -> int:
    """Steps of the newest complete checkpoint."""
    found = [int(path.name) for path in folder.glob("checkpoints/*") if path.name.isdigit()]
    return max(found, default=0)


@pytest.mark.slow
def test_killed_runs_end_like_an_undisturbed_one(tmp_path: Path):
    """Killed twice, in the middle of an epoch of 20 steps, a run ends with the same bits."""
    whole, broken, cache = (tmp_path / name for name in ("whole", "broken", "cache"))
    undisturbed = start(whole, cache)
    _, told = undisturbed.communicate(timeout=120)
    assert undisturbed.returncode == 0, told
    kills = []
    for target in (7, 51):
        process = start(broken, cache)
        while process.poll() is None and newest(broken) < target:
            time.sleep(0.002)
        process.kill()
        process.communicate()
        assert process.returncode == -9, f"ended before it was killed: {kills}"
        kills.append(newest(broken))
    assert any(step % 20 for step in kills), kills
    last = start(broken, cache)
    _, told = last.communicate(timeout=120)
    assert last.returncode == 0, (kills, told)
    assert read_lines(broken / "metrics.jsonl") == read_lines(whole / "metrics.jsonl"), kills
    with np.load(whole / "model.npz") as a, np.load(broken / "model.npz") as b:
        assert a.files == b.files
        assert all(a[name].tobytes() == b[name].tobytes() for name in a.files), kills
