"""Folds: a partition in every repeat, balanced by stratum, never through a group."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold

from jaxomics.data.container import MultiOmics
from jaxomics.data.split import make_folds
from jaxomics.errors import InputError


def cohort_of(**labels: list) -> MultiOmics:
    count = len(next(iter(labels.values())))
    names = [f"s{i:03d}" for i in range(count)]
    table = pd.DataFrame({"a": np.arange(count, dtype=float)}, index=names)
    return MultiOmics.from_tables({"rna": table}, pd.DataFrame(labels, index=names))


@settings(deadline=None, max_examples=30)
@given(
    count=st.integers(4, 40),
    folds=st.integers(2, 4),
    repeats=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_repeat_is_a_partition(count: int, folds: int, repeats: int, seed: int):
    cohort = cohort_of(x=list(range(count)))
    found = list(make_folds(cohort, folds, repeats=repeats, seed=seed))
    assert [(f.repeat, f.fold) for f in found] == [
        (r, k) for r in range(repeats) for k in range(folds)
    ]
    for repeat in range(repeats):
        tests = [f.test for f in found if f.repeat == repeat]
        assert sorted(np.concatenate(tests)) == list(cohort.samples)
    assert all(sorted(f.train.append(f.test)) == list(cohort.samples) for f in found)


def test_folds_are_those_of_scikit_learn():
    cohort = cohort_of(tissue=["lung"] * 12 + ["skin"] * 9)
    plain = [list(f.test) for f in make_folds(cohort, 3, seed=42)]
    parts = KFold(3, shuffle=True, random_state=42).split(cohort.samples)
    assert plain == [list(cohort.samples[test]) for _, test in parts]
    balanced = [list(f.test) for f in make_folds(cohort, 3, seed=42, stratify="tissue")]
    splitter = StratifiedKFold(3, shuffle=True, random_state=42)
    parts = splitter.split(cohort.samples, cohort.labels["tissue"])
    assert balanced == [list(cohort.samples[test]) for _, test in parts]


def test_repeats_differ_and_the_seed_repeats_them():
    cohort = cohort_of(x=list(range(30)))
    twice = make_folds(cohort, 3, repeats=2, seed=5)
    assert (twice.number[0] != twice.number[1]).any()
    np.testing.assert_array_equal(twice.number, make_folds(cohort, 3, repeats=2, seed=5).number)
    np.testing.assert_array_equal(twice.number[1], make_folds(cohort, 3, seed=6).number[0])
    table = twice.table()
    assert list(table) == ["sample", "repeat", "fold"]
    assert len(table) == 60
    assert set(table["fold"]) == {0, 1, 2}


def test_rare_strata_are_pooled_and_told():
    tissue = ["lung"] * 9 + ["skin"] * 6 + ["eye", "ear", "toe", None]
    folds = make_folds(cohort_of(tissue=tissue), 3, stratify="tissue", pool_rare=True)
    for name, members in (("lung", 3), ("skin", 2)):
        for fold in folds:
            assert sum(tissue[int(s[1:])] == name for s in fold.test) == members
    assert folds.notes == (
        "--stratify tissue: values with fewer than 3 samples count as one "
        "(4 of 6 values, 4 of 19 samples)",
    )


@pytest.mark.parametrize("stratify", [None, "tissue"])
def test_groups_are_never_divided(stratify: str | None):
    donor = [f"d{i // 3}" for i in range(36)] + [None, None]
    cohort = cohort_of(donor=donor, tissue=["lung", "skin"] * 19)
    folds = make_folds(cohort, 4, repeats=3, seed=1, stratify=stratify, group="donor")
    of = dict(zip(cohort.samples, donor, strict=True))
    for fold in folds:
        assert not {of[s] for s in fold.train} & {of[s] for s in fold.test} - {None}
        assert len(fold.test)
    assert (folds.number[0] != folds.number[1]).any()
    assert len(np.unique(folds.groups)) == 14
    assert folds.notes == ("--group donor: 2 samples have no value; each is its own group",)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"folds": 13}, "expected 2 to 12 folds"),
        ({"folds": 1}, "expected 2 to 12 folds"),
        ({"folds": 2, "repeats": 0}, "at least 1 repeat"),
        ({"folds": 2, "stratify": "tissu"}, "did you mean 'tissue'"),
        ({"folds": 2, "group": "doner"}, "did you mean 'donor'"),
        ({"folds": 7, "stratify": "tissue"}, "has samples, 6, found 7"),
        ({"folds": 2, "stratify": "ratio"}, "has samples, 1, found 2"),
        ({"folds": 2, "stratify": "unknown"}, "has samples, 0, found 2"),
        ({"folds": 2, "stratify": "ratio", "pool_rare": True}, "has samples, 1, found 2"),
        (
            {"folds": 2, "stratify": "grade"},
            r"at least 2 samples of each value of 'grade', one per fold, found fewer of 5 of 6 "
            r"values \(b 1, c 1, d 1, ...\); .* let rare values count as one with --pool-rare",
        ),
        ({"folds": 3, "stratify": "site"}, r"fewer of 1 of 2 values \(missing 2\); ask"),
        ({"folds": 4, "group": "donor"}, "has groups, 3, found 4"),
        ({"folds": 2, "group": "one"}, "has groups, 1, found 2"),
    ],
)
def test_what_cannot_be_divided_is_named(asked: dict, message: str):
    cohort = cohort_of(
        tissue=["lung", "skin"] * 6, donor=["x", "y", "z"] * 4, one=["same"] * 12,
        ratio=[0.1, 0.2, 0.3, *[None] * 9], unknown=[None] * 12, grade=list("aaaaaaabcdef"),
        site=["x"] * 10 + [None] * 2,
    )  # fmt: skip
    with pytest.raises(InputError, match=message):
        make_folds(cohort, **asked)
