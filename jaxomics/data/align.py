"""Agreement of names: chosen views, features of a fitted model, sample ids of another scheme.

Nothing is matched by guess without a trace: what was renamed, merged or left out stands in a
report or in `MultiOmics.dropped`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import pandas as pd

from jaxomics.data.container import DROPPED_COLUMNS, MultiOmics
from jaxomics.errors import InputError, unknown

REPORT_COLUMNS = ["view", "feature", "found", "status"]
"""Columns of the feature report; status is `exact`, `renamed`, `ambiguous`, `absent`, `unused`."""

Duplicates = Literal["error", "first", "mean"]
"""What to do with samples that have the same id after a mapping."""

_ENTREZ = re.compile(r"\s*\(\d+\)$")


def choose_views(wanted: Iterable[str] | None, known: Iterable[str]) -> list[str]:
    """Return the views to read, in the order asked for; None means all of them.

    Raises:
      InputError: a name is not among the known views.

    >>> choose_views(["rna"], ["drug", "rna"])
    ['rna']
    """
    known = list(known)
    names = known if wanted is None else list(dict.fromkeys(wanted))
    for name in names:
        if name not in known:
            raise unknown("view", name, known)
    return names


def feature_key(name: str) -> str:
    """Return a feature name without spaces around it and without an Entrez id in brackets.

    DepMap releases name genes `SYMBOL (ENTREZ)`, most other tables by symbol alone.

    >>> feature_key("BRAF (673)"), feature_key("Nutlin-3a (-)|1047")
    ('BRAF', 'Nutlin-3a (-)|1047')
    """
    return _ENTREZ.sub("", str(name).strip())


def feature_report(features: Iterable[str], available: Iterable[str], view: str) -> pd.DataFrame:
    """Say for each feature of a model where it is found among the columns of a new table.

    A column with the same name wins (`exact`). Otherwise names are compared by `feature_key`:
    one candidate counts as `renamed`; several candidates, or one that several features claim,
    are `ambiguous` and count as absent. Columns that no feature uses are `unused`.

    Returns:
      A table with `REPORT_COLUMNS`: the model's features in their order, then unused columns.
      `found` is the column of the new table, empty where there is none.

    >>> feature_report(["BRAF", "TP53"], ["BRAF (673)", "KRAS"], "rna").status.tolist()
    ['renamed', 'absent', 'unused']
    """
    features, available = [str(f) for f in features], [str(a) for a in available]
    exact = set(features) & set(available)
    candidates = _by_key(name for name in available if name not in exact)
    claims = _by_key(name for name in features if name not in exact)
    rows = []
    for feature in features:
        if feature in exact:
            rows.append((view, feature, feature, "exact"))
            continue
        key = feature_key(feature)
        found = candidates.get(key, [])
        if len(found) == 1 and len(claims[key]) == 1:
            rows.append((view, feature, found[0], "renamed"))
        else:
            rows.append((view, feature, "", "ambiguous" if found else "absent"))
    used = {row[2] for row in rows}
    rows += [(view, "", name, "unused") for name in available if name not in used]
    return pd.DataFrame(rows, columns=REPORT_COLUMNS, dtype=str)


def match_features(
    table: pd.DataFrame, features: Iterable[str], view: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring a new table into the form that a fitted model expects.

    Args:
      table: [samples, columns], the view in the new data.
      features: names of the model's features, in the model's order.
      view: name of the view, for messages and the report.

    Returns:
      The table [samples, features], NaN where a feature is absent, and its `feature_report`.

    Raises:
      InputError: no feature of the model is in the table; examples of both sides are named.

    >>> new = pd.DataFrame({"BRAF (673)": [1.0]}, index=["a"])
    >>> match_features(new, ["TP53", "BRAF"], "rna")[0]
       TP53  BRAF
    a   NaN   1.0
    """
    features = [str(feature) for feature in features]
    columns = [str(column) for column in table.columns]
    report = feature_report(features, columns, view)
    wanted = report[report.status != "unused"]
    if not (wanted.found != "").any():
        raise InputError(
            f"view {view!r}: none of the {len(features)} features of the model is in the table; "
            f"the model has {_examples(features)}, the table has {_examples(columns)}; "
            "use the identifiers that the model was trained with"
        )
    place = pd.Index(columns).get_indexer(pd.Index(wanted.found))
    values = table.to_numpy(dtype=np.float32, na_value=np.nan)
    matched = values[:, place]
    matched[:, place < 0] = np.nan
    return pd.DataFrame(matched, index=table.index, columns=pd.Index(features)), report


