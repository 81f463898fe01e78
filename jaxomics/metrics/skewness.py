"""Do completed lines depend on the same genes as measured ones? Skewness, gene by gene.

A gene that few lines need has a tail of strong effects, so its skewness is far below 0. Cai et al.
2024 compare, gene by gene, the skewness over lines that were screened with that over lines whose
screen was filled in, and report the correlation over genes (0.52).

Two forms are in use: g1 = m3 / m2^(3/2) (scipy) and the adjusted G1 = g1 sqrt(n (n - 1)) / (n - 2)
(pandas); `metrics.correlation.skewness` has both. The article says "Fisher's skewness test" and
gives no p value, because it is this statistic and no test.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from jaxomics.errors import InputError
from jaxomics.metrics.correlation import pearson, skewness, spearman

SELECTIVE = -2.0
"""Skewness below which a gene counts as a selective dependency (Cai et al. 2024)."""


class SkewnessComparison(NamedTuple):
    """Skewness of measured and of filled samples.

    Attributes:
      table: by feature: `measured`, `filled`, `n_measured`, `n_filled`.
      r, spearman: agreement over features that have both; NaN with 15 or fewer.
    """

    table: pd.DataFrame
    r: float
    spearman: float


def compare_skewness(
    measured: pd.DataFrame, completed: pd.DataFrame, bias: bool = True
) -> SkewnessComparison:
    """Compare the skewness of each feature over measured samples with that over filled ones.

    Args:
      measured: [samples, features], NaN = not measured.
      completed: [samples, features]; samples without any measured value in the view are filled.
      bias: True for g1, False for the adjusted G1.

    Raises:
      InputError: no feature in common, or no filled sample.
    """
    common = measured.columns.intersection(completed.columns)
    present = measured.index[measured.notna().any(axis=1)]
    filled = completed.loc[~completed.index.isin(present), common]
    if not len(common) or filled.empty:
        raise InputError(
            f"expected features in common and samples that were not measured, found {len(common)} "
            f"features and {len(filled)} samples; give the completed table of all samples"
        )
    parts = {"measured": measured.loc[present, common], "filled": filled}
    values = {name: part.to_numpy(np.float64, na_value=np.nan) for name, part in parts.items()}
    columns = {name: skewness(part, bias=bias) for name, part in values.items()}
    counts = {f"n_{name}": (~np.isnan(part)).sum(axis=0) for name, part in values.items()}
    table = pd.DataFrame(columns | counts, index=common)
    pair = columns["measured"], columns["filled"]
    return SkewnessComparison(table, float(pearson(*pair)), float(spearman(*pair)))


def selective(tables: dict[str, pd.DataFrame], below: float = SELECTIVE) -> list[str]:
    """Return the features whose skewness is below a limit in any of some tables.

    One list for all tables, so that what is tested in each is the same.

    Args:
      tables: [samples, features] by name; features that only some have are left out.
      below: the limit.

    >>> table = pd.DataFrame({"a": [0.0] * 19 + [-9.0], "b": range(20)})
    >>> selective({"measured": table})
    ['a']
    """
    common = None
    for table in tables.values():
        common = table.columns if common is None else common.intersection(table.columns)
    if common is None:
        return []
    low = np.zeros(len(common), bool)
    for table in tables.values():
        low |= skewness(table[common].to_numpy(np.float64, na_value=np.nan)) < below
    return list(map(str, common[low]))
