"""Named settings of MOSA."""

from dataclasses import replace

from jaxomics.data.preprocess import PreprocessConfig
from jaxomics.engine.state import Train
from jaxomics.models import mosa
from jaxomics.presets.settings import Settings

PAPER = Settings(mosa.Config(), mosa.Hyper(), preprocess=PreprocessConfig(fit_scope="all"))
"""Cai et al. 2024, Table 1, and the details that only the published code gives."""

REFERENCE_PARITY = replace(
    PAPER, config=mosa.Config(kl="published", contrastive="columns", macro_missing="neutral")
)
"""The published code where it departs from the article; for comparison only."""

RECOMMENDED = Settings(
    config=mosa.Config(
        latent=256,
        hidden=(256,),
        view_latent=128,
        activation="gelu",
        view_dropout_per="sample",
        linked=("rna,pathway", "crispr,crispr_call"),
        presence=True,
        clip=3.0,
        withhold_cells=True,
        rescale=True,
        skip=True,
        links=True,
        zero_output=True,
        contrastive="none",
        decay="decoupled",
    ),
    hyper=mosa.Hyper(
        learning_rate=1e-3,
        weight_decay=0.01,
        dropout=0.5,
        view_dropout=0.5,
        cell_dropout=0.5,
        kl_weight=0.015,
        contrastive_weight=0.0,
    ),
    train=Train(epochs=50, batch_size=128, schedule="cosine", ensemble=5, cross_fit=True),
    preprocess=PreprocessConfig(
        encoder_filter="none", decimals=None, min_views=1, missing_filtered=()
    ),
    residual_factors=True,
)
"""Chosen on validation folds of the cell-line cohort; docs/results/mosa.md has the numbers."""

PRESETS = {
    "paper": PAPER,
    "reference_parity": REFERENCE_PARITY,
    "recommended": RECOMMENDED,
}
