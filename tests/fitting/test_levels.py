"""A first level trained on windows from disk gives what it gives in memory, also interrupted."""

import signal
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import pytest

from jaxomics.data.batch import DataSpec, ViewSpec, make_data
from jaxomics.data.store import Store, write_arrays
from jaxomics.data.stream import fit_scaling
from jaxomics.engine import streamed
from jaxomics.engine.drive import Recorder
from jaxomics.engine.log import read_lines
from jaxomics.engine.state import Split, Train
from jaxomics.engine.streamed import fit_streamed
from jaxomics.errors import InputError
from jaxomics.fitting import levels as module
from jaxomics.fitting.levels import fit_levels, fit_stored_levels
from jaxomics.models.atac import Config, Hyper, build
from jaxomics.models.base import Model

PEAKS, COUNT = 11, 14
SPLIT = Split(np.array([0, 1, 2, 4, 5, 6, 7, 9, 13]), 9, np.array([3, 8, 10]), 3)
TRAIN = Train(epochs=2, batch_size=4, restore_best=True)
CONFIG = Config("", 4, 1, (5,), 2, 3, (4,), 2, "layer", "mean")


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Neighbours alike, some cells and one sample not measured."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(COUNT, 1)) * np.linspace(1, 2, PEAKS) + draw.normal(size=(COUNT, PEAKS))
    x[draw.random(x.shape) < 0.1] = np.nan
    x[[4, 10]] = np.nan
    return x


@pytest.fixture(scope="module")
def store(values: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write_arrays({"atac": values}, tmp_path_factory.mktemp("levels") / "store")


@pytest.fixture(scope="module")
def model() -> Model:
    return build(CONFIG, DataSpec((ViewSpec("atac", PEAKS),)))


def test_from_disk_and_interrupted_it_is_what_it_is_in_memory(
    model: Model, store: Store, values: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Stopped in the second epoch of the first level, between two of its six steps."""
    settings = fit_scaling(store, SPLIT.train), SPLIT, Hyper(learning_rate=0.01), TRAIN
    save, stops = streamed._Run._save, [8]

    def interrupt_and_save(run: Any, carry: Any, place: bytes, interrupted: Any, **more: Any):
        if run.taken in stops:
            stops.remove(run.taken)
            signal.raise_signal(signal.SIGINT)
        save(run, carry, place, interrupted, **more)

    monkeypatch.setattr(streamed._Run, "_save", interrupt_and_save)
    monkeypatch.setattr(module, "READ_BYTES", 3 * 4 * PEAKS)  # five pieces, the last not full
    folders = tmp_path / "disk", tmp_path / "memory"
    given, key = (model, store, *settings), jax.random.key(0)
    with pytest.raises(KeyboardInterrupt, match="step 2 of 6 in epoch 2"):
        fit_stored_levels(*given, key=key, recorder=Recorder(folders[0]))
    assert not (folders[0] / "checkpoints").exists()
    found = fit_stored_levels(*given, key=key, recorder=Recorder(folders[0], resume=True))
    data, recorder = make_data({"atac": values}), Recorder(folders[1])
    expected = fit_levels(model, data, *settings, key=key, recorder=recorder)
    trained = [(result.params, result.collections) for result in (found, expected)]
    chex.assert_trees_all_close(*trained, rtol=1e-5, atol=1e-6)
    for level in (".", "first_level"):
        traces = [read_lines(folder / level / "metrics.jsonl") for folder in folders]
        for one, other in zip(*traces, strict=True):
            assert (one["epoch"], one["split"]) == (other["epoch"], other["split"])
            numbers = [[row[key] for key in ("loss", "kl")] for row in (one, other)]
            np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-6)


def test_what_cannot_be_done_from_disk_is_refused(model: Model, store: Store, tmp_path: Path):
    standard = fit_scaling(store, SPLIT.train)
    given = standard, SPLIT, Hyper(), TRAIN
    with pytest.raises(InputError, match=r"behind a first level .* levels\.fit_stored_levels"):
        fit_streamed(model, store, *given, key=jax.random.key(0))
    two = write_arrays({"atac": np.ones((4, 2)), "rna": np.ones((4, 2))}, tmp_path / "store")
    with pytest.raises(InputError, match=r"view atac alone, found atac, rna: .* without --stream"):
        fit_stored_levels(model, two, *given, key=jax.random.key(0))
