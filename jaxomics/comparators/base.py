"""What every comparator shares: one standardised matrix in, one standardised matrix out.

A comparator is a `Method`: a few pure functions on the concatenated, standardised views. `learn`
turns the training rows into a state (a dict of arrays); `complete`, `embed` and `classify` turn
state and any rows into an estimate of every cell, a place in a latent space, probabilities of
classes. Names of views, units, checks and missing views are dealt with here, once, so that a
method is little more than its equations.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from jaxomics.errors import InputError, unknown

Views = Mapping[str, np.ndarray]
"""One array [samples, features] per view; NaN = not measured, an all-NaN row = view absent."""

State = dict[str, np.ndarray]
"""What a method has learned."""


class Capabilities(NamedTuple):
    """What a method can do.

    Attributes:
      latent: it places samples in a latent space.
      reconstruct: it estimates every cell.
      transform: it places new samples in that latent space.
      missing_cells: it accepts cells that were not measured.
      missing_views: it accepts samples without some of the views.
      predict: it learns classes from labels, and predicts those of new samples.
    """

    latent: bool
    reconstruct: bool = True
    transform: bool = False
    missing_cells: bool = True
    missing_views: bool = True
    predict: bool = False


@dataclass(frozen=True)
class Layout:
    """Where each view stands in the concatenated matrix, and the units of its columns.

    Attributes:
      slices: columns of each view.
      centre: [features] mean of the measured training cells, 0 where there are none.
      scale: [features] their standard deviation, 1 where they do not vary.
    """

    slices: dict[str, slice]
    centre: np.ndarray
    scale: np.ndarray

    def standardise(self, rows: np.ndarray) -> np.ndarray:
        """Return rows [samples, features] in standard units; NaN stays NaN."""
        return (rows - self.centre) / self.scale

    def restore(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return standardised rows as views in original units."""
        original = rows * self.scale + self.centre
        return {view: original[:, columns] for view, columns in self.slices.items()}

    def stack(self, views: Views) -> np.ndarray:
        """Concatenate views to float64 [samples, features]; a view not given is all NaN.

        Raises:
          InputError: an unknown view, a wrong number of features, views that disagree about the
            number of samples, infinite cells, or no view at all.
        """
        counts = {np.shape(array)[0] for array in views.values()}
        if len(counts) != 1:
            raise InputError(
                "expected one or more views with the same number of rows, found "
                f"{sorted(counts) or 'none'}; give every view one row per sample (NaN = absent)"
            )
        rows = np.full((counts.pop(), len(self.centre)), np.nan)
        for view, array in views.items():
            if view not in self.slices:
                raise unknown("view", view, self.slices)
            columns = self.slices[view]
            if np.shape(array)[1:] != (columns.stop - columns.start,):
                raise InputError(
                    f"view {view!r}: expected the {columns.stop - columns.start} features of the "
                    f"training data, found {np.shape(array)[1:]}; align the columns first"
                )
            rows[:, columns] = array
        if np.isinf(rows).any():
            raise InputError("expected finite cells or NaN, found infinite cells; set them to NaN")
        return rows


