"""Settings of comparators: `recommended`, and `paper` where Cai et al. 2024 took others."""

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from jaxomics.comparators.base import Method
from jaxomics.config import from_json
from jaxomics.data.conditionals import ConditionalsConfig
from jaxomics.data.preprocess import PreprocessConfig
from jaxomics.errors import unknown

QUICK = {
    "components": 10,
    "factors": 10,
    "rank": 10,
    "hidden": 64,
    "epochs": 20,
    "iterations": 20,
    "max_iterations": 20,
}
"""The most that `--quick` leaves of settings with these names."""


@dataclass(frozen=True)
class Filters:
    """Which features and samples a comparator learns from; it scales features by itself.

    Attributes:
      max_missing: a feature is kept if its missing share is strictly below.
      missing_filtered: views that `max_missing` applies to; those a cohort lacks are ignored.
      excluded: columns of the feature tables that mark features to leave out.
      variance_threshold: features of `variance_filtered` views are kept if their variance is at
        least this; None keeps all.
      variance_filtered: views that `variance_threshold` applies to.
      min_views: samples measured in so many views are learned from.
    """

    max_missing: float = 0.85
    missing_filtered: tuple[str, ...] | Literal["all"] = ()
    excluded: tuple[str, ...] = ()
    variance_threshold: float | None = None
    variance_filtered: tuple[str, ...] = ("methylation",)
    min_views: int = 1

    def choices(self) -> PreprocessConfig:
        """Return them as choices of a preprocessing that keeps the units."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        plain = PreprocessConfig(scaling="none", encoder_filter="none", decimals=None)
        return replace(plain, **own)


@dataclass(frozen=True)
class ComparatorSettings:
    """All settings of one fit of a comparator.

    Attributes:
      config: the `Config` of its module.
      preprocess: filters.
      conditionals: label columns and views that stand beside the views as one more; none by
        default, as in Cai et al. 2024.
      label: column of classes, for methods that learn them; `auto` takes a usual one.
      linked: groups of views of one assay, withheld together in cross-validation.
    """

    config: Any
    preprocess: Filters = field(default_factory=Filters)
    conditionals: ConditionalsConfig = field(default_factory=lambda: ConditionalsConfig(columns=()))
    label: str | None = "auto"
    linked: tuple[str, ...] = ("rna,pathway", "crispr,crispr_call")

    def with_options(self, **options: Any) -> "ComparatorSettings":
        """Return the settings with some fields of `config` changed.

        Raises:
          InputError: a field that it does not have.
        """
        known = [f.name for f in fields(self.config)]
        for name in options:
            if name not in known:
                raise unknown("setting", name, known)
        return replace(self, config=replace(self.config, **options))


def comparator_presets(method: Method) -> dict[str, ComparatorSettings]:
    """Return the named settings of a comparator."""
    found = {"recommended": ComparatorSettings(method.config)}
    if method.published is not None:
        found["paper"] = ComparatorSettings(method.published)
    return found


def comparator_preset(method: Method, name: str) -> ComparatorSettings:
    """Return settings by name.

    Raises:
      InputError: the comparator has none of this name.
    """
    known = comparator_presets(method)
    if name not in known:
        raise unknown(f"preset of {method.name}", name, known)
    return known[name]


def quick_comparator(settings: ComparatorSettings) -> ComparatorSettings:
    """Return small settings for a first look: few dimensions, few rounds."""
    config = settings.config
    small = {
        name: min(getattr(config, name), most)
        for name, most in QUICK.items()
        if isinstance(getattr(config, name, None), int)
    }
    return settings.with_options(**small)


def read_comparator_settings(method: Method, values: dict[str, Any]) -> ComparatorSettings:
    """Return settings from what `to_json` made of them.

    Raises:
      InputError: a setting that the comparator does not have.
    """
    config = from_json(type(method.config), values["config"])
    return from_json(ComparatorSettings, {**values, "config": config})
