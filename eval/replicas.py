"""What an axis of replicas costs: folds together, one after the other, and in eager PyTorch.

Run by `python eval/speed.py cv`; each measurement is a process of its own.
"""

import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from measured import simulated, started, written

from jaxomics.figures.style import COLOURS, new_figure, tidy_axes

FOLDS = 10
SWEPT = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of replicas of the scaling figure."""


@dataclass(frozen=True)
class Size:
    """How large a problem is.

    Attributes:
      views: features per view; the encoder reads all of them.
      conditionals, latent, batch, samples: as their names say.
      epochs: how long to train for a measurement.
    """

    views: dict[str, int]
    conditionals: int
    latent: int
    batch: int
    samples: int
    epochs: int

    def peer(self) -> str:
        """Return the sizes as the PyTorch peer reads them."""
        views = {name: (features, features) for name, features in self.views.items()}
        own = {"conditionals": self.conditionals, "latent": self.latent, "batch": self.batch}
        return json.dumps({"views": views, "samples": self.samples} | own)


SIZES = {
    "tiny": Size({"rna": 150, "protein": 40, "drug": 30}, 10, 16, 32, 640, 60),
    "medium": Size({"rna": 600, "protein": 200, "drug": 100}, 10, 32, 64, 640, 40),
    "large": Size({"rna": 4000, "protein": 2000, "methylation": 3000}, 100, 200, 256, 1523, 2),
}


def child(size: str, replicas: int, together: bool) -> dict[str, Any]:
    """Train in this process and return seconds per step of all replicas.

    Args:
      size: which of `SIZES`.
      replicas: how many.
      together: as one program, or one replica after the other.
    """
    import jax

    from jaxomics.engine import timing
    from jaxomics.engine.devices import use_compilation_cache, use_cores
    from jaxomics.engine.fit import fit
    from jaxomics.engine.replicate import fit_many, repeat, stack
    from jaxomics.engine.state import Split
    from jaxomics.models import mosa
    from jaxomics.presets import preset

    use_compilation_cache()
    use_cores()
    chosen = SIZES[size]
    settings = preset("mosa", "paper")
    train = replace(settings.train, batch_size=chosen.batch, epochs=chosen.epochs)
    views = {name: (features, features) for name, features in chosen.views.items()}
    spec, data, standard = simulated(views, chosen.samples, chosen.conditionals)
    model = mosa.build(replace(settings.config, latent=chosen.latent), spec)
    none = np.zeros(0, np.int32)
    splits = [Split(rows, len(rows), none, 0) for rows in folds(chosen.samples, replicas)]
    keys = jax.random.split(jax.random.key(0), replicas)
    if together:
        result = fit_many(
            model, data, repeat(standard, replicas), stack(splits),
            repeat(settings.hyper, replicas), train, keys=keys, max_replicas=replicas,
        )  # fmt: skip
        runs = [result]
    else:
        runs = [
            fit(model, data, standard, split, settings.hyper, train, key=key)
            for split, key in zip(splits, keys, strict=True)
        ]
    steps = chosen.epochs * (len(splits[0].train) // chosen.batch)
    params = jax.tree.map(lambda leaf: leaf[0], runs[0].params) if together else runs[0].params
    dense = timing.layers(params, lambda path: "encoders" in path and "hidden_0" in path)
    return {
        "step_s": sum(run.seconds["run"] for run in runs) / steps,
        "compile_s": sum(run.seconds["compile"] for run in runs),
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(params)),
        "gflop": replicas * timing.product_flops(dense, chosen.batch) / 1e9,
        "peak_gib": timing.peak_gib(),
    }


def measure(size: str, replicas: int, together: bool) -> None:
    """Measure in this process and print it; started by `cv`."""
    print(json.dumps(child(size, replicas, together)))


def folds(samples: int, count: int) -> list[np.ndarray]:
    """Return the training rows of `count` folds of equal size, a tenth of the samples out each."""
    out = samples // FOLDS
    rng, numbers = np.random.default_rng(0), np.arange(samples)
    return [np.sort(rng.permutation(numbers)[out:]) for _ in range(count)]


def ours(size: str, replicas: int, cache: str, *, together: bool) -> dict[str, Any]:
    """Measure in a fresh process."""
    words = ["--size", size, "--replicas", str(replicas), "--together", str(together)]
    script = str(Path(__file__).parent / "speed.py")
    return started([sys.executable, script, "replicas", *words], cache, huge=True)


def cv(torch: Path, out: Path, rounds: int = 1) -> None:
    """Time ten folds together, one after the other, and in PyTorch; then 1 to 64 replicas.

    Args:
      torch: Python of the peer's environment.
      out: JSON file; the scaling figure stands beside it.
      rounds: how often; all ways take turns.
    """
    found: dict[str, Any] = {"ceiling": [], "together": [], "apart": [], "peer": [], "swept": []}
    peer = [str(torch), str(Path(__file__).parent / "peers" / "torch_mosa.py")]
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(rounds):
            child_of = [sys.executable, str(Path(__file__).parent / "speed.py"), "child", "ceiling"]
            found["ceiling"].append(started(child_of, cache, huge=True))
            for size, chosen in SIZES.items():
                mark = {"size": size}
                found["together"].append(mark | ours(size, FOLDS, cache, together=True))
                found["apart"].append(mark | ours(size, FOLDS, cache, together=False))
                steps = {"tiny": "400", "medium": "200", "large": "8"}[size]
                words = [*peer, chosen.peer(), "--threads", "2", "--steps", steps]
                found["peer"].append(mark | started(words, cache, huge=True))
        for size in ("tiny", "medium"):
            for replicas in SWEPT:
                one = ours(size, replicas, cache, together=True)
                found["swept"].append({"size": size, "replicas": replicas} | one)
    found["summary"] = summary(found)
    written(found, out)
    scaling(pd.DataFrame(found["swept"])).savefig(out.with_suffix(".png"), dpi=150)


def summary(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row per size: seconds per step of ten folds, each way, and the ratios."""
    ceiling = max(max(run["numpy"], run["jax"]) for run in found["ceiling"])
    rows = []
    for size in SIZES:
        chosen = {
            way: [run for run in found[way] if run["size"] == size]
            for way in ("together", "apart", "peer")
        }
        together, apart = (
            float(np.median([run["step_s"] for run in chosen[way]]))
            for way in ("together", "apart")
        )
        peer = FOLDS * float(np.median([run["median_step_s"] for run in chosen["peer"]]))
        first = chosen["together"][0]
        rows.append(
            {
                "size": size,
                "parameters": first["parameters"],
                "together_s": together,
                "apart_s": apart,
                "peer_s": peer,
                "times_apart": apart / together,
                "times_peer": peer / together,
                "ceiling_share": first["gflop"] / together / ceiling,
                "peak_gib": max(run["peak_gib"] for run in chosen["together"]),
                "ceiling_gflop_s": ceiling,
            }
        )
    return rows


def scaling(swept: pd.DataFrame) -> Figure:
    """Draw time per step and memory against the number of replicas, one line per size."""
    figure = new_figure(9.0, 3.6)
    left, right = figure.subplots(1, 2)
    for i, (size, rows) in enumerate(swept.groupby("size", sort=False)):
        label = f"{size}: {rows['parameters'].iloc[0] / 1e6:.2g} M parameters"
        colour = COLOURS[i]
        left.plot(rows["replicas"], 1e3 * rows["step_s"], "o-", color=colour, label=label)
        alone = 1e3 * rows["step_s"].iloc[0] * rows["replicas"]
        left.plot(rows["replicas"], alone, ":", color=colour, label="replicas times one")
        right.plot(rows["replicas"], rows["peak_gib"], "o-", color=colour, label=label)
    tidy_axes(left, title="Time", x="replicas", y="milliseconds per step of all replicas")
    tidy_axes(right, title="Memory", x="replicas", y="peak of the process, GiB")
    left.set_yscale("log")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(SWEPT, [str(n) for n in SWEPT])
        axes.minorticks_off()
    left.legend(frameon=False, fontsize=8)
    return figure
