"""The only place that knows devices, their memory and the compilation cache."""

import os
from pathlib import Path

import jax


def cache_folder() -> Path:
    """Return the folder of compiled programs: `JAXOMICS_CACHE`, or one in the user's cache."""
    named = os.environ.get("JAXOMICS_CACHE")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "jaxomics" / "compiled"


def use_compilation_cache() -> None:
    """Keep compiled programs between processes, unless the user has chosen a folder already.

    A folder that cannot be written is no error: programs are then compiled anew.
    """
    chosen = getattr(jax.config, "jax_compilation_cache_dir", None)
    if chosen or os.environ.get("JAXOMICS_CACHE") == "off":
        return
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def describe_devices() -> str:
    """Return what JAX computes on, such as `cpu x 1` or `NVIDIA H100 x 2`."""
    devices = jax.devices()
    return f"{devices[0].device_kind} x {len(devices)}"
