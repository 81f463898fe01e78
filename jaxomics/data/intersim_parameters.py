"""Parameters of the InterSIM simulator (Chalise et al. 2016): a stand-in of our own, and readers.

The original numbers, estimated from ovarian cancers of TCGA, belong to a package under the GPL and
are not part of this one. `stand_in` generates numbers with the same summary statistics;
`read_parameters` takes the original ones from files that the user has. Results with stand-in
parameters resemble published ones and do not equal them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from scipy.optimize import root_scalar

from jaxomics.data.intersim_package import read_package
from jaxomics.errors import InputError

VIEWS = ("methylation", "expression", "protein")
"""The views, in the order in which one regulates the next."""

_CPGS_PER_GENE = {1: 22, 2: 83, 3: 8, 4: 3, 5: 1, 6: 2, 7: 6, 11: 2, 13: 1, 14: 1, 16: 1, 19: 1}
_PROTEINS_PER_GENE = {1: 108, 2: 17, 3: 6}
_SPECTRA = {
    "methylation": (209.5, (81.3, 11.8, 8.4, 8.0, 7.2), {10: 0.66, 50: 0.88}),
    "expression": (84.3, (6.6, 6.3, 5.4, 4.1, 3.5), {10: 0.47}),
    "protein": (49.5, (7.8, 4.3, 3.4), {10: 0.57}),
}
"""Trace of each covariance, its first eigenvalues, and shares of variance of the first so many."""

_NAMES = {
    "mean_methylation_logit": ("mean", "methylation"),
    "mean_expression": ("mean", "expression"),
    "mean_protein": ("mean", "protein"),
    "cov_methylation": ("covariance", "methylation"),
    "cov_expression": ("covariance", "expression"),
    "cov_protein": ("covariance", "protein"),
    "mean_methylation_of_gene": ("regulator", "expression"),
    "mean_expression_of_protein": ("regulator", "protein"),
    "rho_methylation_expression": ("correlation", "expression"),
    "rho_expression_protein": ("correlation", "protein"),
}
"""Array in a file of parameters: field of `Parameters`, and view."""

_FEATURES = {"methylation": "cpg", "expression": "gene", "protein": "protein"}


@dataclass(frozen=True)
class Parameters:
    """What InterSIM draws from; f is the number of features of a view.

    Attributes:
      features: names of the features, by view.
      mean: [f] by view; methylation on the logit scale.
      covariance: [f, f] by view, on the same scale.
      regulator: [f] of `expression` (mean methylation of the gene) and of `protein` (mean
        expression of its gene).
      correlation: [f] of `expression` and `protein` with their regulator, between -1 and 1.
      gene: int [f] of `methylation` and `protein`: which feature of `expression` each maps to.

    Raises:
      InputError: arrays of shapes that do not fit each other, not finite, correlations beyond 1.
    """

    features: Mapping[str, pd.Index]
    mean: Mapping[str, np.ndarray]
    covariance: Mapping[str, np.ndarray]
    regulator: Mapping[str, np.ndarray]
    correlation: Mapping[str, np.ndarray]
    gene: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        """Check shapes and ranges."""
        for field in ("mean", "covariance", "regulator", "correlation", "gene"):
            for view, values in getattr(self, field).items():
                length = len(self.features[view])
                shape = (length, length) if field == "covariance" else (length,)
                if values.shape != shape or not np.isfinite(values).all():
                    raise InputError(
                        f"expected {field} of {view} as finite numbers of shape {shape}, found "
                        f"shape {values.shape}; check the file of parameters"
                    )
        for view, values in self.correlation.items():
            if np.abs(values).max() > 1:
                raise InputError(
                    f"expected correlations of {view} from -1 to 1, found "
                    f"{values[np.abs(values).argmax()]:.3g}; check the file of parameters"
                )


@lru_cache(maxsize=1)
def stand_in() -> Parameters:
    """Return parameters of our own with the summary statistics of the original ones.

    Means, standard deviations, eigenvalues, correlations and the numbers of CpGs and proteins per
    gene follow those of the package; names and every single value are invented. Same values on
    every call.

    >>> parameters = stand_in()
    >>> {view: len(names) for view, names in parameters.features.items()}
    {'methylation': 367, 'expression': 131, 'protein': 160}
    >>> round(float(np.trace(parameters.covariance["methylation"])), 1)
    209.5
    """
    rng = np.random.Generator(np.random.Philox(2016))
    genes = sum(_PROTEINS_PER_GENE.values())
    gene = {
        "methylation": _map(rng, _CPGS_PER_GENE),
        "protein": _map(rng, _PROTEINS_PER_GENE),
    }
    size = {"methylation": len(gene["methylation"]), "expression": genes}
    size["protein"] = len(gene["protein"])
    low = rng.random(size["methylation"]) < 0.82
    mean = {
        "methylation": np.where(
            low, rng.normal(-3.1, 0.7, len(low)), rng.normal(1.6, 1.2, len(low))
        ),
        "expression": np.clip(rng.normal(-0.22, 1.07, genes), -4.27, 2.92),
        "protein": rng.normal(0.02, 0.08, size["protein"]),
    }
    medians = pd.Series(mean["methylation"]).groupby(gene["methylation"]).median()
    return Parameters(
        features={
            view: pd.Index([f"{_FEATURES[view].upper()}{i + 1:03d}" for i in range(count)])
            for view, count in size.items()
        },
        mean=mean,
        covariance={view: _covariance(rng, size[view], *_SPECTRA[view]) for view in VIEWS},
        regulator={
            "expression": medians.to_numpy(),
            "protein": mean["expression"][gene["protein"]],
        },
        correlation={
            "expression": np.clip(rng.normal(-0.08, 0.14, genes), -0.91, 0.25),
            "protein": np.clip(rng.normal(0.33, 0.26, size["protein"]), -0.22, 0.83),
        },
        gene=gene,
    )


def read_parameters(path: str | Path) -> Parameters:
    """Read parameters from the R package's source archive, or from an `.npz` file.

    `InterSIM_*.tar.gz` from CRAN, or a folder with its `.rda` files, is read as it is (extra
    `io`). In an `.npz` file the arrays are named `mean_methylation_logit`, `mean_expression`,
    `mean_protein`, `cov_methylation`, `cov_expression`, `cov_protein`, `mean_methylation_of_gene`,
    `mean_expression_of_protein`, `rho_methylation_expression`, `rho_expression_protein`, and, as
    text, `cpg`, `gene`, `protein`, `gene_of_cpg`, `gene_of_protein`.

    Raises:
      InputError: the file is missing or damaged, lacks an array, or its arrays do not fit.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"{path}: no such file; expected InterSIM's source archive (.tar.gz) or an .npz file"
        )
    archive = path.is_dir() or path.name.endswith((".tar.gz", ".tgz"))
    arrays = read_package(path) if archive else _read_arrays(path)
    wanted = [*_NAMES, *_FEATURES.values(), "gene_of_cpg", "gene_of_protein"]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise InputError(
            f"{path}: expected the arrays {', '.join(wanted)}, found no {', '.join(missing)}; "
            "add them"
        )
    fields: dict[str, dict[str, np.ndarray]] = {}
    for name, (field, view) in _NAMES.items():
        fields.setdefault(field, {})[view] = arrays[name].astype(np.float64)
    features = {view: pd.Index(arrays[name].astype(str)) for view, name in _FEATURES.items()}
    owners = {"methylation": arrays["gene_of_cpg"], "protein": arrays["gene_of_protein"]}
    return Parameters(
        features=features,
        gene={view: _places(path, features["expression"], owners[view]) for view in owners},
        **fields,
    )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, BadZipFile) as error:
        raise InputError(
            f"{path}: expected an .npz file, found a damaged or another kind of file ({error}); "
            "store the arrays with numpy.savez, or name InterSIM's archive"
        ) from error


