"""Settings back into words: the options that make them out of a preset."""

from dataclasses import fields
from typing import Any

from jaxomics.presets import Settings
from jaxomics.search.space import label


def changes(settings: Settings, base: Settings) -> list[str]:
    """Return the options of `jaxomics train` that make settings of a preset's.

    >>> from dataclasses import replace
    >>> from jaxomics.presets.mosa import PAPER
    >>> changes(replace(PAPER, config=replace(PAPER.config, hidden=(0.7, 0.4), skip=True)), PAPER)
    ['--hidden', '0.7', '0.4', '--skip']
    """
    words: list[str] = []
    for part, prefix in (
        ("config", ""),
        ("hyper", ""),
        ("train", ""),
        ("preprocess", "preprocess."),
    ):
        new, old = getattr(settings, part), getattr(base, part)
        for field in fields(new):
            value = getattr(new, field.name)
            if value != getattr(old, field.name):
                words += _option(prefix, field.name, value)
    if settings.conditionals.columns != base.conditionals.columns:
        words += _option("", "conditionals", settings.conditionals.columns)
    return words + (_option("", "label", settings.label) if settings.label != base.label else [])


def _option(prefix: str, name: str, value: Any) -> list[str]:
    """Return the words that give one setting a value."""
    name = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{prefix}{'' if value else 'no-'}{name}"]
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    several = value if isinstance(value, tuple | list) else [value]
    return [f"--{prefix}{name}", *("None" if item is None else label(item) for item in several)]
