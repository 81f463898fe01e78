import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score

from jaxomics.errors import InputError
from jaxomics.metrics.embedding import evaluate_embedding
from jaxomics.metrics.summary import summarise
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
    return float(scores[here].value.mean())


def evaluated(*args, **options):
    """Without trees, which have tests of their own."""
    return evaluate_embedding(
        *args, **{"classifiers": ("logistic", "knn"), "quick": True, **options}
    )


def test_separate_clusters_score_perfectly():
    latent, labels = clusters(20)
    scores = evaluated(latent, labels)
    assert list(scores.columns) == SCORE_COLUMNS
    for metric in ("ari", "nmi", "knn_accuracy"):
        assert value(scores, metric) == pytest.approx(1)
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert value(scores, metric, "logistic") == 1


def test_cluster_indices_are_those_of_the_standardised_latent():
    latent, labels = clusters(2)
    scores = evaluated(latent * [1, 10, 100, 1000], labels)
    z = (latent - latent.mean()) / latent.std(ddof=0)
    assert value(scores, "calinski_harabasz") == pytest.approx(calinski_harabasz_score(z, labels))
    assert value(scores, "davies_bouldin") == pytest.approx(davies_bouldin_score(z, labels))


def test_samples_without_label_and_rare_classes_are_noted():
    latent, labels = clusters()
    labels.iloc[:4] = np.nan
    labels.iloc[4] = "rare"
    labels.iloc[5] = "rare"
    scores = evaluated(latent, labels)
    assert scores.attrs["notes"] == [
        "left out 4 samples without a label",
        "classifiers: left out 2 samples of classes in fewer than 5 groups: rare",
    ]


def test_a_group_never_helps_to_classify_itself():
    random = np.random.default_rng(1)
    places = random.normal(size=(30, 3)) * 100
    latent = pd.DataFrame(np.repeat(places, 4, axis=0) + 0.01 * random.normal(size=(120, 3)))
    labels = pd.Series(np.repeat(random.permutation(np.arange(30) % 2), 4)).map({0: "a", 1: "b"})
    patients = pd.Series(np.repeat(np.arange(30), 4))
    alone = evaluated(latent, labels)
    grouped = evaluated(latent, labels, group=patients)
    assert value(alone, "accuracy", "knn") > value(grouped, "accuracy", "knn") + 0.1


def test_wide_latents_are_also_scored_on_fifty_components_and_beside_pca():
    latent, labels = clusters(dimensions=55, samples=90)
    scores = evaluated(latent, labels, features=latent)
    assert set(scores["mode"]) == {"latent", "pc50"}
    assert {"embedding", "pca", "logistic", "pca:logistic"} <= set(scores.model)
    assert not scores.value.isna().any()
    folds = scores[(scores.model == "pca:logistic") & (scores.metric == "accuracy")]
    assert sorted(set(folds.fold)) == [0, 1, 2, 3, 4]
    compared = scores[scores.metric == "grassmann_components"].set_index("model").value
    assert compared["embedding"] == compared["pca"]


def test_no_rotation_of_a_latent_changes_its_fifty_components():
    """Dimensions of unlike spread: standardising them, or the components, would."""
    random = np.random.default_rng(5)
    latent, labels = clusters(dimensions=55, samples=90)
    latent = latent * np.geomspace(3.0, 0.05, 55)
    turn, _ = np.linalg.qr(random.normal(size=(55, 55)))
    turned = pd.DataFrame(latent.to_numpy() @ turn, latent.index, latent.columns)
    before, after = (
        evaluated(z, labels, classifiers=("logistic", "knn")).query("mode == 'pc50'")
        for z in (latent, turned)
    )
    assert {"silhouette", "calinski_harabasz", "ari", "knn_accuracy"} <= set(before.metric)
    np.testing.assert_allclose(before.value, after.value, rtol=1e-6)


@pytest.fixture(scope="module")
def noise():
    """Scores of an embedding that knows nothing: 64 dimensions, five classes, two per donor."""
    random = np.random.default_rng(3)
    samples, donors = 400, np.repeat(np.arange(200), 2)
    names = pd.Index([f"s{i}" for i in range(samples)])
    latent = pd.DataFrame(random.normal(size=(samples, 64)), index=names)
    labels = pd.Series(np.repeat(random.integers(0, 5, 200), 2), names).map("class {}".format)
    time, event = np.repeat(random.exponential(size=(1, 200)), 2), np.repeat(donors[:200] % 3, 2)
    survival = pd.DataFrame({"time": time + 0.1, "event": event > 0}, index=names)
    return evaluate_embedding(
        latent, labels, group=pd.Series(donors, names), survival=survival,
        clinical=pd.DataFrame({"age": random.normal(size=samples)}, index=names), quick=True,
    )  # fmt: skip


def test_noise_scores_as_chance(noise):
    for model in ("xgboost", "logistic", "knn"):
        assert value(noise, "accuracy", model) == pytest.approx(0.2, abs=0.07)
    assert abs(value(noise, "grassmann_z")) < 2
    for model in ("embedding", "clinical", "embedding+clinical"):
        for metric in ("uno_c", "harrell_c"):
            assert value(noise, metric, model) == pytest.approx(0.5, abs=0.05)


def test_scores_by_fold_are_summed_up(noise):
    row = summarise(noise).query("metric == 'uno_c' and model == 'embedding'").iloc[0]
    own = noise[(noise.metric == "uno_c") & (noise.model == "embedding")].value
    assert row["mean"] == pytest.approx(own.mean())
    assert row["sd"] == pytest.approx(own.std())
    assert row["se"] == pytest.approx(own.std() / 5**0.5)
    assert row["folds"] == 5


def test_samples_without_survival_are_left_out_there():
    latent, labels = clusters(2)
    survival = pd.DataFrame({"time": 1.0 + np.arange(60), "event": 1.0}, index=latent.index)
    survival.iloc[:3, 0] = [np.nan, 0.0, np.nan]
    notes = evaluated(latent, labels, survival=survival).attrs["notes"]
    assert notes == ["survival: left out 3 samples without a time above 0 or an event"]


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
        evaluated(latent, labels)
