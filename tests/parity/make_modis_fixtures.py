"""Write the parity fixture of MODIS: three steps of a game in PyTorch.

Run in an environment with PyTorch (see README.md); the test suite only reads the JSON file::

    python tests/parity/make_modis_fixtures.py

Everything is float64, from inputs rounded to six decimals, and the noise is an input. The module
is written from the equations of Lepe-Soltero et al. 2025, view by view and pair by pair, and shares
nothing with the library that it checks.

PyTorch's running variance takes the unbiased variance of a batch, Flax's and ours the biased one.
Since the discriminator reads latents at rest, that would show in every loss from the second step
on; so the running variances are put into the biased form after each step (`make_biased`), and
PyTorch's own value after the first step is kept for a test of the factor between them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from make_fixtures import tensor, write
from torch import nn
from torch.nn import functional

VIEWS = {"alpha": (7, 6), "beta": (5, 4), "gamma": (4, 3)}
"""Features, and units of every hidden layer."""
LATENT, TRUNK, CLASSES, BATCH, STEPS = 3, (8, 6, 5), 4, 6, 3
BETA, RATE, EPSILON, SLOPE = 5e-4, 1e-2, 0.8, 0.2


def normed(inputs: int, units: int) -> list[nn.Module]:
    """A linear layer, its batch norm, and the activation."""
    return [nn.Linear(inputs, units), nn.BatchNorm1d(units, EPSILON), nn.LeakyReLU(SLOPE)]


class Vae(nn.Module):
    """The autoencoder of one view."""

    def __init__(self, features: int, units: int):
        super().__init__()
        self.encoder = nn.Sequential(
            *normed(features, units), *normed(units, units), nn.Linear(units, units)
        )
        self.mean, self.log_variance = nn.Linear(units, LATENT), nn.Linear(units, LATENT)
        self.decoder = nn.Sequential(
            *normed(LATENT, units), *normed(units, units), *normed(units, units),
            nn.Linear(units, features), nn.Sigmoid(),
        )  # fmt: skip

    def encode(self, x):
        """Mean and log-variance."""
        hidden = self.encoder(x)
        return self.mean(hidden), self.log_variance(hidden)


class Discriminator(nn.Module):
    """Hidden layer, logits of views, logits of classes."""

    def __init__(self):
        super().__init__()
        widths, layers = (LATENT, *TRUNK), []
        for inputs, units in pairwise(widths):
            layers += [nn.Linear(inputs, units), nn.LeakyReLU(SLOPE)]
        self.trunk = nn.Sequential(*layers)
        self.view, self.label = nn.Linear(TRUNK[-1], len(VIEWS)), nn.Linear(TRUNK[-1], CLASSES)

    def forward(self, z):
        hidden = self.trunk(z)
        return hidden, self.view(hidden), self.label(hidden)


def cauchy_schwarz(a, kernel):
    """2/(C(C-1)) sum over p < q of N_pq / sqrt(max(N_pp N_qq, 1e-9))."""
    overlap = a.T @ kernel @ a
    total = 0.0
    for p in range(CLASSES):
        for q in range(p + 1, CLASSES):
            total = total + overlap[p, q] / torch.sqrt((overlap[p, p] * overlap[q, q]).clamp(1e-9))
    return 2.0 / (CLASSES * (CLASSES - 1)) * total


def clustering(hidden, logits):
    """Both divergences and the negative entropy of the mean assignment."""
    share = functional.softmax(logits, dim=1)
    distance = ((hidden[:, None, :] - hidden[None, :, :]) ** 2).sum(dim=2)
    scale = (0.15 * distance.detach().flatten().median()).clamp(min=1e-9)
    kernel = torch.exp(-distance / (2.0 * scale))
    corners = torch.eye(CLASSES, dtype=torch.float64)
    near = torch.exp(-((share[:, None, :] - corners[None, :, :]) ** 2).sum(dim=2))
    used = share.mean(dim=0).clamp(min=1e-9)
    return cauchy_schwarz(share, kernel) + cauchy_schwarz(near, kernel) + (used * used.log()).sum()


def shared(parts, labels):
    """Class loss over labelled rows, and clustering loss over all, summed over views."""
    classified, grouped = 0.0, 0.0
    for (hidden, _, logits), own in zip(parts, labels, strict=True):
        if (own >= 0).any():
            classified = classified + functional.cross_entropy(logits[own >= 0], own[own >= 0])
        grouped = grouped + clustering(hidden, logits)
    return classified, grouped


def discriminator_loss(vaes, critic, batch, noise):
    """The loss of the discriminator, on latents of autoencoders at rest."""
    parts = []
    for vae, x, eps in zip(vaes, batch["x"], noise, strict=True):
        vae.eval()
        with torch.no_grad():
            mean, log_variance = vae.encode(x)
            z = mean + torch.exp(log_variance / 2) * eps
        parts.append(critic(z))
    named = 0.0
    for i, (_, source, _) in enumerate(parts):
        named = named + functional.cross_entropy(source, torch.full((BATCH,), i))
    classified, grouped = shared(parts, batch["labels"])
    total = named + classified + grouped
    return total, {"loss": total, "source": named, "class": classified, "clustering": grouped}


def vae_loss(vaes, critic, batch, noise):
    """The loss of the autoencoders, on statistics of the batch."""
    parts, reconstruction, kl, confused = [], 0.0, 0.0, 0.0
    for i, (vae, x, eps) in enumerate(zip(vaes, batch["x"], noise, strict=True)):
        vae.train()
        mean, log_variance = vae.encode(x)
        z = mean + torch.exp(log_variance / 2) * eps
        reconstruction = reconstruction + functional.mse_loss(vae.decoder(z), x)
        kl = kl - 0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum()
        parts.append(critic(z))
        for j in range(len(VIEWS)):
            if j != i:
                wrong = functional.cross_entropy(parts[-1][1], torch.full((BATCH,), j))
                confused = confused + wrong / (len(VIEWS) - 1)
    classified, grouped = shared(parts, batch["labels"])
    total = reconstruction + BETA * kl + confused + classified + grouped
    return total, {
        "loss": total, "reconstruction": reconstruction, "kl": kl, "confusion": confused,
        "class": classified, "clustering": grouped,
    }  # fmt: skip


def norms(vaes) -> list[nn.BatchNorm1d]:
    """All batch norms."""
    return [
        module for vae in vaes for module in vae.modules() if isinstance(module, nn.BatchNorm1d)
    ]


def make_biased(vaes, before: list) -> None:
    """Turn the part of the running variances that a step has added into the biased form."""
    for norm, old in zip(norms(vaes), before, strict=True):
        kept = 0.9 * old
        norm.running_var.copy_(kept + (norm.running_var - kept) * (BATCH - 1) / BATCH)


def linear(layer: nn.Linear) -> dict:
    """Kernel [inputs, outputs] and bias."""
    return {"kernel": layer.weight.T, "bias": layer.bias}


def stack(layers: nn.Sequential, last: str) -> tuple[dict, dict]:
    """Parameters and running statistics of normed layers and a last linear one."""
    params, statistics = {}, {}
    dense = [layer for layer in layers if isinstance(layer, nn.Linear)]
    found = [layer for layer in layers if isinstance(layer, nn.BatchNorm1d)]
    for i, (layer, norm) in enumerate(zip(dense, found, strict=False)):
        own = {"scale": norm.weight, "shift": norm.bias}
        params[f"normed_{i}"] = linear(layer) | {"norm": own}
        statistics[f"normed_{i}"] = {
            "norm": {"mean": norm.running_mean, "variance": norm.running_var}
        }
    return params | {last: linear(dense[-1])}, statistics


def state(vaes, critic) -> dict:
    """Everything that steps change, in the layout of the library, copied."""
    params, statistics = {}, {}
    for name, vae in zip(VIEWS, vaes, strict=True):
        encoder, heads = stack(vae.encoder, "linear"), (vae.mean, vae.log_variance)
        encoder[0]["heads"] = {
            "kernel": torch.cat([head.weight.T for head in heads], dim=1),
            "bias": torch.cat([head.bias for head in heads]),
        }
        for part, found in (("encoders", encoder), ("decoders", stack(vae.decoder, "out"))):
            params[f"{part}_{name}"], statistics[f"{part}_{name}"] = found
    trunk = [layer for layer in critic.trunk if isinstance(layer, nn.Linear)]
    judge = {f"hidden_{i}": linear(layer) for i, layer in enumerate(trunk)}
    judge |= {"view": linear(critic.view), "class": linear(critic.label)}
    return copied({"vae": params, "discriminator": judge, "statistics": statistics})


def copied(tree):
    """The numbers of a nested dict of tensors."""
    if isinstance(tree, dict):
        return {name: copied(item) for name, item in tree.items()}
    return tree.detach().tolist()


def make_batch(draw: np.random.Generator) -> dict:
    """One batch: values in [0, 1], labels of which some are unknown, noise of both players."""
    labels = draw.integers(CLASSES, size=(len(VIEWS), BATCH))
    labels[0, ::2], labels[2] = -1, -1
    return {
        "x": [tensor(draw.random((BATCH, features))) for features, _ in VIEWS.values()],
        "labels": torch.tensor(labels),
        "noise": tensor(draw.normal(size=(2, len(VIEWS), BATCH, LATENT))),
    }


def main() -> None:
    """Train three steps and write what went in and what came out."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    vaes = [Vae(features, units) for features, units in VIEWS.values()]
    critic = Discriminator()
    with torch.no_grad():
        for module in (*vaes, critic):
            for parameter in module.parameters():
                parameter.copy_(tensor(parameter.detach().numpy()))
    draw = np.random.default_rng(0)
    batches = [make_batch(draw) for _ in range(STEPS)]
    own = [parameter for vae in vaes for parameter in vae.parameters()]
    optimisers = [torch.optim.Adam(critic.parameters(), RATE), torch.optim.Adam(own, RATE)]
    before, steps, unbiased = state(vaes, critic), [], None
    for batch in batches:
        metrics = {}
        statistics = [norm.running_var.clone() for norm in norms(vaes)]
        for i, loss_of in enumerate((discriminator_loss, vae_loss)):
            total, found = loss_of(vaes, critic, batch, batch["noise"][i])
            optimisers[i].zero_grad()
            total.backward()
            optimisers[i].step()
            metrics[("discriminator", "vae")[i]] = {name: v.item() for name, v in found.items()}
        unbiased = unbiased or norms(vaes)[0].running_var.tolist()
        make_biased(vaes, statistics)
        steps.append(metrics)
    sizes = {name: {"features": f, "units": u} for name, (f, u) in VIEWS.items()}
    config = {
        "views": sizes, "latent": LATENT, "discriminator": TRUNK, "classes": CLASSES, "beta": BETA,
        "learning_rate": RATE,
    }  # fmt: skip
    write(
        "modis_steps.json",
        {
            "config": config, "batches": batches, "before": before, "steps": steps,
            "after": state(vaes, critic), "unbiased_variance_after_one_step": unbiased,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main()
