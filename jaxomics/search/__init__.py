"""Search of settings: ranges (`space`), drawn and judged in groups (`study`)."""