@dataclass(frozen=True)
class Fitted:
    """A fitted comparator.

    Attributes:
      method: the method that made it.
      layout: names, columns and units of the views.
      state: what the method learned.
      latent: [training samples, dimensions], or None where the method has no latent space.
    """

    method: "Method"
    layout: Layout
    state: State
    latent: np.ndarray | None

    @property
    def capabilities(self) -> Capabilities:
        """What this method can do."""
        return self.method.capabilities

    def reconstruct(self, views: Views) -> dict[str, np.ndarray]:
        """Estimate every cell of every view, in original units, for any samples.

        Args:
          views: any subset of the training views, [samples, features] with NaN.

        Returns:
          All training views, float64 [samples, features], every cell finite.

        Raises:
          InputError: the method does not reconstruct, or see `Layout.stack`.
        """
        if self.method.complete is None:
            raise InputError(f"{self.method.name!r} does not reconstruct; try 'softimpute'")
        rows = self.layout.standardise(self.layout.stack(views))
        return self.layout.restore(self.method.complete(self.state, rows))

    def transform(self, views: Views) -> np.ndarray:
        """Return the latent coordinates [samples, dimensions] of any samples.

        Raises:
          InputError: the method has no latent space, or see `Layout.stack`.
        """
        if self.method.embed is None:
            raise InputError(f"{self.method.name!r} has no latent space; try 'softimpute'")
        return self.method.embed(self.state, self.layout.standardise(self.layout.stack(views)))

    def tables(self) -> dict[str, dict[str, Any]]:
        """Return what is worth telling of the fit, as tables: columns by name."""
        return {} if self.method.tables is None else self.method.tables(self.state, self.layout)

    def weights(self) -> dict[str, np.ndarray]:
        """Return what features mean to the latent dimensions, [features, dimensions] per view."""
        if self.method.weights is None:
            return {}
        matrix = self.state[self.method.weights]
        return {view: matrix[columns] for view, columns in self.layout.slices.items()}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that were learned, in sorted order; none where the method learns none."""
        return tuple(map(str, self.state.get("classes", ())))

    def predict(self, views: Views) -> dict[str, np.ndarray]:
        """Return the probabilities of `classes`, [samples, classes].

        Returns:
          What each view says by itself, and what all say together under the name `all`.

        Raises:
          InputError: the method predicts no classes, or see `Layout.stack`.
        """
        if self.method.classify is None:
            raise InputError(f"{self.method.name!r} predicts no classes; try 'diablo'")
        rows = self.layout.standardise(self.layout.stack(views))
        return self.method.classify(self.state, rows, self.layout)


class Method(NamedTuple):
    """A comparator: its name, its source and its pure functions.

    Attributes:
      name: registry name.
      paper: where the method comes from.
      capabilities: what it can do.
      config: default settings, a frozen dataclass.
      learn: (rows, layout, config, seed) -> state; rows are standardised, with NaN, in an order
        that does not depend on the order of the samples. Methods that predict classes take the
        class of each row as a fifth argument, an array of text.
      complete: (state, rows) -> finite estimate of every cell, in standard units, or None.
      embed: (state, rows) -> latent coordinates, or None.
      classify: (state, rows, layout) -> probabilities [rows, classes] by view, and of `all` views
        together, or None. Such a method keeps its `classes` in its state.
      published: the settings of Cai et al. 2024, where they are not `config`.
      weights: name of the state's [features, dimensions] that tells what features mean to the
        latent dimensions; None where there is none.
      tables: (state, layout) -> what is worth telling of a fit, as tables: columns by name.
    """

    name: str
    paper: str
    capabilities: Capabilities
    config: Any
    learn: Callable[..., State]
    complete: Callable[[State, np.ndarray], np.ndarray] | None = None
    embed: Callable[[State, np.ndarray], np.ndarray] | None = None
    classify: Callable[[State, np.ndarray, Layout], dict[str, np.ndarray]] | None = None
    published: Any = None
    weights: str | None = None
    tables: Callable[[State, Layout], dict[str, dict[str, Any]]] | None = None

    @property
    def verbs(self) -> tuple[str, ...]:
        """What the command line can ask of a fitted one."""
        can = self.capabilities
        able = {
            "embed": can.transform,
            "impute": can.reconstruct,
            "translate": can.reconstruct,
            "predict": can.predict,
        }
        return tuple(verb for verb, known in able.items() if known)

    def fit(
        self,
        views: Views,
        seed: int = 0,
        config: Any = None,
        labels: Sequence[str | None] | np.ndarray | None = None,
    ) -> Fitted:
        """Fit to training samples; the order of the samples does not matter.

        Args:
          views: [samples, features] per view, NaN = not measured.
          seed: of the random choices, if there are any.
          config: settings in place of the default ones.
          labels: class of each sample, for methods that predict classes; samples without one
            (None, NaN or empty) are left out. Other methods do not look at them.

        Raises:
          InputError: no view, views of different length, infinite cells, or no measured cell;
            or no labels, or fewer than two classes, where the method learns them.
        """
        layout = _layout(views)
        rows = layout.stack(views)
        if not self.capabilities.predict:
            rows = rows[canonical_order(rows)]
            known = ()
        else:
            classes = _classes(labels, len(rows), self.name)
            kept = np.flatnonzero(classes != "")
            rows, classes = rows[kept], classes[kept]
            order = canonical_order(rows, classes)
            rows, known = rows[order], (classes[order],)
        layout = _with_units(layout, rows)
        chosen = config or self.config
        state = self.learn(layout.standardise(rows), layout, chosen, seed, *known)
        fitted = Fitted(self, layout, state, None)
        if self.embed is None:
            return fitted
        return Fitted(self, layout, state, fitted.transform(views))


def column_patterns(observed: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield each distinct column of bool [rows, columns] with the columns that equal it.

    Work that depends only on who is observed is then done once per pattern, not per column.

    >>> observed = np.array([[True, False, True], [True, True, True]])
    >>> [(pattern.tolist(), columns.tolist()) for pattern, columns in column_patterns(observed)]
    [([True, True], [0, 2]), ([False, True], [1])]
    """
    groups: dict[bytes, list[int]] = {}
    packed = np.ascontiguousarray(np.packbits(observed, axis=0).T)
    for column, bits in enumerate(packed):
        groups.setdefault(bits.tobytes(), []).append(column)
    for columns in groups.values():
        yield observed[:, columns[0]], np.array(columns)


