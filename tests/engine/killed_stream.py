"""A streamed run to be killed: `python killed_stream.py FOLDER`, again and again until it ends.

Every step is saved, so kills fall into the middle of epochs.
"""

import sys
from pathlib import Path

import jax
import numpy as np

from jaxomics.data.batch import DataSpec, ViewSpec
from jaxomics.data.store import open_store, write_arrays
from jaxomics.data.stream import fit_scaling
from jaxomics.engine.checkpoint import save_model
from jaxomics.engine.drive import Recorder
from jaxomics.engine.state import Split, Train
from jaxomics.engine.streamed import fit_streamed
from jaxomics.models import _template as template

EPOCHS, STEPS = 6, 20


def main(folder: Path) -> None:
    """Train on the store in the folder, or go on training."""
    path = folder / "store"
    if not path.exists():
        write_arrays({"rna": np.random.default_rng(0).normal(size=(50, 4))}, path)
    store, rows = open_store(path), np.arange(2 * STEPS)
    result = fit_streamed(
        template.build(template.Config(latent=2), DataSpec((ViewSpec("rna", 4),))),
        store,
        fit_scaling(store, rows),
        Split(rows, len(rows), np.arange(2 * STEPS, 50), 10),
        template.Hyper(),
        Train(EPOCHS, batch_size=2, schedule="plateau", valid_fraction=0.1, checkpoint_seconds=0),
        key=jax.random.key(0),
        recorder=Recorder(folder, resume=True),
    )
    save_model(folder / "model.npz", result.params)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
