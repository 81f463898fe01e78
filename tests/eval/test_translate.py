"""The scripts around translators, on a twin of a few dozen samples and networks of a few epochs."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from jaxomics.data.io import read_indexed, read_table, write_cohort
from jaxomics.data.simulated_translation import LABEL, simulate_translation
from jaxomics.errors import InputError
from jaxomics.metrics.translation import NINE
from jaxomics.presets import preset

ROOT = Path(__file__).parents[2]
SOURCE, TARGET = ("methylation",), "rna"
METHODS = ("mean", "ridge", "omitrans", "omitrans, U-Net")


@pytest.fixture(scope="module")
def scripts():
    """The scripts; their networks shrunk to what takes seconds."""
    folders = [str(ROOT / name) for name in ("eval", "train")]
    sys.path[:0] = folders
    try:
        names = ("translate", "translated", "transfer", "omitrans")
        found = SimpleNamespace(**{name: import_module(name) for name in names})
        network = found.translate.network
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(found.translate.METHODS, "omitrans", network(1, 3, hidden=(8,), latent=4))
            unet = network(
                epochs=2, base="paper", order="known", generator="unet", filters=2, gan="none"
            )
            patch.setitem(found.translate.METHODS, "omitrans, U-Net", unet)
            yield found
    finally:
        for folder in folders:
            sys.path.remove(folder)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort") / "twin"
    write_cohort(simulate_translation(60, 48, 32, classes=3, factors=4).cohort, folder)
    return folder


@pytest.fixture(scope="module")
def parts(scripts, twin: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scores") / "translate"
    task = scripts.translate.Options(twin, SOURCE, TARGET, out, methods=METHODS, folds=2)
    scripts.translate.main(task)
    return out


@pytest.mark.slow
def test_every_method_and_fold_has_the_nine_metrics(scripts, parts: Path, twin: Path):
    scores = read_table(parts / "scores.parquet")
    assert set(scores["model"]) == set(METHODS)
    counts = scores[scores["metric"].isin(NINE)].groupby(["model", "metric"])["fold"].nunique()
    assert (counts == 3).all()  # two folds and their mean
    predicted = [read_indexed(parts / "predicted" / f"omitrans, U-Net_{i}.parquet") for i in (0, 1)]
    assert len(pd.concat(predicted).index.unique()) == 60
    # A run that is done is not repeated.
    before = (parts / "parts" / "ridge_0.parquet").stat().st_mtime_ns
    again = scripts.translate.Options(twin, SOURCE, TARGET, parts, methods=("ridge",), folds=2)
    scripts.translate.main(again)
    assert (parts / "parts" / "ridge_0.parquet").stat().st_mtime_ns == before


@pytest.mark.slow
def test_translated_tables_are_classified_and_drawn(
    scripts, parts: Path, twin: Path, tmp_path: Path
):
    scripts.translated.main(
        scripts.translated.Options(twin, TARGET, LABEL, parts, tmp_path, least=4, epochs=2)
    )
    scores = read_table(tmp_path / "classes.parquet")
    assert set(scores["model"]) == {*METHODS, "measured"}
    assert set(scripts.translated.FIVE) <= set(scores["metric"])
    drawn = {path.stem for path in tmp_path.glob("*.png")}
    assert drawn == {"r2_samples", "r2_features", "best_features", "embedding"}


@pytest.mark.slow
def test_groups_are_held_out_together_or_one_by_one(scripts, twin: Path, tmp_path: Path):
    classes = read_table(twin / "labels.parquet")[LABEL].value_counts()
    held = tuple(classes.index[classes >= 10][:2])
    script, common = scripts.transfer, {"label": LABEL, "held": held, "epochs": 2}
    given = (twin, SOURCE, TARGET)
    script.main(
        script.Options(*given, out=tmp_path / "one", methods=("mean", "omitrans"), **common)
    )
    assert (tmp_path / "one" / "embedding.png").exists()
    methods = ("mean", "linear", "tdimpute")
    small = scripts.translate.tdimpute.Config(epochs=2, hidden=8)
    patched = scripts.translate.simple("tdimpute", small)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(script.METHODS, "tdimpute", patched)
        script.main(
            script.Options(*given, out=tmp_path / "each", methods=methods, each=True, **common)
        )
    scores = read_table(tmp_path / "each" / "scores.parquet")
    assert len(scores[["dataset", "model"]].drop_duplicates()) == len(held) * len(methods)
    assert not (tmp_path / "each" / "embedding.png").exists()
    with pytest.raises(InputError, match="unknown method 'lass'"):
        script.main(script.Options(*given, out=tmp_path, methods=("lass",), **common))


@pytest.mark.slow
def test_the_training_script_leaves_a_run_and_scores(
    scripts, twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plain = preset("omitrans", "recommended")
    small = replace(plain, train=replace(plain.train, epochs=2, ensemble=1))
    monkeypatch.setattr(scripts.omitrans, "preset", lambda *_: small)
    out = tmp_path / "run"
    scripts.omitrans.main(scripts.omitrans.Options(twin, SOURCE, TARGET, out))
    assert len(read_table(out / "translated.parquet")) == 12
    assert set(NINE) <= set(read_table(out / "scores.parquet")["metric"])
