"""Mean ranks of methods on a line, and bars over methods that no test tells apart.

After the critical-difference diagram of Demsar 2006 (JMLR 7:1); the bars join methods by pairwise
tests with Holm's correction, as Benavoli et al. 2016 (JMLR 17:5) recommend, not by one critical
difference for all.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxomics.errors import InputError
from jaxomics.figures.style import GREY, INK, TICK_SIZE, new_figure, plain, require, shorten

BAR_GAP = 0.28
"""Distance between bars, in rows of names."""


def critical_difference(
    ranks: pd.Series, pairs: pd.DataFrame, *, title: str = "", level: float = 0.05
) -> Figure:
    """Draw mean ranks, best at the left, and join methods that do not differ.

    Args:
      ranks: mean rank by method, 1 = best.
      pairs: tests of all pairs, columns a, b, p_holm.
      title: what was ranked, on what.
      level: pairs with a corrected p at least this high are not told apart.

    Raises:
      InputError: columns are absent, fewer than two methods, or a pair without a test.
    """
    require(pairs, ["a", "b", "p_holm"], "table of pairs")
    if len(ranks) < 2:
        raise InputError(f"expected two or more ranked methods, found {len(ranks)}; add one")
    ranks = ranks.sort_values(kind="stable")
    groups = alike(ranks, pairs, level)
    half = -(-len(ranks) // 2)
    depth = 0.6 + BAR_GAP * len(groups)
    figure = new_figure(8.0, 1.3 + 0.27 * (half + depth))
    axes = figure.subplots()
    low, high = 1, max(len(ranks), 2)
    axes.set(xlim=(low - 0.9, high + 0.9), ylim=(-(half + depth), 0.9))
    _draw_scale(axes, low, high)
    for row, (first, last) in enumerate(groups):
        y = -0.45 - BAR_GAP * row
        ends = [float(ranks.iloc[first]) - 0.04, float(ranks.iloc[last]) + 0.04]
        axes.plot(ends, [y, y], color=INK, linewidth=3.2, solid_capstyle="butt", gid="alike")
    for place, (name, rank) in enumerate(ranks.items()):
        left = place < half
        y = -depth - (place if left else len(ranks) - 1 - place)
        _draw_name(axes, str(name), float(rank), y, low - 0.1 if left else high + 0.1, left=left)
    axes.set_axis_off()
    words = f"{title}\n" if title else ""
    axes.set_title(f"{words}mean rank, 1 is best; joined: p ≥ {level:g}", fontsize=10.5, color=INK)
    return figure


def alike(ranks: pd.Series, pairs: pd.DataFrame, level: float = 0.05) -> list[tuple[int, int]]:
    """Return the longest runs of ranked methods of which no two differ, as first and last place.

    Args:
      ranks: mean rank by method, ascending.
      pairs: columns a, b, p_holm.
      level: pairs with a lower corrected p differ.

    Raises:
      InputError: a pair without a test.

    >>> ranks = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0})
    >>> columns = ["a", "b", "p_holm"]
    >>> table = [("a", "b", 0.2), ("a", "c", 0.01), ("c", "b", 0.3)]
    >>> alike(ranks, pd.DataFrame(table, columns=columns))
    [(0, 1), (1, 2)]
    """
    sides = zip(pairs["a"], pairs["b"], strict=True)
    p = dict(zip(map(frozenset, sides), pairs["p_holm"].astype(float), strict=True))
    names = list(ranks.index)
    absent = [
        f"{a} and {b}" for i, a in enumerate(names) for b in names[:i] if frozenset((a, b)) not in p
    ]
    if absent:
        raise InputError(f"expected a test of every pair, found none of {absent[0]}; test them all")
    runs: list[tuple[int, int]] = []
    for first in range(len(names)):
        last = first
        while last + 1 < len(names) and all(
            p[frozenset((names[i], names[last + 1]))] >= level for i in range(first, last + 1)
        ):
            last += 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def _draw_scale(axes: Axes, low: int, high: int) -> None:
    """Draw the line of ranks with its ticks."""
    axes.plot([low, high], [0, 0], color=INK, linewidth=1.2)
    for rank in range(low, high + 1):
        axes.plot([rank, rank], [0, 0.22], color=INK, linewidth=1.0)
        axes.annotate(
            str(rank), (rank, 0.25), ha="center", va="bottom", fontsize=TICK_SIZE, color=INK
        )


def _draw_name(axes: Axes, name: str, rank: float, y: float, end: float, *, left: bool) -> None:
    """Draw a method's name at the side, and the line from it to its rank."""
    axes.plot([rank, rank, end], [0, y, y], color=GREY, linewidth=0.9)
    text = f"{plain(shorten(name))}  {rank:.2f}" if left else f"{rank:.2f}  {plain(shorten(name))}"
    axes.annotate(
        text, (end, y), (-3 if left else 3, 0), textcoords="offset points",
        ha="right" if left else "left", va="center", fontsize=TICK_SIZE, color=INK,
    )  # fmt: skip
