"""Who is trained on, and what is said of batches that are drawn for each view by itself."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.engine.state import Split
from jaxomics.errors import InputError
from jaxomics.fitting.preparation import choose_rows, modelled_views, sampling_notes
from jaxomics.models.base import Model, Sampling
from jaxomics.presets import Settings, preset

PAPER = preset("modis", "paper")


def cohort() -> MultiOmics:
    """Samples a to h: rna measures a to e, protein e to h."""
    table = pd.DataFrame(np.eye(8) + 1, index=list("abcdefgh"))
    return MultiOmics.from_tables({"rna": table[:5], "protein": table[4:]})


def notes(kind: str, rows: list[int], batch_size: int) -> list[str]:
    model = Model(lambda *_: None, (), sampling=Sampling(kind))
    split = Split(np.array(rows), len(rows), np.arange(0), 0)
    return sampling_notes(cohort(), ["rna", "protein"], model, split, batch_size)


def test_shared_samples_and_small_views_are_told():
    shared, small = notes("per_view", list(range(8)), 32)
    assert shared.startswith("1 of 8 training samples have several views: ")
    assert small.startswith("batches of 4 instead of 32 samples: protein has no more")
    assert notes("per_view", [0, 1, 2, 3, 5, 6, 7], 3) == []


def test_paired_batches_need_no_note():
    assert notes("paired", list(range(8)), 32) == []


def test_rows_of_samples_with_too_few_views_are_left_out_and_told():
    two = replace(PAPER, preprocess=replace(PAPER.preprocess, min_views=2))
    rows, told = choose_rows(cohort(), two, cohort().samples, None, 0)
    assert np.asarray(rows.train).tolist() == [4]
    assert told == ["7 samples have fewer than 2 views: completed, not trained on"]


def test_views_that_are_read_as_one_profile_are_named():
    joined = preset("rna-vae", "recommended")
    _, told = choose_rows(cohort(), joined, cohort().samples, None, 0)
    assert told[0].startswith("2 views are read side by side, as one profile: rna, protein; ")
    _, told = choose_rows(cohort().select_views(["rna"]), joined, cohort().samples[:5], None, 0)
    assert told == []


def test_a_share_is_held_out_by_seed():
    settings = replace(PAPER, train=replace(PAPER.train, valid_fraction=0.25))
    one, _ = choose_rows(cohort(), settings, cohort().samples, None, 0)
    other, _ = choose_rows(cohort(), settings, cohort().samples, None, 1)
    assert len(one.valid) == len(other.valid) == 2
    assert sorted([*one.train, *one.valid]) == list(range(8))
    assert [*one.valid] != [*other.valid]
    named, _ = choose_rows(cohort(), settings, pd.Index(list("abc")), pd.Index(["d"]), 0)
    assert (np.asarray(named.train).tolist(), np.asarray(named.valid).tolist()) == ([0, 1, 2], [3])


def test_samples_of_one_donor_stay_on_one_side():
    names = [f"s{i:02d}" for i in range(40)]
    table = pd.DataFrame({"x": np.arange(40.0)}, index=names)
    donor = [f"d{i // 4}" for i in range(36)] + [None] * 4
    data = MultiOmics.from_tables({"rna": table}, pd.DataFrame({"donor": donor}, index=names))
    settings = replace(PAPER, train=replace(PAPER.train, valid_fraction=0.25))
    for seed in range(5):
        rows, _ = choose_rows(data, settings, data.samples, None, seed)
        train, valid = (np.asarray(part) for part in (rows.train, rows.valid))
        assert sorted([*train, *valid]) == list(range(40))
        assert not {donor[i] for i in train} & {donor[i] for i in valid} - {None}
        assert 8 <= len(valid) <= 12


def translator(**roles: tuple[str, ...]) -> Settings:
    settings = preset("omitrans", "recommended")
    return replace(settings, config=replace(settings.config, **roles))


def test_a_translator_trains_on_samples_with_both_views():
    settings = translator(source=("rna",), target=("protein",))
    views = cohort().views
    wider = MultiOmics.from_tables({"rna": views["rna"], "protein": views["rna"][3:] * 2})
    rows, told = choose_rows(wider, settings, wider.samples, None, 0)
    assert np.asarray(rows.train).tolist() == [3, 4]
    assert told == ["3 samples lack rna or protein, not trained on"]


def test_views_without_two_shared_samples_cannot_be_translated():
    settings = translator(source=("rna",), target=("protein",))
    with pytest.raises(InputError, match=r"2 samples or more with rna and protein.*1 with both"):
        choose_rows(cohort(), settings, cohort().samples, None, 0)
    with pytest.raises(InputError, match=r"found 2 with the one and 1 with the other.*modis"):
        choose_rows(cohort(), settings, pd.Index(list("abh")), None, 0)


def test_a_translator_models_what_it_reads_or_writes():
    three = MultiOmics.from_tables({**cohort().views, "cn": cohort().views["rna"] * 2})
    assert list(modelled_views(three, translator(source=("cn",), target=("rna",))).views) == [
        name for name in three.views if name != "protein"
    ]
    assert list(modelled_views(three, PAPER).views) == list(three.views)
    with pytest.raises(InputError, match="name them with --source VIEW"):
        modelled_views(three, preset("omitrans", "paper"))
