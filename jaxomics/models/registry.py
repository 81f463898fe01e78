"""The models there are: name to what builds them and what they can do."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxomics.data.batch import DataSpec
from jaxomics.errors import unknown
from jaxomics.models import mosa
from jaxomics.models.base import Model


class Entry(NamedTuple):
    """One model of the registry.

    Attributes:
      name: as on the command line.
      paper: where it was published.
      config, hyper: its settings' types.
      build: (config, spec) -> Model.
      verbs: what its estimator can do beside `fit`.
      sizes: what decides its size, in words.
    """

    name: str
    paper: str
    config: type
    hyper: type
    build: Callable[[Any, DataSpec], Model]
    verbs: tuple[str, ...]
    sizes: str


MODELS: dict[str, Entry] = {
    "mosa": Entry(
        "mosa",
        "Cai et al., Nature Communications 2024, doi 10.1038/s41467-024-54771-4",
        mosa.Config,
        mosa.Hyper,
        mosa.build,
        ("embed", "impute", "translate"),
        "latent 200, hidden 0.7 and view latent 0.25 of each view's width; 779 M at full size",
    ),
}


def entry(name: str) -> Entry:
    """Return a model's entry, or raise with the names there are.

    >>> entry("mosa").verbs
    ('embed', 'impute', 'translate')
    """
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]
