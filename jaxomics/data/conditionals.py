"""Conditionals: what encoder and decoder are told about a sample beside its views.

Label columns and whole views become one matrix [samples, conditionals]. Categorical columns give
one 0/1 column per level (`tissue=Lung`), 0/1 columns stay, numbers are z-scored; what is missing
is 0, which for numbers is the mean (Cai et al. 2024, Methods).

Without a choice, `default_columns` takes label columns that describe a sample and leaves out
book-keeping (`has_*`, `in_*`, ids, splits) and outcomes (survival, events, later treatment): a
model that is told the outcome cannot be used to predict it.
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from jaxomics.data.atomic import whole_file
from jaxomics.data.container import DROPPED_COLUMNS, MultiOmics
from jaxomics.errors import InputError, unknown

_FLAG = re.compile(r"^(has|in|is_train|is_test)_|(^|_)(id|ids|fold|split|batch_id)$")
_OUTCOME = re.compile(
    r"(^|_)(os|pfs|dfs|dss|dfi|pfi|rfs|efs|ttt|ttft|time|event|events|died|dead|death|deceased|"
    r"survival|vital|relapse|recurrence|censored|outcome|followup|status)(_|$)|_after$|^days_to_"
)
_NOT_OUTCOME = re.compile(r"doubling_time|(msi|er|pr|her2|mutation|tumou?r|smoking)_status")


@dataclass(frozen=True)
class ConditionalsConfig:
    """Which columns a model is conditioned on.

    Attributes:
      columns: label columns and/or whole views, in order; a label column wins over a view of
        the same name. None takes `default_columns`, an empty tuple gives no conditionals.
      exclude: label columns that the default never takes, for example the class to predict.
      max_levels: most levels of a categorical column of the default.
      min_per_level: fewest samples of a level of the default; rarer levels give no column.
      min_observed: smallest share of samples with a value, for a column of the default.
    """

    columns: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    max_levels: int = 40
    min_per_level: int = 3
    min_observed: float = 0.3


@dataclass(frozen=True)
class Term:
    """One column of the matrix: `value == level`, or `(value - mean) / scale`.

    Attributes:
      name: unique name of the column, `tissue=Lung` or `age`.
      source: the label column, or the view.
      feature: the feature of the view; None for a label column.
      level: the level that gives 1, as text; None for a number.
      mean: subtracted from a number; 0 for a 0/1 column.
      scale: divides a number; 1 for a 0/1 column.
    """

    name: str
    source: str
    feature: str | None = None
    level: str | None = None
    mean: float = 0.0
    scale: float = 1.0

    def __call__(self, values: pd.Series) -> np.ndarray:
        """Return the column, float64 [samples]; 0 where the value is missing."""
        if self.level is not None:
            return (values.notna() & (_text(values) == self.level)).to_numpy(np.float64)
        scaled = (_numbers(values) - self.mean) / self.scale
        return np.nan_to_num(scaled, nan=0.0)


@dataclass(frozen=True)
class Conditionals:
    """A fitted matrix of conditionals; build it with `fit_conditionals` or `load`.

    Attributes:
      terms: one per column of the matrix, in order.
    """

    terms: tuple[Term, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in order."""
        return tuple(term.name for term in self.terms)

    def apply(self, cohort: MultiOmics) -> np.ndarray:
        """Return the matrix, float32 [samples, conditionals].

        Columns, views and levels that are not known on either side give 0; `match` lists them.
        """
        tables = _Sources(cohort)
        out = np.zeros((len(cohort.samples), len(self.terms)), np.float32)
        for column, term in enumerate(self.terms):
            values = tables.get(term)
            if values is not None:
                out[:, column] = term(values)
        return out

    def match(self, cohort: MultiOmics) -> pd.DataFrame:
        """Return what `apply` has to set to 0, with columns `DROPPED_COLUMNS`.

        These are absent label columns, views and features, and levels that were not fitted.
        """
        tables = _Sources(cohort)
        rows, levels = [], {}
        for term in self.terms:
            absent = tables.get(term) is None
            if absent:
                rows.append((term.source, "conditional", term.name, "not in the data: 0"))
            elif term.level is not None:
                levels.setdefault(term.source, set()).add(term.level)
        for source, known in levels.items():
            values = _text(cohort.labels[source].dropna())
            for level, count in values[~values.isin(known)].value_counts().sort_index().items():
                reason = f"level of {count} samples not known to the model: 0"
                rows.append((source, "conditional", f"{source}={level}", reason))
        return pd.DataFrame(list(dict.fromkeys(rows)), columns=DROPPED_COLUMNS, dtype=str)

    def save(self, path: str | Path) -> None:
        """Write the terms as JSON."""
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps([asdict(term) for term in self.terms], indent=1))

    @classmethod
    def load(cls, path: str | Path) -> "Conditionals":
        """Read what `save` wrote; raises `InputError` if there is no such file."""
        if not Path(path).exists():
            raise InputError(f"expected conditionals in {path}, found no such file")
        return cls(tuple(Term(**record) for record in json.loads(Path(path).read_text())))


