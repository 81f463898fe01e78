"""Named settings of the co-embedding of bulk ATAC and RNA."""

from dataclasses import replace

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.engine.state import Train
from jaxomics.models import coembed
from jaxomics.presets.rna_vae import PREPROCESS
from jaxomics.presets.settings import Settings

PAPER = Settings(
    config=coembed.Config(generator="negated"),
    hyper=coembed.Hyper(),
    train=Train(epochs=200, batch_size=64, stop_patience=2, restore_best=True, valid_fraction=0.1),
    preprocess=replace(PREPROCESS, order="known"),
    conditionals=ConditionalsConfig(columns=()),
)
"""Nagaraj et al. 2023, adversarial; widths, weights and the length of each stage are ours."""

CONTRASTIVE = replace(PAPER, config=replace(PAPER.config, alignment="contrastive"))
"""The other alignment of the same authors."""

RECOMMENDED = replace(
    PAPER,
    config=coembed.Config(
        first_hidden=(512, 256),
        first_latent=64,
        channels=32,
        hidden=(256,),
        rna_hidden=(256,),
        latent=32,
        norm="layer",
        reduction="mean",
    ),
    hyper=coembed.Hyper(kl_weight=1e-3, pair_weight=10.0),
    train=Train(epochs=100, batch_size=32),
)
"""For some hundred samples: small networks; a mean over features so that the alignment is heard
beside the reconstruction; matched samples drawn together, without which real data were not
aligned; and no stopping rule, since few samples are left to watch.
docs/results/bulk_embedding_models.md has the numbers."""

PRESETS = {
    "paper": PAPER,
    "contrastive": CONTRASTIVE,
    "recommended": RECOMMENDED,
}
