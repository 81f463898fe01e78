"""Features of different views that bear the same name: one gene, measured in several ways."""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from jaxomics.data.batch import Link

MIN_PAIRS = 5
"""Views with fewer names in common are not linked: such matches are mostly chance."""


def name_links(
    features: Mapping[str, pd.Index], same_assay: Sequence[Sequence[str]] = ()
) -> tuple[Link, ...]:
    """Return the links of every view to every other view, both ways.

    Names match up to case and whatever follows the first `_`, `|`, `;` or blank, so that
    `TP53`, `TP53 (7157)` and `TP53_17_7571719` are one gene. Where the source has several
    features of a name, the first is linked.

    Args:
      features: feature names of each view.
      same_assay: groups of views that are never linked to each other, because they are
        measured and missing together.

    >>> names = {"rna": pd.Index(list("ABCDE")), "protein": pd.Index(list("edcbax"))}
    >>> [link.target_columns for link in name_links(names)]
    [(0, 1, 2, 3, 4), (0, 1, 2, 3, 4)]
    """
    keys = {view: [feature_name(name) for name in names] for view, names in features.items()}
    links = []
    for target in features:
        for source in features:
            linked = any(target in group and source in group for group in same_assay)
            if target == source or linked:
                continue
            where: dict[str, int] = {}
            for column, key in enumerate(keys[source]):
                where.setdefault(key, column)
            pairs = [(i, where[key]) for i, key in enumerate(keys[target]) if key in where]
            if len(pairs) >= MIN_PAIRS:
                rows, columns = zip(*pairs, strict=True)
                links.append(Link(target, source, rows, columns))
    return tuple(links)


def feature_name(feature: str) -> str:
    """Return what identifies the gene in a feature's name.

    >>> feature_name("erbb2 (2064)")
    'ERBB2'
    """
    return re.split(r"[_|; ]", str(feature).strip())[0].upper()
