"""One file per model, and the registry of them."""
