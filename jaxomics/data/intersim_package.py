"""The data objects of the R package InterSIM, read from its source archive.

The package (Chalise et al. 2016) is under the GPL, so neither its data nor numbers made from them
are part of this one: users bring `InterSIM_*.tar.gz` from CRAN, or a folder with its `.rda` files.
The reader knows names and meaning of the objects, and takes features from the names of rows.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pandas as pd

from jaxomics.errors import InputError

_COVARIANCES = {"cpg": "cov.M", "gene": "cov.expr", "protein": "cov.protein"}
_VECTORS = {
    "mean_methylation_logit": ("mean.M", "cpg"),
    "mean_expression": ("mean.expr", "gene"),
    "mean_protein": ("mean.protein", "protein"),
    "mean_methylation_of_gene": ("methyl.gene.level.mean", "gene"),
    "mean_expression_of_protein": ("mean.expr.with.mapped.protein", "protein"),
    "rho_methylation_expression": ("rho.methyl.expr", "gene"),
    "rho_expression_protein": ("rho.expr.protein", "protein"),
}
"""Our name of a vector: the object of the package, and whose values it holds."""

_MAPS = {
    "gene_of_cpg": ("CpG.gene.map.for.DEG", "cpg"),
    "gene_of_protein": ("protein.gene.map.for.DEP", "protein"),
}
_MATRICES = {"cpg": "cov_methylation", "gene": "cov_expression", "protein": "cov_protein"}


def read_package(path: Path) -> dict[str, np.ndarray]:
    """Read parameters from the archive of the package, or a folder with its `.rda` files.

    Returns:
      Arrays under the names that `intersim_parameters.read_parameters` lists. Vectors with names
      are put into the order of the covariance of their view; without names they are taken as
      they are.

    Raises:
      InputError: the package `rdata` is not installed; the archive is damaged, lacks an object,
        or has covariances without names, or maps that do not name their features.
    """
    objects = dict(_objects(path))
    wanted = [*_COVARIANCES.values(), *(n for n, _ in _VECTORS.values())]
    wanted += [name for name, _ in _MAPS.values()]
    missing = [name for name in wanted if name not in objects]
    if missing:
        raise InputError(
            f"{path}: expected the data objects of InterSIM, found no {', '.join(missing)}; "
            "take the source archive of version 2.3.0 from CRAN"
        )
    names = {of: _row_names(path, objects[name], name) for of, name in _COVARIANCES.items()}
    arrays = {of: np.array(index, dtype=str) for of, index in names.items()}
    for of, name in _COVARIANCES.items():
        arrays[_MATRICES[of]] = np.asarray(objects[name], dtype=np.float64)
    for ours, (name, of) in _VECTORS.items():
        arrays[ours] = _vector(path, objects[name], name, names[of])
    for ours, (name, of) in _MAPS.items():
        arrays[ours] = _map(path, objects[name], name, names[of], names["gene"])
    return arrays


def _objects(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the objects of all `.rda` files, with their names."""
    try:
        import rdata
    except ImportError as error:
        raise InputError(
            f"{path}: reading R's data files needs the package rdata, found none; "
            "run: pip install 'jaxomics[io]'"
        ) from error
    if path.is_dir():
        for file in sorted(path.rglob("*.rda")):
            yield from rdata.read_rda(file, default_encoding="utf-8").items()
        return
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if PurePath(member.name).suffix == ".rda" and (file := archive.extractfile(member)):
                    yield from rdata.read_rda(file, default_encoding="utf-8").items()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(
            f"{path}: expected an archive InterSIM_*.tar.gz, found a damaged or another kind of "
            f"file ({error}); download it again"
        ) from error


def _row_names(path: Path, matrix: Any, name: str) -> pd.Index:
    """Return the names of the rows of a matrix with names."""
    if isinstance(matrix, pd.DataFrame):
        return matrix.index.astype(str)
    axes = [str(axis) for axis in getattr(matrix, "coords", ())]
    if not axes:
        raise InputError(
            f"{path}: expected {name} with names of rows, found none; the features of a view are "
            "taken from there"
        )
    return pd.Index(np.asarray(matrix.coords[axes[0]].values, dtype=str))


def _vector(path: Path, value: Any, name: str, wanted: pd.Index) -> np.ndarray:
    """Return one number per feature, in the order wanted."""
    if isinstance(value, pd.DataFrame):
        numbers = value.select_dtypes("number").iloc[:, 0]
        named = pd.Series(numbers.to_numpy(float), index=value.index.astype(str))
    elif getattr(value, "coords", None) is not None and len(value.coords):
        named = pd.Series(np.ravel(value).astype(float), index=_row_names(path, value, name))
    else:
        return np.ravel(value).astype(np.float64)
    if len(named) == len(wanted) and not named.index.isin(wanted).all():
        return named.to_numpy()  # named by something else, one per feature
    return named[~named.index.duplicated()].reindex(wanted).to_numpy()


def _map(path: Path, table: Any, name: str, features: pd.Index, genes: pd.Index) -> np.ndarray:
    """Return the gene of each feature; columns are told apart by what they hold."""
    columns = {column: table[column].astype(str) for column in table.columns}
    of = {
        kind: max(columns, key=lambda column: columns[column].isin(known).mean())
        for kind, known in (("feature", features), ("gene", genes))
    }
    found = pd.Series(columns[of["gene"]].to_numpy(), index=columns[of["feature"]].to_numpy())
    found = found[~found.index.duplicated()].reindex(features)
    if found.isna().any():
        raise InputError(
            f"{path}: expected {name} to give the gene of every feature, found none for "
            f"{found.index[found.isna()][0]!r}; take the archive as CRAN has it"
        )
    return found.to_numpy(dtype=str)
