"""Units of values: gene effects, ordinal copy number, standardised features.

The scalings of Cai et al. 2024 (Methods), in float64, NaN = not measured.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.errors import InputError, unknown

COPY_NUMBER = {"Deletion": -2, "Loss": -1, "Neutral": 0, "Gain": 1, "Amplification": 2}
"""Value of each copy-number category."""

COPY_NUMBER_PRECEDENCE = ("Neutral", "Deletion", "Loss", "Gain", "Amplification")
"""Which category stands when one (sample, gene) has several: the first one here."""


class Standard(NamedTuple):
    """What is subtracted and divisor per feature, both [features].

    Mean and deviation (`fit_standard`), or least value and range (`fit_range`).
    """

    mean: np.ndarray
    scale: np.ndarray


def scale_crispr(
    table: pd.DataFrame, essential: Iterable[str], nonessential: Iterable[str]
) -> pd.DataFrame:
    """Scale gene effects per sample: median of non-essential genes 0, of essential genes -1.

    `x' = (x - median_N) / (median_N - median_E)`, with both sets restricted to genes that are
    measured in every sample.

    Args:
      table: gene effects [samples, genes].
      essential: symbols of commonly essential genes.
      nonessential: symbols of genes that no cell line needs.

    Raises:
      InputError: a set is empty after restriction, or its medians coincide in a sample.

    >>> table = pd.DataFrame([[-2.0, 0.5, -0.75]], index=["a"], columns=["E", "N", "X"])
    >>> scale_crispr(table, ["E"], ["N"]).loc["a"].tolist()
    [-1.0, 0.0, -0.5]
    """
    complete = table.columns[table.notna().all()]
    medians = []
    for name, genes in (("essential", essential), ("non-essential", nonessential)):
        kept = complete.intersection(pd.Index(genes))
        if kept.empty:
            raise InputError(
                f"expected {name} genes measured in all {len(table)} samples, found none among "
                f"{table.shape[1]} genes; check the symbols, and drop samples with many gaps"
            )
        medians.append(table[kept].median(axis=1))
    low, zero = medians
    flat = table.index[(zero - low) <= 0]
    if len(flat):
        raise InputError(
            f"expected essential genes to score below non-essential ones, found the opposite in "
            f"{len(flat)} samples, the first is {flat[0]!r}; drop these screens"
        )
    return table.sub(zero, axis=0).div(zero - low, axis=0)


def fit_standard(count: np.ndarray, mean: np.ndarray, squares: np.ndarray) -> Standard:
    """Return mean and population deviation (ddof 0) per feature over the measured cells.

    A feature of zero variance has scale 1; one without any value has mean 0 and scale 1.

    Args:
      count, mean, squares: [features] measured cells, their mean, and their sum of squared
        deviations from it.

    >>> fit_standard(np.array([2, 0]), np.array([2.0, 0.0]), np.array([2.0, 0.0]))
    Standard(mean=array([2., 0.]), scale=array([1., 1.]))
    """
    scale = np.sqrt(squares / np.maximum(count, 1))
    flat = scale <= 1e-12 * np.maximum(np.abs(mean), 1.0)
    return Standard(mean, np.where(flat, 1.0, scale))


def fit_range(count: np.ndarray, low: np.ndarray, high: np.ndarray) -> Standard:
    """Return least value and range per feature over the measured cells, which become 0 to 1.

    A constant feature has scale 1; one without any value has least value 0 and scale 1. Values
    that are met later may lie outside 0 to 1.

    Args:
      count, low, high: [features] measured cells, their least and their largest value.

    >>> fit_range(np.array([2, 0]), np.array([1.0, np.inf]), np.array([3.0, -np.inf]))
    Standard(mean=array([1., 0.]), scale=array([2., 1.]))
    """
    low, high = np.where(count > 0, low, 0.0), np.where(count > 0, high, 0.0)
    return Standard(low, np.where(high > low, high - low, 1.0))


def apply_standard(
    values: np.ndarray, standard: Standard, decimals: int | None = None
) -> np.ndarray:
    """Return `(values - mean) / scale` [samples, features], rounded if asked; NaN stays NaN."""
    scaled = (values - standard.mean) / standard.scale
    return scaled if decimals is None else np.round(scaled, decimals)


def invert_standard(values: np.ndarray, standard: Standard) -> np.ndarray:
    """Return standardised values [samples, features] in their original units."""
    return values * standard.scale + standard.mean


def ordinal_copy_number(long_table: pd.DataFrame) -> pd.DataFrame:
    """Turn annotations into numbers from -2 to 2, as table [samples, genes].

    Where one (sample, gene) has several annotations, `COPY_NUMBER_PRECEDENCE` decides.

    Args:
      long_table: columns `model_id`, `symbol`, `cn_category`.

    Raises:
      InputError: a category that is not known.

    >>> calls = {"model_id": "a", "symbol": "TP53", "cn_category": ["Gain", "Loss"]}
    >>> ordinal_copy_number(pd.DataFrame(calls)).loc["a", "TP53"]
    np.float32(-1.0)
    """
    rows = long_table.dropna(subset=["model_id", "symbol", "cn_category"])
    strange = rows.loc[~rows["cn_category"].isin(COPY_NUMBER), "cn_category"]
    if len(strange):
        raise unknown("copy-number category", strange.iloc[0], COPY_NUMBER)
    rank = rows["cn_category"].map(COPY_NUMBER_PRECEDENCE.index)
    first = rows.assign(rank=rank).sort_values("rank", kind="stable")
    first = first.drop_duplicates(["model_id", "symbol"])
    first = first.assign(value=first["cn_category"].map(COPY_NUMBER.get))
    return first.pivot(index="model_id", columns="symbol", values="value").astype(np.float32)
