"""Named settings of OmiTrans."""

from dataclasses import replace

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.preprocess import PreprocessConfig
from jaxomics.engine.state import Train
from jaxomics.models import omitrans
from jaxomics.presets.settings import Settings

PAPER = Settings(
    config=omitrans.Config(),
    hyper=omitrans.Hyper(),
    train=Train(epochs=800, batch_size=128, schedule="linear", decay_epochs=100),
    preprocess=PreprocessConfig(
        scaling="none",
        unscaled=(),
        missing_filtered=(),
        encoder_filter="none",
        decimals=None,
        min_views=1,
    ),
    conditionals=ConditionalsConfig(columns=()),
    label=None,
)
"""Zhang and Guo 2021, Table 2; distance, its weight and the form of the GAN as in the published
code. Values are not scaled: beta values of methylation, and logarithms of expression."""

RECOMMENDED = replace(
    PAPER,
    config=omitrans.Config(gan="none", distance="mse", hidden=(512,)),
    hyper=omitrans.Hyper(learning_rate=1e-3, weight_decay=0.01, dropout=0.5),
    train=Train(epochs=100, batch_size=128, schedule="cosine", ensemble=5),
    preprocess=replace(PAPER.preprocess, scaling="zscore"),
)
"""The generator alone, chosen on folds of the cell-line cohort, methylation to expression;
docs/results/omitrans.md has the numbers. Every feature is standardised on the training samples,
since a sum of squares over unscaled genes would be about the loudest ones."""

PRESETS = {
    "paper": PAPER,
    "recommended": RECOMMENDED,
}
