"""Named settings of MODIS."""

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.preprocess import PreprocessConfig
from jaxomics.engine.state import Train
from jaxomics.models import modis
from jaxomics.presets.settings import Settings

PAPER = Settings(
    config=modis.Config(view_hidden=("methylation=512-512-512",)),
    hyper=modis.Hyper(),
    train=Train(epochs=30, batch_size=32),
    preprocess=PreprocessConfig(
        scaling="minmax",
        unscaled=(),
        missing_filtered=(),
        encoder_filter="none",
        decimals=None,
        min_views=1,
    ),
    conditionals=ConditionalsConfig(columns=()),
)
"""Lepe-Soltero et al. 2025; widths as its numbers of parameters tell, and the rest as the
published code of that time has it."""

RECOMMENDED = PAPER

PRESETS = {
    "paper": PAPER,
    "recommended": RECOMMENDED,
}
