"""Named settings of OmiEmbed."""

from dataclasses import replace

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.outcomes import OutcomesConfig
from jaxomics.data.preprocess import PreprocessConfig
from jaxomics.engine.state import Train
from jaxomics.models import omiembed
from jaxomics.presets.settings import Settings

_PREPROCESS = PreprocessConfig(
    scaling="minmax",
    unscaled=(),
    missing_filtered=(),
    encoder_filter="none",
    decimals=None,
    min_views=1,
)

PAPER = Settings(
    config=omiembed.Config(),
    hyper=omiembed.Hyper(),
    train=Train(epochs=200, batch_size=32, schedule="linear", decay_epochs=50),
    preprocess=_PREPROCESS,
    conditionals=ConditionalsConfig(columns=()),
    outcomes=OutcomesConfig(bins=256, grid="uniform", value_scale="max"),
)
"""Zhang et al. 2021, with the details that only the published code gives."""

RECOMMENDED = replace(
    PAPER,
    config=omiembed.Config(
        latent=64,
        hidden=(256,),
        joint=(128,),
        reconstruction="mse",
        class_hidden=(64,),
        value_hidden=(64,),
        survival_hidden=(64,),
        survivors=0.4,
        phases=(0.3, 0.0, 0.7),
        decay="decoupled",
        initial="kaiming",
    ),
    hyper=omiembed.Hyper(
        learning_rate=1e-3,
        weight_decay=0.1,
        dropout=0.5,
        class_dropout=0.5,
        value_dropout=0.5,
    ),
    train=Train(epochs=30, batch_size=128, schedule="cosine"),
    preprocess=replace(_PREPROCESS, scaling="zscore"),
    outcomes=OutcomesConfig(bins=16),
)
"""Chosen for survival on three folds of a tumour cohort, on a division of its own;
docs/results/omiembed.md has the numbers."""

PRESETS = {"paper": PAPER, "recommended": RECOMMENDED}
