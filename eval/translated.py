"""Are translated tables as good as measured ones? Classes, histograms, genes, one embedding.

    python eval/translated.py --data runs/twin --target rna --label class --parts runs/t_twin \\
        --out runs/translated --shown omitrans

Reads what eval/translate.py has predicted, and repeats Table 3 and Figures 6 to 8 of Zhang and Guo
2021: OmiEmbed learns classes from the measured target of the training samples of each fold, and is
applied to the measured and to every translated table of the test samples (`classes.parquet`, five
metrics). For the method `--shown`, whose test samples of all folds together cover the cohort, it
draws R2 per sample and per feature, the best features, and training samples beside translated test
samples of the first fold in one t-SNE of OmiEmbed's latent, colours for classes, markers for
measured and translated. The preset's epochs are for thousands of samples; give a few hundred more,
such as `--epochs 300`. About two minutes on the twin on 2
cores. Expected: docs/results/omitrans.md.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from sklearn.manifold import TSNE
from translate import METHODS

from jaxomics.data.atomic import whole_file
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, read_indexed, write_table
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.errors import InputError, unknown
from jaxomics.estimator import Estimator
from jaxomics.figures.style import COLOURS, png
from jaxomics.figures.translation import best_features, embedded_panels, r2_histogram
from jaxomics.metrics.classification import evaluate_classes
from jaxomics.metrics.tables import ALL_FOLDS, SCORE_COLUMNS, join, with_means
from jaxomics.metrics.translation import feature_r2, sample_r2
from jaxomics.presets import preset
from jaxomics.together import fit_together

MEASURED = "measured"
"""Name of the true table among the methods."""

FIVE = ("accuracy", "macro_precision", "macro_recall", "macro_f1", "macro_auc")
"""Scores of classes that are printed, those of the article."""

NEIGHBOURS = 30.0
"""Perplexity of t-SNE."""


@dataclass(frozen=True)
class Options:
    """What to judge.

    Attributes:
      data: folder of tables that eval/translate.py has read.
      target: the view that was translated to.
      label: class column; samples without a class are left out of the scores of classes.
      parts: folder that eval/translate.py has written.
      out: where tables and figures go.
      shown: the method that is drawn.
      least: samples that a class needs; smaller ones are left out.
      preset: of OmiEmbed.
      epochs: of OmiEmbed, in place of the preset's.
      seed: of OmiEmbed and t-SNE.
    """

    data: Path
    target: str
    label: str
    parts: Path
    out: Path
    shown: str = "omitrans"
    least: int = 10
    preset: str = "recommended"
    epochs: int | None = None
    seed: int = 0


Predicted = dict[str, list[pd.DataFrame]]
"""Tables of the test samples [samples, features], by method, one per fold."""


def main(options: Options) -> None:
    """Score and draw."""
    use_compilation_cache()
    whole = read_cohort(options.data, views=[options.target])
    predicted = read_predicted(options.parts / "predicted")
    if options.shown not in predicted:
        raise unknown("method", options.shown, predicted)
    folds = [table.index for table in next(iter(predicted.values()))]
    cohort = labelled(whole.select_samples(np.concatenate(folds)), options)
    fitted = classifiers(cohort, folds, options)
    scores = class_table(fitted, cohort, predicted, options)
    write_table(scores, options.out / "classes.parquet", csv=True, overwrite=True)
    means = scores[(scores["fold"] == ALL_FOLDS) & scores["metric"].isin(FIVE)]
    wide = means.pivot_table(index="model", columns="metric", values="value", sort=False)
    print(wide[list(FIVE)].round(4).to_string())
    draw(fitted[0], whole, cohort, predicted[options.shown], options)


def read_predicted(folder: Path) -> Predicted:
    """Return what methods have predicted, in their order, folds in theirs.

    Raises:
      InputError: nothing was predicted, or methods differ in their folds.
    """
    found: Predicted = {}
    for name in METHODS:
        paths = sorted(folder.glob(f"{name}_[0-9]*.parquet"))
        if paths:
            found[name] = [read_indexed(path) for path in paths]
    if not found:
        raise InputError(
            f"expected predicted tables in {folder}, found none; run eval/translate.py first"
        )
    first, tables = next(iter(found.items()))
    for name, others in found.items():
        same = len(others) == len(tables) and all(
            set(a.index) == set(b.index) for a, b in zip(tables, others, strict=True)
        )
        if not same:
            raise InputError(
                f"expected the same folds of all methods, found {len(tables)} of {first} and "
                f"{len(others)} of {name}; run eval/translate.py to its end"
            )
    return found


def labelled(cohort: MultiOmics, options: Options) -> MultiOmics:
    """Return the samples of classes that are large enough."""
    if options.label not in cohort.labels:
        raise unknown("label column", options.label, cohort.labels.columns)
    classes = cohort.labels[options.label]
    counts = classes.value_counts()
    return cohort.select_samples(
        cohort.samples[classes.isin(counts.index[counts >= options.least])]
    )


def classifiers(cohort: MultiOmics, folds: list[pd.Index], options: Options) -> list[Estimator]:
    """Train OmiEmbed on the measured target of each fold's training samples, all folds at once."""
    settings = preset("omiembed", options.preset)
    train = replace(settings.train, epochs=options.epochs or settings.train.epochs)
    settings = replace(settings, label=options.label, train=train)
    training = [cohort.samples[~cohort.samples.isin(test)] for test in folds]
    models = [Estimator(settings, model="omiembed", seed=options.seed) for _ in folds]
    return list(fit_together(models, cohort, training))


