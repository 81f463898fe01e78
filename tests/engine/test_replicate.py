"""Replicas of one program equal runs of their own, all at once or in chunks."""

import signal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Data, Standard
from jaxomics.engine import drive, replicate
from jaxomics.engine.drive import Chunk, Driver, Recorder
from jaxomics.engine.fit import Settings, begin, epoch_shape, fit, jitted, make_programs
from jaxomics.engine.log import read_lines
from jaxomics.engine.replicate import fit_many, repeat, stack
from jaxomics.engine.state import FitResult, Split, Train
from jaxomics.errors import InputError, NonFiniteError
from jaxomics.models.base import Model

COUNT, LAST = 7, 18
STOPPING = Train(epochs=40, batch_size=4, valid_fraction=0.1, stop_patience=2, restore_best=True)
PLAIN = Train(epochs=6, batch_size=4)


class Folds(NamedTuple):
    """Seven replicas that differ in everything; arrays have a leading replica axis."""

    data: Data
    standards: Standard
    splits: Split
    hypers: Any
    keys: jax.Array


@pytest.fixture(scope="module")
def folds(toy) -> Folds:
    """Eight to eleven training rows, hence two batches of 4 for all; conditionals per replica."""
    draw = np.random.default_rng(1)
    conditionals = draw.normal(size=(COUNT, 20, 2)).astype(np.float32)
    splits = [toy.split(list(range(i % 4, 8 + 2 * (i % 4))), padded=11) for i in range(COUNT)]
    valid = [np.resize([15, 16, 17, LAST][: 2 + i % 3], 4) for i in range(COUNT)]
    splits = [
        s._replace(valid=v, valid_size=2 + i % 3)
        for i, (s, v) in enumerate(zip(splits, valid, strict=True))
    ]
    shift = jnp.linspace(0.0, 0.5, COUNT)[:, None] * jnp.ones((1, 3))
    return Folds(
        toy.data.replace(conditionals=jnp.asarray(conditionals)),
        Standard({"rna": shift}, {"rna": 1 + shift}),
        stack(splits),
        toy.hyper.replace(learning_rate=jnp.array([0.4, 0.03, 0.1, 0.2, 0.01, 0.3, 0.05])),
        jax.random.split(jax.random.key(5), COUNT),
    )


def first(folds: Folds, count: int) -> Folds:
    """The first replicas."""
    return Folds(
        folds.data.replace(conditionals=folds.data.conditionals[:count]),
        *jax.tree.map(lambda leaf: leaf[:count], folds[1:]),
    )


def together(model: Model, folds: Folds, train: Train, **more) -> FitResult:
    *settings, keys = folds
    return fit_many(model, *settings, train, keys=keys, **more)


def settings_of(folds: Folds, i: int) -> Settings:
    """Replica i as a run of its own."""
    data = folds.data.replace(conditionals=folds.data.conditionals[i])
    return Settings(data, *jax.tree.map(lambda leaf: leaf[i], folds[1:4]))


def alone(model: Model, folds: Folds, train: Train) -> list[FitResult]:
    """Each replica trained by `fit`'s own program, which is compiled once for all of them."""
    programs = jitted(make_programs(model, train, epoch_shape(train, 8)))
    results = []
    for i in range(COUNT):
        settings = settings_of(folds, i)
        chunk = Chunk(
            range(1), partial(begin, programs, settings, folds.keys[i]), lambda s=settings: s
        )
        with Driver(programs.epochs, train, Recorder(), [chunk]) as driver:
            results.append(drive.finished(driver.run(0), train, driver.seconds))
    return results


def numbers(rows: list[dict], replica: int) -> list[dict]:
    """Rows of a replica, without what is text or its number."""
    left_out = ("split", "replica")
    mine = [row for row in rows if row["replica"] == replica]
    return [{k: v for k, v in row.items() if k not in left_out} for row in mine]


def close(found: Any, expected: Any) -> None:
    chex.assert_trees_all_close(found, expected, atol=5e-6, rtol=1e-4)


@pytest.mark.parametrize("name", ["mean", "norm", "game"])
def test_replicas_equal_runs_of_their_own(models, folds: Folds, name: str):
    many, ends = together(models[name], folds, STOPPING), []
    for i, one in enumerate(alone(models[name], folds, STOPPING)):
        mine: Any = jax.tree.map(
            lambda leaf, i=i: leaf[i],
            (many.params, many.collections, many.state.optimizer, many.control),
        )
        close(mine, (one.params, one.collections, one.state.optimizer, one.control))
        close(numbers(many.history, i), numbers(one.history, 0))
        ends.append(one.history[-1]["epoch"])
    assert len(set(ends)) > 2, ends
    assert max(ends) - min(ends) > 2, ends
    if name != "mean":
        statistics = many.collections["coder"]["BatchNorm_0"]["mean"]
        assert len(np.unique(np.asarray(statistics)[:, 0])) == COUNT


