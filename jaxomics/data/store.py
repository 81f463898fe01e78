"""Cohorts larger than memory: arrays on disk, of which only the rows asked for are read.

`write_store` turns a cohort, or a folder of parquet tables that never fits memory, into a store:
one `.npy` table per view in original units, conditionals, class codes, and `store.json` with the
names. The store appears under its name only when it is whole. Opening reads names alone.

>>> import tempfile
>>> from jaxomics.data.simulate import simulate_depmap
>>> cohort = simulate_depmap("tiny", seed=0).cohort
>>> store = write_store(cohort, Path(tempfile.mkdtemp()) / "store", labels=cohort.labels["tissue"])
>>> store.read("drugresponse", [3, 0]).shape == (2, len(store.features["drugresponse"]))
True
>>> bool(np.array_equal(store.read("copynumber", [5]), cohort.array("copynumber")[[5]], True))
True
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from jaxomics.config import config_hash
from jaxomics.data.align import choose_views
from jaxomics.data.container import MultiOmics
from jaxomics.data.parquet import id_column, row_chunks, view_files
from jaxomics.errors import InputError, unknown

FORMAT = 1
"""Number of the layout on disk; other layouts are refused."""

CHUNK_BYTES = 4 << 20
"""Tables are written, and statistics are gathered, in pieces of about so many bytes."""

PARQUET_ROWS = 512
"""Fewest rows of a parquet table to read at once: a piece costs time for every column."""


@dataclass(frozen=True)
class Store:
    """A cohort on disk; build it with `write_store`, find it again with `open_store`.

    Attributes:
      folder: where it lies.
      samples: sample ids, one per row.
      features: feature names of each view, in the order of the views.
      classes: names of the class codes.
      digest: 12 hexadecimal digits that name the content.
    """

    folder: Path
    samples: pd.Index
    features: dict[str, pd.Index]
    classes: tuple[str, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, view: str, rows: Any, columns: slice | None = None) -> np.ndarray:
        """Return rows of a view, float32 [rows, features] in original units, NaN = not measured.

        Rows are read, not mapped, since pages of a map that were once read count as memory of
        this process.

        Args:
          view: name of the view.
          rows: row numbers, or a slice.
          columns: neighbouring features, from one number to another; None = all. Others are not
            read.

        Raises:
          InputError: there is no such view, or its file was cut off since the store was opened.
        """
        if view not in self.features:
            raise unknown("view", view, self.features)
        return _read(_view_path(self.folder, view), rows, columns)

    def conditionals(self, rows: Any) -> np.ndarray:
        """Return conditionals of some rows, float32 [rows, conditionals]."""
        return _read(self.folder / "conditionals.npy", rows)

    def labels(self, rows: Any) -> np.ndarray:
        """Return class codes of some rows, int32 [rows], -1 = unlabelled."""
        return _read(self.folder / "labels.npy", rows)

    def require(self, features: Mapping[str, Sequence[str]]) -> None:
        """Raise `InputError` unless the store has these views with these features, in order."""
        for view, names in features.items():
            if view not in self.features:
                raise unknown("view of the store", view, self.features)
            found = self.features[view]
            if list(found) != list(names):
                raise InputError(
                    f"{self.folder}: expected the {len(names)} features of view {view!r} that the "
                    f"model was built for, found {len(found)} others or in another order; write "
                    "the store from the same tables"
                )

    def chunks(self, view: str, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the rows of a view in order, in pieces of about `CHUNK_BYTES`."""
        size = _chunk_rows(len(self.features[view]))
        for start in range(0, len(rows), size):
            yield self.read(view, rows[start : start + size])


class _Table(NamedTuple):
    """A view to be written: feature names, and an iterator of (row numbers, columns, values)."""

    features: pd.Index
    chunks: Iterator[tuple[np.ndarray | slice, slice, np.ndarray]]


def write_store(
    source: MultiOmics | str | os.PathLike,
    path: str | os.PathLike,
    *,
    conditionals: pd.DataFrame | None = None,
    labels: pd.Series | None = None,
    views: Sequence[str] | None = None,
    overwrite: bool = False,
) -> Store:
    """Write a cohort as a store.

    Args:
      source: a cohort, or a folder with one `VIEW.parquet` per view (index or first column =
        sample id). A folder is read in row chunks; memory stays small if the files have row
        groups of moderate size. Unlike `read_cohort`, features without any value stay.
      path: the folder to write.
      conditionals: numbers given to encoder and decoder, indexed by sample; none by default.
      labels: classes, indexed by sample; samples without one are unlabelled.
      views: write only these; None writes all.
      overwrite: replace a store that lies there.

    Raises:
      InputError: the tables are unfit, a view is unknown, conditionals are incomplete, or
        something lies at `path`.
    """
    if isinstance(source, MultiOmics):
        samples = source.samples
        tables = {
            name: _Table(table.columns, _sliced(source.array(name)))
            for name, table in source.views.items()
            if name in choose_views(views, source.views)
        }
    else:
        samples, tables = _parquet_tables(Path(source), views)
    given = np.zeros((len(samples), 0)) if conditionals is None else _aligned(conditionals, samples)
    codes, classes = _codes(labels, samples)
    return _write(Path(path), samples, tables, given, codes, classes, overwrite)


