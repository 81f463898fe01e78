"""`report.html` of a run: what was done, with which data, how good it is, what to do next.

`run_report` reads the files of a run folder and leaves out, with a sentence, what is not there.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from jaxomics.data.io import read_indexed, read_table
from jaxomics.errors import InputError
from jaxomics.figures.completion import calibration_curve, completion_map
from jaxomics.figures.integration import latent_by_class_and_view
from jaxomics.figures.latent import latent_scatter
from jaxomics.figures.scores import MODES, feature_curve, metric_label, score_bars, spread_name
from jaxomics.figures.training import training_curves
from jaxomics.methods import COMPARATORS, MODELS
from jaxomics.report.explained import explained_section
from jaxomics.report.fit import fit_section
from jaxomics.report.page import Picture, Section, Table, write_report
from jaxomics.report.scores import CLASSES, OUTCOMES, class_section, outcome_section, score_table

__all__ = ["Picture", "Section", "Table", "run_report", "score_table", "write_report"]

LIMITS = """Filled values are estimates of the model, not measurements. Tests that count them as
independent samples find too much: the number of samples they add is not information.

In the mode "reconstruct" the encoder sees the sample's own values of the scored view. It tells
how much the latent space keeps, not how well a view is predicted; "view_out" tells that, and
"cell_out" tells how well single holes are filled.

Correlations that pool features are dominated by differences between features, which a mean per
feature knows as well. Compare with the baselines beside, and look at the scores per feature.

Scores hold for samples like those of the training data. Other platforms, tissues or units need
a new check. Latent dimensions have no fixed order or sign between two runs."""
"""What every reader of scores and filled values has to know."""


def run_report(
    run: str | Path,
    *,
    measured: Mapping[str, pd.DataFrame] | None = None,
    labels: pd.Series | None = None,
    overwrite: bool = False,
) -> Path:
    """Write `report.html` and `figures/*.png` of a run folder from the files in it.

    Read, as far as they exist: `config.json`, `metrics.jsonl`, and in `tables/` `views`,
    `dropped`, `scores` (or `cv`), `features` (or `cv_features`), `calibration`, `latent`
    (dimensions `z0, z1, ...`; another column is the class) and `measured_VIEW`, all parquet.
    For what is missing the page says so. Tables in `explained/`, as `jaxomics explain` writes
    them, are shown as well.

    Args:
      run: the run folder.
      measured: bool tables [samples, features] by view, instead of `measured_VIEW`.
      labels: class per sample to colour the latent space, instead of the column in `latent`.
      overwrite: replace an existing report and its figures.

    Returns:
      The path of the report.

    Raises:
      InputError: the folder is missing, a file in it is damaged, or a report exists already.
    """
    folder = Path(run)
    if not folder.is_dir():
        raise InputError(f"expected a run folder, found nothing at {folder}; check the path")
    config = _config(folder)
    views = _table(folder, "views")
    leaves_model = config.get("command") != "cv"
    sections = [
        _what_was_run(config),
        _data(folder, views, measured),
        _left_out(_table(folder, "dropped")),
        *_how_it_went(folder, config),
        _scores(folder),
        *class_section(_score_rows(folder), _table(folder, "confusion")),
        *outcome_section(_score_rows(folder)),
        *explained_section(folder),
        *(
            [
                _latent(folder, labels, _single_views(measured)),
                _next_steps(folder, views, str(config.get("model"))),
            ]
            if leaves_model
            else []
        ),
        Section("Limits", LIMITS),
    ]
    return write_report(
        folder / "report.html",
        title=f"Run report: {config.get('model', folder.resolve().name)}",
        sections=sections,
        figures=folder / "figures",
        overwrite=overwrite,
    )


def _table(folder: Path, name: str, indexed: bool = False) -> pd.DataFrame | None:
    """Return a table of the run, None where there is none."""
    path = folder / "tables" / f"{name}.parquet"
    if not path.exists():
        return None
    return read_indexed(path) if indexed else read_table(path)


def _config(folder: Path) -> dict[str, Any]:
    """Return `config.json`, empty where there is none."""
    path = folder / "config.json"
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise InputError(f"{path}: expected JSON, found damage ({error}); train again") from error


def _what_was_run(config: Mapping[str, Any]) -> Section:
    """Return settings, versions, seed and data: one table per part of `config.json`."""
    title = "What was run"
    if not config:
        return Section(title, "The settings are not shown: the run has no config.json.")
    single = {key: value for key, value in config.items() if not isinstance(value, dict)}
    parts = {"run": single} | {k: v for k, v in config.items() if isinstance(v, dict)}
    tables = [
        Table(str(name), pd.DataFrame(_flat(part), columns=pd.Index(["setting", "value"])))
        for name, part in parts.items()
        if part
    ]
    return Section(title, "Everything needed to repeat the run, from config.json.", tuple(tables))


def _flat(part: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return (dotted name, text) of nested settings; long lists are cut."""
    rows = []
    for key, value in part.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            rows += _flat(value, f"{name}.")
            continue
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
        rows.append((name, text if len(text) <= 200 else f"{text[:200]}… ({len(text)} characters)"))
    return rows


