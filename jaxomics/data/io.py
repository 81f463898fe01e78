"""Cohorts and tables on disk: folders of parquet, CSV or TSV tables, `.h5mu` and `.h5ad` files.

Reading names the file and the remedy when something is wrong; sample ids stay the text that the
file holds. Writing goes to a temporary name in the same folder and is renamed when whole, and
equal tables give equal bytes.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from jaxomics.data.align import choose_views
from jaxomics.data.atomic import whole_file
from jaxomics.data.container import DROPPED_COLUMNS, MultiOmics
from jaxomics.data.delimited import read_delimited, read_header
from jaxomics.data.hdf import HDF_SUFFIXES, read_hdf, write_hdf
from jaxomics.data.parquet import open_parquet
from jaxomics.errors import InputError

TABLE_SUFFIXES = (".parquet", ".csv", ".tsv", ".csv.gz", ".tsv.gz")
"""Endings of the tables that are read."""

_FOREIGN_SUFFIXES = (".xlsx", ".xls", ".ods", ".txt", ".rds", ".rda", ".feather", ".zip", ".gz")
"""Endings of files that may hold tables and are not read; `read_cohort` reports them."""

_RESERVED = ("features_", "truth_", "measured_")
_TEXT_COLUMNS = ("sample", "feature")
_PROVENANCE = b"jaxomics"
_TWIN = b"jaxomics.csv"


def read_cohort(
    path: str | os.PathLike, views: Iterable[str] | None = None, min_samples: int = 2
) -> MultiOmics:
    """Read a cohort from a folder of tables or from an `.h5mu` or `.h5ad` file.

    In a folder, every `VIEW.parquet|csv|tsv|csv.gz|tsv.gz` is a view (rows = samples, first
    column or index = sample id, empty cell = not measured), `labels.*` is the sample table and
    `features_VIEW.*` a feature table. `truth_*`, `measured_*` and subfolders are not read; files
    that look like data and are not read stand in `dropped`.

    Args:
      path: the folder or file.
      views: read only these views; None reads all.
      min_samples: the fewest samples accepted; a model needs 2 to learn, 1 to apply.

    Raises:
      InputError: the path is missing, empty, unreadable or damaged, a view is unknown or stands
        there twice, or `MultiOmics.from_tables` finds the content unfit.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"{path}: no such file or folder; expected a folder with one table per view, or an "
            ".h5mu or .h5ad file"
        )
    if path.suffix.lower() in HDF_SUFFIXES and path.is_file():
        _refuse_empty(path)
        tables, labels, features = read_hdf(path, views)
        return MultiOmics.from_tables(tables, labels, features, min_samples=min_samples)
    if not path.is_dir():
        raise InputError(
            f"{path}: expected a folder with one table per view, or an .h5mu or .h5ad file, found "
            "another kind of file; name the folder that holds the tables"
        )
    files = _table_files(path)
    chosen = choose_views(views, [name for name in files if _is_view(name)])
    if not chosen:
        raise InputError(
            f"{path}: expected at least one table per view ({', '.join(TABLE_SUFFIXES)}), found "
            f"{', '.join(sorted(p.name for p in path.iterdir())[:5]) or 'an empty folder'}; "
            "put the tables there, or name another folder"
        )
    return MultiOmics.from_tables(
        {name: read_indexed(files[name], numeric=True) for name in chosen},
        read_indexed(files["labels"]) if "labels" in files else None,
        {
            name: read_indexed(files[f"features_{name}"])
            for name in chosen
            if f"features_{name}" in files
        },
        _unread(path, files),
        min_samples=min_samples,
    )


def _unread(folder: Path, tables: Mapping[str, Path]) -> pd.DataFrame:
    """Return what a user may have meant to be read and is not, as a report of dropped files."""
    left_out = []
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        name, suffix = _split_suffix(path)
        owner = name.removeprefix("features_")
        if suffix and name != owner and owner not in tables:
            left_out.append((path.name, f"feature table of a view {owner!r} that is not there"))
        elif not suffix and path.suffix.lower() in _FOREIGN_SUFFIXES:
            left_out.append((path.name, f"not one of {', '.join(TABLE_SUFFIXES)}"))
    rows = [
        {"view": "folder", "item": "file", "name": n, "reason": reason} for n, reason in left_out
    ]
    return pd.DataFrame(rows, columns=DROPPED_COLUMNS, dtype=str)


