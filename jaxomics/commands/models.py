"""`models`: the registry as a table."""

import pandas as pd


def models() -> pd.DataFrame:
    """List the models: name, paper, what they can do, what decides their size."""
    from jaxomics.models.registry import MODELS
    from jaxomics.presets import PRESETS

    rows = [
        (e.name, ", ".join(e.verbs), ", ".join(PRESETS[e.name]), e.sizes, e.paper)
        for e in MODELS.values()
    ]
    return pd.DataFrame(rows, columns=pd.Index(["model", "verbs", "presets", "sizes", "paper"]))
