"""Everything that a run of any model needs to be told."""

from dataclasses import dataclass, field, replace
from typing import Any

from jaxomics.config import from_json
from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.outcomes import OutcomesConfig
from jaxomics.data.preprocess import NormaliseConfig, PreprocessConfig
from jaxomics.engine.state import Train
from jaxomics.models.registry import entry


@dataclass(frozen=True)
class Settings:
    """All settings of one run.

    Attributes:
      config: what decides the model's shapes: the `Config` of its module.
      hyper: what may vary between replicas: the `Hyper` of its module.
      train: how long and by which schedule.
      preprocess: filters and scaling.
      normalise: what makes values comparable between samples, before they are scaled.
      conditionals: which label columns and views enter as conditionals.
      label: column of the sample table that holds the class of each sample; `auto` takes the one
        that the model looks for, if there is one; None goes without classes.
      outcomes: which label columns are predicted beside the class, by models that can.
      residual_factors: let measured cells correct hidden cells of the same view, through a factor
        model of the residuals.
      novelty: let models that name the class from single views take a sample that is like no
        class of its view for one of the classes that the view was not trained on.
    """

    config: Any
    hyper: Any
    train: Train = field(default_factory=Train)
    preprocess: PreprocessConfig = field(default_factory=PreprocessConfig)
    normalise: NormaliseConfig = field(default_factory=NormaliseConfig)
    conditionals: ConditionalsConfig = field(default_factory=ConditionalsConfig)
    label: str | None = "auto"
    outcomes: OutcomesConfig = field(default_factory=OutcomesConfig)
    residual_factors: bool = False
    novelty: bool = False


def quick(settings: Settings) -> Settings:
    """Return small settings for a first look: few epochs, one member."""
    train = replace(settings.train, epochs=min(settings.train.epochs, 20), ensemble=1)
    return replace(settings, train=train)


def read_settings(model: str, values: dict[str, Any]) -> Settings:
    """Return the settings of a model from what `to_json` made of them.

    Raises:
      InputError: an unknown model, or a setting that it does not have.
    """
    known = entry(model)
    own = {
        "config": from_json(known.config, values["config"]),
        "hyper": from_json(known.hyper, values["hyper"]),
    }
    return from_json(Settings, {**values, **own})
