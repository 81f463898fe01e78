"""`export`, `import-latent`, `import-recon`: cohorts to outside software, and its results back."""

import shutil
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from tyro.conf import Positional, arg

from jaxomics.bridge import ABOUT, export_cohort, read_export, read_latent, read_recon
from jaxomics.commands.notes import tell
from jaxomics.commands.options import Flag
from jaxomics.commands.outputs import refuse_file, refuse_folder
from jaxomics.data.io import read_cohort, write_table
from jaxomics.errors import InputError

Data: TypeAlias = Positional[Annotated[Path, arg(metavar="PATH")]]
Table: TypeAlias = Positional[Annotated[Path, arg(metavar="FILE")]]
Folder: TypeAlias = Positional[Annotated[Path, arg(metavar="DIR")]]


def export(
    path: Data,
    *,
    to: Literal["mofa", "move", "r"],
    out: Path,
    views: tuple[str, ...] | None = None,
    hide: float = 0.0,
    seed: int = 0,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Path:
    """Write a cohort as outside software reads it: tables, masks, order of samples, seed.

    Args:
      path: folder with one table per view, or an .h5mu or .h5ad file.
      to: mofa (mofapy2, MOFA2), move (move-dl) or r (any R package).
      out: folder to write.
      views: write these views only.
      hide: share of the measured cells to hide from the tool, and to keep in truth/ so that its
        estimates of them can be scored.
      seed: of the hidden cells, and for the tool.
      overwrite: replace an existing export.
      quiet: print no notes.

    Returns:
      The folder.
    """
    refuse_folder(out, overwrite and (out / ABOUT).is_file())
    if not 0 <= seed < 2**32:
        raise InputError(f"expected a seed from 0 to {2**32 - 1}, found {seed}; choose another")
    cohort = read_cohort(path, views=views)
    if out.is_dir():
        if path.resolve().is_relative_to(out.resolve()):
            raise InputError(f"{path} lies in {out}, which would be replaced; choose another --out")
        shutil.rmtree(out)
    record = export_cohort(cohort, out, to, seed=seed, hide=hide)
    told = [
        f"{view}: {found['hidden']:,} of {found['measured']:,} measured cells hidden"
        for view, found in record["views"].items()
    ]
    tell(told if hide else [], quiet=quiet)
    return out


def import_latent(
    file: Table,
    *,
    out: Path,
    exported: Path | None = None,
    transposed: Flag = False,
    csv: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Path:
    """Read the latent space of any tool into the table that `embed` writes.

    Args:
      file: samples x dimensions, ids in the first column: .csv, .tsv, .parquet; with --exported
        also numbers without names in the exported order, as text or .npy.
      out: table to write, .parquet or .csv.
      exported: folder that `jaxomics export` wrote for the tool.
      transposed: the file is dimensions x samples.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.
      quiet: print no notes.

    Returns:
      The table's path.
    """
    refuse_file(out, overwrite)
    source = None if exported is None else read_export(exported)
    table = read_latent(file, source, transposed=transposed)
    absent = 0 if source is None else len(source.samples.difference(table.index))
    tell([f"{absent} exported samples are not in {file}"] if absent else [], quiet=quiet)
    about = {} if source is None else {"exported": source.about}
    write_table(table.reset_index(), out, about, csv=csv, overwrite=overwrite)
    return out


def import_recon(
    folder: Folder,
    *,
    exported: Path,
    out: Path,
    transposed: Flag = False,
    csv: Flag = False,
    overwrite: Flag = False,
    quiet: Flag = False,
) -> Path:
    """Read the estimates of any tool into the tables that `impute --full` writes.

    Writes VIEW.parquet, and measured_VIEW.parquet, true where the tool was shown a value.

    Args:
      folder: one table per view, samples x features; .csv, .tsv, .parquet or .npy.
      exported: folder that `jaxomics export` wrote for the tool.
      out: folder to write.
      transposed: the tables are features x samples.
      csv: also write CSV beside parquet.
      overwrite: replace existing files.
      quiet: print no notes.

    Returns:
      The folder.
    """
    refuse_folder(out, overwrite)
    source = read_export(exported)
    tables = read_recon(folder, source, transposed=transposed)
    notes = [f"{view}: no table in {folder}" for view in source.features if view not in tables]
    for view, table in tables.items():
        empty = float(table.isna().to_numpy().mean())
        notes += [f"{view}: {empty:.1%} of the cells have no estimate"] if empty else []
        mask = source.mask(view).reindex(index=table.index, columns=table.columns)
        about = {"exported": source.about}
        for name, written in ((view, table), (f"measured_{view}", mask)):
            write_table(written, out / f"{name}.parquet", about, csv=csv, overwrite=overwrite)
    tell(notes, quiet=quiet)
    return out