def map_samples(
    cohort: MultiOmics, mapping: Mapping[str, str] | pd.Series, duplicates: Duplicates = "error"
) -> MultiOmics:
    """Rename the samples of a cohort, for instance from aliquot barcodes to patients.

    Args:
      cohort: the cohort to rename.
      mapping: new id by old id. Samples without an entry, or with an empty one, are left out.
      duplicates: what to do where samples of one view get the same new id: `error`; `first`
        keeps the first row of the view; `mean` averages the measured values of each feature
        (which makes 0/1 views fractional). Labels cannot be averaged: with `first` and `mean`
        each column takes the first known value.

    Returns:
      The renamed cohort. What was left out or merged stands in its `dropped`.

    Raises:
      InputError: no sample is in the mapping, or `duplicates="error"` and ids collide.

    >>> rna = pd.DataFrame({"TP53": [1.0, 3.0, 4.0]}, index=["a1", "a2", "b1"])
    >>> cohort = MultiOmics.from_tables({"rna": rna})
    >>> patients = {"a1": "a", "a2": "a", "b1": "b"}
    >>> map_samples(cohort, patients, duplicates="mean").views["rna"].TP53.tolist()
    [2.0, 4.0]
    """
    if duplicates not in ("error", "first", "mean"):
        raise unknown("choice for duplicates", duplicates, ["error", "first", "mean"])
    known = {str(o): str(n).strip() for o, n in dict(mapping).items() if not pd.isna(n)}
    known = {old: new for old, new in known.items() if new}
    if not any(sample in known for sample in cohort.samples):
        raise InputError(
            f"none of the {len(cohort.samples)} samples is in the mapping; the cohort has "
            f"{_examples(cohort.samples)}, the mapping has {_examples(known)}; check which "
            "column holds the old ids"
        )
    notes: list[tuple[str, str, str, str]] = []
    views = {
        name: _rename(table, name, known, duplicates, notes) for name, table in cohort.views.items()
    }
    labels = _rename(cohort.labels, "labels", known, duplicates, notes)
    report = pd.DataFrame(notes, columns=DROPPED_COLUMNS, dtype=str)
    return MultiOmics.from_tables(
        {name: table for name, table in views.items() if len(table)},
        labels,
        {name: table for name, table in cohort.features.items() if len(views[name])},
        pd.concat([cohort.dropped, report], ignore_index=True),
        min_samples=1,
    )


def measured_mask(cohort: MultiOmics, view: str) -> pd.DataFrame:
    """Return bool [all samples of the cohort, features]: True = measured, False = to be filled.

    >>> rna = pd.DataFrame({"TP53": [1.0, 2.0]}, index=["a", "b"])
    >>> drug = pd.DataFrame({"nutlin": [0.5]}, index=["b"])
    >>> cohort = MultiOmics.from_tables({"rna": rna, "drug": drug})
    >>> measured_mask(cohort, "drug").nutlin.tolist()
    [False, True]
    """
    return cohort.table(view).notna()


def _by_key(names: Iterable[str]) -> dict[str, list[str]]:
    """Group names by their `feature_key`."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(feature_key(name), []).append(name)
    return groups


def _examples(names: Iterable[str], n: int = 3) -> str:
    """Return the first names, for a message."""
    names = [repr(str(name)) for name in names]
    return ", ".join(names[:n]) + (", ..." if len(names) > n else "")


def _rename(
    table: pd.DataFrame,
    view: str,
    known: Mapping[str, str],
    duplicates: Duplicates,
    notes: list[tuple[str, str, str, str]],
) -> pd.DataFrame:
    """Return a table under the new ids and append what was left out or merged to the notes."""
    listed = np.array([sample in known for sample in table.index], dtype=bool)
    gone = [(view, "sample", str(name), "not in the mapping") for name in table.index[~listed]]
    notes.extend(gone)
    old = table.index[listed]
    out = table[listed].copy()
    out.index = pd.Index([known[sample] for sample in old], name="sample")
    repeated = out.index.duplicated()
    if not repeated.any():
        return out
    new = out.index[repeated][0]
    if duplicates == "error":
        pair = [str(sample) for sample in old[out.index == new]]
        raise InputError(
            f"view {view!r}: {_examples(pair)} are all mapped to {new!r}; give each sample its own "
            "id, or choose duplicates='first' or 'mean'"
        )
    average = duplicates == "mean" and view != "labels"
    for sample, target in zip(old[repeated], out.index[repeated], strict=True):
        reason = f"averaged into {target}" if average else f"another sample became {target}"
        notes.append((view, "sample", str(sample), reason))
    if view != "labels" and not average:
        return out[~repeated]
    groups = out.groupby(level=0, sort=False)
    if out.shape[1] == 0:
        return out[~repeated]
    return groups.mean() if average else groups.first()
