"""Explanations of cohorts: tables against brute force, wrong questions, planted drivers."""

from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from jaxomics.attribution.path import expected_gradients
from jaxomics.data.batch import Batch
from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.container import MultiOmics
from jaxomics.data.simulate import VIEWS as SIMULATED
from jaxomics.data.simulate import Size, simulate_depmap
from jaxomics.engine.state import Train
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.explain.explanation import Explanation, compare
from jaxomics.explain.run import How
from jaxomics.presets import Settings
from jaxomics.presets.mosa import PAPER, RECOMMENDED

VIEWS = ("proteomics", "drugresponse", "crisprcas9")
SMALL: dict[str, Any] = {"latent": 3, "hidden": (6,), "view_latent": 4}
TOLD = replace(
    RECOMMENDED,
    config=replace(RECOMMENDED.config, **SMALL),
    train=Train(epochs=4, batch_size=32, ensemble=2),
    conditionals=ConditionalsConfig(columns=("tissue",)),
    residual_factors=False,
)
"""Networks that are told what was measured; two of them."""
PLAIN = replace(
    PAPER,
    config=replace(PAPER.config, contrastive="none", **SMALL),
    train=Train(epochs=2, batch_size=32),
    conditionals=TOLD.conditionals,
)
"""A network that reads zeros, and some of the features only."""
LINKED = replace(PLAIN, config=replace(PLAIN.config, links=True))
"""The same with weights between features of one name, which encoders may not read."""
SETTINGS: dict[str, Settings] = {"told": TOLD, "plain": PLAIN, "linked": LINKED}
DRAWS, SEED = 16, 7


@lru_cache
def cohort() -> MultiOmics:
    return simulate_depmap("tiny", seed=0).cohort.select_views(VIEWS)


@lru_cache
def fitted(name: str) -> Estimator:
    est = Estimator(SETTINGS[name], seed=0).fit(cohort())
    if name == "linked":  # weights of links start at 0 and hardly move in two epochs
        est.members_ = [jax.tree.map(lambda leaf: leaf + 0.2, member) for member in est.members_]
    return est


EXPLAINED = slice(0, 5)
BACKGROUND = slice(3, 10)


@lru_cache
def explained(name: str, *target: str, **how: Any) -> Explanation:
    """Five samples explained against seven."""
    samples = cohort().samples
    return fitted(name).explain(
        target=target, samples=samples[EXPLAINED], background=samples[BACKGROUND],
        how=How(draws=DRAWS, **how), seed=SEED,
    )  # fmt: skip


class Brute(NamedTuple):
    """Attributions of single samples and outputs, one by one.

    Attributes:
      phi, error: [members, samples, outputs, features] per view, and its standard error.
      output, baseline_output: [members, samples, outputs].
    """

    phi: Any
    error: Any
    output: np.ndarray
    baseline_output: np.ndarray


def standard_units(est: Estimator) -> tuple[Any, Any]:
    """Values of all samples as networks read them, and what was measured."""
    data = est.data(cohort())
    x = {
        name: jnp.where(data.observed[name], est.standard_.apply(name, values), 0.0)
        for name, values in data.x.items()
    }
    return x | {"conditionals": data.conditionals}, data.observed


