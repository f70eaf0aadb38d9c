"""Scores, comparisons of models, and the audit of synthetic labels."""
