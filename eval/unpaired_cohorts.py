"""Real cohorts made unpaired: what `unpaired.py` trains on, and tests."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import jaxomics
from jaxomics.data.container import MultiOmics
from jaxomics.data.split import make_folds
from jaxomics.data.unpair import drop_pair, make_unpaired, mask_labels
from jaxomics.metrics.classification import class_text

SETS = {
    "breast_subtypes": "subtype",
    "coread_cms": "cms_label",
    "brca_tcga348": "cluster_name",
    "tcga_survival": "cohort",
}
"""Cohort and its class column."""

LABEL = "class"
SHARES = {"100 %": 1.0, "10 %": 0.1, "2 %": 0.02}
KINDS = ("share", "silent", "missing")
"""Settings: a share of the labels, a view without any, a view without one class."""


@dataclass(frozen=True)
class Block:
    """One seed and setting of a cohort.

    Attributes:
      setting: name.
      seed: of everything.
      train: unpaired and partly labelled; sample names bear the block.
      paired: the same samples with all views and labels.
      test: complete samples with labels.
      missing: view and class without training samples.
    """

    setting: str
    seed: int
    train: MultiOmics
    paired: MultiOmics
    test: MultiOmics
    missing: tuple[str, str] | None = None


def load(folder: Path, label: str) -> MultiOmics:
    """Read a cohort, keep complete samples, measured features, and the class as only label."""
    cohort = jaxomics.read_cohort(folder)
    text = class_text(pd.Series(cohort.labels[label]))
    known = text.notna().to_numpy() & np.all([cohort.present(v) for v in cohort.views], axis=0)
    kept = cohort.select_samples(cohort.samples[known])
    views = {view: table.dropna(axis=1, how="all") for view, table in kept.views.items()}
    return MultiOmics.from_tables(views, pd.DataFrame({LABEL: text[known]}))


def make_blocks(cohort: MultiOmics, seed: int, kinds: tuple[str, ...]) -> Iterator[Block]:
    """Yield the settings of a seed: they share test samples and unpairing."""
    tenths = [fold.test for fold in make_folds(cohort, 10, seed=seed, stratify=LABEL)]
    test = cohort.select_samples(np.concatenate(tenths[:3]))
    paired = cohort.select_samples(cohort.samples.difference(test.samples))
    unpaired = make_unpaired(paired, LABEL, seed)
    numbers = set()
    for setting, share in SHARES.items() if "share" in kinds else ():
        labelled = keep_labels(unpaired, share, seed)
        number = int(labelled.labels[LABEL].notna().sum())
        if number in numbers:
            continue
        numbers.add(number)
        yield Block(setting, seed, renamed(labelled, f"{setting} {seed}"), paired, test)
    for view in cohort.views if "silent" in kinds else ():
        setting = f"none in {view}"
        labels = unpaired.labels.mask(unpaired.present(view)[:, None])
        train = renamed(replace(unpaired, labels=labels), f"{setting} {seed}")
        yield Block(setting, seed, train, paired, test)
    classes = sorted(unpaired.labels[LABEL].unique())
    for i, view in enumerate(cohort.views if "missing" in kinds else ()):
        setting, name = f"no sample of one class in {view}", classes[(seed + i) % len(classes)]
        train = renamed(drop_pair(unpaired, view, LABEL, name), f"{setting} {seed}")
        yield Block(setting, seed, train, paired, test, (view, name))


def keep_labels(cohort: MultiOmics, share: float, seed: int) -> MultiOmics:
    """Keep a share of the labels in each view; at least one per class and view."""
    if share == 1:
        return cohort
    least = min(len(table) for table in cohort.views.values())
    few = share * least < cohort.labels[LABEL].nunique()
    how: dict[str, Any] = {"count": 1} if few else {"share": share}
    return mask_labels(cohort, LABEL, seed=seed, **how)


def renamed(cohort: MultiOmics, prefix: str) -> MultiOmics:
    """Return a cohort whose samples bear a prefix, so that several can be one."""
    views = {
        name: table.set_axis(prefix + " " + table.index) for name, table in cohort.views.items()
    }
    labels = cohort.labels.set_axis(prefix + " " + cohort.samples)
    return MultiOmics.from_tables(views, labels)
