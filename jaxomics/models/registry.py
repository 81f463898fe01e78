"""The models there are: name to what builds them and what they can do."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxomics.data.batch import DataSpec
from jaxomics.errors import unknown
from jaxomics.models import (
    atac,
    bulk,
    coembed,
    jamie,
    modis,
    mosa,
    move,
    omiembed,
    omitrans,
    scvaeit,
)
from jaxomics.models.base import Model


class Entry(NamedTuple):
    """One model of the registry.

    Attributes:
      name: as on the command line.
      paper: where it was published.
      config, hyper: its settings' types.
      build: (config, spec) -> Model.
      verbs: what its estimator can do beside `fit`; one with `predict` learns classes.
      sizes: what decides its size, in words.
      outcomes: whether it also predicts survival, values and further classes.
      missing: what a sample may lack: single `cells`, or whole `views` of those it reads.
    """

    name: str
    paper: str
    config: type
    hyper: type
    build: Callable[[Any, DataSpec], Model]
    verbs: tuple[str, ...]
    sizes: str
    outcomes: bool = False
    missing: tuple[str, ...] = ("cells", "views")


MODELS: dict[str, Entry] = {
    "mosa": Entry(
        "mosa",
        "Cai et al., Nature Communications 2024, doi 10.1038/s41467-024-54771-4",
        mosa.Config,
        mosa.Hyper,
        mosa.build,
        ("embed", "impute", "translate", "explain"),
        "latent 200, hidden 0.7 and view latent 0.25 of each view's width; 779 M at full size",
    ),
    "modis": Entry(
        "modis",
        "Lepe-Soltero et al., 2025, arXiv 2503.18856",
        modis.Config,
        modis.Hyper,
        modis.build,
        ("embed", "predict", "translate", "impute", "explain"),
        "latent 64, layers of 256 or 512 per view, discriminator 1024-512-256; 3.0 M on InterSIM",
    ),
    "omiembed": Entry(
        "omiembed",
        "Zhang et al., Cancers 2021, doi 10.3390/cancers13123047",
        omiembed.Config,
        omiembed.Hyper,
        omiembed.build,
        ("embed", "predict"),
        "latent 128, layers of 1024 per view, heads 128-64 and 512-256; 44 M on 20,000 genes",
        outcomes=True,
    ),
    "omitrans": Entry(
        "omitrans",
        "Zhang and Guo, 2021, OmiTrans",
        omitrans.Config,
        omitrans.Hyper,
        omitrans.build,
        ("translate", "embed"),
        "latent 256, layers 4096-1024-512 both ways; 432 M from 39,464 CpGs to 60,483 genes",
    ),
    "rna-vae": Entry(
        "rna-vae",
        "Nagaraj et al., 2023, machine learning derived embeddings of bulk multi-omics data",
        bulk.Config,
        bulk.Hyper,
        bulk.build,
        ("embed", "impute", "explain"),
        "latent 512, one hidden layer of 1024; 42 M on 19,421 genes",
    ),
    "atac-vae": Entry(
        "atac-vae",
        "Nagaraj et al., 2023, machine learning derived embeddings of bulk multi-omics data",
        atac.Config,
        atac.Hyper,
        atac.build,
        ("embed", "impute"),
        "latent 512 of 113 windows of 5,000 peaks, 512 each; 26 M, and 20 M above them",
        missing=("cells",),
    ),
    "coembed": Entry(
        "coembed",
        "Nagaraj et al., 2023, machine learning derived embeddings of bulk multi-omics data",
        coembed.Config,
        coembed.Hyper,
        coembed.build,
        ("embed", "translate", "impute"),
        "latent 512, one VAE each for ATAC (as atac-vae) and RNA (as rna-vae); 88 M in all",
    ),
    "move": Entry(
        "move",
        "Allesoe et al., Nature Biotechnology 2023, doi 10.1038/s41587-022-01520-x",
        move.Config,
        move.Hyper,
        move.build,
        ("embed", "impute", "translate", "explain"),
        "latent 200, one hidden layer of 1000 for all views; 2.6 M on 1,000 features",
    ),
    "jamie": Entry(
        "jamie",
        "Cohen Kalafut et al., Nature Machine Intelligence 2023, doi 10.1038/s42256-023-00663-z",
        jamie.Config,
        jamie.Hyper,
        jamie.build,
        ("embed", "impute", "translate", "explain"),
        "latent 200, up to 512 principal components and layers of 1024-512; two views; 5.1 M",
    ),
    "scvaeit": Entry(
        "scvaeit",
        "Du et al., PNAS 2022, doi 10.1073/pnas.2214414119",
        scvaeit.Config,
        scvaeit.Hyper,
        scvaeit.build,
        ("embed", "impute", "translate", "explain"),
        "latent 100, 256 units per view and layer, masks embedded in 16 per view; 1.0 M",
    ),
}


def entry(name: str) -> Entry:
    """Return a model's entry, or raise with the names there are.

    >>> entry("mosa").verbs
    ('embed', 'impute', 'translate', 'explain')
    """
    if name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]
