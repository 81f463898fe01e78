"""Write the MOFA fixture: what mofapy2 finds in a small simulated cohort.

Run in an environment with mofapy2 (see README.md); the test suite only reads the JSON file::

    python tests/parity/make_mofa_fixtures.py

Two views share two factors, each has one of its own; a tenth of the cells and view b of a quarter
of the samples are hidden. `tests/comparators/test_mofa.py` simulates the same cohort.
"""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mofapy2.run.entry_point import entry_point

HERE = Path(__file__).parent
SAMPLES, FEATURES, FACTORS, SEED = 100, {"a": 60, "b": 40}, 8, 0
LOADED = {"a": (0, 1, 2), "b": (0, 1, 3)}


def cohort() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the views without holes, and with them."""
    random = np.random.default_rng(SEED)
    z = random.normal(size=(SAMPLES, 4))
    whole, seen = {}, {}
    for view, width in FEATURES.items():
        w = np.zeros((4, width))
        for factor in LOADED[view]:
            w[factor] = random.normal(size=width) * (random.random(width) < 0.5)
        whole[view] = z @ w + 0.7 * random.normal(size=(SAMPLES, width))
        seen[view] = np.where(random.random((SAMPLES, width)) < 0.1, np.nan, whole[view])
    seen["b"][random.random(SAMPLES) < 0.25] = np.nan
    return whole, seen


def fit(views: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray], int]:
    """Return factors, reconstructions and the number of factors of mofapy2."""
    run = entry_point()
    run.set_data_options(scale_views=True, scale_groups=False)
    run.set_data_matrix([[table] for table in views.values()], views_names=list(views))
    run.set_model_options(factors=FACTORS, spikeslab_weights=True, ard_weights=True,
                          ard_factors=False)  # fmt: skip
    run.set_train_options(iter=1000, convergence_mode="slow", dropR2=1e-3, seed=1, quiet=True)
    run.build()
    run.run()
    found = run.model.getExpectations()
    z = found["Z"]["E"]
    estimate = {}
    for weights, (view, raw) in zip(found["W"], views.items(), strict=True):
        mean = np.nanmean(raw, axis=0)
        scale = np.nanstd(raw - mean)
        estimate[view] = z @ weights["E"].T * scale + mean
    return z, estimate, z.shape[1]


def main() -> None:
    """Write mofa.json."""
    whole, seen = cohort()
    z, estimate, count = fit(seen)
    hidden = {}
    for view in whole:
        absent = np.isnan(seen[view]).all(axis=1)
        cells = np.isnan(seen[view]) & ~absent[:, None]
        hidden[f"{view} cells"] = np.corrcoef(estimate[view][cells], whole[view][cells])[0, 1]
        if absent.any():
            pair = estimate[view][absent].ravel(), whole[view][absent].ravel()
            hidden[f"{view} absent"] = np.corrcoef(*pair)[0, 1]
    record = {
        "made_with": {"mofapy2": version("mofapy2"), "python": platform.python_version()},
        "factors": count,
        "z": [[float(f"{v:.6g}") for v in row] for row in z],
        "hidden_r": {name: round(float(r), 6) for name, r in hidden.items()},
    }
    (HERE / "mofa.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    print(count, hidden)


if __name__ == "__main__":
    main()
