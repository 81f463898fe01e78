"""The cell-line cohort of Cai et al. 2024, from the downloaded files of a DepMap release.

`load_depmap` reads whatever files of a folder it knows, brings all lines to Cell Model Passports
ids and returns the views under the names of the paper. It also says of each view whether it was
measured: a download that looks like measured methylation is MOSA's own output, and a model must
not be validated against itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd

from jaxomics.data.cohorts import depmap_tables as tables
from jaxomics.data.cohorts.identifiers import TISSUES, Notes, SampleSheet, read_sample_sheets
from jaxomics.data.container import MultiOmics
from jaxomics.data.scaling import scale_crispr
from jaxomics.errors import InputError, unknown

VIEWS = (
    "proteomics",
    "metabolomics",
    "drugresponse",
    "crisprcas9",
    "methylation",
    "transcriptomics",
    "copynumber",
)
"""The seven views of Cai et al. 2024, in their order."""

PAPER_CONDITIONALS = ("tissue", "day4_day1_ratio", "doubling_time_hours", "mutations", "msi")
"""Conditionals of Cai et al. 2024: 31 tissues, 2 growth columns, 203 driver genes, 1 MSI.

The published text adds fusions, the published matrix does not have them.
"""

SYNTHETIC_METHYLATION = (1523, 14608)
"""Lines and genes of MOSA's completed methylation, which is also offered as a download."""

_COUNTS = "OmicsExpressionGenesExpectedCountProfile.csv*"
_TPM = ("OmicsExpressionProteinCodingGenesTPMLogp1.csv*", "OmicsExpressionTPMLogp1Human*.csv*")
_VOOM = ("transcriptomics.csv*", "*voom*.csv*")


class Provenance(Enum):
    """Where the values of a view come from."""

    MEASURED = "measured"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Release:
    """File names of a release, as patterns, the preferred one first."""

    transcriptomics: tuple[str, ...]


RELEASES = {
    "23Q2": Release((*_VOOM, _COUNTS, *_TPM)),
    "24Q4": Release((*_TPM, *_VOOM, _COUNTS)),
}
"""Releases that are known; expression differs, the other names are the same."""

FILES = {
    "sanger_sheet": ("model_list_*.csv*",),
    "broad_sheet": ("Model.csv*", "sample_info.csv*"),
    "profiles": ("OmicsDefaultModelProfiles.csv*", "OmicsProfiles.csv*"),
    "essential": ("EssentialGenes.csv",),
    "nonessential": ("NonessentialGenes.csv",),
    "growth": ("growth_rate_*.csv*",),
    "mutations": ("mutations_summary_*.csv*",),
    "fusions": ("Fusions_*.txt*",),
    "drug_targets": ("*drug*target*.csv*",),
    "proteomics": ("proteomics.csv*",),
    "metabolomics": ("metabolomics.csv*",),
    "drugresponse": ("drugresponse.csv*", "GDSC2_fitted_dose_response*.csv*"),
    "drugresponse_gdsc1": ("GDSC1_fitted_dose_response*.csv*",),
    "crisprcas9": ("CRISPRGeneEffect.csv*",),
    "methylation": ("methylation.csv*",),
    "copynumber": ("cnv_summary_*.csv*",),
}
"""Patterns of file names by content; the last of several matches, the newest date, is read."""