@lru_cache
def brute(name: str, written: str | None, members: int, absent: bool) -> Brute:
    """Expected gradients of z, or of a view that is written, by `path` alone."""
    est = fitted(name)
    x, observed = standard_units(est)
    tasks = est.model_.tasks
    background = {n: leaf[BACKGROUND] for n, leaf in x.items()}

    def outputs(member: Any, seen: Any, x: Any) -> Any:
        views = {n: leaf[None] for n, leaf in x.items() if n != "conditionals"}
        row, y = jnp.zeros(1, jnp.int32), x["conditionals"][None]
        batch = Batch(
            x=views,
            observed={n: seen[n][None] for n in views},
            sample=dict.fromkeys(views, row),
            conditionals=dict.fromkeys(views, y),
            labels=dict.fromkeys(views, row),
            weight=dict.fromkeys(views, jnp.ones(1)),
        )
        mean, _ = tasks.encode(*member, batch)
        if written is None:
            return mean[0]
        decoded = tasks.decode(*member, mean, y)[written][0]
        if tasks.direct is None:
            return decoded
        added = tasks.direct(*member, batch).get(written)
        return decoded if added is None else decoded + added[0]

    def one(member: Any, row: Any, key: Any, choice: Any) -> Any:
        seen = {n: o[row] if absent else jnp.ones(o.shape[1], bool) for n, o in observed.items()}
        return expected_gradients(
            lambda p, x: outputs(p[0], seen, x) @ p[1], (member, choice),
            {n: leaf[row] for n, leaf in x.items()}, background, key=key, n_draws=DRAWS // members,
        )  # fmt: skip

    rows = np.arange(len(cohort().samples))[EXPLAINED]
    count = est.settings.config.latent if written is None else x[written].shape[1]
    every = jax.jit(jax.vmap(jax.vmap(one, (None, None, None, 0)), (None, 0, 0, None)))
    parts = []
    for number in range(members):
        keys = [
            jax.random.split(jax.random.fold_in(jax.random.key(SEED), r), members)[number]
            for r in rows
        ]
        parts.append(every(est.members_[number], rows, jnp.stack(keys), jnp.eye(count)))
    phi, error = (
        {n: np.stack([getattr(part, field)[n] for part in parts]) for n in x}
        for field in ("values", "stderr")
    )
    ends = [np.stack([getattr(p, f) for p in parts]) for f in ("output", "baseline_output")]
    return Brute(phi, error, *ends)


def long(name: str, found: Explanation, by_view: Any) -> pd.Series:
    """Numbers [features] per view, of those features that are explained, by view and name."""
    est = fitted(name)
    names = {n: v.features for n, v in est.preprocess_.views.items()}
    names["conditionals"] = est.conditionals_.names
    parts = {
        (view, feature): value
        for view, values in by_view.items()
        for feature, value in zip(names[view], values, strict=True)
        if feature in found.features[view]
    }
    return pd.Series(parts)


def same(table: pd.DataFrame, column: str, expected: pd.Series, **close: Any) -> None:
    """A column of a table, by view and feature, holds the expected numbers."""
    found = table.set_index(["view", "feature"])[column]
    assert set(found.index) == set(expected.index)
    near = {"rtol": 2e-3, "atol": 1e-5} | close
    np.testing.assert_allclose(found[expected.index], expected, **near)


# Tables against brute force


def test_importance_and_views_are_the_published_formulas():
    found = explained("told", "view:drugresponse")
    expected = brute("told", "drugresponse", 2, True)
    mean = {n: phi.mean(axis=0) for n, phi in expected.phi.items()}  # samples, outputs, features
    table = found.importance()
    absolute = long("told", found, {n: np.abs(a).mean(axis=0).sum(axis=0) for n, a in mean.items()})
    same(table, "mean_abs", absolute)
    same(
        table, "mean", long("told", found, {n: a.mean(axis=0).sum(axis=0) for n, a in mean.items()})
    )
    assert table["mean_abs"].is_monotonic_decreasing
    assert table["rank"].tolist() == list(range(1, len(table) + 1))
    assert set(table["target"]) == {"view:drugresponse"}
    views = found.views().set_index("view")
    for view, values in absolute.groupby(level=0):
        assert views.loc[view, "mean_abs"] == pytest.approx(values.mean(), rel=1e-3)
        assert views.loc[view, "total"] == pytest.approx(values.sum(), rel=1e-3)
        assert views.loc[view, "share"] == pytest.approx(values.sum() / absolute.sum(), rel=1e-3)


