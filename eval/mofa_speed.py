"""An iteration of MOFA: beside mofapy2, and at the size of Cai et al. 2024 in time and memory.

    python eval/mofa_speed.py --peer mofaenv/bin/python --out mofa.json
    python eval/mofa_speed.py --size paper --precision single --rounds 1 --out mofa_paper.json

The peer's environment is one line (eval/peers/README.md). Each measurement is a process of its
own, ours and the peer's in turns; seconds are medians over iterations, without compilation. Where
other work shares the machine, compare processor seconds (`cpu`), which are means.
`--size paper` leaves the peer out, whose iteration takes minutes there; memory is that of a whole
fit of two iterations, from raw tables to the latent of all samples.
"""

import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro
from measured import started, written

SIZES: dict[str, dict[str, Any]] = {
    "compared": {"samples": 500, "views": (1600, 1200), "factors": 50},
    "paper": {"samples": 1523, "views": (17931, 15278, 14000, 4922, 2000, 420), "factors": 100},
}
"""Samples, features of the views, and factors. The article has 54,551 features."""

ITERATIONS = {"compared": 20, "paper": 2}


@dataclass(frozen=True)
class Options:
    """What to measure.

    Attributes:
      out: JSON file.
      peer: Python of an environment with mofapy2.
      size: `compared` for N = 500, D = 2,800, K = 50; `paper` for 1,523 x 54,551, K = 100.
      precision: `single` or `double`.
      rounds: how often ours and the peer take turns.
      child: measure in this process and print; used by the command itself.
    """

    out: Path = Path("mofa.json")
    peer: Path | None = None
    size: Literal["compared", "paper"] = "compared"
    precision: Literal["single", "double"] = "double"
    rounds: int = 2
    child: bool = False


def main(options: Options) -> None:
    """Measure in processes of their own and write what was found."""
    if options.child:
        print(json.dumps(measure(options.size, options.precision)))
        return
    words = [sys.executable, __file__, "--child", "--size", options.size]
    found: dict[str, Any] = {"ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(options.rounds):
            own = [*words, "--precision", options.precision]
            found["ours"].append(started(own, cache, huge=True))
            if options.peer is not None and options.size == "compared":
                found["peer"].append(started(peer_words(options), cache, huge=False))
    found["summary"] = summary(found)
    written(found, options.out)


def peer_words(options: Options) -> list[str]:
    """Return the peer's command, at the same sizes."""
    size = SIZES[options.size]
    script = Path(__file__).parent / "peers" / "mofapy2_mofa.py"
    about = {**size, "iterations": 6}
    return [str(options.peer), str(script), json.dumps(about)]


def measure(size: str, precision: Literal["single", "double"]) -> dict[str, Any]:
    """Return seconds of an iteration, its compilation and a whole fit, and the peak in GiB."""
    import jax

    from jaxomics.comparators import mofa
    from jaxomics.engine.timing import peak_gib

    with jax.enable_x64(precision == "double"):
        found = _iterations(size, np.float64 if precision == "double" else np.float32)
    iterating = peak_gib()
    config = mofa.Config(
        factors=SIZES[size]["factors"], max_iterations=2, drop=-1.0, precision=precision
    )
    begun = time.perf_counter()
    mofa.METHOD.fit(simulated(size), 0, config)
    fitting = {"fit_s": time.perf_counter() - begun, "peak_gib": peak_gib()}
    return found | {"iterating_gib": iterating, **fitting, "precision": precision}


def _iterations(size: str, dtype: type) -> dict[str, Any]:
    """Return seconds of iterations and of the first one, which compiles."""
    import jax
    import jax.numpy as jnp

    from jaxomics.comparators.mofa_updates import BLOCK, Cells, first_beliefs, renew

    views = simulated(size)
    rows = np.concatenate(list(views.values()), axis=1).astype(dtype)
    widths = [table.shape[1] for table in views.values()]
    member = np.repeat(np.eye(len(widths), dtype=dtype), widths, axis=1)
    cells = Cells(*(jnp.asarray(a) for a in (rows, np.ones_like(rows), member)))
    factors = SIZES[size]["factors"]
    z = np.random.default_rng(1).normal(size=(len(rows), factors + -factors % BLOCK))
    q = first_beliefs(cells, jnp.asarray(z, dtype))
    del rows, views
    step = jax.jit(renew, static_argnames=("binary",))
    seconds, processor, bound = [], [], jnp.zeros(())
    for _ in range(1 + ITERATIONS[size]):
        begun, worked = time.perf_counter(), time.process_time()
        q, bound = jax.block_until_ready(step(cells, q, ()))
        seconds.append(time.perf_counter() - begun)
        processor.append(time.process_time() - worked)
    return {
        "iteration_s": statistics.median(seconds[1:]), "best_s": min(seconds[1:]),
        "iteration_cpu_s": statistics.mean(processor[1:]), "first_s": seconds[0],
        "bound": float(bound),
    }  # fmt: skip


def simulated(size: str) -> dict[str, np.ndarray]:
    """Return views of random factors and noise, without holes."""
    known = SIZES[size]
    rng = np.random.default_rng(0)
    z = rng.standard_normal((known["samples"], 10), np.float32)
    return {
        f"view{i}": z @ rng.standard_normal((10, width), np.float32)
        + 2.0 * rng.standard_normal((known["samples"], width), np.float32)
        for i, width in enumerate(known["views"])
    }


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Return medians over rounds, and how much faster ours is, round by round."""
    times = ("iteration_s", "iteration_cpu_s", "best_s")
    about: dict[str, Any] = {
        **{name: statistics.median(run[name] for run in found["ours"]) for name in times},
        "fit_s": statistics.median(run["fit_s"] for run in found["ours"]),
        "peak_gib": max(run["peak_gib"] for run in found["ours"]),
    }
    rounds = list(zip(found["ours"], found["peer"], strict=False))
    for name in times if rounds else ():
        about[f"peer_{name}"] = statistics.median(theirs[name] for _, theirs in rounds)
        about[f"times_faster_{name}"] = [theirs[name] / own[name] for own, theirs in rounds]
    return about


if __name__ == "__main__":
    main(tyro.cli(Options))
