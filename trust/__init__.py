"""Tries to break the pipeline, and counts what survives: ``python -m trust`` (docs/trust.md)."""
