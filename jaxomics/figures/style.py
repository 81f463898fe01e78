"""One look for all figures: colours, sizes, names, and figures without global state.

Figures are made with matplotlib's object interface, never with pyplot: nothing is registered
anywhere, no display is needed, and two threads may draw at once.
"""

import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxomics.errors import InputError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#332288")
"""Distinguishable with every common colour blindness (Okabe and Ito 2008; last: Tol 2021)."""

INK = "#222222"
GREY = "#8A8A8A"
PALE = "#D9D9D9"

TITLE_SIZE = 11
LABEL_SIZE = 9.5
TICK_SIZE = 8.5

_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("-", "--", ":", "-.")
_HATCHES = ("", "////", "....", "xxxx")


class Look(NamedTuple):
    """How one series is drawn; series that share a colour differ in everything else."""

    colour: str
    marker: str
    dash: str
    hatch: str


def look(index: int) -> Look:
    """Return the look of series number `index`, from 0.

    >>> look(0).colour == look(7).colour, look(0).marker == look(7).marker
    (True, False)
    """
    turn, place = divmod(index, len(COLOURS))
    return Look(
        COLOURS[place],
        _MARKERS[turn % len(_MARKERS)],
        _DASHES[turn % len(_DASHES)],
        _HATCHES[turn % len(_HATCHES)],
    )


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of width x height inches that lays its axes out itself."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def tidy_axes(axes: Axes, *, title: str = "", x: str = "", y: str = "", grid: str = "y") -> None:
    """Give axes the common look: labels, small ticks, two spines and a faint grid.

    Args:
      axes: changed in place.
      title: what is seen; set at the left.
      x: label of the horizontal axis, with its unit.
      y: label of the vertical axis, with its unit.
      grid: `x`, `y`, `both`, or empty for none.
    """
    axes.set_title(title, fontsize=TITLE_SIZE, loc="left", color=INK)
    axes.set_xlabel(x, fontsize=LABEL_SIZE, color=INK)
    axes.set_ylabel(y, fontsize=LABEL_SIZE, color=INK)
    axes.tick_params(labelsize=TICK_SIZE, color=GREY, labelcolor=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=PALE, linewidth=0.6)  # type: ignore[arg-type]


def shorten(name: object, width: int = 24) -> str:
    """Return the name with its middle left out where it is longer than `width` characters.

    >>> shorten("copynumber"), shorten("transcriptomics_rnaseq_tpm", 15)
    ('copynumber', 'transcr…seq_tpm')
    """
    text = str(name)
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def plain(text: object) -> str:
    r"""Return text in which matplotlib does not read dollar signs as mathematics.

    >>> plain("cost $x$")
    'cost \\$x\\$'
    """
    return str(text).replace("$", r"\$")


def require(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Check that a table has rows and the columns that a figure reads.

    Raises:
      InputError: columns are absent or the table is empty.
    """
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise InputError(
            f"expected the {what} to have the column(s) {', '.join(absent)}; "
            f"found {', '.join(map(str, table.columns))}; add or rename them"
        )
    if table.empty:
        raise InputError(f"expected at least one row in the {what}, found none; draw no figure")


def finite_rows(table: pd.DataFrame, columns: Sequence[str], what: str) -> pd.DataFrame:
    """Return the rows that have a number, and no infinite one, in the last of the columns.

    Args:
      table: what a figure is drawn from.
      columns: those that the figure reads; the last holds what it draws.
      what: the table in words, for messages.

    Raises:
      InputError: columns are absent, the table is empty, or no row is left.

    >>> table = pd.DataFrame({"view": ["rna", "cn"], "r": [0.5, float("nan")]})
    >>> finite_rows(table, ["view", "r"], "score table")["view"].tolist()
    ['rna']
    """
    require(table, columns, what)
    rows = pd.DataFrame(table[np.isfinite(table[columns[-1]].to_numpy(dtype=float))])
    if rows.empty:
        raise InputError(
            f"expected numbers in column {columns[-1]} of the {what}, found none; draw no figure"
        )
    return rows


def only_value(rows: pd.DataFrame, column: str) -> str:
    """Return the value that a column has in all rows, as text; empty without the column.

    Raises:
      InputError: it has several values.

    >>> only_value(pd.DataFrame({"target": ["latent", "latent"]}), "target")
    'latent'
    """
    found = list(rows[column].unique()) if column in rows else [""]
    if len(found) > 1:
        names = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
        raise InputError(f"expected one {column}, found {names}; keep the rows of one")
    return str(found[0])


def png(figure: Figure, dpi: int = 140) -> bytes:
    """Return the figure as PNG; the same figure gives the same bytes.

    >>> png(new_figure(1, 1), dpi=10)[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
