"""Settings as frozen dataclasses, to and from JSON, and the ranges that a search draws from."""

import dataclasses
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar

from jaxomics.errors import InputError, unknown

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Float:
    """Real numbers from `low` to `high`, both included; `log` draws their logarithm evenly."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        """Check that there is something to draw."""
        _check_limits(self)


@dataclasses.dataclass(frozen=True)
class Int:
    """Whole numbers from `low` to `high`, both included; `log` draws their logarithm evenly."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        """Check that there is something to draw."""
        _check_limits(self)


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values, each as likely; a single value fixes a setting for the search."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        """Check that there is something to draw."""
        if not self.values:
            raise InputError("expected at least one value to choose from, found none; name some")


Range: TypeAlias = Float | Int | Choice
"""What one setting is drawn from."""

Space: TypeAlias = Mapping[str, Range]
"""What a search draws from: ranges by the name of a field of `Config`, `Hyper` or `Train`."""


def to_json(settings: Any) -> Any:
    """Return dataclasses, tuples and dicts as what JSON can hold.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Size:
    ...     hidden: tuple[float, ...] = (0.7,)
    >>> to_json(Size())
    {'hidden': [0.7]}
    """
    if dataclasses.is_dataclass(settings) and not isinstance(settings, type):
        return {f.name: to_json(getattr(settings, f.name)) for f in dataclasses.fields(settings)}
    if isinstance(settings, dict):
        return {str(key): to_json(value) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [to_json(value) for value in settings]
    if settings is None or isinstance(settings, bool | int | float | str):
        return settings
    return float(typing.cast(Any, settings))


def from_json(cls: type[T], values: dict[str, Any]) -> T:
    """Return a dataclass from what `to_json` gave; absent fields take their defaults.

    Raises:
      InputError: a field that the dataclass does not have.
    """
    hints = typing.get_type_hints(cls)
    names = [f.name for f in dataclasses.fields(cls)]  # pyright: ignore[reportArgumentType]
    for name in values:
        if name not in names:
            raise unknown(f"setting of {cls.__name__}", name, names)
    return cls(**{name: _typed(hints[name], value) for name, value in values.items()})


def config_hash(settings: Any) -> str:
    """Return 12 hexadecimal digits that name these settings.

    >>> config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})
    True
    """
    text = json.dumps(to_json(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _check_limits(limits: Float | Int) -> None:
    """Raise if a range is empty, infinite, or has no logarithm."""
    low, high = limits.low, limits.high
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise InputError(f"expected a range LOW:HIGH of finite numbers, found {low}:{high}")
    if limits.log and low <= 0:
        raise InputError(f"expected a range above 0 for a logarithm, found {low}:{high}")


def _typed(hint: Any, value: Any) -> Any:
    """Return a JSON value as the type of its field: tuples for lists, dataclasses for dicts."""
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_json(hint, value)  # pyright: ignore[reportArgumentType]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        fitting = [a for a in arguments if _fits(a, value)]
        return _typed(fitting[0], value) if fitting else value
    if origin is tuple and isinstance(value, list):
        inner = arguments[0] if arguments else Any
        return tuple(_typed(inner, item) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if origin is typing.Literal and value not in arguments:
        raise InputError(f"expected one of {', '.join(map(str, arguments))}, found {value!r}")
    return value


def _fits(hint: Any, value: Any) -> bool:
    """Tell whether a JSON value can become one alternative of a union."""
    if hint is type(None):
        return value is None
    origin = typing.get_origin(hint)
    if origin is tuple:
        return isinstance(value, list)
    if origin is typing.Literal:
        return value in typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return isinstance(value, dict)
    return isinstance(hint, type) and isinstance(value, hint)
