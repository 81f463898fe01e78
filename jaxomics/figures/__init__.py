"""Figures: a table in, a matplotlib figure out."""