def test_a_replica_equals_fit(toy, folds: Folds):
    train = Train(epochs=12, batch_size=4, schedule="cosine")
    one = fit(toy.model, *settings_of(folds, 3), train, key=folds.keys[3])
    many = together(toy.model, folds, train)
    close(jax.tree.map(lambda leaf: leaf[3], many.params), one.params)
    close(numbers(many.history, 3), numbers(one.history, 0))


def test_chunks_equal_all_at_once(models, folds: Folds):
    whole = together(models["game"], folds, STOPPING)
    parts = together(models["game"], folds, STOPPING, max_replicas=3)
    close(parts.params, whole.params)
    close(parts.collections, whole.collections)
    close(parts.control, whole.control.replace(best_params=()))
    for i in range(COUNT):
        close(numbers(parts.history, i), numbers(whole.history, i))
    assert parts.state is None
    assert {type(leaf) for leaf in jax.tree.leaves((parts.params, parts.control))} == {np.ndarray}
    started = [row for row in parts.history if (row["epoch"], row["split"]) == (1, "train")]
    assert [row["replica"] for row in started] == list(range(COUNT))


@pytest.mark.parametrize("most", [None, 2])
def test_all_chunks_are_trained_by_one_program(
    toy, folds: Folds, caplog: pytest.LogCaptureFixture, most: int | None
):
    # Asking the compiler for the program's memory must not cost a second compilation.
    with jax.log_compiles():
        together(toy.model, folds, Train(epochs=1, batch_size=4), max_replicas=most)
    for name in ("draw", "epochs"):
        compiled = f"Finished XLA compilation of jit({name})"
        assert sum(compiled in record.getMessage() for record in caplog.records) == 1


def test_halted_replicas_keep_their_state(toy, folds: Folds):
    asked = []

    def halt(rows: list[dict]) -> list[int]:
        asked.append(sorted({row["epoch"] for row in rows}))
        return [1, 5] if rows[-1]["epoch"] == 4 else []

    stopped = together(toy.model, folds, PLAIN, halt=halt, block=2)
    short = together(toy.model, folds, Train(epochs=4, batch_size=4))
    full = together(toy.model, folds, PLAIN)
    assert asked == [[1, 2], [3, 4], [5, 6]]
    for i in range(COUNT):
        expected = short if i in (1, 5) else full
        states = [(r.params, r.state.optimizer, r.state.step) for r in (stopped, expected)]
        chex.assert_trees_all_equal(*jax.tree.map(lambda leaf, i=i: leaf[i], states))
        last = [row["epoch"] for row in stopped.history if row["replica"] == i][-1]
        assert last == (4 if i in (1, 5) else 6)
    assert stopped.control.active.tolist() == [i not in (1, 5) for i in range(COUNT)]


def test_halting_all_ends_a_chunk_and_numbers_are_global(toy, folds: Folds):
    def halt(rows: list[dict]) -> list[int]:
        return [4, 5, 6]

    result = together(toy.model, folds, PLAIN, halt=halt, block=1, max_replicas=4)
    ends = [max(r["epoch"] for r in result.history if r["replica"] == i) for i in range(COUNT)]
    assert ends == [6, 6, 6, 6, 1, 1, 1]


def test_non_finite_replica_is_named_unless_it_is_halted(toy, folds: Folds):
    scale = jnp.ones((COUNT, 3)).at[5].set(1e-30)
    broken = folds._replace(standards=Standard({"rna": jnp.zeros((COUNT, 3))}, {"rna": scale}))
    train = Train(epochs=2, batch_size=4)
    with pytest.raises(NonFiniteError, match=r"= (inf|nan) in replica 5 at epoch 1 \(train\)"):
        together(toy.model, broken, train, max_replicas=3)

    def halt(rows: list[dict]) -> set[int]:
        return {row["replica"] for row in rows if not np.isfinite(row["loss"])}

    result = together(toy.model, broken, train, halt=halt)
    assert [row["replica"] for row in result.history if row["epoch"] == 2][:6] == [0, 1, 2, 3, 4, 6]


