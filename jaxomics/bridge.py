"""The bridge to outside software: cohorts out as plain text, latents and estimates back in.

An export is a folder with one table per view, all on the same samples in the same order, the mask
of what the tool may see, names of samples and features, and a record with the seed. It can hide
measured cells and keep them as `truth/`, so that the tool's estimates of them can be scored. What
the tool writes is read by the export's names, whatever became of them on the way.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from jaxomics.data.atomic import whole_file
from jaxomics.data.container import MultiOmics, view_kind
from jaxomics.data.io import TABLE_SUFFIXES, read_indexed, read_table, write_cohort
from jaxomics.errors import InputError, unknown
from jaxomics.version import __version__

Tool: TypeAlias = Literal["mofa", "move", "r"]

ABOUT = "about.json"
"""The record of an export."""

NAMES = "names"
"""Folder of an export with the order of samples and features."""

ARRAY = ".npy"
"""Ending of NumPy arrays, which have no names."""


@dataclass(frozen=True)
class Dialect:
    """How a tool wants its tables.

    Attributes:
      folder: where the tables of the views stand in the export.
      suffix: of the tables.
      corner: name of the column of samples.
      empty: what stands for a cell that was not measured.
    """

    folder: str
    suffix: str
    corner: str
    empty: str


DIALECTS: dict[Tool, Dialect] = {
    "mofa": Dialect(".", ".csv", "sample", ""),
    "move": Dialect("data", ".tsv", "ID", ""),
    "r": Dialect(".", ".csv", "sample", "NA"),
}
"""By tool."""


@dataclass(frozen=True)
class Exported:
    """An export, as far as it is needed to read results.

    Attributes:
      folder: where it is.
      samples: in the order of its tables.
      features: by view, in the order of its columns.
      about: its record.
    """

    folder: Path
    samples: pd.Index
    features: dict[str, pd.Index]
    about: dict[str, Any]

    def mask(self, view: str) -> pd.DataFrame:
        """Return bool [samples, features]: what the tool was shown."""
        return read_indexed(self.folder / f"measured_{view}.csv").astype(bool)


def hide_cells(
    cohort: MultiOmics, share: float, seed: int
) -> tuple[MultiOmics, dict[str, tuple[int, int]]]:
    """Return the cohort without a random share of its measured cells.

    A sample keeps at least one cell of each view that it has.

    Args:
      cohort: all data.
      share: from 0 to below 1.
      seed: of the choice.

    Returns:
      The cohort, and how many cells of each view are hidden, of how many.
    """
    if not 0 <= share < 1:
        raise InputError(f"expected a --hide from 0 to below 1, found {share}; it is a share")
    random = np.random.default_rng(seed)
    counts = {}
    for view in list(cohort.views):
        seen = ~np.isnan(cohort.array(view))
        hidden = (random.random(seen.shape) < share) & seen
        hidden[(hidden == seen).all(axis=1)] = False
        counts[view] = int(hidden.sum()), int(seen.sum())
        if share:
            cohort = cohort.without_cells(view, hidden)
    return cohort, counts


def export_cohort(
    cohort: MultiOmics, folder: Path, to: Tool, *, seed: int = 0, hide: float = 0.0
) -> dict[str, Any]:
    """Write a cohort for a tool.

    Writes a table per view as the tool reads it, `measured_VIEW.csv` (1 where the tool is shown a
    value), `names/samples.csv` and `names/features.csv` in the order of the tables, `labels.csv`
    where there are labels, `about.json`; with `hide`, `truth/` with all measured values; for MOVE
    also its list of samples and its configuration. But for MOVE's, the folder is a cohort that
    `read_cohort` reads, so that models here can learn from just what the tool was shown.

    Args:
      cohort: what to write.
      folder: empty, or not there.
      to: the tool.
      seed: of the hidden cells; to be used for the tool as well.
      hide: share of the measured cells that the tool is not shown.

    Returns:
      The record, as in `about.json`.
    """
    if to not in DIALECTS:
        raise unknown("tool", to, DIALECTS)
    shown, counts = hide_cells(cohort, hide, seed)
    kinds = {view: view_kind(table) for view, table in cohort.views.items()}
    dialect = DIALECTS[to]
    for view in shown.views:
        table = shown.table(view)
        path = folder / dialect.folder / f"{view}{dialect.suffix}"
        _write_text(table.rename_axis(dialect.corner), path, dialect.empty)
        _write_text(table.notna().astype(int), folder / f"measured_{view}.csv", "")
    if cohort.labels.shape[1]:
        _write_text(cohort.labels, folder / "labels.csv", dialect.empty)
    if to == "move":
        _write_move(folder, list(cohort.samples), kinds)
    if hide:
        write_cohort(cohort, folder / "truth")
    columns = {view: list(table.columns) for view, table in cohort.views.items()}
    rows = [(view, name) for view, names in columns.items() for name in names]
    features = pd.DataFrame(rows, columns=["view", "feature"]).set_index("view")
    _write_text(features, folder / NAMES / "features.csv", "")
    _write_text(pd.DataFrame(index=cohort.samples), folder / NAMES / "samples.csv", "")
    record = {
        "jaxomics": __version__,
        "to": to,
        "seed": seed,
        "data_sha256": cohort.digest(),
        "samples": len(cohort.samples),
        "views": {
            view: {
                "kind": kinds[view],
                "features": len(columns[view]),
                "hidden": counts[view][0],
                "measured": counts[view][1],
            }
            for view in columns
        },
    }
    with whole_file(folder / ABOUT) as path:
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def read_export(folder: str | Path) -> Exported:
    """Read the names of an export.

    Raises:
      InputError: the folder is none, or not whole.
    """
    folder = Path(folder)
    if not (folder / ABOUT).is_file():
        raise InputError(f"expected a folder that `jaxomics export` wrote at {folder}, found none")
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    features = read_table(folder / NAMES / "features.csv")
    samples = pd.Index(
        read_table(folder / NAMES / "samples.csv")["sample"].astype(str), name="sample"
    )
    views = features["view"].astype(str)
    names = {view: pd.Index(features.loc[views == view, "feature"]) for view in about["views"]}
    return Exported(folder, samples, names, about)


def read_latent(
    path: Path, exported: Exported | None = None, *, transposed: bool = False
) -> pd.DataFrame:
    """Read the latent space of any tool.

    Args:
      path: table samples x dimensions with ids in the first column, or, with an export, numbers
        alone in the order of its samples: text without a header, or a NumPy array.
      exported: the export that the tool was given.
      transposed: the table is dimensions x samples.

    Returns:
      Columns z0, z1, ..., indexed by sample, as `Estimator.transform` returns them.

    Raises:
      InputError: other samples than those exported, cells that are no finite numbers, or a table
        without ids and no export to take them from.
    """
    table = _read(path, transposed)
    table.index = _names(table.index, None if exported is None else exported.samples, path, "rows")
    values = table.to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise InputError(
            f"{path}: expected a finite number in every cell, found {(~np.isfinite(values)).sum()} "
            "others; a latent space has no missing cells"
        )
    columns = [f"z{i}" for i in range(values.shape[1])]
    return pd.DataFrame(values, index=table.index.rename("sample"), columns=columns)


def read_recon(
    folder: Path, exported: Exported, *, transposed: bool = False
) -> dict[str, pd.DataFrame]:
    """Read the estimates that a tool made of an export's views.

    Args:
      folder: one table per view, named as the view, with ids or in the order of the export.
      exported: the export.
      transposed: the tables are features x samples.

    Returns:
      Tables of all exported samples and features; NaN where the tool says nothing.

    Raises:
      InputError: no table of a view, or other samples or features than those exported.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder with a table per view, found none")
    found = {}
    for view, features in exported.features.items():
        endings = (*TABLE_SUFFIXES, ARRAY)
        paths = [p for p in (folder / f"{view}{ending}" for ending in endings) if p.is_file()]
        if not paths:
            continue
        table = _read(paths[0], transposed)
        table.index = _names(table.index, exported.samples, paths[0], "rows")
        table.columns = _names(table.columns, features, paths[0], "columns")
        table = table.reindex(index=exported.samples, columns=features)
        found[view] = table.astype(np.float32)
    if not found:
        raise InputError(
            f"{folder}: expected tables named as the views {', '.join(exported.features)}, found "
            "none; rename them"
        )
    return found


