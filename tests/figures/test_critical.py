from itertools import combinations

import pandas as pd
import pytest

from jaxomics.errors import InputError
from jaxomics.figures.critical import alike, critical_difference
from jaxomics.figures.style import png

RANKS = pd.Series({"a": 1.2, "b": 2.1, "c": 2.8, "d": 3.9})


def pairs(p: dict[str, float]) -> pd.DataFrame:
    """Corrected p values by pair, 0.001 where not given."""
    rows = [(x, y, p.get(x + y, 0.001)) for x, y in combinations(RANKS.index, 2)]
    return pd.DataFrame(rows, columns=["a", "b", "p_holm"])


def test_runs_hold_no_pair_that_differs():
    assert alike(RANKS, pairs({})) == []
    assert alike(RANKS, pairs({"ab": 0.5, "bc": 0.5})) == [(0, 1), (1, 2)]
    assert alike(RANKS, pairs({"ab": 0.5, "bc": 0.5, "ac": 0.5})) == [(0, 2)]
    assert alike(RANKS, pairs({"ac": 0.5})) == []


def test_bars_join_what_is_alike():
    figure = critical_difference(RANKS, pairs({"ab": 0.5, "cd": 0.06}), title="demo")
    bars = [line for line in figure.axes[0].lines if line.get_gid() == "alike"]
    ends = [tuple(round(float(x), 2) for x in bar.get_xdata()) for bar in bars]
    assert ends == [(1.16, 2.14), (2.76, 3.94)]
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {"a  1.20", "3.90  d"} <= set(words)
    png(figure, dpi=30)


def test_a_pair_without_a_test_is_refused():
    with pytest.raises(InputError, match="test of every pair"):
        critical_difference(RANKS, pairs({}).iloc[1:])
    with pytest.raises(InputError, match="two or more"):
        critical_difference(RANKS.iloc[:1], pairs({}))
