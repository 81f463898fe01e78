"""Embeddings of bulk RNA on real patients: networks beside principal components, by folds.

    python eval/bulk_rna.py COHORT --methods pca:512 rna-vae:linear rna-vae:paper \\
        --out runs/bulk_rna
    python eval/bulk_rna.py COHORT --methods rna-vae:paper --change kl_weight=0.01 \\
        --within 0 --folds 3 --out runs/search

Patients are divided into folds, balanced by tumour type. A method sees the training patients
alone: it embeds them and the held-out ones, and what reads the embedding (classifier, Cox
regression) is fitted to the training patients, too. Each method trains all folds as one program,
2 to 8 minutes on 2 cores, and leaves one table of scores; finished ones are not repeated, and
interrupted ones go on from their last checkpoint.
`--within F` takes the training patients of fold F of five as the whole cohort, for searches.

Modes: `transfer` classifiers and Cox regressions from training to held-out patients; `k64`, `k100`
Grassmann distances of held-out patients on so many components; `reconstruct` features that differ
between measured and reconstructed held-out patients of one type, without the network's noise.
Expected: docs/results/bulk_embedding.md.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import tyro
from tyro.conf import Positional

from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.data.split import make_folds
from jaxomics.engine.drive import Recorder
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.metrics.cohort_accuracy import agreement, available, classify
from jaxomics.metrics.components import fit_components
from jaxomics.metrics.differential import differential_scores
from jaxomics.metrics.grassmann import grassmann_scores
from jaxomics.metrics.overall_survival import plan_survival, survival_scores
from jaxomics.metrics.summary import summarise
from jaxomics.metrics.tables import SCORE_COLUMNS, join, score_rows
from jaxomics.presets import Settings, preset
from jaxomics.together import fit_together

COMPARED = (64, 100)
"""Components of an embedding that Grassmann distances compare, as far as it has as many."""

CLASSIFIERS = ("xgboost", "logistic")


@dataclass(frozen=True)
class Options:
    """What to compare.

    Attributes:
      data: cohort folder.
      out: where tables go.
      methods: `pca:COMPONENTS`, `clinical`, or MODEL:PRESET.
      change: settings in place of those of the presets, as `kl_weight=0.1`.
      tag: added to the method's name in the tables; by default the changes.
      view: the view to embed.
      label: column of tumour types.
      time, event: columns of survival.
      clinical: columns of the clinical Cox regression.
      type: whose reconstructions are tested.
      folds: how many.
      only: numbers of the folds to train and score; all by default.
      within: fold whose training patients are the cohort; None takes all.
      seed: of folds and trainings.
      classifiers: that are trained on the embeddings.
      save: also write the embeddings of the first fold's held-out patients.
    """

    data: Positional[Path]
    out: Path
    methods: tuple[str, ...] = ("pca:512", "clinical")
    change: tuple[str, ...] = ()
    tag: str | None = None
    view: str = "rna"
    label: str = "cohort"
    time: str = "os_months"
    event: str = "os_event"
    clinical: tuple[str, ...] = ("age", "is_female", "cohort")
    type: str = "BRCA"
    folds: int = 5
    only: tuple[int, ...] = ()
    within: int | None = None
    seed: int = 0
    classifiers: tuple[str, ...] = CLASSIFIERS
    save: bool = False


class Space(NamedTuple):
    """An embedding of one fold; None where a method has none.

    Attributes:
      train, test: [patients, dimensions].
      rebuilt: reconstructed held-out patients x features, in the units of the data.
    """

    train: np.ndarray | None
    test: np.ndarray | None
    rebuilt: pd.DataFrame | None


Part = tuple[pd.Index, pd.Index]
"""Training and held-out patients."""


def main(options: Options) -> None:
    """Train and score what is not there yet, and show everything."""
    cohort = read_cohort(options.data, views=(options.view,))
    cohort = cohort.select_samples(cohort.samples[cohort.present(options.view)])
    if options.within is not None:
        whole = list(make_folds(cohort, 5, seed=options.seed, stratify=options.label))
        cohort = cohort.select_samples(whole[options.within].train)
    parts = [
        (fold.train, fold.test)
        for fold in make_folds(cohort, options.folds, seed=options.seed, stratify=options.label)
    ]
    kept = options.only or tuple(range(options.folds))
    parts = [parts[number] for number in kept]
    tag = "_".join(options.change) if options.tag is None else options.tag
    for method in options.methods:
        name = f"{method}_{tag}" if tag else method
        path = options.out / f"{name.replace(':', '_')}.parquet"
        if path.exists():
            continue
        about = {"dataset": options.data.name, "model": name, "seed": options.seed}
        tables = []
        run = path.with_suffix(".run")
        found = spaces(method, cohort, parts, options, run)
        for number, part, space in zip(kept, parts, found, strict=True):
            tables += list(score(space, cohort, part, options, {**about, "fold": number}))
            if options.save and number == 0 and space.test is not None:
                save(space, part[1], path)
        write_table(join(tables, SCORE_COLUMNS), path, overwrite=True)
        shutil.rmtree(run, ignore_errors=True)
        print(f"done: {name}", flush=True)
    print(summary(options.out).to_string())


def spaces(
    method: str, cohort: MultiOmics, parts: list[Part], options: Options, run: Path
) -> Iterator[Space]:
    """Yield the embedding of each fold; an interrupted training goes on from its folder."""
    kind, _, choice = method.partition(":")
    if kind == "clinical":
        yield from (Space(None, None, None) for _ in parts)
        return
    if kind == "pca":
        for train, test in parts:
            yield by_components(cohort.table(options.view), train, test, int(choice))
        return
    settings = changed(preset(kind, choice or "recommended"), options.change)
    settings = replace(settings, label=None)
    ours = [Estimator(settings, model=kind, seed=options.seed) for _ in parts]
    run.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(run, resume=True, quiet=True, label=method)
    fitted = fit_together(ours, cohort, [train for train, _ in parts], recorder=recorder)
    for one, (train, test) in zip(fitted, parts, strict=True):
        latent = one.transform(cohort)
        held_out = cohort.select_samples(test)
        rebuilt = None
        if one.model_.tasks.decode is not None:
            rebuilt = one.reconstruct(held_out)[options.view]
        yield Space(latent.loc[train].to_numpy(), latent.loc[test].to_numpy(), rebuilt)


def by_components(table: pd.DataFrame, train: pd.Index, test: pd.Index, count: int) -> Space:
    """Return principal components fitted to the training patients."""
    found = fit_components(table.loc[train].to_numpy(), count, scale=True)
    z = found.place(table.loc[test].to_numpy())
    return Space(found.scores, z, pd.DataFrame(found.restore(z), test, table.columns))


def changed(settings: Settings, changes: tuple[str, ...]) -> Settings:
    """Return settings with other values, each found where its name stands."""
    for text in changes:
        name, _, value = text.partition("=")
        for part in ("config", "hyper", "train"):
            held = getattr(settings, part)
            if name in {field.name for field in fields(held)}:
                kind = type(getattr(held, name))
                read: Any = [int(n) for n in value.split(",")] if kind is tuple else kind(value)
                settings = replace(settings, **{part: replace(held, **{name: kind(read)})})
                break
        else:
            raise InputError(f"expected NAME=VALUE of a setting, found {text!r}")
    return settings


def score(
    space: Space, cohort: MultiOmics, part: Part, options: Options, about: dict
) -> Iterator[pd.DataFrame]:
    """Yield the score rows of one fold."""
    train, test = part
    labels = cohort.labels
    if space.train is not None and space.test is not None:
        y = labels[options.label].astype(str)
        spread = space.train.std(axis=0)
        unit = np.where(spread > 1e-12, spread, 1.0)
        mean = space.train.mean(axis=0)
        x, new = (space.train - mean) / unit, (space.test - mean) / unit
        for name in available(options.classifiers):
            said = classify(name, x, y[train].to_numpy(), new, quick=True, seed=options.seed)
            named = {**about, "model": f"{about['model']}:{name}"}
            yield score_rows(agreement(y[test].to_numpy(), said), mode="transfer", **named)
        codes = pd.factorize(y[test])[0]
        for k in COMPARED:
            if space.test.shape[1] >= k:
                found = grassmann_scores(space.test, codes, k, seed=options.seed)
                yield score_rows(found, mode=f"k{k}", **about)
    yield from survival_rows(space, labels, part, options, about)
    if space.rebuilt is not None:
        own = test[(labels.loc[test, options.label] == options.type).to_numpy()]
        truth = cohort.table(options.view).loc[own]
        yield score_rows(differential_scores(truth, space.rebuilt), mode="reconstruct", **about)


def survival_rows(
    space: Space, labels: pd.DataFrame, part: Part, options: Options, about: dict
) -> Iterator[pd.DataFrame]:
    """Yield concordances of held-out patients by Cox regressions on the training patients."""
    samples = part[0].append(part[1])
    known = labels.loc[samples]
    divided = [(np.arange(len(part[0])), len(part[0]) + np.arange(len(part[1])))]
    plan = plan_survival(
        known[options.time].to_numpy(), known[options.event].to_numpy(), np.arange(len(samples)),
        options.seed,
    )._replace(folds=divided)  # fmt: skip
    clinical = pd.DataFrame(known[list(options.clinical)])
    if space.train is None or space.test is None:
        (found,) = survival_scores(plan, None, clinical)
        yield score_rows(found, mode="transfer", **about)
        return
    z = np.concatenate([space.train, space.test])
    for name, beside in ((about["model"], None), (f"{about['model']}+clinical", clinical)):
        (found,) = survival_scores(plan, z, beside)
        yield score_rows(found, mode="transfer", **{**about, "model": name})


def save(space: Space, test: pd.Index, path: Path) -> None:
    """Write what the held-out patients of a fold became."""
    z = pd.DataFrame(space.test, test).add_prefix("z").rename_axis("sample").reset_index()
    write_table(z, path.with_name(f"held_out_{path.name}"), overwrite=True)
    if space.rebuilt is not None:
        rebuilt = space.rebuilt.rename_axis("sample").reset_index()
        write_table(rebuilt, path.with_name(f"rebuilt_{path.name}"), overwrite=True)


def summary(folder: Path) -> pd.DataFrame:
    """Return mean and standard error over folds of the headline scores, a row per model."""
    paths = [p for p in sorted(folder.glob("*.parquet")) if "_out_" not in p.name]
    paths = [p for p in paths if not p.name.startswith("rebuilt_")]
    table = summarise(join([pd.read_parquet(p) for p in paths], SCORE_COLUMNS))
    wanted = ("accuracy", "grassmann_z", "uno_c", "harrell_c", "differential_features",
              "variance_ratio", "feature_pearson")  # fmt: skip
    table = table[table["metric"].isin(wanted)]
    shown = table["mean"].map("{:.3f}".format) + " ± " + table["se"].map("{:.3f}".format)
    wide = table.assign(shown=shown, score=table["metric"] + " " + table["mode"])
    return wide.pivot(index="model", columns="score", values="shown").fillna("-")


if __name__ == "__main__":
    main(tyro.cli(Options))
