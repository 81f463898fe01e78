"""Preprocessing of a cohort: which features are kept, what the encoder sees, how values scale.

`fit_preprocess` takes the steps of Cai et al. 2024 in their order, with those of `data.normalise`
between filters and scaling, and returns a `Preprocess`, which is stored beside a model. Nothing
here needs an accelerator, so that a stored model can be applied with numpy alone.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from jaxomics.config import from_json, to_json
from jaxomics.data.align import feature_report, match_features
from jaxomics.data.atomic import whole_file
from jaxomics.data.choices import (
    DEFAULT,
    UNCHANGED,
    NormaliseConfig,
    PreprocessConfig,
)
from jaxomics.data.container import DROPPED_COLUMNS, MultiOmics
from jaxomics.data.filters import kept_features, shown_features, wanted_features
from jaxomics.data.locations import has_locations, location_order
from jaxomics.data.normalise import NO_STEPS, Steps, fit_steps, on_scale
from jaxomics.data.peaks import check_peaks
from jaxomics.data.scaling import Standard
from jaxomics.data.statistics import Piece, ViewStatistics, view_statistics
from jaxomics.data.view import PER_FEATURE, ViewPreprocess
from jaxomics.errors import InputError, unknown

BLOCK_BYTES = 64 << 20
"""Rows of a view are looked at in blocks of about this size in double precision."""


@dataclass(frozen=True)
class Preprocess:
    """A fitted preprocessing, by view; build it with `fit_preprocess` or `load`.

    Attributes:
      views: one `ViewPreprocess` per view, in the order of the cohort.
      config: the choices it was fitted with.
      report: features left out, with columns `DROPPED_COLUMNS`; the item `encoder` marks
        those that only the encoder does not see.
      unplaced: views that were to be in the order of the genome, if their places were known
        (absent after `load`).
    """

    views: dict[str, ViewPreprocess]
    config: PreprocessConfig
    report: pd.DataFrame
    unplaced: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """What was left out of the steps before scaling, and what they give, in sentences."""
        lacking = [note for view in self.views.values() for note in view.steps.notes]
        units = {name: view.steps.summary for name, view in self.views.items()}
        given = [f"view {n!r}: its values, and results, are {u}" for n, u in units.items() if u]
        order = [
            f"view {name!r}: no feature table with places on the genome: its features stay in the "
            "order of the table"
            for name in self.unplaced
        ]
        return order + lacking + given

    def arrays(self, cohort: MultiOmics) -> dict[str, np.ndarray]:
        """Return values of the kept features per view, float32 [samples, features].

        Works for any cohort: what it lacks (views, features, cells) is NaN, what is not known
        here is left out; `match` lists both. Values are in original units, those of normalised
        views in the units after the steps that were fitted.

        Raises:
          InputError: no view, or no feature of a shared view, is known here, or values or labels
            that the steps cannot be applied to.
        """
        if not any(name in self.views for name in cohort.views):
            raise unknown("view", next(iter(cohort.views)), self.views)
        return {name: self._array(cohort, name) for name in self.views}

    def _array(self, cohort: MultiOmics, name: str) -> np.ndarray:
        """Return one view of `arrays`."""
        view = self.views[name]
        features = view.features
        if name not in cohort.views:
            return np.full((len(cohort.samples), len(features)), np.nan, np.float32)
        table, _ = match_features(cohort.view(name), features, name)
        if view.steps.config != UNCHANGED:
            values = view.steps.apply(table, cohort.labels.loc[table.index], name)
            table = pd.DataFrame(values, table.index, table.columns)
        if name in self.config.imputed and view.fill is not None:
            table = table.fillna(dict(zip(features, view.fill, strict=True)))
        return table.reindex(cohort.samples).to_numpy(np.float32)

    def normalised(self, cohort: MultiOmics) -> MultiOmics:
        """Return a cohort whose normalised views are in the units that the model writes.

        They have the kept features only; other views are left alone.
        """
        views = dict(cohort.views)
        for name, view in self.views.items():
            if name in views and view.steps.config != UNCHANGED:
                table, _ = match_features(cohort.view(name), view.features, name)
                values = view.steps.apply(table, cohort.labels.loc[table.index], name)
                views[name] = pd.DataFrame(values, table.index, table.columns)
        return replace(cohort, views=views)

    def unseen(self, cohort: MultiOmics) -> pd.DataFrame:
        """Return batch levels that no training sample has: columns view, sample, column, level."""
        found = [
            view.steps.unseen(cohort.labels.loc[cohort.views[name].index]).assign(view=name)
            for name, view in self.views.items()
            if name in cohort.views
        ]
        columns = ["view", "sample", "column", "level"]
        return (
            pd.concat(found, ignore_index=True)[columns]
            if found
            else pd.DataFrame([], columns=columns)
        )

    def invert(self, view: str, standardised: np.ndarray) -> np.ndarray:
        """Return standardised values [samples, features] of a view in the units of `arrays`.

        A feature that is constant among the training samples has this constant.
        """
        return self._view(view).invert(standardised)

    def widened(self, cohort: MultiOmics) -> "Preprocess":
        """Return it with ranges that take in the values of a cohort, as it is trained on."""
        arrays = self.arrays(cohort)
        return replace(self, views={n: v.widened(arrays[n]) for n, v in self.views.items()})

    def match(self, cohort: MultiOmics) -> pd.DataFrame:
        """Return where each kept feature is found in a cohort (see `align.feature_report`).

        A view that the cohort lacks has every feature `absent`; a view that is not known here
        has every feature `unused`.
        """
        names = [*self.views, *(name for name in cohort.views if name not in self.views)]
        kept = {name: view.features for name, view in self.views.items()}
        found = {name: table.columns for name, table in cohort.views.items()}
        reports = [feature_report(kept.get(n, ()), found.get(n, ()), n) for n in names]
        return pd.concat(reports, ignore_index=True)

    def _view(self, name: str) -> ViewPreprocess:
        """Return one view, or raise with the names there are."""
        if name not in self.views:
            raise unknown("view", name, self.views)
        return self.views[name]

    def save(self, folder: str | Path) -> None:
        """Write `preprocess.npz` and `preprocess.json` into a folder."""
        arrays = {
            f"{field}:{name}": getattr(view, field)
            for name, view in self.views.items()
            for field in ("encoder", *PER_FEATURE)
            if getattr(view, field) is not None
        }
        for name, view in self.views.items():
            arrays |= {f"{field}:{name}": array for field, array in view.steps.arrays().items()}
        with whole_file(Path(folder) / "preprocess.npz") as path:
            np.savez(path, **arrays)
        names = {
            name: {
                "kind": view.kind,
                "features": list(view.features),
                "normalise": to_json(view.steps.config),
                "steps": to_json(view.steps.record()),
            }
            for name, view in self.views.items()
        }
        record = {
            "config": to_json(self.config),
            "views": names,
            "report": self.report.to_dict("list"),
        }
        with whole_file(Path(folder) / "preprocess.json") as path:
            path.write_text(json.dumps(record))

    @classmethod
    def load(cls, folder: str | Path) -> "Preprocess":
        """Read what `save` wrote; raises `InputError` if the folder holds none."""
        path = Path(folder) / "preprocess.json"
        if not path.exists():
            raise InputError(f"expected {path.name} in {folder}, found none; name a run folder")
        record = json.loads(path.read_text())
        with np.load(path.with_suffix(".npz")) as arrays:
            views = {
                name: ViewPreprocess(
                    pd.Index(view["features"]),
                    *(arrays[f"{field}:{name}"] for field in ("encoder", "mean", "scale")),
                    kind=view["kind"],
                    **{f: arrays.get(f"{f}:{name}") for f in ("fill", "low", "high")},
                    steps=_restore_steps(name, view, arrays),
                )
                for name, view in record["views"].items()
            }
        report = pd.DataFrame(record["report"], columns=DROPPED_COLUMNS, dtype=str)
        return cls(views, from_json(PreprocessConfig, record["config"]), report)


def _restore_steps(name: str, record: Mapping, arrays: Mapping[str, np.ndarray]) -> Steps:
    """Return the steps of a view from what `Preprocess.save` wrote."""
    if "steps" not in record:  # a run from before there were any
        return NO_STEPS
    own = {f: arrays[f"{f}:{name}"] for f in ("reference", "effects") if f"{f}:{name}" in arrays}
    return Steps.restore(from_json(NormaliseConfig, record["normalise"]), record["steps"], own)


def enough_views(cohort: MultiOmics, min_views: int = 2) -> MultiOmics:
    """Keep the samples measured in at least `min_views` views, or in all if there are fewer.

    The others are listed in `dropped`.
    """
    few = cohort.samples[~_in_views(cohort, min_views)]
    rows = [("", "sample", name, f"measured in fewer than {min_views} views") for name in few]
    kept = cohort.select_samples(cohort.samples.difference(few))
    notes = pd.DataFrame(rows, columns=DROPPED_COLUMNS, dtype=str)
    return replace(kept, dropped=pd.concat([cohort.dropped, notes], ignore_index=True))


def fit_preprocess(
    cohort: MultiOmics,
    config: PreprocessConfig = DEFAULT,
    train_samples: pd.Index | None = None,
    normalise: NormaliseConfig = UNCHANGED,
) -> Preprocess:
    """Fit filters, steps between samples, and scalers, in this order (Cai et al. 2024).

    The missing-value filter counts over the rows of each table; what follows uses those of
    them that are measured in `config.min_views` views.

    Args:
      cohort: measured values in original units; gene effects already scaled (`scale_crispr`).
      config: the choices.
      train_samples: who is trained on; the rest is ignored if `config.fit_scope` is `train`.
        None means everybody.
      normalise: steps between samples. The filters see logarithms of counts.

    Raises:
      InputError: nothing is left of a view: no training sample, no feature, or none for the
        encoder. Or values or labels that steps cannot be fitted to.
    """
    scope = cohort.samples
    if train_samples is not None and config.fit_scope == "train":
        scope = pd.Index(train_samples)
    strange = scope.difference(cohort.samples)
    if len(strange):
        raise unknown("training sample", str(strange[0]), cohort.samples)
    fitted_on = scope.intersection(cohort.samples[_in_views(cohort, config.min_views)])
    statistics = {}
    for name, table in cohort.views.items():
        masks = table.index.isin(scope), table.index.isin(fitted_on)
        pieces = _pieces(table, *masks, normalise.of(name).scale, name)
        statistics[name] = view_statistics(table.columns, pieces)
    fitted = choose_features(statistics, config, cohort.features, normalise)
    views = {
        name: _fit_steps(name, view, cohort, fitted_on, config, normalise.of(name))
        for name, view in fitted.views.items()
    }
    return replace(fitted, views=views)


def _pieces(
    table: pd.DataFrame, scope: np.ndarray, fitted: np.ndarray, scale: str, view: str
) -> Iterator[Piece]:
    """Yield the rows of a view with their masks, in blocks that bound memory."""
    rows = max(BLOCK_BYTES // (8 * max(table.shape[1], 1)), 1)
    for first in range(0, max(len(table), 1), rows):
        block = slice(first, first + rows)
        values = on_scale(table.iloc[block], scale, view).astype(np.float64)
        yield Piece(values, scope[block], fitted[block])


def _fit_steps(
    name: str,
    view: ViewPreprocess,
    cohort: MultiOmics,
    fitted: pd.Index,
    config: PreprocessConfig,
    normalise: NormaliseConfig,
) -> ViewPreprocess:
    """Return a view with the steps between samples, and with scaling to the units after them."""
    if not normalise.fitted:
        return replace(view, steps=Steps(normalise))
    table = cohort.view(name)
    rows, columns = table.index.isin(fitted), table.columns.get_indexer(view.features)
    labels = cohort.labels.loc[table.index[rows]]
    raw = table.iloc[np.flatnonzero(rows), columns]
    steps, values = fit_steps(on_scale(raw, normalise.scale, name), labels, normalise, name)
    raw = pd.DataFrame(values, labels.index, view.features)
    every = np.ones(len(raw), bool)
    after = view_statistics(view.features, _pieces(raw, every, every, "none", name))
    standard = _standard(name, after, config)
    mean, scale, fill, low, high = (
        part.astype(np.float32) for part in (*standard, after.mean, after.low, after.high)
    )
    return replace(view, mean=mean, scale=scale, fill=fill, low=low, high=high, steps=steps)


def choose_features(
    statistics: Mapping[str, ViewStatistics],
    config: PreprocessConfig,
    annotations: Mapping[str, pd.DataFrame] | None = None,
    normalise: NormaliseConfig = UNCHANGED,
) -> Preprocess:
    """Return the preprocessing that follows from statistics of the views.

    Args:
      statistics: of each view, with the training samples as scope, and those of them that are
        measured in `config.min_views` views as fitted rows.
      config: the choices.
      annotations: feature tables of views, for `config.excluded` and `config.order`.
      normalise: what was done to the values before; features without a count are left out.

    Raises:
      InputError: nothing is left of a view; see `fit_preprocess`. Or features are to be excluded
        or ordered, and no view has a feature table, or one with the mark.
    """
    notes: list[tuple[str, str, str, str]] = []
    tables = {name: table for name, table in (annotations or {}).items() if name in statistics}
    if (config.excluded or config.order == "location") and not tables:
        raise InputError(
            "expected feature tables (features_VIEW beside the views) to exclude or order features "
            "by, found none; add them, or leave out excluded and order"
        )
    columns = list(dict.fromkeys(str(c) for table in tables.values() for c in table.columns))
    for mark in config.excluded:
        if mark not in columns:
            raise unknown("mark (column of a feature table)", mark, columns)
    views = {
        name: _choose(name, found, config, tables.get(name), normalise.of(name), notes)
        for name, found in statistics.items()
    }
    report = pd.DataFrame(notes, columns=DROPPED_COLUMNS, dtype=str)
    lost = [name for name in statistics if not has_locations(tables.get(name))]
    return Preprocess(views, config, report, tuple(lost if config.order == "known" else ()))


def _in_views(cohort: MultiOmics, min_views: int) -> np.ndarray:
    """Return bool [samples]: is it measured in so many views, or in all if there are fewer?"""
    count = sum(cohort.present(name).astype(int) for name in cohort.views)
    return np.asarray(count) >= min(min_views, len(cohort.views))


def _choose(
    name: str,
    found: ViewStatistics,
    config: PreprocessConfig,
    table: pd.DataFrame | None,
    normalise: NormaliseConfig,
    notes: list,
) -> ViewPreprocess:
    """Return the kept features of one view, those that the encoder sees, and their scaling."""
    if not found.scope:
        raise InputError(
            f"view {name!r}: expected it measured in a training sample, found none, although "
            f"{found.rows} samples of the cohort have it; leave the view out, or divide the "
            "samples in another way"
        )
    kept = kept_features(name, found, config, notes)
    counted = normalise.scale == "counts"
    kept = wanted_features(name, found, kept, config, table, notes, counted=counted)
    if not found.fitted:
        raise InputError(
            f"view {name!r}: expected training samples measured in {config.min_views} views, "
            f"found none among the {found.scope} of this view; lower min_views"
        )
    seen = shown_features(name, found, kept, config, notes)
    columns = np.flatnonzero(kept)
    placed = config.order == "known" and has_locations(table)
    if table is not None and (placed or config.order == "location"):
        if {"start", "end"} <= set(table):
            check_peaks(found.features[columns], table, name)
        columns = columns[location_order(found.features[columns], table, name)]
    standard = _standard(name, found, config)
    mean, scale, fill, low, high = (
        part[columns].astype(np.float32) for part in (*standard, found.mean, found.low, found.high)
    )
    return ViewPreprocess(
        found.features[columns],
        np.flatnonzero(seen[columns]),
        mean,
        scale,
        "continuous" if counted or normalise.fitted else found.kind,
        fill,
        low,
        high,
    )


def _standard(name: str, found: ViewStatistics, config: PreprocessConfig) -> Standard:
    """Return the scaling of all features of a view."""
    if config.scaling == "none" or name in config.unscaled:
        return Standard(np.zeros(len(found.features)), np.ones(len(found.features)))
    return found.zscore() if config.scaling == "zscore" else found.minmax()
