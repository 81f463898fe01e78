"""Write the parity fixtures: what PyTorch computes for the MOSA specification.

Run in an environment with PyTorch (see README.md); the test suite only reads the JSON files::

    python tests/parity/make_fixtures.py

All numbers are computed in float64 from inputs rounded to six decimals and stored with nine
significant digits, so a float32 implementation should agree to about 1e-5. The code is written
from the equations, term by term and pair by pair, and shares nothing with the library it checks.
"""

from __future__ import annotations

import json
import platform
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent
DIGITS = 9
MARGINS = (0.85, 0.15)
OPTIMISER = {"learning_rate": 3e-4, "weight_decay": 5e-4, "b1": 0.9, "b2": 0.999, "eps": 1e-8}
WEIGHTS = {"reconstruction": 1.0, "kl": 1e-4, "contrastive": 0.005}
VIEWS = {
    "alpha": {"features": 6, "encoder_columns": [0, 1, 2, 4, 5], "loss": "mean"},
    "beta": {"features": 5, "encoder_columns": [0, 1, 2, 3, 4], "loss": "mean"},
    "copies": {"features": 4, "encoder_columns": [0, 1, 2, 3], "loss": "macro"},
}
COPY_NUMBERS = (-2.0, -1.0, 0.0, 1.0, 2.0)
BATCH, CONDITIONALS, TISSUES, LATENT = 7, 4, 3, 3
HIDDEN_FRACTION, VIEW_LATENT_FRACTION = 0.7, 0.5


# ---------------------------------------------------------------------------------- numbers


def plain(value):
    """Return `value` as JSON data with floats of `DIGITS` significant digits."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, torch.Tensor):
        return plain(value.detach().tolist())
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return value


def write(name: str, content: dict) -> None:
    """Write one fixture, stamped with the versions that made it."""
    made_with = {"torch": torch.__version__, "numpy": np.__version__}
    made_with["python"] = platform.python_version()
    path = HERE / name
    path.write_text(json.dumps(plain({"made_with": made_with, **content})) + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


def tensor(values) -> torch.Tensor:
    """Return a float64 tensor of values rounded to six decimals, which JSON keeps exactly."""
    return torch.tensor(np.round(np.asarray(values, dtype=np.float64), 6))


# ------------------------------------------------------------------------------- loss terms


def mean_loss(x, x_hat, observed):
    """Mean squared error over the observed cells of a batch; 0 if there are none."""
    return (((x_hat - x) ** 2)[observed]).sum() / max(int(observed.sum()), 1)


def macro_loss(x, x_hat, observed, *, masked_as_zero: bool):
    """Squared error averaged over cells of a class first, then over the classes present."""
    if masked_as_zero:
        x, x_hat = x * observed, x_hat * observed
        observed = torch.ones_like(observed)
    errors = ((x_hat - x) ** 2)[observed]
    classes = x[observed]
    per_class = [errors[classes == c].mean() for c in classes.unique()]
    return torch.stack(per_class).mean()


def kl_loss(mu, variance, *, variance_as_log: bool):
    """Divergence of N(mu, variance) from N(0, 1), or the reference's reading of it."""
    if variance_as_log:
        terms = -0.5 * (1 + variance - mu**2 - variance.exp())
    else:
        terms = 0.5 * (variance + mu**2 - 1 - variance.log())
    return terms.sum() / mu.shape[0]


def contrastive_loss(mu, labels):
    """Hinge loss on cosine similarities, one pair at a time (i < j)."""
    pull, push = [], []
    for i in range(len(labels)):
        for j in range(i + 1, len(labels)):
            similarity = functional.cosine_similarity(mu[i], mu[j], dim=0)
            same = bool(labels[i] == labels[j])
            hinge = MARGINS[0] - similarity if same else similarity - MARGINS[1]
            if hinge > 0:
                (pull if same else push).append(hinge)
    return sum((torch.stack(part).mean() for part in (pull, push) if part), mu.sum() * 0)


def contrastive_columns(mu, columns):
    """The reference's form: the sum of `contrastive_loss` over label columns."""
    return sum(contrastive_loss(mu, columns[:, c]) for c in range(columns.shape[1]))


# ------------------------------------------------------------------------- one training step