def interrupted(monkeypatch: pytest.MonkeyPatch, call: int, work) -> None:
    """Run until Ctrl-C in the given call of the program."""
    write, calls = drive.write_lines, []

    def write_and_interrupt(path: Path, rows: list) -> None:
        write(path, rows)
        calls.append(rows)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(drive, "write_lines", write_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            work()


def test_runs_resume_in_the_middle_of_a_chunk(
    toy, folds: Folds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    run = partial(together, toy.model, folds, PLAIN, max_replicas=3, block=2)
    whole = run()
    interrupted(monkeypatch, 5, lambda: run(recorder=Recorder(tmp_path)))
    metrics = tmp_path / "metrics.jsonl"
    with metrics.open("a") as file:  # as if killed before the next checkpoint
        file.write('{"epoch": 5, "replica": 3, "split": "train", "loss": 0.0}\n{"epo')
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [
        "chunk_000", "chunk_001", "chunks.json",
    ]  # fmt: skip
    with pytest.raises(InputError, match="holds a run of 6 epochs: resume it"):
        run(recorder=Recorder(tmp_path))
    trained = []
    result = run(recorder=Recorder(tmp_path, resume=True))
    chex.assert_trees_all_equal(result.params, whole.params)
    assert result.history == whole.history == read_lines(metrics)
    monkeypatch.setattr(Driver, "_call", lambda *args: trained.append(args))
    again = together(toy.model, folds, PLAIN, recorder=Recorder(tmp_path, resume=True))
    assert trained == []
    chex.assert_trees_all_equal(again.params, whole.params)
    assert again.history == whole.history


def test_one_progress_line_for_all_chunks(toy, folds: Folds, capsys: pytest.CaptureFixture):
    recorder = Recorder(quiet=False, label="cv")
    together(toy.model, folds, PLAIN, max_replicas=3, recorder=recorder)
    told = capsys.readouterr().err.splitlines()  # more than one where the machine is slow
    assert [line for line in told if line.startswith("cv: 18/18")] == told[-1:]
    assert told[-1].startswith("cv: 18/18, chunk 3 of 3, train loss")


def test_another_number_of_replicas_is_refused(toy, folds: Folds, tmp_path: Path):
    train, recorder = Train(epochs=1, batch_size=4), Recorder(tmp_path, resume=True)
    together(toy.model, first(folds, 4), train, recorder=recorder, max_replicas=2)
    with pytest.raises(InputError, match="4 replicas, not of 3"):
        together(toy.model, first(folds, 3), train, recorder=recorder)
    with pytest.raises(InputError, match="2 replicas at a time, not 1"):
        together(toy.model, first(folds, 4), train, recorder=recorder, max_replicas=1)
    with pytest.raises(InputError, match="4 replicas, not of 1"):
        fit(toy.model, *settings_of(folds, 0), train, key=folds.keys[0], recorder=recorder)


def test_one_chunk_keeps_its_checkpoints_in_the_folder_itself(toy, folds: Folds, tmp_path: Path):
    train, recorder = Train(epochs=1, batch_size=4), Recorder(tmp_path, resume=True)
    expected = together(toy.model, first(folds, 3), train, recorder=recorder)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["1"]
    found = together(toy.model, first(folds, 3), train, recorder=recorder)
    chex.assert_trees_all_equal(found.params, expected.params)
    with pytest.raises(InputError, match="does not fit"):
        together(toy.model, first(folds, 2), train, recorder=recorder)


def test_as_many_as_memory_holds_are_trained_at_once(
    toy, folds: Folds, monkeypatch: pytest.MonkeyPatch
):
    asked = []

    def need(programs: Any, settings: Settings, keys: Any, layout: Any) -> int:
        asked.append(keys.shape[0])
        return 10_000 + 1000 * keys.shape[0]

    monkeypatch.setattr(replicate, "program_bytes", need)
    monkeypatch.setattr(replicate, "free_bytes", lambda devices: 14_500)
    parts = together(toy.model, folds, PLAIN)
    assert asked == [COUNT, 1]
    assert parts.state is None
    monkeypatch.setattr(replicate, "free_bytes", lambda devices: 10**9)
    whole = together(toy.model, folds, PLAIN)
    assert whole.state is not None
    close(parts.params, whole.params)


@pytest.mark.parametrize("part", ["standards", "splits", "hypers", "conditionals"])
def test_other_numbers_of_replicas_are_refused(toy, folds: Folds, part: str):
    fewer = first(folds, 3)
    wrong = (
        folds._replace(data=fewer.data)
        if part == "conditionals"
        else folds._replace(**{part: getattr(fewer, part)})
    )
    with pytest.raises(InputError, match=f"expected {part} with a leading axis of 7 replicas"):
        together(toy.model, wrong, PLAIN)


def test_limits_are_checked(toy, folds: Folds):
    with pytest.raises(InputError, match="max_replicas of at least 1, found 0"):
        together(toy.model, folds, PLAIN, max_replicas=0)
    with pytest.raises(InputError, match="block of 1 to 64 epochs, found 65"):
        together(toy.model, folds, PLAIN, block=65)


def test_repeat_gives_equal_replicas():
    tree: Any = repeat({"a": 1.5, "b": np.arange(2)}, 3)
    assert tree["a"].tolist() == [1.5] * 3
    assert tree["b"].shape == (3, 2)
