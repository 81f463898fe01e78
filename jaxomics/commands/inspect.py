"""`inspect`: what would be read from a path, and what looks wrong with it."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from jaxomics.data.inspect import Inspection
from jaxomics.data.inspect import inspect as describe
from jaxomics.data.io import read_cohort


def inspect(
    path: Positional[Annotated[Path, arg(metavar="PATH")]],
    *,
    views: tuple[str, ...] | None = None,
) -> Inspection:
    """Show what would be read: views, samples, gaps, ranges, overlap, and problems.

    Args:
      path: folder with one table per view, or an .h5mu or .h5ad file.
      views: read only these views.
    """
    return describe(read_cohort(path, views=views, min_samples=1))
