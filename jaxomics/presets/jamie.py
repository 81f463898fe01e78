"""Named settings of JAMIE."""

from dataclasses import replace

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.engine.state import Train
from jaxomics.models import jamie
from jaxomics.presets.settings import Settings
from jaxomics.presets.unfiltered import UNFILTERED

PAPER = Settings(
    config=jamie.Config(),
    hyper=jamie.Hyper(),
    train=Train(epochs=1000, batch_size=512),
    preprocess=UNFILTERED,
    conditionals=ConditionalsConfig(columns=()),
    label=None,
)
"""Sizes of the MOSA benchmark (Cai et al. 2024), the rest as in the published code, whose 500 to
10,000 epochs end 500 after the training loss has last gained; 1,000 here."""

RECOMMENDED = replace(
    PAPER,
    config=jamie.Config(latent=64, components=128, nearest=0, midpoint=0),
    hyper=jamie.Hyper(weight_decay=0.1, dropout=0.3, pull_weight=1.0),
    train=Train(epochs=200, batch_size=32, schedule="cosine"),
)
"""Fewer components, so that few samples are not learned by heart, a lighter pull, and batches small
enough that some hundred samples make some hundred steps."""

PRESETS = {"paper": PAPER, "recommended": RECOMMENDED}
