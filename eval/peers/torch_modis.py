"""Time a MODIS training step in eager PyTorch: the peer for our speed measurements.

The arithmetic is that of our model: one autoencoder with batch norms per view, one discriminator
with heads for view and class, the clustering terms, and two Adam steps; views one after the other,
as published. Run it in its own environment (README.md)::

    python eval/peers/torch_modis.py --threads 2 --steps 60 --warmup 5

One line of JSON is printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional

VIEWS = {"methylation": (367, 512), "expression": (131, 256), "protein": (160, 256)}
"""Features and units of each view, as in the paper's simulation."""
LATENT, CLASSES, SAMPLES, BETA, RATE = 64, 5, 3067, 5e-4, 1e-4


def block(inputs: int, units: int) -> list[nn.Module]:
    """A linear layer with batch norm and leaky ReLU."""
    return [nn.Linear(inputs, units), nn.BatchNorm1d(units, 0.8), nn.LeakyReLU(0.2, inplace=True)]


class Vae(nn.Module):
    """The autoencoder of one view."""

    def __init__(self, features: int, units: int):
        super().__init__()
        self.encoder = nn.Sequential(
            *block(features, units), *block(units, units), nn.Linear(units, units)
        )
        self.mean, self.log_variance = nn.Linear(units, LATENT), nn.Linear(units, LATENT)
        self.decoder = nn.Sequential(
            *block(LATENT, units),
            *block(units, units),
            *block(units, units),
            nn.Linear(units, features),
            nn.Sigmoid(),
        )

    def sample(self, x):
        """Mean, log-variance, and one draw of the latent."""
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        return mean, log_variance, mean + torch.exp(log_variance / 2) * torch.randn_like(mean)


class Discriminator(nn.Module):
    """Hidden layer, logits of views, logits of classes."""

    def __init__(self):
        super().__init__()
        act = nn.LeakyReLU(0.2, inplace=True)
        self.trunk = nn.Sequential(
            nn.Linear(LATENT, 1024), act, nn.Linear(1024, 512), act, nn.Linear(512, 256), act
        )
        self.view, self.label = nn.Linear(256, len(VIEWS)), nn.Linear(256, CLASSES)

    def forward(self, z):
        hidden = self.trunk(z)
        return hidden, self.view(hidden), self.label(hidden)


def cauchy_schwarz(a, kernel):
    """Mean over pairs of classes of their normalised overlap."""
    overlap = a.T @ kernel @ a
    own = torch.diagonal(overlap)
    norm = torch.sqrt((own[:, None] * own[None, :]).clamp(min=1e-9))
    return 2.0 / (CLASSES * (CLASSES - 1)) * torch.triu(overlap / norm, diagonal=1).sum()


def clustering(hidden, logits):
    """Both divergences and the negative entropy of the mean assignment."""
    share = functional.softmax(logits, dim=1)
    square = (hidden**2).sum(dim=1)
    distance = (square[:, None] + square[None, :] - 2.0 * hidden @ hidden.T).clamp(min=0.0)
    scale = (0.15 * distance.detach().flatten().median()).clamp(min=1e-9)
    kernel = torch.exp(-distance / (2.0 * scale))
    corners = torch.eye(CLASSES)
    near = torch.exp(-(torch.cdist(share, corners) ** 2))
    used = share.mean(dim=0).clamp(min=1e-9)
    return cauchy_schwarz(share, kernel) + cauchy_schwarz(near, kernel) + (used * used.log()).sum()


def shared(found, labels):
    """Class and clustering losses of one view."""
    hidden, _, logits = found
    return functional.cross_entropy(logits, labels) + clustering(hidden, logits)


def discriminator_loss(vaes, critic, batch):
    """Name view and class of latents of autoencoders at rest."""
    total = 0.0
    for i, (vae, (x, labels)) in enumerate(zip(vaes, batch, strict=True)):
        vae.eval()
        with torch.no_grad():
            z = vae.sample(x)[2]
        found = critic(z)
        named = functional.cross_entropy(found[1], torch.full((len(x),), i))
        total = total + named + shared(found, labels)
    return total


def vae_loss(vaes, critic, batch):
    """Reconstruct, stay near the prior, and pass for other views."""
    total = 0.0
    for i, (vae, (x, labels)) in enumerate(zip(vaes, batch, strict=True)):
        vae.train()
        mean, log_variance, z = vae.sample(x)
        kl = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        found = critic(z)
        total = total + functional.mse_loss(vae.decoder(z), x) + BETA * kl + shared(found, labels)
        for j in range(len(VIEWS)):
            if j != i:
                wrong = functional.cross_entropy(found[1], torch.full((len(x),), j))
                total = total + wrong / (len(VIEWS) - 1)
    return total


def flops_per_step(vaes, critic, batch: int) -> float:
    """Matrix-product operations of both players' steps, without gradients that nobody needs."""

    def products(module) -> int:
        return sum(
            layer.weight.numel() for layer in module.modules() if isinstance(layer, nn.Linear)
        )

    first = sum(features * units for features, units in VIEWS.values())
    encoders = sum(products(v.encoder) + products(v.mean) + products(v.log_variance) for v in vaes)
    decoders, judged = sum(products(v.decoder) for v in vaes), products(critic) * len(VIEWS)
    entry = critic.trunk[0].weight.numel() * len(VIEWS)
    return 2.0 * batch * (4 * encoders - first + 3 * decoders + 5 * judged - entry)


def time_steps(batch: int, steps: int, warmup: int) -> dict:
    """Train for `warmup + steps` steps and return the measurements."""
    torch.manual_seed(0)
    vaes, critic = [Vae(*sizes) for sizes in VIEWS.values()], Discriminator()
    tables = [torch.rand(SAMPLES, features) for features, _ in VIEWS.values()]
    labels = [torch.randint(CLASSES, (SAMPLES,)) for _ in VIEWS]
    own = [parameter for vae in vaes for parameter in vae.parameters()]
    optimisers = [torch.optim.Adam(critic.parameters(), RATE), torch.optim.Adam(own, RATE)]
    seconds = []
    for _ in range(warmup + steps):
        begun = time.perf_counter()
        rows = [torch.randint(SAMPLES, (batch,)) for _ in VIEWS]
        drawn = [(x[r], y[r]) for x, y, r in zip(tables, labels, rows, strict=True)]
        for module in critic.parameters():
            module.requires_grad_(True)
        for loss_of, optimiser in zip((discriminator_loss, vae_loss), optimisers, strict=True):
            loss = loss_of(vaes, critic, drawn)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            for module in critic.parameters():
                module.requires_grad_(False)
        value = loss.item()
        seconds.append(time.perf_counter() - begun)
    median, flops = statistics.median(seconds[warmup:]), flops_per_step(vaes, critic, batch)
    return {
        "median_step_s": round(median, 5),
        "best_step_s": round(min(seconds[warmup:]), 5),
        "parameters": sum(p.numel() for m in (*vaes, critic) for p in m.parameters()),
        "gflop_per_step": round(flops / 1e9, 3),
        "gflop_per_s": round(flops / 1e9 / median, 1),
        "loss": round(value, 5),
    }


def main() -> None:
    """Parse the command line, measure, print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    about = {"peer": "torch-eager", "torch": torch.__version__, "threads": args.threads}
    result = time_steps(args.batch, args.steps, args.warmup)
    print(json.dumps(about | {"batch": args.batch} | result))


if __name__ == "__main__":
    main()
