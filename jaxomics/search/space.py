"""What a search draws from: ranges by field, from words, as values, and put into settings.

A space is data: a range (`jaxomics.config.Float`, `Int`, `Choice`) for some of the fields of a
model's `Config` and `Hyper` and of `Train`. Fields of `Config` and `Train` are static, they decide
shapes and the compiled program; those of `Hyper` are traced, so that trials which differ in
nothing else train as one program.
"""

import math
import re
import types
import typing
from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxomics.config import Choice, Float, Int, Range, Space
from jaxomics.engine.state import Train
from jaxomics.errors import InputError, unknown
from jaxomics.models import bulk, modis, mosa, omiembed, omitrans

SPACES: dict[str, dict[str, Space]] = {
    "mosa": mosa.SPACES,
    "modis": modis.SPACES,
    "omiembed": omiembed.SPACES,
    "omitrans": omitrans.SPACES,
    "rna-vae": bulk.SPACES,
}
"""The named spaces of each model."""
FIXED = ("checkpoint_seconds", "ensemble", "restore_best", "valid_fraction")
"""Fields of `Train` that a search decides itself, or that decide nothing."""
_LONG = 1e6
GRAMMAR = "LOW:HIGH, LOW:HIGH:log, or values between commas"
"""How ranges are written in words."""


class Field(NamedTuple):
    """A setting that can be searched.

    Attributes:
      part: which dataclass holds it.
      hint: its type.
    """

    part: Literal["config", "hyper", "train"]
    hint: Any


def named_space(model: str, name: str) -> Space:
    """Return a named space of a model.

    Raises:
      InputError: there is none of that name.

    >>> named_space("mosa", "published")["latent"]
    Int(low=16, high=256, log=False)
    """
    spaces = SPACES.get(model, {})
    if name not in spaces:
        raise unknown(f"search space of {model}", name, spaces)
    return spaces[name]


def searchable(config: type, hyper: type) -> dict[str, Field]:
    """Return the settings of a model that can be searched, by name.

    >>> from jaxomics.models.mosa import Config, Hyper
    >>> searchable(Config, Hyper)["dropout"].part
    'hyper'
    """
    found: dict[str, Field] = {}
    parts: tuple[tuple[Literal["config", "hyper", "train"], type], ...] = (
        ("config", config),
        ("hyper", hyper),
        ("train", Train),
    )
    for part, cls in parts:
        hints = typing.get_type_hints(cls)
        for field in fields(cls):
            hint = hints[field.name]
            if typing.get_origin(hint) is not dict and field.name not in FIXED:
                found[field.name] = Field(part, hint)
    return found


def read_space(words: Iterable[str], known: dict[str, Field]) -> dict[str, Range]:
    """Return the ranges that words such as `learning_rate=1e-4:1e-2:log` ask for.

    Args:
      words: `FIELD=RANGE`, where RANGE is `LOW:HIGH`, `LOW:HIGH:log`, or values between commas;
        layers of one value stand between slashes, as in `hidden=0.7,0.7/0.4`.
      known: the settings that can be searched.

    Raises:
      InputError: an unknown or repeated field, an empty range, or a value of another type.

    >>> from jaxomics.models.mosa import Config, Hyper
    >>> read_space(["latent=64,128", "dropout=0.1:0.6"], searchable(Config, Hyper))
    {'latent': Choice(values=(64, 128)), 'dropout': Float(low=0.1, high=0.6, log=False)}
    """
    space: dict[str, Range] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().removeprefix("--").replace("-", "_")
        if not equals or not text:
            raise InputError(f"expected FIELD=RANGE, found {word!r}; a range is {GRAMMAR}")
        if name not in known:
            raise unknown("setting to search", name, known)
        if name in space:
            raise InputError(f"expected one range for {name}, found two; keep one")
        space[name] = _read_range(name, text, known[name].hint)
    return space


def check_space(space: Space, known: dict[str, Field]) -> None:
    """Raise if a space does not fit the settings.

    Raises:
      InputError: nothing to search, an unknown field, or a range of another type.
    """
    if all(is_single(limits) for limits in space.values()):
        raise InputError("expected a setting to search, found none; name one with --space")
    for name, limits in space.items():
        if name not in known:
            raise unknown("setting to search", name, known)
        hint = _without_none(known[name].hint)
        if isinstance(limits, Float | Int):
            if (float if isinstance(limits, Float) else int) is not hint:
                raise _unfit(name, f"{limits.low}:{limits.high}", hint)
            continue
        for value in limits.values:
            if read_value(name, label(value), known[name].hint) != value:
                raise _unfit(name, repr(value), hint)


def draw(space: Space, rng: np.random.Generator) -> dict[str, Any]:
    """Return random settings from a space, each range drawn by itself.

    >>> draw({"latent": Choice((64,)), "dropout": Float(0.5, 0.5)}, np.random.default_rng(0))
    {'latent': 64, 'dropout': 0.5}
    """
    return {name: _draw_one(limits, rng) for name, limits in space.items()}


