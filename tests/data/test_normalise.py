"""Steps between samples: their order, that only training samples count, and that they are kept."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.batch_effects import fit_batch_effects
from jaxomics.data.container import MultiOmics
from jaxomics.data.normalise import as_logarithms, on_scale
from jaxomics.data.preprocess import NormaliseConfig, Preprocess, PreprocessConfig, fit_preprocess
from jaxomics.data.quantiles import fit_quantiles
from jaxomics.data.simulated_bulk import simulate_bulk
from jaxomics.errors import InputError

CONFIG = PreprocessConfig(
    variance_threshold=0.01, variance_filtered="all", missing_filtered=(), encoder_filter="none",
    decimals=None, min_views=1,
)  # fmt: skip
ALL = NormaliseConfig(
    scale="counts", quantile=True, batch=("library_prep", "sequencer"), covariates=("age",),
    keep=("cohort",),
)  # fmt: skip


@pytest.fixture(scope="module")
def data():
    return simulate_bulk(60, 15, genes=40, peaks=90, cohorts=3, seed=5).cohort


@pytest.fixture(scope="module")
def trained(data):
    donors = data.labels["donor"].unique()
    return data.samples[data.labels["donor"].isin(donors[::4]).to_numpy() == 0]


@pytest.fixture(scope="module")
def fitted(data, trained):
    return fit_preprocess(data, CONFIG, trained, ALL)


def test_steps_come_in_the_published_order(data, trained, fitted):
    for view in ("rna", "atac"):
        table = data.view(view)[data.view(view).index.isin(trained)]
        logs = np.log2(table.to_numpy(np.float64) + 1)
        kept = (table.to_numpy() > 0).any(axis=0) & (logs.var(axis=0, ddof=1) >= 0.01)
        assert 0 < (~kept).sum() < 10
        assert fitted.views[view].features.tolist() == table.columns[kept].tolist()
        labels = data.labels.loc[table.index]
        logs = logs[:, kept]
        alike = fit_quantiles(logs).apply(logs)
        freed = fit_batch_effects(
            alike, labels, ("library_prep", "sequencer"), ("age",), ("cohort",)
        ).apply(alike, labels)
        found = fitted.arrays(data)[view][data.samples.get_indexer(table.index)]
        np.testing.assert_allclose(found, freed, atol=1e-5)
        np.testing.assert_allclose(fitted.views[view].mean, freed.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(fitted.views[view].scale, freed.std(axis=0), rtol=1e-4)
        reasons = fitted.report[fitted.report["view"] == view]["reason"]
        assert "no count in any training sample" in set(reasons)


def every_array(fitted: Preprocess) -> dict[str, np.ndarray]:
    """All that was fitted, by name."""
    found = {}
    for name, view in fitted.views.items():
        found |= {f"{name}.{k}": getattr(view, k) for k in ("encoder", "mean", "scale")}
        found |= {f"{name}.{k}": v for k, v in view.steps.arrays().items()}
        found[f"{name}.features"] = view.features.to_numpy(str)
        found[f"{name}.record"] = np.array(str(view.steps.record()))
    return found


def test_what_is_held_out_changes_nothing_that_is_fitted(data, trained, fitted):
    held = ~data.samples.isin(trained)
    random = np.random.default_rng(0)
    views = {}
    for name, table in data.views.items():
        own = table.index.isin(data.samples[held])
        noise = random.poisson(500, table.shape).astype(np.float32)
        views[name] = table.mask(np.broadcast_to(own[:, None], table.shape), noise)
    labels = data.labels.copy()
    labels.loc[held, ["library_prep", "cohort"]] = "unheard of"
    labels.loc[held, "age"] = 1000.0
    other = MultiOmics.from_tables(views, labels, data.features)
    before, after = (every_array(f) for f in (fitted, fit_preprocess(other, CONFIG, trained, ALL)))
    assert before.keys() == after.keys()
    assert {"rna.reference", "rna.effects", "atac.effects", "atac.mean"} <= before.keys()
    for name, array in before.items():
        np.testing.assert_array_equal(array, after[name], err_msg=name)
    leaking = fit_preprocess(other, replace(CONFIG, fit_scope="all"), trained, ALL)
    changed = leaking.views["rna"].steps.arrays()["reference"]
    assert not np.allclose(changed.mean(), before["rna.reference"].mean())


def test_saved_steps_do_the_same_to_new_samples(data, fitted, tmp_path):
    fitted.save(tmp_path)
    loaded = Preprocess.load(tmp_path)
    for name, array in every_array(fitted).items():
        np.testing.assert_array_equal(array, every_array(loaded)[name], err_msg=name)
    new = data.select_samples(data.samples[:7])
    blind = MultiOmics.from_tables(
        {name: table for name, table in new.views.items() if len(table)},
        new.labels.drop(columns=["cohort", "os_time"]),
    )
    for name, array in loaded.arrays(blind).items():
        np.testing.assert_array_equal(array, fitted.arrays(data)[name][:7])


def test_levels_that_are_not_known_are_refused_or_told(data, trained, fitted):
    strange = data.labels.copy()
    strange.loc[strange.index[0], "sequencer"] = "new"
    other = MultiOmics.from_tables(data.views, strange, data.features)
    with pytest.raises(
        InputError, match=r"levels of 'sequencer' .*\(level0, level1\), found 'new'"
    ):
        fitted.arrays(other)
    lenient = NormaliseConfig(scale="counts", batch=("sequencer",), unseen="zero")
    free = fit_preprocess(data, CONFIG, trained, lenient)
    raw = np.log2(other.view("atac").iloc[0][free.views["atac"].features] + 1)
    np.testing.assert_allclose(free.arrays(other)["atac"][0], raw, rtol=1e-6)
    told = [["atac", data.samples[0], "sequencer", "new"]]
    assert free.unseen(other).to_numpy().tolist() == told
    assert free.unseen(data).empty


def test_absent_columns_switch_their_step_off_and_are_told(data):
    bare = MultiOmics.from_tables(data.views, data.labels[["sequencer"]])
    found = fit_preprocess(bare, CONFIG, None, ALL)
    assert found.notes[:3] == [
        "view 'rna': no label column 'library_prep': its effect is not removed",
        "view 'rna': no label column 'age': its effect is not removed",
        "view 'rna': no label column 'cohort': its differences are not kept",
    ]
    effects = found.views["rna"].steps.effects
    assert effects is not None
    assert [term.column for term in effects.terms] == ["sequencer"]
    nested = bare.labels.assign(library_prep=bare.labels["sequencer"])
    nested = fit_preprocess(MultiOmics.from_tables(data.views, nested), CONFIG, None, ALL)
    assert "view 'atac': sequencer=level0 cannot be told from" in " ".join(nested.notes)


def test_views_that_are_not_named_stay_as_they_are(data):
    only = NormaliseConfig(scale="counts", quantile=True, normalised=("rna",))
    found = fit_preprocess(data, CONFIG, None, only)
    atac = data.view("atac")[found.views["atac"].features]
    rows = data.present("atac")
    np.testing.assert_array_equal(found.arrays(data)["atac"][rows], atac)
    shared = found.normalised(data)
    assert shared.view("atac").equals(data.view("atac"))
    np.testing.assert_array_equal(
        shared.view("rna"), found.arrays(data)["rna"][data.present("rna")]
    )


def test_logarithms_can_be_taken_ahead(data):
    logs, left = as_logarithms(data, NormaliseConfig(scale="counts", normalised=("rna",)))
    np.testing.assert_allclose(logs.view("rna"), np.log2(data.view("rna") + 1), rtol=1e-6)
    assert logs.view("atac").equals(data.view("atac"))
    assert left.scale == "none"


def test_the_least_varying_share_is_left_out(data):
    config = replace(CONFIG, variance_quantile=0.5)
    found = fit_preprocess(data, config, None, NormaliseConfig(scale="counts")).views["atac"]
    logs = np.log2(data.view("atac") + 1)
    median = logs.var().median()
    assert found.features.tolist() == logs.columns[logs.var() >= median].tolist()
    assert found.kind == "continuous"


@pytest.mark.parametrize(
    ("value", "scale", "message"),
    [
        (-1.5, "counts", r"'rna': .* 1 negative values, the first is -1.5 at .*'s1', feature 'b'"),
        (900.0, "log", "expected logarithms, at most 64, found 900; say --scale counts"),
    ],
)
def test_values_on_another_scale_are_refused(value, scale, message):
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, value]}, index=["s0", "s1"])
    with pytest.raises(InputError, match=message):
        on_scale(table, scale, "rna")
    assert on_scale(table, "none", "rna")[1, 1] == value


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"scale": "tpm"}, "unknown scale 'tpm'"),
        ({"unseen": "drop"}, "unknown unseen 'drop'"),
        ({"batch": ("cohort",), "keep": ("cohort",)}, "removed or kept"),
        ({"keep": ("cohort",)}, "batch or covariates beside keep"),
    ],
)
def test_choices_that_contradict_are_refused(choices, message):
    with pytest.raises(InputError, match=message):
        NormaliseConfig(**choices)
