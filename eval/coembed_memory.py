"""Peak memory of the windowed first level at full width: the matrix once, plus one window.

    python eval/coembed_memory.py --samples 640 --peaks 562709 --trained 64

Simulated values stand for measured ones: noise, neighbours alike. Every window is trained
on once with each of the `trained` samples, and then all samples are exported: the means of all
windows, samples x 57,856 at full width. Prints how far the process had grown after each step, in
MB, beside the size of the matrix, and the seconds each took. `--hidden 64` is a quick look.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxomics.data.batch import Data, DataSpec, Standard, ViewSpec
from jaxomics.engine.fit import fit
from jaxomics.engine.state import Split, Train
from jaxomics.models import atac
from jaxomics.models.base import Variables
from jaxomics.presets import preset

NEIGHBOURS = 20
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
      samples: rows of the matrix.
      peaks: its columns.
      trained: samples that are trained on; the others are only exported.
      hidden: layers of the network; the published one takes minutes.
    """

    samples: int = 640
    peaks: int = 562_709
    trained: int = 64
    hidden: tuple[int, ...] = (2048, 1024, 512)


def simulate(samples: int, peaks: int, key: jax.Array) -> jax.Array:
    """Return values [samples, peaks]: a row of smoothed noise, begun elsewhere for each sample."""
    total = jnp.cumsum(jax.random.normal(key, (peaks + NEIGHBOURS,)))
    noise = (total[NEIGHBOURS:] - total[:-NEIGHBOURS]) / np.sqrt(NEIGHBOURS)
    shifts = jnp.arange(samples) * (peaks // samples)
    return jax.jit(lambda: jax.lax.map(lambda shift: jnp.roll(noise, shift), shifts))()


def peak() -> float:
    """Return the most memory the process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def told(what: str, run: Callable[[], T]) -> T:
    """Run something, and print the seconds it took and the peak after it."""
    begun = time.perf_counter()
    found = jax.block_until_ready(run())
    print(f"{what:<28} {time.perf_counter() - begun:8.1f} s   peak {peak():9.0f} MB", flush=True)
    return found


def main(options: Options) -> None:
    """Print what training and export take."""
    settings = preset("atac-vae", "paper")
    config = atac.Config(first_hidden=options.hidden)
    samples, peaks = options.samples, options.peaks
    print(f"matrix {samples} x {peaks}: {samples * peaks * 4 / 2**20:.0f} MB")
    print(f"{'program':<28} {'':>10}   peak {peak():9.0f} MB")
    values = told("simulated", lambda: simulate(samples, peaks, jax.random.key(0)))
    model = atac.build(config, DataSpec((ViewSpec("atac", peaks),)))
    assert model.level is not None
    standard = Standard({"atac": jnp.zeros(peaks)}, {"atac": jnp.ones(peaks)})
    data = Data(
        {"atac": values},
        {"atac": jnp.ones((samples, 1), bool)},
        jnp.zeros((samples, 0)),
        jnp.full(samples, -1),
    )
    rows = np.arange(options.trained)
    split, train = Split(rows, len(rows), rows[:0], 0), Train(epochs=1, batch_size=64)
    first = model.level.model
    read_all = model.level.read

    def once() -> Variables:
        key = jax.random.key(1)
        result = fit(first, data, standard, split, settings.hyper, train, key=key)
        return Variables(result.params, result.collections)

    variables = told("one pass over all windows", once)
    read, _ = told("all samples exported", lambda: read_all(variables, data, standard))
    print(f"exported: {' x '.join(str(n) for n in read.x['atac'].shape)}")


if __name__ == "__main__":
    main(tyro.cli(Options))
