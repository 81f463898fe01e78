import pandas as pd
import pytest

from jaxomics.figures.style import look, new_figure, plain, png, require, shorten


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
    with pytest.raises(ValueError, match="column\\(s\\) view; found model"):
        require(pd.DataFrame({"model": ["a"]}), ["model", "view"], "score table")


def test_empty_table_is_an_error():
    with pytest.raises(ValueError, match="at least one row"):
        require(pd.DataFrame({"model": []}), ["model"], "score table")
