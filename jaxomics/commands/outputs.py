"""Checks before any work is done: can the result be written where the user wants it?"""

from pathlib import Path

from jaxomics.errors import InputError

WRITABLE = (".parquet", ".csv", ".tsv")
"""Endings of tables that are written."""


def refuse_file(out: Path | None, overwrite: bool) -> None:
    """Raise if a table cannot be written under a name; None is no table.

    Raises:
      InputError: an unknown ending, a folder of that name, or a file without `overwrite`.
    """
    if out is None:
        return
    if not out.name.endswith(WRITABLE):
        raise InputError(f"{out}: expected a name ending in {', '.join(WRITABLE)}; rename it")
    if out.is_dir():
        raise InputError(f"{out}: expected a file to write, found a folder; choose another name")
    if out.exists() and not overwrite:
        raise InputError(f"{out} exists; choose another name, or overwrite it with --overwrite")


def refuse_folder(out: Path, overwrite: bool) -> None:
    """Raise if tables cannot be written to a folder.

    Raises:
      InputError: a file of that name, or a folder that is not empty without `overwrite`.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder to write to, found a file; choose another name")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise InputError(
            f"{out} holds files already; choose another folder, or overwrite with --overwrite"
        )
