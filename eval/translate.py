"""Score translators on pairs of views: the nine metrics of Zhang and Guo 2021, for every method.

    jaxomics simulate translation --out runs/twin
    python eval/translate.py --data runs/twin --source methylation --target rna --out runs/t_twin
    python eval/translate.py --data $JAXOMICS_DATA/cell_lines --source methylation --target rna \\
        --out runs/t_methylation
    python eval/translate.py --data $JAXOMICS_DATA/cell_lines --source cn --target rna \\
        --out runs/t_cn

Samples that have source and target are divided into 5 folds; a method learns from four of them,
scaling included, and translates the fifth. Each method and fold is a file of its own under
`parts`, written when it is done: a run that was cut off goes on where it was, and methods that are
added later join those that are there. What was predicted stays in `predicted`, for
eval/translated.py. `--methods` names some methods; without it all are run. `scores.parquet` and
`features.parquet` have the columns of every score table, `timing.parquet` the seconds; those of the
first fold of a network are of all folds, which train together. Expected: docs/results/omitrans.md.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro
from sklearn.model_selection import KFold

from jaxomics.comparators import lasso, linear, registry, ridge, tdimpute
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, read_table, write_table
from jaxomics.engine.devices import use_compilation_cache
from jaxomics.estimator import Estimator
from jaxomics.metrics.tables import ALL_FOLDS, with_means
from jaxomics.metrics.translation import NINE, evaluate_translation
from jaxomics.presets import preset
from jaxomics.together import fit_together

SHOWN = (*NINE, "mean_r2_varying", "n_constant", "median_r")
"""Metrics of the printed table."""


@dataclass(frozen=True)
class Options:
    """What to score.

    Attributes:
      data: folder of tables.
      source: views to translate from.
      target: view to translate to.
      out: where tables go.
      methods: which methods; nothing = all.
      folds: number of folds.
      seed: of folds and methods.
    """

    data: Path
    source: tuple[str, ...]
    target: str
    out: Path
    methods: tuple[str, ...] = ()
    folds: int = 5
    seed: int = 42


@dataclass(frozen=True)
class Task:
    """Who is learned from, and who is translated, fold by fold.

    Attributes:
      cohort: samples with all sources and the target; of test samples methods get the sources.
      folds: training and test samples of each.
      source, target: names of the views.
      seed: of the method.
    """

    cohort: MultiOmics
    folds: list[tuple[pd.Index, pd.Index]]
    source: tuple[str, ...]
    target: str
    seed: int


Translator = Callable[[Task], Iterator[pd.DataFrame]]
"""Yields each fold's predicted values of the target [test samples, features], original units."""


def simple(name: str, config: ridge.Directed | None = None) -> Translator:
    """Return a comparator; a config that names targets makes it learn one direction alone."""

    def translate(task: Task) -> Iterator[pd.DataFrame]:
        method, views = registry.get(name), (*task.source, task.target)
        chosen = replace(config, targets=(task.target,)) if config else None
        for train, test in (map(task.cohort.select_samples, fold) for fold in task.folds):
            fitted = method.fit({view: train.array(view) for view in views}, task.seed, chosen)
            found = fitted.reconstruct({view: test.array(view) for view in task.source})
            columns = train.view(task.target).columns
            yield pd.DataFrame(found[task.target], test.samples, columns)

    return translate


def network(
    members: int | None = None,
    epochs: int | None = None,
    base: str = "recommended",
    order: Literal["known", "none"] = "none",
    **changed: Any,
) -> Translator:
    """Return OmiTrans as a preset has it, but for some fields.

    All folds are trained by one program.

    Args:
      members, epochs: in place of the preset's.
      base: the preset.
      order: of features: `known` is that of the genome, where feature tables tell places.
      **changed: fields of `Config` or `Hyper`.
    """

    def translate(task: Task) -> Iterator[pd.DataFrame]:
        settings = preset("omitrans", base)
        settings = replace(settings, preprocess=replace(settings.preprocess, order=order))
        hyper = {name: value for name, value in changed.items() if hasattr(settings.hyper, name)}
        own = {name: value for name, value in changed.items() if name not in hyper}
        config = replace(settings.config, source=task.source, target=(task.target,), **own)
        train = settings.train
        train = replace(train, ensemble=members or train.ensemble, epochs=epochs or train.epochs)
        hyper = settings.hyper.replace(**hyper)
        settings = replace(settings, config=config, hyper=hyper, train=train)
        fresh = [Estimator(settings, model="omitrans", seed=task.seed) for _ in task.folds]
        fitted = fit_together(fresh, task.cohort, [train for train, _ in task.folds])
        for one, (_, test) in zip(fitted, task.folds, strict=True):
            samples = task.cohort.select_samples(test)
            yield one.translate(samples, source=task.source, target=task.target)

    return translate