def test_top_and_effects_rank_features_and_outputs():
    found = explained("told", "view:drugresponse")
    expected = brute("told", "drugresponse", 2, True)
    x, observed = standard_units(fitted("told"))
    names = fitted("told").preprocess_.views["drugresponse"].features
    o, output = 4, f"drugresponse/{names[4]}"
    mean = {n: phi.mean(axis=0)[:, o] for n, phi in expected.phi.items()}  # samples, features
    top = found.top(10**6)
    rows = pd.DataFrame(top[top["output"] == output])
    same(
        rows, "mean_abs", long("told", found, {n: np.abs(a).mean(axis=0) for n, a in mean.items()})
    )
    variance = {n: (e[:, :, o] ** 2).sum(axis=(0, 1)) / 4 for n, e in expected.error.items()}
    same(
        rows,
        "stderr",
        long("told", found, {n: np.sqrt(v) / 5 for n, v in variance.items()}),
        rtol=0.01,
    )
    assert rows["rank"].tolist() == list(range(1, len(rows) + 1))
    few = found.top(3)
    assert set(few.groupby(["output", "view"]).size()) == {3}
    held = few[few["output"] == output].set_index(["view", "feature"])["rank"]
    assert held.equals(rows.set_index(["view", "feature"])["rank"].loc[held.index])
    feature = fitted("told").preprocess_.views["proteomics"].features[2]
    effects = found.effects("proteomics", feature)
    assert len(effects) == len(names)
    assert effects["mean_abs"].is_monotonic_decreasing
    shared = ["mean_abs", "mean", "stderr", "direction"]
    one = rows.set_index(["view", "feature"]).loc[("proteomics", feature), shared]
    np.testing.assert_allclose(
        effects.set_index("output").loc[output, shared].astype(float), one.astype(float), rtol=1e-6
    )
    column = 2
    seen = np.asarray(observed["proteomics"])[EXPLAINED][:, column]
    if seen.sum() > 2:
        value = np.asarray(x["proteomics"])[EXPLAINED][seen, column]
        r = np.corrcoef(value, mean["proteomics"][seen, column])[0, 1]
        assert float(one["direction"]) == pytest.approx(r, abs=1e-2)


def test_completeness_accounts_for_every_output():
    found = explained("told", "view:drugresponse")
    expected = brute("told", "drugresponse", 2, True)
    table = found.completeness()
    assert list(table.columns) == [
        "target", "sample", "output", "baseline_output", "sum_attribution", "gap",
    ]  # fmt: skip
    assert table["target"].astype(str).unique().tolist() == list(found.targets[0].names)
    assert table["sample"].tolist() == list(cohort().samples[EXPLAINED]) * 16
    for column, values in (
        ("output", expected.output),
        ("baseline_output", expected.baseline_output),
        ("sum_attribution", sum(phi.sum(axis=3) for phi in expected.phi.values())),
    ):
        near = {"rtol": 1e-3, "atol": 1e-5}
        np.testing.assert_allclose(table[column], values.mean(axis=0).T.ravel(), **near)
    gap = table["output"] - table["baseline_output"] - table["sum_attribution"]
    np.testing.assert_allclose(table["gap"], gap, atol=1e-6)
    change = (table["output"] - table["baseline_output"]).abs()
    assert found.median_gap() == pytest.approx(float((gap.abs() / change).median()), rel=0.01)


def test_stability_tells_how_members_agree():
    found = explained("told", "view:drugresponse")
    expected = brute("told", "drugresponse", 2, True)
    x, _ = standard_units(fitted("told"))
    own = {n: np.abs(phi).mean(axis=1).sum(axis=1) for n, phi in expected.phi.items()}
    product = {
        n: (phi * np.asarray(x[n])[EXPLAINED][None, :, None]).sum(axis=1)
        for n, phi in expected.phi.items()
    }
    agree = {}
    for name, p in product.items():
        weight = np.abs(p.mean(axis=0))
        alike = np.sign(p[0]) == np.sign(p[1])
        with np.errstate(invalid="ignore"):
            agree[name] = (weight * alike).sum(axis=0) / weight.sum(axis=0)
    table = found.stability()
    same(table, "mean_abs", long("told", found, {n: a.mean(axis=0) for n, a in own.items()}))
    same(
        table,
        "sd",
        long("told", found, {n: a.std(axis=0, ddof=1) for n, a in own.items()}),
        atol=1e-5,
    )
    same(table, "same_sign", long("told", found, agree), atol=0.02)
    size = table["mean_abs"].where(table["mean_abs"] > 0)
    np.testing.assert_allclose(table["cv"], table["sd"] / size)
    assert set(table["members"]) == {2}
    with pytest.raises(InputError, match="expected an ensemble, found explanations of one network"):
        explained("told", "latent").stability()


