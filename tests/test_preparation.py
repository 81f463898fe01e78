"""Who is trained on, and what is said of batches that are drawn for each view by itself."""

from dataclasses import replace

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.engine.state import Split
from jaxomics.models.base import Model, Sampling
from jaxomics.preparation import choose_rows, sampling_notes
from jaxomics.presets import preset

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


def test_a_share_is_held_out_by_seed():
    settings = replace(PAPER, train=replace(PAPER.train, valid_fraction=0.25))
    one, _ = choose_rows(cohort(), settings, cohort().samples, None, 0)
    other, _ = choose_rows(cohort(), settings, cohort().samples, None, 1)
    assert len(one.valid) == len(other.valid) == 2
    assert sorted([*one.train, *one.valid]) == list(range(8))
    assert [*one.valid] != [*other.valid]
    named, _ = choose_rows(cohort(), settings, pd.Index(list("abc")), pd.Index(["d"]), 0)
    assert (np.asarray(named.train).tolist(), np.asarray(named.valid).tolist()) == ([0, 1, 2], [3])
