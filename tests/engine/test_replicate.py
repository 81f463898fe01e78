"""Replicas of one program equal runs of their own, through early stopping and unequal folds."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import Standard
from jaxomics.engine.fit import fit
from jaxomics.engine.replicate import fit_many, repeat, stack
from jaxomics.engine.state import FitResult, Train
from jaxomics.errors import NonFiniteError

VALID = [15, 16, 17, 18]
FOLDS = ([0, 1, 2, 3, 4, 5, 6, 7], list(range(3, 13)), list(range(2, 13)))
"""Sizes 8, 10 and 11: two batches of 4 in each."""


def folds(toy) -> tuple[Any, Any, Any, jax.Array]:
    """Scaling, splits, rates and keys of three replicas, all of them different."""
    standards = [Standard({"rna": jnp.full(3, m)}, {"rna": jnp.full(3, 1 + m)}) for m in (0.0, 0.5)]
    splits = [toy.split(rows, VALID[: 2 + i], padded=11) for i, rows in enumerate(FOLDS)]
    splits = [s._replace(valid=np.resize(s.valid, 4)) for s in splits]
    rates = [toy.hyper.replace(learning_rate=r) for r in (0.4, 0.03, 0.1)]
    return [*standards, standards[0]], splits, rates, jax.random.split(jax.random.key(5), 3)


def _stack(trees: list) -> Any:
    return stack(trees)


def together(toy, train: Train) -> FitResult:
    standards, splits, hypers, keys = folds(toy)
    standard, split, hyper = map(_stack, (standards, splits, hypers))
    return fit_many(toy.model, toy.data, standard, split, hyper, train, keys=keys)


@pytest.mark.parametrize(
    "train",
    [
        Train(epochs=12, batch_size=4, schedule="cosine"),
        Train(epochs=40, batch_size=4, valid_fraction=0.1, stop_patience=2, restore_best=True),
    ],
    ids=["cosine", "early stopping"],
)
def test_three_replicas_equal_three_runs(toy, train: Train):
    many = together(toy, train)
    ends = []
    for i, (standard, split, hyper, key) in enumerate(zip(*folds(toy), strict=True)):
        one = fit(toy.model, toy.data, standard, split, hyper, train, key=key)
        mine: Any = jax.tree.map(
            lambda leaf, i=i: leaf[i], (many.params, many.state.optimizer, many.control)
        )
        chex.assert_trees_all_close(
            mine, (one.params, one.state.optimizer, one.control), atol=2e-6, rtol=1e-5
        )
        rows = [row | {"replica": 0} for row in many.history if row["replica"] == i]
        assert [r["epoch"] for r in rows] == [r["epoch"] for r in one.history]
        for found, expected in zip(rows, one.history, strict=True):
            numbers = [{k: v for k, v in r.items() if k != "split"} for r in (found, expected)]
            chex.assert_trees_all_close(*numbers, rtol=1e-4, atol=1e-5)
        ends.append(one.history[-1]["epoch"])
    assert len(set(ends)) == (1 if train.stop_patience is None else 3), ends


def test_non_finite_replica_is_named(toy):
    _, splits, hypers, keys = folds(toy)
    scale = jnp.array([[1.0] * 3, [1e-30] * 3, [1.0] * 3])
    standards = Standard({"rna": jnp.zeros((3, 3))}, {"rna": scale})
    split, hyper, train = _stack(splits), _stack(hypers), Train(epochs=2, batch_size=4)
    with pytest.raises(NonFiniteError, match=r"= (inf|nan) in replica 1 at epoch 1 \(train\)"):
        fit_many(toy.model, toy.data, standards, split, hyper, train, keys=keys)


def test_repeat_gives_equal_replicas():
    tree: Any = repeat({"a": 1.5, "b": np.arange(2)}, 3)
    assert tree["a"].tolist() == [1.5] * 3
    assert tree["b"].shape == (3, 2)
