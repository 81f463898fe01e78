"""The host loop: determinism, logs, best parameters, interrupts, refusals."""

import json
import signal
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.engine import drive as module
from jaxomics.engine.fit import Recorder, epoch_shape, fit
from jaxomics.engine.log import read_lines
from jaxomics.engine.state import FitResult, Train
from jaxomics.errors import InputError, NonFiniteError

ROWS, VALID = list(range(10)), [15, 16, 17]


def run(toy, train: Train | None = None, seed: int = 0, **more) -> FitResult:
    train = train or Train(epochs=6, batch_size=4)
    settings = (toy.split(ROWS, VALID), toy.hyper, train)
    return fit(toy.model, toy.data, toy.standard, *settings, key=jax.random.key(seed), **more)


@pytest.fixture(scope="module")
def plain(toy) -> FitResult:
    return run(toy)


def test_same_key_same_run(toy, plain: FitResult):
    chex.assert_trees_all_equal(run(toy).params, plain.params)
    assert not np.array_equal(run(toy, seed=1).params["own"]["w"], plain.params["own"]["w"])


def test_history_has_a_row_per_epoch_and_split(plain: FitResult):
    heads = [(row["epoch"], row["replica"], row["split"]) for row in plain.history]
    assert heads == [(e, 0, s) for e in range(1, 7) for s in ("train", "valid")]
    assert plain.history[0]["lr"] == pytest.approx(0.05)
    assert {"loss", "grad_norm", "update_norm", "param_norm"} <= set(plain.history[0])
    assert set(plain.seconds) == {"compile", "run", "pause"}
    assert int(plain.state.step) == 12  # 10 rows make 2 whole batches of 4, 6 times


def test_learns_the_means(toy):
    result = run(toy, Train(epochs=200, batch_size=10, schedule="cosine"))
    x = np.where(toy.data.observed["rna"], toy.data.x["rna"], np.nan)[ROWS]
    np.testing.assert_allclose(result.params["own"]["w"], np.nanmean(x, axis=0), atol=0.05)


def test_calls_of_any_length_give_the_same_run(
    toy, plain: FitResult, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "CALL_SECONDS", 0.0)
    result = run(toy)
    chex.assert_trees_all_equal(result.params, plain.params)
    assert result.history == plain.history


def test_restore_best_and_early_stopping(toy):
    train = Train(epochs=60, batch_size=4, valid_fraction=0.1, stop_patience=3, restore_best=True)
    result = run(toy, train)
    losses = [row["loss"] for row in result.history if row["split"] == "valid"]
    best = int(result.control.best_epoch)
    assert len(losses) == best + 1 + 3 < 60
    assert round(losses[best], 4) == min(round(loss, 4) for loss in losses)
    assert int(result.state.step) == 2 * len(losses)
    shorter = run(toy, Train(epochs=best + 1, batch_size=4))
    chex.assert_trees_all_close(result.params, shorter.params, atol=1e-6)


def test_later_stage_goes_on_from_a_state(toy, plain: FitResult):
    state = jax.tree.map(jnp.copy, plain.state)
    result = run(toy, Train(epochs=1, batch_size=4), start=state)
    assert int(result.state.step) == 14
    assert int(plain.state.step) == 12


def test_metrics_file_equals_history(toy, plain: FitResult, tmp_path: Path):
    result = run(toy, recorder=Recorder(tmp_path))
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == result.history == plain.history
    with pytest.raises(InputError, match="resume"):
        run(toy, recorder=Recorder(tmp_path))
    again = run(toy, recorder=Recorder(tmp_path, resume=True))
    assert again.history == plain.history
    chex.assert_trees_all_equal(again.params, plain.params)


def test_interrupt_saves_and_resuming_ends_alike(
    toy, plain: FitResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write, calls = module.write_lines, []

    def write_and_interrupt(path: Path, rows: list) -> None:
        write(path, rows)
        calls.append(rows)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(module, "CALL_SECONDS", 0.0)
    monkeypatch.setattr(module, "write_lines", write_and_interrupt)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="after epoch 2 of 6"):
        run(toy, recorder=Recorder(tmp_path))
    assert signal.getsignal(signal.SIGINT) is before
    assert len(read_lines(tmp_path / "metrics.jsonl")) == 4
    result = run(toy, recorder=Recorder(tmp_path, resume=True))
    chex.assert_trees_all_equal(result.params, plain.params)
    assert read_lines(tmp_path / "metrics.jsonl") == plain.history


def test_infinite_loss_is_named(toy, tmp_path: Path):
    scale = toy.standard.replace(scale={"rna": jnp.full(3, 1e-30)})
    split = toy.split(ROWS, VALID)
    with pytest.raises(NonFiniteError, match=r"found \w+ = (inf|nan) in replica 0 at epoch 1 "):
        fit(
            toy.model, toy.data, scale, split, toy.hyper, Train(epochs=2), key=jax.random.key(0),
            recorder=Recorder(tmp_path),
        )  # fmt: skip
    assert len(read_lines(tmp_path / "metrics.jsonl")) == 2


def test_epoch_shape():
    assert epoch_shape(Train(epochs=500, batch_size=4), 10) == (2, 4, 64)
    assert epoch_shape(Train(epochs=5, batch_size=256), 10) == (1, 10, 5)
    with pytest.raises(InputError, match="at least 2 training samples, found 1"):
        epoch_shape(Train(), 1)
