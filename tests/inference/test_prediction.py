"""Tables of predictions: a row per sample and view that measures it, probabilities of members."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from jaxomics.data.batch import Batch, Data, Standard, make_data
from jaxomics.errors import InputError
from jaxomics.inference.cohort import Member
from jaxomics.inference.outcomes import Outcomes
from jaxomics.inference.prediction import predict
from jaxomics.models.base import Model, Tasks

SAMPLES = pd.Index(["a", "b", "c"])
RNA = np.array([[1.0, 2.0], [3.0, 0.0], [np.nan, np.nan]], np.float32)
DRUG = np.array([[np.nan, np.nan], [2.0, 5.0], [4.0, 1.0]], np.float32)
STANDARD = Standard(
    {"rna": jnp.zeros(2), "drug": jnp.ones(2)}, {"rna": jnp.ones(2), "drug": jnp.ones(2)}
)
MEMBERS = [Member(1.0, {}), Member(-0.5, {})]


def data() -> Data:
    return make_data({"rna": RNA, "drug": DRUG})


def classify(params: float, collections: dict, batch: Batch) -> dict:
    """The logits are the two features of a view."""
    return {view: params * x for view, x in batch.x.items()}


def together(params: float, collections: dict, batch: Batch) -> dict:
    return {"all": params * sum(batch.x.values())}


def said(tasks: Tasks, members: list[Member], seed: int | None = None) -> pd.DataFrame:
    model = Model(lambda *_: None, (), tasks=tasks)
    return predict(model, members, data(), STANDARD, SAMPLES, ("x", "y"), Outcomes(), {}, seed)


def test_each_view_speaks_for_the_samples_that_it_measures():
    table = said(Tasks(classify=classify), MEMBERS[:1])
    assert table[["sample", "view"]].to_numpy().tolist() == [
        ["a", "rna"], ["b", "rna"], ["b", "drug"], ["c", "drug"],
    ]  # fmt: skip
    logits = [RNA[0], RNA[1], DRUG[1] - 1, DRUG[2] - 1]
    np.testing.assert_allclose(table[["p_x", "p_y"]], softmax(logits, axis=1), rtol=1e-5)
    assert table["class"].tolist() == ["y", "x", "y", "x"]


def test_members_are_averaged_after_the_softmax():
    table = said(Tasks(classify=classify), MEMBERS)
    expected = (softmax(RNA[0]) + softmax(-0.5 * RNA[0])) / 2
    np.testing.assert_allclose(table.loc[0, ["p_x", "p_y"]].astype(float), expected, rtol=1e-5)


def test_a_model_of_all_views_has_a_row_per_sample():
    table = said(Tasks(classify=together), MEMBERS[:1])
    assert table["view"].tolist() == ["all"] * 3
    assert table["sample"].tolist() == list(SAMPLES)


def test_drawn_latents_are_those_of_the_posterior():
    tasks = Tasks(
        classify=classify,
        views=lambda params, collections, batch: {v: (x, 0.0 * x) for v, x in batch.x.items()},
        judge=lambda params, collections, z: params * z,
    )
    table = said(tasks, MEMBERS[:1], seed=0)  # of variance 0: the mean itself
    pd.testing.assert_frame_equal(table, said(tasks, MEMBERS[:1]), atol=1e-4)


def test_a_model_that_learned_no_class_says_so():
    with pytest.raises(InputError, match="trained with classes or other outcomes"):
        said(Tasks(), MEMBERS[:1])
