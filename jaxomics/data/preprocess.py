"""Preprocessing of a cohort: which features are kept, what the encoder sees, how values scale.

`fit_preprocess` takes the steps of Cai et al. 2024 in their order and returns a `Preprocess`,
which is stored beside a model. Nothing here needs an accelerator, so that a stored model can be
applied with numpy alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from jaxomics.config import from_json, to_json
from jaxomics.data.align import feature_report, match_features
from jaxomics.data.atomic import whole_file
from jaxomics.data.choices import DEFAULT, ESSENTIAL_VIEWS, VARIABLE_VIEWS, PreprocessConfig
from jaxomics.data.container import DROPPED_COLUMNS, MultiOmics
from jaxomics.data.filters import (
    enough_measured,
    ever_essential,
    marked_features,
    variable_features,
    varying,
)
from jaxomics.data.locations import location_order
from jaxomics.data.scaling import Standard, invert_standard
from jaxomics.data.statistics import Piece, ViewStatistics, view_statistics
from jaxomics.errors import InputError, unknown


@dataclass(frozen=True)
class ViewPreprocess:
    """What one view looks like to a model.

    Attributes:
      features: names of the kept features, in order.
      encoder: int [e], columns among the kept features that the encoder sees.
      mean: float32 [features], what is subtracted: mean or least value; 0 for a view that keeps
        its units.
      scale: float32 [features], what is divided by: deviation or range; 1 for a view that keeps
        its units.
      kind: `binary`, `ordinal` or `continuous`.
      fill: float32 [features], what missing cells of measured samples become; None keeps them.
    """

    features: pd.Index
    encoder: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    kind: str
    fill: np.ndarray | None = None


@dataclass(frozen=True)
class Preprocess:
    """A fitted preprocessing, by view; build it with `fit_preprocess` or `load`.

    Attributes:
      views: one `ViewPreprocess` per view, in the order of the cohort.
      config: the choices it was fitted with.
      report: features left out, with columns `DROPPED_COLUMNS`; the item `encoder` marks
        those that only the encoder does not see.
    """

    views: dict[str, ViewPreprocess]
    config: PreprocessConfig
    report: pd.DataFrame

    def arrays(self, cohort: MultiOmics) -> dict[str, np.ndarray]:
        """Return raw values of the kept features per view, float32 [samples, features].

        Works for any cohort: what it lacks (views, features, cells) is NaN, what is not known
        here is left out; `match` lists both. Values are in original units.

        Raises:
          InputError: no view, or no feature of a shared view, is known here.
        """
        if not any(name in self.views for name in cohort.views):
            raise unknown("view", next(iter(cohort.views)), self.views)
        return {name: self._array(cohort, name) for name in self.views}

    def _array(self, cohort: MultiOmics, name: str) -> np.ndarray:
        """Return one view of `arrays`."""
        features = self.views[name].features
        if name not in cohort.views:
            return np.full((len(cohort.samples), len(features)), np.nan, np.float32)
        table, _ = match_features(cohort.view(name), features, name)
        fill = self.views[name].fill
        if fill is not None:
            table = table.fillna(dict(zip(features, fill, strict=True)))
        return table.reindex(cohort.samples).to_numpy(np.float32)

    def invert(self, view: str, standardised: np.ndarray) -> np.ndarray:
        """Return standardised values [samples, features] of a view in original units."""
        fitted = self._view(view)
        return invert_standard(standardised, Standard(fitted.mean, fitted.scale))

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
            for field in ("encoder", "mean", "scale", "fill")
            if getattr(view, field) is not None
        }
        with whole_file(Path(folder) / "preprocess.npz") as path:
            np.savez(path, **arrays)
        names = {n: {"kind": v.kind, "features": list(v.features)} for n, v in self.views.items()}
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
                    fill=arrays.get(f"fill:{name}"),
                )
                for name, view in record["views"].items()
            }
        report = pd.DataFrame(record["report"], columns=DROPPED_COLUMNS, dtype=str)
        return cls(views, from_json(PreprocessConfig, record["config"]), report)


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
) -> Preprocess:
    """Fit filters and scalers, in the order of Cai et al. 2024.

    The missing-value filter counts over the rows of each table; what follows uses those of
    them that are measured in `config.min_views` views.

    Args:
      cohort: measured values in original units; gene effects already scaled (`scale_crispr`).
      config: the choices.
      train_samples: who is trained on; the rest is ignored if `config.fit_scope` is `train`.
        None means everybody.

    Raises:
      InputError: nothing is left of a view: no training sample, no feature, or none for the
        encoder.
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
        rows = (table.index.isin(scope), table.index.isin(fitted_on))
        piece = Piece(table.to_numpy(np.float64), *rows)
        statistics[name] = view_statistics(table.columns, [piece])
    return choose_features(statistics, config, cohort.features)


def choose_features(
    statistics: Mapping[str, ViewStatistics],
    config: PreprocessConfig,
    annotations: Mapping[str, pd.DataFrame] | None = None,
) -> Preprocess:
    """Return the preprocessing that follows from statistics of the views.

    Args:
      statistics: of each view, with the training samples as scope, and those of them that are
        measured in `config.min_views` views as fitted rows.
      config: the choices.
      annotations: feature tables of views, for `config.excluded` and `config.order`.

    Raises:
      InputError: nothing is left of a view; see `fit_preprocess`. Or features are to be excluded
        or ordered, and no view has a feature table for it.
    """
    notes: list[tuple[str, str, str, str]] = []
    tables = {name: table for name, table in (annotations or {}).items() if name in statistics}
    if (config.excluded or config.order == "location") and not tables:
        raise InputError(
            "expected feature tables (features_VIEW beside the views) to exclude or order features "
            "by, found none; add them, or leave out excluded and order"
        )
    views = {
        name: _choose(name, found, config, tables.get(name), notes)
        for name, found in statistics.items()
    }
    return Preprocess(views, config, pd.DataFrame(notes, columns=DROPPED_COLUMNS, dtype=str))


