"""Does joining unpaired views help on real cohorts? MODIS beside simple methods, same labels.

    python eval/unpaired.py --data DATA --out runs/unpaired --sets breast_subtypes coread_cms

DATA holds folders of views with a class column, as `SETS` names them; samples that have all views
are taken. In every seed 30 % of them, stratified by class, are the test; each of the others keeps
one of its views, and some of its labels. One program trains all seeds and settings of a cohort.
Test samples are shown one view at a time.

Settings: all labels; 10 % and 2 % of them in each view, at least one per class (2 % is left out
where these are the same labels); all labels but for one view, which has none; and all labels, but
one view without any sample of one class (another one in each seed). Beside the class of MODIS stand
logistic regression on the same view with the same labels, and the most frequent class; where a
class is missing, MODIS without its rule for such classes, and the regression with that rule.
Translated views are compared with ridge regression that was trained on the same samples with all
their views (pairs that MODIS does not have), and with the mean of the class that logistic
regression finds.

About 10 minutes for a cohort on 2 cores. Writes `classes.parquet` and `translation.parquet`, and
prints means and standard deviations over seeds; docs/results/modis_real.md has them.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from unpaired_cohorts import KINDS, LABEL, SETS, SHARES, Block, load, make_blocks

import jaxomics
from jaxomics.comparators import registry
from jaxomics.crossval.classes import class_chances
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import write_table
from jaxomics.engine.fit import Recorder
from jaxomics.errors import unknown
from jaxomics.estimator import Estimator
from jaxomics.metrics.classification import PROBABILITY, evaluate_classes

BATCH = 16
"""Rows of a view in a step, or all of the smallest view."""


@dataclass(frozen=True)
class Options:
    """What to compare.

    Attributes:
      data: folder with the cohorts.
      out: where tables go.
      sets: names of cohorts.
      kinds: of settings, of `KINDS`.
      seeds: divisions of the samples, and trainings.
      first_seed: of them.
      steps: of training, at least.
    """

    data: Path
    out: Path
    sets: tuple[str, ...] = tuple(SETS)
    kinds: tuple[str, ...] = KINDS
    seeds: int = 5
    first_seed: int = 0
    steps: int = 500


def main(options: Options) -> None:
    """Train, compare, write, print."""
    for what, names, known in (("cohort", options.sets, SETS), ("kind", options.kinds, KINDS)):
        for name in names:
            if name not in known:
                raise unknown(what, name, list(known))
    classes, translations = [], []
    for name in options.sets:
        cohort = load(options.data / name, SETS[name])
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        blocks = [block for seed in seeds for block in make_blocks(cohort, seed, options.kinds)]
        for block, estimator in zip(blocks, fitted(blocks, options, name), strict=True):
            about = {"dataset": name, "setting": block.setting, "seed": block.seed}
            classes.append(score_classes(block, estimator).assign(**about))
            if block.setting in SHARES:
                translations.append(score_translations(block, estimator).assign(**about))
    for name, tables in {"classes": classes, "translation": translations}.items():
        if not tables:
            continue
        whole = pd.concat(tables, ignore_index=True)
        write_table(whole, options.out / f"{name}.parquet", overwrite=True)
        print(f"{name}\n{summary(whole)}\n")


def fitted(blocks: list[Block], options: Options, name: str) -> Iterator[Estimator]:
    """Train MODIS (preset `small`, with other epochs) on every block, by one program."""
    tables = {
        view: pd.concat([block.train.views[view] for block in blocks])
        for view in blocks[0].train.views
    }
    whole = MultiOmics.from_tables(tables, pd.concat([block.train.labels for block in blocks]))
    least = min(len(table) for block in blocks for table in block.train.views.values())
    batch = min(BATCH, least)
    chosen = jaxomics.preset("modis", "small")
    settings = replace(
        chosen,
        train=replace(chosen.train, epochs=-(-options.steps // (least // batch)), batch_size=batch),
        label=LABEL,
    )
    estimators = [Estimator(settings, model="modis", seed=block.seed) for block in blocks]
    samples = [block.train.samples for block in blocks]
    recorder = Recorder(quiet=False, label=f"{name}, {len(blocks)} trainings")
    return jaxomics.fit_together(estimators, whole, samples, recorder=recorder)


def score_classes(block: Block, estimator: Estimator) -> pd.DataFrame:
    """Return accuracy and balanced accuracy per method and view, on the test samples.

    Where a class is missing from a view, also which share of its samples there get it
    (`missing_recall`), and which share of the others do (`mistaken`).
    """
    said = estimator.predict(block.test)
    methods = {"modis": said, **simple(block, estimator.classes_, said)}
    if block.missing:
        methods |= with_and_without_rule(block, estimator, methods["logistic"])
    tables = []
    for model, table in methods.items():
        found = evaluate_classes(table, block.test.labels[LABEL], model=model)
        tables.append(found.scores[["model", "view", "metric", "value"]])
        if block.missing:
            view, name = block.missing
            own = table[table["view"] == view].set_index("sample")["class"] == name
            new = block.test.labels[LABEL].loc[own.index] == name
            values = [own[new].mean(), own[~new].mean()]
            metrics = ["missing_recall", "mistaken"]
            row = {"model": model, "view": view, "metric": metrics, "value": values}
            tables.append(pd.DataFrame(row))
    return pd.concat(tables, ignore_index=True)


def with_and_without_rule(
    block: Block, estimator: Estimator, logistic: pd.DataFrame
) -> dict[str, pd.DataFrame]:
    """Return predictions of MODIS without, and of the regression with, the rule of novelty."""
    plain = copy(estimator)
    plain.novelty_ = {}
    ruled = logistic.copy()
    data, classes = estimator.data(block.test), np.asarray(estimator.classes_)
    columns = [f"{PROBABILITY}{name}" for name in classes]
    for view, novelty in estimator.novelty_.items():
        x = np.asarray(estimator.standard_.apply(view, data.x[view]))
        new = novelty.degree(x, np.asarray(data.observed[view]))
        own = (ruled["view"] == view).to_numpy()
        places = block.test.samples.get_indexer(pd.Index(ruled.loc[own, "sample"]))
        shared = novelty.share(ruled.loc[own, columns].to_numpy(), new[places])
        ruled.loc[own, columns] = shared
        ruled.loc[own, "class"] = classes[shared.argmax(axis=1)]
    return {"modis without rule": plain.predict(block.test), "logistic with rule": ruled}


def simple(block: Block, classes: tuple[str, ...], like: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return predictions of logistic regression and of the most frequent class."""
    found = {"logistic": [], "frequent": []}
    for view, rows in like.groupby("view", sort=False):
        name = str(view)
        chances = regressed(block, classes, name)
        chances = chances[block.test.samples.get_indexer(pd.Index(rows["sample"]))]
        labels = block.train.labels[LABEL]
        share = labels.value_counts(normalize=True).reindex(classes).fillna(0).to_numpy()
        for model, values in (("logistic", chances), ("frequent", np.tile(share, (len(rows), 1)))):
            best = np.asarray(classes)[values.argmax(axis=1)]
            named = {f"{PROBABILITY}{c}": values[:, i] for i, c in enumerate(classes)}
            found[model].append(rows[["sample", "view"]].assign(**{"class": best, **named}))
    return {model: pd.concat(tables, ignore_index=True) for model, tables in found.items()}


