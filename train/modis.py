"""Train MODIS on a folder of tables whose views share no sample; predict, embed and translate.

    jaxomics simulate intersim --n 3000 --unpaired --label-share 0.05 --out cohort
    python train/modis.py --data cohort --out runs/modis

takes about 5 minutes on 2 cores and leaves a run folder (`jaxomics train modis` writes the
same), `predictions.parquet` with the class of every sample, and `translated/SOURCE_to_TARGET`
for every pair of views. Expected on this cohort: accuracy above 0.95, printed if `truth/labels`
is there; docs/results/modis.md has the published experiments.
"""

from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import tyro

from jaxomics.data.io import read_cohort, read_table, write_table
from jaxomics.engine.fit import Recorder
from jaxomics.estimator import Estimator
from jaxomics.metrics.classification import evaluate_classes
from jaxomics.presets import preset
from jaxomics.runfolder import describe_run, finish_run, start_run


@dataclass(frozen=True)
class Options:
    """What to train.

    Attributes:
      data: folder of tables; empty labels are unlabelled samples.
      out: run folder.
      preset: named settings.
      seed: everything random follows from it.
    """

    data: Path
    out: Path
    preset: str = "recommended"
    seed: int = 0


def main(options: Options) -> None:
    """Fit, save, predict, translate, and score where the truth is known."""
    cohort = read_cohort(options.data)
    estimator = Estimator(preset("modis", options.preset), model="modis", seed=options.seed)
    start_run(options.out, describe_run(estimator, cohort, options.data))
    estimator.fit(cohort, recorder=Recorder(options.out, quiet=False, label="modis"))
    finish_run(options.out, estimator)
    predictions = estimator.predict()
    write_table(predictions, options.out / "predictions.parquet", overwrite=True)
    write_table(estimator.transform(), options.out / "latent.parquet", overwrite=True)
    for source, target in permutations(cohort.views, 2):
        table = estimator.translate(source=source, target=target)
        path = options.out / "translated" / f"{source}_to_{target}.parquet"
        write_table(table, path, overwrite=True)
    truth = options.data / "truth" / "labels.parquet"
    if truth.exists():
        labels = read_table(truth)[estimator.label_]
        print(evaluate_classes(predictions, labels).scores.to_string(index=False))


if __name__ == "__main__":
    main(tyro.cli(Options))