METHODS: dict[str, Translator] = {
    "mean": simple("mean"),
    "knn": simple("knn"),
    "linear": simple("linear", linear.METHOD.config),
    "ridge": simple("ridge", ridge.Config(components=None)),
    "ridge, one penalty": simple("ridge", ridge.Config(components=None, shared=True)),
    "lasso": simple("lasso", lasso.Config()),
    "tdimpute": simple("tdimpute", tdimpute.Config()),
    "omitrans": network(),
    "omitrans, one member": network(1),
    "omitrans, GAN": network(1, gan="vanilla"),
    "omitrans, conditional GAN": network(
        1,
        epochs=400,
        gan="vanilla",
        distance_weight=0.0,
        learning_rate=1e-4,
        discriminator_learning_rate=4e-4,
    ),
    "omitrans, paper": network(base="paper"),
    "omitrans, U-Net": network(
        base="paper", epochs=100, order="known", generator="unet", filters=4, gan="none"
    ),
}
"""Every method, from the simplest on; networks beside a GAN have one member, as the GANs have.

The last two are the published networks, values unscaled. The U-Net has a sixteenth of the published
channels, an eighth of the epochs and no discriminator, so that it trains on a CPU.
"""


def main(options: Options) -> None:
    """Run what has not been run, and show the table of all that has."""
    use_compilation_cache()
    views = (*options.source, options.target)
    cohort = read_cohort(options.data, views=list(views))
    paired = cohort.samples[np.all([cohort.present(view) for view in views], axis=0)]
    cohort, folds = cohort.select_samples(paired), divided(paired, options)
    task = Task(cohort, folds, options.source, options.target, options.seed)
    for name in options.methods or tuple(METHODS):
        paths = [options.out / "parts" / f"{name}_{fold}.parquet" for fold in range(len(folds))]
        left = [fold for fold, path in enumerate(paths) if not path.exists()]
        run(name, left, replace(task, folds=[folds[fold] for fold in left]), options)
    scores = collect(options.out)
    print(wide(scores))


def divided(samples: pd.Index, options: Options) -> list[tuple[pd.Index, pd.Index]]:
    """Return training and test samples of each fold."""
    folds = KFold(options.folds, shuffle=True, random_state=options.seed)
    return [(samples[train], samples[test]) for train, test in folds.split(samples)]


def run(name: str, numbers: list[int], task: Task, options: Options) -> None:
    """Translate the folds of a task, which have these numbers, by one method; write the scores."""
    (options.out / "predicted").mkdir(parents=True, exist_ok=True)
    (options.out / "parts").mkdir(exist_ok=True)
    begun = time.perf_counter()
    for place, predicted in enumerate(METHODS[name](task) if numbers else ()):
        fold, seconds = numbers[place], time.perf_counter() - begun
        print(f"{name}, fold {fold}: {seconds:.1f} s", file=sys.stderr, flush=True)
        scores, features = scored(task, place, name, predicted, options.data.name)
        about = {"fold": fold, "seed": task.seed}
        path = options.out / "parts" / f"{name}_{fold}.parquet"
        clock = pd.DataFrame({"model": [name], "fold": [fold], "seconds": [seconds]})
        write_table(clock, path.with_name(f"{path.stem}_time.parquet"), overwrite=True)
        own = features.assign(**about)
        write_table(own, path.with_name(f"{path.stem}_features.parquet"), overwrite=True)
        write_table(predicted, options.out / "predicted" / path.name, overwrite=True)
        write_table(scores.assign(**about), path, overwrite=True)
        begun = time.perf_counter()


def scored(
    task: Task, place: int, name: str, predicted: pd.DataFrame, dataset: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores of what a method predicted in a fold, of the table and of each feature."""
    train, test = (task.cohort.table(task.target).loc[names] for names in task.folds[place])
    arrow = f"{'+'.join(task.source)} -> {task.target}"
    return evaluate_translation(predicted, test, dataset, name, arrow, train.mean(axis=0))


def collect(out: Path) -> pd.DataFrame:
    """Write the tables of all parts, and return the scores with their means over folds."""
    parts = sorted((out / "parts").glob("*.parquet"))
    kinds: dict[str, list[pd.DataFrame]] = {"scores": [], "features": [], "timing": []}
    for path in parts:
        kind = "timing" if path.stem.endswith("_time") else "scores"
        kind = "features" if path.stem.endswith("_features") else kind
        kinds[kind].append(read_table(path))
    tables = {kind: pd.concat(found, ignore_index=True) for kind, found in kinds.items()}
    tables["scores"] = with_means(tables["scores"])
    for kind, table in tables.items():
        write_table(table, out / f"{kind}.parquet", csv=kind == "scores", overwrite=True)
    return tables["scores"]


def wide(scores: pd.DataFrame) -> str:
    """Return means over folds as text: a row per method, a column per metric."""
    means = scores[(scores["fold"] == ALL_FOLDS) & scores["metric"].isin(SHOWN)]
    table = means.pivot_table(index="model", columns="metric", values="value", sort=False)
    order = [name for name in METHODS if name in table.index]
    return table.reindex(index=order, columns=list(SHOWN)).round(4).to_string()


if __name__ == "__main__":
    main(tyro.cli(Options))