def init_parameters(rng) -> dict[str, torch.Tensor]:
    """Uniform ±1/sqrt(fan_in) weights [out, in] and biases [out], and the shared slope."""
    parameters = {}

    def linear(name, fan_in, fan_out):
        bound = fan_in**-0.5
        parameters[f"{name}.weight"] = tensor(rng.uniform(-bound, bound, (fan_out, fan_in)))
        parameters[f"{name}.bias"] = tensor(rng.uniform(-bound, bound, fan_out))

    concatenated = 0
    for view, spec in VIEWS.items():
        columns = len(spec["encoder_columns"])
        hidden = int(HIDDEN_FRACTION * columns)
        view_latent = int(VIEW_LATENT_FRACTION * columns)
        linear(f"encoders.{view}.hidden.0", columns + CONDITIONALS, hidden)
        linear(f"encoders.{view}.out", hidden, view_latent)
        concatenated += view_latent
    linear("joint.mu", concatenated, LATENT)
    linear("joint.var", concatenated, LATENT)
    for view, spec in VIEWS.items():
        hidden = int(HIDDEN_FRACTION * spec["features"])
        linear(f"decoders.{view}.hidden.0", LATENT + CONDITIONALS, hidden)
        linear(f"decoders.{view}.out", hidden, spec["features"])
    parameters["activation"] = tensor(0.25)
    return parameters


def make_batch(rng) -> dict:
    """A small batch with missing cells and, for some samples, missing views."""
    x = {view: rng.normal(size=(BATCH, spec["features"])) for view, spec in VIEWS.items()}
    x["copies"] = rng.choice(COPY_NUMBERS, size=x["copies"].shape, p=(0.1, 0.2, 0.4, 0.2, 0.1))
    observed = {view: rng.random(values.shape) > 0.2 for view, values in x.items()}
    observed["alpha"][[1, 4]] = False
    observed["beta"][2] = False
    observed["copies"][5] = False
    tissue = np.array([0, 0, 1, 1, 2, 2, 0])
    growth = rng.normal(size=(BATCH, 1))
    return {
        "x": {view: tensor(np.where(observed[view], x[view], 0.0)) for view in VIEWS},
        "observed": {view: torch.tensor(observed[view]) for view in VIEWS},
        "conditionals": tensor(np.concatenate([np.eye(TISSUES)[tissue], growth], axis=1)),
        "tissue": torch.tensor(tissue),
        "eps": tensor(rng.normal(size=(BATCH, LATENT))),
    }


def forward(parameters, batch) -> dict:
    """The network without dropout: posterior mean and variance, sample, reconstructions."""

    def linear(name, inputs):
        return functional.linear(inputs, parameters[f"{name}.weight"], parameters[f"{name}.bias"])

    def activate(inputs):
        return torch.where(inputs > 0, inputs, parameters["activation"] * inputs)

    y, encoded = batch["conditionals"], []
    for view, spec in VIEWS.items():
        inputs = torch.cat([batch["x"][view][:, spec["encoder_columns"]], y], dim=1)
        hidden = activate(linear(f"encoders.{view}.hidden.0", inputs))
        encoded.append(activate(linear(f"encoders.{view}.out", hidden)))
    joint = torch.cat(encoded, dim=1)
    mu, variance = linear("joint.mu", joint), functional.softplus(linear("joint.var", joint))
    z = mu + batch["eps"] * torch.sqrt(variance + 1e-10)
    context, decoded = torch.cat([z, y], dim=1), {}
    for view in VIEWS:
        hidden = activate(linear(f"decoders.{view}.hidden.0", context))
        decoded[view] = linear(f"decoders.{view}.out", hidden)
    return {"mu": mu, "variance": variance, "z": z, "reconstruction": decoded}


def loss_terms(parameters, batch, preset: str) -> dict:
    """Every term of the loss, and `total`, for preset `paper` or `reference_parity`."""
    parity = preset == "reference_parity"
    out = forward(parameters, batch)
    views = {}
    for view, spec in VIEWS.items():
        cells = batch["x"][view], out["reconstruction"][view], batch["observed"][view]
        macro = spec["loss"] == "macro"
        views[view] = macro_loss(*cells, masked_as_zero=parity) if macro else mean_loss(*cells)
    if parity:
        contrastive = contrastive_columns(out["mu"], batch["conditionals"][:, :TISSUES])
    else:
        contrastive = contrastive_loss(out["mu"], batch["tissue"])
    terms = {
        "reconstruction_by_view": views,
        "reconstruction": sum(views.values()),
        "kl": kl_loss(out["mu"], out["variance"], variance_as_log=parity),
        "contrastive": contrastive,
    }
    terms["total"] = sum(WEIGHTS[name] * terms[name] for name in WEIGHTS)
    return terms


