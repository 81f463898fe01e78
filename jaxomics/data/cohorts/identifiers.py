"""Cell-line identifiers: the two sample sheets, one id per line, and tissues in one vocabulary.

The canonical id is the model id of Cell Model Passports (`SIDM00001`). DepMap tables carry
`ACH-000001`, older ones CCLE names or COSMIC numbers. Rules of Cai et al. 2024: both sheets are
stacked with the Sanger sheet first, so that its entries win.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from jaxomics.data.container import DROPPED_COLUMNS
from jaxomics.errors import InputError

TISSUES = (
    "Adrenal Gland", "Biliary Tract", "Bladder", "Bone", "Breast", "Central Nervous System",
    "Cervix", "Endometrium", "Esophagus", "Eye", "Haematopoietic and Lymphoid", "Head and Neck",
    "Kidney", "Large Intestine", "Liver", "Lung", "Other tissue", "Ovary", "Pancreas",
    "Peripheral Nervous System", "Placenta", "Prostate", "Skin", "Small Intestine", "Soft Tissue",
    "Stomach", "Testis", "Thyroid", "Unknown", "Uterus", "Vulva",
)  # fmt: skip
"""The 31 tissues of Cai et al. 2024, in the order of their conditionals."""

COLLECTION_SITES = {
    "large_intestine": "Large Intestine",
    "lung": "Lung",
    "ovary": "Ovary",
    "upper_aerodigestive_tract": "Other tissue",
    "ascites": "Other tissue",
    "pleural_effusion": "Other tissue",
    "haematopoietic_and_lymphoid_tissue": "Haematopoietic and Lymphoid",
    "bone_marrow": "Other tissue",
}
"""Tissue of a collection site of DepMap's sheet, where the name alone does not say it."""

REMOVED_LINES = ("SIDM00189", "SIDM00650")
"""Lines that Cai et al. 2024 removed by hand."""

_SHEET_NAMES = {
    "ModelID": "BROAD_ID",
    "DepMap_ID": "BROAD_ID",
    "SangerModelID": "model_id",
    "Sanger_Model_ID": "model_id",
    "SampleCollectionSite": "tissue",
    "sample_collection_site": "tissue",
    "OncotreeLineage": "cancer_type",
    "GrowthPattern": "growth_pattern",
    "CCLEName": "CCLE_ID",
    "CCLE_Name": "CCLE_ID",
    "COSMICID": "COSMIC_ID",
    "StrippedCellLineName": "model_name",
}
_REQUIRED = ["model_id", "BROAD_ID", "tissue", "cancer_type"]
_SHEET_COLUMNS = [
    *_REQUIRED, "CCLE_ID", "COSMIC_ID", "model_name", "growth_properties", "growth_pattern",
    "msi_status", "model_type",
]  # fmt: skip


