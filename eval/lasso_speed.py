"""Time LASSO regressions of 5,000 targets on 2,000 predictors: ours, and scikit-learn by target.

Part of eval/speed.py. 1,000 samples; predictors share 20 factors; a target is a sum of 3 in 100
predictors and noise. Both sides stop at the same duality gap (1e-4 of a target's variance).
scikit-learn fits 40 of the targets one by one, in double and in single precision, without a
precomputed Gram matrix; its time for all is extrapolated. Ours, in single precision, is timed on
its second and third call; the first one, which also compiles, is reported too. CPU seconds stand
beside the clock's, which mean little on a machine that others use.
"""

import json
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measured import started, written

SAMPLES, PREDICTORS, TARGETS, FACTORS, TIMED = 1000, 2000, 5000, 20, 40
SHARES = (0.2, 0.1, 0.05)
"""Penalties, as shares of the one at which all weights vanish."""

KINDS = {"double": np.float64, "single": np.float32}
"""Precisions of scikit-learn; double is what it is mostly called with."""


class Clock(NamedTuple):
    """Seconds on the clock, and of all cores."""

    wall: float
    cpu: float


def problem() -> tuple[np.ndarray, np.ndarray]:
    """Return standardised predictors and targets, float32."""
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((SAMPLES, FACTORS), np.float32)
    loadings = rng.standard_normal((FACTORS, PREDICTORS), np.float32) / np.sqrt(FACTORS)
    x = rng.standard_normal((SAMPLES, PREDICTORS), np.float32) + factors @ loadings
    truth = rng.standard_normal((PREDICTORS, TARGETS), np.float32)
    truth[rng.random(truth.shape, np.float32) > 0.03] = 0.0
    signal = x @ truth
    y = signal / signal.std(axis=0) + 0.7 * rng.standard_normal(signal.shape, np.float32)
    return (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean(axis=0)) / y.std(axis=0)


def measure() -> None:
    """Fit in this process and print one line of JSON; started by `lasso`."""
    from jaxomics.comparators import descent
    from jaxomics.engine import timing
    from jaxomics.engine.devices import use_compilation_cache

    use_compilation_cache()
    x, y = problem()
    first = descent.largest_alpha(x, y)
    runs = []
    for share in SHARES:
        alpha = share * first
        calls = [timed(lambda a=alpha: descent.lasso(x, y, a)) for _ in range(3)]
        peers = {k: timed(lambda a=alpha, k=k: by_target(x, y, a, k)) for k in KINDS}
        fit, times = calls[0][0], [clock for _, clock in calls]
        exact = peers["double"][0]
        runs.append(
            {
                "share": share,
                "weights": fit.weights.nnz / TARGETS,
                "relative_gap": float((fit.gap / y.var(axis=0)).max()),
                "difference": float(np.abs(fit.weights[:TIMED].toarray() - exact).max()),
                "first_s": times[0].wall,
                "s": min(clock.wall for clock in times[1:]),
                "cpu_s": min(clock.cpu for clock in times[1:]),
            }
            | {f"{k}_s": clock.wall / TIMED * TARGETS for k, (_, clock) in peers.items()}
            | {f"{k}_cpu_s": clock.cpu / TIMED * TARGETS for k, (_, clock) in peers.items()}
        )
    print(json.dumps({"runs": runs, "peak_gib": timing.peak_gib()}))


def by_target(x: np.ndarray, y: np.ndarray, alpha: float, kind: str) -> np.ndarray:
    """Return scikit-learn's weights of the timed targets, fitted one by one."""
    from sklearn.linear_model import Lasso

    x = np.asfortranarray(x, KINDS[kind])
    targets = (np.ascontiguousarray(y[:, target], KINDS[kind]) for target in range(TIMED))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits = [Lasso(alpha, tol=1e-4, max_iter=10_000).fit(x, target) for target in targets]
    return np.array([fit.coef_ for fit in fits])


def timed(call: Callable[[], Any]) -> tuple[Any, Clock]:
    """Return what a call returns, and its time."""
    begun, before = time.perf_counter(), _cpu()
    result = call()
    return result, Clock(time.perf_counter() - begun, _cpu() - before)


def lasso(out: Path) -> None:
    """Time 5,000 LASSO regressions at three penalties next to scikit-learn."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, str(Path(__file__).parent / "speed.py"), "lassos"]
        found = started(command, cache, huge=True)
    found["summary"] = [
        {"share": run["share"]}
        | {f"times_faster_than_{k}": run[f"{k}_s"] / run["s"] for k in KINDS}
        | {f"times_less_cpu_than_{k}": run[f"{k}_cpu_s"] / run["cpu_s"] for k in KINDS}
        for run in found["runs"]
    ]
    written(found, out)


def _cpu() -> float:
    """Return the CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
