"""Named settings of scVAEIT."""

from dataclasses import replace

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.engine.state import Train
from jaxomics.models import scvaeit
from jaxomics.presets.settings import Settings
from jaxomics.presets.unfiltered import UNFILTERED

PAPER = Settings(
    config=scvaeit.Config(),
    hyper=scvaeit.Hyper(),
    train=Train(epochs=200, batch_size=256),
    preprocess=UNFILTERED,
    conditionals=ConditionalsConfig(columns=()),
    label=None,
)
"""Size of z as in the MOSA benchmark (Cai et al. 2024), rates as in the published code; layers as
in its demonstrations, since the benchmark does not tell them."""

RECOMMENDED = replace(
    PAPER,
    config=scvaeit.Config(latent=64, tell_decoder=False, draws=0),
    hyper=scvaeit.Hyper(learning_rate=1e-3, weight_decay=0.1, cell_rate=0.5, view_rate=0.5),
    train=Train(epochs=100, batch_size=64, schedule="cosine"),
)
"""The latent decodes by itself, more cells and fewer views are hidden, and weights stay smaller."""

PRESETS = {"paper": PAPER, "recommended": RECOMMENDED}