class Notes:
    """Collects what a loader leaves out or decides, as rows of `DROPPED_COLUMNS`."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, str]] = []

    def add(self, view: str, item: str, names, reason: str) -> None:
        """Append one row per name."""
        self.rows += [(view, item, str(name), reason) for name in names]

    def table(self) -> pd.DataFrame:
        """Return the rows, without repeats."""
        rows = list(dict.fromkeys(self.rows))
        return pd.DataFrame(rows, columns=DROPPED_COLUMNS, dtype=str)


@dataclass(frozen=True)
class SampleSheet:
    """One row per cell line, and the way from every other id to the canonical one.

    Attributes:
      models: indexed by model id, sorted; tissue in the vocabulary `TISSUES`.
      ids: model id by any known id (model id, BROAD_ID, CCLE_ID, COSMIC_ID).
    """

    models: pd.DataFrame
    ids: dict[str, str]

    def rename(
        self,
        table: pd.DataFrame,
        view: str,
        notes: Notes,
        duplicates: Literal["first", "mean", "error"] = "first",
    ) -> pd.DataFrame:
        """Return a table [lines, features] under canonical ids.

        Lines that no sheet knows are left out. Rows that become the same line are a decision:
        keep the first, average them, or stop; all is noted.

        Raises:
          InputError: no id is known, or ids collide with `duplicates="error"`.
        """
        old = pd.Index([_text_id(name) for name in table.index])
        new = pd.Index([self.ids.get(name, "") for name in old], name="sample")
        if not (new != "").any():
            raise InputError(
                f"view {view!r}: expected cell-line ids of the sample sheets, found "
                f"{', '.join(map(repr, old[:3]))}; give the sheets that list them"
            )
        notes.add(view, "sample", old[new == ""], "in no sample sheet")
        out = table.loc[new != ""].set_axis(new[new != ""], axis=0)
        repeated = out.index.duplicated()
        if not repeated.any():
            return out
        if duplicates == "error":
            first = out.index[repeated][0]
            raise InputError(f"view {view!r}: expected one row for {first!r}, found several")
        names = old[new != ""][repeated]
        done = "kept the first" if duplicates == "first" else "averaged"
        notes.add(view, "sample", names, f"another row of the same line: {done}")
        return out[~repeated] if duplicates == "first" else out.groupby(level=0).mean()


def read_sample_sheets(
    sanger: str | Path | None, broad: str | Path | None, notes: Notes
) -> SampleSheet:
    """Read and stack the sheets of Cell Model Passports and of DepMap.

    Only rows with model id, BROAD_ID, tissue and cancer type count; per line and column the
    first known value stands, so the Sanger sheet wins. DepMap gives a collection site for
    tissue; its names differ between releases (`ModelID` or `DepMap_ID`, and so on).

    Args:
      sanger: `model_list_*.csv`, or None.
      broad: `Model.csv`, or None.
      notes: takes tissues that could not be mapped, and removed lines.

    Raises:
      InputError: no sheet, a sheet without the columns needed, or without a complete row.
    """
    paths = [path for path in (sanger, broad) if path is not None]
    if not paths:
        raise InputError("expected a sample sheet (model_list_*.csv or Model.csv), found none")
    stacked = pd.concat([_read_sheet(Path(path)) for path in paths], ignore_index=True)
    removed = stacked["model_id"].isin(REMOVED_LINES)
    notes.add("", "sample", sorted(set(stacked.loc[removed, "model_id"])), "removed by hand")
    stacked = stacked.loc[~removed]
    if stacked.empty:
        raise InputError("expected lines in the sample sheets, found no row with all of "
                         f"{', '.join(_REQUIRED)}")  # fmt: skip
    stacked["tissue"] = harmonise_tissue(stacked["tissue"], notes)
    models = stacked.groupby("model_id", sort=True).first()
    ids: dict[str, str] = {}
    for column in ("model_id", "BROAD_ID", "CCLE_ID", "COSMIC_ID"):
        for name, model in zip(stacked[column], stacked["model_id"], strict=True):
            if pd.notna(name):
                ids.setdefault(_text_id(name), model)
    return SampleSheet(models, ids)


def harmonise_tissue(values: pd.Series, notes: Notes) -> pd.Series:
    """Return tissues in the vocabulary `TISSUES`; what cannot be mapped is `Unknown`, and noted.

    >>> sites = pd.Series(["Lung", "soft_tissue", "ascites", "moon"])
    >>> harmonise_tissue(sites, Notes()).tolist()
    ['Lung', 'Soft Tissue', 'Other tissue', 'Unknown']
    """
    plain = {tissue.lower(): tissue for tissue in TISSUES}
    mapped = {}
    for value in values.unique():
        key = str(value).strip().lower()
        found = COLLECTION_SITES.get(key, plain.get(key.replace("_", " ")))
        if found is None:
            count = int((values == value).sum())
            notes.add("labels", "tissue", [value], f"not mapped in {count} rows: Unknown")
        mapped[value] = found or "Unknown"
    return values.map(mapped.get)


def _read_sheet(path: Path) -> pd.DataFrame:
    """Return the complete rows of one sheet under the common column names."""
    sheet = pd.read_csv(path, dtype=str)
    names = {old: new for old, new in _SHEET_NAMES.items() if old in sheet and new not in sheet}
    sheet = sheet.rename(columns=names)
    lacking = [column for column in _REQUIRED if column not in sheet]
    if lacking:
        raise InputError(
            f"{path.name}: expected the columns {', '.join(_REQUIRED)} of a sample sheet (or "
            f"DepMap's names for them), found no {', '.join(lacking)}"
        )
    return sheet.reindex(columns=_SHEET_COLUMNS).dropna(subset=_REQUIRED)


def _text_id(name: object) -> str:
    """Return an id as text; numbers read as floats lose their '.0'."""
    return str(name).strip().removesuffix(".0")
