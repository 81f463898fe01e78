"""What `train`, `cv` and `sweep` share: from the words of a command to a model and its settings.

The model that the words name, its preset (or the run to `--start` from) and `--quick` decide which
options there are and their defaults, so they are read before the parser runs. Every field of the
model's `Config` and `Hyper`, of `Train`, `PreprocessConfig` and `NormaliseConfig` is an option.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

from tyro.conf import Positional, arg

from jaxomics.commands.options import Flag, option
from jaxomics.comparators.registry import COMPARATORS
from jaxomics.data.conditionals import fit_conditionals
from jaxomics.data.container import MultiOmics
from jaxomics.data.outcomes import OutcomesConfig
from jaxomics.data.preprocess import NormaliseConfig, PreprocessConfig
from jaxomics.engine.state import Train
from jaxomics.errors import InputError, unknown
from jaxomics.methods import find, is_comparator
from jaxomics.models.registry import MODELS, Entry, entry
from jaxomics.presets import PRESETS, Settings, preset, quick
from jaxomics.presets.comparators import ComparatorSettings
from jaxomics.presets.settings import read_settings
from jaxomics.runfolder import read_config

Model: TypeAlias = Positional[Annotated[str, arg(metavar="MODEL")]]
"""The name of a model, the first word behind the command."""


ABOVE_0 = (
    "latent", "hidden", "view_latent", "learning_rate", "components", "factors", "rank",
    "neighbours", "penalties", "iterations", "max_iterations", "max_steps", "sweeps",
)  # fmt: skip
"""Names of settings that make no sense at 0."""


class Choice(NamedTuple):
    """What the words say before the parser has read them.

    Attributes:
      entry: the model.
      settings: its defaults: those of the preset, made small by `--quick`.
      options: the type of all options about settings, seed and views, for the signature of the
        command: `options: Annotated[choice.options, arg(name="")]`.
    """

    entry: Entry
    settings: Settings
    options: type[Any]


def choose(words: Sequence[str], command: str) -> Choice:
    """Return the model that the words name, its defaults and its options.

    Args:
      words: what stands behind the command.
      command: its name, for the message.

    Raises:
      InputError: no model, an unknown model or preset, or a comparator (`commands.compare`
        chooses among those).

    >>> choice = choose(["mosa", "--preset", "paper", "--data", "cohort"], "train")
    >>> choice.entry.name, choice.settings.config.latent, choice.options().settings().label
    ('mosa', 200, 'auto')
    """
    model = words[0] if words and not words[0].startswith("-") else None
    if model is None and not {"-h", "--help"} & set(words):
        raise InputError(
            f"expected a model behind `{command}`, found none; name one of {_models()}"
        )
    named = find(model or "mosa").name
    if is_comparator(named):
        raise InputError(
            f"expected a model that is trained, found the comparator {named}: {command} is not "
            f"for it; try its settings one by one with `jaxomics cv {named}`"
        )
    known = entry(named)
    start = option(words, "start", "")
    if start:
        settings = _settings_of(Path(start), known.name)
    else:
        settings = preset(known.name, option(words, "preset", "recommended"))
    settings = quick(settings) if "--quick" in words else settings
    return Choice(known, settings, _options(known, settings))


def _settings_of(run: Path, model: str) -> Settings:
    """Return the settings that a run of the model was trained with."""
    record = read_config(run)
    if record.get("model") != model:
        raise InputError(
            f"expected a run of {model} at {run}, found one of {record.get('model')}; name another"
        )
    return read_settings(model, record["settings"])


def _options(known: Entry, defaults: Settings) -> type[Any]:
    """Return the type of a model's options, with these defaults."""

    @dataclass(frozen=True)
    class Options:
        """Options about what to fit.

        Attributes:
          preset: named settings, the defaults of all others: recommended, paper, ...
          seed: everything random follows from it.
          quick: small sizes, for a first look.
          views: train on these views only.
          conditionals: label columns and whole views that the model is conditioned on; None
            takes label columns that describe a sample, nothing behind the option takes none.
          label: column of classes; auto takes the one that the model looks for (`tissue`, or for
            classifiers `label`, `class` or the only one), None goes without.
          config: sizes and form of the model.
          hyper: rates and weights.
          train: how long and by which schedule.
          preprocess: filters and scaling.
          normalise: what makes values comparable between samples, before they are scaled.
        """

        preset: str = "recommended"
        seed: int = 0
        quick: Flag = False
        views: tuple[str, ...] | None = None
        conditionals: tuple[str, ...] | None = defaults.conditionals.columns
        label: str | None = defaults.label
        config: Annotated[known.config, arg(name="")] = defaults.config  # pyright: ignore
        hyper: Annotated[known.hyper, arg(name="")] = defaults.hyper  # pyright: ignore
        train: Annotated[Train, arg(name="")] = defaults.train
        preprocess: PreprocessConfig = defaults.preprocess
        normalise: Annotated[NormaliseConfig, arg(name="")] = defaults.normalise

        def settings(self) -> Settings:
            """Return the settings that the options make."""
            return replace(
                defaults,
                config=self.config,
                hyper=self.hyper,
                train=self.train,
                preprocess=self.preprocess,
                normalise=self.normalise,
                conditionals=replace(defaults.conditionals, columns=self.conditionals),
                label=self.label,
            )

    if known.outcomes:
        return _with_outcomes(Options, defaults)
    return _with_novelty(Options, defaults) if "predict" in known.verbs else Options


