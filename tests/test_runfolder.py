"""Run folders: a loaded run answers as the fitted one, wherever the folder lies."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.io import write_cohort
from jaxomics.data.simulate import simulate_depmap
from jaxomics.engine.fit import Recorder
from jaxomics.engine.state import Train
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.presets.mosa import PAPER, RECOMMENDED
from jaxomics.runfolder import (
    describe_run,
    finish_run,
    load_run,
    read_config,
    same_run,
    start_run,
    training_data,
)

TINY = replace(
    RECOMMENDED,
    config=replace(RECOMMENDED.config, latent=3, hidden=(6,), view_latent=3),
    train=Train(epochs=3, batch_size=32, ensemble=2),
)


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    views = ("proteomics", "drugresponse", "copynumber")
    return simulate_depmap("tiny", seed=0).cohort.select_views(views)


@pytest.fixture(scope="module")
def run(cohort: MultiOmics, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Estimator]:
    root = tmp_path_factory.mktemp("runs")
    write_cohort(cohort, root / "data")
    folder, estimator = root / "run", Estimator(TINY, seed=4)
    start_run(folder, describe_run(estimator, cohort, root / "data"))
    estimator.fit(cohort, recorder=Recorder(folder))
    finish_run(folder, estimator)
    return folder, estimator


def test_loaded_run_gives_equal_outputs_after_a_move(
    run: tuple[Path, Estimator], cohort: MultiOmics, tmp_path: Path
):
    folder, estimator = run
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(folder, moved)
    loaded = load_run(moved)
    assert loaded.settings == estimator.settings
    assert (loaded.seed, loaded.entry.name) == (4, "mosa")
    pd.testing.assert_frame_equal(loaded.transform(cohort), estimator.transform(), check_exact=True)
    for verb in ("impute", "uncertainty"):
        expected = getattr(estimator, verb)(cohort)
        for view, table in getattr(loaded, verb)(cohort).items():
            pd.testing.assert_frame_equal(table, expected[view], check_exact=True)
    with pytest.raises(InputError, match="no training data at hand"):
        loaded.transform()


def test_folder_holds_what_the_documents_say(run: tuple[Path, Estimator]):
    folder, estimator = run
    names = {p.name for p in folder.iterdir()}
    assert {"config.json", "metrics.jsonl", "checkpoints", "preprocess"} <= names
    record = read_config(folder)
    assert record["settings"]["config"]["latent"] == 3
    assert {"jax", "flax", "numpy"} <= set(record["versions"])
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 3 * 2
    assert not list(folder.rglob("*.tmp*"))
    text = (folder / "preprocess" / "fitted.json").read_text()
    assert json.loads(text)["classes"] == list(estimator.classes_)


def test_training_data_are_found_and_checked(
    run: tuple[Path, Estimator], cohort: MultiOmics, tmp_path: Path
):
    folder, _ = run
    assert training_data(folder).digest() == cohort.digest()
    copy = tmp_path / "run"
    copy.mkdir()
    record = read_config(folder)
    record["data"]["sha256"] = "0"
    start_run(copy, record)
    with pytest.raises(InputError, match="have changed since training"):
        training_data(copy)
    record["data"]["path"] = str(tmp_path / "nowhere")
    start_run(copy, record)
    with pytest.raises(InputError, match="--data"):
        training_data(copy)


def test_resuming_asks_for_the_same_run(run: tuple[Path, Estimator], cohort: MultiOmics):
    folder, estimator = run
    record = describe_run(estimator, cohort, None)
    same_run(folder, record)
    longer = Estimator(replace(TINY, train=replace(TINY.train, epochs=4)), seed=4)
    with pytest.raises(InputError, match="its settings differs"):
        same_run(folder, describe_run(longer, cohort, None))
    with pytest.raises(InputError, match="its seed differs"):
        same_run(folder, describe_run(Estimator(TINY, seed=5), cohort, None))
    fewer = cohort.select_samples(cohort.samples[1:])
    with pytest.raises(InputError, match="the data have changed"):
        same_run(folder, describe_run(estimator, fewer, None))


def test_engine_refuses_another_model_in_the_same_folder(
    run: tuple[Path, Estimator], cohort: MultiOmics, tmp_path: Path
):
    folder, _ = run
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    wider = replace(TINY, config=replace(TINY.config, latent=5))
    with pytest.raises(InputError, match="does not fit these settings"):
        Estimator(wider, seed=4).fit(cohort, recorder=Recorder(copy, resume=True))
    with pytest.raises(InputError, match="holds a run of 3 epochs"):
        Estimator(TINY, seed=4).fit(cohort, recorder=Recorder(copy))


def test_what_is_no_finished_run_is_refused(tmp_path: Path, cohort: MultiOmics):
    with pytest.raises(InputError, match=r"config\.json"):
        load_run(tmp_path)
    start_run(tmp_path, describe_run(Estimator(PAPER), cohort, None))
    with pytest.raises(InputError, match="train first"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        load_run(tmp_path)


def test_view_weights_survive(tmp_path: Path, cohort: MultiOmics):
    hyper = PAPER.hyper.replace(view_weight={"copynumber": 2.0})
    estimator = Estimator(replace(PAPER, hyper=hyper), seed=0)
    start_run(tmp_path, describe_run(estimator, cohort, None))
    record = read_config(tmp_path)
    assert record["settings"]["hyper"]["view_weight"] == {"copynumber": 2.0}
    same_run(tmp_path, describe_run(estimator, cohort, None))
    assert np.isclose(record["settings"]["hyper"]["learning_rate"], 3e-4)
