"""Scores in a report: one table per metric and mode; predicted classes and other outcomes."""

import pandas as pd

from jaxomics.figures.integration import ALL, confusion_panels
from jaxomics.figures.scores import MODES, better, mean_of_views, metric_label, over_runs
from jaxomics.metrics.classification import CLASSES
from jaxomics.metrics.outcomes import OUTCOMES
from jaxomics.report.page import Picture, Section, Table

CLASS_METRICS = ("accuracy", "balanced_accuracy", "macro_jaccard", "macro_f1", "macro_auc")
"""Scores of predicted classes that a report shows; the table has more."""

CLASS_TEXT = """Each view predicts the class by itself; `all` pools the views. An accuracy says
little where classes differ in size: look at the balanced accuracy, and at the recall of each class
in the confusion matrices. Accuracy that a classifier of the view alone reaches as well (logistic,
where it stands beside) shows that the classes can be told, not that joining views helps."""


def score_table(rows: pd.DataFrame, metric: str, mode: str, *, mean: bool = True) -> Table:
    """Return views x models, mean ± standard deviation over folds and seeds, best in bold.

    The last line is the mean over the views that every model scored, if there are any; `all`,
    which pools views, is none. Values that look the same when rounded are equally good.

    Args:
      rows: tidy scores of one data set, metric and mode.
      metric: its name.
      mode: its name.
      mean: add the line with the mean.

    >>> rows = pd.DataFrame({"model": ["mosa", "mean"], "view": "rna", "value": [0.7, 0.2],
    ...                      "fold": 0, "seed": 0})
    >>> table = score_table(rows, "pearson", "view_out")
    >>> table.frame["mosa"].tolist(), table.bold.tolist()[0]
    (['0.700', '0.700'], [False, True, False])
    """
    models, views = list(rows["model"].unique()), list(rows["view"].unique())
    center, spread = over_runs(rows, models, views)
    shared = [view for view in views if view != ALL and center[view].count() == len(models)]
    shared = shared if mean else []
    if shared:
        last_center, last_spread = over_runs(mean_of_views(rows, shared), models, ["mean"])
        center = pd.concat([center, last_center], axis=1)
        spread = pd.concat([spread, last_spread], axis=1)
    center, spread = center.T, spread.T
    rounded = center.map(short)
    direction = better(metric)
    best = center.max(axis=1) if direction == "higher" else center.min(axis=1)
    bold = rounded.eq(best.map(short), axis=0) & center.notna() & (direction is not None)
    cells = rounded + spread.map(lambda value: f" ± {short(value)}" if pd.notna(value) else "")
    cells.insert(0, "view", [*map(str, views), *([f"mean of {len(shared)}"] if shared else [])])
    bold.insert(0, "view", False)
    data = f"{rows['dataset'].iloc[0]}, " if "dataset" in rows else ""
    caption = f"{data}{metric_label(metric)}; {MODES.get(mode, mode)}"
    return Table(caption, cells, bold.to_numpy(dtype=bool))


def short(value: float) -> str:
    """Return a score with three decimals, or four digits where that would hide it."""
    if pd.isna(value):
        return "–"
    return f"{value:.3f}" if value == 0 or 1e-2 <= abs(value) < 1e3 else f"{value:.4g}"


def class_section(scores: pd.DataFrame | None, confusion: pd.DataFrame | None) -> list[Section]:
    """Return what held-out samples say of predicted classes; nothing where none were scored.

    Args:
      scores: tidy scores; rows of mode `classes` count.
      confusion: counts by view, true and predicted class, of the model.
    """
    rows = None if scores is None else scores[scores["mode"] == CLASSES]
    if rows is None or rows.empty:
        return []
    tables = [
        score_table(rows[rows["metric"] == metric], metric, CLASSES)
        for metric in CLASS_METRICS
        if (rows["metric"] == metric).any()
    ]
    pictures = ()
    if confusion is not None and not confusion.empty:
        caption = "Rows are true classes; each adds up to 1."
        pictures = (Picture("confusion", caption, confusion_panels(confusion)),)
    return [Section("Classes of held-out samples", CLASS_TEXT, (*tables,), pictures)]


OUTCOME_TEXT = """Survival, values and further classes, each predicted from all views of a sample.
`components` are regressions on principal components of the same views: ridge for values, logistic
for classes, Cox with a ridge for survival. The integrated Brier score is to be read beside that of
the Kaplan-Meier curve, which knows nothing of the sample."""


def outcome_section(scores: pd.DataFrame | None) -> list[Section]:
    """Return what held-out samples say of predicted outcomes; nothing where none were scored.

    Args:
      scores: tidy scores; rows of mode `outcomes` count, whose view is the name of the outcome.
    """
    rows = None if scores is None else scores[scores["mode"] == OUTCOMES]
    if rows is None or rows.empty:
        return []
    tables = [
        score_table(pd.DataFrame(part), str(metric), OUTCOMES, mean=False)
        for metric, part in rows.groupby("metric", sort=False)
    ]
    return [Section("Outcomes of held-out samples", OUTCOME_TEXT, (*tables,))]
