"""What a model predicts beside its classes: survival, values, further classes.

Columns of the sample table become numbers that heads learn (`fit_outcomes`, `Outcomes.arrays`), and
what heads say becomes columns again (`Outcomes.columns`). The edges of time and the scales of
values are fitted to training samples; the names of classes are those of the whole cohort.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd

from jaxomics.config import from_json, to_json
from jaxomics.data.atomic import whole_file
from jaxomics.data.batch import TargetSpec
from jaxomics.data.container import MultiOmics
from jaxomics.data.outcomes import OutcomesConfig
from jaxomics.errors import InputError, unknown
from jaxomics.losses.survival import risk, survival_curve
from jaxomics.metrics.classification import PROBABILITY, class_text
from jaxomics.metrics.survival import Outcome, outcome

SURVIVAL = "survival"
"""Name of the survival task, of which a model has one."""


@dataclass(frozen=True)
class Outcomes:
    """Fitted outcomes; build it with `fit_outcomes` or `load`.

    Attributes:
      config: what is predicted.
      edges: [T] ascending, in units of time; empty without survival.
      scales: (shift, scale) of each value; it is learned as (value - shift) / scale.
      classes: classes of each further class column, in the order of their codes.
    """

    config: OutcomesConfig = field(default_factory=OutcomesConfig)
    edges: tuple[float, ...] = ()
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def specs(self) -> tuple[TargetSpec, ...]:
        """What a model is told of the outcomes: survival, values, classes."""
        found: list[TargetSpec] = []
        if self.edges:
            found.append(TargetSpec(SURVIVAL, "survival", 0, len(self.edges)))
        start = 2 * len(found)
        found += [TargetSpec(name, "value", start + i) for i, name in enumerate(self.scales)]
        start += len(self.scales)
        return tuple(found) + tuple(
            TargetSpec(name, "class", start + i, len(known))
            for i, (name, known) in enumerate(self.classes.items())
        )

    def arrays(self, cohort: MultiOmics) -> np.ndarray | None:
        """Return the outcomes of samples as heads learn them, float32 [samples, columns].

        NaN where an outcome is unknown, also in columns that the cohort lacks; None if there is
        nothing to predict. Times that are not above 0 count as unknown here, and are refused by
        `fit_outcomes`.
        """
        if not self.specs:
            return None
        parts = []
        if self.edges:
            time, event = (_numbers(cohort, name) for name in self._survival_columns())
            known = (time > 0) & np.isin(event, (0.0, 1.0))
            parts += [np.where(known, part, np.nan) for part in (self._positions(time), event)]
        for name, (shift, scale) in self.scales.items():
            parts.append((_numbers(cohort, name) - shift) / scale)
        for name, classes in self.classes.items():
            text = class_text(_column(cohort, name))
            codes = np.asarray(pd.Categorical(text, categories=list(classes)).codes)
            parts.append(np.where(codes < 0, np.nan, codes))
        return np.stack(parts, axis=1).astype(np.float32)

    def _positions(self, time: np.ndarray) -> np.ndarray:
        """Return number of the interval and the share of it that has passed, as `mtlr_loss` reads.

        The last interval has no end, and the published grid has points: no share of these.
        """
        edges = np.asarray(self.edges)
        interval = np.searchsorted(edges, time)
        if self.config.grid == "uniform":
            return interval
        low, high = np.append(0.0, edges)[interval], np.append(edges, np.inf)[interval]
        share = np.clip((time - low) / (high - low), 0.0, 0.999)
        return interval + share

    def columns(self, name: str, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return what a head says, in original units, as columns of a table.

        Args:
          name: of the task.
          values: [samples, outputs] of the head.

        Returns:
          For survival `risk` (larger = earlier) and `survival_TIME`, the probability of surviving
          that time; for a value the value, under its name; for a class NAME and NAME_p_CLASS.
        """
        if name == SURVIVAL and self.edges:
            scores = jnp.asarray(values, jnp.float32)
            curves = np.asarray(survival_curve(scores))
            named = {f"{SURVIVAL}_{edge:g}": curves[:, i] for i, edge in enumerate(self.edges)}
            return {"risk": np.asarray(risk(scores)), **named}
        if name in self.scales:
            shift, scale = self.scales[name]
            return {name: values[:, 0] * scale + shift}
        classes = self.classes[name]
        share = np.exp(values - values.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        best = np.asarray(classes)[share.argmax(axis=1)]
        named = {f"{name}_{PROBABILITY}{own}": share[:, i] for i, own in enumerate(classes)}
        return {name: best, **named}

    def survival(self, cohort: MultiOmics) -> tuple[Outcome, np.ndarray]:
        """Return the survival of the samples of which it is known, and which these are, bool [n].

        Raises:
          InputError: the model predicts no survival, or no sample has it.
        """
        if not self.edges:
            raise InputError("expected a model of survival, found one without: train with --time")
        time, event = (_numbers(cohort, name) for name in self._survival_columns())
        known = ~(np.isnan(time) | np.isnan(event))
        if not known.any():
            raise InputError(
                f"expected samples with {' and '.join(self._survival_columns())}, found none; "
                "add these columns to the sample table"
            )
        return outcome(time[known], event[known]), known

    def _survival_columns(self) -> tuple[str, str]:
        """Return the columns of time and event."""
        return str(self.config.time), str(self.config.event)

    def save(self, path: Path) -> None:
        """Write a JSON file, whole or not at all."""
        with whole_file(path) as temporary:
            temporary.write_text(json.dumps(to_json(self)))

    @classmethod
    def load(cls, path: Path) -> "Outcomes":
        """Read what `save` wrote; a file that is not there means that there are none."""
        if not path.exists():
            return cls()
        record = json.loads(path.read_text())
        return cls(
            from_json(OutcomesConfig, record["config"]),
            tuple(record["edges"]),
            {name: (shift, scale) for name, (shift, scale) in record["scales"].items()},
            {name: tuple(classes) for name, classes in record["classes"].items()},
        )


def fit_outcomes(cohort: MultiOmics, config: OutcomesConfig, trained: pd.Index) -> Outcomes:
    """Fit edges, scales and classes.

    Args:
      cohort: with its sample table.
      config: which columns are meant.
      trained: training samples.

    Raises:
      InputError: an unknown column, times that are not above 0, events other than 0 and 1, text
        where numbers are expected, a constant value, a single class, or too few known outcomes
        among the training samples.
    """
    own = cohort.samples.isin(trained)
    for name in config.names:
        if name not in cohort.labels.columns:
            raise unknown("label column", name, cohort.labels.columns)
    edges: tuple[float, ...] = ()
    if config.time is not None and config.event is not None:
        edges = _edges(cohort, config, own)
    scales = {name: _scale(_numbers(cohort, name)[own], name, config) for name in config.regress}
    classes = {name: _classes(cohort, name) for name in config.classify}
    return Outcomes(config, edges, scales, classes)


def outcome_notes(cohort: MultiOmics, outcomes: Outcomes, rows: np.ndarray) -> list[str]:
    """Return how many training samples have each outcome, in sentences, where not all have.

    Args:
      cohort: all samples.
      outcomes: fitted.
      rows: int, the training samples.
    """
    arrays = outcomes.arrays(cohort)
    if arrays is None:
        return []
    notes, known = [], ~np.isnan(arrays[rows])
    for spec in outcomes.specs:
        count = int(known[:, spec.column].sum())
        if spec.kind == "survival":
            events = int(np.nansum(arrays[rows, spec.column + 1]))
            notes.append(f"survival is known of {count} of {len(rows)} samples, {events} events")
        elif count < len(rows):
            notes.append(f"{spec.name} is known of {count} of {len(rows)} samples")
    return notes


def _edges(cohort: MultiOmics, config: OutcomesConfig, own: np.ndarray) -> tuple[float, ...]:
    """Return the edges that cut time, from the training samples."""
    columns = str(config.time), str(config.event)
    time, event = (_numbers(cohort, name) for name in columns)
    known = ~(np.isnan(time) | np.isnan(event))
    try:
        outcome(time[known], event[known])
    except InputError as error:
        raise InputError(f"{' and '.join(columns)}: {error}") from None
    own = own & known
    events = np.unique(time[own & (event == 1)])
    if len(events) < 2:
        raise InputError(
            f"expected events at two different times or more among the training samples, found "
            f"{len(events)} in {columns[1]}; survival cannot be learned from these"
        )
    if config.grid == "uniform":
        points = np.linspace(0.0, 1.1 * time[own].max(), config.bins + 1)
        return tuple(float(edge) for edge in (points[:-1] + points[1:]) / 2)
    levels = np.arange(1, config.bins + 1) / (config.bins + 1)
    return tuple(float(edge) for edge in np.quantile(events, levels))


def _scale(values: np.ndarray, name: str, config: OutcomesConfig) -> tuple[float, float]:
    """Return shift and scale of a value, from the training samples."""
    known = values[~np.isnan(values)]
    if len(known) < 2 or np.ptp(known) == 0:
        found = f"{known[0]:g} in all {len(known)}" if len(known) else "none"
        raise InputError(
            f"expected different values of {name!r} among the training samples, found {found}; "
            "leave it out of --regress"
        )
    if config.value_scale == "max":
        return 0.0, float(np.abs(known).max())
    return float(known.mean()), float(known.std())


def _classes(cohort: MultiOmics, name: str) -> tuple[str, ...]:
    """Return the classes of a column."""
    names = tuple(sorted(class_text(pd.Series(cohort.labels[name])).dropna().unique()))
    if len(names) < 2:
        raise InputError(
            f"expected at least 2 classes of {name!r}, found {names[0] if names else 'none'!r}; "
            "leave it out of --classify"
        )
    return names


def _column(cohort: MultiOmics, name: str) -> pd.Series:
    """Return a column of the sample table; all missing where the cohort lacks it."""
    if name not in cohort.labels.columns:
        return pd.Series(np.nan, index=cohort.samples)
    return pd.Series(cohort.labels[name])


def _numbers(cohort: MultiOmics, name: str) -> np.ndarray:
    """Return a column of the sample table as float64, NaN where it is missing."""
    column = _column(cohort, name)
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        numbers = pd.to_numeric(column, errors="coerce")
        text = column[numbers.isna() & column.notna()]
        if len(text):
            raise InputError(
                f"expected numbers in label column {name!r}, found {str(text.iloc[0])!r}; recode it"
            )
        column = numbers
    return column.to_numpy(np.float64, na_value=np.nan)
