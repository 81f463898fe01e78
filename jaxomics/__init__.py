"""Deep models for bulk multi-omics tables in JAX: complete, embed, translate and explain."""