def _places(path: Path, genes: pd.Index, owners: np.ndarray) -> np.ndarray:
    """Return which gene each feature maps to, by name."""
    places = genes.get_indexer(pd.Index(owners.astype(str)))
    if (places < 0).any():
        raise InputError(
            f"{path}: expected CpGs and proteins of the genes in `gene`, found "
            f"{owners[places < 0][0]!r}; correct the map"
        )
    return places


def _map(rng: np.random.Generator, multiplicities: Mapping[int, int]) -> np.ndarray:
    """Return the gene of each feature, so many genes having so many features."""
    counts = np.repeat(list(multiplicities), list(multiplicities.values()))
    return np.repeat(np.arange(len(counts)), rng.permutation(counts))


def _covariance(
    rng: np.random.Generator,
    size: int,
    trace: float,
    leading: tuple[float, ...],
    shares: Mapping[int, float],
) -> np.ndarray:
    """Return a covariance with given eigenvalues and log-normal standard deviations.

    It is found by turns: rescale to the wanted variances, then put the wanted eigenvalues back
    onto the eigenvectors. The first eigenvector starts as a factor that all features share.
    """
    wanted = _spectrum(size, trace, leading, shares)
    spread = np.exp(rng.normal(0.0, 0.29, size))
    spread *= np.sqrt(trace / np.sum(spread**2))
    start = rng.standard_normal((size, size))
    start[:, 0] += 3.0
    axes, _ = np.linalg.qr(start)
    for _ in range(4):
        covariance = (axes * wanted) @ axes.T
        ratio = spread / np.sqrt(np.diag(covariance))
        axes = np.linalg.eigh(covariance * np.outer(ratio, ratio))[1][:, ::-1]
    covariance = (axes * wanted) @ axes.T
    return (covariance + covariance.T) / 2


def _spectrum(
    size: int, trace: float, leading: tuple[float, ...], shares: Mapping[int, float]
) -> np.ndarray:
    """Return falling eigenvalues: the first as given, then geometric between the given shares."""
    values = list(leading)
    for end, share in {**shares, size: 1.0}.items():
        count = end - len(values)
        powers = np.arange(1, count + 1)
        target = (share * trace - sum(values)) / values[-1]
        found = root_scalar(lambda r, p=powers, t=target: np.sum(r**p) - t, bracket=(0.0, 1.0))
        values.extend(values[-1] * found.root**powers)
    return np.array(values)
