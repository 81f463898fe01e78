"""Named settings of MOVE."""

from dataclasses import replace

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.engine.state import Train
from jaxomics.models import move
from jaxomics.presets.settings import Settings
from jaxomics.presets.unfiltered import UNFILTERED

PAPER = Settings(
    config=move.Config(),
    hyper=move.Hyper(),
    train=Train(epochs=200, batch_size=10),
    preprocess=replace(UNFILTERED, unscaled=("copynumber", "mut", "mutations")),
    conditionals=ConditionalsConfig(columns=()),
    label=None,
)
"""Sizes of the MOSA benchmark (Cai et al. 2024), rates of MOVE's tutorial, and what neither
states: dropout 0.1, 200 epochs, warm-up at 25, 50, 75 and 100."""

RECOMMENDED = replace(
    PAPER,
    config=move.Config(latent=64, hidden=(256,), kl_warmup=(), withhold=True),
    hyper=move.Hyper(
        learning_rate=1e-3,
        weight_decay=0.1,
        dropout=0.3,
        view_dropout=0.5,
        cell_dropout=0.5,
        kl_weight=1e-3,
    ),
    train=Train(epochs=100, batch_size=64, schedule="cosine"),
)
"""Views and cells are withheld in training, so that lost ones are written from the others."""

PRESETS = {"paper": PAPER, "recommended": RECOMMENDED}
