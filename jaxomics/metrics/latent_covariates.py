"""Which dimensions of a latent space go with what is known of the samples?

Cai et al. 2024 correlate the dimensions of MOSA's latent space with markers of the
epithelial-mesenchymal transition, ploidy, mutational burden, growth and mean drug response.
"""

import numpy as np
import pandas as pd
from scipy import special, stats

from jaxomics.errors import InputError
from jaxomics.metrics.correlation import MIN_PAIRS, pearson, spearman


def correlate_latent(
    latent: pd.DataFrame, covariates: pd.DataFrame, min_pairs: int = MIN_PAIRS
) -> pd.DataFrame:
    """Correlate every dimension with every covariate.

    Args:
      latent: [samples, dimensions].
      covariates: [samples, covariates] numbers, NaN = not known; samples that either table lacks
        are left out.
      min_pairs: covariates known of fewer samples have no correlation.

    Returns:
      One row per covariate and dimension, strongest first within a covariate: covariate,
      dimension, n, r, spearman, p (two-sided, of r) and fdr, within the covariate. Pairs without
      a correlation, such as constants, are not in it.

    Raises:
      InputError: no samples in common.

    >>> z = pd.DataFrame({"z0": np.arange(20.0), "z1": [0.0, 1.0] * 10})
    >>> found = correlate_latent(z, pd.DataFrame({"age": 2 * np.arange(20.0)}))
    >>> found["dimension"].tolist(), found["r"].round(2).tolist()
    (['z0', 'z1'], [1.0, 0.09])
    """
    samples = latent.index.intersection(covariates.index)
    if not len(samples):
        raise InputError("expected samples named alike, found none in common; rename them")
    z = latent.loc[samples].to_numpy(np.float64, na_value=np.nan)
    parts = []
    for name, column in covariates.loc[samples].items():
        known = column.to_numpy(np.float64, na_value=np.nan)
        beside = np.broadcast_to(known[:, None], z.shape)
        r = pearson(z, beside, 0, min_pairs)
        n = (~np.isnan(z) & ~np.isnan(beside)).sum(axis=0)
        table = pd.DataFrame(
            {
                "covariate": name, "dimension": latent.columns, "n": n, "r": r,
                "spearman": spearman(z, beside, 0, min_pairs), "p": _two_sided(r, n),
            }
        )  # fmt: skip
        table = table[table["r"].notna()]
        if len(table):
            fdr = stats.false_discovery_control(table["p"])
            parts.append(table.assign(fdr=fdr).sort_values("p", kind="stable"))
    columns = ["covariate", "dimension", "n", "r", "spearman", "p", "fdr"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=pd.Index(columns))


def _two_sided(r: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return p values of correlations by t with n - 2 degrees of freedom."""
    freedom = np.maximum(n - 2, 1)
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(freedom / np.maximum(1.0 - r**2, 0.0))
    return 2.0 * special.stdtr(freedom, -t)
