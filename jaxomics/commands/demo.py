"""`demo`: the main job from end to end, on simulated cell lines whose holes have known values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from jaxomics.attribution.targets import CONDITIONALS
from jaxomics.commands.notes import left_out, tell
from jaxomics.commands.options import Flag
from jaxomics.commands.train import (
    clear_run,
    dropped_table,
    fit_recorded,
    provenance,
    refuse_early,
    views_table,
    write_report,
)
from jaxomics.comparators.registry import QUICK, get
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.data.simulate import Simulated, simulate_depmap, write_simulation
from jaxomics.engine.fit import Recorder
from jaxomics.estimator import Estimator
from jaxomics.explain.explanation import Explanation
from jaxomics.metrics.imputation import score_imputation, summarise_imputation
from jaxomics.metrics.intervals import LEVELS, calibration
from jaxomics.metrics.tables import FEATURE_COLUMNS, SCORE_COLUMNS, join, score_rows
from jaxomics.presets import preset
from jaxomics.presets import quick as small_settings
from jaxomics.report.explained import EXPLAINED
from jaxomics.runfolder import describe_run, finish_run, start_run

MODEL = "mosa"
RESPONSE = "view:drugresponse"
"""Target that is explained beside the latents."""
EXPLAIN_DRAWS, QUICK_SAMPLES = 32, 16
"""Gradients per sample, and samples explained in a quick demonstration."""
DRAWS = 20
"""Posterior draws behind the standard deviations."""

HEADLINES = {
    "mean_r": "correlation with the truth, mean over features (higher is better)",
    "mean_relative_error": "squared error relative to the feature mean (lower is better)",
}
"""Metrics that are kept and printed."""

KINDS = {"view_out": "whole view", "cell_out": "single cells"}
"""Modes of scoring, by what was missing."""


@dataclass(frozen=True)
class Demo:
    """What a demonstration found; `str()` is what the command line prints.

    Attributes:
      scores: tidy scores of every method on the hidden cells.
      report: path of the page.
    """

    scores: pd.DataFrame
    report: Path

    def __str__(self) -> str:
        parts = ["Values that were missing from the tables, filled in and compared with the truth"]
        for metric, title in HEADLINES.items():
            rows = self.scores.loc[self.scores["metric"] == metric]
            wide = rows.assign(missing=[KINDS[mode] for mode in rows["mode"]]).pivot_table(
                index=["view", "missing"], columns="model", values="value", sort=False, dropna=False
            )
            wide = wide.reindex(columns=list(dict.fromkeys(rows["model"]))).dropna(how="all")
            wide.loc[("mean of the above", ""), :] = wide.mean()
            text = wide.reset_index().rename_axis(columns=None)
            shown = text.to_string(index=False, na_rep="-", float_format="{:.2f}".format)
            parts.append(f"{title}\n{shown}")
        parts.append(f"report: {self.report}")
        return "\n\n".join(parts)


def demo(
    *,
    out: Path = Path("jaxomics-demo"),
    quick: Flag = False,
    seed: int = 0,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Demo:
    """Run the main job on simulated cell lines: train, complete, score, explain, report.

    The cohort has seven views with holes whose true values are known. MOSA and four simple
    methods fill them; all are scored on the same hidden cells. Latents and drug responses are
    explained, and the planted biomarkers of the drugs looked up among what explains them.

    Args:
      out: folder to write: a run folder with data/, completed/, explained/ and report.html.
      quick: a tiny cohort and few epochs; for a first look, the scores mean little.
      seed: of the cohort and of training.
      overwrite: replace an existing demonstration.
      quiet: print neither progress nor notes.

    Returns:
      Scores and the path of the report.
    """
    refuse_early(out, resume=False, overwrite=overwrite)
    clear_run(out)
    sim = simulate_depmap("tiny" if quick else "small", seed)
    settings = preset(MODEL, "recommended")
    estimator = Estimator(small_settings(settings) if quick else settings, model=MODEL, seed=seed)
    start_run(out, describe_run(estimator, sim.cohort, out / "data"))
    write_simulation(sim, out / "data")
    cohort = read_cohort(out / "data")
    fit_recorded(estimator, cohort, Recorder(out, quiet=quiet, label=MODEL))
    finish_run(out, estimator)
    tell([*estimator.notes_, *left_out(dropped_table(estimator, cohort))], quiet=quiet)
    deviations = estimator.uncertainty(draws=DRAWS)
    filled = {MODEL: estimator.impute(), **fill_simply(estimator, cohort, seed)}
    scores, features = score_hidden(filled, sim, cohort, seed)
    explained = explain_outputs(estimator, cohort, sim, QUICK_SAMPLES if quick else None, seed)
    tables = {
        "latent": estimator.transform().reset_index(),
        "views": views_table(estimator, cohort),
        "dropped": dropped_table(estimator, cohort),
        "scores": scores,
        "features": features,
        "calibration": calibrate(filled[MODEL], deviations, sim, cohort),
    }
    about = provenance(estimator, cohort)
    completed = {f"completed/{name}": table for name, table in filled[MODEL].items()}
    spread = {f"completed/uncertainty/{name}": table for name, table in deviations.items()}
    named = {f"tables/{name}": table for name, table in tables.items()}
    named |= {f"{EXPLAINED}/{name}": table for name, table in explained.items()}
    for name, table in {**named, **completed, **spread}.items():
        write_table(table, out / f"{name}.parquet", about)
    return Demo(scores, write_report(out, estimator, cohort))


def fill_simply(
    estimator: Estimator, cohort: MultiOmics, seed: int
) -> dict[str, dict[str, pd.DataFrame]]:
    """Complete the cohort by every quick comparator; the conditionals are one more view to them.

    Returns:
      By method and view, tables [samples, features] in original units.
    """
    arrays: dict[str, np.ndarray] = dict(estimator.preprocess_.arrays(cohort))
    conditionals = estimator.conditionals_.apply(cohort)
    if conditionals.shape[1]:
        arrays["conditionals"] = conditionals
    filled = {}
    for name in QUICK:
        complete = get(name).fit(arrays, seed).reconstruct(arrays)
        filled[name] = {
            view: pd.DataFrame(complete[view], cohort.samples, fitted.features)
            for view, fitted in estimator.preprocess_.views.items()
        }
    return filled


def explain_outputs(
    estimator: Estimator, cohort: MultiOmics, sim: Simulated, most: int | None, seed: int
) -> dict[str, pd.DataFrame]:
    """Explain latents and drug responses, and rank the biomarkers that were planted.

    Args:
      estimator: fitted.
      cohort: its data.
      sim: with the biomarkers.
      most: explain so many samples; None = all.
      seed: of the draws.

    Returns:
      Tables as `jaxomics explain` writes them, and `biomarkers` (see `rank_planted`).
    """
    found = estimator.explain(
        cohort, target=["latent", RESPONSE], draws=EXPLAIN_DRAWS, samples=cohort.samples[:most],
        seed=seed,
    )  # fmt: skip
    return {
        "importance": found.importance(),
        "views": found.views(),
        "completeness": found.completeness(),
        "top": found.top(),
        "biomarkers": rank_planted(found, sim.biomarkers),
    }


def rank_planted(found: Explanation, biomarkers: pd.DataFrame) -> pd.DataFrame:
    """Return the planted biomarkers of the outputs explained, with their ranks.

    Args:
      found: the explanation.
      biomarkers: columns target_view, target, view, feature, effect.

    Returns:
      Columns output, view, feature, rank and candidates; features of the output's own view take
      no part, since the best predictor of a response is another response.
    """
    names = [name for target in found.targets for name in target.names]
    rows = []
    for target_view, target, source, feature in biomarkers.iloc[:, :4].itertuples(index=False):
        output = f"{target_view}/{target}"
        view = source if source in found.features else CONDITIONALS
        if output not in names or feature not in found.features[view]:
            continue
        sizes = {
            name: np.asarray(values)[names.index(output)]
            for name, values in found.totals.absolute.items()
            if name != target_view
        }
        own, every = (
            sizes[view][found.features[view].index(feature)],
            np.concatenate([*sizes.values()]),
        )
        rows.append((output, view, feature, 1 + int((every > own).sum()), len(every)))
    columns = ["output", "view", "feature", "rank", "candidates"]
    return pd.DataFrame(rows, columns=pd.Index(columns)).sort_values("rank", ignore_index=True)


def hidden_cells(cohort: MultiOmics, view: str) -> dict[str, np.ndarray]:
    """Return bool [samples, features] by mode: cells of absent views, holes of measured views."""
    missing = cohort.table(view).isna().to_numpy()
    absent = ~cohort.present(view)[:, None]
    return {"view_out": missing & absent, "cell_out": missing & ~absent}


def score_hidden(
    filled: Mapping[str, Mapping[str, pd.DataFrame]], sim: Simulated, cohort: MultiOmics, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Score all methods on the cells that the cohort lacks, per view and per feature."""
    scores, features = [], []
    for view, table in cohort.views.items():
        reference = pd.Series(table.mean(axis=0))
        for mode, hidden in hidden_cells(cohort, view).items():
            if not hidden.any():
                continue
            for method, tables in filled.items():
                estimate = tables[view]
                columns = estimate.columns
                truth = sim.truth[view].loc[cohort.samples, columns]
                cells = hidden[:, table.columns.get_indexer(columns)]
                mean = reference.reindex(columns).to_numpy()
                about = {"dataset": "simulated", "model": method, "mode": mode, "view": view}
                summary = summarise_imputation(truth, estimate, cells, mean)
                kept = {name: summary[name] for name in HEADLINES}
                scores.append(score_rows(kept, seed=seed, **about))
                rows = score_imputation(truth, estimate, cells, mean)
                rows = rows.query("metric in ('r', 'relative_error') and n > 0")
                features.append(rows.assign(fold=-1, seed=seed, **about)[FEATURE_COLUMNS])
    return join(scores, SCORE_COLUMNS), join(features, FEATURE_COLUMNS)


def calibrate(
    completed: Mapping[str, pd.DataFrame],
    deviations: Mapping[str, pd.DataFrame],
    sim: Simulated,
    cohort: MultiOmics,
) -> pd.DataFrame:
    """Return how often the truth lies inside the stated intervals: view, nominal, observed."""
    rows = []
    for view, table in completed.items():
        hidden = cohort.table(view)[table.columns].isna()
        if hidden.to_numpy().any():
            truth = sim.truth[view].loc[table.index, table.columns].where(hidden)
            found = calibration(truth.to_numpy(), table.to_numpy(), deviations[view].to_numpy())
            rows += [(view, level, found[f"coverage_{100 * level:g}"]) for level in LEVELS]
    return pd.DataFrame(rows, columns=pd.Index(["view", "nominal", "observed"]))
