"""Time an iteration of mofapy2: the peer of our MOFA. Run it in its own environment (README.md)::

    python eval/peers/mofapy2_mofa.py '{"samples": 500, "views": [1600, 1200], "factors": 50}'

Random factors and noise, no holes, sparse weights, as ours; the bound is computed in every
iteration, as ours is. One line of JSON is printed.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import time
from importlib.metadata import version

import numpy as np
from mofapy2.run.entry_point import entry_point


def main(text: str) -> None:
    """Train a few iterations, print the median seconds of the later ones."""
    about = json.loads(text)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(about["samples"], 10))
    views = [
        [z @ rng.normal(size=(10, width)) + 2.0 * rng.normal(size=(about["samples"], width))]
        for width in about["views"]
    ]
    with contextlib.redirect_stdout(sys.stderr):
        run = entry_point()
        run.set_data_options(scale_views=True, scale_groups=False)
        run.set_data_matrix(views)
        run.set_model_options(factors=about["factors"], spikeslab_weights=True, ard_weights=True,
                              ard_factors=False)  # fmt: skip
        run.set_train_options(iter=about.get("iterations", 6) + 2, convergence_mode="slow",
                              startELBO=1, freqELBO=1, seed=1, quiet=True)  # fmt: skip
        run.build()
        begun = time.process_time()
        run.run()
        worked = time.process_time() - begun
    seconds = run.model.getTrainingStats()["time"]
    timed = [float(s) for s in seconds[2:] if np.isfinite(s)]
    print(
        json.dumps(
            {
                "peer": f"mofapy2 {version('mofapy2')}", "iteration_s": statistics.median(timed),
                "iterations": len(timed), "best_s": min(timed),
                "iteration_cpu_s": worked / (len(timed) + 1),
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1])
