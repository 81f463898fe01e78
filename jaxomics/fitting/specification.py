"""What a model is told of the data: static facts, and the scaling, from a fitted preprocessing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import pandas as pd

from jaxomics.data.batch import DataSpec, Standard, TargetSpec, ViewSpec
from jaxomics.data.links import name_links
from jaxomics.data.locations import CHROMOSOMES
from jaxomics.data.preprocess import Preprocess
from jaxomics.data.scaling import apply_standard

COPY_NUMBER_LEVELS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Every value of an ordinal view: the categories of copy number."""

BINARY_LEVELS = (0.0, 1.0)
"""Every value of a binary view."""


def specify(
    preprocess: Preprocess,
    conditionals: int,
    classes: tuple[str, ...],
    config: Any,
    targets: tuple[TargetSpec, ...] = (),
    chromosomes: Mapping[str, Mapping[str, int]] | None = None,
) -> DataSpec:
    """Describe the data to a model.

    Args:
      preprocess: fitted.
      conditionals: how many columns they have.
      classes: names of the classes.
      config: the model's; `links` and `linked` decide which features are linked by name.
      targets: outcomes beside the classes.
      chromosomes: number of the chromosome of each feature, by view; for models that read
        chromosomes apart.
    """
    views = tuple(
        replace(
            _view_spec(preprocess, name),
            groups=_groups(fitted.features, (chromosomes or {}).get(name, {})),
        )
        for name, fitted in preprocess.views.items()
    )
    links = ()
    if getattr(config, "links", False):
        same_assay = [group.split(",") for group in config.linked]
        links = name_links({n: v.features for n, v in preprocess.views.items()}, same_assay)
    return DataSpec(views, conditionals, classes, links, targets)


def _groups(features: pd.Index, chromosomes: Mapping[str, int]) -> tuple[tuple[int, ...], ...]:
    """Return the columns of each chromosome, in the order of their numbers; none without any."""
    found: dict[int, list[int]] = {}
    for column, feature in enumerate(features if chromosomes else ()):
        found.setdefault(chromosomes.get(feature, len(CHROMOSOMES)), []).append(column)
    return tuple(tuple(found[number]) for number in sorted(found))


def standard_of(preprocess: Preprocess, filled: Sequence[str] = ()) -> Standard:
    """Return the fitted scaling as device arrays.

    Args:
      preprocess: fitted.
      filled: views in which a cell that is not measured is read as the mean of its feature; in
        others it is 0 in standard units. Of z-scores both are the same.
    """
    config = preprocess.config
    return Standard(
        {name: jnp.asarray(view.mean) for name, view in preprocess.views.items()},
        {name: jnp.asarray(view.scale) for name, view in preprocess.views.items()},
        config.decimals,
        {
            name: jnp.asarray(apply_standard(view.fill, view.standard, config.decimals))
            for name, view in preprocess.views.items()
            if name in filled and view.fill is not None and not config.centres(name)
        },
    )


def _view_spec(preprocess: Preprocess, name: str) -> ViewSpec:
    """Describe one view to the model; discrete views in their own units tell their levels."""
    fitted = preprocess.views[name]
    width = len(fitted.features)
    encoded = None if len(fitted.encoder) == width else tuple(int(c) for c in fitted.encoder)
    unscaled = name in preprocess.config.unscaled or preprocess.config.scaling == "none"
    if unscaled and fitted.kind == "ordinal":
        return ViewSpec(name, width, encoded, "macro", COPY_NUMBER_LEVELS)
    if unscaled and fitted.kind == "binary":
        return ViewSpec(name, width, encoded, levels=BINARY_LEVELS)
    return ViewSpec(name, width, encoded)
