"""Memory: the compiler's line in the number of replicas, what is free, how many fit."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.data.batch import DataSpec, Standard, ViewSpec, make_data
from jaxomics.engine import replicate
from jaxomics.engine.capacity import (
    RESERVE,
    even_size,
    free_bytes,
    host_bytes,
    planned_bytes,
    program_bytes,
    replicas_at_once,
    tree_bytes,
)
from jaxomics.engine.fit import Settings, floats, jitted, make_programs
from jaxomics.engine.replicate import repeat
from jaxomics.engine.state import Split, Train
from jaxomics.models import _template as template


@given(
    st.integers(2, 300), st.integers(0, 1000), st.integers(1, 100), st.floats(0.1, 1.0),
    st.integers(0, 50_000), st.integers(0, 20),
)  # fmt: skip
@settings(deadline=None)
def test_most_replicas_that_fit(
    replicas: int, fixed: int, each: int, share: float, free: int, kept: int
):
    asked = []

    def need(count: int) -> int:
        asked.append(count)
        return fixed + each * count

    found = replicas_at_once(need, replicas, free, least=max(1, int(share * each)), kept=kept)
    assert 1 <= found <= replicas
    assert len(asked) <= 2
    room = free - kept * replicas
    if found == replicas:
        assert need(found) <= free
    elif found > 1:
        assert need(found) <= room
    if 1 < found < replicas - 1:
        top = asked[0]
        assert need(found + 1) > room or found == top


def test_room_for_all_costs_one_question_and_unknown_memory_none():
    asked = []

    def need(count: int) -> int:
        asked.append(count)
        return count

    assert replicas_at_once(need, 10, None, least=1) == 10
    assert replicas_at_once(need, 1, 0, least=1) == 1
    assert asked == []
    assert replicas_at_once(need, 10, 10, least=1) == 10
    assert asked == [10]


@given(st.integers(1, 200), st.integers(1, 200))
def test_even_chunks_are_the_fewest(replicas: int, most: int):
    size = even_size(replicas, most)
    assert size <= most
    chunks = -(-replicas // size)
    assert chunks == -(-replicas // most)
    assert size * chunks - replicas < chunks


def vae(replicas: int) -> tuple[Any, Settings, jax.Array]:
    """Programs, settings and keys of replicas of a VAE of about 50 000 parameters."""
    data = make_data({"rna": np.random.default_rng(0).normal(size=(40, 150)).astype(np.float32)})
    model = template.build(template.Config(), DataSpec((ViewSpec("rna", 150),)))
    train = Train(epochs=3, batch_size=16, valid_fraction=0.1, restore_best=True)
    programs = jitted(replicate._mapped(make_programs(model, train, (2, 16, 3)), (None, 0, 0, 0)))
    standard = Standard({"rna": jnp.zeros(150)}, {"rna": jnp.ones(150)})
    split = Split(np.arange(32), 32, np.arange(32, 40), 8)
    own = (repeat(standard, replicas), repeat(split, replicas))
    chosen = Settings(data, *own, floats(repeat(template.Hyper(), replicas)))
    return programs, chosen, jax.random.split(jax.random.key(0), replicas)


def test_memory_is_a_line_in_the_number_of_replicas():
    needed = {count: program_bytes(*vae(count)) for count in (1, 3, 8)}
    predicted = needed[1] + (needed[8] - needed[1]) * 2 / 7
    assert needed[3] == pytest.approx(predicted, rel=0.1)
    # Parameters, two moments and the best parameters are the least that a replica needs.
    programs, chosen, keys = vae(1)
    parameters = tree_bytes(jax.eval_shape(programs.draw, *chosen, keys).params)
    assert 4 * parameters < needed[1] < 12 * parameters
    assert 4 * parameters < (needed[8] - needed[1]) / 7 < 12 * parameters


def test_planned_bytes_by_hand():
    program = jax.jit(lambda x, y: (x + 1, y.sum()), donate_argnums=0)
    shapes = (jax.ShapeDtypeStruct((1000,), jnp.float32), jax.ShapeDtypeStruct((50,), jnp.float32))
    # x is updated in place, y is read, and one number comes out; the rest is room to work.
    assert 4204 <= planned_bytes(program.lower(*shapes).compile()) <= 4204 + 200
    assert planned_bytes(SimpleNamespace(memory_analysis=lambda: None)) == 0


def test_tree_bytes_counts_keys():
    keys = jax.random.split(jax.random.key(0), 3)
    assert tree_bytes({"k": keys, "a": np.zeros(2, np.float32)}) == 3 * 8 + 8


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 5000 * 1024),
        ({"memory.max": "max\n", "memory.current": "100\n"}, 5000 * 1024),
        ({"memory.max": "3000\n", "memory.current": "1000\n"}, 2000),
        ({"memory.max": "1000\n", "memory.current": "3000\n"}, 0),
        (
            {"memory/memory.limit_in_bytes": "9000\n", "memory/memory.usage_in_bytes": "1000\n"},
            8000,
        ),
    ],
)
def test_host_memory_is_the_tightest_limit(tmp_path: Path, files: dict, expected: int):
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    files["proc/meminfo"] = "MemTotal: 9000 kB\nMemFree: 10 kB\nMemAvailable:    5000 kB\n"
    assert host_bytes(write(tmp_path, files)) == expected


def test_host_memory_without_a_word_from_the_system_is_a_share_of_all(tmp_path: Path):
    found, here = host_bytes(tmp_path), host_bytes()
    assert found is not None
    assert here is not None
    assert 2**28 < found < 2**45


def device(platform: str, stats: dict | None) -> Any:
    return SimpleNamespace(platform=platform, memory_stats=lambda: stats)


def test_free_memory_of_devices(monkeypatch: pytest.MonkeyPatch):
    large, small = ({"bytes_limit": 1000 * k, "bytes_in_use": 400} for k in (2, 1))
    assert free_bytes([device("gpu", large), device("gpu", small)]) == int(600 * (1 - RESERVE))
    assert free_bytes([device("tpu", None)]) is None
    monkeypatch.setattr("jaxomics.engine.capacity.host_bytes", lambda: 1000)
    assert free_bytes([device("cpu", None)] * 4) == int(250 * (1 - RESERVE))
    monkeypatch.setattr("jaxomics.engine.capacity.host_bytes", lambda: None)
    assert free_bytes([device("cpu", None)]) is None
