"""Simulated responses: gene dependencies and drug sensitivities with planted biomarkers.

A planted biomarker is one line of a table (target_view, target, view, feature, effect): the
noiseless response of the target changes by `effect` per unit of the feature as measured, which is
a mutation (0/1), a copy-number category (-2..2), one standard deviation of RNA, or
microsatellite instability (view `labels`, 0/1).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from jaxomics.data.simulated_views import (
    Layer,
    first_columns,
    own_factors,
    program_state,
    standardise,
)

BIOMARKER_COLUMNS = ["target_view", "target", "view", "feature", "effect"]

DEPENDENCIES: tuple[tuple[str, str, str, float], ...] = (
    ("KRAS", "mutations", "KRAS", -1.1),
    ("BRAF", "mutations", "BRAF", -1.1),
    ("NRAS", "mutations", "NRAS", -1.0),
    ("PIK3CA", "mutations", "PIK3CA", -0.7),
    ("CTNNB1", "mutations", "CTNNB1", -0.8),
    ("EGFR", "mutations", "EGFR", -0.7),
    ("FLT3", "mutations", "FLT3", -0.9),
    ("RAF1", "mutations", "KRAS", -0.5),
    ("SHOC2", "mutations", "NRAS", -0.6),
    ("MDM2", "mutations", "TP53", 0.7),
    ("ERBB2", "copynumber", "ERBB2", -0.4),
    ("WRN", "labels", "msi", -0.9),
)
"""Gene, and what changes its dependency: mostly addiction to the mutated oncogene itself."""

DRUGS: tuple[tuple[str, str, str, float], ...] = (
    ("Dabrafenib-like", "mutations", "BRAF", -2.5),
    ("Nutlin-like", "mutations", "TP53", 1.8),
    ("Trametinib-like", "mutations", "BRAF", -1.6),
    ("Trametinib-like", "mutations", "KRAS", -1.4),
    ("Trametinib-like", "mutations", "NRAS", -1.4),
    ("Lapatinib-like", "copynumber", "ERBB2", -1.0),
    ("Gefitinib-like", "mutations", "EGFR", -1.6),
    ("Gefitinib-like", "transcriptomics", "EGFR", -0.6),
    ("Alpelisib-like", "mutations", "PIK3CA", -1.3),
    ("Venetoclax-like", "transcriptomics", "BCL2", -1.0),
    ("Palbociclib-like", "mutations", "RB1", 1.4),
    ("Quizartinib-like", "mutations", "FLT3", -2.0),
)
"""Drug, and what changes its ln IC50."""

CLASSES = 8
"""Number of drug classes; the drugs of a class share one sensitivity factor."""

EFFECTS = {"mutations": 1.2, "copynumber": 0.6, "transcriptomics": 0.7}
"""Typical size of a planted effect on an unnamed drug, by view of the biomarker."""


def drug_names(count: int) -> list[str]:
    """Return drug names: those with a named biomarker, then DRUG0001 and so on.

    >>> drug_names(2), drug_names(11)[-1]
    (['Dabrafenib-like', 'Nutlin-like'], 'DRUG0002')
    """
    named = list(dict.fromkeys(drug for drug, *_ in DRUGS))[:count]
    return named + [f"DRUG{i + 1:04d}" for i in range(count - len(named))]


def plant_dependencies(genes: list[str], drivers: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the biomarkers of gene dependency whose gene and feature exist in this cohort."""
    return _biomarkers("crisprcas9", DEPENDENCIES, genes, drivers)


