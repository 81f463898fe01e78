import numpy as np
import pandas as pd
import pytest

from jaxomics.errors import InputError
from jaxomics.figures.style import (
    finite_rows,
    look,
    new_figure,
    only_value,
    plain,
    png,
    require,
    shorten,
)


def test_every_look_is_its_own():
    looks = [look(i) for i in range(24)]
    assert len(set(looks)) == 24


def test_short_names_stay_and_long_names_keep_both_ends():
    assert shorten("rna") == "rna"
    short = shorten("a" * 20 + "z" * 20, 11)
    assert len(short) == 11
    assert short[0] == "a"
    assert short[-1] == "z"


def test_png_is_reproducible_and_takes_dollar_signs():
    def draw() -> bytes:
        figure = new_figure(2, 2)
        figure.subplots().set_title(plain("$no \\math $ here$"))
        return png(figure, dpi=40)

    assert draw() == draw()


def test_absent_column_is_named():
    with pytest.raises(InputError, match="column\\(s\\) view; found model"):
        require(pd.DataFrame({"model": ["a"]}), ["model", "view"], "score table")


def test_empty_table_is_an_error():
    with pytest.raises(InputError, match="at least one row"):
        require(pd.DataFrame({"model": []}), ["model"], "score table")


def test_rows_without_a_finite_number_are_left_out():
    table = pd.DataFrame({"view": list("abc"), "extra": [np.nan] * 3, "r": [1, np.nan, -np.inf]})
    assert finite_rows(table, ["view", "extra", "r"], "score table")["view"].tolist() == ["a"]
    assert len(table) == 3


def test_a_table_without_numbers_is_an_error():
    table = pd.DataFrame({"view": ["a"], "r": [np.nan]})
    with pytest.raises(InputError, match="numbers in column r of the score table, found none"):
        finite_rows(table, ["view", "r"], "score table")
    with pytest.raises(InputError, match="column\\(s\\) mse"):
        finite_rows(table, ["mse"], "score table")


def test_only_value_is_the_one_of_all_rows():
    rows = pd.DataFrame({"target": ["z3", "z3"], "view": ["rna", "cn"]})
    assert only_value(rows, "target") == "z3"
    assert only_value(rows, "absent") == ""
    with pytest.raises(InputError, match="one view, found rna, cn; keep"):
        only_value(rows, "view")
