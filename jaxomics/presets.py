"""Everything a run needs to be told, and the named settings of each model."""

from dataclasses import dataclass, field, replace

from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.preprocess import PreprocessConfig
from jaxomics.engine.state import Train
from jaxomics.errors import unknown
from jaxomics.models import mosa


@dataclass(frozen=True)
class Settings:
    """All settings of one run.

    Attributes:
      config: what decides the model's shapes.
      hyper: what may vary between replicas.
      train: how long and by which schedule.
      preprocess: filters and scaling.
      conditionals: which label columns and views enter as conditionals.
      label: column of the sample table that the contrastive term contrasts; `auto` takes
        `tissue` where there is one; None switches the term off.
      residual_factors: let measured cells correct hidden cells of the same view, through a factor
        model of the residuals.
    """

    config: mosa.Config = field(default_factory=mosa.Config)
    hyper: mosa.Hyper = field(default_factory=mosa.Hyper)
    train: Train = field(default_factory=Train)
    preprocess: PreprocessConfig = field(default_factory=lambda: PreprocessConfig(fit_scope="all"))
    conditionals: ConditionalsConfig = field(default_factory=ConditionalsConfig)
    label: str | None = "auto"
    residual_factors: bool = False


PAPER = Settings()
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

PRESETS: dict[str, dict[str, Settings]] = {
    "mosa": {"paper": PAPER, "reference_parity": REFERENCE_PARITY, "recommended": RECOMMENDED},
}


def preset(model: str, name: str) -> Settings:
    """Return the named settings of a model.

    >>> preset("mosa", "paper").hyper.learning_rate
    0.0003
    """
    if model not in PRESETS:
        raise unknown("model", model, PRESETS)
    if name not in PRESETS[model]:
        raise unknown(f"preset of {model}", name, PRESETS[model])
    return PRESETS[model][name]


def quick(settings: Settings) -> Settings:
    """Return small settings for a first look: few epochs, one member."""
    train = replace(settings.train, epochs=min(settings.train.epochs, 20), ensemble=1)
    return replace(settings, train=train)
