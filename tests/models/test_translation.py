"""Which views are read and written, and who weighs nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxomics.data.batch import DataSpec, Standard, ViewSpec, gather, make_data
from jaxomics.errors import InputError
from jaxomics.models.translation import by_view, make_pairs, role_names, roles, source_groups

NAN = np.nan
SPEC = DataSpec((ViewSpec("a", 2), ViewSpec("b", 3, (0, 2)), ViewSpec("c", 1)))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (("b",), ("a",), (("b",), ("a",))),
        (("c", "a"), ("b",), (("c", "a"), ("b",))),
        ((), ("b",), (("a", "c"), ("b",))),
        (("c",), (), (("c",), ("a", "b"))),
    ],
)
def test_roles_by_name_and_by_default(source, target, expected):
    assert role_names(source, target, SPEC.names) == expected


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ((), (), "found none named; name them with --source VIEW... and --target VIEW..."),
        (("a",), ("x",), "unknown view 'x'"),
        (("a", "b"), ("b",), "'b' as both"),
        (("a", "b", "c"), (), "no view left"),
    ],
)
def test_impossible_roles_are_refused(source, target, message: str):
    with pytest.raises(InputError, match=message):
        role_names(source, target, SPEC.names)


def test_pairs_side_by_side_and_weights():
    """Rows: whole; no source; part of the sources; no target; padding."""
    data = make_data(
        {
            "a": np.array([[1, 2], [NAN, NAN], [NAN, NAN], [5, 6], [1, 2]], float),
            "b": np.array([[1, 2, 3], [NAN, 7, NAN], [4, 5, NAN], [7, 8, 9], [1, 2, 3]], float),
            "c": np.array([[1], [2], [3], [NAN], [1]], float),
        }
    )
    zero = {"a": jnp.zeros(2), "b": jnp.zeros(3), "c": jnp.zeros(1)}
    one = {name: leaf + 1 for name, leaf in zero.items()}
    weight = jnp.array([1.0, 1.0, 1.0, 1.0, 0.0])

    @jax.jit
    def seen() -> list:
        batch = gather(data, Standard(zero, one), jnp.arange(5), weight)
        views = roles(("b", "a"), ("c",), SPEC), roles(("a",), ("c", "b"), SPEC)
        return [make_pairs(both, batch) for both in views]

    pairs, reverse = seen()
    # The encoder of b reads its first and last column; the second row has neither, but a value
    # between them, which counts as measured.
    np.testing.assert_array_equal(pairs.x[2], [4, 0, 0, 0])
    np.testing.assert_array_equal(pairs.weight, [1, 1, 1, 0, 0])
    np.testing.assert_array_equal(reverse.weight, [1, 0, 0, 1, 0])
    np.testing.assert_array_equal(reverse.seen[1], [False] * 4)
    np.testing.assert_array_equal(reverse.y[3], [0, 7, 8, 9])
    np.testing.assert_array_equal(reverse.seen[3], [False, True, True, True])


def test_values_by_view():
    views = roles(("a",), ("c", "b"), SPEC)
    found = by_view(views, jnp.arange(4.0)[None])
    assert found["c"].tolist() == [[0.0]]
    assert found["b"].tolist() == [[1.0, 2.0, 3.0]]


def test_groups_of_several_sources_as_columns_side_by_side():
    spec = DataSpec(
        (
            ViewSpec("a", 2),
            ViewSpec("b", 4, encoded=(0, 2, 3), groups=((3, 1), (0, 2))),
            ViewSpec("c", 1),
        )
    )
    found = source_groups(roles(("b", "a"), ("c",), spec))
    assert [group.tolist() for group in found] == [[2], [0, 1], [3, 4]]
    assert source_groups(roles(("a",), ("c",), spec)) == []