def load_depmap(
    folder: str | Path,
    release: str = "23Q2",
    files: Mapping[str, str | Path] | None = None,
    fusions: bool = False,
    min_views: int = 2,
) -> MultiOmics:
    """Read a folder of downloads into one cohort.

    Views are those of `VIEWS` that have a file, `mutations` (driver genes mutated in 15 lines
    or more, 0/1) and, if asked, `fusions` (5 lines or more). Gene effects are scaled when both
    reference gene sets are there. Lines are kept if a sample sheet lists them and `min_views`
    of the seven views measure them. Labels hold `PAPER_CONDITIONALS` and descriptions;
    `tissue` is categorical with all 31 levels, so that its one-hots do not depend on the lines.
    The feature tables hold a column `provenance`, and drug targets where a file gives them.

    Args:
      folder: where the files lie, under the names that their publishers gave them (`FILES`).
      release: `23Q2` or `24Q4`.
      files: names of files that are called otherwise, by content (keys of `FILES`, or
        `transcriptomics`), relative to the folder.
      fusions: add the view of gene fusions.
      min_views: fewest of the seven views per line.

    Raises:
      InputError: unknown release or content, no sample sheet, no file of any view.
    """
    if release not in RELEASES:
        raise unknown("release", release, RELEASES)
    paths = _find_files(Path(folder), RELEASES[release], dict(files or {}))
    notes = Notes()
    sheet = read_sample_sheets(paths.get("sanger_sheet"), paths.get("broad_sheet"), notes)
    views, origin = {}, {}
    for name in (name for name in VIEWS if name in paths):
        raw = _read_view(name, paths, sheet, notes)
        origin[name] = provenance(paths[name], raw)
        views[name] = sheet.rename(raw, name, notes)
    if not views:
        raise InputError(
            f"expected files of some view ({', '.join(VIEWS)}) in {folder}, found none; see "
            "jaxomics.data.cohorts.depmap.FILES for the names"
        )
    lines = _lines(views, min_views, notes)
    views |= _alterations(paths, sheet, fusions, notes)
    views = {name: table.loc[table.index.isin(lines)] for name, table in views.items()}
    views = {name: table for name, table in views.items() if table.size}
    labels = _labels(sheet, paths, notes).loc[lines]
    features = {name: _features(name, views[name], origin, paths) for name in views}
    return MultiOmics.from_tables(views, labels, features, notes.table())


def provenance(path: str | Path, table: pd.DataFrame) -> Provenance:
    """Say whether a file holds measurements, or the output of MOSA.

    Its tables are known by name (`*_imputed_*`, `*_latent_joint*`), and its methylation by
    shape: 1,523 lines x 14,608 genes without a single missing value, in either orientation.
    """
    name = Path(path).name
    if "_imputed_" in name or "_latent_joint" in name:
        return Provenance.SYNTHETIC
    same = sorted(table.shape) == sorted(SYNTHETIC_METHYLATION)
    complete = same and not table.isna().to_numpy().any()
    return Provenance.SYNTHETIC if complete else Provenance.MEASURED


def view_provenance(cohort: MultiOmics, view: str) -> Provenance:
    """Return the provenance that `load_depmap` recorded; measured where nothing is recorded."""
    cohort.view(view)
    recorded = cohort.features.get(view, pd.DataFrame())
    synthetic = "provenance" in recorded and "synthetic" in set(recorded["provenance"])
    return Provenance.SYNTHETIC if synthetic else Provenance.MEASURED


def validation_truth(cohort: MultiOmics, view: str, allow_synthetic: bool = False) -> pd.DataFrame:
    """Return a view to validate against [lines measured, features], refusing model output.

    Raises:
      InputError: the view is synthetic and `allow_synthetic` is False.
    """
    if view_provenance(cohort, view) is Provenance.SYNTHETIC and not allow_synthetic:
        raise InputError(
            f"view {view!r}: expected measurements, found MOSA's own output, which cannot "
            "validate a model; use the measured table, or pass allow_synthetic=True"
        )
    return cohort.view(view)


def _find_files(folder: Path, release: Release, given: dict) -> dict[str, Path]:
    """Return the path of each content that is there."""
    if not folder.is_dir():
        raise InputError(f"expected a folder of downloads, found no folder {folder}")
    patterns = {**FILES, "transcriptomics": release.transcriptomics}
    found = {}
    for content, names in patterns.items():
        matches = (sorted(folder.glob(pattern)) for pattern in names)
        first = next((paths[-1] for paths in matches if paths), None)
        if first is not None:
            found[content] = first
    for content, name in given.items():
        if content not in patterns:
            raise unknown("content", content, patterns)
        if not (folder / name).exists():
            raise InputError(f"{content}: expected the file {folder / name}, found none")
        found[content] = folder / name
    return found


