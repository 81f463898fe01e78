"""Which columns of the sample table are predicted; `jaxomics.inference.outcomes` fits them."""

from dataclasses import dataclass
from typing import Literal

from jaxomics.errors import InputError


@dataclass(frozen=True)
class OutcomesConfig:
    """Which columns of the sample table a model predicts beside its classes.

    Attributes:
      time: column of times to the event or to the last observation, above 0; with `event`.
      event: column of events, 1, or 0 where the time is right-censored.
      regress: columns of numbers.
      classify: columns of further classes, beside the label column.
      bins: how many edges cut time into intervals.
      grid: edges at the `quantile`s of the distinct event times, or `uniform` up to a tenth
        beyond the longest time, as published.
      value_scale: numbers are learned in standard deviations from their mean (`zscore`), or as
        shares of the largest (`max`, as published).
    """

    time: str | None = None
    event: str | None = None
    regress: tuple[str, ...] = ()
    classify: tuple[str, ...] = ()
    bins: int = 64
    grid: Literal["quantile", "uniform"] = "quantile"
    value_scale: Literal["zscore", "max"] = "zscore"

    def __post_init__(self) -> None:
        """Check that what belongs together is there."""
        if (self.time is None) != (self.event is None):
            given, lacking = ("time", "event") if self.event is None else ("event", "time")
            raise InputError(f"expected --{lacking} beside --{given}, found none; name both")
        if self.bins < 2:
            raise InputError(f"expected bins of at least 2, found {self.bins}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns that are meant."""
        survival = (self.time, self.event)
        return tuple(name for name in (*survival, *self.regress, *self.classify) if name)
