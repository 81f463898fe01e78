"""Translate kinds of samples that a translator has never seen.

    python eval/transfer.py --data $JAXOMICS_DATA/cell_lines --source methylation --target rna \\
        --label tissue --held blood lymphocyte skin --out runs/transfer

A translator learns from all samples but those of the held-out groups, and translates these: what
Zhang and Guo 2021 do with a cohort of brain tumours that has methylation alone (Figure 9). There
is a truth here, so the nine metrics are told beside those of the mean of the training samples and
of ridge, or of any methods of eval/translate.py (`--methods`; quote names with commas). OmiEmbed,
without labels, then embeds the held-out samples twice, by what was measured and by what was
translated; `embedding.parquet` tells how well groups lie together in either, among the true target
too, and `embedding.png` draws them. A minute or two on 2 cores.

With `--each` every group of `--held` is held out by itself, one after the other: `scores.parquet`
has a row per group under `dataset`, and nothing is embedded. Expected: docs/results/omitrans.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from translate import METHODS, SHOWN, Task, scored
from translated import flat

from jaxomics.data.atomic import whole_file
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.errors import InputError, unknown
from jaxomics.estimator import Estimator
from jaxomics.figures.style import png
from jaxomics.figures.translation import embedded_panels
from jaxomics.metrics.embedding import evaluate_embedding
from jaxomics.metrics.tables import SCORE_COLUMNS, join
from jaxomics.presets import preset

COMPARED = ("mean", "ridge", "omitrans")
"""Methods that translate; the last one's tables are embedded."""

AGREEMENT = ("knn_accuracy", "silhouette")
"""Scores of an embedding that are printed."""


@dataclass(frozen=True)
class Options:
    """What to translate.

    Attributes:
      data: folder of tables.
      source: views to translate from.
      target: view to translate to.
      label: column of the groups.
      held: the groups that are held out.
      out: where tables and the figure go.
      finer: column of the classes by which embeddings are judged; `label` by default.
      methods: which methods; the tables of the last one are embedded.
      each: hold out one group after the other, and embed none.
      epochs: of OmiEmbed, in place of the preset's, which are few for small cohorts.
      seed: of methods, embeddings and t-SNE.
    """

    data: Path
    source: tuple[str, ...]
    target: str
    label: str
    held: tuple[str, ...]
    out: Path
    finer: str | None = None
    methods: tuple[str, ...] = COMPARED
    each: bool = False
    epochs: int | None = None
    seed: int = 0


def main(options: Options) -> None:
    """Translate, score, embed and draw."""
    use_compilation_cache()
    for name in options.methods:
        if name not in METHODS:
            raise unknown("method", name, METHODS)
    cohort = read_cohort(options.data, views=[*options.source, options.target])
    apart = [(name,) for name in options.held] if options.each else [options.held]
    found = []
    for held in apart:
        task = divided(cohort, replace(options, held=held))
        tables = {name: next(METHODS[name](task)) for name in options.methods}
        about = f"{options.data.name} {'+'.join(held)}" if options.each else options.data.name
        found += [
            scored(task, 0, name, table, about)[0].assign(seed=options.seed)
            for name, table in tables.items()
        ]
        if not options.each:
            embed(task, tables[options.methods[-1]], options)
    scores = join(found, SCORE_COLUMNS)
    write_table(scores, options.out / "scores.parquet", csv=True, overwrite=True)
    show(scores[scores["metric"].isin(SHOWN)], ["dataset", "model"])


def show(scores: pd.DataFrame, rows: list[str]) -> None:
    """Print scores, a column per metric."""
    wide = scores.pivot_table(index=rows, columns="metric", values="value", sort=False)
    print(wide.round(4).to_string())


def embed(task: Task, translated: pd.DataFrame, options: Options) -> None:
    """Embed the held-out samples by what was measured and what was translated; score and draw."""
    ((_, held),) = task.folds
    test = task.cohort.select_samples(held)
    cohorts = {
        "measured " + "+".join(options.source): test.select_views(options.source),
        f"measured {options.target}": test.select_views((options.target,)),
        f"translated {options.target} ({options.methods[-1]})": MultiOmics.from_tables(
            {options.target: translated}, test.labels
        ),
    }
    embeddings = {name: embedded(cohort, options) for name, cohort in cohorts.items()}
    classes = pd.Series(test.labels[options.finer or options.label])
    agreement = embedding_table(embeddings, classes, options)
    write_table(agreement, options.out / "embedding.parquet", csv=True, overwrite=True)
    latent = agreement["metric"].isin(AGREEMENT) & (agreement["mode"] == "latent")
    show(agreement[latent], ["dataset"])
    figure = embedded_panels({n: (flat(z, options.seed), classes) for n, z in embeddings.items()})
    with whole_file(options.out / "embedding.png") as path:
        path.write_bytes(png(figure))


def divided(cohort: MultiOmics, options: Options) -> Task:
    """Return the samples to learn from and those of the held-out groups, all with all views.

    Raises:
      InputError: an unknown column or group, or too few samples on either side.
    """
    for column in (options.label, *([options.finer] if options.finer else [])):
        if column not in cohort.labels:
            raise unknown("label column", column, cohort.labels.columns)
    views = (*options.source, options.target)
    paired = np.all([cohort.present(view) for view in views], axis=0)
    groups = cohort.labels[options.label].astype("string")
    for name in options.held:
        if name not in set(groups.dropna()):
            raise unknown("group", name, sorted(set(groups.dropna())))
    held = groups.isin(list(options.held)).to_numpy(dtype=bool)
    train, test = cohort.samples[paired & ~held], cohort.samples[paired & held]
    if len(train) < 10 or len(test) < 10:
        raise InputError(
            f"expected at least 10 samples with {', '.join(views)} to learn from and to translate, "
            f"found {len(train)} and {len(test)}; hold out other groups"
        )
    both = cohort.select_samples(cohort.samples[paired])
    return Task(both, [(train, test)], options.source, options.target, options.seed)


def embedded(cohort: MultiOmics, options: Options) -> pd.DataFrame:
    """Return the latent of OmiEmbed trained on a cohort without its labels."""
    settings = preset("omiembed", "recommended")
    train = replace(settings.train, epochs=options.epochs or settings.train.epochs)
    settings = replace(settings, label=None, train=train)
    return Estimator(settings, model="omiembed", seed=options.seed).fit(cohort).transform(cohort)


def embedding_table(
    embeddings: Mapping[str, pd.DataFrame], classes: pd.Series, options: Options
) -> pd.DataFrame:
    """Return how well classes lie together in each embedding, whose name stands as data set."""
    found = [
        evaluate_embedding(latent, classes, name, seed=options.seed)
        for name, latent in embeddings.items()
    ]
    return join(found, SCORE_COLUMNS)


if __name__ == "__main__":
    main(tyro.cli(Options))