def _read_view(
    name: str, paths: Mapping[str, Path], sheet: SampleSheet, notes: Notes
) -> pd.DataFrame:
    """Return the table of a view under the ids of its file."""
    path = paths[name]
    if "_imputed_" in path.name:
        return tables.read_released(path)
    if name == "crisprcas9":
        return _scaled(tables.read_crispr(path, notes), paths, notes)
    if name == "transcriptomics" and "ExpectedCount" in path.name:
        if "profiles" not in paths:
            raise InputError(
                f"{path.name}: expected OmicsDefaultModelProfiles.csv or OmicsProfiles.csv beside "
                "it, found neither; profiles cannot be mapped to models without"
            )
        return tables.read_expected_counts(path, paths["profiles"], notes)
    if name == "transcriptomics":
        return tables.read_expression(path, notes)
    if name == "drugresponse":
        return _both_screens(path, paths.get("drugresponse_gdsc1"))
    if name == "copynumber":
        return tables.read_copy_number(path)
    return tables.read_matrix(path, set(sheet.ids))


def _both_screens(path: Path, gdsc1: Path | None) -> pd.DataFrame:
    """Return drug responses; the long file of GDSC2 is joined by that of GDSC1 if there is one."""
    table = tables.read_drug_response(path)
    if gdsc1 is None or not path.name.startswith("GDSC2_"):
        return table
    return table.join(tables.read_drug_response(gdsc1), how="outer")


def _scaled(table: pd.DataFrame, paths: Mapping[str, Path], notes: Notes) -> pd.DataFrame:
    """Return gene effects scaled by the reference sets, or as they are, noted."""
    if "essential" not in paths or "nonessential" not in paths:
        notes.add("crisprcas9", "view", ["crisprcas9"], "not scaled: no reference gene sets")
        return table
    sets = (tables.read_gene_set(paths[name]) for name in ("essential", "nonessential"))
    return scale_crispr(table, *sets)


def _lines(views: Mapping[str, pd.DataFrame], min_views: int, notes: Notes) -> pd.Index:
    """Return the sorted lines that enough views measure."""
    lines, count = np.unique(
        np.concatenate([table.index.to_numpy(str) for table in views.values()]), return_counts=True
    )
    few, kept = lines[count < min_views], lines[count >= min_views]
    notes.add("", "sample", few, f"measured in fewer than {min_views} views")
    if not len(kept):
        raise InputError(
            f"expected lines measured in {min_views} views, found none in {', '.join(views)}; add "
            "files of further views, or lower min_views"
        )
    return pd.Index(kept, name="sample")


def _alterations(
    paths: Mapping[str, Path], sheet: SampleSheet, fusions: bool, notes: Notes
) -> dict[str, pd.DataFrame]:
    """Return the views of driver mutations and gene fusions that are there and asked for."""
    readers = {"mutations": tables.read_mutations}
    if fusions:
        readers["fusions"] = tables.read_fusions
    return {
        name: sheet.rename(reader(paths[name]), name, notes)
        for name, reader in readers.items()
        if name in paths
    }


def _labels(sheet: SampleSheet, paths: Mapping[str, Path], notes: Notes) -> pd.DataFrame:
    """Return tissue, growth, MSI (1, 0, missing) and descriptions of every line of the sheet."""
    models = sheet.models
    labels = models[["tissue", "cancer_type", "growth_properties", "growth_pattern"]].copy()
    labels["tissue"] = pd.Categorical(models["tissue"], categories=list(TISSUES))
    labels["msi"] = models["msi_status"].map({"MSI": 1.0, "MSS": 0.0}.get).astype(np.float64)
    labels["model_name"], labels["broad_id"] = models["model_name"], models["BROAD_ID"]
    if "growth" in paths:
        growth = sheet.rename(tables.read_growth(paths["growth"]), "growth", notes)
        labels = labels.join(growth)
    return labels.dropna(axis=1, how="all")


def _features(
    name: str,
    table: pd.DataFrame,
    origin: Mapping[str, Provenance],
    paths: Mapping[str, Path],
) -> pd.DataFrame:
    """Return the feature table of a view: provenance, and targets of drugs."""
    value = origin.get(name, Provenance.MEASURED).value
    out = pd.DataFrame({"provenance": value}, index=table.columns)
    if name == "drugresponse" and "drug_targets" in paths:
        targets = tables.read_drug_targets(paths["drug_targets"])
        out["putative_gene_target"] = targets[~targets.index.duplicated()].reindex(out.index)
    return out
