"""`.h5mu` (several views) and `.h5ad` (one view) files of the scverse, by way of their libraries.

anndata and mudata are optional: they are imported when such a file is read or written.
"""

import importlib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from jaxomics.data.align import choose_views
from jaxomics.data.container import MultiOmics
from jaxomics.errors import InputError

HDF_SUFFIXES = (".h5mu", ".h5ad")
"""Endings of the files that this module reads and writes."""

_VIEW_KEY = "jaxomics_view"

Tables = tuple[dict[str, pd.DataFrame], pd.DataFrame, dict[str, pd.DataFrame]]
"""Views, labels and feature tables, as `MultiOmics.from_tables` takes them."""


def read_hdf(path: Path, views: Iterable[str] | None = None) -> Tables:
    """Read the tables of an `.h5mu` or `.h5ad` file; sparse matrices become dense.

    Views are the modalities (their `X`), labels the `obs` of the file, followed by columns that
    only a modality has (as `VIEW:COLUMN`), feature tables the `var` tables that have columns. The
    one view of an `.h5ad` file is called as `uns["jaxomics_view"]` says, or else as the file.

    Raises:
      InputError: a library is missing, the file cannot be read, a view is unknown or empty.
    """
    single = path.suffix.lower() == ".h5ad"
    library = _library("anndata" if single else "mudata")
    with _naming(path), _quiet():
        held = library.read_h5ad(path) if single else library.read_h5mu(path)
    if single:
        modalities = {str(held.uns.get(_VIEW_KEY, path.stem)): held}
    else:
        modalities = dict(held.mod)
    chosen = choose_views(views, modalities)
    tables = {name: _matrix(modalities[name], name, path) for name in chosen}
    labels = _plain(held.obs)
    if not single:
        labels = _with_own_columns(labels, {name: modalities[name].obs for name in chosen})
    features = {
        name: _plain(modalities[name].var) for name in chosen if modalities[name].var.shape[1]
    }
    return tables, labels, features


def write_hdf(cohort: MultiOmics, path: Path) -> None:
    """Write a cohort as `.h5mu`, or as `.h5ad` where it has one view.

    A sample that a view does not list is absent from that modality; NaN stays NaN. Views without
    rows are left out. Labels that are text become categories, as the format wants it.

    Raises:
      InputError: a library is missing, a name has a slash, or an `.h5ad` file is to hold several
        views.
    """
    names = [name for name, table in cohort.views.items() if len(table)]
    single = path.suffix.lower() == ".h5ad"
    if single and len(names) != 1:
        raise InputError(
            f"expected one view for an .h5ad file, found {len(names)}: {', '.join(names)}; "
            "choose one, or write an .h5mu file"
        )
    columns = [c for t in [cohort.labels, *cohort.features.values()] for c in t.columns]
    for name in [*names, *map(str, columns)]:
        if "/" in name:
            raise InputError(f"expected names without '/', found {name!r}; rename it")
    anndata = _library("anndata")
    with _quiet():
        parts = {name: _modality(anndata, cohort, name) for name in names}
        if single:
            part = parts[names[0]]
            part.obs = _storable(cohort.labels.loc[cohort.views[names[0]].index])
            part.uns[_VIEW_KEY] = names[0]
            part.write_h5ad(path)
            return
        whole = _library("mudata").MuData(parts)
        whole.obs = _storable(cohort.labels.reindex(whole.obs_names))
        whole.write_h5mu(path)


def _library(name: str) -> ModuleType:
    """Import an optional library, or raise with the command that installs it."""
    try:
        with _quiet():
            return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f".h5mu and .h5ad files need the package {name}, which is not installed; "
            "run: pip install 'jaxomics[io]'"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the libraries' notices about coming defaults and repeated feature names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into an error that names the file."""
    try:
        yield
    except Exception as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: expected an {path.suffix} file, found one that cannot be read ({detail}); "
            "write or copy it again"
        ) from error


def _matrix(modality: Any, name: str, path: Path) -> pd.DataFrame:
    """Return the matrix of a modality as a dense float32 table [samples, features]."""
    if modality.X is None:
        raise InputError(
            f"{path}: view {name!r} has no X; copy the layer to be read to X and write it again"
        )
    values = modality.X.toarray() if sparse.issparse(modality.X) else np.asarray(modality.X)
    return pd.DataFrame(
        values.astype(np.float32), index=modality.obs_names, columns=modality.var_names
    )


def _modality(anndata: ModuleType, cohort: MultiOmics, name: str) -> Any:
    """Return one view as AnnData."""
    table = cohort.views[name]
    annotation = cohort.features.get(name, pd.DataFrame(index=table.columns))
    return anndata.AnnData(
        X=table.to_numpy(np.float32),
        obs=pd.DataFrame(index=table.index.rename(None)),
        var=_storable(annotation.reindex(table.columns)),
    )


def _with_own_columns(labels: pd.DataFrame, own: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Add columns of the modalities' `obs` that the common table lacks, as `VIEW:COLUMN`."""
    added = {
        f"{view}:{column}": table[column].reindex(labels.index)
        for view, table in own.items()
        for column in table.columns
        if f"{view}:{column}" not in labels and column not in labels
    }
    return pd.concat([labels, _plain(pd.DataFrame(added, index=labels.index))], axis=1)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy in which categories are the values that they stand for."""
    out = pd.DataFrame(index=table.index)
    for name in table.columns:
        column = table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            column = column.astype(column.cat.categories.dtype)
        out[str(name)] = column
    return out


def _storable(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy with columns that HDF5 can hold: numbers, true/false, or categories of text."""
    columns = {str(name): _storable_column(table[name]) for name in table.columns}
    return pd.DataFrame(columns, index=table.index.rename(None))


def _storable_column(column: pd.Series) -> pd.Series:
    """Return a column that HDF5 can hold; missing cells stay missing."""
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return column
    if pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return column.astype("boolean")
    text = [None if pd.isna(value) else str(value) for value in column]
    return pd.Series(pd.Categorical(text), index=column.index)
