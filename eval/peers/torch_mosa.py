"""Time a MOSA training step in eager PyTorch: the peer for our speed measurements.

The arithmetic is that of our model: encoders and decoders with conditionals, view dropout, dropout
before one shared PReLU, a joint posterior, masked squared errors, KL divergence, the contrastive
term in closed form, and Adam with coupled weight decay. Run it in its own environment (README.md)::

    python eval/peers/torch_mosa.py sizes.json --threads 2 --steps 10 --warmup 3

`sizes.json` (or the JSON itself as the argument) holds any of the fields of `Sizes`; `views` maps a
name to `[features, encoder_features]`. One line of JSON is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

VIEWS = {
    "proteomics": (1300, 1300),
    "metabolomics": (225, 225),
    "drugresponse": (800, 800),
    "crisprcas9": (4200, 2400),
    "methylation": (3500, 1650),
    "transcriptomics": (3700, 1700),
    "copynumber": (777, 777),
}


@dataclass(frozen=True)
class Sizes:
    """Everything that decides the amount of arithmetic in a step."""

    views: dict[str, tuple[int, int]] = field(default_factory=lambda: dict(VIEWS))
    conditionals: int = 237
    latent: int = 200
    hidden_fraction: float = 0.7
    view_latent_fraction: float = 0.25
    batch: int = 256
    samples: int = 1523
    tissues: int = 31
    dropout: float = 0.4
    view_dropout: float = 0.3
    observed: float = 0.7


class ViewDropout(nn.Module):
    """Zero a whole view, conditionals included, with probability `rate` per batch."""

    def __init__(self, rate: float):
        super().__init__()
        self.rate = rate

    def forward(self, inputs):
        if not self.training:
            return inputs
        return inputs * (torch.rand((), device=inputs.device) >= self.rate)


class Mosa(nn.Module):
    """The conditional multi-view variational autoencoder."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.activation = nn.PReLU()
        extra = sizes.conditionals
        self.encoders, self.decoders, joint = nn.ModuleDict(), nn.ModuleDict(), 0
        for view, (features, columns) in sizes.views.items():
            hidden = int(sizes.hidden_fraction * columns)
            view_latent = int(sizes.view_latent_fraction * columns)
            joint += view_latent
            self.encoders[view] = nn.Sequential(
                ViewDropout(sizes.view_dropout),
                *self.hidden_layer(columns + extra, hidden, sizes.dropout),
                nn.Linear(hidden, view_latent),
                self.activation,
            )
            hidden = int(sizes.hidden_fraction * features)
            self.decoders[view] = nn.Sequential(
                *self.hidden_layer(sizes.latent + extra, hidden, sizes.dropout),
                nn.Linear(hidden, features),
            )
        self.mu, self.var = nn.Linear(joint, sizes.latent), nn.Linear(joint, sizes.latent)

    def hidden_layer(self, width: int, hidden: int, rate: float) -> list[nn.Module]:
        return [nn.Linear(width, hidden), nn.Dropout(rate), self.activation]

    def forward(self, x, y):
        encoded = [net(torch.cat([x[v], y], dim=1)) for v, net in self.encoders.items()]
        joint = torch.cat(encoded, dim=1)
        mu, variance = self.mu(joint), functional.softplus(self.var(joint))
        z = mu + torch.randn_like(mu) * torch.sqrt(variance + 1e-10)
        context = torch.cat([z, y], dim=1)
        return mu, variance, {v: net(context) for v, net in self.decoders.items()}


def positive_mean(values):
    """Mean of the strictly positive entries; 0 if there are none."""
    return values.sum() / (values > 0).sum().clamp(min=1)


def contrastive(mu, tissue, positive: float = 0.85, negative: float = 0.15):
    """Hinge loss on all cosine similarities at once."""
    unit = functional.normalize(mu, dim=1)
    similarity = unit @ unit.T
    same = tissue[:, None] == tissue[None, :]
    apart = ~torch.eye(len(tissue), dtype=torch.bool, device=mu.device)
    pull = functional.relu(positive - similarity) * (same & apart)
    push = functional.relu(similarity - negative) * ~same
    return positive_mean(pull) + positive_mean(push)