@pytest.mark.parametrize(
    ("name", "missing", "absent"),
    [("told", "auto", True), ("told", "zero", False), ("plain", "auto", False)],
)
def test_latents_with_missing_entries_as_zeros_or_absent(name: str, missing: str, absent: bool):
    found = explained(name, "latent", missing=missing)
    expected = brute(name, None, 1, absent)
    phi = {n: leaf[0] for n, leaf in expected.phi.items()}
    size = {n: np.abs(a).mean(axis=0).sum(axis=0) for n, a in phi.items()}
    same(found.importance(), "mean_abs", long(name, found, size))
    z = fitted(name).transform().to_numpy()[EXPLAINED]
    if absent or name == "plain":
        table = found.completeness()
        np.testing.assert_allclose(table["output"], z.T.ravel(), rtol=1e-3, atol=1e-5)
    values = found.data()
    assert bool(values.isna().any(axis=None)) == absent


@pytest.mark.parametrize("name", ["plain", "linked"])
def test_features_that_nothing_reads_are_left_out(name: str):
    found = explained(name, "view:proteomics")
    fits = fitted(name).preprocess_.views
    read = {n: len(v.encoder if name == "plain" else v.features) for n, v in fits.items()}
    assert {n: len(f) for n, f in found.features.items() if n != "conditionals"} == read
    assert any(len(v.encoder) < len(v.features) for v in fits.values())
    expected = brute(name, "proteomics", 1, False)
    size = {n: np.abs(a[0]).mean(axis=0).sum(axis=0) for n, a in expected.phi.items()}
    same(found.importance(), "mean_abs", long(name, found, size))
    if name == "linked":
        others = np.abs(expected.phi["crisprcas9"][0]).max(axis=(0, 1))
        assert fitted(name).spec_.links
        assert others[np.setdiff1d(np.arange(len(others)), fits["crisprcas9"].encoder)].max() > 0


# Ways to the same numbers


def tables(found: Explanation) -> list[pd.DataFrame]:
    return [found.importance(), found.views(), found.top(10**6), found.completeness()]


def close_tables(found: Explanation, expected: Explanation, but: tuple[str, ...] = ()) -> None:
    """All numbers agree, those of some columns left out."""
    for pair in zip(tables(found), tables(expected), strict=True):
        names = [c for c in pair[0] if c in ("target", "view", "feature", "sample")]
        if "direction" in pair[0]:
            names.append("output")
        a, b = (
            table.astype(dict.fromkeys(names, str))
            .drop(columns=["rank", *but], errors="ignore")
            .sort_values(names, ignore_index=True)
            for table in pair
        )
        pd.testing.assert_frame_equal(a, b, check_dtype=False, rtol=2e-3, atol=2e-5)


def test_the_other_way_and_double_precision_agree():
    rough = ("direction",)  # a difference of large sums
    found = explained("told", "feature:drugresponse/Nutlin-like", way="latent")
    other = explained("told", "feature:drugresponse/Nutlin-like", way="outputs")
    close_tables(other, found, but=rough)
    single, precise = (
        explained("plain", "latent", method="integrated", double=double) for double in (False, True)
    )
    close_tables(precise, single, but=rough)
    assert precise.totals.signed["proteomics"].dtype == np.float64


def test_little_memory_takes_outputs_in_parts():
    whole = explained("plain", "latent", "latent:1")
    held = 4 * 36 * sum(len(names) for names in whole.features.values())
    parts = explained("plain", "latent", "latent:1", memory=2.5 * 2 * held / 2**30)
    close_tables(parts, whole, but=("stderr",))
    # Errors of parts that share draws are added as if they were the same.
    a, b = (f.importance().set_index(["target", "view", "feature"]) for f in (parts, whole))
    a, b = a["stderr"][b.index], b["stderr"]
    assert bool((a >= 0.99 * b - 1e-6).all())
    assert not np.allclose(a, b, rtol=0.01)
    np.testing.assert_allclose(a.loc["latent:1"], b.loc["latent:1"], rtol=0.01, atol=1e-6)
    members = [f.totals.by_member["proteomics"] for f in (parts, whole)]
    np.testing.assert_allclose(*members, rtol=1e-3, atol=1e-5)


