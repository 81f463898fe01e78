"""Train OmiTrans on pairs of views, and translate samples that it has not seen.

    jaxomics simulate translation --out cohort
    python train/omitrans.py --data cohort --source methylation --target rna --out runs/omitrans

takes about 2 minutes on 2 cores with the preset `recommended`, and leaves a run folder (`jaxomics
train omitrans` writes the same), `translated.parquet` with the target of the held-out fifth of the
pairs, and `scores.parquet`. `--preset paper` is the generator and the discriminator of Zhang and
Guo 2021 at full width and 800 epochs: hours on 2 cores. Expected on this cohort: a median R2 per
gene of about 0.64, where ridge has 0.66; docs/results/omitrans.md compares methods on folds.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

from jaxomics.data.io import read_cohort, write_table
from jaxomics.engine.fit import Recorder
from jaxomics.estimator import Estimator
from jaxomics.metrics.translation import NINE, evaluate_translation
from jaxomics.presets import preset
from jaxomics.runfolder import describe_run, finish_run, start_run


@dataclass(frozen=True)
class Options:
    """What to train.

    Attributes:
      data: folder of tables.
      source: views to translate from.
      target: view to translate to.
      out: run folder.
      preset: named settings.
      held_out: share of the pairs that is not trained on.
      seed: everything random follows from it.
    """

    data: Path
    source: tuple[str, ...]
    target: str
    out: Path
    preset: str = "recommended"
    held_out: float = 0.2
    seed: int = 0


def main(options: Options) -> None:
    """Fit, save, translate, score."""
    views = (*options.source, options.target)
    cohort = read_cohort(options.data, views=list(views))
    paired = cohort.samples[np.all([cohort.present(view) for view in views], axis=0)]
    order = np.random.default_rng(options.seed).permutation(len(paired))
    count = round(options.held_out * len(paired))
    test, train = paired[np.sort(order[:count])], paired[np.sort(order[count:])]
    settings = preset("omitrans", options.preset)
    config = replace(settings.config, source=options.source, target=(options.target,))
    settings = replace(settings, config=config)
    estimator = Estimator(settings, model="omitrans", seed=options.seed)
    start_run(options.out, describe_run(estimator, cohort, options.data))
    recorder = Recorder(options.out, quiet=False, label="omitrans")
    estimator.fit(cohort, samples=train, recorder=recorder)
    finish_run(options.out, estimator)
    made = estimator.translate(
        cohort.select_samples(test), source=options.source, target=options.target
    )
    write_table(made, options.out / "translated.parquet", overwrite=True)
    truth = cohort.table(options.target)
    reference = pd.Series(truth.loc[train].mean(axis=0))
    scores, _ = evaluate_translation(
        made, truth.loc[test], options.data.name, "omitrans", options.target, reference
    )
    write_table(scores, options.out / "scores.parquet", overwrite=True)
    print(scores[scores["metric"].isin([*NINE, "median_r"])].to_string(index=False))


if __name__ == "__main__":
    main(tyro.cli(Options))
