"""What the benchmark asks of each cohort, and what is known about it beforehand.

The facts stand in the READMEs of the cohorts: which group of samples has the higher value of a
feature, or which features go together. They are asked of measured values, of completed tables, and
of values that were predicted while their view was withheld.
"""

from typing import NamedTuple


class Cohort(NamedTuple):
    """What the benchmark asks of a cohort.

    Attributes:
      views: what methods read; nothing = all there are.
      scored: what is predicted; nothing = what they read.
      linked: views of one assay, joined by commas; withheld together.
      label: column that latents are scored against, and that methods which learn classes learn.
      stratify: column to balance folds by.
    """

    views: tuple[str, ...] = ()
    scored: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    label: str | None = None
    stratify: str | None = None


class Known(NamedTuple):
    """Something known: a feature is higher in a group, or goes with another feature.

    Attributes:
      value: view and feature.
      beside: view and feature, or `labels` and a column; of zeros and ones it makes two groups.
      sign: 1 if the value is higher in the group or rises with the feature, -1 the other way.
      equals: the group is where the label has this value.
      within: label column and value that the samples are restricted to.
    """

    value: tuple[str, str]
    beside: tuple[str, str]
    sign: int
    equals: str | None = None
    within: tuple[str, str] | None = None

    def __str__(self) -> str:
        group = f" = {self.equals}" if self.equals else ""
        only = f", {self.within[1]}" if self.within else ""
        return f"{':'.join(self.value)} with {':'.join(self.beside)}{group}{only}"


COHORTS: dict[str, Cohort] = {
    "cell_lines": Cohort(
        scored=("rna", "cn", "methylation", "rppa", "metabolomics", "drug", "crispr_call"),
        linked=("rna,pathway", "crispr,crispr_call"),
        label="tissue",
    ),
    "cll": Cohort(label="ighv"),
    "tcga_survival": Cohort(label="cohort", stratify="cohort"),
    "breast_subtypes": Cohort(label="subtype", stratify="subtype"),
    "move_small": Cohort(views=("drugs", "proteomics")),
}
"""By the name of the folder; any other folder is asked for all its views."""

MUTATED = (
    ("drug", "Dabrafenib|1373", "BRAF", -1), ("drug", "Trametinib|1372", "BRAF", -1),
    ("drug", "Trametinib|1372", "KRAS", -1), ("drug", "PD0325901|1060", "BRAF", -1),
    ("drug", "Nutlin-3a (-)|1047", "TP53", 1), ("drug", "Palbociclib|1054", "RB1", 1),
    ("crispr_call", "KRAS", "KRAS", 1), ("crispr_call", "BRAF", "BRAF", 1),
    ("crispr_call", "NRAS", "NRAS", 1), ("crispr_call", "CTNNB1", "APC", 1),
    ("crispr_call", "MDM2", "TP53", -1),
    ("rnai_call", "KRAS", "KRAS", 1), ("rnai_call", "BRAF", "BRAF", 1),
    ("rnai_call", "NRAS", "NRAS", 1), ("rnai_call", "CTNNB1", "APC", 1),
    ("rnai_call", "MDM2", "TP53", -1),
    ("crispr", "KRAS", "KRAS", -1), ("crispr", "BRAF", "BRAF", -1), ("crispr", "NRAS", "NRAS", -1),
    ("crispr", "MDM2", "TP53", 1), ("crispr", "PPM1D", "TP53", 1), ("crispr", "CTNNB1", "APC", -1),
)  # fmt: skip
"""Of cell lines: a response, and the mutation that raises or lowers it."""

PAIRED = (
    ("rna", "ERBB2", "cn", "ERBB2", 1), ("rna", "CDKN2A", "cn", "CDKN2A", 1),
    ("rppa", "HER2", "rna", "ERBB2", 1), ("rppa", "EGFR", "rna", "EGFR", 1),
    ("rppa", "ER-alpha", "rna", "ESR1", 1), ("rppa", "E-Cadherin", "rna", "CDH1", 1),
    ("rppa", "PTEN", "rna", "PTEN", 1), ("drug", "Palbociclib|1054", "rna", "CDKN2A", 1),
    ("drug", "Afatinib|1377", "cn", "ERBB2", -1),
)  # fmt: skip
"""Of cell lines: two features that go together."""

LEUKAEMIA = (
    ("drugs", "ibrutinib|c4", "ighv", 1), ("drugs", "idelalisib|c4", "ighv", 1),
    ("drugs", "dasatinib|c4", "ighv", 1), ("drugs", "selumetinib|c3", "ighv", 1),
    ("drugs", "selumetinib|c3", "trisomy12", -1), ("drugs", "everolimus|c4", "trisomy12", -1),
    ("drugs", "idelalisib|c4", "trisomy12", -1), ("protein", "ZAP70", "ighv", -1),
    ("protein", "IGHM", "ighv", -1),
)  # fmt: skip

SUBTYPES = (
    ("ER-alpha", "LumA", 1), ("ER-alpha", "Basal", -1), ("GATA3", "LumA", 1), ("HER2", "Her2", 1),
    ("HER2_pY1248", "Her2", 1), ("AR", "Basal", -1),
)  # fmt: skip

MUTATION_RATES = (
    ("TP53", "LUSC"), ("TP53", "HNSC"), ("KRAS", "PAAD"), ("KRAS", "COADREAD"), ("BRAF", "SKCM"),
    ("PTEN", "UCEC"), ("PIK3CA", "BRCA"), ("APC", "COADREAD"),
)  # fmt: skip
"""Of tumours: a gene, and the cohort in which it is mutated more often than in others."""

AMPLIFIED = (("ERBB2", "BRCA"), ("ERBB2", "STAD"), ("EGFR", "HNSC"))
"""Of tumours: a gene whose copies drive its expression, and the cohort where."""

KNOWN: dict[str, tuple[Known, ...]] = {
    "cell_lines": (
        *(Known((view, name), ("mut", gene), sign) for view, name, gene, sign in MUTATED),
        *(Known((view, name), (other, gene), sign) for view, name, other, gene, sign in PAIRED),
        Known(("crispr", "WRN"), ("labels", "msi"), -1, equals="MSI"),
    ),
    "cll": (
        *(Known((view, name), ("labels", label), sign) for view, name, label, sign in LEUKAEMIA),
        Known(("drugs", "nutlin-3|c3"), ("mutations", "TP53"), 1),
        Known(("drugs", "nutlin-3|c4"), ("mutations", "TP53"), 1),
    ),
    "tcga_survival": (
        *(Known(("rna", g), ("cnv", g), 1, within=("cohort", only)) for g, only in AMPLIFIED),
        *(
            Known(("mut", gene), ("labels", "cohort"), 1, equals=only)
            for gene, only in MUTATION_RATES
        ),
    ),
    "breast_subtypes": tuple(
        Known(("protein", name), ("labels", "subtype"), sign, equals=subtype)
        for name, subtype, sign in SUBTYPES
    ),
}
"""What is known, by cohort."""

PLANTED = {"move_small": ("drugs", "proteomics", "truth_associations.parquet")}
"""Simulated cohorts: who acts, on what, and the table of the pairs that do."""
