"""MOSA's published search (Cai et al. 2024) on a folder of cell-line tables.

    python train/sweep.py --data $JAXOMICS_DATA/cell_lines --out runs/sweep --trials 600

draws groups of 8 trials from the published ranges with Optuna's TPE, trains each group as one
program for at most 150 epochs, judges all by the reconstruction of the same 20 % of the samples,
and leaves tables, figures and `settings.json` in the run folder. As in the article no trial is
pruned. `--resume` goes on after a stop; a second machine joins by the same `--storage` and another
`--out`.

A first look, `--views rppa drug metabolomics --trials 40 --epochs 60`, takes 3 minutes of one
core. Expected: the best trial reconstructs held-out samples with an error of 1.79, where 3 is
that of the mean; good trials have learning rates above 1e-3, which explain 80 % of the variance.
All views, trials and epochs are work for a GPU: a trial costs 150 epochs of `--preset paper`.
The article chose its final values by hand after its search (its view latent of 0.25 lies outside
these ranges), so the best trial is not its Table 1.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import tyro

from jaxomics.commands.sweep import Plan, sweep
from jaxomics.presets import preset


@dataclass(frozen=True)
class Options:
    """What to search on.

    Attributes:
      data: folder of tables.
      out: run folder.
      trials: number of trials in the whole study.
      epochs: the most that a trial trains.
      group_size: trials that share their sizes and train as one program.
      views: search on these views only.
      storage: journal file or database URL of a study that several processes share.
      seed: everything random follows from it.
      resume: go on with an interrupted search.
    """

    data: Path
    out: Path
    trials: int = 600
    epochs: int = 150
    group_size: int = 8
    views: tuple[str, ...] | None = None
    storage: str | None = None
    seed: int = 0
    resume: bool = False


def main(options: Options) -> None:
    """Search, and tell what was best."""
    paper = preset("mosa", "paper")
    found = sweep(
        "mosa",
        options.data,
        options.out,
        Plan(options.trials, options.group_size, options.storage, prune=False),
        settings=replace(paper, train=replace(paper.train, epochs=options.epochs)),
        space="published",
        seed=options.seed,
        views=options.views,
        resume=options.resume,
        quiet=False,
    )
    if found is not None:  # where several processes search together, process 0 has it
        print(found.trials.nsmallest(10, "value").to_string(index=False))


if __name__ == "__main__":
    main(tyro.cli(Options))