def train(initial, batch, preset: str, steps: int) -> dict[str, torch.Tensor]:
    """Parameters after `steps` Adam steps with coupled weight decay on one fixed batch."""
    parameters = {name: value.clone().requires_grad_() for name, value in initial.items()}
    optimiser = torch.optim.Adam(
        parameters.values(),
        lr=OPTIMISER["learning_rate"],
        betas=(OPTIMISER["b1"], OPTIMISER["b2"]),
        eps=OPTIMISER["eps"],
        weight_decay=OPTIMISER["weight_decay"],
    )
    for _ in range(steps):
        optimiser.zero_grad()
        loss_terms(parameters, batch, preset)["total"].backward()
        optimiser.step()
    return parameters


def preset_results(initial, batch, preset: str) -> dict:
    """Loss terms, gradients of the total, and parameters after one and three steps."""
    parameters = {name: value.clone().requires_grad_() for name, value in initial.items()}
    terms = loss_terms(parameters, batch, preset)
    gradients = torch.autograd.grad(terms["total"], list(parameters.values()))
    return {
        "loss": terms,
        "gradients": dict(zip(parameters, gradients, strict=True)),
        "after_1_step": train(initial, batch, preset, 1),
        "after_3_steps": train(initial, batch, preset, 3),
    }


def mosa_step() -> dict:
    """The content of `mosa_step.json`."""
    rng = np.random.default_rng(20231023)
    parameters, batch = init_parameters(rng), make_batch(rng)
    presets = ("paper", "reference_parity")
    return {
        "config": {
            "views": VIEWS,
            "conditionals": CONDITIONALS,
            "contrastive_columns": TISSUES,
            "latent": LATENT,
            "hidden_fractions": [HIDDEN_FRACTION],
            "view_latent_fraction": VIEW_LATENT_FRACTION,
            "dropout": 0.0,
            "view_dropout": 0.0,
            "margins": {"positive": MARGINS[0], "negative": MARGINS[1]},
            "loss_weights": WEIGHTS,
            "optimiser": OPTIMISER,
        },
        "batch": batch,
        "parameters": parameters,
        "forward": forward(parameters, batch),
        "presets": {preset: preset_results(parameters, batch, preset) for preset in presets},
    }


# --------------------------------------------------------------------------------- schedule


