"""The part of a run's report on what drives its outputs, from the tables of an explanation."""

from pathlib import Path

import pandas as pd

from jaxomics.data.io import read_table
from jaxomics.figures.attribution import importance_bars
from jaxomics.report.page import Picture, Section, Table

EXPLAINED = "explained"
"""Folder in a run folder with the tables that `jaxomics explain` writes."""
TITLE = "What drives the outputs"


def explained_section(folder: Path) -> list[Section]:
    """Return the features of largest attribution per target; nothing where nothing is explained.

    Read in `explained/`: `importance`, `views`, `completeness`, and `biomarkers` if there are any
    that are known (columns output, view, feature, rank, candidates).

    Args:
      folder: of the run.
    """
    if not (folder / EXPLAINED / "importance.parquet").exists():
        return []
    importance, views, completeness = (
        read_table(folder / EXPLAINED / f"{name}.parquet")
        for name in ("importance", "views", "completeness")
    )
    pictures, text = [], [_words(completeness)]
    for target in importance["target"].unique():
        name = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in str(target))
        caption = f"{target}: the features of largest attribution, by view."
        rows = pd.DataFrame(importance[importance["target"] == target])
        pictures.append(Picture(f"explained_{name}", caption, importance_bars(rows, n=8)))
    tables = [Table("what each view contributes", views)]
    known = folder / EXPLAINED / "biomarkers.parquet"
    if known.exists():
        text.append(_recovery(read_table(known)))
        tables.append(
            Table("planted biomarkers, by the rank of their attribution", read_table(known))
        )
    return [Section(TITLE, "\n\n".join(text), tuple(tables), tuple(pictures))]


def _words(completeness: pd.DataFrame) -> str:
    """Return what the numbers are, and how complete."""
    text = (
        "Attributions (expected gradients) of all inputs, mean absolute values over samples; they "
        "explain the model, not the biology behind it."
    )
    change = (completeness["output"] - completeness["baseline_output"]).abs()
    if not change.gt(0).any():
        return text
    gap = float((completeness["gap"].abs() / change.where(change > 0)).median())
    return f"{text} Median completeness gap: {gap:.1%} of the output's change."


def _recovery(known: pd.DataFrame) -> str:
    """Return how many known biomarkers were found."""
    if known.empty:
        return "No planted biomarker is among the features."
    high = int((known["rank"] <= (0.05 * known["candidates"]).clip(lower=1)).sum())
    return (
        f"{high} of {len(known)} biomarkers that the simulation planted stand among the first 5 % "
        "of the features outside their own assay; by chance it would be 5 % of them."
    )