def test_latents_in_any_order():
    found, turned = (
        explained("plain", *asked) for asked in (("latent",), ("latent:2", "latent:0", "latent:1"))
    )
    by_output = [
        f.top(10**6).set_index(["output", "view", "feature"])["mean_abs"] for f in (found, turned)
    ]
    np.testing.assert_allclose(by_output[1][by_output[0].index], by_output[0], rtol=1e-3, atol=1e-6)


def test_same_seed_same_bytes_other_seed_other_draws():
    est, samples = fitted("plain"), cohort().samples
    asked: dict[str, Any] = {"target": "latent:1", "draws": 8, "samples": samples[:4]}
    first, again = (est.explain(**asked, seed=3) for _ in range(2))
    for a, b in zip(tables(first), tables(again), strict=True):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
    other = est.explain(**asked, seed=4)
    assert not np.array_equal(first.importance()["mean_abs"], other.importance()["mean_abs"])


def test_samples_draw_for_themselves_so_groups_join_to_the_whole():
    est, samples = fitted("plain"), cohort().samples
    asked: dict[str, Any] = {"target": "latent", "draws": 8, "background": samples[:8]}
    whole = est.explain(samples=samples[:6], **asked)
    first = est.explain(samples=samples[:3], **asked)
    second = est.explain(samples=samples[3:6], **asked)
    close_tables(first.joined(second), whole)
    table = compare(first, second, ("lung", "skin"))
    assert list(table.columns) == [*whole.importance().columns, "group"]
    assert table["group"].value_counts().to_dict() == {
        name: len(first.importance()) for name in ("lung", "skin")
    }
    turned = est.explain(samples=samples[[5, 4, 3]], **asked)
    close_tables(turned, second)


@pytest.mark.parametrize("method", ["integrated", "smooth", "gradient"])
def test_other_methods_promise_less(method: Any):
    est, samples = fitted("plain"), cohort().samples
    found = est.explain(target="latent:0", method=method, draws=32, samples=samples[:4])
    errors = found.importance()["stderr"]
    assert bool(errors.notna().all()) == (method == "smooth")
    assert len(found.completeness()) == (4 if method == "integrated" else 0)
    if method == "integrated":
        assert found.median_gap() < 0.02
    else:
        assert np.isnan(found.median_gap())


# Single outputs, and other programs


def test_keywords_for_shap():
    found = explained("plain", "feature:drugresponse/Nutlin-like")
    shap = found.to_shap()
    assert set(shap) == {"values", "base_values", "data", "feature_names"}
    names = [f"{view}/{name}" for view, names in found.features.items() for name in names]
    assert shap["feature_names"] == names
    assert shap["values"].shape == shap["data"].shape == (5, len(names))
    assert shap["base_values"].shape == (5,)
    table = found.completeness()
    total = shap["base_values"] + shap["values"].sum(axis=1)
    np.testing.assert_allclose(total, table["output"] - table["gap"], rtol=1e-4, atol=1e-5)
    mean_abs = np.abs(shap["values"]).mean(axis=0)
    importance = found.importance()
    order = pd.Series(mean_abs, names)[importance["view"] + "/" + importance["feature"]]
    np.testing.assert_allclose(importance["mean_abs"], order, rtol=1e-5)
    with pytest.raises(InputError, match="expected one output, found 3"):
        explained("plain", "latent").to_shap()


# Bad input


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"target": "latnt"}, "did you mean 'latent'"),
        ({"target": "view:drugrespons"}, "did you mean 'drugresponse'"),
        ({"target": "feature:drugresponse/Nutlin"}, "did you mean 'Nutlin-like'"),
        ({"target": "latent:3"}, "expected a latent from 0 to 2, found '3'"),
        ({"target": []}, "expected a target, found none"),
        ({"target": ["latent", "latent"]}, "expected each target once"),
        ({"samples": ["nobody"]}, "unknown sample to explain 'nobody'"),
        ({"samples": []}, "expected a sample to explain, found none"),
        ({"background": ["nobody"]}, "unknown background sample 'nobody'"),
        ({"background": 1}, "expected a background of two samples or more, found 1"),
        ({"draws": 1}, "expected draws for 1 members of 2 or more, found 1"),
        ({"method": "shap"}, "unknown method 'shap'"),
        ({"how": How(memory=1e-9)}, "expected memory for one output of one sample"),
    ],
)  # fmt: skip
def test_wrong_questions_are_refused(asked: dict[str, Any], message: str):
    first = {
        k: cohort().samples[:v] for k, v in asked.items() if isinstance(v, int) and k != "draws"
    }
    with pytest.raises(InputError) as error:
        fitted("plain").explain(**{"target": "latent", "draws": 8} | asked | first)
    assert message in str(error.value)


