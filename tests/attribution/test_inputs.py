"""What cannot be explained is refused, by name of the leaf, and with what to do."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.attribution.inputs import (
    check_background,
    check_baseline,
    check_sample,
    element_numbers,
    named_leaves,
)
from jaxomics.errors import InputError

X = {"rna": np.ones(3, np.float32), "conditionals": np.zeros(2, np.float32)}


def first(w: Any, x: Any) -> Any:
    return x["rna"][0]


def changed(**leaves: Any) -> Any:
    return {**X, **leaves}


def rows(n: int, **leaves: Any) -> Any:
    return {name: np.stack([leaf] * n) for name, leaf in changed(**leaves).items()}


def test_leaves_are_named_by_path():
    assert list(named_leaves({"views": {"rna": 0}, "y": (1, 2)})) == ["views/rna", "y/0", "y/1"]
    assert list(named_leaves(np.ones(2))) == ["x"]


def test_elements_are_numbered_in_the_order_of_leaves():
    numbers, count = element_numbers({"b": np.zeros((2, 2)), "a": np.zeros(1)})
    assert count == 5
    assert numbers["a"].tolist() == [0]
    assert numbers["b"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (changed(rna=np.array([1.0, np.nan, np.nan])), "x: 2 NaN in 'rna'; fill missing values"),
        (changed(rna=np.arange(3)), "x: expected floating numbers in 'rna', found int"),
        ({}, "x: expected at least one array, found none"),
    ],
)
def test_samples_that_cannot_be_explained(x: Any, says: str):
    with pytest.raises(InputError, match=says):
        check_sample(first, None, x)


def test_functions_of_more_than_one_output():
    with pytest.raises(InputError, match=r"outputs of shape \(3,\): explain one of them"):
        check_sample(lambda w, x: x["rna"], None, X)


@pytest.mark.parametrize(
    ("baseline", "says"),
    [
        ({"rna": np.ones(3)}, "arrays of x, conditionals, rna; found rna"),
        (changed(rna=np.ones(4)), r"baseline: expected 'rna' of shape \(3,\), found \(4,\)"),
        (changed(rna=np.full(3, np.nan)), "baseline: 3 NaN in 'rna'"),
    ],
)
def test_baselines_unlike_the_sample(baseline: Any, says: str):
    with pytest.raises(InputError, match=says):
        check_baseline(X, baseline)


@pytest.mark.parametrize(
    ("background", "says"),
    [
        (rows(1), "a background of one sample is a baseline: use integrated_gradients"),
        (rows(0 + 2, rna=np.ones(4)), r"'rna' of shape a leading axis and then \(3,\)"),
        (X, r"background: expected 'conditionals' of shape a leading axis .* found \(2,\)"),
        ({**rows(2), "rna": np.ones((3, 3))}, "one number of samples, found"),
        ({name: leaf[:0] for name, leaf in rows(1).items()}, "a background of no samples"),
        (rows(2, rna=np.array([0.0, np.nan, 0.0])), "background: 2 NaN in 'rna'"),
    ],
)
def test_backgrounds_that_are_none(background: Any, says: str):
    with pytest.raises(InputError, match=says):
        check_background(X, background)


def test_types_follow_the_sample():
    found = check_baseline(X, changed(rna=np.ones(3, np.float16)))
    assert found["rna"].dtype == jnp.float32
    background, size = check_background(X, rows(4))
    assert size == 4
    assert background["conditionals"].shape == (4, 2)


def test_inside_jit_only_shapes_are_checked():
    @jax.jit
    def explained(x: Any) -> Any:
        return check_sample(first, None, x)["rna"]

    assert np.isnan(explained(changed(rna=np.full(3, np.nan, np.float32)))).all()
    with pytest.raises(InputError, match="floating numbers in 'rna'"):
        explained(changed(rna=np.arange(3)))
