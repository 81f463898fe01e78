"""What is fitted to a view: constants are written as they are, and ranges are known."""

from pathlib import Path

import numpy as np
import pandas as pd

from jaxomics.data.container import MultiOmics
from jaxomics.data.preprocess import Preprocess, PreprocessConfig, fit_preprocess

NAMES = [f"s{i}" for i in range(5)]
VALUES = pd.DataFrame(
    {"flat": np.float32(0.3), "known once": [np.nan] * 4 + [2.0], "wide": np.arange(5.0)}, NAMES
)
CONFIG = PreprocessConfig(
    scaling="zscore", unscaled=(), missing_filtered=(), encoder_filter="none", decimals=None,
    min_views=1,
)  # fmt: skip


def fitted(values: pd.DataFrame = VALUES, config: PreprocessConfig = CONFIG) -> Preprocess:
    return fit_preprocess(MultiOmics.from_tables({"rna": values}), config)


def test_constants_are_written_exactly_also_after_loading(tmp_path: Path):
    found = fitted()
    found.save(tmp_path)
    for own in (found, Preprocess.load(tmp_path)):
        written = own.invert("rna", np.full((2, 3), 0.5))
        np.testing.assert_array_equal(written[:, 0], np.float32(0.3))
        np.testing.assert_array_equal(written[:, 1], 2.0)
        np.testing.assert_allclose(written[:, 2], 2 + 0.5 * np.std(np.arange(5)), rtol=1e-6)


def test_a_constant_that_varies_in_new_training_samples_is_none():
    fewer = VALUES.drop(columns="wide").assign(flat=[0.3, 0.3, 0.4, 0.3, np.nan])
    written = (
        fitted().widened(MultiOmics.from_tables({"rna": fewer})).invert("rna", np.ones((1, 3)))
    )
    assert written[0, 0] > 1
    assert written[0, 1] == 2


def test_reach_is_the_range_of_scaled_values():
    low, high = fitted().views["rna"].reach
    np.testing.assert_allclose([low, high], [-np.sqrt(2), np.sqrt(2)], rtol=1e-6)
    assert fitted(
        config=PreprocessConfig(
            scaling="minmax", unscaled=(), encoder_filter="none", missing_filtered=()
        )
    ).views["rna"].reach == (0.0, 1.0)
