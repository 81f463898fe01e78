"""From words to settings: what every command that trains shares."""

from dataclasses import replace

import pytest

from jaxomics.commands.choose import check_ranges, choose
from jaxomics.errors import InputError
from jaxomics.presets import quick
from jaxomics.presets.mosa import PAPER, RECOMMENDED


def test_preset_and_quick_decide_the_defaults():
    assert choose(["mosa"], "cv").options().settings() == RECOMMENDED
    words = ["mosa", "--quick", "--preset=paper"]
    choice = choose(words, "cv")
    assert choice.settings == quick(PAPER)
    assert choice.options().settings() == quick(PAPER)


def test_options_go_where_they_belong():
    choice = choose(["mosa"], "sweep")
    options = choice.options(
        conditionals=("tissue",), label=None, train=replace(RECOMMENDED.train, epochs=7)
    )
    found = options.settings()
    assert found.conditionals.columns == ("tissue",)
    assert found.label is None
    assert found.train.epochs == 7
    assert found.config == RECOMMENDED.config


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "a model behind `cv`"),
        (["--folds", "3"], "a model behind `cv`"),
        (["mosaa"], "did you mean 'mosa'"),
        (["mosa", "--preset", "papr"], "did you mean 'paper'"),
    ],
)
def test_words_without_a_model_are_refused(words: list[str], message: str):
    with pytest.raises(InputError, match=message):
        choose(words, "cv")


def test_help_needs_no_model():
    assert choose(["--help"], "cv").entry.name == "mosa"


def test_ranges():
    check_ranges(RECOMMENDED, 0)
    wrong = replace(RECOMMENDED, hyper=RECOMMENDED.hyper.replace(dropout=1.0))
    with pytest.raises(InputError, match="--dropout from 0 to below 1"):
        check_ranges(wrong, 0)
    with pytest.raises(InputError, match="a seed from 0"):
        check_ranges(RECOMMENDED, 2**32)
