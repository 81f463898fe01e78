"""A training script to be killed: `python killed_run.py FOLDER`, again and again until it ends.

With a second argument, three replicas are trained, two at a time.
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import DataSpec, Standard, ViewSpec, make_data
from jaxomics.engine import drive as module
from jaxomics.engine.checkpoint import save_model
from jaxomics.engine.fit import Recorder, fit
from jaxomics.engine.replicate import fit_many, repeat
from jaxomics.engine.state import Split, Train
from jaxomics.models import _template as template

EPOCHS = 60


def main(folder: Path, *, chunks: bool) -> None:
    """Train, or go on training, one epoch per call with a checkpoint after each."""
    module.CALL_SECONDS = 0.0
    data = make_data({"rna": np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)})
    model = template.build(template.Config(latent=2), DataSpec((ViewSpec("rna", 4),)))
    standard = Standard({"rna": jnp.zeros(4)}, {"rna": jnp.ones(4)})
    split, hyper = Split(np.arange(9), 9, np.arange(9, 12), 3), template.Hyper()
    train = Train(
        EPOCHS // 2 if chunks else EPOCHS,
        batch_size=4,
        schedule="plateau",
        valid_fraction=0.1,
        checkpoint_seconds=0,
    )
    key, recorder = jax.random.key(0), Recorder(folder, resume=True)
    if chunks:
        many = (repeat(standard, 3), repeat(split, 3), repeat(hyper, 3))
        keys = jax.random.split(key, 3)
        result = fit_many(model, data, *many, train, keys=keys, recorder=recorder, max_replicas=2)
    else:
        result = fit(model, data, standard, split, hyper, train, key=key, recorder=recorder)
    save_model(folder / "model.npz", result.params)


if __name__ == "__main__":
    main(Path(sys.argv[1]), chunks=len(sys.argv) > 2)
