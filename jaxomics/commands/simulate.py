"""`simulate`: cohorts with known truth."""

from pathlib import Path

from jaxomics.commands.options import Flag
from jaxomics.commands.outputs import refuse_folder
from jaxomics.data.simulate import SIZES, simulate_depmap, write_simulation
from jaxomics.errors import unknown


def simulate(*, out: Path, size: str = "small", seed: int = 0, overwrite: Flag = False) -> Path:
    """Write a simulated cell line cohort with holes, and its truth in the subfolder `truth`.

    Seven views of cell lines, a table of mutations, labels, and planted biomarkers. The folder
    reads like any other data.

    Args:
      out: folder to write.
      size: tiny, small, medium or paper.
      seed: the same seed gives the same cohort.
      overwrite: replace existing files.

    Returns:
      The folder.
    """
    if size not in SIZES:
        raise unknown("size", size, SIZES)
    refuse_folder(out, overwrite)
    write_simulation(simulate_depmap(size, seed), out, overwrite=overwrite)
    return out