def _read(path: Path, transposed: bool) -> pd.DataFrame:
    """Read a table; rows and columns without names get their numbers."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; check the path")
    if path.suffix == ARRAY:
        table = _matrix(path, np.load(path, allow_pickle=False))
    elif _is_bare(path):
        separator = "\t" if ".tsv" in path.name else ","
        table = _matrix(path, pd.read_csv(path, header=None, sep=separator).to_numpy())
    else:
        table = read_indexed(path)
    text = [str(n) for n, kind in table.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    if text:
        raise InputError(f"{path}: expected numbers, found text in column {text[0]!r}; remove it")
    return table.T if transposed else table


def _matrix(path: Path, values: np.ndarray) -> pd.DataFrame:
    """Return numbers as a table without names."""
    if values.ndim != 2:
        raise InputError(f"{path}: expected rows and columns, found {values.ndim} axes")
    return pd.DataFrame(values)


def _is_bare(path: Path) -> bool:
    """Tell whether a text table begins with numbers in place of names."""
    if path.suffix not in (".csv", ".tsv"):
        return False
    with path.open(encoding="utf-8-sig") as file:
        first = file.readline().strip().replace("\t", ",").split(",")
    try:
        return bool([float(cell) for cell in first])
    except ValueError:
        return False


def _names(found: pd.Index, known: pd.Index | None, path: Path, what: str) -> pd.Index:
    """Return the names of rows or columns: their own, or by their order those that are known."""
    bare = isinstance(found, pd.RangeIndex)
    if known is None:
        if bare:
            raise InputError(
                f"{path}: expected ids in the first column, found numbers alone; name the folder "
                "that `jaxomics export` wrote with --exported"
            )
        return pd.Index([str(name) for name in found])
    if bare:
        if len(found) != len(known):
            raise InputError(
                f"{path}: expected {len(known)} {what}, as exported, found {len(found)}; if it is "
                "the other way round, add --transposed"
            )
        return known
    names = pd.Index([str(name) for name in found])
    repeated = names[names.duplicated()]
    if len(repeated):
        raise InputError(f"{path}: expected unique {what}, found {repeated[0]!r} twice")
    strange = names.difference(known)
    if len(strange):
        raise InputError(
            f"{path}: {unknown(f'name of {what}', str(strange[0]), known)}; {len(strange)} of "
            f"{len(names)} were not exported: add --transposed if it is the other way round, and "
            "check.names = FALSE where R read the names"
        )
    return names


def _write_text(table: pd.DataFrame, path: Path, empty: str) -> None:
    """Write a table with its ids in front; nothing but the whole file appears."""
    separator = "\t" if path.suffix == ".tsv" else ","
    with whole_file(path) as temporary:
        table.to_csv(temporary, sep=separator, na_rep=empty, lineterminator="\n")


def _write_move(folder: Path, samples: list[str], kinds: Mapping[str, str]) -> None:
    """Write what the package move-dl reads beside the tables: samples and configuration."""
    with whole_file(folder / "data" / "samples.txt") as path:
        path.write_text("\n".join(samples) + "\n", encoding="utf-8")
    lines = [
        "defaults:",
        "  - base_data",
        "raw_data_path: data/",
        "interim_data_path: interim_data/",
        "results_path: results/",
        "sample_names: samples",
    ]
    how = {
        "categorical_inputs": "weight: 1",
        "continuous_inputs": "weight: 1, scale: true, log2: false",
    }
    for title, choices in how.items():
        wanted = title == "continuous_inputs"
        names = [view for view, kind in kinds.items() if (kind == "continuous") == wanted]
        lines += [f"{title}:{'' if names else ' []'}"]
        lines += [f"  - {{name: {view}, {choices}}}" for view in names]
    with whole_file(folder / "config" / "data" / "cohort.yaml") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
