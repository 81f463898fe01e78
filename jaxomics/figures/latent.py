"""Samples in the latent space, in two dimensions and coloured by a label."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxomics.figures.style import (
    COLOURS,
    GREY,
    INK,
    PALE,
    Look,
    look,
    new_figure,
    plain,
    shorten,
    tidy_axes,
)

OTHER = "other"
UNKNOWN = "not recorded"


def latent_scatter(
    latent: pd.DataFrame, labels: pd.Series | None = None, max_groups: int = 12
) -> Figure:
    """Draw every sample as a point, coloured by its label.

    The largest groups get a colour and a marker each; the rest is grey, so that 40 tissues do
    not become 40 colours that nobody can tell apart.

    Args:
      latent: [samples, dimensions]. Two columns are drawn as they are (UMAP coordinates); more
        are projected on their first two principal components. Rows with NaN are left out.
      labels: class of each sample, indexed like `latent`; samples without one are pale.
      max_groups: the most groups that get a colour of their own.

    Raises:
      ValueError: the table has no complete row or no column.
    """
    table = latent.dropna()
    if table.empty:
        raise ValueError(
            "expected a latent table with at least one complete row and one column; "
            f"found {latent.shape[0]} rows x {latent.shape[1]} columns, none complete"
        )
    points, names = two_dimensions(table)
    figure = new_figure(8.2, 5.4)
    axes = figure.subplots()
    if labels is None:
        _points(axes, points, colour=look(0).colour)
    else:
        draw_groups(axes, points, labels.reindex(table.index), max_groups)
        axes.legend(
            loc="upper left",
            bbox_to_anchor=(1.01, 1.0),
            frameon=False,
            fontsize=8.5,
            title=shorten(plain(labels.name)) if labels.name is not None else None,
            alignment="left",
        )
    tidy_axes(axes, title=f"Latent space of {len(table):,} samples", x=names[0], y=names[1])
    axes.grid(visible=False)
    return figure


def principal_components(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates on the first two principal components and their variance shares.

    Signs are fixed: the loading that is largest in absolute value is positive.

    Args:
      values: [samples, dimensions], finite.

    Returns:
      Coordinates [samples, 2] and shares [2]; zeros where there is no second component.

    >>> points, share = principal_components(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]))
    >>> points[:, 0].round(6).tolist(), share.round(6).tolist()
    ([-5.0, 0.0, 5.0], [1.0, 0.0])
    """
    centred = values - values.mean(axis=0)
    left, scale, right = np.linalg.svd(centred, full_matrices=False)
    largest = right[np.arange(len(right)), np.abs(right).argmax(axis=1)]
    scores = left * scale * np.where(largest < 0, -1.0, 1.0)
    total = float((scale**2).sum())
    share = scale**2 / total if total > 0 else np.zeros_like(scale)
    lacking = max(0, 2 - len(scale))
    points = np.pad(scores[:, :2], ((0, 0), (0, lacking)))
    return points, np.pad(share[:2], (0, lacking))


def two_dimensions(table: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Return coordinates [samples, 2] of a complete table, and the names of the two axes."""
    values = table.to_numpy(dtype=float)
    if table.shape[1] == 2:
        return values, [shorten(plain(column)) for column in table.columns]
    points, share = principal_components(values)
    return points, [f"PC{i + 1} ({share[i]:.0%} of variance)" for i in range(2)]


def largest_groups(labels: pd.Series, max_groups: int) -> list[str]:
    """Return the names of the largest groups, the largest first; equals by name.

    >>> largest_groups(pd.Series(["a", "b", "b", None]), 1)
    ['b']
    """
    counts = Counter(sorted(labels.dropna().astype("string").to_numpy(dtype=str)))
    return [str(group) for group, _ in counts.most_common(max_groups)]


def draw_groups(
    axes: Axes,
    points: np.ndarray,
    labels: pd.Series,
    max_groups: int,
    shown: Sequence[str] | None = None,
    kinds: pd.Series | None = None,
) -> None:
    """Draw the largest groups in colour, the other and the unlabelled samples beneath them.

    Args:
      axes: drawn on.
      points: [samples, 2].
      labels: of each sample.
      max_groups: the most groups that get a colour.
      shown: groups that get a colour, in the order of the colours, in place of the largest: so
        that a group has the same colour in several pictures.
      kinds: a second label of each sample, told by its marker, where groups have colours alone.
    """
    marks = [None] if kinds is None else list(dict.fromkeys(kinds))
    shapes = {mark: look(place * len(COLOURS)).marker for place, mark in enumerate(marks)}

    def put(chosen: np.ndarray, style: Look, label: str, beneath: bool = False) -> None:
        for number, (mark, shape) in enumerate(shapes.items()):
            own = points[chosen if kinds is None else chosen & (kinds == mark).to_numpy(bool)]
            marker, text = style.marker if kinds is None else shape, None if number else label
            _points(axes, own, style.colour, marker, text, size_of=len(points), beneath=beneath)

    names = labels.astype("string").fillna(UNKNOWN).to_numpy(dtype=str)
    unknown = labels.isna().to_numpy()
    counts = Counter(sorted(names[~unknown]))
    shown = largest_groups(labels, max_groups) if shown is None else list(shown)
    rest = ~unknown & ~np.isin(names, shown)
    for place, group in enumerate(shown):
        chosen = ~unknown & (names == group)
        put(chosen, look(place), f"{shorten(plain(group))} ({counts[group]:,})")
    if rest.any():
        more = len(counts) - len(shown)
        label = f"{OTHER}: {more} groups ({rest.sum():,})"
        put(rest, look(0)._replace(colour=GREY), label, beneath=True)
    if unknown.any():
        label = f"{UNKNOWN} ({unknown.sum():,})"
        put(unknown, look(0)._replace(colour=PALE), label, beneath=True)
    for mark in marks if kinds is not None else ():
        _points(axes, points[:0], INK, shapes[mark], plain(str(mark)), size_of=len(points))


def _points(
    axes: Axes,
    points: np.ndarray,
    colour: str,
    marker: str = "o",
    label: str | None = None,
    size_of: int | None = None,
    beneath: bool = False,
) -> None:
    """Draw points [n, 2], smaller the more samples there are in all."""
    size = float(np.clip(12000 / (size_of or len(points)), 9, 42))
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=size,
        color=colour,
        marker=marker,
        label=label,
        linewidths=0.3,
        edgecolors="white",
        zorder=1.5 if beneath else 2.5,
    )
