"""Batch removal against limma 3.54 (`removeBatchEffect`) and closed forms."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxomics.data import batch_effects
from jaxomics.data.batch_effects import fit_batch_effects
from jaxomics.errors import InputError

X = np.array([2.287, -0.971, 0.153, 2.281, -0.894, 0.840, 1.273, -0.983, 0.111, 0.998])
SHEET = pd.DataFrame(
    {
        "prep": list("aaabbbcccc"),
        "cohort": list("pqpqpqpqpq"),
        "age": [50, 61, 45, 70, 38, 55, 66, 49, 58, 72],
    },
    index=[f"s{i}" for i in range(10)],
)
PLAIN = [2.32458333, -0.93341667, 0.19058333, 2.06591667, -1.10908333, 0.62491667, 1.4505, -0.8055,
         0.2885, 1.1755]  # fmt: skip
KEPT = [2.78487228, -1.57265239, 1.15065623, 0.34728281, 0.37090005, 0.40563464, 1.02957086,
        0.47283626, 0.66722517, 0.15483012]  # fmt: skip
UNCENTRED = -5.63756288


def corrected(y, sheet, **choices):
    values = np.asarray(y, float)[:, None]
    return fit_batch_effects(values, sheet, **choices).apply(values, sheet)[:, 0]


def test_golden_values_of_limma():
    np.testing.assert_allclose(corrected(X, SHEET, batch=("prep",)), PLAIN, atol=1e-6)
    both = {"batch": ("prep",), "covariates": ("age",), "keep": ("cohort",)}
    np.testing.assert_allclose(corrected(X, SHEET, **both), KEPT, atol=1e-6)


def test_without_centring_all_values_move_alike():
    fitted = fit_batch_effects(X[:, None], SHEET, ("prep",), ("age",), ("cohort",))
    shift = fitted.effects[-1, 0] * SHEET["age"].mean()
    assert -shift == pytest.approx(UNCENTRED, abs=1e-5)


@pytest.mark.parametrize(
    ("prep", "expected", "spanned"),
    [
        ("aabbbb", [1, 2, 4, 5, 7, 9], ("prep=a",)),
        ("aabbcc", [4.5, 5.5, 4, 5, 3.5, 5.5], ("prep=b",)),
    ],
)
def test_an_effect_that_could_be_either_belongs_to_what_is_kept(prep, expected, spanned):
    y = np.array([1.0, 2, 4, 5, 7, 9])
    sheet = pd.DataFrame({"cohort": list("ppqqqq"), "prep": list(prep)})
    fitted = fit_batch_effects(y[:, None], sheet, ("prep",), keep=("cohort",))
    np.testing.assert_allclose(fitted.apply(y[:, None], sheet)[:, 0], expected, atol=1e-6)
    assert fitted.spanned == spanned


def test_held_out_samples_are_corrected_without_their_cohort():
    values = np.random.default_rng(0).normal(size=(10, 3))
    fitted = fit_batch_effects(values, SHEET, ("prep",), ("age",), ("cohort",))
    new = SHEET.drop(columns="cohort")
    np.testing.assert_array_equal(fitted.apply(values, new), fitted.apply(values, SHEET))
    shift = values[:1] - fitted.apply(values[:1], new[:1])
    np.testing.assert_allclose(
        shift[0], fitted.effects[0] + fitted.effects[2] * (50 - SHEET["age"].mean()), rtol=1e-5
    )


def test_blocks_and_gaps_change_nothing_for_other_features(monkeypatch):
    values = np.random.default_rng(1).normal(size=(10, 7))
    holed = values.copy()
    holed[3, 2] = holed[8, 2] = holed[3, 5] = np.nan
    choices = {"batch": ("prep",), "covariates": ("age",), "keep": ("cohort",)}
    whole = fit_batch_effects(values, SHEET, **choices)
    monkeypatch.setattr(batch_effects, "BLOCK", 3)
    parts = fit_batch_effects(holed, SHEET, **choices)
    same = [0, 1, 3, 4, 6]
    np.testing.assert_allclose(parts.effects[:, same], whole.effects[:, same], rtol=1e-5)
    alone = np.isfinite(holed[:, 2])
    least = fit_batch_effects(values[alone][:, [2]], SHEET[alone], **choices)
    found = parts.effects[:, 2].copy()
    found[2] = least.effects[2, 0]  # the covariate alone is coded as before, but centred anew
    np.testing.assert_allclose(found, least.effects[:, 0], rtol=1e-5)
    assert np.isnan(parts.apply(holed, SHEET)[[3, 8, 3], [2, 2, 5]]).all()


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(2, 4))
def test_planted_effects_are_found_and_cohorts_stay(seed, preps, cohorts):
    """Noiseless, with a design of full rank, removal gives the values without batch."""
    random = np.random.default_rng(seed)
    crossed = [(p, c) for p in range(preps) for c in range(cohorts)] * 2
    prep, cohort = np.array(crossed).T
    sheet = pd.DataFrame({"prep": prep, "cohort": cohort})
    clean = random.normal(size=(cohorts, 4))[cohort]
    effect = random.normal(size=(preps, 4))
    effect -= effect.mean(axis=0)
    fitted = fit_batch_effects(clean + effect[prep], sheet, ("prep",), keep=("cohort",))
    np.testing.assert_allclose(fitted.apply(clean + effect[prep], sheet), clean, atol=1e-5)
    assert fitted.spanned == ()


def test_unseen_levels_are_refused_or_have_no_effect():
    fitted = fit_batch_effects(X[:, None], SHEET, ("prep",))
    new = SHEET[:2].assign(prep=["d", np.nan])
    with pytest.raises(InputError, match=r"'prep' .*\(a, b, c\), found 'd' in sample 's0'"):
        fitted.apply(X[:2, None], new)
    np.testing.assert_array_equal(fitted.apply(X[:2, None], new, "zero")[:, 0], np.float32(X[:2]))
    assert fitted.unseen(new).to_numpy().tolist() == [
        ["s0", "prep", "d"],
        ["s1", "prep", "missing"],
    ]


def test_unknown_ages_are_average_ages_and_whole_numbers_are_levels():
    holed = SHEET.assign(age=[np.nan, *SHEET["age"][1:]], plate=[1, 2] * 5)
    fitted = fit_batch_effects(X[:, None], holed, ("plate",), ("age",))
    assert fitted.terms[0].levels == ("1", "2")
    gone = holed[:1].assign(plate=[1.0])
    shift = X[:1, None] - fitted.apply(X[:1, None], gone)
    np.testing.assert_allclose(shift, fitted.effects[:1], atol=1e-6)


def test_bad_columns_are_named():
    values = X[:, None]
    with pytest.raises(InputError, match="expected numbers in the covariate 'cohort', found 'p'"):
        fit_batch_effects(values, SHEET, covariates=("cohort",))
    with pytest.raises(InputError, match="more training samples than levels"):
        fit_batch_effects(values, SHEET.assign(id=SHEET.index), ("id",))
    with pytest.raises(InputError, match="did you mean 'prep'"):
        fit_batch_effects(values, SHEET, ("preps",))
    fitted = fit_batch_effects(values, SHEET, ("prep",))
    with pytest.raises(InputError, match="label column 'prep'"):
        fitted.apply(values, SHEET[["age"]])
