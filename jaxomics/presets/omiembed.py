"""Named settings of OmiEmbed."""

from jaxomics.data.conditionals import ConditionalsConfig
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
)
"""Zhang et al. 2021, with the details that only the published code gives."""

RECOMMENDED = PAPER

PRESETS = {"paper": PAPER, "recommended": RECOMMENDED}
