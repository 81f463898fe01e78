"""Named settings of MODIS."""

from dataclasses import replace

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

RECOMMENDED = replace(
    PAPER,
    config=replace(PAPER.config, balanced=True),
    hyper=PAPER.hyper.replace(adversarial_weight=0.1, entropy_weight=3.0),
    novelty=True,
)
"""Classes are drawn equally often, so that a rare one is learned and the entropy term, which wants
classes used equally, is right. The views are pushed less to look alike, so that a view which lacks
a class is not made to show it, and a sample that is like no class that its view was trained on is
taken for the class that the view lacks (`jaxomics.inference.novelty`). docs/results/modis.md has
the numbers."""

PRESETS = {
    "paper": PAPER,
    "recommended": RECOMMENDED,
}
