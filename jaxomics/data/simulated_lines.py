"""Simulated cell lines: tissue, growth, driver mutations and the hidden programs behind the views.

Everything here is a property of a line, drawn before any view is measured. Frequencies follow
the rough order seen in cancer cell line collections; they are not fitted to any data set.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

PROGRAMS = 10
"""Number of continuous programs that all views share; program 0 is proliferation."""

BLOOD = "Haematopoietic and Lymphoid"

TISSUES: dict[str, float] = {
    BLOOD: 18, "Lung": 15, "Central Nervous System": 8, "Large Intestine": 6, "Breast": 6,
    "Skin": 6, "Ovary": 5, "Head and Neck": 5, "Pancreas": 4, "Kidney": 4, "Bone": 4,
    "Peripheral Nervous System": 3.5, "Stomach": 3.5, "Esophagus": 3, "Bladder": 2.5,
    "Liver": 2.5, "Soft Tissue": 2.5, "Endometrium": 2, "Thyroid": 1.5, "Biliary Tract": 1.5,
    "Cervix": 1.5, "Eye": 1, "Prostate": 0.8, "Testis": 0.4, "Other tissue": 0.4,
    "Placenta": 0.2, "Small Intestine": 0.2, "Uterus": 0.3, "Vulva": 0.2, "Adrenal Gland": 0.2,
    "Unknown": 0.3,
}  # fmt: skip
"""The 31 tissues of Cai et al. 2024 and how often a line comes from each, as weights."""

NAMED_GENES: tuple[str, ...] = (
    "TP53", "KRAS", "BRAF", "PIK3CA", "NRAS", "MDM2", "EGFR", "ERBB2", "MYC", "CDKN2A",
    "CTNNB1", "RB1", "BCL2", "APC", "PTEN", "CDK4", "WRN", "RAF1", "SHOC2", "SMAD4",
    "ARID1A", "KMT2D", "FBXW7", "NF1", "VHL", "STK11", "KEAP1", "NFE2L2", "BRCA1", "BRCA2",
    "ATM", "IDH1", "NOTCH1", "FLT3", "NPM1", "JAK2", "HRAS", "MAP2K1", "GNAQ", "FGFR3",
    "FGFR2", "MET", "KIT", "PDGFRA", "ALK", "CDH1", "TET2", "DNMT3A", "EZH2", "CREBBP",
    "EP300", "SETD2", "PBRM1", "BAP1", "SMARCA4", "NF2", "TSC1", "TSC2", "PTCH1", "RUNX1",
)  # fmt: skip
"""Genes with real symbols; they open the gene list of every view."""

UNMUTATED = frozenset({"MDM2", "MYC", "BCL2", "CDK4", "WRN", "RAF1", "SHOC2"})
"""Named genes that act through dosage, expression or dependency and have no mutation column."""

MUTATION_RATES: dict[str, float] = {
    "TP53": 0.6, "KRAS": 0.14, "BRAF": 0.08, "PIK3CA": 0.13, "NRAS": 0.07, "PTEN": 0.12,
    "CDKN2A": 0.15, "APC": 0.08, "RB1": 0.10, "ARID1A": 0.10, "KMT2D": 0.10, "NF1": 0.09,
}  # fmt: skip

ENRICHED: dict[str, tuple[str, ...]] = {
    "BRAF": ("Skin", "Thyroid"),
    "NRAS": ("Skin", BLOOD),
    "KRAS": ("Pancreas", "Large Intestine", "Lung"),
    "APC": ("Large Intestine",),
    "SMAD4": ("Pancreas", "Large Intestine"),
    "EGFR": ("Lung",),
    "STK11": ("Lung",),
    "VHL": ("Kidney",),
    "FLT3": (BLOOD,),
    "NPM1": (BLOOD,),
    "GNAQ": ("Eye",),
    "PIK3CA": ("Breast", "Endometrium"),
    "PTEN": ("Endometrium", "Central Nervous System"),
    "FGFR3": ("Bladder",),
}
"""Tissues in which the odds of a mutation are ten times higher."""

MSI_TISSUES = ("Large Intestine", "Endometrium", "Stomach")


@dataclass(frozen=True)
class CellLines:
    """What is true of each line before it is measured; all tables are indexed by sample id.

    Attributes:
      labels: tissue, growth_properties, day4_day1_ratio, doubling_time_hours, msi (bool).
      mutations: 0/1 float32 [samples, genes].
      programs: standard scores of the shared programs, float32 [samples, PROGRAMS].
    """

    labels: pd.DataFrame
    mutations: pd.DataFrame
    programs: pd.DataFrame


def gene_names(count: int) -> list[str]:
    """Return the gene list that all views share: named genes, then GENE0001 and so on.

    At most half of the genes are named, so that a small list has ordinary genes too.

    >>> gene_names(6)
    ['TP53', 'KRAS', 'BRAF', 'GENE0001', 'GENE0002', 'GENE0003']
    """
    named = list(NAMED_GENES[: count // 2])
    return named + [f"GENE{i + 1:04d}" for i in range(count - len(named))]


def draw_lines(rng: np.random.Generator, samples: int, genes: list[str]) -> CellLines:
    """Draw `samples` lines with mutation columns for `genes`.

    Programs mix a tissue centre (half of the variance; blood stands apart) with differences
    between the lines of one tissue. The order of the ids carries no information.
    """
    index = pd.Index([f"SIDM{i + 1:05d}" for i in range(samples)], name="sample")
    weights = np.array(list(TISSUES.values()))
    kinds = rng.choice(len(TISSUES), size=samples, p=weights / weights.sum())
    tissue = np.array(list(TISSUES))[kinds]
    centres = rng.standard_normal((len(TISSUES), PROGRAMS))
    centres[0] += 1.5 * np.sign(centres[0])
    scores = centres[kinds] + rng.standard_normal((samples, PROGRAMS))
    scores = (scores - scores.mean(0)) / scores.std(0)
    msi = rng.random(samples) < np.where(np.isin(tissue, MSI_TISSUES), 0.25, 0.015)
    labels = _growth(rng, tissue, scores[:, 0]).assign(msi=msi).set_index(index)
    names = pd.Index([f"program_{i}" for i in range(PROGRAMS)])
    return CellLines(
        labels,
        pd.DataFrame(_mutations(rng, tissue, msi, genes), index, pd.Index(genes), np.float32),
        pd.DataFrame(scores, index, names, np.float32),
    )


def _growth(
    rng: np.random.Generator, tissue: np.ndarray, proliferation: np.ndarray
) -> pd.DataFrame:
    """Return tissue, growth properties, and two growth rates of which some are missing."""
    samples = len(tissue)
    floats = rng.random(samples) < np.where(tissue == BLOOD, 0.95, 0.04)
    halfway = rng.random(samples) < 0.03
    properties = np.where(floats, "Suspension", np.where(halfway, "Semi-Adherent", "Adherent"))
    speed = proliferation + 0.5 * rng.standard_normal(samples)
    ratio = np.exp(1.3 + 0.35 * speed + 0.2 * rng.standard_normal(samples))
    doubling = np.exp(3.6 - 0.30 * speed + 0.2 * rng.standard_normal(samples))
    return pd.DataFrame(
        {
            "tissue": tissue,
            "growth_properties": properties,
            "day4_day1_ratio": np.where(rng.random(samples) < 0.3, np.nan, ratio.round(3)),
            "doubling_time_hours": np.where(rng.random(samples) < 0.4, np.nan, doubling.round(1)),
        }
    )


def _mutations(
    rng: np.random.Generator, tissue: np.ndarray, msi: np.ndarray, genes: list[str]
) -> np.ndarray:
    """Return bool [samples, genes]; each gene is mutated in at least 1 in 50 lines, and in 3.

    KRAS, NRAS and BRAF exclude each other, as they do in most tumours, unless one of them had
    to be added to reach that minimum.
    """
    others = rng.uniform(0.015, 0.06, size=len(genes))
    rates = np.array([MUTATION_RATES.get(g, r) for g, r in zip(genes, others, strict=True)])
    odds = rates / (1 - rates) * np.where(msi[:, None], 4.0, 1.0)
    for column, gene in enumerate(genes):
        odds[np.isin(tissue, ENRICHED.get(gene, ())), column] *= 10.0
    mutated = rng.random(odds.shape) < odds / (1 + odds)
    pathway = [genes.index(gene) for gene in ("BRAF", "KRAS", "NRAS") if gene in genes]
    for rank, column in enumerate(pathway):
        mutated[mutated[:, pathway[:rank]].any(axis=1), column] = False
    for column in range(len(genes)):
        missing = max(3, len(tissue) // 50) - int(mutated[:, column].sum())
        free = np.flatnonzero(~mutated[:, column])
        mutated[rng.choice(free, size=max(missing, 0), replace=False), column] = True
    return mutated
