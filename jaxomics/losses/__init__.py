"""Loss terms: pure functions of arrays."""