def _with_outcomes(base: type[Any], defaults: Settings) -> type[Any]:
    """Return the type of the options of a model that predicts more than classes."""

    @dataclass(frozen=True)
    class Predicting(base):
        """Options about what to fit.

        Attributes:
          outcomes: what to predict beside the label.
        """

        outcomes: Annotated[OutcomesConfig, arg(name="")] = defaults.outcomes

        def settings(self) -> Settings:
            """Return the settings that the options make."""
            return replace(super().settings(), outcomes=self.outcomes)

    return Predicting


def _with_novelty(base: type[Any], defaults: Settings) -> type[Any]:
    """Return the type of the options of a model that names the class from single views."""

    @dataclass(frozen=True)
    class Naming(base):
        """Options about what to fit.

        Attributes:
          novelty: take a sample that is like no class of its view for one of the classes that
            the view was not trained on.
        """

        novelty: bool = defaults.novelty

        def settings(self) -> Settings:
            """Return the settings that the options make."""
            return replace(super().settings(), novelty=self.novelty)

    return Naming


def check_ranges(settings: Settings | ComparatorSettings, seed: int) -> None:
    """Raise if a number of the settings cannot be meant.

    Numbers are finite and not negative; rates and shares that drop something are below 1; sizes,
    numbers of rounds and the learning rate are above 0.

    Raises:
      InputError: the first number out of range, by name.
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"expected a seed from 0 to {2**32 - 1}, found {seed}; choose another")
    names = ("config", "hyper", "train", "preprocess")
    for part in (getattr(settings, name) for name in names if hasattr(settings, name)):
        assert is_dataclass(part)
        for field in fields(part):
            value = getattr(part, field.name)
            several = value.values() if isinstance(value, dict) else value
            for number in several if isinstance(several, Sequence) else [several]:
                if isinstance(number, int | float) and not isinstance(number, bool):
                    _check_number(field.name, number)


def _check_number(name: str, number: float) -> None:
    """Raise if one number is out of the range that its name tells."""
    above = name in ABOVE_0
    shown = f"--{name.replace('_', '-')}"
    if not math.isfinite(number) or number < 0 or (above and number == 0):
        least = "above 0" if above else "of 0 or more"
        raise InputError(f"expected a {shown} {least}, found {number}; choose another value")
    if name.endswith(("dropout", "hidden_share")) and number >= 1:
        raise InputError(f"expected a {shown} from 0 to below 1, found {number}; it is a share")


def check_names(settings: Settings | ComparatorSettings, cohort: MultiOmics) -> None:
    """Raise if the settings name a label column or a conditional that the cohort lacks.

    The label column is that of the class, or one of another outcome.

    Raises:
      InputError: the first such name.
    """
    fit_conditionals(cohort, settings.conditionals)
    if settings.label not in (None, "auto", *cohort.labels.columns):
        raise unknown("label column", str(settings.label), cohort.labels.columns)
    for name in settings.outcomes.names if isinstance(settings, Settings) else ():
        if name not in cohort.labels.columns:
            raise unknown("label column", name, cohort.labels.columns)


def _models() -> str:
    """Return the models with their presets, and the comparators, as text."""
    models = ", ".join(f"{name} (presets {', '.join(PRESETS[name])})" for name in MODELS)
    return f"{models}, or a comparator: {', '.join(COMPARATORS)}"
