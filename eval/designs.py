"""Which samples and labels each experiment of the MODIS study trains on.

Lepe-Soltero et al. 2025, Figures 2 to 4, on simulated classes of equal size: all, some or no
labels; one class with few samples; classes that some view has never seen. Beside the published
experiments stand stratified labels, all single and many double missing pairs, and one view
without any label.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import permutations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxomics.data.container import MultiOmics
from jaxomics.data.intersim import LABEL, simulate_intersim
from jaxomics.data.intersim_parameters import VIEWS, read_parameters, stand_in
from jaxomics.data.unpair import drop_pair, hold_out, make_unpaired, mask_labels, shrink_class

CLASSES = tuple(f"class{k}" for k in range(5))
TARGET = CLASSES[-1]
"""The class that is rare in Figure 3."""

DOUBLES = 30
"""Number of random double pairs that `fig4-doubles` removes, one in each setting."""

Pair = tuple[str, str]
"""A view and a class."""

Change = Callable[[MultiOmics, int], MultiOmics]
"""What a design makes of the training cohort, given a seed."""


@dataclass(frozen=True)
class Setting:
    """One point of an experiment.

    Attributes:
      experiment: figure and panel.
      name: what differs within the experiment.
      change: from the training cohort with all labels to the one trained on.
      x: the quantity that an experiment varies: share of labels, rows, or rows kept.
      paper: accuracy that the article reports; NaN where it gives no number.
      missing: pairs of view and class without training samples, or with few.
      target: a rare class.
    """

    experiment: str
    name: str
    change: Change
    x: float = math.nan
    paper: float = math.nan
    missing: tuple[Pair, ...] = ()
    target: str | None = None


class Cohorts(NamedTuple):
    """The cohorts of one data seed.

    Attributes:
      complete: every sample in every view, all labels.
      train, test: one view per sample, disjoint samples, all labels.
    """

    complete: MultiOmics
    train: MultiOmics
    test: MultiOmics


@lru_cache(maxsize=6)
def cohorts(parameters: Path | None, n: int, seed: int) -> Cohorts:
    """Simulate, let every sample keep one view, and hold out a fifth of each class and view."""
    source = read_parameters(parameters) if parameters else stand_in()
    complete = simulate_intersim(source, n, (1 / len(CLASSES),) * len(CLASSES), seed=seed).cohort
    return Cohorts(complete, *hold_out(make_unpaired(complete, LABEL, seed), LABEL, 5, seed))


def settings(experiment: str) -> list[Setting]:
    """Return the settings of an experiment, by the name that `EXPERIMENTS` lists."""
    return list(EXPERIMENTS[experiment](experiment))


def _everything(cohort: MultiOmics, seed: int) -> MultiOmics:
    """Change nothing."""
    return cohort


def _share(cohort: MultiOmics, seed: int, share: float, stratified: bool) -> MultiOmics:
    """Keep a share of the labels of every view."""
    return mask_labels(cohort, LABEL, share=share, stratified=stratified, seed=seed)


def _rare(cohort: MultiOmics, seed: int, rows: int, share: float = 1.0) -> MultiOmics:
    """Keep few samples of the target, all labelled, and a share of the labels of the others."""
    cohort = shrink_class(cohort, LABEL, TARGET, rows, seed)
    if share == 1.0:
        return cohort
    return mask_labels(cohort, LABEL, share=dict.fromkeys(CLASSES[:-1], share), seed=seed)


def _without(cohort: MultiOmics, seed: int, pairs: tuple[Pair, ...], keep: int) -> MultiOmics:
    """Remove pairs of view and class but for a few samples."""
    for view, name in pairs:
        cohort = drop_pair(cohort, view, LABEL, name, keep, seed)
    return cohort


def _silent(cohort: MultiOmics, seed: int, view: str) -> MultiOmics:
    """Empty all labels of one view."""
    labels = cohort.labels[LABEL].mask(cohort.present(view))
    return MultiOmics.from_tables(cohort.views, cohort.labels.assign(**{LABEL: labels}))


def _full(experiment: str) -> Iterator[Setting]:
    """All labels."""
    yield Setting(experiment, "100 %", _everything, 1.0, paper=1.00)


def _labelled(experiment: str, share: float, paper: float) -> Iterator[Setting]:
    """A share of the labels, drawn uniformly as published, and stratified."""
    for drawn, stratified in (("uniform", False), ("stratified", True)):
        change = partial(_share, share=share, stratified=stratified)
        yield Setting(experiment, f"{share:.1%} {drawn}", change, share, paper)


def _unlabelled(experiment: str) -> Iterator[Setting]:
    """No labels at all."""
    yield Setting(experiment, "0 %", partial(_share, share=0.0, stratified=True), 0.0, paper=0.19)


def _few_samples(experiment: str) -> Iterator[Setting]:
    """Few samples of one class, everything labelled."""
    for rows in (5, 20, 1, 2, 10, 50, 100, 200, 600):
        paper = {5: 0.8, 20: 0.98}.get(rows, math.nan)
        change = partial(_rare, rows=rows)
        yield Setting(experiment, f"n = {rows}", change, rows, paper, target=TARGET)


def _few_samples_and_labels(experiment: str) -> Iterator[Setting]:
    """Twenty samples of one class, and a share of the labels of the others."""
    for share in (0.02, 0.1, 0.005, 0.01, 0.05, 0.2, 0.5, 1.0):
        paper = {0.02: 0.95}.get(share, math.nan)
        change = partial(_rare, rows=20, share=share)
        yield Setting(experiment, f"r = {share:g}", change, share, paper, target=TARGET)


def _pairs(
    experiment: str, pairs: tuple[Pair, ...], keeps: tuple[int, ...], paper: float
) -> Iterator[Setting]:
    """The same pairs removed, but for so many samples."""
    for keep in keeps:
        change = partial(_without, pairs=pairs, keep=keep)
        found = paper if keep < 2 else math.nan
        yield Setting(experiment, f"k = {keep}", change, keep, found, pairs)


def _single_pairs(experiment: str) -> Iterator[Setting]:
    """Every pair of a view and a class removed, one at a time."""
    for pair in product(VIEWS, CLASSES):
        change = partial(_without, pairs=(pair,), keep=0)
        yield Setting(experiment, " ".join(pair), change, missing=(pair,))


def _double_pairs(experiment: str) -> Iterator[Setting]:
    """Random two pairs removed, of different views and different classes."""
    rng = np.random.default_rng(4)
    every = [
        tuple(zip(views, classes, strict=True))
        for views in permutations(VIEWS, 2)
        for classes in permutations(CLASSES, 2)
        if views[0] < views[1]
    ]
    for place in rng.permutation(len(every))[:DOUBLES]:
        pairs = every[place]
        name = ", ".join(" ".join(pair) for pair in pairs)
        yield Setting(experiment, name, partial(_without, pairs=pairs, keep=0), missing=pairs)


def _silent_views(experiment: str) -> Iterator[Setting]:
    """All labels but those of one view."""
    for view in VIEWS:
        pairs = tuple((view, name) for name in CLASSES)
        yield Setting(experiment, view, partial(_silent, view=view), missing=pairs)


_ONE = (("methylation", "class0"),)
_TWO = (*_ONE, ("expression", "class1"))

EXPERIMENTS: dict[str, Callable[[str], Iterator[Setting]]] = {
    "fig2-a": _full,
    "fig2-b": partial(_labelled, share=0.05, paper=1.0),
    "fig2-c": partial(_labelled, share=0.005, paper=1.0),
    "fig2-d": partial(_labelled, share=0.002, paper=0.59),
    "fig2-e": _unlabelled,
    "fig3a": _few_samples,
    "fig3c": _few_samples_and_labels,
    "fig4-a": partial(_pairs, pairs=_ONE, keeps=(0,), paper=0.97),
    "fig4-b": partial(_pairs, pairs=_ONE, keeps=(1, 2, 5, 10, 20), paper=0.99),
    "fig4-c": partial(_pairs, pairs=_TWO, keeps=(0,), paper=0.85),
    "fig4-d": partial(_pairs, pairs=_TWO, keeps=(1, 2, 5, 10, 20), paper=0.97),
    "fig4-singles": _single_pairs,
    "fig4-doubles": _double_pairs,
    "silent-view": _silent_views,
}
"""Experiments by name, the most informative settings first."""
