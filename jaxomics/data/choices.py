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
      variance_filtered: views that `variance_threshold` applies to.
      order: `location` puts the features of views with a feature table in the order of the genome
        (see `locations.location_order`); `none` leaves them as they come.
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
    variance_filtered: tuple[str, ...] = ("methylation",)
    order: Literal["location", "none"] = "none"
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
            ("order", ("location", "none")),
            ("fit_scope", ("train", "all")),
        ):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        if self.max_missing <= 0:
            raise InputError(f"expected max_missing above 0, found {self.max_missing}")
        if self.variance_threshold is not None and self.variance_threshold < 0:
            raise InputError(f"expected a variance of 0 or more, found {self.variance_threshold}")


DEFAULT = PreprocessConfig()
"""The choices that hold where none are made."""
