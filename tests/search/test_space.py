import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from jaxomics.config import Choice, Float, Int
from jaxomics.engine.state import Train
from jaxomics.errors import InputError
from jaxomics.models.mosa import Config, Hyper
from jaxomics.models.registry import entry
from jaxomics.search.space import (
    SPACES,
    check_space,
    describe_space,
    draw,
    label,
    place,
    read_space,
    read_value,
    searchable,
)

KNOWN = searchable(Config, Hyper)


def test_fields_of_all_three_parts_can_be_searched():
    assert {KNOWN[name].part for name in ("latent", "learning_rate", "batch_size")} == {
        "config", "hyper", "train",
    }  # fmt: skip
    assert "view_weight" not in KNOWN
    assert "ensemble" not in KNOWN


def test_words_become_ranges_of_their_fields_types():
    words = ["learning-rate=1e-4:1e-2:log", "latent=16:256", "hidden=0.7,0.7/0.4", "links=true"]
    assert read_space([*words, "stop_patience=none,10"], KNOWN) == {
        "learning_rate": Float(1e-4, 1e-2, log=True),
        "latent": Int(16, 256),
        "hidden": Choice(((0.7,), (0.7, 0.4))),
        "links": Choice((True,)),
        "stop_patience": Choice((None, 10)),
    }


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("latnt=1:2", "unknown setting to search 'latnt'; did you mean 'latent'"),
        ("latent", "expected FIELD=RANGE"),
        ("latent=", "expected FIELD=RANGE"),
        ("latent=64:16", "LOW below HIGH"),
        ("dropout=0.3:0.3", "LOW below HIGH"),
        ("dropout=0.1:0.5:lgo", "LOW:HIGH:log"),
        ("latent=16:32:64", "LOW:HIGH:log"),
        ("latent=1.5:3", "expected whole numbers for latent"),
        ("latent=64,big", "expected whole numbers for latent, found big"),
        ("dropout=0.1:inf", "expected numbers for dropout"),
        ("learning_rate=0:1:log", "above 0"),
        ("activation=gelu,gello", "unknown value of activation 'gello'"),
        ("links=maybe", "true or false"),
        ("view_weight=1:2", "unknown setting"),
    ],
)
def test_what_is_wrong_with_a_word_is_said(word: str, message: str):
    with pytest.raises(InputError, match=message):
        read_space([word], KNOWN)


def test_one_field_has_one_range():
    with pytest.raises(InputError, match="expected one range for latent"):
        read_space(["latent=1:2", "latent=3:4"], KNOWN)


@pytest.mark.parametrize(("model", "name"), [(m, n) for m, own in SPACES.items() for n in own])
def test_named_spaces_fit_their_models(model: str, name: str):
    own, space = entry(model), SPACES[model][name]
    check_space(space, searchable(own.config, own.hyper))
    for seed in range(20):
        values = draw(space, np.random.default_rng(seed))
        place(values, own.config(), own.hyper(), Train(valid_fraction=0.2))


@pytest.mark.parametrize(
    "space",
    [
        {"latent": Float(1.0, 2.0)},
        {"dropout": Int(0, 1)},
        {"latent": Choice((1, "two"))},
        {"latnt": Int(1, 2)},
        {"latent": Choice((5,))},
        {},
    ],
)
def test_spaces_that_do_not_fit_are_refused(space):
    with pytest.raises(InputError):
        check_space(space, KNOWN)


def test_draws_follow_their_distributions():
    rng = np.random.default_rng(0)
    space = {"a": Float(1e-4, 1e-1, log=True), "b": Float(2.0, 6.0), "c": Int(1, 4)}
    drawn = [draw(space, rng) for _ in range(4000)]
    logs = (np.log10([values["a"] for values in drawn]) + 4) / 3
    assert kstest(logs, "uniform").pvalue > 0.001
    assert kstest((np.array([values["b"] for values in drawn]) - 2) / 4, "uniform").pvalue > 0.001
    shares = np.bincount([values["c"] for values in drawn], minlength=5)[1:] / len(drawn)
    np.testing.assert_allclose(shares, 0.25, atol=0.03)


@given(st.integers(1, 1000), st.integers(0, 1000), st.booleans(), st.integers(0, 2**32 - 1))
def test_whole_numbers_stay_within_their_range(low: int, width: int, log: bool, seed: int):
    value = draw({"n": Int(low, low + width, log=log)}, np.random.default_rng(seed))["n"]
    assert isinstance(value, int)
    assert low <= value <= low + width


def test_the_same_generator_gives_the_same_draw():
    one, two = (draw(SPACES["mosa"]["default"], np.random.default_rng(3)) for _ in range(2))
    assert one == two


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3))
def test_labels_are_read_back(values: list[float]):
    layers = tuple(values)
    assert read_value("hidden", label(layers), tuple[float, ...]) == layers


def test_spaces_of_different_kinds_have_different_descriptions():
    assert describe_space({"a": Int(1, 2)}) != describe_space({"a": Float(1, 2)})


def test_place_keeps_what_is_not_named():
    config, hyper, train = place({"latent": 5, "epochs": 3}, Config(), Hyper(), Train())
    assert (config.latent, config.hidden, hyper, train.epochs) == (5, (0.7,), Hyper(), 3)
    with pytest.raises(InputError, match="unknown setting 'depth'"):
        place({"depth": 1}, Config(), Hyper())


def test_ranges_refuse_what_is_empty():
    for broken in (lambda: Float(2.0, 1.0), lambda: Choice(()), lambda: Float(0.0, math.inf)):
        with pytest.raises(InputError):
            broken()
