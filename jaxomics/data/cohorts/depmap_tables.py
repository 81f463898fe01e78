"""The published tables of DepMap, Cell Model Passports, GDSC and the MOSA release, one reader each.

Every reader returns rows = cell lines under the ids of the file (`ACH-`, `SIDM`, CCLE names);
`SampleSheet.rename` brings them together. Tables are comma separated unless a reader says
otherwise, and may be gzipped.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from jaxomics.data.cohorts.identifiers import Notes
from jaxomics.data.scaling import ordinal_copy_number
from jaxomics.errors import InputError

_LINE = re.compile(r"^(SIDM\d+|ACH-\d+|PR-\w+)$")


def read_matrix(path: str | Path, lines: set[str] | None = None) -> pd.DataFrame:
    """Read a numeric table and turn it to [lines, features], whichever way it was stored.

    The axis with more cell-line ids becomes the rows.

    Args:
      path: the file; its first column names the rows.
      lines: further ids to recognise (CCLE names, drug-screen names); SIDM, ACH and profile
        ids always are.

    Raises:
      InputError: no cell-line id on either axis.
    """
    table = pd.read_csv(path, index_col=0)
    known = lines or set()
    rows, columns = (
        sum(bool(_LINE.match(str(name))) or str(name) in known for name in axis)
        for axis in (table.index, table.columns)
    )
    if rows == columns == 0:
        raise InputError(
            f"{Path(path).name}: expected cell-line ids (SIDM..., ACH-...) in rows or columns, "
            f"found {table.index[0]!r} and {table.columns[0]!r}"
        )
    out = table if rows >= columns else table.T
    return out.set_axis([str(n) for n in out.index], axis=0).rename_axis(None, axis=1)


def read_crispr(path: str | Path, notes: Notes) -> pd.DataFrame:
    """Read `CRISPRGeneEffect.csv`: rows ACH ids, columns `SYMBOL (ENTREZ)` cut to symbols."""
    return _symbols(read_matrix(path), "crisprcas9", notes)


def read_expression(path: str | Path, notes: Notes) -> pd.DataFrame:
    """Read finished expression: voom log2-CPM (genes x lines) or DepMap's log2(TPM + 1).

    24Q4 has rows of ModelIDs; from 2025 on, id columns stand before the genes and only the
    default entry of each model counts.
    """
    head = pd.read_csv(path, nrows=0).columns
    if "IsDefaultEntryForModel" not in head:
        return _symbols(read_matrix(path), "transcriptomics", notes)
    table = pd.read_csv(path).drop(columns=[c for c in head if c.startswith("Unnamed")])
    default = table["IsDefaultEntryForModel"].astype(str).isin(["Yes", "True"])
    table = table.loc[default].set_index("ModelID")
    ids = ["SequencingID", "ModelConditionID", "IsDefaultEntryForMC", "IsDefaultEntryForModel"]
    return _symbols(table.drop(columns=[c for c in ids if c in table]), "transcriptomics", notes)


def read_expected_counts(path: str | Path, profiles: str | Path, notes: Notes) -> pd.DataFrame:
    """Read `OmicsExpressionGenesExpectedCountProfile.csv` and bring it to log2-CPM per model.

    Profiles with more than 40 % zero genes are dropped, then `voom_log_cpm`. `profiles` is
    `OmicsDefaultModelProfiles.csv` or `OmicsProfiles.csv` (`ProfileID`, `ModelID`); where a
    model has several profiles, the first row of that table stands.
    """
    counts = read_matrix(path).fillna(0.0)
    sparse = (counts == 0).mean(axis=1) > 0.4
    notes.add("transcriptomics", "sample", counts.index[sparse], "more than 40 % zero genes")
    table = _columns(profiles, ["ProfileID", "ModelID"]).dropna().drop_duplicates("ProfileID")
    model = table.loc[table["ProfileID"].isin(counts.index[~sparse])]
    lost = counts.index[~sparse].difference(pd.Index(model["ProfileID"]))
    notes.add("transcriptomics", "sample", lost, "profile without a model")
    again = model["ModelID"].duplicated()
    notes.add("transcriptomics", "sample", model.loc[again, "ProfileID"], "a further profile")
    model = model.loc[~again]
    values = voom_log_cpm(counts.loc[model["ProfileID"]].to_numpy(np.float64))
    out = pd.DataFrame(values, pd.Index(model["ModelID"]), counts.columns)
    return _symbols(out, "transcriptomics", notes)


def voom_log_cpm(counts: np.ndarray) -> np.ndarray:
    """Return `log2((count + 0.5) / (library size + 1) * 1e6)` [samples, genes].

    The transform of voom (Law et al. 2014) with plain library sizes: TMM normalisation and the
    precision weights of limma are left out.

    >>> voom_log_cpm(np.array([[1.5, 0.5]])).round(3).tolist()
    [[19.347, 18.347]]
    """
    library = counts.sum(axis=1, keepdims=True)
    return np.log2((counts + 0.5) / (library + 1.0) * 1e6)


def read_drug_response(path: str | Path, value: str = "LN_IC50") -> pd.DataFrame:
    """Read GDSC responses, wide or long, to [lines, `DRUGID;NAME;DATASET`].

    Wide tables hold one row per drug; long ones `SANGER_MODEL_ID`, `DRUG_ID`, `DRUG_NAME` and
    the value, where repeated measurements are averaged. Without a `DATASET` column the file
    name says GDSC1 or GDSC2.
    """
    head = pd.read_csv(path, nrows=0).columns
    if "SANGER_MODEL_ID" not in head:
        return read_matrix(path)
    return _pivot_drugs(path, value, "mean")


def read_max_concentration(path: str | Path) -> pd.Series:
    """Read the highest tested concentration (µM) per `DRUGID;NAME;DATASET` from a long file."""
    return _pivot_drugs(path, "MAX_CONC", "max").max().rename("max_concentration")


def read_drug_targets(path: str | Path) -> pd.Series:
    """Read putative targets per drug: index `DRUGID;NAME;DATASET`, genes separated by `;`."""
    table = _columns(path, ["putative_gene_target"], index_col=0)
    return table["putative_gene_target"]


def read_copy_number(path: str | Path) -> pd.DataFrame:
    """Read `cnv_summary_*.csv` (`model_id, symbol, cn_category`) to [lines, genes], -2 to 2."""
    return ordinal_copy_number(_columns(path, ["model_id", "symbol", "cn_category"]))


def read_mutations(path: str | Path, min_lines: int = 15) -> pd.DataFrame:
    """Read driver mutations to 0/1 [lines of the file, genes mutated in >= `min_lines` lines]."""
    table = _columns(path, ["model_id", "gene_symbol", "cancer_driver"])
    driver = table["cancer_driver"].astype(str).str.lower().isin(["true", "t", "1", "1.0"])
    return _presence(table, table["gene_symbol"].where(driver), min_lines)


def read_fusions(path: str | Path, min_lines: int = 5) -> pd.DataFrame:
    """Read `Fusions_*.txt` (comma separated) to 0/1 [lines, `3primeGene_5primeGene`]."""
    table = _columns(path, ["model_id", "gene_symbol_3prime", "gene_symbol_5prime"])
    pair = table["gene_symbol_3prime"] + "_" + table["gene_symbol_5prime"]
    return _presence(table, pair, min_lines)


def read_growth(path: str | Path) -> pd.DataFrame:
    """Read `growth_rate_*.csv`: growth per line; repeated measurements are averaged."""
    names = ["day4_day1_ratio", "doubling_time_hours"]
    table = _columns(path, ["model_id", *names])
    return table.groupby("model_id")[names].mean()


def read_gene_set(path: str | Path) -> list[str]:
    """Read a reference gene set: **tab** separated despite its csv name, column `gene`."""
    table = pd.read_csv(path, sep="\t")
    if "gene" not in table:
        raise InputError(
            f"{Path(path).name}: expected a tab-separated table with the column 'gene', found "
            f"{', '.join(map(str, table.columns[:3]))}"
        )
    return sorted(set(table["gene"].dropna().astype(str)))


def read_ctd2(path: str | Path, lines: set[str] | None = None) -> pd.DataFrame:
    """Read CTRPv2 areas under the curve to [lines, drugs]; names upper-cased, last of a name."""
    table = read_matrix(path, lines)
    table.columns = table.columns.astype(str).str.upper()
    return table.loc[:, ~table.columns.duplicated(keep="last")]


def read_predictability(path: str | Path) -> pd.DataFrame:
    """Read DepMap's supervised models: columns gene (symbol), model, pearson, best (bool)."""
    table = _columns(path, ["gene", "model", "pearson", "best"])
    best = table["best"].astype(str).str.lower() == "true"
    return table.assign(gene=table["gene"].str.split(" ").str[0], best=best)