def _layout(views: Views) -> Layout:
    """Return the columns of each view, still without units."""
    slices, start = {}, 0
    for view, array in views.items():
        if np.ndim(array) != 2:
            raise InputError(
                f"view {view!r}: expected [samples, features], found {np.ndim(array)} axes"
            )
        width = np.shape(array)[1]
        slices[view] = slice(start, start + width)
        start += width
    return Layout(slices, np.zeros(start), np.ones(start))


def _with_units(layout: Layout, rows: np.ndarray) -> Layout:
    """Return the layout with mean and standard deviation of the measured cells."""
    observed = ~np.isnan(rows)
    if not observed.any():
        raise InputError("expected measured training cells, found none; give at least one view")
    count = np.maximum(observed.sum(axis=0), 1)
    centre = np.where(observed, rows, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(observed, rows - centre, 0) ** 2).sum(axis=0) / count)
    varies = spread > 1e-9 * np.maximum(np.abs(centre), 1e-30)
    return Layout(layout.slices, centre, np.where(varies, spread, 1.0))


def canonical_order(rows: np.ndarray, classes: np.ndarray | None = None) -> np.ndarray:
    """Return an order of the rows that depends on their content, and then their class, only."""
    same_nan = np.where(np.isnan(rows), np.nan, rows)
    ties = np.full(len(rows), "") if classes is None else classes

    def content(row: int) -> tuple[bytes, str]:
        return same_nan[row].tobytes(), str(ties[row])

    return np.array(sorted(range(len(rows)), key=content), dtype=int)


def _classes(
    labels: Sequence[str | None] | np.ndarray | None, samples: int, name: str
) -> np.ndarray:
    """Return the class of each sample as text, empty where there is none.

    Raises:
      InputError: no labels, as many as there are samples, or fewer than two classes.
    """
    if labels is None:
        raise InputError(f"{name!r} learns classes: expected labels, found none; give one a sample")
    if len(labels) != samples:
        raise InputError(f"expected {samples} labels, one a sample, found {len(labels)}")
    empty = [label is None or label != label for label in labels]  # NaN is not itself
    text = ["" if no else str(label) for no, label in zip(empty, labels, strict=True)]
    found = sorted(set(text) - {""})
    if len(found) < 2:
        raise InputError(
            f"{name!r} learns classes: expected 2 or more, found {', '.join(found) or 'none'}; "
            "name another label column"
        )
    return np.array(text)
