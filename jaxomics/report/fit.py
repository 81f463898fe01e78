"""What a report tells of the fit of a comparator: how it went, and what its dimensions explain."""

from pathlib import Path

import pandas as pd

from jaxomics.data.io import read_table
from jaxomics.report.page import Section, Table

SHOWN = 15
"""The most dimensions that a table shows."""


def fit_section(folder: Path) -> Section:
    """Return the tables that the method left: `explained`, `bound` and `path`, as far as present.

    Args:
      folder: of a run.
    """
    text, tables = ["Fitted in one go: there are no epochs to draw."], []
    found = {name: _table(folder, name) for name in ("explained", "bound", "path", "timing")}
    if found["timing"] is not None:
        text.append(f"The fit took {found['timing']['seconds'].sum():.2f} s.")
    if found["bound"] is not None:
        bounds = found["bound"]
        text.append(f"{len(bounds)} iterations; the bound ended at {bounds['bound'].iloc[-1]:.6g}.")
    if found["explained"] is not None:
        caption = "share of each view's variance that the first dimensions explain"
        tables.append(Table(caption, _wide(found["explained"])))
    if found["path"] is not None:
        tables.append(Table("penalties tried, with their error on hidden cells", found["path"]))
    return Section("The fit", "\n\n".join(text), tuple(tables))


def _wide(explained: pd.DataFrame) -> pd.DataFrame:
    """Return one row per dimension and one column per view."""
    dimensions = explained["dimension"].unique()[:SHOWN]
    wide = explained.pivot(index="dimension", columns="view", values="share")
    return wide.loc[dimensions, explained["view"].unique()].reset_index()


def _table(folder: Path, name: str) -> pd.DataFrame | None:
    """Return a table of the run, None where there is none."""
    path = folder / "tables" / f"{name}.parquet"
    return read_table(path) if path.exists() else None
