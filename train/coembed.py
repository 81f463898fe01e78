"""Each published configuration of the co-embedding, on samples that were not trained on.

    python train/coembed.py --data $JAXOMICS_DATA/immgen_mouse --atac atac_motif --label lineage \\
        --out runs/coembed_immgen
    jaxomics simulate bulk --out bulk && python train/coembed.py --data bulk --label cohort \\
        --group donor --log --out runs/coembed_bulk

The samples are divided into folds, all of whose networks are trained as one program. Where a
sample has both views, training does not know: each view becomes a sample of its own, and who
belongs together is the truth that latents are judged by. Methods: `atac-vae` and `rna-vae` alone,
`pca` of each view, and the co-embedding with the same VAEs: adversarial (generator flipped and
negated), contrastive, and adversarial with matched samples drawn together (`paired`, which is not
in the article).
Writes `scores.parquet` (accuracy within a view and across them; where samples have both views,
same-sample retrieval and the fraction closer than the true match; how well the views can be told
apart) and prints means and standard errors over folds. About 10 minutes each on 2 cores.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro
from sklearn.decomposition import PCA

from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort, write_table
from jaxomics.data.split import make_folds
from jaxomics.estimator import Estimator
from jaxomics.metrics.alignment import foscttm, label_transfer, modality_accuracy, retrieval
from jaxomics.models import atac as atac_vae
from jaxomics.models import bulk
from jaxomics.presets import Settings, preset
from jaxomics.together import fit_together

APART = "#"
"""Stands between the name of a sample and that of the view, where pairs are hidden."""

ALONE = 5
"""Pairs of an ATAC sample, about: an epoch of the co-embedding has so many times its steps."""

Latents = dict[str, pd.DataFrame]
"""By view, samples x latent, of all samples that have the view, under their own names."""


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
      data: folder of tables.
      out: folder to write.
      label: column of cohorts.
      atac, rna: views.
      group: column whose values stay in one fold, such as the donor.
      log: take log2(1 + value) of both views first: tables of counts.
      folds: number of folds.
      seed: everything random follows from it.
      epochs: of the co-embedding, half of them before the alignment; the single VAEs get so many
        times `ALONE`, so that they take about as many steps.
      pair_weight: of the method `paired`.
      methods: which to run; all by default.
    """

    data: Path
    out: Path
    label: str
    atac: str = "atac"
    rna: str = "rna"
    group: str | None = None
    log: bool = False
    folds: int = 5
    seed: int = 0
    epochs: int = 200
    pair_weight: float = 10.0
    methods: tuple[str, ...] = (
        "pca", "atac-vae", "rna-vae", "adversarial", "negated", "contrastive", "paired",
    )  # fmt: skip


def settings_of(method: str, options: Options) -> tuple[str, Settings]:
    """Return registry name and settings of a method; all have the same VAEs."""
    base = preset("coembed", "recommended")
    base = replace(base, label=options.label, train=replace(base.train, epochs=options.epochs))
    config, hyper = replace(base.config, atac=options.atac, rna=options.rna, window=0), base.hyper
    alone = replace(base.train, epochs=options.epochs * ALONE)
    if method == "atac-vae":
        own = atac_vae.Config(
            atac=options.atac, window=0, hidden=config.hidden, latent=config.latent,
            norm=config.norm, reduction=config.reduction,
        )  # fmt: skip
        given = atac_vae.Hyper(kl_weight=hyper.kl_weight)
        return method, replace(base, config=own, hyper=given, train=alone, label=None)
    if method == "rna-vae":
        plain = bulk.Config(config.latent, config.rna_hidden, reduction=config.reduction)
        given = bulk.Hyper(kl_weight=hyper.kl_weight)
        return method, replace(base, config=plain, hyper=given, train=alone, label=None)
    paired = hyper.replace(pair_weight=options.pair_weight if method == "paired" else 0.0)
    base = replace(base, hyper=paired)
    if method == "contrastive":
        return "coembed", replace(base, config=replace(config, alignment="contrastive"))
    generator = "negated" if method == "negated" else "flipped"
    return "coembed", replace(base, config=replace(config, generator=generator))


def hide_pairs(cohort: MultiOmics, views: Sequence[str]) -> MultiOmics:
    """Return the cohort with a sample for each view that a sample has: SAMPLE#VIEW."""
    tables = {v: cohort.view(v).rename(index=lambda name, v=v: f"{name}{APART}{v}") for v in views}
    names = [name for table in tables.values() for name in table.index]
    labels = cohort.labels.loc[[name.rsplit(APART, 1)[0] for name in names]]
    labels.index = pd.Index(names, name="sample")
    hidden = MultiOmics.from_tables(tables, labels)
    return replace(hidden, features={v: cohort.features[v] for v in views if v in cohort.features})


