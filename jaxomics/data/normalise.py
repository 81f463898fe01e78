"""From counts to values that compare between samples: logarithm, quantiles, batch effects.

The steps of one view, fitted to training samples and applied to any. What comes before (filters of
features) and after (scaling of features) is in `data.preprocess`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from jaxomics.data.batch_effects import BatchEffects, Term, fit_batch_effects
from jaxomics.data.choices import UNCHANGED, NormaliseConfig
from jaxomics.data.container import MultiOmics
from jaxomics.data.quantiles import Quantiles, fit_quantiles
from jaxomics.errors import InputError

LARGEST_LOGARITHM = 64.0
"""No logarithm of a count is above: values are no logarithms then."""


@dataclass(frozen=True)
class Steps:
    """Fitted steps of a view; build it with `fit_steps`.

    Attributes:
      config: the choices.
      quantiles: None without.
      effects: None without.
      notes: what was left out, in sentences.
    """

    config: NormaliseConfig = UNCHANGED
    quantiles: Quantiles | None = None
    effects: BatchEffects | None = None
    notes: tuple[str, ...] = ()

    def apply(self, table: pd.DataFrame, labels: pd.DataFrame, view: str) -> np.ndarray:
        """Return values of any samples after all steps, float32 [samples, features].

        Args:
          table: raw values of the fitted features; NaN stays NaN.
          labels: sample table of these samples.
          view: for messages.

        Raises:
          InputError: values that are not on the scale that the config tells, an absent batch
            column, or a level that is refused.
        """
        return self._after(on_scale(table, self.config.scale, view), labels)

    def _after(self, values: np.ndarray, labels: pd.DataFrame) -> np.ndarray:
        """Return values on the log scale after the other steps."""
        if self.quantiles is not None:
            values = self.quantiles.apply(values)
        if self.effects is not None:
            values = self.effects.apply(values, labels, self.config.unseen)
        return values

    @property
    def summary(self) -> str:
        """What the values are after all steps, in words; empty where they are as they came.

        >>> Steps(NormaliseConfig(scale="counts")).summary
        'log2(count + 1)'
        """
        parts = ["log2(count + 1)"] if self.config.scale == "counts" else []
        parts += [] if self.quantiles is None else ["quantile normalised"]
        if self.effects is not None:
            columns = [term.column for term in self.effects.terms]
            parts.append(f"without effects of {', '.join(columns)}")
        return ", ".join(parts)

    def unseen(self, labels: pd.DataFrame) -> pd.DataFrame:
        """Return levels that no training sample has: columns sample, column, level."""
        effects = self.effects or BatchEffects((), np.zeros((0, 0)))
        return effects.unseen(labels)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what was fitted, by name; with `record` enough for `restore`."""
        found = {}
        if self.quantiles is not None:
            found["reference"] = self.quantiles.reference
        if self.effects is not None:
            found["effects"] = self.effects.effects
        return found

    def record(self) -> dict[str, Any]:
        """Return the rest of what was fitted, as JSON holds it."""
        effects = self.effects or BatchEffects((), np.zeros((0, 0)))
        terms = [[term.column, term.levels, term.mean] for term in effects.terms]
        return {"terms": terms, "spanned": effects.spanned, "notes": self.notes}

    @classmethod
    def restore(
        cls, config: NormaliseConfig, record: dict[str, Any], arrays: dict[str, np.ndarray]
    ) -> "Steps":
        """Return the steps that `record` and `arrays` tell of."""
        terms = tuple(
            Term(column, None if levels is None else tuple(levels), mean)
            for column, levels, mean in record["terms"]
        )
        quantiles = Quantiles(arrays["reference"]) if "reference" in arrays else None
        effects = None
        if "effects" in arrays:
            effects = BatchEffects(terms, arrays["effects"], tuple(record["spanned"]))
        return cls(config, quantiles, effects, tuple(record["notes"]))


NO_STEPS = Steps()
"""Values stay as they are."""


def fit_steps(
    values: np.ndarray, labels: pd.DataFrame, config: NormaliseConfig, view: str
) -> tuple[Steps, np.ndarray]:
    """Fit quantiles and batch effects, and return the steps and the values after them.

    Args:
      values: float32 [training samples, features] on the log scale (`on_scale`).
      labels: sample table of these samples. Columns that it lacks are left out, noted.
      config: the choices.
      view: for notes.

    Raises:
      InputError: labels that cannot be used; see `fit_batch_effects`.
    """
    notes, columns = [], {}
    for role in ("batch", "covariates", "keep"):
        asked = getattr(config, role)
        columns[role] = tuple(name for name in asked if name in labels)
        what = "differences are not kept" if role == "keep" else "effect is not removed"
        notes += [
            f"view {view!r}: no label column {name!r}: its {what}"
            for name in asked
            if name not in labels
        ]
    quantiles = fit_quantiles(values) if config.quantile else None
    steps = Steps(config, quantiles)
    values = steps._after(values, labels)
    effects = None
    if columns["batch"] or columns["covariates"]:
        effects = fit_batch_effects(values, labels, **columns)
        values = effects.apply(values, labels)
        if effects.spanned:
            notes.append(
                f"view {view!r}: {', '.join(effects.spanned)} cannot be told from what is kept or "
                "from other batches: no effect is removed"
            )
    return Steps(config, quantiles, effects, tuple(notes)), values


def as_logarithms(
    cohort: MultiOmics, config: NormaliseConfig
) -> tuple[MultiOmics, NormaliseConfig]:
    """Return a cohort whose counts are logarithms, and the steps that are left.

    Logarithms learn nothing, so they may be taken before samples are divided.

    Raises:
      InputError: see `on_scale`.
    """
    views = {
        name: pd.DataFrame(on_scale(table, config.of(name).scale, name), table.index, table.columns)
        for name, table in cohort.views.items()
    }
    return replace(cohort, views=views), replace(config, scale="none")


def on_scale(table: pd.DataFrame, scale: str, view: str) -> np.ndarray:
    """Return values as float32 [samples, features]: counts as log2(count + 1), others unchanged.

    Args:
      table: [samples, features], NaN = not measured.
      scale: `counts`, `log` or `none`.
      view: for messages.

    Raises:
      InputError: negative counts, or logarithms that are too large to be any.

    >>> on_scale(pd.DataFrame({"a": [0.0, 7.0]}), "counts", "rna").ravel().tolist()
    [0.0, 3.0]
    """
    values = table.to_numpy(np.float32)
    if scale == "counts":
        wrong = np.argwhere(values < 0)
        if len(wrong):
            row, column = wrong[0]
            raise InputError(
                f"view {view!r}: expected counts of 0 or more, found {len(wrong)} negative values, "
                f"the first is {values[row, column]:g} at sample {str(table.index[row])!r}, "
                f"feature {str(table.columns[column])!r}; say --scale log for logarithms, or "
                "--scale none for values that are scaled already"
            )
        values = values + np.float32(1)
        return np.log2(values, out=values)
    if scale == "log" and values.size and np.nanmax(values, initial=0.0) > LARGEST_LOGARITHM:
        raise InputError(
            f"view {view!r}: expected logarithms, at most {LARGEST_LOGARITHM:g}, found "
            f"{np.nanmax(values):g}; say --scale counts for counts, or --scale none for other units"
        )
    return values