def write_cohort(cohort: MultiOmics, path: str | os.PathLike, overwrite: bool = False) -> None:
    """Write a cohort in the form that `read_cohort` reads.

    A path that ends in `.h5mu` or `.h5ad` (one view) becomes such a file, any other path a folder
    of parquet tables. Views without rows are left out, since no reader takes them; `dropped` is
    not written.

    Raises:
      InputError: something would be overwritten and `overwrite` is False, the folder holds
        tables that this cohort has not, or a view's name cannot be the name of a file.
    """
    path = Path(path)
    if path.suffix.lower() in HDF_SUFFIXES:
        _guard(path, overwrite)
        with whole_file(path) as temporary:
            write_hdf(cohort, temporary)
        return
    tables = {name: table for name, table in cohort.views.items() if len(table)}
    for name in tables:
        if not _is_view(name) or name.startswith(".") or "/" in name or "\\" in name:
            raise InputError(
                f"expected a view name that can be the name of a file, found {name!r}; rename it "
                "(no slash, not 'labels', not 'features_', 'truth_' or 'measured_' in front)"
            )
    if cohort.labels.shape[1]:
        tables["labels"] = cohort.labels
    tables |= {f"features_{name}": table for name, table in cohort.features.items()}
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: expected a folder, found a file; choose another name")
    path.mkdir(parents=True, exist_ok=True)
    targets = {f"{name}.parquet" for name in tables}
    present = sorted(p.name for p in path.iterdir() if _split_suffix(p)[1])
    foreign = [name for name in present if name not in targets]
    if foreign:
        raise InputError(
            f"{path}: expected an empty folder, found {', '.join(foreign[:5])}, which would mix "
            "with the tables written; choose another folder or remove them"
        )
    for name in tables:
        _guard(path / f"{name}.parquet", overwrite)
    for name, table in tables.items():
        write_table(table, path / f"{name}.parquet", overwrite=overwrite)


def read_table(path: str | os.PathLike) -> pd.DataFrame:
    """Read one table as it was written: a parquet file with its index, a CSV as plain columns.

    Use it for tidy tables (scores, importances); for tables with one sample per row,
    `read_indexed`. In CSV files the columns `sample` and `feature` stay text.

    Raises:
      InputError: the file is missing, empty, damaged or of an unknown kind.
    """
    path = Path(path)
    _require_file(path)
    if _split_suffix(path)[1] == ".parquet":
        return _read_parquet(path)
    header = read_header(path)
    text = [place for place, name in enumerate(header) if name in _TEXT_COLUMNS]
    return read_delimited(path, header, text)


def read_indexed(path: str | os.PathLike, numeric: bool = False) -> pd.DataFrame:
    """Read a table whose first column, or index, holds ids (of samples or features), as text.

    Ids are taken letter by letter: `007`, `1e5` and `NA` stay as they are in text files.

    Args:
      path: the table.
      numeric: expect numbers and read them from text as float32, which is faster; columns that
        hold anything else are then still read as without it.

    Raises:
      InputError: the file is missing, empty, damaged or of an unknown kind, or holds no ids.
    """
    path = Path(path)
    _require_file(path)
    if _split_suffix(path)[1] == ".parquet":
        table = _read_parquet(path)
        if isinstance(table.index, pd.RangeIndex) and table.index.name is None:
            table = _first_column_as_index(table, path)
        return table
    table = read_delimited(path, read_header(path), text=[0], numeric=numeric)
    return _first_column_as_index(table, path)


def write_table(
    table: pd.DataFrame,
    path: str | os.PathLike,
    metadata: Mapping[str, Any] | None = None,
    csv: bool = False,
    overwrite: bool = False,
) -> None:
    """Write one table: parquet (zstd) with provenance, or `.csv`/`.tsv` text.

    Args:
      table: a tidy table (plain row numbers, not written to text) or one with ids as index.
      path: ends in `.parquet`, `.csv` or `.tsv`.
      metadata: provenance, kept as JSON in the parquet metadata; text files cannot hold it.
      csv: also write the same table as CSV beside the parquet file. The parquet file records
        its hash, so that `read_cohort` knows the two to be one table.
      overwrite: replace what exists.

    Raises:
      InputError: a file exists and `overwrite` is False, or the ending is unknown.
    """
    path = Path(path)
    suffix = _split_suffix(path)[1]
    if suffix in (".csv", ".tsv"):
        _write_text(table, path, "\t" if suffix == ".tsv" else ",", overwrite)
        return
    if suffix != ".parquet":
        raise InputError(f"{path}: expected a name ending in .parquet, .csv or .tsv; rename it")
    _guard(path, overwrite)
    arrow = pa.Table.from_pandas(table)
    notes = dict(arrow.schema.metadata or {})
    if csv:
        twin = path.with_suffix(".csv")
        _write_text(table, twin, ",", overwrite)
        notes[_TWIN] = _sha256(twin)
    if metadata is not None:
        notes[_PROVENANCE] = json.dumps(dict(metadata), sort_keys=True).encode()
    with whole_file(path) as temporary:
        pq.write_table(arrow.replace_schema_metadata(notes), temporary, compression="zstd")