def write_arrays(
    arrays: Mapping[str, np.ndarray],
    path: str | os.PathLike,
    conditionals: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    *,
    samples: Sequence[str] | None = None,
    features: Mapping[str, Sequence[str]] | None = None,
    overwrite: bool = False,
) -> Store:
    """Write arrays as a store; the first four arguments are those of `batch.make_data`.

    Args:
      arrays: [n, features] per view, original units, NaN = not measured; memory maps are read
        in row chunks.
      path: the folder to write.
      conditionals: [n, c]; none by default.
      labels: int [n]; all unlabelled by default.
      samples: ids of the rows; their numbers by default.
      features: names of the columns per view; their numbers by default.
      overwrite: replace a store that lies there.

    Raises:
      InputError: lengths differ, cells are infinite, or something lies at `path`.

    >>> import tempfile
    >>> store = write_arrays({"rna": np.eye(3)}, tempfile.mkdtemp() + "/store")
    >>> store.read("rna", [2])
    array([[0., 0., 1.]], dtype=float32)
    """
    count = len(next(iter(arrays.values())))
    given = np.zeros((count, 0)) if conditionals is None else conditionals
    codes = np.full(count, -1) if labels is None else labels
    ids = pd.Index([str(i) for i in range(count)] if samples is None else samples)
    lengths = {**{n: len(a) for n, a in arrays.items()}, "conditionals": len(given)}
    for name, length in {**lengths, "labels": len(codes), "samples": len(ids)}.items():
        if length != count:
            raise InputError(f"expected {count} rows in {name}, found {length}; align the arrays")
    numbers = {view: map(str, range(array.shape[1])) for view, array in arrays.items()}
    tables = {
        view: _Table(pd.Index(list((features or numbers)[view])), _sliced(array))
        for view, array in arrays.items()
    }
    return _write(Path(path), ids, tables, given, codes, (), overwrite)