def place(values: dict[str, Any], *parts: Any) -> tuple[Any, ...]:
    """Return dataclasses with these values in the fields of their names.

    Args:
      values: by name of field, as `draw` gives them.
      parts: such as a config, a hyper and a train.

    Raises:
      InputError: no part has such a field.

    >>> from jaxomics.models.mosa import Config, Hyper
    >>> config, hyper = place({"latent": 8, "dropout": 0.1}, Config(), Hyper())
    >>> config.latent, hyper.dropout
    (8, 0.1)
    """
    names = [{field.name for field in fields(part)} for part in parts if is_dataclass(part)]
    for name in values:
        if not any(name in own for own in names):
            raise unknown("setting", name, set().union(*names))
    return tuple(
        replace(part, **{name: value for name, value in values.items() if name in own})
        for part, own in zip(parts, names, strict=True)
    )


def describe_space(space: Space) -> dict[str, list[Any]]:
    """Return a space as what JSON can hold, and what tells two spaces apart.

    >>> describe_space({"dropout": Float(0.1, 0.6)})
    {'dropout': ['float', 0.1, 0.6, False]}
    """
    return {
        name: ["choice", *map(label, limits.values)]
        if isinstance(limits, Choice)
        else [type(limits).__name__.lower(), limits.low, limits.high, limits.log]
        for name, limits in space.items()
    }


def ends(limits: Range) -> tuple[Any, ...]:
    """Return the least and the largest value of a range, or all values of a choice."""
    return limits.values if isinstance(limits, Choice) else (limits.low, limits.high)


def is_single(limits: Range) -> bool:
    """Tell whether a range holds one value only."""
    if isinstance(limits, Choice):
        return len(limits.values) == 1
    return limits.low == limits.high


def label(value: Any) -> str:
    """Return a value as it is written in words.

    >>> label((0.7, 0.4)), label(None), label(True), label(256.0), label(1e-05)
    ('0.7/0.4', 'none', 'true', '256', '1e-05')
    """
    if isinstance(value, tuple | list):
        return "/".join(map(label, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    whole = isinstance(value, float) and value.is_integer() and abs(value) < _LONG
    return str(int(value) if whole else value)


def read_value(name: str, text: str, hint: Any) -> Any:
    """Return the value of a field that a text means: the inverse of `label`.

    Raises:
      InputError: the text is no value of the field's type.

    >>> read_value("hidden", "0.7/0.4", tuple[float, ...])
    (0.7, 0.4)
    """
    if hint != (plain := _without_none(hint)) and text.lower() == "none":
        return None
    if typing.get_origin(plain) is tuple:
        inner = typing.get_args(plain)[0]
        return tuple(read_value(name, part, inner) for part in text.split("/") if part)
    if typing.get_origin(plain) is Literal:
        if text not in typing.get_args(plain):
            raise unknown(f"value of {name}", text, typing.get_args(plain))
        return text
    if plain is bool and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if plain is str:
        return text
    try:
        value = plain(text) if plain in (int, float) else None
    except ValueError:
        value = None
    if value is None or not math.isfinite(value):
        raise _unfit(name, text, plain)
    return value


def _read_range(name: str, text: str, hint: Any) -> Range:
    """Return the range of one field."""
    plain = _without_none(hint)
    if ":" not in text or plain not in (int, float):
        return Choice(tuple(read_value(name, part, hint) for part in text.split(",")))
    match = re.fullmatch(r"([^:]+):([^:]+?)(:log)?", text)
    if match is None:
        raise InputError(f"expected {name}={GRAMMAR}, found {text!r}; write it that way")
    low, high = (read_value(name, match[i], plain) for i in (1, 2))
    if low >= high:
        raise InputError(
            f"expected {name}=LOW:HIGH with LOW below HIGH, found {text!r}; swap them, or fix the "
            f"value with {name}={match[1]}"
        )
    return (Int if plain is int else Float)(low, high, match[3] is not None)


def _draw_one(limits: Range, rng: np.random.Generator) -> Any:
    """Return one value of a range."""
    if isinstance(limits, Choice):
        return limits.values[rng.integers(len(limits.values))]
    if isinstance(limits, Int) and not limits.log:
        return int(rng.integers(limits.low, limits.high + 1))
    margin = 0.5 if isinstance(limits, Int) else 0.0
    low, high = limits.low - margin, limits.high + margin
    value = math.exp(rng.uniform(math.log(low), math.log(high))) if limits.log else None
    value = rng.uniform(low, high) if value is None else value
    kept = min(max(value, limits.low), limits.high)
    return round(kept) if isinstance(limits, Int) else float(kept)


def _without_none(hint: Any) -> Any:
    """Return the type of a field that may also be None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return hint


def _unfit(name: str, found: str, hint: Any) -> InputError:
    """Return the error for a value or range of another type than its field's."""
    words = {int: "whole numbers", float: "numbers", bool: "true or false"}
    expected = words.get(hint, getattr(hint, "__name__", str(hint)))
    return InputError(f"expected {expected} for {name}, found {found}; give other values")
