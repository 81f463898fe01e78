"""Do explanations of real cell lines find what is known of drugs and dependencies?

The facts stand in the README of the cell-line tables: a mutation, copy number, transcript or
protein, and which way the response goes with it. Each is ranked among all features of its output,
by attribution and by correlation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import recovery
from matplotlib.figure import Figure

import jaxomics
from jaxomics.commands.apply import load_estimator
from jaxomics.data.io import read_table, write_table
from jaxomics.errors import InputError
from jaxomics.explain.run import How
from jaxomics.figures.style import TICK_SIZE, look, new_figure, plain, png, tidy_axes
from jaxomics.models.withholding import view_groups


class Fact(NamedTuple):
    """What drives an output.

    Attributes:
      output: VIEW/FEATURE that is written.
      views: where the driver may stand: mutations are a view, or conditionals.
      feature: the driver.
      sign: 1 if the output rises with it, -1 if it falls. Drugs are ln IC50, so -1 sensitises.
    """

    output: str
    views: tuple[str, ...]
    feature: str
    sign: int


MUTATIONS = ("mut", "conditionals")
FACTS = (
    Fact("drug/Trametinib|1372", MUTATIONS, "BRAF", -1),
    Fact("drug/Dabrafenib|1373", MUTATIONS, "BRAF", -1),
    Fact("drug/PD0325901|1060", MUTATIONS, "BRAF", -1),
    Fact("drug/Trametinib|1372", MUTATIONS, "KRAS", -1),
    Fact("drug/Nutlin-3a (-)|1047", MUTATIONS, "TP53", 1),
    Fact("drug/Palbociclib|1054", MUTATIONS, "RB1", 1),
    Fact("drug/Palbociclib|1054", ("rna",), "CDKN2A", 1),
    Fact("drug/Afatinib|1377", ("cn",), "ERBB2", -1),
    Fact("drug/Afatinib|1377", ("rna",), "ERBB2", -1),
    Fact("drug/Afatinib|1377", ("rppa",), "HER2", -1),
    Fact("crispr_call/KRAS", MUTATIONS, "KRAS", 1),
    Fact("crispr_call/BRAF", MUTATIONS, "BRAF", 1),
    Fact("crispr_call/NRAS", MUTATIONS, "NRAS", 1),
    Fact("crispr_call/CTNNB1", MUTATIONS, "APC", 1),
    Fact("crispr_call/MDM2", MUTATIONS, "TP53", -1),
)
COLUMNS = [
    "output", "view", "feature", "rank", "other_rank", "rms_rank", "candidates", "view_rank",
    "view_candidates", "sign", "direction", "r", "r_rank", "r_view_rank",
]  # fmt: skip
"""What is printed; docs/results/attribution.md explains it."""


@dataclass(frozen=True)
class Facts:
    """Rank known drivers of drug response and gene dependency in a run on cell lines.

    Attributes:
      run: run folder.
      out: where tables and figures go.
      data: samples to explain; the training data by default.
      explained: folders that `jaxomics explain` wrote with `--top 2000`; computed if there are
        none.
      draws: gradients per sample.
      samples: explained, drawn at random; all by default.
      withhold: do not show the assay of an output to the model that is explained.
      seed: of draws and samples.
    """

    run: Path
    out: Path
    data: Path | None = None
    explained: tuple[Path, ...] = ()
    draws: int = 256
    samples: int | None = None
    withhold: bool = False
    seed: int = 42


def facts(options: Facts) -> None:
    """Explain or read explanations, rank the facts, write a table and a figure, print the table."""
    if options.withhold and options.explained:
        raise InputError("expected --withhold or --explained, found both: written tables are read")
    estimator, cohort, _ = load_estimator(options.run, options.data, quiet=True, verb="explain")
    known = _known(estimator)
    top = (
        pd.concat([read_table(folder / "top.parquet") for folder in options.explained])
        if options.explained
        else explained(estimator, cohort, known, options)
    )
    found = ranked(top, estimator, known).join(correlated(estimator, cohort, known))
    options.out.mkdir(parents=True, exist_ok=True)
    write_table(found, options.out / "facts.parquet", csv=True, overwrite=True)
    (options.out / "facts.png").write_bytes(png(rank_figure(found)))
    print(recovery.markdown(found[[name for name in COLUMNS if name in found]]))


def explained(
    estimator: jaxomics.Estimator,
    cohort: jaxomics.MultiOmics,
    known: pd.DataFrame,
    options: Facts,
) -> pd.DataFrame:
    """Return the columns of `top.parquet`, and `rms`, of the outputs of the facts."""
    rng, parts = np.random.default_rng(options.seed), []
    samples = np.sort(rng.permutation(cohort.samples)[: options.samples])
    for own, assay in _by_assay(estimator, known):
        shown = cohort
        for view in assay if options.withhold else ():
            shown = shown.without_samples(view, cohort.samples)
        found = estimator.explain(
            shown,
            target=[f"feature:{output}" for output in own["output"].unique()],
            how=How(draws=options.draws),
            samples=samples,
            seed=options.seed,
            quiet=False,
        )
        top = found.top(sum(len(names) for names in found.features.values()))
        rms = recovery.cells(recovery.explained_scores(found, squared=True), top)
        parts.append(top.assign(rms=rms))
    return pd.concat(parts, ignore_index=True)


def ranked(top: pd.DataFrame, estimator: jaxomics.Estimator, known: pd.DataFrame) -> pd.DataFrame:
    """Return the facts with their ranks by attribution.

    Args:
      top: the columns of `top.parquet`, for the outputs of the facts; and maybe `rms`, the root
        of the mean square of the attribution.
      estimator: what was explained.
      known: the facts.

    Returns:
      The facts with `rank` among all features of the output; among those that are not of the
      output's own assay `other_rank`, `candidates`, `view_rank`, `view_candidates` and, by `rms`,
      `rms_rank`; and `direction`, the correlation of attribution and feature, whose sign is to be
      that of the fact.

    Raises:
      InputError: there is no fact whose output is in the table.
    """
    known = pd.DataFrame(known[known["output"].isin(top["output"])])
    if known.empty:
        raise InputError("expected tables of the outputs of facts, found none of them")
    top = pd.DataFrame(top[top["output"].isin(known["output"])])
    cells = top.set_index(["output", "view", "feature"])

    def wide(column: str) -> pd.DataFrame:
        return pd.DataFrame(cells[column].unstack(["view", "feature"]))

    size = wide("mean_abs").fillna(0.0)
    found = _other_ranks(size, estimator, known).rename(columns={"rank": "other_rank"})
    if "rms" in top:
        rms = _other_ranks(wide("rms").fillna(0.0), estimator, known)
        found = found.assign(rms_rank=rms["rank"])
    rank = recovery.ranks(size, known)["rank"]
    return found.assign(rank=rank, direction=recovery.cells(wide("direction"), found))


def correlated(
    estimator: jaxomics.Estimator, cohort: jaxomics.MultiOmics, known: pd.DataFrame
) -> pd.DataFrame:
    """Return correlations of the facts, `r`, and their ranks, `r_rank` and `r_view_rank`.

    The output's own assay does not take part.
    """
    features = recovery.measured(estimator, cohort)
    names = pd.Index(known["output"].unique())
    responses = pd.DataFrame({name: features[tuple(name.split("/", 1))] for name in names})
    r = recovery.correlations(features, responses)
    found = _other_ranks(r.abs(), estimator, known)
    values = recovery.cells(r, found)
    return pd.DataFrame(
        {"r": values, "r_rank": found["rank"], "r_view_rank": found["view_rank"]}, found.index
    )


def rank_figure(found: pd.DataFrame) -> Figure:
    """Draw the rank of each fact, by attribution and by correlation; hollow: the wrong way."""
    figure = new_figure(7.6, 1.6 + 0.3 * len(found))
    axes = figure.subplots()
    places = np.arange(len(found))
    for rank, sign, offset, name in (
        ("other_rank", "direction", -0.12, "attribution"),
        ("r_rank", "r", 0.12, "correlation"),
    ):
        style = look(int(offset > 0))
        right = np.sign(found[sign]) == found["sign"]
        for at, face in ((right, style.colour), (~right, "white")):
            axes.plot(
                found[rank][at], places[at] + offset, linestyle="", marker="os"[int(offset > 0)],
                color=style.colour, markerfacecolor=face, label=name if face != "white" else None,
            )  # fmt: skip
    words = found["feature"] + " (" + found["view"] + ") → " + found["output"]
    axes.set_yticks(places, [plain(word) for word in words])
    axes.set(xscale="log", xlim=(0.8, found["candidates"].max()), ylim=(len(found) - 0.5, -0.5))
    tidy_axes(
        axes, title="Known drivers (hollow: wrong direction)",
        x="rank among the features of other assays (1 is best)", grid="both",
    )  # fmt: skip
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=TICK_SIZE)
    return figure


def _known(estimator: jaxomics.Estimator) -> pd.DataFrame:
    """Return the facts whose output and driver the model knows.

    Raises:
      InputError: it knows none.
    """
    views = {name: set(v.features) for name, v in estimator.preprocess_.views.items()}
    drivers = views | {"conditionals": set(estimator.conditionals_.names)}
    rows = [
        (fact.output, view, fact.feature, fact.sign)
        for fact in FACTS
        for view in fact.views
        if fact.output.partition("/")[2] in views.get(fact.output.partition("/")[0], ())
        and fact.feature in drivers.get(view, ())
    ]
    if not rows:
        raise InputError(
            f"expected a model of the cell-line tables, found the views {', '.join(views)}; train "
            "one with drug or crispr_call, and mut as a view or as conditionals"
        )
    return pd.DataFrame(rows, columns=pd.Index(["output", "view", "feature", "sign"]))


def _by_assay(
    estimator: jaxomics.Estimator, known: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, list[str]]]:
    """Yield the facts of each view that is written, and the views of the same assay."""
    names = tuple(estimator.spec_.names)
    group = dict(zip(names, view_groups(estimator.settings.config.linked, names), strict=True))
    for view, own in known.groupby(known["output"].str.partition("/")[0], sort=False):
        yield own, [name for name in names if group[name] == group[str(view)]]


def _other_ranks(
    scores: pd.DataFrame, estimator: jaxomics.Estimator, known: pd.DataFrame
) -> pd.DataFrame:
    """Return the ranks of the facts among the features of other assays than the output's."""
    parts = [recovery.ranks(scores, own, assay) for own, assay in _by_assay(estimator, known)]
    return pd.concat(parts)
