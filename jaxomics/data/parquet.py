"""Parquet tables read in row chunks, for tables that do not fit memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from jaxomics.data.delimited import naming_damage
from jaxomics.errors import InputError

_OTHER = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
_RESERVED = ("features_", "truth_", "measured_", ".")


COLUMNS = 16_384
"""Most columns to read at once: each takes some kilobytes, however few its rows are."""

_LARGEST = 2**31 - 1
"""Bytes, or entries, of a footer."""


class Ids(NamedTuple):
    """Names of a table: its id column, sample ids row by row, and feature names."""

    column: str
    index: pd.Index
    features: pd.Index


def view_files(folder: Path) -> dict[str, Path]:
    """Return the `VIEW.parquet` files of a cohort folder by view.

    Raises:
      InputError: there is none, or a view is a text table, which cannot be read in chunks.
    """
    found = {path.stem: path for path in sorted(folder.glob("*.parquet")) if _is_view(path.stem)}
    text = [path.name for path in sorted(folder.glob("*")) if path.name.endswith(_OTHER)]
    alone = [name for name in text if _is_view(name) and name.split(".")[0] not in found]
    if alone or not found:
        raise InputError(
            f"{folder}: expected one VIEW.parquet per view, found {', '.join(alone) or 'none'}; "
            "convert the tables to parquet, or read them with `read_cohort` if memory allows"
        )
    return found


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """Open a parquet table, also one whose footer is large: it grows with the number of columns.

    By default pyarrow refuses to read more than some 100 MB, which half a million columns need.

    Raises:
      InputError: the file is damaged.
    """
    with (
        naming_damage(path, "a parquet table"),
        pq.ParquetFile(
            path, thrift_string_size_limit=_LARGEST, thrift_container_size_limit=_LARGEST
        ) as file,
    ):
        yield file


def id_column(path: Path) -> Ids:
    """Return names of one table without reading its values.

    Raises:
      InputError: the file is damaged, sample ids are missing or repeated, or a column holds
        anything but numbers.
    """
    with open_parquet(path) as file:
        schema = file.schema_arrow
        named = (schema.pandas_metadata or {}).get("index_columns", [])
        column = next((c for c in named if isinstance(c, str)), schema.names[0])
        ids = file.read(columns=[column]).column(0)
    kind = ids.type
    if pa.types.is_floating(kind) or pa.types.is_boolean(kind) or ids.null_count:
        raise InputError(
            f"{path}: expected sample ids in {column!r}, found {ids.null_count} empty ones of type "
            f"{kind}; store the ids as index or first column"
        )
    index = pd.Index([str(name).strip() for name in ids.to_pylist()])
    repeated = index[index.duplicated()]
    if len(repeated):
        raise InputError(
            f"{path}: expected unique sample ids, found {len(repeated)} repeated, the first is "
            f"{repeated[0]!r}; average or remove the repeats"
        )
    for field in schema:
        if field.name != column and not _is_number(field.type):
            raise InputError(
                f"{path}: expected numbers, found type {field.type} in column {field.name!r}; "
                "write numbers, and leave missing cells empty"
            )
    features = pd.Index([name.strip() for name in schema.names if name != column])
    return Ids(column, index, features)


def row_chunks(
    path: Path, ids: Ids, rows: np.ndarray, size: int
) -> Iterator[tuple[np.ndarray, slice, np.ndarray]]:
    """Yield (row numbers [k], features, float32 [k, features]), at most `size` rows at a time.

    Args:
      path: the table.
      ids: its names.
      rows: where each of its rows belongs, in the order of the file.
      size: rows per chunk. Memory also holds `COLUMNS` columns of a row group, and the file's
        footer, which grows with features times row groups: row groups of some 50 MB are a good
        choice.
    """
    start = 0
    with open_parquet(path) as file:
        names = [name for name in file.schema_arrow.names if name != ids.column]
        # One iterator over all row groups would keep what it has read of each.
        for group in range(file.num_row_groups):
            for first in range(0, max(len(names), 1), COLUMNS):
                part, own = slice(first, min(first + COLUMNS, len(names))), start
                pieces = file.iter_batches(size, row_groups=[group], columns=names[part])
                for piece in pieces:
                    yield rows[own : own + len(piece)], part, _values(piece)
                    own += len(piece)
            start += file.metadata.row_group(group).num_rows


def _values(piece: pa.RecordBatch) -> np.ndarray:
    """Return numbers as float32 [rows, features], NaN where there are none."""
    if set(piece.schema.types) <= {pa.float32(), pa.float64()}:
        # Ten times as fast as by pandas where there are a hundred thousand features.
        return np.asarray(piece.to_tensor(null_to_nan=True).to_numpy(), np.float32)
    return piece.to_pandas(ignore_metadata=True).to_numpy(np.float32, na_value=np.nan)


def _is_view(name: str) -> bool:
    """Can a table of this name be a view?"""
    return name.split(".")[0] != "labels" and not name.startswith(_RESERVED)


def _is_number(kind: pa.DataType) -> bool:
    """Is this a type of numbers?"""
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
