"""Time an OmiTrans training step in eager PyTorch: the peer for our speed measurements.

The arithmetic is that of our model: fully connected blocks `Linear -> norm per sample -> dropout ->
LeakyReLU`, a conditional discriminator that moves first, L1 distance over measured cells with
weight 100, Adam with betas 0.5 and 0.999. One pass of the generator serves both players. Run it in
its own environment (README.md)::

    python eval/peers/torch_omitrans.py --threads 2 --steps 10 --warmup 2

One line of JSON is printed. Sizes are a quarter of the article's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

SOURCES, TARGETS, BATCH, SAMPLES = 9_866, 15_120, 128, 1_024
LATENT, HIDDEN, JUDGE, LOGITS = 256, (4096, 1024, 512), (128, 64, 32), 16
DROPOUT, DISTANCE_WEIGHT = 0.2, 100.0


class Block(nn.Module):
    """Linear, norm over the features of each sample, dropout, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, rate: float):
        super().__init__()
        self.linear, self.outputs, self.rate = nn.Linear(inputs, outputs), outputs, rate

    def forward(self, x):
        x = functional.layer_norm(self.linear(x), (self.outputs,))
        return functional.leaky_relu(functional.dropout(x, self.rate, self.training), 0.2)


def stack(widths: list[int], outputs: int, rate: float) -> nn.Sequential:
    """Blocks between the widths, then a plain linear layer."""
    pairs = pairwise(widths)
    return nn.Sequential(*(Block(a, b, rate) for a, b in pairs), nn.Linear(widths[-1], outputs))


def make_data() -> tuple:
    """Random source and target values, and which targets were measured."""
    x, y = torch.rand(SAMPLES, SOURCES), torch.rand(SAMPLES, TARGETS)
    return x, y, torch.ones_like(y, dtype=torch.bool)


def step(generator, discriminator, optimisers, x, y, seen) -> float:
    """Move the discriminator, then the generator; return the distance."""
    made = generator(x)
    shown = torch.where(seen, made, 0.0)
    real = discriminator(torch.cat([x, y], dim=1))
    fake = discriminator(torch.cat([x, shown.detach()], dim=1))
    loss = (functional.softplus(-real).mean() + functional.softplus(fake).mean()) / 2
    optimisers[1].zero_grad(set_to_none=True)
    loss.backward()
    optimisers[1].step()
    for weight in discriminator.parameters():
        weight.requires_grad_(False)
    adversarial = functional.softplus(-discriminator(torch.cat([x, shown], dim=1))).mean()
    distance = ((made - y).abs() * seen).sum() / seen.sum().clamp(min=1)
    optimisers[0].zero_grad(set_to_none=True)
    (adversarial + DISTANCE_WEIGHT * distance).backward()
    optimisers[0].step()
    for weight in discriminator.parameters():
        weight.requires_grad_(True)
    return distance.item()


def time_steps(steps: int, warmup: int) -> dict:
    """Train for `warmup + steps` steps and return the measurements."""
    torch.manual_seed(0)
    widths = [SOURCES, *HIDDEN, LATENT, *HIDDEN[::-1]]
    generator = stack(widths, TARGETS, DROPOUT)
    discriminator = stack([SOURCES + TARGETS, *JUDGE], LOGITS, 0.0)
    models = (generator, discriminator)
    optimisers = [torch.optim.Adam(m.parameters(), lr=1e-4, betas=(0.5, 0.999)) for m in models]
    data, seconds = make_data(), []
    for _ in range(warmup + steps):
        rows = torch.randperm(SAMPLES)[:BATCH]
        start = time.perf_counter()
        value = step(*models, optimisers, *(part[rows] for part in data))
        seconds.append(time.perf_counter() - start)
    return {
        "median_step_s": round(statistics.median(seconds[warmup:]), 5),
        "best_step_s": round(min(seconds[warmup:]), 5),
        "first_step_s": round(seconds[0], 3),
        "parameters": sum(p.numel() for model in models for p in model.parameters()),
        "loss": round(value, 5),
    }


def main() -> None:
    """Parse the command line, measure, print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    about = {"peer": "torch-eager", "torch": torch.__version__, "threads": args.threads}
    print(json.dumps(about | {"batch": BATCH} | time_steps(args.steps, args.warmup)))


if __name__ == "__main__":
    main()