def fit_conditionals(
    cohort: MultiOmics,
    config: ConditionalsConfig = ConditionalsConfig(),
    train_samples: pd.Index | None = None,
) -> Conditionals:
    """Fit the matrix of conditionals.

    Levels are those of the whole sample table (all declared ones of a categorical column that
    is named in `config`), so that folds have the same columns; means and
    deviations (ddof 0) are those of the training samples with a value. Constant numbers, and
    columns without a value, have scale 1.

    Args:
      cohort: views and labels.
      config: which columns.
      train_samples: samples that numbers are scaled on; None means all.

    Raises:
      InputError: a column that is neither label nor view, or one of dates.

    >>> rna = pd.DataFrame({"TP53": [1.0, 2.0]}, index=["a", "b"])
    >>> labels = pd.DataFrame({"tissue": ["Lung", "Skin"], "age": [40, 60]}, index=["a", "b"])
    >>> cohort = MultiOmics.from_tables({"rna": rna}, labels)
    >>> fitted = fit_conditionals(cohort, ConditionalsConfig(("tissue", "age")))
    >>> fitted.names, fitted.apply(cohort).tolist()
    (('tissue=Lung', 'tissue=Skin', 'age'), [[1.0, 0.0, -1.0], [0.0, 1.0, 1.0]])
    """
    scope = cohort.samples if train_samples is None else pd.Index(train_samples)
    chosen = config.columns is not None
    columns = config.columns if chosen else default_columns(cohort.labels, config)
    terms: list[Term] = []
    for column in dict.fromkeys(columns or ()):
        if column in cohort.labels:
            fewest = 1 if chosen else config.min_per_level
            terms += _label_terms(column, cohort.labels[column], scope, fewest)
        elif column in cohort.views:
            terms += _view_terms(column, cohort, scope, {term.name for term in terms})
        else:
            known = [*cohort.labels.columns, *cohort.views]
            raise unknown("conditional (label column or view)", column, known)
    return Conditionals(tuple(terms))


def default_columns(
    labels: pd.DataFrame, config: ConditionalsConfig = ConditionalsConfig()
) -> tuple[str, ...]:
    """Return the label columns that models are conditioned on when none are named.

    Taken are columns known for at least `min_observed` of the samples: text and categories of
    2 to `max_levels` levels, two of which have `min_per_level` samples; 0/1 columns that have
    both values; numbers that vary. Left out by name are book-keeping and outcomes (see the
    head of this file), dates, and `config.exclude`.

    >>> labels = {"sex": list("mfmfmf"), "os_years": [1.0] * 6, "has_rna": [True, False] * 3}
    >>> default_columns(pd.DataFrame(labels))
    ('sex',)
    """
    return tuple(
        str(column)
        for column in labels
        if column not in config.exclude
        and not _is_excluded(str(column))
        and _is_informative(labels[column], config)
    )


