"""Comparators behind the verbs of an estimator: the same promises."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxomics.comparator import Comparator
from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError
from jaxomics.methods import check_verb
from jaxomics.presets.comparators import ComparatorSettings, Filters
from jaxomics.runfolder import describe_run, load_run, start_run


@pytest.fixture(scope="module")
def cohort() -> MultiOmics:
    """Three views of two factors; calls are 0, 1 or 2; who is ill follows the first factor."""
    random = np.random.default_rng(0)
    z = random.normal(size=(40, 2))
    names = pd.Index([f"s{i:02}" for i in range(40)], name="sample")

    def table(width: int, noise: float = 0.3) -> np.ndarray:
        return z @ random.normal(size=(2, width)) + noise * random.normal(size=(40, width))

    rna = pd.DataFrame(5 + table(12), names).add_prefix("g")
    protein = pd.DataFrame(table(8), names).add_prefix("p").iloc[10:]
    calls = pd.DataFrame(np.clip(np.round(1 + table(5)), 0, 2), names).add_prefix("c")
    rna = rna.mask(random.random(rna.shape) < 0.1)
    calls = calls.mask(random.random(calls.shape) < 0.1)
    state = np.where(z[:, 0] > 0, "ill", "well").astype(object)
    state[3] = None
    labels = pd.DataFrame({"class": state, "age": np.arange(40.0)}, names)
    return MultiOmics.from_tables({"rna": rna, "protein": protein, "calls": calls}, labels)


@pytest.fixture(scope="module")
def ridge(cohort: MultiOmics) -> Comparator:
    return Comparator("ridge", components=5).fit(cohort)


def test_imputing_keeps_measured_values_and_fills_the_rest(cohort: MultiOmics, ridge: Comparator):
    completed = ridge.impute(discrete=True)
    assert list(completed) == list(cohort.views)
    for view, table in completed.items():
        measured = cohort.table(view).to_numpy()
        seen = ~np.isnan(measured)
        np.testing.assert_array_equal(table.to_numpy()[seen], measured[seen])
        assert bool(table.notna().all(axis=None))
    assert set(np.unique(completed["calls"])) <= {0.0, 1.0, 2.0}
    assert not np.isin(ridge.impute(full=True)["calls"], (0.0, 1.0, 2.0)).all()


def test_translation_reads_the_source_alone(cohort: MultiOmics, ridge: Comparator):
    found = ridge.translate(source="rna", target="protein")
    other = cohort.view("calls") * 0
    changed = replace(cohort, views={**cohort.views, "calls": other})
    pd.testing.assert_frame_equal(ridge.translate(changed, source="rna", target="protein"), found)
    assert list(found.index) == list(cohort.view("rna").index)
    truth = cohort.view("protein")
    near = found.loc[truth.index]
    assert np.corrcoef(near.to_numpy().ravel(), truth.to_numpy().ravel())[0, 1] > 0.8


def test_new_samples_may_have_any_view_and_other_names_of_features(cohort: MultiOmics):
    pca = Comparator("pca", components=3).fit(cohort)
    new = cohort.select_samples(cohort.samples[:2]).views["rna"].rename(columns="{} (7)".format)
    placed = pca.transform(MultiOmics.from_tables({"rna": new.iloc[:, ::-1]}, min_samples=1))
    plain = pca.transform(MultiOmics.from_tables({"rna": cohort.views["rna"]}))
    pd.testing.assert_frame_equal(placed, plain.iloc[:2])


def test_only_training_samples_are_learned_from(cohort: MultiOmics):
    inside = cohort.samples[:30]
    part = Comparator("pca", components=2).fit(cohort.select_samples(inside))
    whole = Comparator("pca", components=2).fit(cohort, samples=inside)
    pd.testing.assert_frame_equal(whole.transform(), part.transform(cohort))


def test_classes_are_predicted_and_samples_without_one_are_listed(cohort: MultiOmics):
    diablo = Comparator("diablo", components=2).fit(cohort)
    said = diablo.predict()
    assert list(said) == ["sample", "view", "class", "p_ill", "p_well"]
    truth = cohort.labels["class"].to_numpy()
    right = said["class"].to_numpy()[truth != None] == truth[truth != None]  # noqa: E711
    assert right.mean() > 0.8
    report = diablo.preprocess_.report
    assert report.query("item == 'sample'")["name"].tolist() == ["s03"]
    assert "sees the label column 'class'" in diablo.notes_[0]


def test_translators_write_their_targets_only(cohort: MultiOmics):
    found = Comparator("ridge", targets=("protein",)).fit(cohort)
    assert list(found.impute()) == ["protein"]
    with pytest.raises(InputError, match="view that this model writes 'calls'"):
        found.translate(source="rna", target="calls")


def test_conditionals_stand_beside_the_views(cohort: MultiOmics):
    settings = ComparatorSettings(Comparator("pca").settings.config)
    told = replace(settings, conditionals=replace(settings.conditionals, columns=("age",)))
    pca = Comparator("pca", told, components=2).fit(cohort)
    assert list(pca.impute()) == list(cohort.views)
    weights = pca.tables()["weights"]
    assert weights.query("view == 'conditionals'")["feature"].tolist() == ["age"]
    assert len(weights) == 12 + 8 + 5 + 1


def test_filters_leave_out_features_and_samples(cohort: MultiOmics):
    settings = replace(
        ComparatorSettings(Comparator("mean").settings.config),
        preprocess=Filters(min_views=3, variance_threshold=1e9, variance_filtered=("rna",)),
    )
    with pytest.raises(InputError, match="view 'rna': expected features, found none"):
        Comparator("mean", settings).fit(cohort)
    fewer = replace(settings, preprocess=Filters(min_views=3))
    found = Comparator("mean", fewer).fit(cohort)
    assert found.notes_ == ["10 samples have fewer than 3 views: not learned from"]
    mean = cohort.table("rna").iloc[10:].mean()
    np.testing.assert_allclose(found.impute(full=True)["rna"].iloc[0], mean, rtol=1e-6)


def test_the_fit_is_told_in_tables(cohort: MultiOmics):
    tables = Comparator("softimpute", rank=3).fit(cohort).tables()
    assert list(tables["weights"]) == ["view", "feature", "z0", "z1", "z2"]
    assert tables["weights"]["feature"].tolist()[:2] == ["g0", "g1"]
    path = tables["path"]
    assert path.loc[path["chosen"], "error"].item() == path["error"].min()


def test_a_run_folder_gives_the_comparator_back(cohort: MultiOmics, tmp_path):
    diablo = Comparator("diablo", components=2, seed=5).fit(cohort)
    start_run(tmp_path, describe_run(diablo, cohort, None))
    diablo.save(tmp_path)
    loaded = load_run(tmp_path)
    assert isinstance(loaded, Comparator)
    assert (loaded.settings, loaded.seed) == (diablo.settings, 5)
    pd.testing.assert_frame_equal(loaded.predict(cohort), diablo.predict())
    pd.testing.assert_frame_equal(loaded.transform(cohort), diablo.transform())
    with pytest.raises(InputError, match="no training data at hand"):
        loaded.transform()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda cohort: Comparator("mofaa"), "did you mean 'mofa'"),
        (lambda cohort: Comparator("mofa", "papr"), "did you mean 'paper'"),
        (lambda cohort: Comparator("mofa", factor=3), "did you mean 'factors'"),
        (lambda cohort: Comparator("mofa").transform(), "no training data"),
        (lambda cohort: Comparator("mofa").transform(cohort), "call fit first"),
        (lambda cohort: Comparator("knn").transform(cohort), "models that can embed: mosa"),
        (lambda cohort: Comparator("diablo").impute(cohort), "it can embed, predict"),
        (lambda cohort: Comparator("pca").uncertainty(cohort), "leave out --draws"),
        (lambda cohort: check_verb("pcaa", "embed"), "did you mean 'pca'"),
        (
            lambda cohort: Comparator("diablo").fit(cohort.select_views(["rna"]).__class__
                .from_tables({"rna": cohort.views["rna"]})),
            "learns classes: expected a label column such as label",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_named(cohort: MultiOmics, wrong, message: str):
    with pytest.raises(InputError, match=message):
        wrong(cohort)
