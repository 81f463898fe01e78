"""Cross-fitting: who leaves out what, and that nobody judges what it has seen."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from jaxomics.data.simulate import simulate_depmap
from jaxomics.engine.state import Split, Train
from jaxomics.estimator import Estimator
from jaxomics.inference.cohort import complete, pick
from jaxomics.inference.crossfit import NOBODY, complete_unseen, left_out_by, member_splits
from jaxomics.models.mosa import Config
from jaxomics.presets.mosa import RECOMMENDED

ROWS = Split(np.arange(3, 26), 23, np.array([0, 1]), 2)
CROSSED = Train(epochs=2, batch_size=8, ensemble=4, cross_fit=True)


def test_every_row_is_left_out_once_and_trained_on_by_all_others():
    owner = left_out_by(ROWS, CROSSED, seed=1)
    splits = member_splits(ROWS, CROSSED, seed=1)
    assert sorted(np.bincount(owner)) == [5, 6, 6, 6]
    for member, split in enumerate(splits):
        assert set(split.train) == set(np.asarray(ROWS.train)[owner != member])
        assert split.train_size == len(split.train)
        assert split.valid is ROWS.valid


@pytest.mark.parametrize(
    ("train", "rows"),
    [(replace(CROSSED, cross_fit=False), 23), (replace(CROSSED, ensemble=1), 23), (CROSSED, 7)],
    ids=["not asked for", "one member", "too few rows"],
)
def test_nobody_leaves_anything_out(train: Train, rows: int):
    split = Split(np.arange(rows), rows, np.zeros(0, int), 0)
    assert left_out_by(split, train, seed=0).tolist() == [NOBODY] * rows
    assert [s.train_size for s in member_splits(split, train, seed=0)] == [rows] * train.ensemble


def test_rows_are_completed_by_the_member_that_has_not_seen_them():
    cohort = simulate_depmap("tiny", seed=0).cohort
    small = Config(latent=4, hidden=(8,), view_latent=4, contrastive="none")
    settings = replace(RECOMMENDED, config=small, train=CROSSED)
    fitted = Estimator(settings, seed=0).fit(cohort)
    data = pick(fitted.data(cohort), fitted.split_.train)
    owner = left_out_by(fitted.split_, CROSSED, seed=0)
    found = complete_unseen(fitted.model_, fitted.members_, data, fitted.standard_, owner)
    for member in range(4):
        own = complete(fitted.model_, [fitted.members_[member]], data, fitted.standard_)
        rows = owner == member
        for view, values in found.items():
            np.testing.assert_allclose(values[rows], own[view][rows], rtol=1e-5, atol=1e-5)
    apart = jax.tree.map(lambda a, b: float(abs(a - b).max()), *fitted.members_[:2])
    assert max(jax.tree.leaves(apart)) > 0