def in_own_view(names: pd.Index, trained: Sequence[pd.Index], view: str) -> list[pd.Index]:
    """Return the hidden names of training samples that have a view, fold by fold."""
    return [names[names.isin([f"{s}{APART}{view}" for s in fold])] for fold in trained]


def neural(
    method: str, options: Options, cohort: MultiOmics, trained: Sequence[pd.Index]
) -> Iterator[Latents]:
    """Yield the latents of all samples, fold by fold."""
    name, settings = settings_of(method, options)
    views = {"atac-vae": (options.atac,), "rna-vae": (options.rna,)}.get(
        method, (options.atac, options.rna)
    )
    hidden = hide_pairs(cohort, views)
    samples = [
        pd.Index(np.concatenate([in_own_view(hidden.samples, trained, v)[i] for v in views]))
        for i in range(len(trained))
    ]
    fresh = [
        Estimator(settings, model=name, seed=options.seed + fold) for fold in range(len(trained))
    ]
    for estimator in fit_together(fresh, hidden, samples):
        table = estimator.transform(hidden)
        side = table.index.to_series().str.rsplit(APART, n=1)
        table.index = pd.Index(side.str[0])
        yield {view: table[(side.str[1] == view).to_numpy()] for view in views}


def principal(
    options: Options, cohort: MultiOmics, trained: Sequence[pd.Index], count: int = 32
) -> Iterator[Latents]:
    """Yield principal components of each view by itself, fold by fold."""
    for fold in trained:
        found = {}
        for view in (options.atac, options.rna):
            table = cohort.view(view)
            own = table.loc[table.index.isin(fold)]
            scale = own.std().replace(0.0, 1.0)
            pca = PCA(min(count, len(own) - 1), random_state=options.seed)
            pca.fit(((own - own.mean()) / scale).to_numpy())
            z = pca.transform(((table - own.mean()) / scale).to_numpy())
            found[view] = pd.DataFrame(z, index=table.index)
        yield found


def score(
    latents: Latents, labels: pd.Series, trained: pd.Index, test: pd.Index, aligned: bool
) -> dict[tuple[str, str], float]:
    """Return scores by view and metric, of test samples; classes come from training samples."""
    sides = {
        view: (table.loc[table.index.isin(trained)], table.loc[table.index.isin(test)])
        for view, table in latents.items()
    }
    found = {
        (view, "accuracy"): label_transfer(own, labels[own.index], held, labels[held.index])
        for view, (own, held) in sides.items()
    }
    if not aligned:
        return found
    (a, (a_own, a_test)), (r, (r_own, r_test)) = sides.items()
    for source, own, target, held in ((r, r_own, a, a_test), (a, a_own, r, r_test)):
        given = labels[own.index], held, labels[held.index]
        found[f"{source} to {target}", "label_transfer"] = label_transfer(own, *given)
    found["both", "modality_accuracy"] = modality_accuracy(a_test.to_numpy(), r_test.to_numpy())
    shared = a_test.index.intersection(r_test.index)
    if len(shared) > 5:
        pair = a_test.loc[shared].to_numpy(), r_test.loc[shared].to_numpy()
        found["both", "foscttm"] = foscttm(*pair)
        found["both", "retrieval_1"] = retrieval(*pair)
        found["both", "retrieval_5"] = retrieval(*pair, 5)
    return found


def main(options: Options) -> None:
    """Fit all methods on all folds, score, write and print."""
    cohort = read_cohort(options.data, views=(options.atac, options.rna))
    if options.log:
        cohort = replace(cohort, views={v: np.log2(1 + t) for v, t in cohort.views.items()})
    labels = cohort.labels[options.label].dropna().astype(str)
    cohort = cohort.select_samples(labels.index)
    folds = list(
        make_folds(
            cohort, options.folds, seed=options.seed, stratify=options.label,
            group=options.group, pool_rare=True,
        )
    )  # fmt: skip
    trained, rows = [pd.Index(fold.train) for fold in folds], []
    for method in options.methods:
        if method == "pca":
            each = principal(options, cohort, trained)
        else:
            each = neural(method, options, cohort, trained)
        aligned = method not in ("pca", "atac-vae", "rna-vae")
        for number, latents in enumerate(each):
            test = pd.Index(folds[number].test)
            for (view, metric), value in score(
                latents, labels, trained[number], test, aligned
            ).items():
                rows.append((options.data.name, method, number, view, metric, value))
        print(f"{method}: done", flush=True)
    columns = ["dataset", "model", "fold", "view", "metric", "value"]
    table = pd.DataFrame(rows, columns=pd.Index(columns))
    write_table(table, options.out / "scores.parquet", overwrite=True)
    summary = table.groupby(["metric", "view", "model"])["value"].agg(["mean", "sem"])
    print(summary.round(3).to_string())


if __name__ == "__main__":
    main(tyro.cli(Options))
