"""Repeat the experiments of the MODIS study, with several seeds and simple methods beside.

    python eval/integrate.py fig2-a fig4-a --out runs/integrate
    python eval/integrate.py fig3a --methods paper recommended logistic --out runs/integrate
    python eval/integrate.py figures --out runs/integrate

`designs.EXPERIMENTS` lists the experiments: Figures 2 to 4 of Lepe-Soltero et al. 2025, and a few
more. One setting of one method trains all seeds together, about 5 minutes on 2 cores with 5
seeds; a method of one view alone takes half a minute: `logistic` regression, the same with classes
weighed alike (`logistic-balanced`), since `recommended` draws them in balance, and
`means-novelty`, nearest class means with the rule by which `recommended` finds classes that a view
lacks. Every finished setting is written at once, and an interrupted one goes on from its last
checkpoint, so a command can be stopped and repeated.

Each setting leaves `scores` (classes, as `evaluate_classes` gives them), `cells` (recall per
view and class), `confusion`, `translation` (mean squared error from view to view, beside what it
is at least) and, for the first seed, `latent`, all on unseen samples, each seen in one view.
`summary` and `figures` train nothing: they show, or draw in the folder `figures`, what there is.
`--rotate` gives every setting of an experiment one seed, and trains as many settings together: for
the many missing pairs of Figure 4.
With `--parameters FILE.npz` the numbers are comparable to the published ones; without, stand-in
parameters are used. Expected: docs/results/modis.md.
"""

import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from designs import CLASSES, EXPERIMENTS, Cohorts, Setting, cohorts, settings
from integrated import draw_figures, summary
from joined import SIMPLE, Said, alone, speak
from tyro.conf import Positional

from jaxomics.data.intersim import LABEL
from jaxomics.data.intersim_parameters import VIEWS
from jaxomics.data.io import write_table
from jaxomics.engine.fit import Recorder
from jaxomics.errors import unknown
from jaxomics.metrics.classification import ALL, evaluate_classes
from jaxomics.presets import Settings, preset

SHOW = ("summary", "figures")
"""Words in the place of an experiment that train nothing."""

Task = tuple[Setting, int]
"""What is trained: a setting, with a seed."""


@dataclass(frozen=True)
class Options:
    """What to repeat.

    Attributes:
      experiments: names of experiments; `summary` trains nothing and shows what there is,
        `figures` draws it.
      out: where tables go.
      methods: presets of MODIS, and `logistic`, `logistic-balanced` and `means-novelty`.
      only: settings, by name; all by default.
      seeds: how many; each is a cohort, a division of it, and a training of its own.
      first_seed: of them. Choices of settings were made on seeds from 100 on.
      parameters: .npz file with the original parameters of InterSIM.
      n: samples per cohort.
      epochs: in place of those of the preset.
      minutes: start no further setting after so many.
      rotate: one seed for a setting, the next one for the next setting, in place of all for each.
    """

    experiments: Positional[tuple[str, ...]]
    out: Path
    methods: tuple[str, ...] = ("paper", "logistic")
    only: tuple[str, ...] = ()
    seeds: int = 5
    first_seed: int = 0
    parameters: Path | None = None
    n: int = 11_500
    epochs: int | None = None
    minutes: float = float("inf")
    rotate: bool = False


def main(options: Options) -> None:
    """Train what is not there yet, write it, show everything."""
    begun = time.monotonic()
    for experiment in options.experiments:
        if experiment in SHOW:
            continue
        if experiment not in EXPERIMENTS:
            raise unknown("experiment", experiment, [*EXPERIMENTS, *SHOW])
        for method in options.methods:
            for group in groups(experiment, method, options):
                if time.monotonic() - begun < 60 * options.minutes:
                    finish(group, method, options)
    if "figures" in options.experiments:
        draw_figures(options.out, options.only)
    print(summary(options.out))


