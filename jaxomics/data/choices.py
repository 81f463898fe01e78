"""The choices of preprocessing, apart from what follows from them on a cohort."""

from dataclasses import dataclass
from typing import Literal

from jaxomics.errors import InputError, unknown

ESSENTIAL_VIEWS = ("crisprcas9",)
"""Views whose encoder sees only features that are essential in some sample."""

VARIABLE_VIEWS = ("methylation", "transcriptomics")
"""Views whose encoder sees only the features of the wide mixture component."""


@dataclass(frozen=True)
class PreprocessConfig:
    """Choices of preprocessing; the defaults are those of Cai et al. 2024 but for `fit_scope`.

    Attributes:
      scaling: `zscore` standardises every feature; `minmax` brings its range among the samples
        that it is fitted to to 0 to 1; `none` keeps the units.
      unscaled: views that keep their units in any case.
      max_missing: a feature is kept if its missing share is strictly below.
      missing_filtered: views that `max_missing` applies to. Names that a cohort lacks are
        ignored here and in `unscaled`, so that one config serves several cohorts.
      excluded: columns of the feature tables that mark features to leave out, such as probes that
        overlap a common variant; views without a feature table keep all of theirs.
      variance_threshold: features of `variance_filtered` views are kept if their variance among
        the samples that scaling is fitted to is at least this; None keeps all.
      variance_quantile: so large a share of the features of these views, those of least variance,
        is left out; None keeps all.
      variance_filtered: views that both apply to.
      order: `location` puts the features of views with a feature table in the order of the genome
        (see `locations.location_order`); `known` does so where the tables tell places, and notes
        which views stay as they come; `none` leaves all of them.
      imputed: views in whose measured samples a missing cell becomes the mean of its feature, and
        then counts as measured.
      encoder_filter: `paper` hides from the encoder the genes of `ESSENTIAL_VIEWS` that are
        never essential, and the features of low spread in `VARIABLE_VIEWS`; they stay targets
        of the decoder.
      decimals: standardised values are rounded to so many decimals; None keeps them.
      min_views: scalers and encoder filters are fitted to samples with so many views.
      fit_scope: `train` fits to the training samples only; `all`, the paper's choice, also to
        those that are held out, which leaks their scale.
      seed: for the mixture behind the spread filter.
    """

    scaling: Literal["zscore", "minmax", "none"] = "zscore"
    unscaled: tuple[str, ...] = ("copynumber",)
    max_missing: float = 0.85
    missing_filtered: tuple[str, ...] | Literal["all"] = (
        "proteomics",
        "metabolomics",
        "drugresponse",
        "crisprcas9",
    )
    excluded: tuple[str, ...] = ()
    variance_threshold: float | None = None
    variance_quantile: float | None = None
    variance_filtered: tuple[str, ...] | Literal["all"] = ("methylation",)
    order: Literal["location", "known", "none"] = "none"
    imputed: tuple[str, ...] = ()
    encoder_filter: Literal["paper", "none"] = "paper"
    decimals: int | None = 4
    min_views: int = 2
    fit_scope: Literal["train", "all"] = "train"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (
            ("scaling", ("zscore", "minmax", "none")),
            ("encoder_filter", ("paper", "none")),
            ("order", ("location", "known", "none")),
            ("fit_scope", ("train", "all")),
        ):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        if self.max_missing <= 0:
            raise InputError(f"expected max_missing above 0, found {self.max_missing}")
        if self.variance_threshold is not None and self.variance_threshold < 0:
            raise InputError(f"expected a variance of 0 or more, found {self.variance_threshold}")
        if self.variance_quantile is not None and not 0 <= self.variance_quantile < 1:
            raise InputError(
                f"expected variance_quantile from 0 to below 1, found {self.variance_quantile}"
            )

    def centres(self, view: str) -> bool:
        """Tell whether the mean of every feature of a view becomes 0."""
        return self.scaling == "zscore" and view not in self.unscaled

    def filters_variance(self, view: str) -> bool:
        """Tell whether features of a view are filtered by their variance."""
        asked = self.variance_threshold is not None or self.variance_quantile is not None
        return asked and (self.variance_filtered == "all" or view in self.variance_filtered)


DEFAULT = PreprocessConfig()
"""The choices that hold where none are made."""


@dataclass(frozen=True)
class NormaliseConfig:
    """How values are made comparable between samples, before they are scaled.

    The steps are taken in this order, after the filters of features, and fitted to the samples
    that scaling is fitted to (Nagaraj et al. 2023, who do not say how they fit them).

    Attributes:
      scale: what the values are. `counts` become log2(count + 1), and features without a count are
        left out; `log` are logarithms already; `none` is any other unit, taken as it is.
      quantile: give every sample the same distribution (see `data.quantiles`).
      batch: label columns of levels whose effects are removed, such as the library preparation
        (see `data.batch_effects`). Columns that a cohort lacks are left out with a note, also
        below.
      covariates: label columns of numbers whose effects are removed, such as age.
      keep: label columns of levels whose differences stay, such as the tumour type. New samples
        need no such label.
      unseen: `refuse` a level of `batch` that no training sample has, or let it have no effect
        (`zero`), with a note.
      normalised: views that all this applies to.
    """

    scale: Literal["counts", "log", "none"] = "none"
    quantile: bool = False
    batch: tuple[str, ...] = ()
    covariates: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    unseen: Literal["refuse", "zero"] = "refuse"
    normalised: tuple[str, ...] | Literal["all"] = "all"

    def __post_init__(self) -> None:
        """Check words, and that no column is both removed and kept."""
        for name, known in (("scale", ("counts", "log", "none")), ("unseen", ("refuse", "zero"))):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        columns = [*self.batch, *self.covariates, *self.keep]
        twice = next((name for name in columns if columns.count(name) > 1), None)
        if twice is not None:
            raise InputError(
                f"expected each column once in batch, covariates or keep, found {twice!r} more "
                "often; an effect is removed or kept"
            )
        if self.keep and not (self.batch or self.covariates):
            raise InputError(
                f"expected batch or covariates beside keep {self.keep[0]!r}, found none; name what "
                "is to be removed, or keep nothing"
            )

    @property
    def fitted(self) -> bool:
        """Tell whether a step learns from the training samples."""
        return self.quantile or bool(self.batch or self.covariates)

    def of(self, view: str) -> "NormaliseConfig":
        """Return what holds for a view: this, or nothing."""
        here = self.normalised == "all" or view in self.normalised
        return self if here else UNCHANGED


UNCHANGED = NormaliseConfig()
"""Values stay as they are."""
