"""Settings to JSON and back, for every type that settings use."""

import json
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxomics.config import config_hash, from_json, to_json
from jaxomics.errors import InputError
from jaxomics.presets import PRESETS
from jaxomics.presets.settings import read_settings


@dataclass(frozen=True)
class Inner:
    hidden: tuple[float, ...] = (0.7,)
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    rate: float = 0.1
    patience: int | None = None
    groups: tuple[tuple[str, ...], ...] = ()
    names: tuple[str, ...] | Literal["all"] = "all"
    weight: dict[str, float] = field(default_factory=dict)


outers = st.builds(
    Outer,
    inner=st.builds(
        Inner,
        hidden=st.lists(st.floats(0, 9)).map(tuple),
        kind=st.sampled_from(["a", "b"]),
    ),
    rate=st.floats(allow_nan=False, allow_infinity=False),
    patience=st.none() | st.integers(),
    groups=st.lists(st.lists(st.text(max_size=3)).map(tuple), max_size=3).map(tuple),
    names=st.just("all") | st.lists(st.text(max_size=3)).map(tuple),
    weight=st.dictionaries(st.text(max_size=3), st.floats(0, 1)),
)


@given(outers)
def test_any_settings_survive_json(settings: Outer):
    assert from_json(Outer, json.loads(json.dumps(to_json(settings)))) == settings


@pytest.mark.parametrize(
    ("model", "name"), [(model, name) for model, presets in PRESETS.items() for name in presets]
)
def test_presets_survive_json(model: str, name: str):
    settings = PRESETS[model][name]
    text = json.dumps(to_json(settings))
    assert read_settings(model, json.loads(text)) == settings


def test_absent_fields_take_defaults_and_whole_numbers_become_floats():
    found = from_json(Outer, {"rate": 1})
    assert found == Outer(rate=1.0)
    assert isinstance(found.rate, float)


def test_numpy_scalars_become_floats():
    assert to_json({"a": np.float32(0.5), 3: (np.float64(2.0),)}) == {"a": 0.5, "3": [2.0]}


def test_unknown_names_and_values_are_refused():
    with pytest.raises(InputError, match="did you mean 'rate'"):
        from_json(Outer, {"rat": 1.0})
    with pytest.raises(InputError, match="expected one of a, b, found 'c'"):
        from_json(Outer, {"inner": {"kind": "c"}})


def test_hash_names_the_settings():
    digits = config_hash(Outer())
    assert digits == config_hash(to_json(Outer()))
    assert len(digits) == 12
    assert digits != config_hash(Outer(patience=3))
