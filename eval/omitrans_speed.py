"""What a step of OmiTrans costs: at a quarter of its paper's size beside PyTorch, and at full size.

Run by `python eval/speed.py omitrans`; each measurement is a process of its own.
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

FULL = {"methylation": 39_464, "rna": 60_483}
"""Features of the article; the size that is compared has a quarter of them."""
BATCH = 128
SAMPLES = {"quarter": 8 * BATCH, "full": 2 * BATCH}
"""Training rows, by the size."""
CALLS = {"quarter": 3, "full": 2}
"""Timed epochs, by the size."""
TARGET_GIB = 9.0


def child(size: str) -> dict[str, Any]:
    """Train in this process; at full size weights that face features are bfloat16."""
    from jaxomics.engine import timing
    from jaxomics.engine.devices import use_compilation_cache
    from jaxomics.engine.state import Split
    from jaxomics.models import omitrans
    from jaxomics.presets import preset

    use_compilation_cache()
    settings = preset("omitrans", "paper")
    weights = "bfloat16" if size == "full" else "float32"
    config = replace(settings.config, source=("methylation",), target=("rna",), weights=weights)
    spec, data, standard = paired(size)
    samples = SAMPLES[size]
    split = Split(np.arange(samples), samples, np.zeros(0, np.int32), 0)
    found, params = timing.time_training(
        omitrans.build(config, spec), data, standard, split, settings.hyper, settings.train,
        calls=CALLS[size], epochs=1, warmup=1,
    )  # fmt: skip
    about = {"size": size, "peak_gib": timing.peak_gib(), "gflop": gflop(params)}
    return found._asdict() | about


def gflop(params: Any) -> float:
    """Return the operations of all matrix products of a step.

    2 per weight and row, for every pass that someone needs. The generator runs forward and
    backward once. The discriminator runs forward for measured and for generated samples, and
    backward for both, and once more through the generator's loss, which does not need the
    gradient of its weights. Gradients of data are nobody's need.
    """
    import jax

    total = 0.0
    for keys, leaf in jax.tree_util.tree_leaves_with_path(params):
        path = "/".join(str(key.key) for key in keys)
        if path.endswith("kernel"):
            passes = 3.0 if path.startswith("generator") else 8.0
            if "trunk/linear_0" in path:
                passes -= 1
            elif "blocks/linear_0" in path:
                passes -= 2 + FULL["methylation"] / sum(FULL.values())
            total += 2 * BATCH * passes * leaf.size
    return total / 1e9


def paired(size: str) -> tuple[Any, Any, Any]:
    """Return description, data and scaling of random views of the same samples."""
    import jax.numpy as jnp

    from jaxomics.data.batch import DataSpec, Standard, ViewSpec, make_data

    rng = np.random.default_rng(0)
    sizes = {name: n if size == "full" else n // 4 for name, n in FULL.items()}
    arrays = {name: rng.random((SAMPLES[size], n), np.float32) for name, n in sizes.items()}
    zeros = {name: jnp.zeros(n) for name, n in sizes.items()}
    ones = {name: jnp.ones(n) for name, n in sizes.items()}
    spec = DataSpec(tuple(ViewSpec(name, n) for name, n in sizes.items()))
    return spec, make_data(arrays), Standard(zeros, ones)


def measure(size: str) -> None:
    """Measure in this process and print it; started by `omitrans`."""
    print(json.dumps(child(size)))


def omitrans(torch: Path, out: Path, rounds: int = 2) -> None:
    """Time steps at a quarter of the paper's size, ours and the peer's in turns; and at full size.

    Args:
      torch: Python of the peer's environment.
      out: JSON file.
      rounds: how often.
    """
    folder = Path(__file__).parent
    script = [sys.executable, str(folder / "speed.py")]
    peer = [str(torch), str(folder / "peers" / "torch_omitrans.py"), "--threads", "2"]
    found: dict[str, Any] = {"ceiling": [], "ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(rounds):
            found["ceiling"].append(started([*script, "child", "ceiling"], cache, huge=True))
            words = [*script, "omitrans-steps", "--size", "quarter"]
            found["ours"].append(started(words, cache, huge=True))
            found["peer"].append(started(peer, cache, huge=True))
        found["full"] = started([*script, "omitrans-steps", "--size", "full"], cache, huge=True)
    found["summary"] = summary(found)
    written(found, out)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Return medians, times faster than the peer, share of the machine's ceiling, memory."""
    ceiling = max(max(run["numpy"], run["jax"]) for run in found["ceiling"])
    step = statistics.median(s for run in found["ours"] for s in run["steps_s"])
    peer = statistics.median(run["median_step_s"] for run in found["peer"])
    first, full = found["ours"][0], found["full"]
    return {
        "ceiling_gflop_s": ceiling,
        "step_s": step,
        "gflop": first["gflop"],
        "ceiling_share": first["gflop"] / step / ceiling,
        "peer_step_s": peer,
        "times_faster": peer / step,
        "compile_cold_s": first["begin_s"] + first["compile_s"],
        "peak_gib": max(run["peak_gib"] for run in found["ours"]),
        "full_step_s": statistics.median(full["steps_s"]),
        "full_peak_gib": full["peak_gib"],
        "full_fits": full["peak_gib"] <= TARGET_GIB,
        "full_parameters": full["parameters"],
    }