def open_store(folder: str | os.PathLike) -> Store:
    """Open a store; values are read later, when they are asked for.

    Raises:
      InputError: there is no store, another version wrote it, or a file is missing or cut off.
    """
    folder = Path(folder)
    path = folder / "store.json"
    if not path.exists():
        raise InputError(
            f"{folder}: expected a store, found no store.json; write one with `write_store`"
        )
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        found = record["format"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a store's record, found a damaged file") from error
    if found != FORMAT:
        raise InputError(
            f"{folder}: expected a store of format {FORMAT}, found format {found} of "
            "another version of jaxomics; write the store again"
        )
    samples = pd.Index(record["samples"], name="sample")
    features = {view: pd.Index(names) for view, names in record["features"].items()}
    for view, names in features.items():
        _check_file(_view_path(folder, view), (len(samples), len(names)))
    _check_file(folder / "conditionals.npy", (len(samples), record["conditionals"]))
    _check_file(folder / "labels.npy", (len(samples),))
    return Store(folder, samples, features, tuple(record["classes"]), config_hash(record))


def _view_path(folder: Path, view: str) -> Path:
    """Return the file of a view."""
    return folder / "views" / f"{view}.npy"


def _read(path: Path, rows: Any, columns: slice | None = None) -> np.ndarray:
    """Return rows of an array on disk: runs of whole rows, or a part of each row, in one read."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, kind = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
            wanted, width = np.arange(shape[0])[rows], math.prod(shape[1:])
            first, last, _ = (columns or slice(None)).indices(width)
            whole = last - first == width
            out = np.empty((len(wanted), *(shape[1:] if whole else (last - first,))), kind)
            breaks = np.flatnonzero(np.diff(wanted) != 1) + 1 if whole else range(1, len(wanted))
            for run in pairwise([0, *map(int, breaks), len(wanted)]):
                part = out[slice(*run)]
                if part.size:
                    file.seek(start + out.itemsize * (int(wanted[run[0]]) * width + first))
                    if file.readinto(part.data.cast("B")) != part.nbytes:
                        raise EOFError("the file ends too early")
    except (OSError, EOFError) as error:
        raise InputError(
            f"{path}: expected a whole array, found a file that cannot be read ({error}); write "
            "the store again"
        ) from error
    return out


def _chunk_rows(features: int) -> int:
    """Return how many rows of so many features make a chunk."""
    return max(1, CHUNK_BYTES // (4 * max(features, 1)))


def _check_file(path: Path, shape: tuple[int, ...]) -> None:
    """Raise unless a whole array of this shape lies there."""
    try:
        found = np.load(path, mmap_mode="r").shape
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected an array {list(shape)}, found a file that is missing or cut off; "
            "write the store again"
        ) from error
    if found != shape:
        raise InputError(
            f"{path}: expected an array {list(shape)}, found {list(found)}; write the store again"
        )


def _sliced(array: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Yield an array in row chunks."""
    size = _chunk_rows(array.shape[1])
    for start in range(0, len(array), size):
        part = slice(start, start + size)
        yield part, slice(None), np.asarray(array[part], np.float32)


def _parquet_tables(
    folder: Path, views: Sequence[str] | None
) -> tuple[pd.Index, dict[str, _Table]]:
    """Return the union of the samples of a folder's tables, and the tables."""
    known = view_files(folder)
    files = {view: known[view] for view in choose_views(views, known)}
    ids = {view: id_column(path) for view, path in files.items()}
    samples = pd.Index(sorted(set().union(*(i.index for i in ids.values()))), name="sample")
    tables = {}
    for view, path in files.items():
        rows = samples.get_indexer(ids[view].index)
        size = max(_chunk_rows(len(ids[view].features)), PARQUET_ROWS)
        tables[view] = _Table(ids[view].features, row_chunks(path, ids[view], rows, size))
    return samples, tables


def _aligned(conditionals: pd.DataFrame, samples: pd.Index) -> np.ndarray:
    """Return conditionals [samples, c] as numbers, or raise where one is missing."""
    values = conditionals.reindex(samples).to_numpy(np.float32)
    gaps = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(gaps):
        raise InputError(
            f"expected finite conditionals for all {len(samples)} samples, found none for "
            f"{len(gaps)}, the first is {samples[gaps[0]]!r}; complete them"
        )
    return values


def _codes(labels: pd.Series | None, samples: pd.Index) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return class codes [samples], -1 = unlabelled, and the sorted classes."""
    if labels is None:
        return np.full(len(samples), -1), ()
    text = labels.reindex(samples).astype("string")
    classes = sorted(text.dropna().unique())
    return np.asarray(pd.Categorical(text, categories=classes).codes), tuple(classes)


def _write(
    path: Path,
    samples: pd.Index,
    tables: dict[str, _Table],
    conditionals: np.ndarray,
    codes: np.ndarray,
    classes: tuple[str, ...],
    overwrite: bool,
) -> Store:
    """Write all files of a store into a temporary folder, then give it its name."""
    with _whole_folder(path, overwrite) as folder:
        (folder / "views").mkdir()
        for view, table in tables.items():
            _write_view(_view_path(folder, view), len(samples), view, table)
        np.save(folder / "conditionals.npy", np.asarray(conditionals, np.float32))
        np.save(folder / "labels.npy", np.asarray(codes, np.int32))
        record = {
            "format": FORMAT,
            "samples": [str(sample) for sample in samples],
            "features": {v: [str(f) for f in table.features] for v, table in tables.items()},
            "conditionals": int(conditionals.shape[1]),
            "classes": list(classes),
            "sha256": {file.name: _sha256(file) for file in sorted(folder.rglob("*.npy"))},
        }
        (folder / "store.json").write_text(json.dumps(record), encoding="utf-8")
    return open_store(path)


def _write_view(path: Path, count: int, view: str, table: _Table) -> None:
    """Write one view [count, features]; rows that no chunk names stay unmeasured."""
    if view.startswith(".") or "/" in view or "\\" in view:
        raise InputError(f"expected a view name that can be a file's, found {view!r}; rename it")
    width = len(table.features)
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, count, _chunk_rows(width)):
            rows = min(_chunk_rows(width), count - start)
            file.write(np.full((rows, width), np.nan, np.float32).tobytes())
    for rows, columns, values in table.chunks:
        if np.isinf(values).any():
            raise InputError(
                f"view {view!r}: expected finite numbers, found {int(np.isinf(values).sum())} "
                "infinite cells in one chunk of rows; leave such cells empty"
            )
        mapped = np.load(path, mmap_mode="r+")
        mapped[rows, columns] = values


def _sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _whole_folder(path: Path, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` unless the block raises."""
    if path.exists() and not (overwrite and (path / "store.json").exists()):
        raise InputError(
            f"{path} exists; choose another name, or replace a store with overwrite=True"
        )
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        aside = path.with_name(f".{path.name}.{os.getpid()}.old")
        if path.exists():
            path.rename(aside)
        temporary.rename(path)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