def read_released(path: str | Path) -> pd.DataFrame:
    """Read a table of the MOSA release: `*_imputed_<view>.csv.gz` or `*_latent_joint.csv.gz`.

    The values are the model's output, not measurements, wherever the model had to fill.
    """
    table = pd.read_csv(path, index_col=0)
    return table.set_axis([str(n) for n in table.index], axis=0).rename_axis("sample")


def _columns(path: str | Path, names: list[str], index_col: int | None = None) -> pd.DataFrame:
    """Return these columns of a table, or raise naming those that are not there."""
    table = pd.read_csv(path, index_col=index_col, low_memory=False)
    lacking = [name for name in names if name not in table]
    if lacking:
        raise InputError(
            f"{Path(path).name}: expected the columns {', '.join(names)}, found no "
            f"{', '.join(lacking)}; it has {', '.join(map(str, table.columns[:8]))}"
        )
    return table.loc[:, names]


def _pivot_drugs(path: str | Path, value: str, repeats: str) -> pd.DataFrame:
    """Return a long GDSC table as [lines, drugs]."""
    head = pd.read_csv(path, nrows=0).columns
    names = ["SANGER_MODEL_ID", "DRUG_ID", "DRUG_NAME", value]
    if "DATASET" in head:
        table = _columns(path, [*names, "DATASET"])
    else:
        found = re.search(r"GDSC[12]", Path(path).name.upper())
        if found is None:
            raise InputError(
                f"{Path(path).name}: expected a column DATASET or GDSC1/GDSC2 in the file name"
            )
        table = _columns(path, names).assign(DATASET=found.group())
    parts = [table[name].astype(str) for name in ("DRUG_ID", "DRUG_NAME", "DATASET")]
    drug = parts[0] + ";" + parts[1] + ";" + parts[2]
    return table.assign(drug=drug).pivot_table(
        index="SANGER_MODEL_ID",
        columns="drug",
        values=value,
        aggfunc=repeats,  # pyright: ignore[reportArgumentType]
    )


def _presence(table: pd.DataFrame, items: pd.Series, min_lines: int) -> pd.DataFrame:
    """Return 0/1 [all lines of the table, items seen in enough of them]."""
    pairs = pd.DataFrame({"model_id": table["model_id"], "item": items}).dropna().drop_duplicates()
    count = pairs["item"].value_counts()
    kept = sorted(count.index[count >= min_lines])
    lines = pd.Index(sorted(table["model_id"].dropna().unique()), name="model_id")
    seen = pd.crosstab(pairs["model_id"], pairs["item"])
    return seen.reindex(index=lines, columns=kept, fill_value=0).astype(np.float32)


def _symbols(table: pd.DataFrame, view: str, notes: Notes) -> pd.DataFrame:
    """Cut `SYMBOL (ID)` to the symbol; of repeated symbols the first column stands, noted."""
    names = pd.Index([str(name).split(" ")[0] for name in table.columns])
    again = names.duplicated()
    notes.add(view, "feature", table.columns[again], "a further column of the same symbol")
    return table.set_axis(names, axis=1).loc[:, ~again]