def groups(experiment: str, method: str, options: Options) -> Iterator[list[Task]]:
    """Yield what is trained together and not there yet: seeds of a setting, or rotated settings."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    wanted = [s for s in settings(experiment) if not options.only or s.name in options.only]
    if options.rotate:
        every = [(setting, seeds[i % len(seeds)]) for i, setting in enumerate(wanted)]
        found = [every[i : i + len(seeds)] for i in range(0, len(every), len(seeds))]
    else:
        found = [[(setting, seed) for seed in seeds] for setting in wanted]
    for group in found:
        left = [task for task in group if not _scores(task, method, options).exists()]
        if left:
            yield left


def _scores(task: Task, method: str, options: Options) -> Path:
    """Return the file that ends what a task leaves."""
    setting, seed = task
    fixed = options.epochs is None or method in SIMPLE
    named = method if fixed else f"{method}_{options.epochs}"
    folder = options.out / setting.experiment / _file_name(setting.name) / named
    return folder / f"seed{seed}" / "scores.parquet"


def finish(tasks: list[Task], method: str, options: Options) -> None:
    """Train tasks of one experiment together by one method, and score them."""
    begun = time.monotonic()
    seeds = [seed for _, seed in tasks]
    blocks = [cohorts(options.parameters, options.n, seed) for seed in seeds]
    trained = [
        setting.change(block.train, seed)
        for (setting, seed), block in zip(tasks, blocks, strict=True)
    ]
    name = tasks[0][0].name
    run = _scores(tasks[0], method, options).parents[1] / f"run_of_{'_'.join(map(str, seeds))}"
    if method in SIMPLE:
        said = alone(blocks, trained, seeds, method)
    else:
        run.mkdir(parents=True, exist_ok=True)
        recorder = Recorder(run, resume=True, quiet=False, label=name)
        said = speak(_settings(method, options), blocks, trained, seeds, recorder)
    for task, one, block in zip(tasks, said, blocks, strict=True):
        setting, seed = task
        about = {"experiment": setting.experiment, "setting": setting.name, "x": setting.x}
        tables = scored(setting, one, block, {**about, "model": method, "seed": seed})
        if seed != options.first_seed:
            tables.pop("latent", None)
        path = _scores(task, method, options)
        for kind in sorted(tables, key="scores".__eq__):  # scores last: they mean that all is there
            write_table(tables[kind], path.with_stem(kind), overwrite=True)
    shutil.rmtree(run, ignore_errors=True)
    seconds = f"{time.monotonic() - begun:.0f} s"
    print(tasks[0][0].experiment, name, method, seconds, file=sys.stderr, flush=True)


def _settings(method: str, options: Options) -> Settings:
    """Return a preset, with other epochs if asked."""
    chosen = preset("modis", method)
    if options.epochs is None:
        return chosen
    return replace(chosen, train=replace(chosen.train, epochs=options.epochs))


def scored(
    setting: Setting, said: Said, block: Cohorts, about: Mapping[str, str | float]
) -> dict[str, pd.DataFrame]:
    """Return the tables of one replica by name; scores include recalls of the cells in question."""
    found = evaluate_classes(said.predictions, block.test.labels[LABEL])
    rows = [(row.view, row.metric, row.value) for row in found.scores.itertuples()]
    cells = found.cells.set_index(["view", "class"])["recall"]
    if setting.target:
        rows += [(view, "target_recall", cells[view, setting.target]) for view in (ALL, *VIEWS)]
    if setting.missing:
        rows.append((ALL, "missing_recall", np.mean([cells[pair] for pair in setting.missing])))
        others = [cells[v, c] for v in VIEWS for c in CLASSES if (v, c) not in setting.missing]
        rows.append((ALL, "other_recall", np.mean(others) if others else np.nan))
    scores = pd.DataFrame(rows, columns=pd.Index(["view", "metric", "value"]))
    tables = {"scores": scores, "cells": found.cells, "confusion": found.confusion}
    tables["translation"] = translation_table(said, block)
    if said.latent is not None:
        tables["latent"] = latent_table(said.latent, said.source, block)
    return {name: table.assign(**about)[[*about, *table.columns]] for name, table in tables.items()}


def translation_table(said: Said, block: Cohorts) -> pd.DataFrame:
    """Return squared errors on the scale [0, 1]: source, view (written), metric, value.

    Metrics: `mse` of a model; `all_pairs`, its mean over all pairs of a real and a written row;
    and of the simulation itself, without source, `within` classes (no translation can be better),
    `total`, and `wrong_class` (predicting the mean of another class).
    """
    rows = []
    classes = block.test.labels[LABEL].to_numpy()
    for view, truth in said.truth.items():
        means = np.stack([truth[classes == name].mean(axis=0) for name in CLASSES])
        own = means[np.searchsorted(CLASSES, classes)]
        within = float(np.mean((truth - own) ** 2))
        apart = np.mean([np.mean((a - b) ** 2) for a in means for b in means if a is not b])
        rows.append(("", view, "within", within))
        rows.append(("", view, "total", float(np.mean((truth - truth.mean(axis=0)) ** 2))))
        rows.append(("", view, "wrong_class", within + float(apart)))
        if said.written is None:
            continue
        written = said.written[view]
        for source in VIEWS:
            seen = said.source == source
            error = float(np.mean((truth[seen] - written[seen]) ** 2))
            rows.append((source, view, "mse", error))
        gap = (truth.mean(axis=0) - written.mean(axis=0)) ** 2
        spread = truth.var(axis=0) + written.var(axis=0) + gap
        rows.append(("", view, "all_pairs", float(spread.mean())))
    return pd.DataFrame(rows, columns=pd.Index(["source", "view", "metric", "value"]))


def latent_table(latent: np.ndarray, source: np.ndarray, block: Cohorts) -> pd.DataFrame:
    """Return the latent means of the test samples: sample, view, class, z0, z1, ..."""
    about = {
        "sample": block.test.samples.to_numpy(),
        "view": source,
        LABEL: block.test.labels[LABEL].to_numpy(),
    }
    z = {f"z{i}": latent[:, i] for i in range(latent.shape[1])}
    return pd.DataFrame({**about, **z})


def _file_name(name: str) -> str:
    """Return the name of a setting as that of a folder."""
    return re.sub(r"[^a-z0-9.]+", "_", name.lower()).strip("_")


if __name__ == "__main__":
    main(tyro.cli(Options))