def regressed(block: Block, classes: tuple[str, ...], view: str) -> np.ndarray:
    """Return class probabilities of all test samples by logistic regression on one view."""
    table = block.train.views[view]
    labels = block.train.labels[LABEL].reindex(table.index)
    known = labels.notna().to_numpy()
    mean = table.mean().fillna(0)
    seen = block.test.table(view)[table.columns]
    x, asked = (t.fillna(mean).to_numpy() for t in (table[known], seen))
    return class_chances(x, labels[known], asked, classes)


def score_translations(block: Block, estimator: Estimator) -> pd.DataFrame:
    """Return errors of translated views relative to the training mean, and mean correlations."""
    rows = []
    classes = estimator.classes_
    for source in block.test.views:
        chances = regressed(block, classes, source)
        best = np.asarray(classes)[chances.argmax(axis=1)]
        for target in block.test.views:
            if target == source:
                continue
            written = estimator.translate(block.test, source=source, target=target)
            truth = block.test.table(target)[written.columns].to_numpy()
            own = block.train.views[target][written.columns]
            mean = own.mean()
            labels = block.train.labels[LABEL].reindex(own.index)
            means = own.groupby(labels).mean().reindex(classes).fillna(mean)
            said = {
                "modis": written.to_numpy(),
                "class mean": means.loc[best].to_numpy(),
                "ridge on pairs": ridge(block, source, target)[written.columns].to_numpy(),
            }
            baseline = np.nansum((truth - mean.to_numpy()) ** 2)
            for model, values in said.items():
                error = float(np.nansum((truth - values) ** 2) / baseline)
                rows.append((model, source, target, "relative_error", error))
    columns = ["model", "source", "view", "metric", "value"]
    return pd.DataFrame(rows, columns=pd.Index(columns))


def ridge(block: Block, source: str, target: str) -> pd.DataFrame:
    """Return the target view by ridge regression that was trained on all views of the samples."""
    both = {view: block.paired.array(view) for view in (source, target)}
    model = registry.get("ridge").fit(both, block.seed)
    empty = np.full_like(block.test.array(target), np.nan)
    values = model.reconstruct({source: block.test.array(source), target: empty})[target]
    return pd.DataFrame(values, columns=block.test.table(target).columns)


def summary(table: pd.DataFrame) -> str:
    """Return mean and standard deviation over seeds, models side by side."""
    keys = [k for k in ("dataset", "setting", "metric", "source", "view") if k in table]
    found = table.groupby([*keys, "model"], sort=False)["value"].agg(["mean", "std"])
    text = found.apply(lambda row: f"{row['mean']:.3f} +- {row['std']:.3f}", axis=1)
    return text.unstack("model").reset_index().to_string(index=False)


if __name__ == "__main__":
    pd.set_option("display.width", 200)
    main(tyro.cli(Options))
