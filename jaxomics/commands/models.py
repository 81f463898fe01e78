"""`models`: models and comparators as a table."""

from typing import Any

import pandas as pd


def models() -> pd.DataFrame:
    """List models and comparators: name, verbs, presets, what samples may lack, size, paper."""
    from jaxomics.methods import COMPARATORS, MODELS
    from jaxomics.presets import PRESETS
    from jaxomics.presets.comparators import comparator_presets

    rows = [
        (e.name, ", ".join(e.verbs), ", ".join(PRESETS[e.name]), _missing(e.name), e.sizes, e.paper)
        for e in MODELS.values()
    ]
    rows += [
        (
            m.name, ", ".join(m.verbs), ", ".join(comparator_presets(m)), _missing(m.name),
            _sizes(m.config), m.paper,
        )
        for m in COMPARATORS.values()
    ]  # fmt: skip
    columns = pd.Index(["model", "verbs", "presets", "missing", "sizes", "paper"])
    return pd.DataFrame(rows, columns=columns)


def _missing(name: str) -> str:
    """Return what samples of a method may lack, in words."""
    from jaxomics.methods import capabilities

    can = capabilities(name)
    allowed = {"cells": can.missing_cells, "views": can.missing_views}
    return ", ".join(what for what, may in allowed.items() if may)


def _sizes(config: Any) -> str:
    """Return the settings that decide the size of a comparator, in words."""
    named = ("components", "factors", "rank", "neighbours", "hidden")
    shown = [f"{name} {getattr(config, name)}" for name in named if hasattr(config, name)]
    return "comparator" + (f": {', '.join(shown)}" if shown else "")