def _is_excluded(column: str) -> bool:
    """Tell from its name whether a column is book-keeping or an outcome."""
    name = re.sub(r"[\s.\-]+", "_", column.strip()).lower()
    return bool(_FLAG.search(name)) or (
        bool(_OUTCOME.search(name)) and not _NOT_OUTCOME.search(name)
    )


def _is_informative(values: pd.Series, config: ConditionalsConfig) -> bool:
    """Tell whether the default takes a column of these values."""
    known = values.dropna()
    if len(known) < max(config.min_observed * len(values), 2) or known.nunique() < 2:
        return False
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return False
    if _is_numeric(known):
        return True
    counts = _text(known).value_counts()
    return len(counts) <= config.max_levels and (counts >= config.min_per_level).sum() >= 2


def _is_numeric(known: pd.Series) -> bool:
    """Tell whether all (non-missing) values are numbers or booleans, whatever the dtype says."""
    return pd.api.types.infer_dtype(known, skipna=True) in (
        "boolean",
        "floating",
        "integer",
        "mixed-integer-float",
    )


def _text(values: pd.Series) -> pd.Series:
    """Return levels as text without spaces around them."""
    return values.astype(str).str.strip()


def _numbers(values: pd.Series) -> np.ndarray:
    """Return numbers and booleans as float64; text and missing values are NaN."""
    return np.asarray(pd.to_numeric(values.astype(object), errors="coerce"), np.float64)


def _label_terms(column: str, values: pd.Series, scope: pd.Index, fewest: int) -> list[Term]:
    """Return the terms of a label column: one per level, or one."""
    known = values.dropna()
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        raise InputError(
            f"conditional {column!r}: expected text or numbers, found dates; turn them into "
            "numbers, for example years"
        )
    if _is_numeric(known) or known.empty:
        numbers = _numbers(values)
        return [Term(column, column, None, None, *_moments(numbers, values.index.isin(scope)))]
    counts = _text(known).value_counts()
    levels = sorted(str(level) for level in counts.index[counts >= fewest])
    if isinstance(values.dtype, pd.CategoricalDtype) and fewest == 1:
        levels = [str(level) for level in values.dtype.categories]
    return [Term(f"{column}={level}", column, None, level) for level in levels]


def _view_terms(view: str, cohort: MultiOmics, scope: pd.Index, taken: set[str]) -> list[Term]:
    """Return one term per feature of a view; names that are taken get the view in front."""
    table = cohort.view(view)
    used = table.index.isin(scope)
    return [
        Term(
            f"{view}/{name}" if name in taken else name,
            view,
            name,
            None,
            *_moments(table[name].to_numpy(np.float64), used),
        )
        for name in table.columns
    ]


def _moments(values: np.ndarray, used: np.ndarray) -> tuple[float, float]:
    """Return mean and deviation of the used values [samples]; 0 and 1 for a 0/1 column."""
    known = values[np.isfinite(values)]
    fitted = values[used & np.isfinite(values)]
    if set(np.unique(known)) <= {0.0, 1.0} or not len(fitted):
        return 0.0, 1.0
    deviation = float(fitted.std())
    return float(fitted.mean()), deviation if deviation > 0 else 1.0


class _Sources:
    """Looks up the values of a term in a cohort, with each view aligned only once."""

    def __init__(self, cohort: MultiOmics) -> None:
        self.cohort = cohort
        self.aligned: dict[str, pd.DataFrame] = {}

    def get(self, term: Term) -> pd.Series | None:
        """Return the values on all samples, or None where the cohort does not have them."""
        if term.feature is None:
            return self.cohort.labels.get(term.source)
        if term.source not in self.cohort.views:
            return None
        if term.source not in self.aligned:
            self.aligned[term.source] = self.cohort.table(term.source)
        return self.aligned[term.source].get(term.feature)
