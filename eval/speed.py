"""Time MOSA's training step next to the machine's ceiling and an eager PyTorch peer.

    python eval/speed.py step --torch torchenv/bin/python --out speed.json
    python eval/speed.py paper --out paper.json
    python eval/speed.py cv --torch torchenv/bin/python --out cv.json
    python eval/speed.py attribution --torch torchenv/bin/python --out attribution.json
    python eval/speed.py modis --torch torchenv/bin/python --out modis.json
    python eval/speed.py omitrans --torch torchenv/bin/python --out omitrans.json
    python eval/speed.py lasso --out lasso.json
    python eval/speed.py downstream --out downstream.json

`step` takes about five minutes on 2 cores, at 52 million parameters; `paper` trains one epoch at
the size of Cai et al. 2024; `cv` trains ten folds as one program, one after the other and in
PyTorch, at three sizes (eval/replicas.py), and takes about ten minutes; `attribution` explains
one sample (eval/attribution_speed.py); `lasso` fits 5,000 LASSO regressions next to scikit-learn
(eval/lasso_speed.py), in about five minutes; `downstream` tests associations and ranks protein
pairs (eval/downstream_speed.py), in about one; `modis` times that game's steps, alone and as ten
replicas (eval/modis_speed.py), in about three. eval/peers/README.md has the command that makes the
peer's environment. Everything runs in child processes, with and without huge pages
(jaxomics/memory.py); ours and the peer take turns. Expected: docs/results/speed.md.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import attribution_speed
import downstream_speed
import lasso_speed
import modis_speed
import numpy as np
import omitrans_speed
import replicas
import tyro
from measured import SAMPLES, simulated, started, written

STEP = {
    "proteomics": (1300, 1300),
    "metabolomics": (225, 225),
    "drugresponse": (800, 800),
    "crisprcas9": (4200, 2400),
    "methylation": (3500, 1650),
    "transcriptomics": (3700, 1700),
    "copynumber": (777, 777),
}
"""Features and features that the encoder reads, per view: the peer's defaults."""
PAPER = {
    "proteomics": (4922, 4922),
    "metabolomics": (225, 225),
    "drugresponse": (810, 810),
    "crisprcas9": (17931, 10233),
    "methylation": (14608, 6900),
    "transcriptomics": (15278, 7000),
    "copynumber": (777, 777),
}
TARGET_GIB = 14.5


def child(kind: str) -> dict[str, Any]:
    """Measure one thing in this process; `kind` is ceiling, step or paper."""
    begun = time.perf_counter()
    from jaxomics.engine import timing
    from jaxomics.engine.devices import use_compilation_cache

    use_compilation_cache()
    import_s = time.perf_counter() - begun
    if kind == "ceiling":
        return timing.ceiling()
    from jaxomics.engine.state import Split
    from jaxomics.models import mosa
    from jaxomics.presets import preset

    settings = preset("mosa", "paper")
    spec, data, standard = simulated(PAPER if kind == "paper" else STEP)
    rows, none = np.arange(SAMPLES), np.zeros(0, np.int32)
    model = mosa.build(settings.config, spec)
    calls, epochs, warmup = (1, 1, 0) if kind == "paper" else (2, 2, 1)
    found, params = timing.time_training(
        model, data, standard, Split(rows, SAMPLES, none, 0), settings.hyper, settings.train,
        calls=calls, epochs=epochs, warmup=warmup,
    )  # fmt: skip
    peak = timing.peak_gib()
    dense = timing.layers(params, lambda path: "encoders" in path and "hidden_0" in path)
    gflop = timing.product_flops(dense, settings.train.batch_size) / 1e9
    products_s = timing.time_products(dense, settings.train.batch_size) if kind == "step" else None
    about = {"import_s": import_s, "peak_gib": peak, "gflop": gflop, "products_s": products_s}
    return found._asdict() | about


def ours(kind: str, cache: str, *, huge: bool) -> dict[str, Any]:
    """Measure in a fresh process of this script."""
    return started([sys.executable, __file__, "child", kind], cache, huge=huge)


def step(torch: Path, out: Path, rounds: int = 2) -> None:
    """Time steps at 52 M parameters: ours and the peer's in turns, with and without huge pages."""
    peer = [str(torch), str(Path(__file__).parent / "peers" / "torch_mosa.py"), "--threads", "2"]
    found: dict[str, Any] = {"ceiling": [], "ours": [], "peer": []}
    with tempfile.TemporaryDirectory() as cache:
        for turn in range(rounds):
            for huge in (True, False):
                mark = {"huge": huge, "cold": turn == 0 and huge}
                found["ceiling"].append(mark | ours("ceiling", cache, huge=huge))
                found["ours"].append(mark | ours("step", cache, huge=huge))
                found["peer"].append(mark | started(peer, cache, huge=huge))
    found["summary"] = [summary(found, huge) for huge in (True, False)]
    written(found, out)


def summary(found: dict[str, Any], huge: bool) -> dict[str, Any]:
    """Return medians and shares of the runs with or without huge pages."""
    chosen = {
        name: [run for run in found[name] if run["huge"] == huge]
        for name in ("ceiling", "ours", "peer")
    }
    best = max(max(run["numpy"], run["jax"]) for run in chosen["ceiling"])
    runs = chosen["ours"]
    seconds = statistics.median(s for run in runs for s in run["steps_s"])
    products = statistics.median(run["products_s"] for run in runs)
    peer = statistics.median(run["median_step_s"] for run in chosen["peer"])
    gflop = runs[0]["gflop"]
    return {
        "huge_pages": huge,
        "ceiling_gflop_s": best,
        "step_s": seconds,
        "step_share": gflop / seconds / best,
        "products_s": products,
        "products_share": gflop / products / best,
        "peer_step_s": peer,
        "times_faster": peer / seconds,
        "peak_gib": max(run["peak_gib"] for run in runs),
        "compile_cold_s": [run["begin_s"] + run["compile_s"] for run in runs if run["cold"]],
        "start_warm_s": [run["begin_s"] + run["compile_s"] for run in runs if not run["cold"]],
    }


def paper(out: Path) -> None:
    """Train one epoch at the paper's size and report seconds and memory."""
    with tempfile.TemporaryDirectory() as cache:
        run = ours("paper", cache, huge=True)
    written({"paper": run, "fits": run["peak_gib"] <= TARGET_GIB}, out)


def measure(kind: Annotated[str, tyro.conf.Positional]) -> None:
    """Measure one thing in this process and print it; started by `step` and `paper`."""
    print(json.dumps(child(kind)))


if __name__ == "__main__":
    tyro.extras.subcommand_cli_from_dict(
        {
            "step": step,
            "paper": paper,
            "cv": replicas.cv,
            "attribution": attribution_speed.attribution,
            "modis": modis_speed.modis,
            "omitrans": omitrans_speed.omitrans,
            "lasso": lasso_speed.lasso,
            "downstream": downstream_speed.downstream,
            "child": measure,
            "replicas": replicas.measure,
            "jacobians": attribution_speed.measure,
            "modis-steps": modis_speed.measure,
            "omitrans-steps": omitrans_speed.measure,
            "lassos": lasso_speed.measure,
            "statistics": downstream_speed.measure,
        }
    )
