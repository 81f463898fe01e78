"""Write the attribution fixture: what captum and shap compute for a small network.

Run in an environment with both (see README.md); the test suite only reads the JSON file::

    python tests/parity/make_attribution_fixtures.py

The network takes an array `a` and conditionals `c`, which enter twice, and has two outputs. captum
runs in float64; shap's GradientExplainer fills float32 buffers, so it runs in float32, and the rows
and positions that it draws are recorded while it draws them.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path
from unittest import mock

import captum
import numpy as np
import shap
import torch
from captum.attr import InputXGradient, IntegratedGradients, Saliency, ShapleyValues
from torch import nn

HERE = Path(__file__).parent
DIGITS = 9
SIZES = {"a": 5, "c": 3, "hidden": 6, "outputs": 2}
SAMPLES, BACKGROUND, STEPS, DRAWS, SEED = 2, 6, 20, 50, 42
RULES = {"left": "riemann_left", "midpoint": "riemann_middle", "gauss": "gausslegendre"}
GROUPS = {"a": [0, 0, 1, 1, 2], "c": [3, 3, 2]}
"""Players of captum's Shapley values, one of which has features of both arrays."""


class Network(nn.Module):
    """y = V softplus(U tanh(A a + C c) + D c)."""

    def __init__(self, weights: dict[str, np.ndarray], dtype: torch.dtype):
        super().__init__()
        self.w = {name: torch.tensor(value, dtype=dtype) for name, value in weights.items()}

    def forward(self, a: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        w = self.w
        hidden = torch.tanh(a @ w["A"].T + c @ w["C"].T)
        return nn.functional.softplus(hidden @ w["U"].T + c @ w["D"].T) @ w["V"].T


def plain(value):
    """Return `value` as JSON data with floats of `DIGITS` significant digits."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, torch.Tensor | np.ndarray):
        return plain(value.tolist())
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def pair(arrays) -> dict:
    """Name what belongs to the two inputs."""
    return dict(zip(("a", "c"), arrays, strict=True))


def drawn_inputs(generator: np.random.Generator) -> dict:
    """Return weights and data, rounded to six decimals, which JSON keeps exactly."""
    a, c, hidden, outputs = SIZES.values()
    shapes = {
        "A": (hidden, a),
        "C": (hidden, c),
        "U": (hidden, hidden),
        "D": (hidden, c),
        "V": (outputs, hidden),
    }
    weights = {name: generator.normal(size=shape).round(6) for name, shape in shapes.items()}
    data = {
        name: pair(generator.normal(size=(rows, width)).round(6) for width in (a, c))
        for name, rows in {"x": SAMPLES, "baseline": 1, "background": BACKGROUND}.items()
    }
    return {"weights": weights, **data}


def by_captum(inputs: dict) -> dict:
    """Return captum's attributions of every sample and output: lists [sample][output]."""
    network = Network(inputs["weights"], torch.float64)
    baseline = tuple(torch.tensor(part) for part in inputs["baseline"].values())
    mask = tuple(torch.tensor([part]) for part in GROUPS.values())

    def every(explain) -> list:
        rows = []
        for i in range(SAMPLES):
            x = tuple(torch.tensor(part[i : i + 1]) for part in inputs["x"].values())
            rows.append([explain(x, o) for o in range(SIZES["outputs"])])
        return rows

    def integrated(rule):
        def explain(x, o):
            values, delta = IntegratedGradients(network).attribute(
                x,
                baseline,
                target=o,
                n_steps=STEPS,
                method=RULES[rule],
                return_convergence_delta=True,
            )
            return {"values": pair(value[0] for value in values), "delta": delta[0].item()}

        return explain

    def shapley(x, o):
        values = ShapleyValues(network).attribute(x, baseline, target=o, feature_mask=mask)
        flat = {g: v for part, m in zip(values, mask, strict=True) for g, v in _by_group(part, m)}
        return [flat[g] for g in sorted(flat)]

    def local(method, **options):
        return lambda x, o: pair(v[0] for v in method.attribute(x, target=o, **options))

    return {
        "integrated_gradients": {rule: every(integrated(rule)) for rule in RULES},
        "gradient": every(local(Saliency(network), abs=False)),
        "input_x_gradient": every(local(InputXGradient(network))),
        "shapley": every(shapley),
    }


def _by_group(values: torch.Tensor, mask: torch.Tensor):
    """Pairs of group and its value, which captum repeats for every feature of the group."""
    return zip(mask[0].tolist(), values[0].tolist(), strict=True)


def by_gradient_explainer(inputs: dict) -> dict:
    """Return shap's expected gradients [sample, feature, output], and its draws [sample, draw]."""
    network = Network(inputs["weights"], torch.float32)
    single = {
        name: [torch.tensor(part, dtype=torch.float32) for part in inputs[name].values()]
        for name in ("x", "background")
    }
    explainer = shap.GradientExplainer(network, single["background"])
    rows, positions = [], []
    choice, uniform = np.random.choice, np.random.uniform

    def spy(log, draw):
        def drawing(*args):
            log.append(draw(*args))
            return log[-1]

        return drawing

    with (
        mock.patch.object(np.random, "choice", spy(rows, choice)),
        mock.patch.object(np.random, "uniform", spy(positions, uniform)),
    ):
        values = explainer.shap_values(single["x"], nsamples=DRAWS, rseed=SEED)
    shape = (SIZES["outputs"], SAMPLES, DRAWS)
    rows, positions = np.reshape(rows, shape), np.reshape(positions, shape)
    assert (rows == rows[:1]).all(), "outputs share draws"
    assert (positions == positions[:1]).all(), "outputs share draws"
    return {"rows": rows[0], "t": positions[0], "values": pair(values)}


def by_exact_explainer(inputs: dict) -> np.ndarray:
    """Return shap's exact interventional values [sample, features of a then c, output]."""
    network = Network(inputs["weights"], torch.float64)
    width = SIZES["a"]

    def outputs(flat: np.ndarray) -> np.ndarray:
        flat = torch.tensor(flat)
        return network(flat[:, :width], flat[:, width:]).numpy()

    joined = {n: np.concatenate(list(inputs[n].values()), axis=1) for n in ("x", "background")}
    masker = shap.maskers.Independent(joined["background"], max_samples=BACKGROUND)
    return shap.explainers.ExactExplainer(outputs, masker)(joined["x"]).values


def main() -> None:
    """Write the fixture."""
    inputs = drawn_inputs(np.random.default_rng(0))
    versions = {m.__name__: m.__version__ for m in (captum, shap, torch, np)}
    content = {
        "made_with": {**versions, "python": platform.python_version()},
        **inputs,
        "n_steps": STEPS,
        "groups": GROUPS,
        "captum": by_captum(inputs),
        "gradient_explainer": by_gradient_explainer(inputs),
        "exact_explainer": by_exact_explainer(inputs),
    }
    path = HERE / "attribution.json"
    path.write_text(json.dumps(plain(content)) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
