"""Named settings: one module per model, and one line for it here."""

from jaxomics.errors import unknown
from jaxomics.presets import (
    atac_vae,
    coembed,
    jamie,
    modis,
    mosa,
    move,
    omiembed,
    omitrans,
    rna_vae,
    scvaeit,
)
from jaxomics.presets.settings import Settings, quick

__all__ = ["PRESETS", "Settings", "preset", "quick"]

PRESETS: dict[str, dict[str, Settings]] = {
    "mosa": mosa.PRESETS,
    "modis": modis.PRESETS,
    "omiembed": omiembed.PRESETS,
    "omitrans": omitrans.PRESETS,
    "rna-vae": rna_vae.PRESETS,
    "atac-vae": atac_vae.PRESETS,
    "coembed": coembed.PRESETS,
    "move": move.PRESETS,
    "jamie": jamie.PRESETS,
    "scvaeit": scvaeit.PRESETS,
}
"""Model to name to settings; every model has `recommended`, the default."""


def preset(model: str, name: str) -> Settings:
    """Return the named settings of a model.

    >>> preset("mosa", "paper").hyper.learning_rate
    0.0003
    """
    if model not in PRESETS:
        raise unknown("model", model, PRESETS)
    if name not in PRESETS[model]:
        raise unknown(f"preset of {model}", name, PRESETS[model])
    return PRESETS[model][name]
