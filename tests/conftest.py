"""Strict JAX for every test: no silent rank promotion, four CPU devices, warnings are errors."""

import os

os.environ.setdefault(
    "XLA_FLAGS",
    # Compiling dominates tests of tiny models, so the compiler may take it easy.
    "--xla_force_host_platform_device_count=4 --xla_backend_optimization_level=0",
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from pathlib import Path

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")

collect_ignore = ["parity/make_fixtures.py"]  # runs where PyTorch is, once


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


@pytest.fixture
def real_data() -> Path:
    """The folder of real data sets, or skip."""
    folder = os.environ.get("JAXOMICS_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("JAXOMICS_DATA does not name the folder of real data sets")
    return Path(folder)
