"""Preprocessing that keeps every sample and feature, as networks beside MOSA read them."""

from jaxomics.data.preprocess import PreprocessConfig

UNFILTERED = PreprocessConfig(
    unscaled=(),
    missing_filtered=(),
    encoder_filter="none",
    decimals=None,
    min_views=1,
)
"""Nothing is left out; every feature in units of its standard deviation."""