def plateau_trace(losses) -> list[float]:
    """The learning rate each epoch trains with, given the loss after each epoch."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=3e-4)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser,
        mode="min",
        factor=0.6,
        patience=7,
        threshold=1e-4,
        threshold_mode="rel",
        cooldown=0,
        min_lr=1e-7,
        eps=1e-8,
    )
    rates = []
    for loss in losses:
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step(loss)
    return rates


def plateau() -> dict:
    """The content of `plateau.json`: three noisy descents and one run to the floor."""
    rng = np.random.default_rng(7)
    epochs = np.arange(80)
    sequences = {
        "golden": [1.0, 0.99995] + [1.0] * 22,
        "slow_descent": np.exp(-epochs / 25) + 0.1 * rng.normal(size=80),
        "fast_descent": np.exp(-epochs / 5) + 0.01 * rng.normal(size=80) + 0.1,
        "fine_steps": 1 - 2e-5 * epochs + 6e-5 * rng.normal(size=80),
        "flat_to_the_floor": np.ones(180),
    }
    values = {name: tensor(losses).tolist() for name, losses in sequences.items()}
    return {
        "settings": {
            "learning_rate": 3e-4,
            "factor": 0.6,
            "patience": 7,
            "threshold": 1e-4,
            "floor": 1e-7,
            "smallest_change": 1e-8,
        },
        "cases": {
            name: {"validation": losses, "learning_rate": plateau_trace(losses)}
            for name, losses in values.items()
        },
    }


# ------------------------------------------------------------------------------- checkpoint


class Identity(nn.Module):
    """Stands where view dropout stands, so that positions in `nn.Sequential` are right."""

    def forward(self, inputs):
        return inputs


class Joint(nn.Module):
    """The two heads of the posterior."""

    def __init__(self, width: int, latent: int):
        super().__init__()
        self.mu = nn.Linear(width, latent)
        self.var = nn.Linear(width, latent)


class PositionalMosa(nn.Module):
    """A model whose state dict has the documented, positional shape of the released weights."""

    def __init__(self, encoder_widths, features, conditionals: int, latent: int):
        super().__init__()
        self.activation_function = nn.PReLU()
        drop = [nn.Dropout(0.0), Identity()]
        self.encoders = nn.ModuleList(
            self.stack(drop, w + conditionals, int(0.7 * w), int(0.5 * w), last=True)
            for w in encoder_widths
        )
        self.joint = Joint(sum(int(0.5 * w) for w in encoder_widths), latent)
        self.decoders = nn.ModuleList(
            self.stack([], latent + conditionals, int(0.7 * f), f, last=False) for f in features
        )

    def stack(self, first, width, hidden, out, *, last: bool) -> nn.Sequential:
        """`first`, Linear, Dropout, PReLU, Linear, [PReLU]; the PReLU is one shared module."""
        activation = self.activation_function
        layers = [*first, nn.Linear(width, hidden), nn.Dropout(0.4), activation]
        layers.append(nn.Linear(hidden, out))
        return nn.Sequential(*layers, *([activation] if last else []))

    def forward(self, inputs, conditionals):
        encoded = [
            encoder(torch.cat([x, conditionals], dim=1))
            for encoder, x in zip(self.encoders, inputs, strict=True)
        ]
        mu = self.joint.mu(torch.cat(encoded, dim=1))
        variance = functional.softplus(self.joint.var(torch.cat(encoded, dim=1)))
        context = torch.cat([mu, conditionals], dim=1)
        return mu, variance, [decoder(context) for decoder in self.decoders]


def state_dict() -> dict:
    """The content of `state_dict.json`."""
    rng = np.random.default_rng(11)
    columns = [[0, 2, 3, 4], [0, 1, 2, 3, 4, 5]]
    features, conditionals, latent = [5, 6], 3, 2
    model = PositionalMosa([len(c) for c in columns], features, conditionals, latent)
    model = model.double().eval()
    for value in model.parameters():
        value.data = tensor(rng.uniform(-0.5, 0.5, tuple(value.shape)))
    model.activation_function.weight.data = tensor([0.193])
    x = [tensor(rng.normal(size=(4, f))) for f in features]
    y = tensor(rng.normal(size=(4, conditionals)))
    inputs = [values[:, keep] for values, keep in zip(x, columns, strict=True)]
    mu, variance, decoded = model(inputs, y)
    return {
        "config": {
            "features": features,
            "encoder_columns": columns,
            "conditionals": conditionals,
            "latent": latent,
            "hidden_fractions": [0.7],
            "view_latent_fraction": 0.5,
        },
        "state_dict": {f"module.{name}": value for name, value in model.state_dict().items()},
        "x": x,
        "conditionals": y,
        "mu": mu,
        "variance": variance,
        "reconstruction": decoded,
    }


# ------------------------------------------------------------------------------ contrastive


def contrastive() -> dict:
    """The content of `contrastive.json`: both forms with their gradients."""
    rng = np.random.default_rng(3)
    mu = tensor(rng.normal(size=(12, 5))).requires_grad_()
    tissue = torch.tensor(rng.integers(0, 4, size=12))
    columns = tensor(rng.integers(0, 2, size=(12, 4)))
    labels, per_column = contrastive_loss(mu, tissue), contrastive_columns(mu, columns)
    return {
        "mu": mu,
        "tissue": tissue,
        "columns": columns,
        "margins": {"positive": MARGINS[0], "negative": MARGINS[1]},
        "labels": {"value": labels, "gradient": torch.autograd.grad(labels, mu)[0]},
        "per_column": {"value": per_column, "gradient": torch.autograd.grad(per_column, mu)[0]},
    }


def main() -> None:
    """Write all four fixtures beside this file."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    for build in (mosa_step, plateau, state_dict, contrastive):
        write(f"{build.__name__}.json", build())


if __name__ == "__main__":
    main()
