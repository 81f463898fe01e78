"""What a search leaves in its run folder: tables, figures, and the best settings."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from jaxomics.commands.notes import tell
from jaxomics.commands.train import provenance
from jaxomics.commands.trials import best_settings
from jaxomics.config import to_json
from jaxomics.data.atomic import whole_file
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import write_table
from jaxomics.estimator import Estimator
from jaxomics.figures.search import (
    NOT_SETTINGS,
    optimisation_history,
    parallel_coordinates,
    setting_importance,
)
from jaxomics.figures.style import png
from jaxomics.presets import Settings

if TYPE_CHECKING:
    from jaxomics.search.study import Search

BEST = "settings.json"
"""File with the best settings, in the form that `config.json` of a run has them."""


class Found(NamedTuple):
    """What a search found.

    Attributes:
      settings: the best ones, ready to train with on all samples.
      trials: table of all trials.
    """

    settings: Settings
    trials: pd.DataFrame


def write_findings(
    out: Path,
    search: "Search",
    asked: Estimator,
    cohort: MultiOmics,
    judged: str,
    *,
    csv: bool,
    quiet: bool,
) -> Found:
    """Write tables, figures and the best settings of a search.

    Args:
      out: run folder.
      search: with its trials.
      asked: with the settings that were not searched.
      cohort: the data, named in the metadata of the tables.
      judged: what the value of a trial is.
      csv: also write tables as CSV.
      quiet: do not tell what was best.

    Raises:
      InputError: no trial went to its end; the tables are written all the same.
    """
    from jaxomics.search.tables import importance_table, timing_table, trials_table

    trials, importance = trials_table(search), importance_table(search, asked.seed)
    about = provenance(asked, cohort)
    save = partial(write_table, metadata=about, csv=csv, overwrite=True)
    save(trials, out / "tables" / "trials.parquet")
    save(importance, out / "tables" / "importance.parquet")
    save(timing_table(search), out / "tables" / "timing.parquet")
    _draw(out / "figures", trials, importance, judged)
    best = search.best()
    settings = best_settings(asked.settings, search.values(best.params))
    with whole_file(out / BEST) as temporary:
        temporary.write_text(json.dumps(to_json(settings), indent=1) + "\n", encoding="utf-8")
    told = f"best of {len(trials)} trials: trial {best.number}, {judged} {best.value:.4g}"
    tell([f"{told}; its settings are in {out / BEST}, all trials in {out}"], quiet=quiet)
    return Found(settings, trials)


def _draw(folder: Path, trials: pd.DataFrame, importance: pd.DataFrame, judged: str) -> None:
    """Draw the figures for which there are enough trials."""
    drawn = {"history": optimisation_history(trials, judged)}
    if len(importance):
        drawn["importance"] = setting_importance(importance)
    settings = [c for c in trials.columns if c not in NOT_SETTINGS and trials[c].nunique() > 1]
    if settings and (trials["state"] == "complete").any():
        drawn["parallel"] = parallel_coordinates(trials, judged)
    for name, figure in drawn.items():
        with whole_file(folder / f"{name}.png") as temporary:
            temporary.write_bytes(png(figure))
