"""A script whose memory is watched: `python wide_epoch.py FOLDER` writes, scales, reads an epoch.

Prints bytes on disk, and by how much the peak of resident memory grew over that before.
"""

import resource
import sys
from pathlib import Path

import grain  # noqa: F401  (its memory is no part of the growth)
import jax
import numpy as np

from jaxomics.data import store as module
from jaxomics.data.plans import EpochPlan
from jaxomics.data.store import Store
from jaxomics.data.stream import RowStream, as_batch, fit_scaling

ROWS, FEATURES, BATCH = 5120, 20_000, 32


def main(folder: Path) -> None:
    """Go once through a table of 410 MB in batches of 2.6 MB."""
    plan = EpochPlan(jax.random.key(0), np.arange(ROWS), ROWS, batch=BATCH, epochs=1)
    plan.step(0)
    before = peak()
    store = written(folder)
    standard = fit_scaling(store, np.arange(ROWS))
    batch = jax.jit(lambda rows, standard: as_batch(rows, standard).x["wide"].sum(dtype="float32"))
    steps = [float(batch(rows, standard)) for rows in RowStream(store, plan)]
    assert len(steps) == ROWS // BATCH
    print((store.folder / "views" / "wide.npy").stat().st_size, peak() - before)


def written(folder: Path) -> Store:
    """Write a table that is made chunk by chunk."""

    class Table:
        """Rows that exist once they are asked for."""

        shape = ROWS, FEATURES

        def __len__(self) -> int:
            return ROWS

        def __getitem__(self, rows: slice) -> np.ndarray:
            count = len(range(*rows.indices(ROWS)))
            return np.random.default_rng(rows.start).random((count, FEATURES), np.float32)

    return module.write_arrays({"wide": Table()}, folder / "store")


def peak() -> int:
    """Return the peak of resident memory in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
