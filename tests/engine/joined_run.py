"""A process that trains with others: `python joined_run.py KIND PORT COUNT NUMBER FOLDER`.

KIND is `fit` (one replica, whose batches all devices split), `many` (three replicas, spread over
the devices), `stream` (as `fit`, from disk), `part` (of `stream`, interrupted in the middle of an
epoch), `half` (of the epochs of `fit`), `more` (one epoch more than are saved) or `endless` (as
`fit`, until someone stops it). With PORT 0 a launcher's variables tell the rest.
"""

import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from jaxomics.data.batch import DataSpec, Standard, ViewSpec, make_data
from jaxomics.data.store import write_arrays
from jaxomics.engine import drive as module
from jaxomics.engine.checkpoint import latest_epoch, save_model
from jaxomics.engine.drive import Recorder
from jaxomics.engine.fit import fit
from jaxomics.engine.processes import ALONE, Processes, agree, is_writer, together
from jaxomics.engine.replicate import fit_many, repeat
from jaxomics.engine.state import FitResult, Split, Train
from jaxomics.engine.streamed import _Run as Run
from jaxomics.engine.streamed import fit_streamed
from jaxomics.models import _template as template
from jaxomics.models.base import Model

EPOCHS = {"fit": 4, "many": 4, "stream": 4, "part": 4, "half": 2, "endless": 100_000}
"""How long each kind trains."""


def main(kind: str, folder: Path) -> FitResult:
    """Train, or go on training, one epoch per call with a checkpoint after each."""
    module.CALL_SECONDS = 0.0
    x = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    model = template.build(template.Config(latent=2), DataSpec((ViewSpec("rna", 4),)))
    standard = Standard({"rna": jnp.zeros(4)}, {"rna": jnp.ones(4)})
    split = Split(np.arange(9), 9, np.arange(9, 12), 3)
    epochs = EPOCHS.get(kind) or 1 + (latest_epoch(folder / "checkpoints") or 0)
    train = Train(epochs, batch_size=4, checkpoint_seconds=0)
    settings: Any = (standard, split, template.Hyper())
    rest: Any = {"recorder": Recorder(folder, resume=True)}
    if kind in ("stream", "part"):
        return streamed(kind, model, x, *settings, train, **rest)
    if kind != "many":
        return fit(model, make_data({"rna": x}), *settings, train, key=jax.random.key(0), **rest)
    keys = jax.random.split(jax.random.key(0), 3)
    return fit_many(model, make_data({"rna": x}), *repeat(settings, 3), train, keys=keys, **rest)


def streamed(kind: str, model: Model, x: np.ndarray, *settings: Any, recorder: Recorder) -> Any:
    """Train from a store that every process has for itself; `part` stops after 3 steps."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        if kind == "part":
            stop = mock.patch.object(Run, "_decide", lambda run, *_: (run.taken == 3, True))
            stack.enter_context(suppress(KeyboardInterrupt))
            stack.enter_context(stop)
        store = write_arrays({"rna": x}, Path(place) / "store")
        return fit_streamed(model, store, *settings, key=jax.random.key(0), recorder=recorder)


if __name__ == "__main__":
    kind, port, count, number, folder = sys.argv[1:]
    named = Processes(f"127.0.0.1:{port}", int(count), int(number)) if int(port) else ALONE
    with together(named):
        agree(kind, "kind of run")
        result = main(kind, Path(folder))
        if is_writer():
            save_model(Path(folder) / "model.npz", result.params)