def _in_views(cohort: MultiOmics, min_views: int) -> np.ndarray:
    """Return bool [samples]: is it measured in so many views, or in all if there are fewer?"""
    count = sum(cohort.present(name).astype(int) for name in cohort.views)
    return np.asarray(count) >= min(min_views, len(cohort.views))


def _choose(
    name: str,
    found: ViewStatistics,
    config: PreprocessConfig,
    table: pd.DataFrame | None,
    notes: list,
) -> ViewPreprocess:
    """Return the kept features of one view, those that the encoder sees, and their scaling."""
    if not found.scope:
        raise InputError(
            f"view {name!r}: expected it measured in a training sample, found none, although "
            f"{found.rows} samples of the cohort have it; leave the view out, or divide the "
            "samples in another way"
        )
    kept = _kept_features(name, found, config, notes)
    kept = _wanted_features(name, found, kept, config, table, notes)
    if not found.fitted:
        raise InputError(
            f"view {name!r}: expected training samples measured in {config.min_views} views, "
            f"found none among the {found.scope} of this view; lower min_views"
        )
    seen = _shown_features(name, found, kept, config, notes)
    standard = Standard(np.zeros(len(kept)), np.ones(len(kept)))
    if config.scaling != "none" and name not in config.unscaled:
        standard = {"zscore": found.zscore, "minmax": found.minmax}[config.scaling]()
    columns = np.flatnonzero(kept)
    if config.order == "location" and table is not None:
        columns = columns[location_order(found.features[columns], table, name)]
    mean, scale, fill = (part[columns].astype(np.float32) for part in (*standard, found.mean))
    return ViewPreprocess(
        found.features[columns],
        np.flatnonzero(seen[columns]),
        mean,
        scale,
        found.kind,
        fill if name in config.imputed else None,
    )


def _kept_features(
    name: str, found: ViewStatistics, config: PreprocessConfig, notes: list
) -> np.ndarray:
    """Return bool [features]: measured, and let through by the missing-value filter."""
    measured = found.measured > 0
    unseen = "no measured value in any training sample"
    notes.extend((name, "feature", feature, unseen) for feature in found.features[~measured])
    if config.missing_filtered != "all" and name not in config.missing_filtered:
        return measured
    kept = measured & enough_measured(found.measured, found.scope, config.max_missing)
    reason = f"missing in at least {config.max_missing:.0%} of the view's samples"
    notes.extend((name, "feature", feature, reason) for feature in found.features[measured & ~kept])
    if not kept.any():
        raise InputError(
            f"view {name!r}: expected features measured in more than {1 - config.max_missing:.0%} "
            f"of {found.scope} samples, found none; raise max_missing or leave the view out"
        )
    return kept


def _wanted_features(
    name: str,
    found: ViewStatistics,
    kept: np.ndarray,
    config: PreprocessConfig,
    table: pd.DataFrame | None,
    notes: list,
) -> np.ndarray:
    """Return bool [features]: kept, not marked by an annotation, and varying enough."""
    reasons = np.full(len(kept), "", dtype=object)
    if config.variance_threshold is not None and name in config.variance_filtered:
        flat = ~varying(found.deviation(), config.variance_threshold)
        reasons[flat] = f"variance below {config.variance_threshold:g}"
    if config.excluded and table is not None:
        marked = marked_features(found.features, table, config.excluded, name)
        reasons = np.where(marked != "", "marked as " + marked, reasons)
    gone = kept & (reasons != "")
    told = zip(found.features[gone], reasons[gone], strict=True)
    notes.extend((name, "feature", feature, reason) for feature, reason in told)
    wanted = kept & (reasons == "")
    if not wanted.any():
        raise InputError(
            f"view {name!r}: expected features, found none: all {kept.sum()} are marked by the "
            "annotation or vary too little; lower variance_threshold or leave out excluded"
        )
    return wanted


def _shown_features(
    name: str, found: ViewStatistics, kept: np.ndarray, config: PreprocessConfig, notes: list
) -> np.ndarray:
    """Return bool [features]: kept, and shown to the encoder."""
    seen, reason = kept, ""
    if config.encoder_filter == "paper" and name in ESSENTIAL_VIEWS:
        seen, reason = kept & ever_essential(found.low), "never below -0.5"
    elif config.encoder_filter == "paper" and name in VARIABLE_VIEWS:
        deviation = np.where(kept, found.deviation(), np.nan)
        seen, threshold = variable_features(deviation, config.seed)
        reason = f"standard deviation not above {threshold:.4g}"
    if not seen.any():
        raise InputError(
            f"view {name!r}: expected features for the encoder, found none: all {kept.sum()} are "
            f"{reason}; check the units, or set encoder_filter='none'"
        )
    notes.extend((name, "encoder", feature, reason) for feature in found.features[kept & ~seen])
    return seen
