"""Train MOSA on a folder of cell-line tables and complete them.

    python train/mosa.py --data $JAXOMICS_DATA/cell_lines --out runs/mosa

takes about 10 minutes on 2 cores with the preset `recommended`, and leaves a run folder
(`jaxomics train mosa` writes the same) and `completed/` with every view, all samples by all
features. Expected: see docs/results/mosa.md for the scores of held-out samples.
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from jaxomics.data.io import read_cohort, write_table
from jaxomics.engine.fit import Recorder
from jaxomics.estimator import Estimator
from jaxomics.presets import preset
from jaxomics.runfolder import describe_run, finish_run, start_run


@dataclass(frozen=True)
class Options:
    """What to train.

    Attributes:
      data: folder of tables.
      out: run folder.
      preset: named settings.
      seed: everything random follows from it.
    """

    data: Path
    out: Path
    preset: str = "recommended"
    seed: int = 0


def main(options: Options) -> None:
    """Fit, save, complete."""
    cohort = read_cohort(options.data)
    estimator = Estimator(preset("mosa", options.preset), seed=options.seed)
    start_run(options.out, describe_run(estimator, cohort, options.data))
    estimator.fit(cohort, recorder=Recorder(options.out, quiet=False, label="mosa"))
    finish_run(options.out, estimator)
    completed = options.out / "completed"
    completed.mkdir(exist_ok=True)
    for view, table in estimator.impute().items():
        write_table(table, completed / f"{view}.parquet", overwrite=True)
    print(f"completed tables are in {completed}")


if __name__ == "__main__":
    main(tyro.cli(Options))
