"""What a step of MODIS costs at its paper's sizes: alone, as ten replicas, and in eager PyTorch.

Run by `python eval/speed.py modis`; each measurement is a process of its own.
"""

import json
import statistics
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measured import started, written

VIEWS = {"methylation": 367, "expression": 131, "protein": 160}
SAMPLES, CLASSES, REPLICAS = 3067, 5, 10
"""Training rows of each view, which no other view has, as in the paper's simulation."""
EPOCHS = {1: 8, REPLICAS: 2}
"""How long to train for a measurement, by the number of replicas."""


def child(replicas: int) -> dict[str, Any]:
    """Train in this process and return seconds per step of all replicas."""
    import jax

    from jaxomics.engine import timing
    from jaxomics.engine.devices import use_compilation_cache, use_cores
    from jaxomics.engine.fit import fit
    from jaxomics.engine.replicate import fit_many, repeat
    from jaxomics.engine.state import Split
    from jaxomics.models import modis
    from jaxomics.presets import preset

    use_compilation_cache()
    if replicas > 1:
        use_cores()
    settings = preset("modis", "paper")
    spec, data, standard = disjoint()
    model = modis.build(settings.config, spec)
    train = replace(settings.train, epochs=EPOCHS[replicas])
    split = Split(np.arange(len(data.labels)), len(data.labels), np.zeros(0, np.int32), 0)
    if replicas == 1:
        key = jax.random.key(0)
        result = fit(model, data, standard, split, settings.hyper, train, key=key)
    else:
        several: list[Any] = [repeat(p, replicas) for p in (standard, split, settings.hyper)]
        keys = jax.random.split(jax.random.key(0), replicas)
        result = fit_many(
            model, data, several[0], several[1], several[2], train, keys=keys, max_replicas=replicas
        )
    steps = train.epochs * (SAMPLES // train.batch_size)
    return {
        "replicas": replicas,
        "step_s": result.seconds["run"] / steps,
        "compile_s": result.seconds["compile"],
        "gflop": gflop(result.params, train.batch_size),
        "peak_gib": timing.peak_gib(),
        "loss": result.history[-1]["vae/loss"],
    }


def gflop(params: Any, batch: int) -> float:
    """Return the operations of all matrix products of a step, of all replicas.

    2 per weight and row, for every pass that someone needs: encoders run forward for both
    players and backward for one, decoders for one; the discriminator runs forward and backward
    for both, but learns from one. Gradients of data are nobody's need.
    """
    import jax

    total = 0
    for keys, leaf in jax.tree_util.tree_leaves_with_path(params):
        path = "/".join(str(key.key) for key in keys)
        if path.endswith("kernel"):
            part = path.split("/")[1]
            passes = {"encoders": 4, "decoders": 3}.get(part.split("_")[0], 5 * len(VIEWS))
            passes -= part.startswith("encoders") and "normed_0" in path
            passes -= len(VIEWS) * (part == "hidden_0")
            total += 2 * batch * passes * leaf.size
    return total / 1e9


def disjoint() -> tuple[Any, Any, Any]:
    """Return description, data and scaling of random views of disjoint samples."""
    import jax.numpy as jnp

    from jaxomics.data.batch import DataSpec, Standard, ViewSpec, make_data

    rng, total = np.random.default_rng(0), SAMPLES * len(VIEWS)
    arrays = {
        name: np.full((total, features), np.nan, np.float32) for name, features in VIEWS.items()
    }
    for i, (name, features) in enumerate(VIEWS.items()):
        arrays[name][i * SAMPLES : (i + 1) * SAMPLES] = rng.random((SAMPLES, features))
    data = make_data(arrays, labels=rng.integers(CLASSES, size=total))
    ones = {name: jnp.ones(features) for name, features in VIEWS.items()}
    zeros = {name: jnp.zeros(features) for name, features in VIEWS.items()}
    spec = DataSpec(
        tuple(ViewSpec(*view) for view in VIEWS.items()), 0, tuple(map(str, range(CLASSES)))
    )
    return spec, data, Standard(zeros, ones)


def measure(replicas: int) -> None:
    """Measure in this process and print it; started by `modis`."""
    print(json.dumps(child(replicas)))


def modis(torch: Path, out: Path, rounds: int = 2) -> None:
    """Time steps at the paper's sizes: ours alone, ours ten at a time, and the peer, in turns.

    Args:
      torch: Python of the peer's environment.
      out: JSON file.
      rounds: how often.
    """
    folder = Path(__file__).parent
    script = [sys.executable, str(folder / "speed.py")]
    peer = [str(torch), str(folder / "peers" / "torch_modis.py"), "--threads", "2"]
    found: dict[str, Any] = {"ceiling": [], "ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(rounds):
            found["ceiling"].append(started([*script, "child", "ceiling"], cache, huge=True))
            for replicas in EPOCHS:
                words = [*script, "modis-steps", "--replicas", str(replicas)]
                found["ours"].append(started(words, cache, huge=True))
            found["peer"].append(started(peer, cache, huge=True))
    found["summary"] = summary(found)
    written(found, out)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Return medians, times faster than the peer, and shares of the machine's ceiling."""
    ceiling = max(max(run["numpy"], run["jax"]) for run in found["ceiling"])
    peer = statistics.median(run["median_step_s"] for run in found["peer"])
    about: dict[str, Any] = {"ceiling_gflop_s": ceiling, "peer_step_s": peer}
    for replicas in EPOCHS:
        runs = [run for run in found["ours"] if run["replicas"] == replicas]
        step = statistics.median(run["step_s"] for run in runs)
        about[f"{replicas} at a time"] = {
            "step_s": step,
            "times_faster": replicas * peer / step,
            "ceiling_share": runs[0]["gflop"] / step / ceiling,
            "gflop": runs[0]["gflop"],
            "compile_cold_s": runs[0]["compile_s"],
            "peak_gib": max(run["peak_gib"] for run in runs),
        }
    return about
