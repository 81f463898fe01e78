"""Named settings of the hierarchical VAE of peaks."""

from dataclasses import replace

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.engine.state import Train
from jaxomics.models import atac
from jaxomics.presets.rna_vae import PREPROCESS
from jaxomics.presets.settings import Settings

PAPER = Settings(
    config=atac.Config(),
    hyper=atac.Hyper(),
    train=Train(epochs=200, batch_size=64, stop_patience=2, restore_best=True, valid_fraction=0.1),
    preprocess=replace(PREPROCESS, order="known"),
    conditionals=ConditionalsConfig(columns=()),
    label=None,
)
"""Nagaraj et al. 2023, 512 numbers per window and per sample; widths are ours."""

RECOMMENDED = replace(
    PAPER,
    config=atac.Config(
        first_hidden=(512, 256),
        first_latent=64,
        channels=32,
        hidden=(256,),
        latent=64,
        norm="layer",
    ),
)
"""Smaller, for some hundred samples, and layer norms, whose statistics no window has to share."""

PRESETS = {"paper": PAPER, "recommended": RECOMMENDED}
