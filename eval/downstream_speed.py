"""Time the downstream statistics at the size of Cai et al. 2024: associations and protein pairs.

Part of eval/speed.py. Random data: 18,000 targets and 300 events of 1,000 samples with 5
covariates; all pairs of 4,922 proteins in 949 samples, and 30,000 known ones of them. Everything
is called once in a process of its own, as `eval/downstream.py` calls it. CPU seconds stand beside
the clock's, which mean little on a machine that others use.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lasso_speed import timed
from measured import started, written

SAMPLES, TARGETS, EVENTS, COVARIATES, SHARE = 1000, 18_000, 300, 5, 0.1
"""Of the associations; the share of samples that have an event."""

LINES, PROTEINS, KNOWN = 949, 4922, 30_000
"""Of the protein pairs."""


def measure() -> None:
    """Call each statistic in this process and print one line of JSON; started by `downstream`."""
    from jaxomics.engine import timing

    rng = np.random.default_rng(0)
    runs = [associations(rng), *protein_pairs(rng)]
    print(json.dumps({"runs": runs, "peak_gib": timing.peak_gib()}))


def associations(rng: np.random.Generator) -> dict[str, Any]:
    """Time the likelihood-ratio tests of all events with all targets."""
    from jaxomics.metrics.associations import associate

    targets = pd.DataFrame(rng.standard_normal((SAMPLES, TARGETS), np.float32))
    events = pd.DataFrame((rng.random((SAMPLES, EVENTS)) < SHARE).astype(float))
    covariates = pd.DataFrame(rng.standard_normal((SAMPLES, COVARIATES)))
    table, clock = timed(lambda: associate(targets, events, covariates))
    return {"what": "associations", "size": len(table), "s": clock.wall, "cpu_s": clock.cpu}


def protein_pairs(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Time both rankings of all pairs, with their p values, and the recall of known pairs."""
    from jaxomics.metrics.protein_pairs import Pairs, pearson_pairs, recall, whitened_pairs

    def ranked(rank: Callable[[pd.DataFrame], Pairs]) -> tuple[Pairs, np.ndarray]:
        pairs = rank(table)
        return pairs, pairs.p

    names = pd.Index([f"p{i}" for i in range(PROTEINS)])
    table = pd.DataFrame(rng.standard_normal((LINES, PROTEINS)), columns=names)
    drawn = rng.integers(0, PROTEINS, (KNOWN, 2))
    known = {frozenset((names[i], names[j])) for i, j in drawn if i != j}
    (_, p), pearson = timed(lambda: ranked(pearson_pairs))
    (pairs, _), whitened = timed(lambda: ranked(whitened_pairs))
    _, found = timed(lambda: recall(pairs, known))
    clocks = {"pearson_pairs": pearson, "whitened_pairs": whitened, "recall": found}
    return [
        {"what": what, "size": len(p), "s": clock.wall, "cpu_s": clock.cpu}
        for what, clock in clocks.items()
    ]


def downstream(out: Path) -> None:
    """Time associations, rankings of protein pairs and their recall."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, str(Path(__file__).parent / "speed.py"), "statistics"]
        found = started(command, cache, huge=False)
    found["summary"] = found["runs"]
    written(found, out)
