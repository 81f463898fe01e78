"""What a model is told of the features' chromosomes and of outcomes."""

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.batch import TargetSpec
from jaxomics.data.container import MultiOmics
from jaxomics.data.preprocess import PreprocessConfig, fit_preprocess
from jaxomics.fitting.specification import specify, standard_of


def test_chromosomes_become_groups_of_columns():
    values = np.random.default_rng(0).normal(size=(5, 4))
    table = pd.DataFrame(values, index=list("abcde"), columns=["p1", "p2", "p3", "p4"])
    cohort = MultiOmics.from_tables({"meth": table, "rna": table})
    fitted = fit_preprocess(cohort, PreprocessConfig(encoder_filter="none"))
    target = TargetSpec("age", "value", 0)
    # p3 is not placed: it joins what is on no known chromosome, behind the others.
    places = {"meth": {"p1": 2, "p2": 0, "p4": 2}}
    spec = specify(fitted, 0, (), None, (target,), places)
    assert spec.views[0].groups == ((1,), (0, 3), (2,))
    assert spec.views[1].groups == ()
    assert spec.targets == (target,)


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [("none", [3.0, 6.0, 6.0]), ("minmax", [0.5, 0.5, 0.4]), ("zscore", None)],
)
def test_missing_cells_are_filled_with_the_training_mean_in_standard_units(scaling, expected):
    values = {"p": [1.0, 3.0, 5.0, 90.0], "q": [4.0, np.nan, 8.0, 90.0], "r": [4.0, 5.0, 9.0, 90.0]}
    table = pd.DataFrame(values, list("abcd"))
    cohort = MultiOmics.from_tables({"meth": table, "rna": table})
    config = PreprocessConfig(scaling=scaling, encoder_filter="none", decimals=None)
    fitted = fit_preprocess(cohort, config, pd.Index(list("abc")))
    fill = standard_of(fitted, ["meth"]).fill
    assert list(fill) == ([] if expected is None else ["meth"])
    if expected is not None:
        np.testing.assert_allclose(fill["meth"], expected, rtol=1e-6)
