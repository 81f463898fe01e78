"""What models and comparators say of themselves, in the same words."""

import pytest

from jaxomics.commands.models import models
from jaxomics.errors import InputError
from jaxomics.methods import COMPARATORS, MODELS, capabilities


@pytest.mark.parametrize("name", ["move", "jamie", "scvaeit"])
def test_networks_beside_the_comparators_tell_their_capabilities_as_these_do(name: str):
    """That they complete samples with holes and without a view is tested in tests/models."""
    assert capabilities(name) == COMPARATORS["softimpute"].capabilities


def test_the_table_of_models_says_what_samples_may_lack():
    table = models().set_index("model")
    assert set(table.index) == {*MODELS, *COMPARATORS}
    assert str(table.loc["mosa", "missing"]) == "cells, views"
    assert table.loc["atac-vae", "missing"] == "cells"  # it reads one view


def test_a_name_that_nobody_has_is_refused():
    with pytest.raises(InputError, match="softimpute"):
        capabilities("soft impute")
