"""Named settings of the VAE of bulk RNA."""

from dataclasses import replace

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.preprocess import PreprocessConfig
from jaxomics.engine.state import Train
from jaxomics.models import bulk
from jaxomics.presets.settings import Settings

PREPROCESS = PreprocessConfig(
    unscaled=(),
    missing_filtered=(),
    encoder_filter="none",
    decimals=None,
    min_views=1,
)
"""Every feature in units of its deviation, since the Huber loss turns at 1."""

PAPER = Settings(
    config=bulk.Config(),
    hyper=bulk.Hyper(),
    train=Train(epochs=200, batch_size=128, stop_patience=2, restore_best=True, valid_fraction=0.1),
    preprocess=PREPROCESS,
    conditionals=ConditionalsConfig(columns=()),
    label=None,
)
"""Nagaraj et al. 2023; hidden units, learning rate and batch are not told there."""

RECOMMENDED = replace(
    PAPER,
    config=replace(PAPER.config, latent=64, hidden=(256,)),
    hyper=bulk.Hyper(learning_rate=3e-3),
)
"""Smaller than published, for cohorts of hundreds to thousands of samples; tried on training
patients of one fold of a tumour cohort. docs/results/bulk_embedding.md has the numbers."""

LINEAR = replace(PAPER, config=replace(PAPER.config, linear=True))
"""The linear VAE of the same authors: no hidden layers."""

PRESETS = {"paper": PAPER, "recommended": RECOMMENDED, "linear": LINEAR}
