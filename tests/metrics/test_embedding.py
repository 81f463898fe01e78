import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

from jaxomics.errors import InputError
from jaxomics.metrics.embedding import evaluate_embedding
from jaxomics.metrics.tables import SCORE_COLUMNS


def clusters(distance=6.0, dimensions=4, samples=60):
    """Three classes around three centres."""
    random = np.random.default_rng(0)
    codes = np.arange(samples) % 3
    z = random.normal(size=(samples, dimensions))
    z[:, :3] += distance * np.eye(3)[codes]
    names = pd.Index([f"s{i}" for i in range(samples)])
    labels = pd.Series([f"class {c}" for c in codes], index=names)
    return pd.DataFrame(z, index=names), labels


def value(scores, metric, model="embedding", mode="latent"):
    here = (scores.metric == metric) & (scores.model == model) & (scores["mode"] == mode)
    return scores[here].value.item()


def test_separate_clusters_score_perfectly():
    latent, labels = clusters(20)
    scores = evaluate_embedding(latent, labels)
    assert list(scores.columns) == SCORE_COLUMNS
    for metric in ("ari", "nmi", "knn_accuracy"):
        assert value(scores, metric) == pytest.approx(1)
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert value(scores, metric, "logistic") == 1


def test_cluster_indices_are_those_of_the_standardised_latent():
    latent, labels = clusters(2)
    scores = evaluate_embedding(latent * [1, 10, 100, 1000], labels)
    z = (latent - latent.mean()) / latent.std(ddof=0)
    assert value(scores, "calinski_harabasz") == pytest.approx(calinski_harabasz_score(z, labels))
    assert value(scores, "davies_bouldin") == pytest.approx(davies_bouldin_score(z, labels))


def test_samples_without_label_and_rare_classes_are_noted():
    latent, labels = clusters()
    labels.iloc[:4] = np.nan
    labels.iloc[4] = "rare"
    labels.iloc[5] = "rare"
    scores = evaluate_embedding(latent, labels)
    assert scores.attrs["notes"] == [
        "left out 4 samples without a label",
        "classifiers: left out 2 samples of classes in fewer than 5 groups",
    ]


def test_a_group_never_helps_to_classify_itself():
    random = np.random.default_rng(1)
    places = random.normal(size=(30, 3)) * 100
    latent = pd.DataFrame(np.repeat(places, 4, axis=0) + 0.01 * random.normal(size=(120, 3)))
    labels = pd.Series(np.repeat(random.permutation(np.arange(30) % 2), 4)).map({0: "a", 1: "b"})
    patients = pd.Series(np.repeat(np.arange(30), 4))
    alone = evaluate_embedding(latent, labels)
    grouped = evaluate_embedding(latent, labels, group=patients)
    assert value(alone, "accuracy", "knn") > value(grouped, "accuracy", "knn") + 0.1


def test_wide_latents_are_also_scored_on_fifty_components_and_beside_pca():
    latent, labels = clusters(dimensions=55, samples=90)
    scores = evaluate_embedding(latent, labels, features=latent)
    assert set(scores["mode"]) == {"latent", "pc50"}
    assert {"embedding", "pca", "logistic", "pca:logistic"} <= set(scores.model)
    assert not scores.value.isna().any()


@pytest.mark.parametrize("wrong", ["single", "all different", "infinite"])
def test_impossible_input_is_named(wrong):
    latent, labels = clusters()
    if wrong == "single":
        labels[:] = "one"
    elif wrong == "all different":
        labels[:] = labels.index
    else:
        latent.iloc[0, 0] = np.inf
    with pytest.raises(InputError, match="expected"):
        evaluate_embedding(latent, labels)