def read_metadata(path: str | os.PathLike) -> dict[str, Any]:
    """Return the provenance that `write_table` stored in a parquet file; empty without any.

    Raises:
      InputError: the file is missing or is no parquet file.
    """
    path = Path(path)
    _require_file(path)
    return json.loads(_schema_metadata(path).get(_PROVENANCE, b"{}"))


def _guard(path: Path, overwrite: bool) -> None:
    """Raise if a file would be overwritten without leave."""
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; choose another name, or overwrite it with --overwrite")


def _split_suffix(path: Path) -> tuple[str, str]:
    """Return a file's name without and with its table suffix; the suffix is empty for others."""
    name = path.name
    for suffix in TABLE_SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix) and not name.startswith("."):
            return name[: -len(suffix)], suffix
    return name, ""


def _is_view(name: str) -> bool:
    """Can a table of this name be a view?"""
    return name != "labels" and not name.startswith(_RESERVED)


def _table_files(folder: Path) -> dict[str, Path]:
    """Return the tables of a folder by name; two different files of one name raise."""
    files: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        name, suffix = _split_suffix(path)
        if not suffix:
            continue
        if name not in files:
            files[name] = path
            continue
        pair = sorted((files[name], path), key=lambda p: p.suffix.lower() != ".parquet")
        if not _are_twins(*pair):
            raise InputError(
                f"{folder}: found both {files[name].name} and {path.name} for {name!r}; "
                "keep one of them"
            )
        files[name] = pair[0]
    return files


def _are_twins(parquet: Path, text: Path) -> bool:
    """Is the text file the unchanged copy that `write_table` made of the parquet file?"""
    if _split_suffix(parquet)[1] != ".parquet" or _split_suffix(text)[1] != ".csv":
        return False
    return _schema_metadata(parquet).get(_TWIN) == _sha256(text)


def _sha256(path: Path) -> bytes:
    """Return the hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().encode()


def _require_file(path: Path) -> None:
    """Raise unless the path is a table with content."""
    if not _split_suffix(path)[1]:
        raise InputError(f"{path}: expected one of {', '.join(TABLE_SUFFIXES)}; convert the table")
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    _refuse_empty(path)


def _refuse_empty(path: Path) -> None:
    """Raise if a file holds no bytes."""
    if path.stat().st_size == 0:
        raise InputError(f"{path}: expected a table, found a file of 0 bytes; write it again")


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read a parquet file with the index that it stores."""
    with open_parquet(path) as file:
        return file.read().to_pandas()


def _schema_metadata(path: Path) -> dict[bytes, bytes]:
    """Return the key-value metadata of a parquet file."""
    with open_parquet(path) as file:
        return dict(file.schema_arrow.metadata or {})


def _first_column_as_index(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the table with its first column as index of ids."""
    if table.shape[1] == 0:
        raise InputError(f"{path}: expected ids in the first column, found no columns; add them")
    ids = table.iloc[:, 0]
    if pd.api.types.is_float_dtype(ids.dtype) or pd.api.types.is_bool_dtype(ids.dtype):
        raise InputError(
            f"{path}: expected ids in the index or the first column, found measured values in "
            f"{str(table.columns[0])!r}; store the ids as index or first column"
        )
    out = table.iloc[:, 1:]
    return out.set_axis(pd.Index(ids, name=table.columns[0] or None), axis=0)


def _write_text(table: pd.DataFrame, path: Path, separator: str, overwrite: bool) -> None:
    """Write a table as text; plain row numbers are left out."""
    plain = isinstance(table.index, pd.RangeIndex) and table.index.name is None
    _guard(path, overwrite)
    with whole_file(path) as temporary:
        table.to_csv(temporary, sep=separator, index=not plain, lineterminator="\n")
