"""Deep models for bulk multi-omics tables in JAX: complete, embed, translate and explain.

Public names are imported on first use, so that `import jaxomics` is quick. Every command of the
command line is a function here:

>>> import jaxomics
>>> cohort = jaxomics.simulate_depmap("tiny", seed=0).cohort
>>> print(str(jaxomics.inspect(cohort)).splitlines()[0])
60 samples, 8 views
"""

from importlib import import_module
from typing import Any

from jaxomics.version import __version__

_HOMES = {
    "Comparator": "jaxomics.comparator",
    "Estimator": "jaxomics.estimator",
    "InputError": "jaxomics.errors",
    "MultiOmics": "jaxomics.data.container",
    "Settings": "jaxomics.presets",
    "cv": "jaxomics.commands.cv",
    "demo": "jaxomics.commands.demo",
    "embed": "jaxomics.commands.apply",
    "evaluate_embedding": "jaxomics.commands.evaluate",
    "evaluate_imputation": "jaxomics.commands.evaluate",
    "evaluate_translation": "jaxomics.commands.evaluate",
    "export": "jaxomics.commands.bridge",
    "fit_many": "jaxomics.engine.replicate",
    "fit_together": "jaxomics.together",
    "impute": "jaxomics.commands.apply",
    "import_latent": "jaxomics.commands.bridge",
    "import_recon": "jaxomics.commands.bridge",
    "inspect": "jaxomics.data.inspect",
    "load_run": "jaxomics.runfolder",
    "models": "jaxomics.commands.models",
    "predict": "jaxomics.commands.apply",
    "preset": "jaxomics.presets",
    "read_cohort": "jaxomics.data.io",
    "simulate_depmap": "jaxomics.data.simulate",
    "simulate_intersim": "jaxomics.data.intersim",
    "simulate_translation": "jaxomics.data.simulated_translation",
    "slides": "jaxomics.commands.slides",
    "sweep": "jaxomics.commands.sweep",
    "train": "jaxomics.commands.train",
    "translate": "jaxomics.commands.apply",
    "write_cohort": "jaxomics.data.io",
}

__all__ = ["__version__", *sorted(_HOMES)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'jaxomics' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List public names, also those not imported yet."""
    return sorted(__all__)