def plant_drugs(
    rng: np.random.Generator, drugs: list[str], drivers: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return the biomarkers of drug response: the named ones, and one for 4 in 10 other drugs.

    RNA biomarkers of unnamed drugs are genes of the copy-number panel.
    """
    named = _biomarkers("drugresponse", DRUGS, drugs, drivers)
    rows = []
    for drug in drugs:
        view = str(rng.choice(list(EFFECTS)))
        panel = drivers["mutations" if view == "mutations" else "copynumber"].columns
        feature = str(rng.choice(panel.intersection(drivers[view].columns, sort=False)))
        effect = EFFECTS[view] * rng.choice([-1.0, 1.0], p=[0.75, 0.25]) * rng.uniform(0.7, 1.3)
        if rng.random() < 0.4 and drug.startswith("DRUG"):
            rows.append((drug, view, feature, round(float(effect), 3)))
    others = _biomarkers("drugresponse", tuple(rows), drugs, drivers)
    return pd.concat([table for table in (named, others) if len(table)], ignore_index=True)


def _biomarkers(
    target_view: str,
    rows: tuple[tuple[str, str, str, float], ...],
    targets: list[str],
    drivers: Mapping[str, pd.DataFrame],
) -> pd.DataFrame:
    """Return the rows as table, without those that name something this cohort lacks."""
    known = set(targets)
    kept = [
        (target_view, target, view, feature, effect)
        for target, view, feature, effect in rows
        if target in known and feature in drivers[view].columns
    ]
    return pd.DataFrame(kept, columns=pd.Index(BIOMARKER_COLUMNS))


def planted_effects(
    biomarkers: pd.DataFrame, targets: list[str], drivers: Mapping[str, pd.DataFrame]
) -> np.ndarray:
    """Return the sum of all planted effects, float32 [samples, targets]."""
    column = {target: i for i, target in enumerate(targets)}
    total = np.zeros((len(drivers["mutations"]), len(targets)), np.float32)
    for _, target, view, feature, effect in biomarkers.itertuples(index=False):
        total[:, column[target]] += effect * drivers[view][feature].to_numpy(np.float32)
    return total


def draw_essentiality(rng: np.random.Generator, genes: list[str]) -> np.ndarray:
    """Return `essential`, `selective` or `nonessential` per gene; named genes are selective."""
    drawn = rng.choice(
        ["essential", "selective", "nonessential"], size=len(genes), p=[0.10, 0.08, 0.82]
    )
    return np.where([gene.startswith("GENE") for gene in genes], drawn, "selective")


def crisprcas9(
    rng: np.random.Generator,
    programs: np.ndarray,
    rna: Layer,
    planted: np.ndarray,
    essentiality: np.ndarray,
) -> Layer:
    """Return gene effects on the scale where 0 is harmless and -1 is a common essential gene.

    A selective gene matters in few lines: its effect falls steeply once a mix of its own RNA and
    the programs passes a high threshold, which makes its distribution skewed to the left.
    """
    features = len(essentiality)
    own = own_factors(rng, len(programs))
    mixed = program_state(rng, programs, own, features) + first_columns(rna.state, features)
    state = standardise(mixed)
    threshold = rng.uniform(1.0, 2.0, size=features).astype(np.float32)
    selective = (essentiality == "selective").astype(np.float32)
    depth = selective * rng.uniform(0.3, 0.9, size=features).astype(np.float32)
    mean = np.select([essentiality == "essential", selective > 0], [-1.0, -0.05], 0.0)
    mild = np.where(essentiality == "essential", 0.12, rng.uniform(0.0, 0.08, size=features))
    steep = 1.0 / (1.0 + np.exp(4.0 * (threshold - state)))
    signal = (mean + mild * state - depth * steep + planted).astype(np.float32)
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    noise *= rng.uniform(0.08, 0.16, size=features).astype(np.float32)
    return Layer(state, signal, signal + noise, own)


def drugresponse(rng: np.random.Generator, programs: np.ndarray, planted: np.ndarray) -> Layer:
    """Return ln IC50: drug means (standard deviation 2.5), a class factor, biomarkers, noise.

    The class factors share a general sensitivity, so all drugs correlate a little.
    """
    samples, features = planted.shape
    own = own_factors(rng, samples)
    general = program_state(rng, programs, own, 1)
    factors = standardise(program_state(rng, programs, own, CLASSES) + 0.6 * general)
    state = factors[:, rng.integers(CLASSES, size=features)]
    mean = rng.normal(2.5, 2.5, size=features).astype(np.float32)
    weight = rng.uniform(0.3, 0.9, size=features).astype(np.float32)
    signal = mean + weight * state + planted
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    noise *= rng.uniform(0.4, 1.0, size=features).astype(np.float32)
    return Layer(state, signal, signal + noise, own)
