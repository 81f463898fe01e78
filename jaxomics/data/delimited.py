"""Tables as text: CSV and TSV, plain or packed by gzip, read exactly as they stand."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from jaxomics.errors import InputError

_MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"]
_BLOCK_BYTES = 1 << 26
_DAMAGE = (pa.ArrowException, OSError, EOFError, UnicodeError, zlib.error, csv.Error)


def read_header(path: Path) -> list[str]:
    """Return the column names of a text table, as they stand there.

    Raises:
      InputError: the file is damaged, a name stands there twice, or the separator is not the one
        that the file's ending promises.
    """
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    delimiter = _delimiter(path)
    with (
        naming_damage(path, "a text table in UTF-8"),
        opener(path, "rt", encoding="utf-8-sig", newline="") as file,
    ):
        names = next(csv.reader(file, delimiter=delimiter), [])
    names = [name.strip() for name in names]
    wrong = next((mark for mark in ";\t," if len(names) == 1 and mark in names[0]), None)
    if wrong:
        raise InputError(
            f"{path}: expected columns separated by {delimiter!r}, found {wrong!r} in the first "
            "line; save it with the separator that its ending promises"
        )
    repeated = pd.Index(names)[pd.Index(names).duplicated()]
    if len(repeated):
        raise InputError(
            f"{path}: expected unique columns, found {repeated[0]!r} more than once "
            f"({len(repeated)} repeats); rename or remove the repeats"
        )
    return names


def _delimiter(path: Path) -> str:
    """Return the separator that the file's ending promises."""
    return "\t" if path.name.lower().endswith((".tsv", ".tsv.gz")) else ","


def read_delimited(
    path: Path, header: list[str], text: list[int], numeric: bool = False
) -> pd.DataFrame:
    """Read a text table; the columns at the places `text` stay text, letter by letter.

    Other columns are numbers or true/false where all their cells are, and text otherwise.

    Args:
      path: the table.
      header: its column names, from `read_header`. One name less than there are columns means
        that the first column, of ids, has none (as R writes it).
      text: places of the columns to leave as they are.
      numeric: try float32 for all other columns first, which is faster.

    Raises:
      InputError: the file is damaged, is not UTF-8, or its lines differ in length.
    """
    types = {f"f{place}": pa.string() for place in text}
    with naming_damage(path, "a text table in UTF-8 with lines of equal length"):
        numbers = {f"f{place}": pa.float32() for place in range(len(header) + 1)} | types
        try:
            table = _parse_csv(path, numbers if numeric else types)
        except pa.ArrowInvalid:
            table = _parse_csv(path, types)
        odd = [field.name for field in table.schema if not _is_plain(field.type)]
        if odd:
            table = _parse_csv(path, types | dict.fromkeys(odd, pa.string()))
    if table.num_columns == len(header) + 1:
        header = ["", *header]
    if table.num_columns != len(header):
        raise InputError(
            f"{path}: the first line names {len(header)} columns, the next line has "
            f"{table.num_columns} cells; give every line one cell per column"
        )
    frame = table.to_pandas()
    for field in table.schema:
        if pa.types.is_string(field.type) and field.name not in types:
            frame[field.name] = frame[field.name].mask(frame[field.name].isin(_MISSING))
    frame.columns = pd.Index(header)
    return frame


def _parse_csv(path: Path, types: dict[str, pa.DataType]) -> pa.Table:
    """Parse the lines after the first; columns are called f0, f1, ..."""
    return pa_csv.read_csv(
        path,
        read_options=pa_csv.ReadOptions(
            autogenerate_column_names=True, skip_rows=1, block_size=_BLOCK_BYTES
        ),
        parse_options=pa_csv.ParseOptions(delimiter=_delimiter(path)),
        convert_options=pa_csv.ConvertOptions(column_types=types, null_values=_MISSING),
    )


def _is_plain(kind: pa.DataType) -> bool:
    """Is this a kind that tables keep? Dates and bytes are read again as text."""
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return number or pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_null(kind)


@contextmanager
def naming_damage(path: Path, kind: str) -> Iterator[None]:
    """Turn the errors of the file libraries into one that names the file and the remedy."""
    try:
        yield
    except _DAMAGE as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: expected {kind}, found a damaged or unreadable file ({detail}); "
            "repair it, or copy it again"
        ) from error