def test_wrong_looks_at_a_result_are_refused():
    found = explained("plain", "latent")
    for asked, message in (
        (lambda: found.effects("protein", "x"), "did you mean 'proteomics'"),
        (lambda: found.effects("drugresponse", "Nutlin"), "did you mean 'Nutlin-like'"),
        (lambda: found.top(0), "at least 1 feature, found 0"),
        (lambda: found.values(), "expected one output"),
        (lambda: Estimator(PLAIN).explain(cohort()), "call fit first"),
    ):
        with pytest.raises(InputError, match=message):
            asked()


def test_a_target_that_reads_nothing_gives_zeros_and_says_so():
    silent = copy(fitted("plain"))
    silent.members_ = [jax.tree.map(jnp.zeros_like, member) for member in silent.members_]
    found = silent.explain(
        target=["latent", "view:drugresponse"], draws=8, samples=cohort().samples[:4]
    )
    assert found.importance()["mean_abs"].eq(0).all()
    assert found.views()["share"].isna().all()
    assert found.median_gap() == 0.0
    assert found.notes() == [
        "latent does not depend on its input: all attributions are 0",
        "view:drugresponse does not depend on its input: all attributions are 0",
    ]
    assert explained("plain", "latent").notes() == []


# New samples


def test_new_samples_with_missing_views_and_rows_of_nothing():
    names = pd.Index([f"new{i}" for i in range(5)])
    proteins = cohort().view("proteomics").iloc[:5].set_axis(names)
    copies = cohort().view("crisprcas9").iloc[:2].set_axis(names[:2]).copy()
    copies.iloc[1] = np.nan
    new = MultiOmics.from_tables({"proteomics": proteins, "crisprcas9": copies})
    found = fitted("told").explain(new, target="latent:0", draws=8)
    assert list(found.samples) == list(new.samples)
    size = found.views().set_index("view")["mean_abs"]
    assert size["proteomics"] > 0
    assert size[["drugresponse", "conditionals"]].eq(0).all()
    told = found.values()["crisprcas9"].ne(0).any(axis=1)
    assert told.tolist() == [True, False, False, False, False]
    assert found.data()["crisprcas9"].isna().all(axis=1).tolist() == (~told).tolist()
    assert np.isfinite(found.importance()["stderr"]).all()


# What was planted


def test_planted_biomarkers_rank_above_chance():
    sizes = dict(zip(SIMULATED, (24, 8, 16, 40, 30, 40, 16), strict=True))
    planted = simulate_depmap(Size(240, sizes, 12), seed=0)
    views = ("drugresponse", "crisprcas9", "copynumber", "transcriptomics", "mutations")
    config = replace(RECOMMENDED.config, latent=16, hidden=(32,), view_latent=16)
    hyper = RECOMMENDED.hyper.replace(
        learning_rate=3e-3, dropout=0.1, view_dropout=0.3, cell_dropout=0.3, kl_weight=0.001
    )
    settings = replace(
        RECOMMENDED, config=config, hyper=hyper, residual_factors=False,
        train=Train(epochs=30, batch_size=32, schedule="cosine"),
        conditionals=ConditionalsConfig(columns=("tissue", "msi", "mutations")),
    )  # fmt: skip
    chosen = planted.cohort.select_views(views)
    est = Estimator(settings, seed=0).fit(chosen)
    found = est.explain(
        target=["view:drugresponse", "view:crisprcas9"], draws=16, samples=chosen.samples[:80]
    )
    size = found.top(1000).set_index(["output", "view", "feature"])["mean_abs"]
    areas = []
    for row in planted.biomarkers.itertuples():
        view = "conditionals" if row.view in ("mutations", "labels") else row.view
        own = size.loc[f"{row.target_view}/{row.target}"].loc[view]
        areas.append(float((own.drop(row.feature) < own[row.feature]).mean()))
    assert len(areas) >= 15
    assert np.mean(areas) > 0.75
