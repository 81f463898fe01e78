"""The comparators by name, and fitted comparators as files."""

import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from jaxomics.comparators import (
    diablo,
    icluster,
    knn,
    lasso,
    linear,
    mean,
    mocluster,
    mofa,
    pca,
    pls,
    ridge,
    softimpute,
    tdimpute,
)
from jaxomics.comparators.base import Fitted, Layout, Method
from jaxomics.errors import InputError, unknown

COMPARATORS: dict[str, Method] = {
    module.METHOD.name: module.METHOD
    for module in (
        mean,
        knn,
        pca,
        softimpute,
        ridge,
        pls,
        linear,
        lasso,
        mocluster,
        icluster,
        mofa,
        diablo,
        tdimpute,
    )
}
"""Every comparator, from the simplest on."""

QUICK = ("mean", "knn", "softimpute", "ridge")
"""Comparators that complete any cohort in seconds."""


def get(name: str) -> Method:
    """Return a comparator.

    Raises:
      InputError: there is none of this name; the message lists those there are.

    >>> get("knn").capabilities.latent
    False
    """
    if name not in COMPARATORS:
        raise unknown("comparator", name, COMPARATORS)
    return COMPARATORS[name]


def save(fitted: Fitted, path: str | Path) -> None:
    """Write a fitted comparator as one `.npz` file; it appears only when whole."""
    path = Path(path)
    widths = {view: [c.start, c.stop] for view, c in fitted.layout.slices.items()}
    header = json.dumps({"method": fitted.method.name, "slices": widths})
    arrays: dict[str, Any] = {f"state/{name}": array for name, array in fitted.state.items()}
    arrays |= {"header": np.array(header)}
    arrays |= {"centre": fitted.layout.centre, "scale": fitted.layout.scale}
    if fitted.latent is not None:
        arrays["latent"] = fitted.latent
    unfinished = path.with_name(path.name + ".unfinished")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, **arrays)
    unfinished.replace(path)


def load(path: str | Path) -> Fitted:
    """Read a fitted comparator written by `save`.

    Raises:
      InputError: no such file, or not one that `save` wrote.
    """
    try:
        with Path(path).open("rb") as file:
            arrays = dict(np.load(file, allow_pickle=False))
        header = json.loads(str(arrays["header"]))
        slices = {view: slice(*bounds) for view, bounds in header["slices"].items()}
        layout = Layout(slices, arrays["centre"], arrays["scale"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(
            f"expected a fitted comparator in {str(path)!r}, found none ({error}); fit it again"
        ) from error
    prefix = "state/"
    state = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
    return Fitted(get(header["method"]), layout, state, arrays.get("latent"))
