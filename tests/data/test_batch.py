"""Outcomes on their way from a table with gaps to a batch."""

import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import Standard, gather, gather_views, make_data

VIEWS = {"rna": np.arange(6.0).reshape(3, 2), "drug": np.ones((3, 1))}
STANDARD = Standard(
    {"rna": jnp.zeros(2), "drug": jnp.zeros(1)}, {"rna": jnp.ones(2), "drug": jnp.ones(1)}
)
TARGETS = np.array([[1.5, 3.0], [np.nan, 2.0], [0.5, np.nan]])


def test_unknown_outcomes_are_zero_and_marked():
    data = make_data(VIEWS, targets=TARGETS)
    batch = gather(data, STANDARD, jnp.array([1, 2, 0]), jnp.array([1.0, 1.0, 0.0]))
    for view in VIEWS:
        np.testing.assert_array_equal(batch.targets[view], [[0, 2], [0.5, 0], [0, 0]])
        np.testing.assert_array_equal(
            batch.known[view], [[False, True], [True, False], [False, False]]
        )


def test_cells_that_are_not_measured_are_filled_where_asked():
    data = make_data(
        {"rna": np.array([[1.0, np.nan], [np.nan, 7.0]]), "drug": np.full((2, 1), np.nan)}
    )
    standard = STANDARD.replace(mean={"rna": jnp.ones(2), "drug": jnp.ones(1)})
    filled = standard.replace(fill={"rna": jnp.array([0.25, 0.5])})
    rows = jnp.arange(2)
    for batch in (
        gather(data, filled, rows, jnp.ones(2)),
        gather_views(data, filled, dict.fromkeys(VIEWS, rows), {v: jnp.ones(2) for v in VIEWS}),
    ):
        np.testing.assert_array_equal(batch.x["rna"], [[0, 0.5], [0.25, 6]])
        np.testing.assert_array_equal(batch.x["drug"], [[0], [0]])
        np.testing.assert_array_equal(batch.observed["rna"], [[True, False], [False, True]])


def test_each_view_has_the_outcomes_of_its_rows():
    data = make_data(VIEWS, targets=TARGETS)
    rows = {"rna": jnp.array([0]), "drug": jnp.array([1])}
    batch = gather_views(data, STANDARD, rows, {v: jnp.ones(1) for v in rows})
    np.testing.assert_array_equal(batch.targets["rna"], [[1.5, 3.0]])
    np.testing.assert_array_equal(batch.targets["drug"], [[0.0, 2.0]])


def test_without_outcomes_batches_have_none():
    data = make_data(VIEWS)
    batch = gather(data, STANDARD, jnp.array([0]), jnp.ones(1))
    assert data.targets is None
    assert batch.targets == batch.known == {}
    assert data.own == ()


def test_outcomes_may_differ_between_replicas():
    data = make_data(VIEWS, targets=np.stack([TARGETS, TARGETS + 1]))
    assert data.own == ("targets", "known")