def total_loss(model: Mosa, batch: dict):
    """Reconstruction, KL and contrastive terms with the default weights."""
    mu, variance, decoded = model(batch["inputs"], batch["conditionals"])
    reconstruction = 0.0
    for view, x_hat in decoded.items():
        mask = batch["observed"][view]
        errors = torch.square(x_hat - batch["x"][view]) * mask
        reconstruction = reconstruction + errors.sum() / mask.sum().clamp(min=1)
    kl = 0.5 * (variance + mu**2 - 1 - variance.log()).sum() / len(mu)
    return reconstruction + 1e-4 * kl + 0.005 * contrastive(mu, batch["tissue"])


def make_data(sizes: Sizes) -> dict:
    """Random tables with missing cells, one row per sample."""
    tables = {v: torch.randn(sizes.samples, f) for v, (f, _) in sizes.views.items()}
    observed = {v: torch.rand_like(table) < sizes.observed for v, table in tables.items()}
    x = {v: table * observed[v] for v, table in tables.items()}
    return {
        "x": x,
        "observed": observed,
        "inputs": {v: x[v][:, :columns].clone() for v, (_, columns) in sizes.views.items()},
        "conditionals": torch.randn(sizes.samples, sizes.conditionals),
        "tissue": torch.randint(sizes.tissues, (sizes.samples,)),
    }


def take(data, rows):
    """Rows of every table."""
    if isinstance(data, dict):
        return {name: take(item, rows) for name, item in data.items()}
    return data[rows]


def flops_per_step(model: Mosa, sizes: Sizes) -> float:
    """Matrix-product operations: 6 per weight and sample, less the unneeded input gradients."""
    weights = sum(p.numel() for p in model.parameters() if p.ndim == 2)
    first = sum(
        (columns + sizes.conditionals) * int(sizes.hidden_fraction * columns)
        for _, columns in sizes.views.values()
    )
    return sizes.batch * (6.0 * weights - 2.0 * first)


def time_steps(sizes: Sizes, steps: int, warmup: int, *, compiled: bool) -> dict:
    """Train for `warmup + steps` steps and return the measurements."""
    torch.manual_seed(0)
    model, data = Mosa(sizes), make_data(sizes)
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-4, weight_decay=5e-4)
    loss_of = torch.compile(total_loss) if compiled else total_loss
    seconds = []
    for _ in range(warmup + steps):
        rows = torch.randperm(sizes.samples)[: sizes.batch]
        start = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        loss = loss_of(model, take(data, rows))
        loss.backward()
        optimiser.step()
        value = loss.item()
        seconds.append(time.perf_counter() - start)
    median, flops = statistics.median(seconds[warmup:]), flops_per_step(model, sizes)
    return {
        "median_step_s": round(median, 5),
        "best_step_s": round(min(seconds[warmup:]), 5),
        "first_step_s": round(seconds[0], 3),
        "parameters": sum(p.numel() for p in model.parameters()),
        "gflop_per_step": round(flops / 1e9, 2),
        "gflop_per_s": round(flops / 1e9 / median, 1),
        "loss": round(value, 5),
    }


def read_sizes(text: str | None) -> Sizes:
    """Sizes from a JSON file or string; the defaults where it says nothing."""
    if not text:
        return Sizes()
    given = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text())
    return replace(Sizes(), **given)


def main() -> None:
    """Parse the command line, measure, print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="?", help="JSON file or string; default about 52 M weights")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    sizes = read_sizes(args.sizes)
    result = time_steps(sizes, args.steps, args.warmup, compiled=args.compile)
    about = {"peer": "torch-compile" if args.compile else "torch-eager"}
    about |= {"torch": torch.__version__, "threads": args.threads, "batch": sizes.batch}
    print(json.dumps(about | result | {"sizes": asdict(sizes)}))


if __name__ == "__main__":
    main()
