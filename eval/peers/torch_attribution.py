"""Time expected gradients of the peer model in PyTorch, by captum and by shap: per output.

Needs the peer's environment and both packages (README.md)::

    python eval/peers/torch_attribution.py --threads 2 --draws 32 --outputs 4

Encoders of all views, one decoder, evaluation mode, output = what the decoder writes. Both packages
explain one output after the other; a few are timed, and the mean per sample, output and draws is
printed as one line of JSON. captum's `GradientShap` without noise and shap's `GradientExplainer`
estimate the same quantity.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings

import numpy as np
import torch
from torch import nn
from torch_mosa import Mosa, Sizes, make_data

BACKGROUND = 64


class Written(nn.Module):
    """Some features of one view as a function of all encoder inputs and the conditionals."""

    def __init__(self, model: Mosa, view: str, columns: list[int]):
        super().__init__()
        self.model, self.view, self.columns = model, view, columns

    def forward(self, *inputs):
        *views, y = inputs
        encoded = [
            net(torch.cat([x, y], dim=1))
            for x, net in zip(views, self.model.encoders.values(), strict=True)
        ]
        z = self.model.mu(torch.cat(encoded, dim=1))
        return self.model.decoders[self.view](torch.cat([z, y], dim=1))[:, self.columns]


def time_captum(network: Written, rows: list, background: list, draws: int) -> float:
    """Return seconds per sample and output."""
    from captum.attr import GradientShap

    method, begun = GradientShap(network), time.perf_counter()
    for output in range(len(network.columns)):
        method.attribute(tuple(rows), tuple(background), n_samples=draws, stdevs=0.0, target=output)
    return (time.perf_counter() - begun) / len(network.columns)


def time_shap(network: Written, rows: list, background: list, draws: int) -> float:
    """Return seconds per sample and output."""
    import shap

    explainer = shap.GradientExplainer(network, background, batch_size=draws)
    begun = time.perf_counter()
    explainer.shap_values(rows, nsamples=draws)
    return (time.perf_counter() - begun) / len(network.columns)


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--draws", type=int, default=32)
    parser.add_argument("--outputs", type=int, default=4)
    parser.add_argument("--view", default="drugresponse")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    sizes = Sizes()
    model, data = Mosa(sizes).eval(), make_data(sizes)
    network = Written(model, options.view, list(range(options.outputs)))
    tables = [*data["inputs"].values(), data["conditionals"]]
    rows, background = [t[:1] for t in tables], [t[1 : 1 + BACKGROUND] for t in tables]
    found: dict = {"draws": options.draws, "outputs": options.outputs, "torch": torch.__version__}
    for name, measure in (("captum", time_captum), ("shap", time_shap)):
        measure(network, rows, background, options.draws)
        times = [measure(network, rows, background, options.draws) for _ in range(3)]
        found[f"{name}_s"] = float(np.median(times))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
