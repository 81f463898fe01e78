"""Do explanations find what drives responses, where the truth is known? On the simulated cohort.

The truth lists the biomarkers planted for each drug. A model is trained, all drugs are explained,
and each biomarker is ranked among all features, beside its rank by correlation and by
permutation.
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd
import recovery
import trust
from outputs import outputs

import jaxomics
from jaxomics.data.io import write_table
from jaxomics.data.simulate import Simulated
from jaxomics.explain.run import How
from jaxomics.figures.attribution_convergence import draw_convergence, node_convergence
from jaxomics.figures.style import png

METHODS = ("expected", "integrated", "smooth", "gradient")
NODES = 32


@dataclass(frozen=True)
class Planted:
    """Rank the planted biomarkers of a simulated cohort.

    Attributes:
      out: where tables and figures go.
      size: of the cohort.
      view: whose outputs are explained, `drugresponse` or `crisprcas9`.
      epochs: of the training.
      members: networks of the ensemble.
      draws: gradients per sample.
      samples: explained, drawn at random; all by default.
      permuted: samples among which features are permuted.
      studied: samples on which convergence and quality are measured.
      seed: of everything.
    """

    out: Path
    size: str = "small"
    view: str = "drugresponse"
    epochs: int = 50
    members: int = 5
    draws: int = 64
    samples: int | None = None
    permuted: int = 64
    studied: int = 3
    seed: int = 0


def planted(options: Planted) -> None:
    """Train, explain, rank and judge; write tables and figures, and print what they say."""
    simulated = jaxomics.simulate_depmap(options.size, seed=options.seed)
    settings = jaxomics.preset("mosa", "recommended")
    train = replace(settings.train, epochs=options.epochs, ensemble=options.members)
    if options.members < 2:
        train = replace(train, cross_fit=False)
    estimator = jaxomics.Estimator(replace(settings, train=train), seed=options.seed)
    _timed("train", lambda: estimator.fit(simulated.cohort))
    found = recovered(estimator, simulated, options)
    options.out.mkdir(parents=True, exist_ok=True)
    write_table(found, options.out / "recovery.parquet", csv=True, overwrite=True)
    short = recovery.summary(found, ["question", "method"])
    write_table(short, options.out / "recovery_short.parquet", csv=True, overwrite=True)
    print(recovery.markdown(short.set_index(["question", "method"])), end="\n\n")
    for question, part in found.groupby("question", sort=False):
        figure = recovery.recovery_curves(part)
        (options.out / f"recovery_{question}.png").write_bytes(png(figure))
    if options.studied:
        studied(estimator, simulated.cohort, str(found["output"].iloc[0]), options)


def recovered(
    estimator: jaxomics.Estimator, simulated: Simulated, options: Planted
) -> pd.DataFrame:
    """Return the rank of every planted biomarker, by question and method.

    Questions: `all` inputs are read and ranked; `others`, inputs of the explained view are read
    but not ranked; `withheld`, they are neither read nor ranked.
    """
    cohort, view = simulated.cohort, options.view
    withheld = cohort.without_samples(view, cohort.samples)
    known = simulated.biomarkers.query("target_view == @view")
    known = known.assign(output=view + "/" + known["target"])
    features = recovery.measured(estimator, cohort)
    responses = pd.DataFrame(features[view]).add_prefix(f"{view}/")
    simple = {"correlation": recovery.correlations(features, responses).abs()}
    read = scores(estimator, cohort, options) | simple
    alone = scores(estimator, withheld, options) | simple
    questions = [("all", read, ()), ("others", read, (view,)), ("withheld", alone, (view,))]
    return pd.concat(
        [
            recovery.ranks(table, known, left_out).assign(question=question, method=method)
            for question, tables, left_out in questions
            for method, table in tables.items()
        ],
        ignore_index=True,
    )


def scores(
    estimator: jaxomics.Estimator, cohort: jaxomics.MultiOmics, options: Planted
) -> dict[str, pd.DataFrame]:
    """Return the scores of every method that looks into the model, by method."""
    target, rng = f"view:{options.view}", np.random.default_rng(options.seed)
    order = rng.permutation(cohort.samples)
    chosen = None if options.samples is None else np.sort(order[: options.samples])
    tables = {}
    for method in METHODS:
        how = How(method, NODES if method == "integrated" else options.draws)
        found = _timed(
            method,
            lambda how=how: estimator.explain(
                cohort, target=target, how=how, samples=chosen, seed=options.seed
            ),
        )
        tables[method] = recovery.explained_scores(found)
        if method == "expected":
            tables["expected, rms"] = recovery.explained_scores(found, squared=True)
    written, columns = outputs(estimator, cohort, target), next(iter(tables.values())).columns
    rows = np.flatnonzero(cohort.samples.isin(order[: options.permuted]))
    tables["permutation"] = _timed(
        "permutation",
        lambda: recovery.permutation_scores(written, columns, rows, options.seed),
    )
    return tables


def studied(
    estimator: jaxomics.Estimator, cohort: jaxomics.MultiOmics, name: str, options: Planted
) -> None:
    """Measure convergence and quality of the attributions of one output."""
    written = outputs(estimator, cohort, f"feature:{name}")
    rows, key = trust.farthest(written, name, options.studied), jax.random.key(options.seed)
    gaps, errors = _timed("convergence", lambda: trust.convergence(written, name, rows, key))
    quality = _timed("quality", lambda: trust.quality(written, name, rows, key))
    tables = {"gaps": gaps, "errors": errors, "quality": quality}
    for stem, table in tables.items():
        write_table(table, options.out / f"{stem}.parquet", csv=True, overwrite=True)
    (options.out / "gaps.png").write_bytes(png(node_convergence(gaps, value="share")))
    (options.out / "errors.png").write_bytes(png(draw_convergence(errors)))
    print(f"{name}, {len(rows)} samples: gap as a share of the change, by nodes\n")
    print(recovery.markdown(gaps.pivot_table(index="rule", columns="n_steps", values="share")))
    print("\nerror of the attributions (units of the output), by draws\n")
    print(
        recovery.markdown(errors.pivot_table(index="estimator", columns="n_draws", values="error"))
    )
    print("\nquality, medians over samples\n")
    medians = quality.drop(columns=["output", "sample"]).groupby("method", sort=False).median()
    print(recovery.markdown(medians))


def _timed(what: str, work: Any) -> Any:
    """Do some work and tell how long it took."""
    begun = time.perf_counter()
    found = work()
    print(f"{what}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
    return found
