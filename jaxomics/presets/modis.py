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

SMALL = replace(
    RECOMMENDED,
    config=replace(
        RECOMMENDED.config,
        latent=32,
        hidden=(128, 128, 128),
        view_hidden=(),
        discriminator=(256, 128, 64),
    ),
    hyper=RECOMMENDED.hyper.replace(learning_rate=1e-3, classification_weight=10.0),
    train=Train(epochs=100, batch_size=16),
)
"""For views of some tens or hundreds of samples: narrower networks, which learn faster and in
smaller batches, and labels that count more beside clusters, since those of few samples are often
none. docs/results/modis_real.md has the numbers."""

PRESETS = {
    "paper": PAPER,
    "recommended": RECOMMENDED,
    "small": SMALL,
}