def class_table(
    fitted: list[Estimator], cohort: MultiOmics, predicted: Predicted, options: Options
) -> pd.DataFrame:
    """Return the scores of classes predicted from each table of the test samples."""
    labels, tables = pd.Series(cohort.labels[options.label]), []
    for fold, classifier in enumerate(fitted):
        about = {"dataset": options.data.name, "fold": fold, "seed": options.seed}
        translated = {name: parts[fold] for name, parts in predicted.items()}
        test = cohort.samples.intersection(next(iter(translated.values())).index)
        for name, table in {MEASURED: cohort.table(options.target), **translated}.items():
            shown = MultiOmics.from_tables({options.target: table.loc[test]})
            found = evaluate_classes(classifier.predict(shown), labels, model=name, **about)
            tables.append(found.scores.assign(view=options.target))
    return with_means(join(tables, SCORE_COLUMNS))


def draw(
    classifier: Estimator,
    whole: MultiOmics,
    cohort: MultiOmics,
    parts: list[pd.DataFrame],
    options: Options,
) -> None:
    """Draw Figures 6 to 8 and the best features of one method, whose tables are `parts`."""
    made = pd.concat(parts)
    truth = whole.table(options.target).loc[made.index, made.columns]
    values = truth.to_numpy(float), made.to_numpy(float)
    genes = pd.Series(feature_r2(*values), made.columns)
    samples = pd.Series(sample_r2(*values), made.index)
    figures = {
        "r2_samples": r2_histogram(samples, "samples", heading=options.shown),
        "r2_features": r2_histogram(genes, "features", positive=True, heading=options.shown),
        "best_features": best_features(truth, made, genes[np.ptp(values[0], axis=0) > 0]),
        "embedding": embedding(classifier, cohort, parts[0], options),
    }
    for name, figure in figures.items():
        with whole_file(options.out / f"{name}.png") as path:
            path.write_bytes(png(figure))


def embedding(classifier: Estimator, cohort: MultiOmics, made: pd.DataFrame, options: Options):
    """Draw measured training samples and translated test samples in one t-SNE of the latent."""
    test = cohort.samples[cohort.samples.isin(made.index)]
    train = cohort.samples[~cohort.samples.isin(made.index)]
    parts = [
        classifier.transform(cohort.select_samples(train)),
        classifier.transform(MultiOmics.from_tables({options.target: made.loc[test]})),
    ]
    points = flat(pd.concat(parts), options.seed)
    classes = cohort.labels[options.label]
    kind = pd.Series(np.where(points.index.isin(test), "translated", "measured"), points.index)
    panels = {
        "measured, training": (points.loc[train], classes),
        "translated, test": (points.loc[test], classes),
        "both": (points, classes),
    }
    return embedded_panels(
        panels,
        shared=True,
        max_groups=len(COLOURS),
        kinds={"both": kind},
        heading=f"OmiEmbed, {options.shown}",
    )


def flat(latent: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return t-SNE coordinates of a latent."""
    close = min(NEIGHBOURS, (len(latent) - 1) / 3)
    points = TSNE(2, perplexity=close, init="pca", random_state=seed).fit_transform(latent)
    return pd.DataFrame(points, latent.index, columns=["t-SNE 1", "t-SNE 2"])


if __name__ == "__main__":
    main(tyro.cli(Options))
