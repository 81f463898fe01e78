"""What the speed measurements share: random cohorts, child processes, and writing results."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from jaxomics.memory import SETTING, SWITCH, TUNABLES

SAMPLES, CONDITIONALS, TISSUES, OBSERVED = 1523, 237, 31, 0.7
LEVELS = (-2.0, -1.0, 0.0, 1.0, 2.0)


def simulated(
    views: dict[str, tuple[int, int]], samples: int = SAMPLES, conditionals: int = CONDITIONALS
) -> tuple[Any, Any, Any]:
    """Return the description, the data and the scaling of a random cohort with holes.

    Args:
      views: features, and features that the encoder reads, per view; `copynumber` is ordinal.
      samples, conditionals: how many.
    """
    import jax.numpy as jnp

    from jaxomics.data.batch import DataSpec, Standard, ViewSpec, make_data

    rng, specs, arrays = np.random.default_rng(0), [], {}
    for name, (features, read) in views.items():
        encoded = None
        if read < features:
            encoded = tuple(np.sort(rng.choice(features, read, replace=False)).tolist())
        values = rng.standard_normal((samples, features), np.float32)
        if ordinal := name == "copynumber":
            values = np.clip(np.round(values), -2, 2)
        values[rng.random(values.shape, np.float32) > OBSERVED] = np.nan
        likelihood, levels = ("macro", LEVELS) if ordinal else ("mean", ())
        specs.append(ViewSpec(name, features, encoded, likelihood, levels))
        arrays[name] = values
    covariates = rng.standard_normal((samples, conditionals), np.float32)
    data = make_data(arrays, covariates, rng.integers(TISSUES, size=samples))
    mean = {name: jnp.zeros(features) for name, (features, _) in views.items()}
    scale = {name: jnp.ones(features) for name, (features, _) in views.items()}
    return DataSpec(tuple(specs), conditionals), data, Standard(mean, scale, decimals=4)


def started(command: list[str], cache: str, *, huge: bool) -> dict[str, Any]:
    """Run a child process with 2 threads and return the JSON of its last line."""
    environment = dict(os.environ) | {"JAXOMICS_CACHE": cache, SWITCH: "off"}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
    environment.pop(TUNABLES, None)
    if huge:
        environment[TUNABLES] = SETTING
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            f"{' '.join(command)} failed with status {done.returncode} "
            f"(-9: out of memory):\n{done.stderr[-3000:]}"
        )
    result = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps({"command": command[1:3], "huge": huge} | result)[:600], file=sys.stderr)
    return result


def written(found: dict[str, Any], out: Path) -> None:
    """Write what was found, and show it without the single runs."""
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(
        json.dumps({k: v for k, v in found.items() if k in ("summary", "paper", "fits")}, indent=1)
    )