def _data(
    folder: Path, views: pd.DataFrame | None, measured: Mapping[str, pd.DataFrame] | None
) -> Section:
    """Return the summary of the views and the map of what was measured."""
    cells = _measured(folder, views) if measured is None else measured
    text, tables, pictures = [], (), ()
    if views is None:
        text.append("The views are not summarised: the run has no tables/views.parquet.")
    else:
        tables = (Table("views as the model saw them", views),)
    if cells:
        caption = "Every sample and feature; a pixel averages a block of them."
        pictures = (Picture("completion", caption, completion_map(cells)),)
    else:
        text.append("What was measured is not drawn: the run has no tables/measured_VIEW.parquet.")
    return Section("The data", "\n\n".join(text), tables, pictures)


def _measured(folder: Path, views: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    """Return the bool tables of the run, in the order of the views' summary."""
    files = sorted(folder.glob("tables/measured_*.parquet"))
    found = {file.stem.removeprefix("measured_"): file for file in files}
    order = [] if views is None else [name for name in _view_names(views) if name in found]
    return {name: read_indexed(found[name]) for name in dict.fromkeys([*order, *found])}


def _view_names(views: pd.DataFrame) -> list[str]:
    """Return the views that the summary lists."""
    return [str(name) for name in views["view"]] if "view" in views else []


def _left_out(dropped: pd.DataFrame | None) -> Section:
    """Return what was dropped, counted by view and reason."""
    title = "What was left out, and why"
    if dropped is None:
        return Section(title, "Not shown: the run has no tables/dropped.parquet.")
    if dropped.empty:
        return Section(title, "Nothing: every sample, feature and view was used.")
    by = ["view", "item", "reason"]
    counts = dropped.groupby(by, sort=False, dropna=False).agg(
        number=("name", "size"), examples=("name", _examples)
    )
    text = "Counts by reason; tables/dropped.parquet lists every one."
    return Section(title, text, (Table("left out", counts.reset_index()),))


def _examples(names: pd.Series) -> str:
    """Return the first three names."""
    return ", ".join(names.astype(str).iloc[:3]) + (", …" if len(names) > 3 else "")


def _how_it_went(folder: Path, config: Mapping[str, Any]) -> list[Section]:
    """Return what there is to tell of a training, or of the one fit of a comparator."""
    if config.get("model") not in COMPARATORS:
        return [_training(folder, config)]
    return [] if config.get("command") == "cv" else [fit_section(folder)]


def _training(folder: Path, config: Mapping[str, Any]) -> Section:
    """Return the training curves and the last values, without terms that have no weight."""
    path = folder / "metrics.jsonl"
    metrics = _metrics(path) if path.exists() else pd.DataFrame()
    if metrics.empty:
        return Section("Training", "Not shown: the run has no lines in metrics.jsonl.")
    by = [name for name in ("replica", "split") if name in metrics]
    last = metrics.groupby(by, sort=False).tail(1) if by else metrics.tail(1)
    off = _weightless(config)
    wanted = ("epoch", *by, "loss", "kl", "contrastive", "lr")
    shown = [name for name in wanted if name in last and name not in off]
    caption = "Loss and its parts, and what steers the training, over epochs."
    return Section(
        "Training",
        tables=(Table("at the last epoch of each replica", last.filter(items=shown)),),
        pictures=(Picture("training", caption, training_curves(metrics, off=off)),),
    )


def _weightless(config: Mapping[str, Any]) -> list[str]:
    """Return the loss terms whose weight is 0 by the run's settings, `kl_weight` for `kl`.

    A search inside folds draws weights of its own, so there no term counts as off.
    """
    searched = config.get("cv", {}).get("search", 0)
    hyper = {} if searched else config.get("settings", {}).get("hyper", {})
    return [
        name.removesuffix("_weight")
        for name, value in hyper.items()
        if name.endswith("_weight") and value == 0
    ]


def _metrics(path: Path) -> pd.DataFrame:
    """Return the training log; of epochs that were repeated after a resume, the last lines.

    A last line that was cut off by an interruption is left out.
    """
    rows = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            if number < len(lines):
                message = f"{path}: expected JSON in line {number}, found damage; train again"
                raise InputError(message) from error
    metrics = pd.DataFrame(rows)
    by = [name for name in ("epoch", "replica", "split") if name in metrics]
    return metrics.drop_duplicates(by, keep="last") if by else metrics


def _score_rows(folder: Path) -> pd.DataFrame | None:
    """Return the scores of a run or a cross-validation, if there are any."""
    scores = _table(folder, "scores")
    return _table(folder, "cv") if scores is None else scores


def _scores(folder: Path) -> Section:
    """Return score tables and bars per metric, curves over features, and calibration."""
    scores = _score_rows(folder)
    scores = None if scores is None else scores[~scores["mode"].isin((CLASSES, OUTCOMES))]
    features = _table(folder, "features")
    features = _table(folder, "cv_features") if features is None else features
    calibration = _table(folder, "calibration")
    text, tables, pictures = [], [], []
    if scores is None or scores.empty:
        text.append("No scores: the run has neither tables/scores.parquet nor tables/cv.parquet.")
    else:
        spread = spread_name(scores)
        text.append(f"Scores{f': {spread}' * bool(spread)}; the best value is bold.")
        for (data, metric), rows in _groups(scores, ["dataset", "metric"]).items():
            for (mode,), part in _groups(rows, ["mode"]).items():
                tables.append(score_table(part, metric, mode))
            caption = f"{metric_label(metric)}, data: {data}."
            name = _file_name(f"scores_{data}_{metric}")
            pictures.append(Picture(name, caption, score_bars(rows, metric)))
    if features is None or features.empty:
        text.append("No curves over features: the run has no tables/features.parquet.")
    else:
        pictures += _feature_pictures(features)
    if calibration is not None and not calibration.empty:
        caption = "Share of true values inside the stated intervals."
        pictures.append(Picture("calibration", caption, calibration_curve(calibration)))
    return Section("Scores, beside the baselines", "\n\n".join(text), (*tables,), (*pictures,))


def _feature_pictures(features: pd.DataFrame) -> list[Picture]:
    """Return one figure of curves per data set and mode, of the correlation if there is one."""
    metrics = list(features["metric"].unique())
    metric = "pearson" if "pearson" in metrics else metrics[0]
    return [
        Picture(
            _file_name(f"features_{data}_{mode}"),
            f"Scores of single features, sorted; {MODES.get(mode, mode)}; data: {data}.",
            feature_curve(rows, metric),
        )
        for (data, mode, name), rows in _groups(features, ["dataset", "mode", "metric"]).items()
        if name == metric
    ]


def _groups(table: pd.DataFrame, by: list[str]) -> dict[tuple[str, ...], pd.DataFrame]:
    """Return the rows of each combination of values, in the order of the table."""
    numbers = table.groupby(by, sort=False, dropna=False).ngroup().to_numpy()
    parts = [table.iloc[np.flatnonzero(numbers == i)] for i in range(numbers.max(initial=-1) + 1)]
    return {tuple(str(part[name].iloc[0]) for name in by): part for part in parts}


def _file_name(text: str) -> str:
    """Return text with everything but letters, digits, `-` and `_` replaced by `-`."""
    return "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in text)


def _single_views(measured: Mapping[str, pd.DataFrame] | None) -> pd.Series | None:
    """Return the view of each sample, None where some sample has several."""
    rows = [pd.Series(str(view), table.index) for view, table in (measured or {}).items()]
    views = pd.concat(rows) if len(rows) > 1 else None
    return None if views is None or views.index.has_duplicates else views


def _latent(folder: Path, labels: pd.Series | None, views: pd.Series | None) -> Section:
    """Return the samples in the latent space; twice where each has a view of its own."""
    title = "Latent space"
    table = _table(folder, "latent", indexed=True)
    if table is None or table.empty:
        return Section(title, "Not shown: the run has no tables/latent.parquet.")
    dimensions = table.filter(regex=r"^z\d+$")
    others = table.drop(columns=list(dimensions.columns))
    if labels is None and others.shape[1] > 0:
        labels = others.iloc[:, 0]
    text = f"{len(table):,} samples in {dimensions.shape[1]:,} dimensions."
    caption = "Each point is a sample; close points have similar profiles over all views."
    if views is None:
        figure = latent_scatter(dimensions, labels)
    else:
        caption = (
            "Each point is a sample. Aligned views lie together: the right picture does not fall "
            "apart by view."
        )
        classes = pd.Series(pd.NA, dimensions.index, dtype="string") if labels is None else labels
        figure = latent_by_class_and_view(dimensions, classes, views)
    picture = Picture("latent", caption, figure)
    return Section(title, text, pictures=(picture,))


def _next_steps(folder: Path, views: pd.DataFrame | None, model: str) -> Section:
    """Return the commands that use the run: those that its model has."""
    run = shlex.quote(folder.as_posix())
    names = [] if views is None else _view_names(views)
    known = {
        "impute": [
            "# fill what is missing; measured values stay as they are",
            f"jaxomics impute {run} --out completed",
        ],
        "embed": [
            "# latent means, also of new samples (--data PATH)",
            f"jaxomics embed {run} --out latent.parquet",
        ],
        "predict": [
            "# classes and probabilities, also of new samples",
            f"jaxomics predict {run} --out classes.parquet",
        ],
    }
    if len(names) > 1:
        source, target = shlex.quote(names[0]), shlex.quote(names[1])
        out = shlex.quote(f"{names[1]}_predicted.parquet")
        known["translate"] = [
            "# predict one view from another",
            f"jaxomics translate {run} --source {source} --target {target} --out {out}",
        ]
    entry = MODELS.get(model) or COMPARATORS.get(model)
    verbs = entry.verbs if entry else ("impute", "embed", "translate")
    commands = [line for verb, lines in known.items() if verb in verbs for line in lines]
    return Section("How to use this run", commands=tuple(commands))
