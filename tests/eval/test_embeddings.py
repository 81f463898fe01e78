"""Several embeddings of the same samples, by one script."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.errors import InputError

EVAL = str(Path(__file__).parents[2] / "eval")


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, EVAL)
    try:
        yield import_module("embeddings")
    finally:
        sys.path.remove(EVAL)


@pytest.fixture(scope="module")
def results(script, tmp_path_factory):
    """Scores of a good and a poor embedding, the first with training samples."""
    folder = tmp_path_factory.mktemp("embeddings")
    random = np.random.default_rng(0)
    names = pd.Index([f"s{i}" for i in range(120)], name="sample")
    classes = np.arange(120) % 3
    z = random.normal(size=(120, 4)) + 4 * np.eye(4)[classes]
    good = pd.DataFrame(z, names).add_prefix("z")
    good[:60].to_csv(folder / "good.csv")
    good[60:].to_csv(folder / "train.csv")
    pd.DataFrame(random.normal(size=(120, 9)), names)[20:60].to_csv(folder / "poor.csv")
    pd.DataFrame({"cohort": np.array(list("abc"))[classes]}, names).to_csv(folder / "labels.csv")
    script.main(
        script.Options(
            tables=(f"good={folder / 'good.csv'}", f"poor={folder / 'poor.csv'}"),
            train=(f"good={folder / 'train.csv'}",),
            labels=folder / "labels.csv", label="cohort", out=folder / "out", quick=True,
        )
    )  # fmt: skip
    return folder / "out"


def test_embeddings_are_compared_on_common_ground(results):
    table = pd.read_parquet(results / "summary.parquet").set_index(["model", "mode", "metric"])
    mean = table["mean"]
    for mode in ("latent", "transfer"):
        assert mean["good:logistic", mode, "accuracy"] > 0.9
    assert mean["poor:logistic", "latent", "accuracy"] < 0.6
    for name in ("good", "poor"):
        assert mean[name, "latent", "grassmann_components"] == 4
    assert mean["good", "latent", "grassmann_z"] > 4 > mean["poor", "latent", "grassmann_z"]
    assert (results / "benchmarks.png").stat().st_size > 1000


def test_names_and_samples_are_checked(script):
    with pytest.raises(InputError, match="NAME=FILE"):
        script.named(("vae.csv",))
    with pytest.raises(InputError, match="a name of its own"):
        script.named(("a=1", "a=2"))
    one, other = (pd.DataFrame({"z": [0.0]}, index=[name]) for name in "ab")
    with pytest.raises(InputError, match="samples that all tables have"):
        script.shared({"one": one, "other": other})
