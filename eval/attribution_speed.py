"""Time attributions of all outputs of one sample: through the latent, and output by output.

Part of eval/speed.py. One group of draws (32 points) of the 52 M parameter model of `step` is
explained for 800 outputs (one view) and for 5,000 (two views): through the latent, by chunked
backward passes, by one backward pass per output (a few of them are timed), and in PyTorch by
captum and shap.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measured import simulated, started, written

POINTS, CHUNK, SINGLE = 32, 64, 8
VIEWS = (("drugresponse",), ("drugresponse", "crisprcas9"))


def measure() -> None:
    """Measure in this process and print one line of JSON; started by `attribution`."""
    from jaxomics.engine.devices import use_compilation_cache

    use_compilation_cache()
    import jax

    from jaxomics.attribution.jacobian import by_latent, by_outputs
    from jaxomics.engine import timing

    found: list[dict[str, Any]] = []
    for views in VIEWS:
        network, points, through, plain = problem(views)
        outputs = plain.outputs
        latent_s, compile_s = timed(
            jax.jit(lambda n, p, b=through: by_latent(b, n, p)), network, points, repeats=3
        )
        chunked_s, _ = timed(
            jax.jit(lambda n, p, b=plain: by_outputs(b.whole, n, p, chunk=CHUNK)),
            network, points, repeats=1,
        )  # fmt: skip
        one = problem(views, most=SINGLE)[3]
        single_s, _ = timed(
            jax.jit(lambda n, p, b=one: by_outputs(b.whole, n, p, chunk=1)),
            network, points, repeats=1,
        )  # fmt: skip
        found.append(
            {
                "outputs": outputs,
                "latent_s": latent_s,
                "compile_s": compile_s,
                "chunked_s": chunked_s,
                "single_s": single_s / one.outputs * outputs,
                "gflop": gflop(through, network, points) / 1e9,
            }
        )
    print(json.dumps({"runs": found, "peak_gib": timing.peak_gib()}))


def problem(views: tuple[str, ...], most: int | None = None) -> tuple[Any, Any, Any, Any]:
    """Return network, points, and the function that writes some views, with and without readout."""
    import jax
    import jax.numpy as jnp
    from speed import STEP

    from jaxomics.attribution.jacobian import Points
    from jaxomics.attribution.targets import CONDITIONALS, Network, Target, bottleneck
    from jaxomics.data.batch import gather
    from jaxomics.explain.work import read_alone
    from jaxomics.models import mosa
    from jaxomics.presets import preset

    spec, data, standard = simulated(STEP)
    config = preset("mosa", "paper").config
    model, reader = mosa.build(config, spec), mosa.build(config, read_alone(spec))
    batch = gather(data, standard, jnp.arange(2 * POINTS), jnp.ones(2 * POINTS))
    params = jax.jit(model.init)(jax.random.key(0), batch)
    observed = {view.name: jnp.ones(view.inputs, bool) for view in spec.views}
    x = {view.name: batch.x[view.name][:, : view.inputs] for view in spec.views}
    x[CONDITIONALS] = batch.conditionals[spec.names[0]]
    points = Points(
        {name: leaf[:POINTS] for name, leaf in x.items()},
        {name: leaf[POINTS:] for name, leaf in x.items()},
        jnp.full(POINTS, 1.0 / POINTS),
    )
    targets = [
        Target(view, "view", tuple(map(str, columns)), view, columns)
        for view in views
        for columns in [np.arange(STEP[view][0])[:most]]
    ]
    network = Network(params.params, params.collections, observed)
    through = bottleneck(model, spec, targets, reader, stop=True)
    return network, points, through, bottleneck(model, spec, targets, reader)


def gflop(through: Any, network: Any, points: Any) -> float:
    """Return the operations of the products through the latent, as the compiler counts them."""
    import jax

    from jaxomics.attribution.jacobian import by_latent

    program = jax.jit(lambda n, p: by_latent(through, n, p)).lower(network, points)
    return float((program.compile().cost_analysis() or {}).get("flops", float("nan")))


def timed(program: Callable[..., Any], *arguments: Any, repeats: int) -> tuple[float, float]:
    """Return the median seconds of a compiled program, and those of its first call."""
    import jax

    begun = time.perf_counter()
    jax.block_until_ready(program(*arguments))
    first, times = time.perf_counter() - begun, []
    for _ in range(repeats):
        begun = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        times.append(time.perf_counter() - begun)
    return statistics.median(times), first


def attribution(torch: Path, out: Path) -> None:
    """Time attributions: ours three ways, captum and shap (eval/peers/README.md)."""
    script = str(Path(__file__).parent / "speed.py")
    peer = str(Path(__file__).parent / "peers" / "torch_attribution.py")
    ceiling = started([sys.executable, script, "child", "ceiling"], "off", huge=True)
    ours = started([sys.executable, script, "jacobians"], "off", huge=True)
    theirs = started([str(torch), peer, "--draws", str(POINTS)], "off", huge=True)
    best = max(ceiling["numpy"], ceiling["jax"])
    summary = [
        run
        | {
            "times_chunked": run["chunked_s"] / run["latent_s"],
            "times_single": run["single_s"] / run["latent_s"],
            "times_captum": theirs["captum_s"] * run["outputs"] / run["latent_s"],
            "times_shap": theirs["shap_s"] * run["outputs"] / run["latent_s"],
            "ceiling_share": run["gflop"] / run["latent_s"] / best,
        }
        for run in ours["runs"]
    ]
    written({"ceiling": best, "ours": ours, "peer": theirs, "summary": summary}, out)
