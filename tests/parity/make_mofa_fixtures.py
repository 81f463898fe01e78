"""Write the MOFA fixture: what mofapy2 finds in a small simulated cohort.

Run in an environment with mofapy2 (see README.md); the test suite only reads the JSON file::

    python tests/parity/make_mofa_fixtures.py

Two views share two factors, each has one of its own; a tenth of the cells and view b of a quarter
of the samples are hidden. A second cohort has a view of zeros and ones, as many of each, beside a
view of numbers that share its two factors. `tests/comparators/test_mofa.py` simulates the same.
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


def binary_cohort() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return a view of numbers and one of balanced calls, without holes, and with them."""
    random = np.random.default_rng(SEED)
    z = random.normal(size=(SAMPLES, 2))
    values = z @ random.normal(size=(2, 60)) + 0.7 * random.normal(size=(SAMPLES, 60))
    odds = 2 * z @ random.normal(size=(2, 80))
    calls = (random.random(odds.shape) < 1 / (1 + np.exp(-odds))).astype(float)
    whole = {"a": values, "calls": calls}
    seen = {v: np.where(random.random(t.shape) < 0.1, np.nan, t) for v, t in whole.items()}
    return whole, seen


def fit(
    views: dict[str, np.ndarray], likelihoods: list[str]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return factors and reconstructions of mofapy2; a view of calls as probabilities."""
    run = entry_point()
    run.set_data_options(scale_views=True, scale_groups=False)
    run.set_data_matrix(
        [[table] for table in views.values()], views_names=list(views), likelihoods=likelihoods
    )
    run.set_model_options(factors=FACTORS, spikeslab_weights=True, ard_weights=True,
                          ard_factors=False)  # fmt: skip
    run.set_train_options(iter=1000, convergence_mode="slow", dropR2=1e-3, seed=1, quiet=True)
    run.build()
    run.run()
    found = run.model.getExpectations()
    z = found["Z"]["E"]
    estimate = {}
    for weights, (view, raw), kind in zip(found["W"], views.items(), likelihoods, strict=True):
        product = z @ weights["E"].T
        mean = np.nanmean(raw, axis=0)
        scale = np.nanstd(raw - mean)
        logistic = kind == "bernoulli"
        estimate[view] = 1 / (1 + np.exp(-product)) if logistic else product * scale + mean
    return z, estimate


def compared(
    whole: dict[str, np.ndarray], seen: dict[str, np.ndarray], likelihoods: list[str]
) -> dict:
    """Return factors, their number, and r of what was hidden with its estimates."""
    z, estimate = fit(seen, likelihoods)
    hidden = {}
    for view in whole:
        absent = np.isnan(seen[view]).all(axis=1)
        cells = np.isnan(seen[view]) & ~absent[:, None]
        hidden[f"{view} cells"] = np.corrcoef(estimate[view][cells], whole[view][cells])[0, 1]
        if absent.any():
            pair = estimate[view][absent].ravel(), whole[view][absent].ravel()
            hidden[f"{view} absent"] = np.corrcoef(*pair)[0, 1]
    print(z.shape[1], hidden)
    return {
        "factors": z.shape[1],
        "z": [[float(f"{v:.6g}") for v in row] for row in z],
        "hidden_r": {name: round(float(r), 6) for name, r in hidden.items()},
    }


def main() -> None:
    """Write mofa.json."""
    record = {
        "made_with": {"mofapy2": version("mofapy2"), "python": platform.python_version()},
        **compared(*cohort(), ["gaussian", "gaussian"]),
        "binary": compared(*binary_cohort(), ["gaussian", "bernoulli"]),
    }
    (HERE / "mofa.json").write_text(json.dumps(record) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
