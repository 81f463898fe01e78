"""Scores: tables in, tidy tables out."""
