"""Explanations of fitted models: all samples and outputs, streamed, and the tables they become."""
